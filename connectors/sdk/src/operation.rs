//! What a task requests, typed by action.

use secrecy::SecretString;
use serde_json::{Map, Value};

use crate::{Account, Action, Memberships, Payload, PayloadError, payload};

/// The operation that a task requests.
///
/// A `match` needs an arm for the operations that the connector does not support, both current ones and those of later versions. The
/// runtime requests only the actions in [`Description::actions`](crate::Description::actions), so this arm is never reached; it returns
/// [`Error::unsupported`](crate::Error::unsupported):
///
/// ```
/// # use bridgehead_sdk::*;
/// # fn remove(_: &Account) -> Result<(), Error> { Ok(()) }
/// # fn execute(operation: &Operation) -> Result<Completion, Error> {
/// match operation {
///     Operation::DeleteAccount(delete) => {
///         remove(&delete.account)?;
///         Ok(Completion::done())
///     }
///     other => Err(Error::unsupported(other.action())),
/// }
/// # }
/// # let operation = Operation::parse(Action::SuspendAccount, Payload::new("u1")).unwrap();
/// # assert_eq!(execute(&operation).unwrap_err().code(), Code::InternalError);
/// ```
///
/// An operation is always validated: it identifies an account by identifier, user name or email, and every typed field has its type. Other
/// fields from Iden are in `extra` and in [`Operation::payload`]. For this reason, [`Operation::parse`] is the only way to create one, in
/// tests as well. `Debug` shows identifiers and the names of fields, never their values.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Operation {
    /// Create an account.
    CreateAccount(CreateAccount),
    /// Change an account.
    UpdateAccount(UpdateAccount),
    /// Delete an account permanently.
    DeleteAccount(DeleteAccount),
    /// Suspend an account: keep it, but prevent its use.
    SuspendAccount(SuspendAccount),
    /// End a suspension.
    UnsuspendAccount(UnsuspendAccount),
    /// Set a new password.
    ResetPassword(ResetPassword),
}

/// Create an account that does not exist yet.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CreateAccount {
    /// The account to create.
    pub account: Account,
    /// The requested memberships and assignments, by slug; `None` if the task has none.
    pub memberships: Option<Memberships>,
    /// The initial password, if Iden sets one.
    pub password: Option<SecretString>,
    /// The payload as Iden sent it.
    pub payload: Payload,
}

/// Change an account.
#[derive(Clone)]
#[non_exhaustive]
pub struct UpdateAccount {
    /// The account.
    pub account: Account,
    /// What changes: `{field: new value}`, `null` to clear a field. Field names are those of an account.
    pub changes: Map<String, Value>,
    /// The requested memberships and assignments, by slug; `None` if the task has none. For each slug that is named,
    /// the list is complete.
    pub memberships: Option<Memberships>,
    /// A new password, if Iden sets one, wherever in the payload it is; it may be among the changes, too.
    pub password: Option<SecretString>,
    /// The payload as Iden sent it.
    pub payload: Payload,
}

/// Delete an account permanently.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DeleteAccount {
    /// The account.
    pub account: Account,
    /// The payload as Iden sent it.
    pub payload: Payload,
}

/// Suspend an account: keep it, but prevent its use.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SuspendAccount {
    /// The account.
    pub account: Account,
    /// The payload as Iden sent it.
    pub payload: Payload,
}

/// End a suspension.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct UnsuspendAccount {
    /// The account.
    pub account: Account,
    /// The payload as Iden sent it.
    pub payload: Payload,
}

/// Set a new password.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ResetPassword {
    /// The account.
    pub account: Account,
    /// The new password, if Iden chose one; otherwise the target generates one.
    pub password: Option<SecretString>,
    /// The payload as Iden sent it.
    pub payload: Payload,
}

impl UpdateAccount {
    /// The first text field whose requested value is not text: a list, an object, or a boolean. Some targets accept
    /// such a value and then show nothing, or a different text; a connector rejects it before it changes anything. A
    /// number is accepted as its digits, and `null` clears the field.
    pub fn no_text(&self) -> Option<&'static str> {
        let texts = ["username", "email", "first_name", "last_name", "display_name"];
        let is_no_text = |name: &&str| {
            self.changes
                .get(*name)
                .is_some_and(|value| value.is_array() || value.is_object() || value.is_boolean())
        };
        texts.into_iter().find(is_no_text)
    }
}

impl std::fmt::Debug for UpdateAccount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UpdateAccount")
            .field("account", &self.account)
            .field("changes", &self.changes.keys().collect::<Vec<_>>())
            .field("memberships", &self.memberships)
            .finish_non_exhaustive()
    }
}

