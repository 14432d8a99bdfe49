//! Accounts as they are in the target.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::account::names;
use crate::{AccountId, AccountStatus, Memberships, PayloadError, Ref, Slug, payload};

/// An account as it is in the target.
///
/// `Debug` shows identifiers, the status, and the names of the other fields that are set, never their values.
///
/// ```
/// use bridgehead_sdk::{AccountRecord, AccountStatus};
///
/// let ann = AccountRecord::new("u1")
///     .with_username("ann")
///     .with_status(AccountStatus::Suspended)
///     .with_memberships("team", ["t1", "t2"])
///     .with_field("cost_centre", 42);
/// assert_eq!(ann.memberships.of("team").len(), 2);
/// assert!(!format!("{ann:?}").contains("ann"));
/// ```
#[derive(Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct AccountRecord {
    /// The identifier in the target system.
    pub id: AccountId,
    /// The email address. A record needs an email address, a user name, or both.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// The login name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// The given name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_name: Option<String>,
    /// The family name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_name: Option<String>,
    /// The display name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// Whether the account is active; `active` if the target does not say.
    pub status: AccountStatus,
    /// The groups of the account, by resource type; at most 100 of each.
    #[serde(skip_serializing_if = "is_absent")]
    pub memberships: Memberships,
    /// The licenses of the account, by resource type; at most 100 of each.
    #[serde(skip_serializing_if = "is_absent")]
    pub assignments: Memberships,
    /// Additional fields, which are sent to Iden unchanged. Do not include secrets.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

fn is_absent(memberships: &Memberships) -> bool {
    memberships.0.is_empty()
}

impl AccountRecord {
    /// An active account with only its identifier.
    pub fn new(id: impl Into<AccountId>) -> Self {
        Self {
            id: id.into(),
            email: None,
            username: None,
            first_name: None,
            last_name: None,
            display_name: None,
            status: AccountStatus::Active,
            memberships: Memberships::default(),
            assignments: Memberships::default(),
            extra: Map::new(),
        }
    }

    /// Adds the email address.
    pub fn with_email(mut self, email: impl Into<String>) -> Self {
        self.email = Some(email.into());
        self
    }

    /// Adds the login name.
    pub fn with_username(mut self, username: impl Into<String>) -> Self {
        self.username = Some(username.into());
        self
    }

    /// Adds the given name.
    pub fn with_first_name(mut self, name: impl Into<String>) -> Self {
        self.first_name = Some(name.into());
        self
    }

    /// Adds the family name.
    pub fn with_last_name(mut self, name: impl Into<String>) -> Self {
        self.last_name = Some(name.into());
        self
    }

    /// Adds the display name.
    pub fn with_display_name(mut self, name: impl Into<String>) -> Self {
        self.display_name = Some(name.into());
        self
    }

    /// Sets whether the account is active.
    pub fn with_status(mut self, status: AccountStatus) -> Self {
        self.status = status;
        self
    }

    /// Sets all groups of one resource type that the account is in.
    pub fn with_memberships<R: Into<Ref>>(
        mut self,
        slug: impl Into<Slug>,
        groups: impl IntoIterator<Item = R>,
    ) -> Self {
        self.memberships.0.insert(slug.into(), groups.into_iter().map(Into::into).collect());
        self
    }

    /// Sets all licenses of one resource type that the account has.
    pub fn with_assignments<R: Into<Ref>>(
        mut self,
        slug: impl Into<Slug>,
        licenses: impl IntoIterator<Item = R>,
    ) -> Self {
        self.assignments.0.insert(slug.into(), licenses.into_iter().map(Into::into).collect());
        self
    }

    /// Adds an additional field, which is sent to Iden unchanged. Do not include secrets.
    pub fn with_field(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.extra.insert(name.into(), value.into());
        self
    }

    pub(crate) fn from_fields(mut fields: Map<String, Value>) -> Result<Self, PayloadError> {
        let status = match fields.shift_remove("status") {
            None | Some(Value::Null) => AccountStatus::default(),
            Some(value) => value
                .as_str()
                .and_then(AccountStatus::from_name)
                .ok_or_else(|| PayloadError::new("status", "one of active, inactive, suspended", &value))?,
        };
        let mut refs =
            |field: &str| Memberships::from_json(field, fields.shift_remove(field).unwrap_or_default());
        let memberships = refs("memberships")?;
        let assignments = refs("assignments")?;
        Ok(Self {
            id: AccountId::new(payload::take_required_identifier(&mut fields, "id")?),
            email: payload::take_text(&mut fields, "email")?,
            username: payload::take_text(&mut fields, "username")?,
            first_name: payload::take_text(&mut fields, "first_name")?,
            last_name: payload::take_text(&mut fields, "last_name")?,
            display_name: payload::take_text(&mut fields, "display_name")?,
            status,
            memberships,
            assignments,
            extra: fields,
        })
    }
}

impl<'de> Deserialize<'de> for AccountRecord {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_fields(Map::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

impl std::fmt::Debug for AccountRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let named = [
            ("email", self.email.is_some()),
            ("username", self.username.is_some()),
            ("first_name", self.first_name.is_some()),
            ("last_name", self.last_name.is_some()),
            ("display_name", self.display_name.is_some()),
        ];
        f.debug_struct("AccountRecord")
            .field("id", &self.id)
            .field("status", &self.status)
            .field("memberships", &self.memberships)
            .field("assignments", &self.assignments)
            .field("fields", &names(&named, &self.extra))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn unknown_fields_of_a_record_survive_a_round_trip() {
        let value = json!({
            "id": "u1", "email": "a@b.c", "status": "suspended", "memberships": {"team": ["t1"]},
            "cost_centre": 42, "nested": {"deep": [1, null]}
        });
        let record: AccountRecord = serde_json::from_value(value.clone()).unwrap();
        assert_eq!(serde_json::to_value(&record).unwrap(), value);
    }
}
