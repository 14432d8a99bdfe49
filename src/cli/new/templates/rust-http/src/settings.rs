//! The keys that `target` may have in the configuration.

use bridgehead_sdk::http::{Auth, LimitSettings};
use bridgehead_sdk::schemars;
use serde::Deserialize;

/// Unknown keys are refused with the nearest known one; the comments here are what `config schema` shows.
///
/// The configuration says where each secret is, `bearer = { env = "TOKEN" }`, and the daemon puts it in its place and keeps it out of
/// logs and messages. A secret of your own is a `bridgehead_sdk::SecretString`, with `#[schemars(with = "String")]` above it.
#[derive(Deserialize, schemars::JsonSchema)]
#[schemars(crate = "bridgehead_sdk::schemars")]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where the API is, such as `"https://help-desk.example.com/api"`.
    pub url: String,
    /// Who the connector is: `bearer`, `basic`, `api_key` or `oauth2`.
    #[serde(default)]
    pub auth: Auth,
    /// What one request may take.
    #[serde(default)]
    pub limits: LimitSettings,
}
