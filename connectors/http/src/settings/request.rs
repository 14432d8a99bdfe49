//! The settings of a request, in any place.

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
    /// Reads, without a body in the response.
    Head,
    /// Creates, or does whatever the target defines.
    Post,
    /// Replaces.
    Put,
    /// Changes a part.
    Patch,
    /// Deletes.
    Delete,
}

/// The settings that all kinds of requests share, borrowed from one of them.
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
    /// A JSON body.
    pub json: Option<&'a Value>,
    /// A body in the format of forms.
    pub form: Option<&'a Map<String, Value>>,
    /// Which responses count as success.
    pub expect: Option<&'a ExpectSettings>,
    /// What other responses mean.
    pub errors: &'a [ErrorSettings],
}

/// Defines the settings of a request: the common keys, and its own.
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
            /// The path after `base_url`, such as `"/users/{{ account.id }}"`. Values are percent-encoded; an empty value
            /// is an error.
            pub path: String,
            /// The query, by name: templates, or lists of templates for a parameter that occurs several times. `omit`
            /// leaves out a parameter.
            #[serde(default)]
            pub query: serde_json::Map<String, serde_json::Value>,
            /// Headers in addition to those of all requests: templates. A value with a line break is an error.
            #[serde(default)]
            pub headers: std::collections::BTreeMap<String, String>,
            /// The body as JSON. Every text in it is a template; one that consists only of `{{ value }}` keeps the value's
            /// type, and `omit` leaves out the field.
            pub json: Option<serde_json::Value>,
            /// The body as a form: templates by name. Either this or `json`.
            pub form: Option<serde_json::Map<String, serde_json::Value>>,
            /// Which responses count as success; any status from 200 to 299 when absent.
            pub expect: Option<crate::settings::ExpectSettings>,
            /// What particular responses mean. The first match counts; a response that matches none and was not
            /// expected means what its status usually means.
            #[serde(default)]
            pub errors: Vec<crate::settings::ErrorSettings>,
        }

        impl $name {
            /// The settings that it shares with all requests.
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

/// Which responses count as success.
#[derive(Clone, Debug, Deserialize, schemars::JsonSchema)]
#[schemars(crate = "bridgehead_sdk::schemars")]
#[serde(deny_unknown_fields)]
pub struct ExpectSettings {
    /// The status, or a list of statuses; any from 200 to 299 when absent.
    pub status: Option<Statuses>,
    /// An expression that must also be true, such as `"answer.ok"`, for targets that always return 200.
    pub when: Option<String>,
}

/// What a particular response means.
#[derive(Clone, Debug, Deserialize, schemars::JsonSchema)]
#[schemars(crate = "bridgehead_sdk::schemars")]
#[serde(deny_unknown_fields)]
pub struct ErrorSettings {
    /// The status, or a list of statuses; any when absent.
    pub status: Option<Statuses>,
    /// An expression that must also be true, such as `"'exists' in answer.message"`. If it cannot be evaluated, this
    /// entry does not match.
    pub when: Option<String>,
    /// The standard code.
    pub code: Code,
    /// What the request did to the target. Absent: nothing if the status is 4xx, otherwise the default of the code.
    pub effect: Option<Effect>,
    /// Whether a retry can succeed. Absent: the default of the code.
    pub retry: Option<RetrySettings>,
    /// What the error is about. Absent: the default of the code.
    pub subject: Option<Subject>,
    /// The message for the administrator: a template. It may use `account`, `current`, `item`, `system` and `status`, but not
    /// the response, which may contain a secret.
    pub message: Option<String>,
}

/// Whether a retry can succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[schemars(crate = "bridgehead_sdk::schemars")]
#[serde(rename_all = "snake_case")]
pub enum RetrySettings {
    /// It will fail in the same way again.
    Never,
    /// Later: at the time that the response requests (`Retry-After`), otherwise when bridgehead chooses.
    Backoff,
}

request_settings! {
    /// A request that is made only to see whether it succeeds.
    pub struct ProbeSettings {}
}

request_settings! {
    /// A request that is made first.
    pub struct LoginSettings {
        /// What to save from the response: expressions by name, such as `token = "answer.token"` or `session =
        /// "cookies.session"`. Templates of other requests use them as `login.NAME`.
        pub save: BTreeMap<String, String>,
        /// The statuses that mean that the login has expired; 401 when absent. The request is then repeated once with a new
        /// login.
        pub renew_on: Option<Statuses>,
    }
}
