//! The keys of `target`.

mod actions;
mod listing;
mod request;
mod statuses;

use std::collections::BTreeMap;

use bridgehead_sdk::http::{Auth, LimitSettings};
use bridgehead_sdk::schemars;
use secrecy::SecretString;
use serde::Deserialize;

pub use actions::{ActionSettings, StepSettings};
pub use listing::{
    AbsentSettings, AccountRecordSettings, AccountsSettings, EntityRecordSettings, EntitySettings,
    FindSettings, FixedRecord, FollowUpSettings, ListSettings, LookupSettings, MembersSettings, PagingKind,
    PagingSettings, StatusSettings,
};
pub use request::{
    ErrorSettings, ExpectSettings, LoginSettings, Method, ProbeSettings, RequestSettings, RetrySettings,
};
pub use statuses::Statuses;

/// An application with a REST interface: the requests that it is asked, and how its answers are read.
///
/// A text in which values may stand is a *template*, such as `"/users/{{ account.id }}"`; what reads an answer is an
/// *expression*, such as `"answer.items"`.
#[derive(Clone, Debug, Deserialize, schemars::JsonSchema)]
#[schemars(crate = "bridgehead_sdk::schemars")]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// What every path follows, such as `https://example.com/api/v1`. `http` is for loopback only: a credential would
    /// travel unprotected.
    pub base_url: String,
    /// How the connector shows who it is. Absent: not at all, or by `login`.
    #[serde(default)]
    pub auth: Auth,
    /// A request that is made first, and whose answer holds what the other requests need, such as a token or a cookie.
    pub login: Option<LoginSettings>,
    /// Headers of every request; templates that may use `secrets` and `login`.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Secrets that templates use as `secrets.NAME`: `{ env = "…" }`, `{ file = "…" }` or `{ credential = "…" }`.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, String>")]
    pub secrets: BTreeMap<String, SecretString>,
    /// What one request may take.
    #[serde(default)]
    pub limits: LimitSettings,
    /// What particular answers mean, whatever was asked; after what the request itself says of errors, and except for statuses
    /// that it expects by name.
    #[serde(default)]
    pub errors: Vec<ErrorSettings>,
    /// A request that is cheap, changes nothing, and succeeds only if the target is there and accepts the credential.
    /// Before "nobody there" is believed, it is made as well.
    pub check: ProbeSettings,
    /// The accounts: how they are listed, and what is read from each.
    pub accounts: AccountsSettings,
    /// How one account is looked up.
    #[serde(default)]
    pub find: FindSettings,
    /// The types of groups.
    #[serde(default)]
    pub groups: Vec<EntitySettings>,
    /// The types of licences.
    #[serde(default)]
    pub licenses: Vec<EntitySettings>,
    /// What creates an account. Absent: the connector does not offer it; so with the other five.
    pub create_account: Option<ActionSettings>,
    /// What changes an account.
    pub update_account: Option<ActionSettings>,
    /// What removes an account for good.
    pub delete_account: Option<ActionSettings>,
    /// What keeps an account, and lets nobody in.
    pub suspend_account: Option<ActionSettings>,
    /// What undoes a suspension.
    pub unsuspend_account: Option<ActionSettings>,
    /// What gives an account another password.
    pub reset_password: Option<ActionSettings>,
}
