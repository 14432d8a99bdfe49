//! Accounts: as a task describes them, and as the target holds them.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::{AccountId, Memberships, PayloadError, payload};

/// Whether an account can be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AccountStatus {
    /// It can be used.
    #[default]
    Active,
    /// It is there, and not in use.
    Inactive,
    /// It is kept, and nobody gets in.
    Suspended,
}

impl AccountStatus {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Inactive => "inactive",
            Self::Suspended => "suspended",
        }
    }

    /// Reads the name on the wire.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Active, Self::Inactive, Self::Suspended].into_iter().find(|status| status.as_str() == name)
    }
}

impl std::fmt::Display for AccountStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// An account as a task describes it: whatever Iden knows, nothing of it certain to be there.
///
/// `Debug` shows who the account is and the names of its other fields, never their values.
#[derive(Clone, Default, PartialEq, Serialize)]
pub struct Account {
    /// The identifier in the target system, where Iden knows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<AccountId>,
    /// The e-mail address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// The name to log in with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// The given name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_name: Option<String>,
    /// The family name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_name: Option<String>,
    /// What people read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// The state that is wanted, where the task says one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<AccountStatus>,
    /// Every other field, as Iden sent it; a password may be among them.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Account {
    /// An account known by its identifier alone.
    pub fn by_id(id: impl Into<AccountId>) -> Self {
        Self { id: Some(id.into()), ..Self::default() }
    }

    /// Reads an account out of a JSON object, tolerantly: numbers are taken for identifiers, `account_id` for
    /// `id`, `null` for absent; an unknown status and every unknown field go to `extra`.
    pub fn from_fields(mut fields: Map<String, Value>) -> Result<Self, PayloadError> {
        let id = match payload::take_identifier(&mut fields, "id")? {
            Some(id) => Some(id),
            None => payload::take_identifier(&mut fields, "account_id")?,
        };
        let status = fields.get("status").and_then(Value::as_str).and_then(AccountStatus::from_name);
        if status.is_some() || fields.get("status").is_some_and(Value::is_null) {
            fields.shift_remove("status");
        }
        Ok(Self {
            id: id.map(AccountId::new),
            email: payload::take_text(&mut fields, "email")?,
            username: payload::take_text(&mut fields, "username")?,
            first_name: payload::take_text(&mut fields, "first_name")?,
            last_name: payload::take_text(&mut fields, "last_name")?,
            display_name: payload::take_text(&mut fields, "display_name")?,
            status,
            extra: fields,
        })
    }

    /// Whether anything says who the account is.
    pub fn is_identified(&self) -> bool {
        self.id.is_some() || self.email.is_some() || self.username.is_some()
    }

    /// What to call the account in a message: its identifier, else its user name, else its e-mail.
    pub fn label(&self) -> &str {
        self.id
            .as_ref()
            .map(AccountId::as_str)
            .or(self.username.as_deref())
            .or(self.email.as_deref())
            .unwrap_or("(unnamed)")
    }

    /// Whether a record is this account: by identifier where both have one, else by user name, else by e-mail.
    /// User names and e-mails are compared without regard to case.
    pub fn is_same_as(&self, record: &AccountRecord) -> bool {
        let same = |mine: &Option<String>, theirs: &Option<String>| match (mine, theirs) {
            (Some(mine), Some(theirs)) => Some(mine.to_lowercase() == theirs.to_lowercase()),
            _ => None,
        };
        if let Some(id) = &self.id {
            return *id == record.id;
        }
        same(&self.username, &record.username).or_else(|| same(&self.email, &record.email)).unwrap_or(false)
    }
}

impl<'de> Deserialize<'de> for Account {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_fields(Map::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Account")
            .field("id", &self.id)
            .field("username", &self.username)
            .field("email", &self.email)
            .field("extra", &self.extra.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

/// An account as the target holds it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AccountRecord {
    /// The identifier in the target system.
    pub id: AccountId,
    /// The e-mail address. A record has this or a user name, or both.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// The name to log in with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// The given name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_name: Option<String>,
    /// The family name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_name: Option<String>,
    /// What people read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// Whether it can be used; `active` where the target says nothing.
    pub status: AccountStatus,
    /// The groups it is in, by resource type; at most 100 of each.
    #[serde(skip_serializing_if = "is_absent")]
    pub memberships: Memberships,
    /// The licences it holds, by resource type; at most 100 of each.
    #[serde(skip_serializing_if = "is_absent")]
    pub assignments: Memberships,
    /// Fields bridgehead has no name for; they go to Iden as they are. Put in no secret.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

fn is_absent(memberships: &Memberships) -> bool {
    memberships.0.is_empty()
}

impl AccountRecord {
    /// An active account with nothing but its identifier.
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn account(value: Value) -> Result<Account, PayloadError> {
        let Value::Object(fields) = value else { panic!("not an object") };
        Account::from_fields(fields)
    }

    #[test]
    fn unknown_fields_of_a_record_survive_a_round_trip() {
        let value = json!({
            "id": "u1", "email": "a@b.c", "status": "suspended", "memberships": {"team": ["t1"]},
            "cost_centre": 42, "nested": {"deep": [1, null]}
        });
        let record: AccountRecord = serde_json::from_value(value.clone()).unwrap();
        assert_eq!(serde_json::to_value(&record).unwrap(), value);
    }

    #[test]
    fn unknown_fields_and_states_of_a_task_survive_a_round_trip() {
        let value = json!({"id": "u1", "username": "ann", "status": "on_leave", "shoe_size": 38});
        assert_eq!(serde_json::to_value(account(value.clone()).unwrap()).unwrap(), value);
    }

    #[test]
    fn null_is_absent_and_a_number_is_an_identifier() {
        let read = account(json!({"account_id": 17, "email": null, "status": null})).unwrap();
        assert_eq!(read, Account::by_id("17"));
    }

    #[test]
    fn debug_shows_no_value_of_an_unknown_field() {
        let read = account(json!({"id": "u1", "password": "hunter2"})).unwrap();
        let shown = format!("{read:?}");
        assert!(shown.contains("password") && !shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn an_email_in_another_case_is_the_same_account() {
        let mut record = AccountRecord::new("u1");
        record.email = Some("Ann@Example.org".into());
        let by_email = Account { email: Some("ann@example.ORG".into()), ..Account::default() };
        assert!(by_email.is_same_as(&record));
        assert!(!Account::by_id("u2").is_same_as(&record));
    }
}