impl Operation {
    /// Parses the payload of a task, tolerantly: the account's identifier may be `id` or `account_id`, in the account
    /// or directly in the payload, or the account itself; any part may be `null`.
    ///
    /// ```
    /// use bridgehead_sdk::serde_json::json;
    /// use bridgehead_sdk::{Action, Operation, Payload};
    ///
    /// let payload = Payload::new(json!({ "username": "ann" })).with_memberships(json!({ "team": ["t1"] }));
    /// let operation = Operation::parse(Action::CreateAccount, payload)?;
    /// assert_eq!(operation.account().username.as_deref(), Some("ann"));
    /// # Ok::<(), bridgehead_sdk::PayloadError>(())
    /// ```
    pub fn parse(action: Action, payload: Payload) -> Result<Self, PayloadError> {
        let account = parse_account(&payload)?;
        if !account.is_identified() {
            return Err(PayloadError::missing(
                "account",
                "an account identified by at least one of id, username and email",
            ));
        }
        Ok(match action {
            Action::CreateAccount => Self::CreateAccount(CreateAccount {
                memberships: parse_memberships(&payload)?,
                password: password(&payload, &account)?,
                account,
                payload,
            }),
            Action::UpdateAccount => Self::UpdateAccount(UpdateAccount {
                changes: parse_changes(&payload)?,
                memberships: parse_memberships(&payload)?,
                password: password(&payload, &account)?,
                account,
                payload,
            }),
            Action::DeleteAccount => Self::DeleteAccount(DeleteAccount { account, payload }),
            Action::SuspendAccount => Self::SuspendAccount(SuspendAccount { account, payload }),
            Action::UnsuspendAccount => Self::UnsuspendAccount(UnsuspendAccount { account, payload }),
            Action::ResetPassword => Self::ResetPassword(ResetPassword {
                password: password(&payload, &account)?,
                account,
                payload,
            }),
        })
    }

    /// The action.
    pub fn action(&self) -> Action {
        match self {
            Self::CreateAccount(_) => Action::CreateAccount,
            Self::UpdateAccount(_) => Action::UpdateAccount,
            Self::DeleteAccount(_) => Action::DeleteAccount,
            Self::SuspendAccount(_) => Action::SuspendAccount,
            Self::UnsuspendAccount(_) => Action::UnsuspendAccount,
            Self::ResetPassword(_) => Action::ResetPassword,
        }
    }

    /// The account.
    pub fn account(&self) -> &Account {
        match self {
            Self::CreateAccount(operation) => &operation.account,
            Self::UpdateAccount(operation) => &operation.account,
            Self::DeleteAccount(operation) => &operation.account,
            Self::SuspendAccount(operation) => &operation.account,
            Self::UnsuspendAccount(operation) => &operation.account,
            Self::ResetPassword(operation) => &operation.account,
        }
    }

    /// The payload as Iden sent it.
    pub fn payload(&self) -> &Payload {
        match self {
            Self::CreateAccount(operation) => &operation.payload,
            Self::UpdateAccount(operation) => &operation.payload,
            Self::DeleteAccount(operation) => &operation.payload,
            Self::SuspendAccount(operation) => &operation.payload,
            Self::UnsuspendAccount(operation) => &operation.payload,
            Self::ResetPassword(operation) => &operation.payload,
        }
    }
}

fn parse_account(payload: &Payload) -> Result<Account, PayloadError> {
    let mut account = match &payload.account {
        Value::Null => Account::default(),
        Value::Object(fields) => {
            Account::from_fields(fields.clone()).map_err(|error| error.within("account"))?
        }
        plain => payload::identifier(Some(plain))
            .map(Account::by_id)
            .ok_or_else(|| PayloadError::new("account", "an object", plain))?,
    };
    if account.id.is_none() {
        account.id = payload::identifier(payload.extra.get("account_id"))
            .or_else(|| payload::identifier(payload.extra.get("id")))
            .map(Into::into);
    }
    Ok(account)
}

fn parse_changes(payload: &Payload) -> Result<Map<String, Value>, PayloadError> {
    match &payload.changes {
        Value::Null => Ok(Map::new()),
        Value::Object(changes) => Ok(changes.clone()),
        other => Err(PayloadError::new("changes", "an object", other)),
    }
}

/// Memberships may be in the payload or in the account, licenses under `memberships` or `assignments`.
fn parse_memberships(payload: &Payload) -> Result<Option<Memberships>, PayloadError> {
    let places = [
        ("memberships", Some(&payload.memberships)),
        ("assignments", payload.extra.get("assignments")),
        ("account.memberships", payload.account.get("memberships")),
        ("account.assignments", payload.account.get("assignments")),
        ("changes.memberships", payload.changes.get("memberships")),
        ("changes.assignments", payload.changes.get("assignments")),
    ];
    let mut wanted: Option<Memberships> = None;
    for (field, value) in places {
        if let Some(value) = value.filter(|value| !value.is_null()) {
            wanted.get_or_insert_default().merge(Memberships::from_json(field, value.clone())?);
        }
    }
    Ok(wanted)
}

