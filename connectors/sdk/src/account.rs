//! Accounts as a task describes them.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::{AccountId, AccountRecord, PayloadError, is_same_name, payload};

/// Whether an account is active.
// Exhaustive on purpose: a connector that writes a status must not skip one that it does not know. A status that this
// version does not know is kept among the other fields of a task (`Account::extra`), where a connector rejects it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AccountStatus {
    /// The account is active.
    #[default]
    Active,
    /// The account exists but is not in use.
    Inactive,
    /// The account is kept, but cannot be used.
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

/// An account as a task describes it: the fields that Iden knows, all of them optional.
///
/// `Debug` shows the identifier and the names of the other fields that are set, never their values.
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
    /// The identifier in the target system, if Iden knows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<AccountId>,
    /// The email address.
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
    /// The requested status, if the task has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<AccountStatus>,
    /// Every other field, as Iden sent it; this may include a password.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Account {
    /// An account identified only by its id.
    pub fn by_id(id: impl Into<AccountId>) -> Self {
        Self { id: Some(id.into()), ..Self::default() }
    }

    /// An account identified only by its user name.
    pub fn by_username(username: impl Into<String>) -> Self {
        Self { username: Some(username.into()), ..Self::default() }
    }

    /// An account identified only by its email address.
    pub fn by_email(email: impl Into<String>) -> Self {
        Self { email: Some(email.into()), ..Self::default() }
    }

    /// Adds the identifier in the target system.
    pub fn with_id(mut self, id: impl Into<AccountId>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Adds the login name.
    pub fn with_username(mut self, username: impl Into<String>) -> Self {
        self.username = Some(username.into());
        self
    }

    /// Adds the email address.
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

    /// Adds the display name.
    pub fn with_display_name(mut self, name: impl Into<String>) -> Self {
        self.display_name = Some(name.into());
        self
    }

    /// Adds the requested status.
    pub fn with_status(mut self, status: AccountStatus) -> Self {
        self.status = Some(status);
        self
    }

    /// Adds a field that has no method here.
    pub fn with_field(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.extra.insert(name.into(), value.into());
        self
    }

    /// Reads an account from a JSON object, tolerantly: accepts numbers as identifiers, `account_id` as `id`, `null` as
    /// absent; an unknown status and every unknown field go to `extra`.
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

    /// Whether at least one field identifies the account.
    pub fn is_identified(&self) -> bool {
        self.id.is_some() || self.email.is_some() || self.username.is_some()
    }

    /// How messages name the account: its identifier, otherwise its user name, otherwise its email.
    pub fn label(&self) -> &str {
        self.id
            .as_ref()
            .map(AccountId::as_str)
            .or(self.username.as_deref())
            .or(self.email.as_deref())
            .unwrap_or("(unnamed)")
    }

    /// Whether a record is this account. Compares the identifiers if both have one, otherwise the user names, otherwise
    /// the emails; the last two ignoring case and Unicode forms, as [`is_same_name`] does.
    pub fn is_same_as(&self, record: &AccountRecord) -> bool {
        let same = |mine: &Option<String>, theirs: &Option<String>| match (mine, theirs) {
            (Some(mine), Some(theirs)) => Some(is_same_name(mine, theirs)),
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

/// The names of the fields that are set, for `Debug`: values are personal data, and may be secrets.
pub(crate) fn names<'a>(named: &[(&'a str, bool)], extra: &'a Map<String, Value>) -> Vec<&'a str> {
    let named = named.iter().filter(|(_, is_there)| *is_there).map(|(name, _)| *name);
    named.chain(extra.keys().map(String::as_str)).collect()
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
    fn unknown_fields_and_statuses_survive_a_round_trip() {
        let value = json!({"id": "u1", "username": "ann", "status": "on_leave", "shoe_size": 38});
        assert_eq!(serde_json::to_value(account(value.clone()).unwrap()).unwrap(), value);
    }

    #[test]
    fn null_is_absent_and_numeric_id_is_accepted() {
        let read = account(json!({"account_id": 17, "email": null, "status": null})).unwrap();
        assert_eq!(read, Account::by_id("17"));
    }

    #[test]
    fn debug_hides_values_of_unknown_fields() {
        let read = account(json!({"id": "u1", "password": "hunter2"})).unwrap();
        let shown = format!("{read:?}");
        assert!(shown.contains("password") && !shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn email_comparison_ignores_case() {
        let mut record = AccountRecord::new("u1");
        record.email = Some("Ann@Example.org".into());
        let by_email = Account::by_email("ann@example.ORG");
        assert!(by_email.is_same_as(&record));
        assert!(!Account::by_id("u2").is_same_as(&record));
    }

    #[test]
    fn names_in_another_unicode_form_are_the_same_and_identifiers_are_not() {
        let mut record = AccountRecord::new("Jos\u{e9}");
        record.username = Some("Jos\u{e9}".into());
        record.email = Some("jos\u{e9}@example.org".into());
        assert!(Account::by_username("JOSE\u{301}").is_same_as(&record));
        assert!(Account::by_email("jose\u{301}@example.org").is_same_as(&record));
        assert!(!Account::by_username("jose").is_same_as(&record));
        assert!(!Account::by_id("Jose\u{301}").is_same_as(&record));
    }
}
