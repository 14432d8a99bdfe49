//! The keys of `target` in the configuration.

use bridgehead_sdk::http::{Auth, LimitSettings};
use bridgehead_sdk::schemars;
use serde::Deserialize;

/// Unknown keys are rejected with the nearest known one; `config schema` shows these comments.
///
/// The configuration specifies the location of each secret, `bearer = { env = "TOKEN" }`; the daemon replaces it with the secret and keeps
/// that out of logs and messages. For an additional secret, use a `bridgehead_sdk::SecretString`, with `#[schemars(with = "String")]` above
/// it.
#[derive(Deserialize, schemars::JsonSchema)]
#[schemars(crate = "bridgehead_sdk::schemars")]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The URL of the API, such as `"https://help-desk.example.com/api"`.
    pub url: String,
    /// How the connector authenticates: `bearer`, `basic`, `api_key` or `oauth2`.
    #[serde(default)]
    pub auth: Auth,
    /// The limits of one request.
    #[serde(default)]
    pub limits: LimitSettings,
}
