//! What a request is made of, wherever it stands.

use std::collections::BTreeMap;

use bridgehead_sdk::{Code, Effect, Subject, schemars};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::Statuses;

/// A method of HTTP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[schemars(crate = "bridgehead_sdk::schemars")]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// Reads.
    #[default]
    Get,
    /// Reads, without a body in the answer.
    Head,
    /// Adds, or does whatever it is said to do.
    Post,
    /// Puts in place.
    Put,
    /// Changes a part.
    Patch,
    /// Removes.
    Delete,
}

/// What is common to all requests, borrowed from the settings of one.
#[derive(Clone, Copy, Debug)]
pub struct RequestSettings<'a> {
    /// The method.
    pub method: Method,
    /// The path.
    pub path: &'a str,
    /// The query.
    pub query: &'a Map<String, Value>,
    /// Headers.
    pub headers: &'a BTreeMap<String, String>,
    /// A body of JSON.
    pub json: Option<&'a Value>,
    /// A body as forms send it.
    pub form: Option<&'a Map<String, Value>>,
    /// What counts as success.
    pub expect: Option<&'a ExpectSettings>,
    /// What other answers mean.
    pub errors: &'a [ErrorSettings],
}

/// Settings of a request: keys that all of them have, and those of its own.
macro_rules! request_settings {
    ($(#[$doc:meta])* pub struct $name:ident { $($(#[$field_doc:meta])* pub $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, serde::Deserialize, bridgehead_sdk::schemars::JsonSchema)]
        #[schemars(crate = "bridgehead_sdk::schemars")]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $type,)*
            /// The method; `GET` when absent.
            #[serde(default)]
            pub method: crate::settings::Method,
            /// What follows `base_url`, such as `"/users/{{ account.id }}"`. Values are percent-encoded; one that is empty
            /// is an error.
            pub path: String,
            /// The query, by name: templates, or lists of them for a parameter that comes several times. `omit` leaves a
            /// parameter out.
            #[serde(default)]
            pub query: serde_json::Map<String, serde_json::Value>,
            /// Headers besides those of all requests: templates. A value with a line break is an error.
            #[serde(default)]
            pub headers: std::collections::BTreeMap<String, String>,
            /// The body as JSON. Every text in it is a template; one that is nothing but `{{ value }}` keeps the value's type,
            /// and `omit` leaves the field out.
            pub json: Option<serde_json::Value>,
            /// The body as forms send it: templates by name. Either this or `json`.
            pub form: Option<serde_json::Map<String, serde_json::Value>>,
            /// What counts as success; any status from 200 to 299 when absent.
            pub expect: Option<crate::settings::ExpectSettings>,
            /// What particular answers mean. The first that fits counts; an answer that none fits and that was not
            /// expected means what its status usually does.
            #[serde(default)]
            pub errors: Vec<crate::settings::ErrorSettings>,
        }

        impl $name {
            /// What it has in common with all requests.
            pub fn request(&self) -> crate::settings::RequestSettings<'_> {
                crate::settings::RequestSettings {
                    method: self.method,
                    path: &self.path,
                    query: &self.query,
                    headers: &self.headers,
                    json: self.json.as_ref(),
                    form: self.form.as_ref(),
                    expect: self.expect.as_ref(),
                    errors: &self.errors,
                }
            }
        }
    };
}
pub(super) use request_settings;

/// What counts as success.
#[derive(Clone, Debug, Deserialize, schemars::JsonSchema)]
#[schemars(crate = "bridgehead_sdk::schemars")]
#[serde(deny_unknown_fields)]
pub struct ExpectSettings {
    /// The status, or a list of them; any from 200 to 299 when absent.
    pub status: Option<Statuses>,
    /// An expression that must be true as well, such as `"answer.ok"`, for targets that say 200 whatever happens.
    pub when: Option<String>,
}

/// What a particular answer means.
#[derive(Clone, Debug, Deserialize, schemars::JsonSchema)]
#[schemars(crate = "bridgehead_sdk::schemars")]
#[serde(deny_unknown_fields)]
pub struct ErrorSettings {
    /// The status, or a list of them; any when absent.
    pub status: Option<Statuses>,
    /// An expression that must be true as well, such as `"'exists' in answer.message"`. If it cannot be evaluated, this
    /// entry does not fit.
    pub when: Option<String>,
    /// The standard code.
    pub code: Code,
    /// What the request did to the target. Absent: nothing if the status is 4xx, else what goes with the code.
    pub effect: Option<Effect>,
    /// Whether the same may succeed later. Absent: what goes with the code.
    pub retry: Option<RetrySettings>,
    /// What the error is about. Absent: what goes with the code.
    pub subject: Option<Subject>,
    /// What an administrator is told: a template. It may use `account`, `current`, `item`, `system` and `status`, but not the
    /// answer, in which a secret may stand.
    pub message: Option<String>,
}

/// Whether the same may succeed later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[schemars(crate = "bridgehead_sdk::schemars")]
#[serde(rename_all = "snake_case")]
pub enum RetrySettings {
    /// It will fail the same way again.
    Never,
    /// Later: when the answer asks to be tried again (`Retry-After`), else when bridgehead chooses.
    Backoff,
}

request_settings! {
    /// A request that is made for its success alone.
    pub struct ProbeSettings {}
}

request_settings! {
    /// A request that is made first.
    pub struct LoginSettings {
        /// What is kept of the answer: expressions by name, such as `token = "answer.token"` or `session = "cookies.session"`.
        /// Templates of other requests use them as `login.NAME`.
        pub save: BTreeMap<String, String>,
        /// The statuses by which the target says that the log-in has ended; 401 when absent. The request is then made once
        /// more with a new log-in.
        pub renew_on: Option<Statuses>,
    }
}
