//! Custom parameters, and the meaning of the database's errors.

use bridgehead_sdk::{Code, Subject, schemars};
use serde::Deserialize;
use serde_json::Value;

/// A custom parameter. Either `value` or `field`.
#[derive(Clone, Debug, Default, Deserialize, schemars::JsonSchema)]
#[schemars(crate = "bridgehead_sdk::schemars")]
#[serde(deny_unknown_fields)]
pub struct ParameterSettings {
    /// A fixed value: text, a number, true or false.
    #[serde(default)]
    pub value: Option<Value>,
    /// A field of the task's account (or of its changes) that has no column in `accounts.fields`.
    #[serde(default)]
    pub field: Option<String>,
    /// The value if the task does not have this field; NULL when absent.
    #[serde(default)]
    pub default: Option<Value>,
}

/// What certain errors of the database mean. All conditions that are set must match.
#[derive(Clone, Debug, Deserialize, schemars::JsonSchema)]
#[schemars(crate = "bridgehead_sdk::schemars")]
#[serde(deny_unknown_fields)]
pub struct ErrorSettings {
    /// The constraint that was violated. SQLite names a unique constraint by its column, `accounts.login`.
    #[serde(default)]
    pub constraint: Option<String>,
    /// The SQLSTATE of PostgreSQL, the error number of MySQL, or the extended result code of SQLite, as text.
    #[serde(default)]
    pub code: Option<String>,
    /// Part of the database's message, such as the text from a trigger.
    #[serde(default)]
    pub contains: Option<String>,
    /// The code that is reported to Iden.
    pub report: Code,
    /// The message for the administrator. When absent, the connector generates one.
    #[serde(default)]
    pub message: Option<String>,
    /// Whether to retry: `never` or `backoff`.
    #[serde(default)]
    pub retry: Option<RetrySettings>,
    /// What the error is about. When absent, this follows from the code.
    #[serde(default)]
    pub subject: Option<SubjectSettings>,
}

/// Whether to retry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[schemars(crate = "bridgehead_sdk::schemars")]
#[serde(rename_all = "lowercase")]
pub enum RetrySettings {
    /// Do not retry.
    Never,
    /// Retry later.
    Backoff,
}

/// What an error is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[schemars(crate = "bridgehead_sdk::schemars")]
#[serde(rename_all = "lowercase")]
pub enum SubjectSettings {
    /// The account of the task.
    Account,
    /// A group.
    Group,
    /// A license.
    License,
    /// The database itself: every task fails in the same way, so tasks are held.
    Connection,
}

impl From<SubjectSettings> for Subject {
    fn from(subject: SubjectSettings) -> Self {
        match subject {
            SubjectSettings::Account => Self::Account,
            SubjectSettings::Group => Self::Group,
            SubjectSettings::License => Self::License,
            SubjectSettings::Connection => Self::Connection,
        }
    }
}