/// The password, which may be in the account, among the changes or next to them. A password that is not text is an
/// error: otherwise, a connector would treat the task as one without a password.
fn password(payload: &Payload, account: &Account) -> Result<Option<SecretString>, PayloadError> {
    let places = [
        ("account.", Some(&account.extra)),
        ("changes.", payload.changes.as_object()),
        ("", Some(&payload.extra)),
    ];
    for (place, fields) in places.into_iter().filter_map(|(place, fields)| Some((place, fields?))) {
        for name in ["password", "new_password"] {
            match fields.get(name) {
                None | Some(Value::Null) => {}
                Some(Value::String(text)) => return Ok(Some(SecretString::from(text.as_str()))),
                Some(other) => return Err(PayloadError::new(format!("{place}{name}"), "text", other)),
            }
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;
    use serde_json::json;

    use super::*;

    fn parse(action: Action, payload: Value) -> Result<Operation, PayloadError> {
        Operation::parse(action, serde_json::from_value(payload).unwrap())
    }

    #[test]
    fn identifier_is_found_anywhere_in_the_payload() {
        for payload in [
            json!({"account": {"id": "u1"}}),
            json!({"account": {"account_id": "u1"}}),
            json!({"account": {"email": "a@b.c"}, "account_id": "u1"}),
            json!({"account": null, "id": "u1"}),
            json!({"account": "u1", "memberships": null, "changes": null}),
        ] {
            let operation = parse(Action::DeleteAccount, payload.clone()).unwrap();
            assert_eq!(operation.account().id, Some("u1".into()), "{payload}");
        }
    }

    #[test]
    fn non_text_values_in_text_fields_are_detected() {
        for (changes, wrong) in [
            (json!({ "username": "ann", "email": null, "first_name": 5, "tags": ["x"] }), None),
            (json!({ "username": "ann", "last_name": true }), Some("last_name")),
            (json!({ "display_name": { "a": 1 } }), Some("display_name")),
            (json!({ "email": ["a@example.com"] }), Some("email")),
        ] {
            let payload = json!({ "account": { "id": "u1" }, "changes": changes });
            let Ok(Operation::UpdateAccount(update)) = parse(Action::UpdateAccount, payload) else {
                panic!("{changes} is no update");
            };
            assert_eq!(update.no_text(), wrong, "{changes}");
        }
    }

    #[test]
    fn payload_without_an_account_is_refused() {
        for payload in [json!({}), json!({"account": null}), json!({"account": {"first_name": "Ann"}})] {
            let error = parse(Action::SuspendAccount, payload).unwrap_err();
            assert_eq!(error.field, "account");
        }
    }

    #[test]
    fn field_of_wrong_type_is_named_without_its_value() {
        let error = parse(Action::CreateAccount, json!({"account": {"email": ["s3cret@b.c"]}})).unwrap_err();
        assert_eq!(error.to_string(), "account.email must be text, not a list");
    }

    #[test]
    fn memberships_are_merged_from_all_places() {
        let operation = parse(
            Action::CreateAccount,
            json!({"account": {"username": "ann", "assignments": {"seat": ["s1"]}}, "memberships": {"team": ["t1"], "seat": ["s1"]}}),
        )
        .unwrap();
        let Operation::CreateAccount(create) = operation else { panic!("not a create") };
        assert_eq!(create.memberships.unwrap().to_json(false), json!({"seat": ["s1"], "team": ["t1"]}));
    }

    #[test]
    fn password_is_parsed_and_hidden_in_debug() {
        let operation = parse(
            Action::ResetPassword,
            json!({"account": {"id": "u1"}, "changes": {"new_password": "hunter2"}}),
        )
        .unwrap();
        assert!(!format!("{operation:?}").contains("hunter2"));
        let Operation::ResetPassword(reset) = operation else { panic!("not a reset") };
        assert_eq!(reset.password.unwrap().expose_secret(), "hunter2");
    }

    #[test]
    fn password_is_found_anywhere_and_must_be_text() {
        let places = |value: Value| {
            [
                json!({"account": {"id": "u1", "password": value}}),
                json!({"account": {"id": "u1"}, "changes": {"new_password": value}}),
                json!({"account": {"id": "u1"}, "password": value}),
            ]
        };
        for payload in places(json!("hunter2")) {
            for action in [Action::CreateAccount, Action::UpdateAccount, Action::ResetPassword] {
                let password = match parse(action, payload.clone()).unwrap() {
                    Operation::CreateAccount(create) => create.password,
                    Operation::UpdateAccount(update) => update.password,
                    Operation::ResetPassword(reset) => reset.password,
                    other => panic!("{other:?}"),
                };
                assert_eq!(password.unwrap().expose_secret(), "hunter2", "{action}: {payload}");
            }
        }
        for payload in places(json!(12345)) {
            let error = parse(Action::UpdateAccount, payload.clone()).unwrap_err();
            assert!(error.to_string().ends_with("password must be text, not a number"), "{error}");
            assert!(parse(Action::DeleteAccount, payload).is_ok(), "what sets no password does not mind");
        }
        for payload in places(Value::Null) {
            let Operation::UpdateAccount(update) = parse(Action::UpdateAccount, payload).unwrap() else {
                panic!("no update")
            };
            assert!(update.password.is_none());
        }
    }
}
