//! The settings of an action.

use std::collections::BTreeMap;

use bridgehead_sdk::schemars;
use serde::Deserialize;

use super::request::request_settings;

/// What an action does: requests, one after another.
#[derive(Clone, Debug, Deserialize, schemars::JsonSchema)]
#[schemars(crate = "bridgehead_sdk::schemars")]
#[serde(deny_unknown_fields)]
pub struct ActionSettings {
    /// The requests, in order. The first that fails ends the action.
    pub steps: Vec<StepSettings>,
    /// `create_account` only: an expression that gives the new account's identifier, such as `"saved.id"` or
    /// `"account.username"`.
    pub account_id: Option<String>,
    /// The data to report to Iden as the task's result, besides the identifier: expressions by name. Do not include secrets.
    #[serde(default)]
    pub result: BTreeMap<String, String>,
    /// `update_account` only: fields that the target cannot store, whose changes are ignored. A change to any other
    /// field that no step uses is an error.
    #[serde(default)]
    pub ignore: Vec<String>,
}

request_settings! {
    /// One request of an action.
    pub struct StepSettings {
        /// An expression; the request is only made if it is true.
        pub when: Option<String>,
        /// An expression that returns a list, such as `"memberships.team.added"`; the request is made once for each `item`.
        pub for_each: Option<String>,
        /// What to save from the response for later requests: expressions by name, used as `saved.NAME`.
        #[serde(default)]
        pub save: BTreeMap<String, String>,
        /// Whether the request changes the target. Absent: `GET` and `HEAD` do not, other methods do.
        pub changes: Option<bool>,
    }
}
