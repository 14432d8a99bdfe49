//! Accounts: as a task describes them, and as the target holds them.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::{AccountId, Memberships, PayloadError, Ref, Slug, payload};

/// Whether an account can be used.
// Exhaustive on purpose: a connector that writes a state must not pass over one that it has never heard of. A state that this version
// does not know stays among the other fields of a task (`Account::extra`), where a connector refuses it.
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
/// `Debug` shows the identifier and the names of the other fields that are there, never their values.
///
/// ```
/// use bridgehead_sdk::Account;
///
/// let ann = Account::by_username("ann").with_email("ann@example.org");
/// assert_eq!(ann.label(), "ann");
/// assert!(ann.is_identified() && ann.first_name.is_none());
/// assert_eq!(format!("{ann:?}"), r#"Account { id: None, fields: ["email", "username"] }"#);
/// ```
#[derive(Clone, Default, PartialEq, Serialize)]
#[non_exhaustive]
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

    /// An account known by its user name alone.
    pub fn by_username(username: impl Into<String>) -> Self {
        Self { username: Some(username.into()), ..Self::default() }
    }

    /// An account known by its e-mail address alone.
    pub fn by_email(email: impl Into<String>) -> Self {
        Self { email: Some(email.into()), ..Self::default() }
    }

    /// Adds the identifier in the target system.
    pub fn with_id(mut self, id: impl Into<AccountId>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Adds the name to log in with.
    pub fn with_username(mut self, username: impl Into<String>) -> Self {
        self.username = Some(username.into());
        self
    }

    /// Adds the e-mail address.
    pub fn with_email(mut self, email: impl Into<String>) -> Self {
        self.email = Some(email.into());
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

    /// Adds what people read.
    pub fn with_display_name(mut self, name: impl Into<String>) -> Self {
        self.display_name = Some(name.into());
        self
    }

    /// Adds the state that is wanted.
    pub fn with_status(mut self, status: AccountStatus) -> Self {
        self.status = Some(status);
        self
    }

    /// Adds a field that has no name here.
    pub fn with_field(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.extra.insert(name.into(), value.into());
        self
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
        let named = [
            ("email", self.email.is_some()),
            ("username", self.username.is_some()),
            ("first_name", self.first_name.is_some()),
            ("last_name", self.last_name.is_some()),
            ("display_name", self.display_name.is_some()),
            ("status", self.status.is_some()),
        ];
        f.debug_struct("Account").field("id", &self.id).field("fields", &names(&named, &self.extra)).finish()
    }
}

/// The names of the fields that are there, for `Debug`: values are personal data, and may be secrets.
fn names<'a>(named: &[(&'a str, bool)], extra: &'a Map<String, Value>) -> Vec<&'a str> {
    let named = named.iter().filter(|(_, is_there)| *is_there).map(|(name, _)| *name);
    named.chain(extra.keys().map(String::as_str)).collect()
}

/// An account as the target holds it.
///
/// `Debug` shows identifiers, the state, and the names of the other fields that are there, never their values.
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

    /// Adds the e-mail address.
    pub fn with_email(mut self, email: impl Into<String>) -> Self {
        self.email = Some(email.into());
        self
    }

    /// Adds the name to log in with.
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

    /// Adds what people read.
    pub fn with_display_name(mut self, name: impl Into<String>) -> Self {
        self.display_name = Some(name.into());
        self
    }

    /// Says whether the account can be used.
    pub fn with_status(mut self, status: AccountStatus) -> Self {
        self.status = status;
        self
    }

    /// Says which groups of a resource type the account is in: all of them.
    pub fn with_memberships<R: Into<Ref>>(
        mut self,
        slug: impl Into<Slug>,
        groups: impl IntoIterator<Item = R>,
    ) -> Self {
        self.memberships.0.insert(slug.into(), groups.into_iter().map(Into::into).collect());
        self
    }

    /// Says which licences of a resource type the account holds: all of them.
    pub fn with_assignments<R: Into<Ref>>(
        mut self,
        slug: impl Into<Slug>,
        licenses: impl IntoIterator<Item = R>,
    ) -> Self {
        self.assignments.0.insert(slug.into(), licenses.into_iter().map(Into::into).collect());
        self
    }

    /// Adds a field that bridgehead has no name for; it goes to Iden as it is. Put in no secret.
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
        let by_email = Account::by_email("ann@example.ORG");
        assert!(by_email.is_same_as(&record));
        assert!(!Account::by_id("u2").is_same_as(&record));
    }
}
