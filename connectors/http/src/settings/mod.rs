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

/// An application with a REST API: the requests to make, and how to read its responses.
///
/// A text that can contain values is a *template*, such as `"/users/{{ account.id }}"`; what reads a response is an
/// *expression*, such as `"answer.items"`.
#[derive(Clone, Debug, Deserialize, schemars::JsonSchema)]
#[schemars(crate = "bridgehead_sdk::schemars")]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The base of every path, such as `https://example.com/api/v1`. `http` is for loopback only, because the
    /// credential would be sent unencrypted.
    pub base_url: String,
    /// How the connector authenticates. Absent: not at all, or by `login`.
    #[serde(default)]
    pub auth: Auth,
    /// A request that is made first, whose response contains what the other requests need, such as a token or a cookie.
    pub login: Option<LoginSettings>,
    /// Headers for every request; templates that may use `secrets` and `login`.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Secrets that templates use as `secrets.NAME`: `{ env = "…" }`, `{ file = "…" }` or `{ credential = "…" }`.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, String>")]
    pub secrets: BTreeMap<String, SecretString>,
    /// The limits of one request.
    #[serde(default)]
    pub limits: LimitSettings,
    /// What particular responses mean, for every request; checked after the request's own errors, and not for statuses that it
    /// expects by name.
    #[serde(default)]
    pub errors: Vec<ErrorSettings>,
    /// A cheap request that changes nothing, and succeeds only if the target is up and accepts the credential. It is
    /// also made before a "not found" is accepted.
    pub check: ProbeSettings,
    /// The accounts: how to list them, and what to read from each.
    pub accounts: AccountsSettings,
    /// How to look up one account.
    #[serde(default)]
    pub find: FindSettings,
    /// The types of groups.
    #[serde(default)]
    pub groups: Vec<EntitySettings>,
    /// The types of licenses.
    #[serde(default)]
    pub licenses: Vec<EntitySettings>,
    /// What creates an account. Absent: the connector does not offer this action; the same applies to the other five.
    pub create_account: Option<ActionSettings>,
    /// What changes an account.
    pub update_account: Option<ActionSettings>,
    /// What deletes an account.
    pub delete_account: Option<ActionSettings>,
    /// What suspends an account: it is kept, but cannot be used.
    pub suspend_account: Option<ActionSettings>,
    /// What ends a suspension.
    pub unsuspend_account: Option<ActionSettings>,
    /// What sets a new password.
    pub reset_password: Option<ActionSettings>,
}
