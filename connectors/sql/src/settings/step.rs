//! The settings of actions.

use std::borrow::Cow;

use bridgehead_sdk::{Action, Code, schemars};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::SubjectSettings;

/// What each action runs: statements and checks, in order and in one transaction. An action that is absent is not offered.
#[derive(Clone, Debug, Default, Deserialize, schemars::JsonSchema)]
#[schemars(crate = "bridgehead_sdk::schemars")]
#[serde(deny_unknown_fields)]
pub struct ActionSettings {
    /// Creates an account. Its identifier comes from a statement with `returns`, or from finding the account afterwards.
    #[serde(default)]
    pub create_account: Option<Vec<StepSettings>>,
    /// Changes an account. Each field is a parameter: its new value if the task changes it, otherwise its current value.
    #[serde(default)]
    pub update_account: Option<Vec<StepSettings>>,
    /// Deletes an account: afterwards it must no longer be found.
    #[serde(default)]
    pub delete_account: Option<Vec<StepSettings>>,
    /// Suspends an account: afterwards its status must not be `active`.
    #[serde(default)]
    pub suspend_account: Option<Vec<StepSettings>>,
    /// Ends a suspension: afterwards the status must be `active`.
    #[serde(default)]
    pub unsuspend_account: Option<Vec<StepSettings>>,
    /// Sets a new password.
    #[serde(default)]
    pub reset_password: Option<Vec<StepSettings>>,
}

impl ActionSettings {
    /// The steps of an action, if it is offered.
    pub fn of(&self, action: Action) -> Option<&Vec<StepSettings>> {
        match action {
            Action::CreateAccount => self.create_account.as_ref(),
            Action::UpdateAccount => self.update_account.as_ref(),
            Action::DeleteAccount => self.delete_account.as_ref(),
            Action::SuspendAccount => self.suspend_account.as_ref(),
            Action::UnsuspendAccount => self.unsuspend_account.as_ref(),
            Action::ResetPassword => self.reset_password.as_ref(),
            // Actions of later versions have no steps.
            _ => None,
        }
    }
}

/// A statement alone, or a table that says more: `sql`, `require` or `unless`.
#[derive(Clone, Debug)]
pub struct StepSettings(pub RunSettings);

/// A statement, or a check.
#[derive(Clone, Debug, Default, Deserialize, schemars::JsonSchema)]
#[schemars(crate = "bridgehead_sdk::schemars")]
#[serde(deny_unknown_fields)]
pub struct RunSettings {
    /// A statement to run.
    #[serde(default)]
    pub sql: Option<String>,
    /// A query that must return a row; otherwise the task fails as `otherwise` says.
    #[serde(default)]
    pub require: Option<String>,
    /// A query that must return no row; otherwise the task fails as `otherwise` says.
    #[serde(default)]
    pub unless: Option<String>,
    /// The code with which `require` or `unless` fails.
    #[serde(default)]
    pub otherwise: Option<Code>,
    /// The message for the administrator when the check or the expectation fails.
    #[serde(default)]
    pub message: Option<String>,
    /// What the failure is about. When absent, this follows from the code.
    #[serde(default)]
    pub subject: Option<SubjectSettings>,
    /// How many rows `sql` must change or return: `{ rows = 1, otherwise = "ACCOUNT_NOT_FOUND" }`.
    #[serde(default)]
    pub expect: Option<ExpectSettings>,
    /// Whether `sql` may change more than one row of the table of the accounts, or set more than one password. If not, that fails the
    /// task, unless `expect` allows it.
    #[serde(default)]
    pub many_rows: bool,
    /// The column of `sql` that contains the new account's identifier, for example with `RETURNING id`. Only in `create_account`.
    #[serde(default)]
    pub returns: Option<String>,
    /// Run `sql` only if the task changes one of these fields. Only in `update_account`.
    #[serde(default)]
    pub when: Option<Vec<String>>,
    /// `sql` returns one row with one column, the text of a statement, which is then run. For statements that do not accept
    /// parameters, such as `CREATE ROLE`: let the server quote values with `format('… %I … %L', …)`. PostgreSQL only.
    #[serde(default)]
    pub execute_result: bool,
}

/// How many rows a statement must change or return.
#[derive(Clone, Debug, Deserialize, schemars::JsonSchema)]
#[schemars(crate = "bridgehead_sdk::schemars")]
#[serde(deny_unknown_fields)]
pub struct ExpectSettings {
    /// Exactly this many.
    pub rows: u64,
    /// The code with which the task fails if the number is different.
    pub otherwise: Code,
}

#[derive(schemars::JsonSchema)]
#[schemars(crate = "bridgehead_sdk::schemars", untagged)]
#[expect(dead_code, reason = "it exists for the schema")]
enum StepForm {
    Statement(String),
    Table(Box<RunSettings>),
}

impl schemars::JsonSchema for StepSettings {
    fn schema_name() -> Cow<'static, str> {
        "StepSettings".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        StepForm::json_schema(generator)
    }
}

impl<'de> Deserialize<'de> for StepSettings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read = text_or_table(deserializer, "a statement, or a table with sql, require or unless")?;
        Ok(Self(read.map_or_else(|table| table, |sql| RunSettings { sql: Some(sql), ..Default::default() })))
    }
}

/// Reads a string or a table. serde's own untagged enums would not report which key of the table is wrong.
pub(super) fn text_or_table<'de, D: Deserializer<'de>, T: DeserializeOwned>(
    deserializer: D,
    expected: &str,
) -> Result<Result<String, T>, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::String(text) => Ok(Ok(text)),
        table @ Value::Object(_) => serde_json::from_value(table).map(Err).map_err(serde::de::Error::custom),
        _ => Err(serde::de::Error::custom(format!("must be {expected}"))),
    }
}
