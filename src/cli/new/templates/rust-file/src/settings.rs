//! The keys of `target` in the configuration.

use bridgehead_sdk::schemars;
use serde::Deserialize;

/// Unknown keys are rejected with the nearest known one; `config schema` shows these comments.
#[derive(Deserialize, schemars::JsonSchema)]
#[schemars(crate = "bridgehead_sdk::schemars")]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The file of people and teams. A relative path starts at the folder of the configuration file.
    pub path: String,
    // A credential is a `bridgehead_sdk::SecretString` here, which is never printed:
    //
    //     #[schemars(with = "String")]
    //     pub token: SecretString,
    //
    // The configuration specifies its location, `token = { env = "TOKEN" }`; the daemon replaces it with the secret and keeps that out of
    // logs and messages. `token.expose_secret()`, from the trait `bridgehead_sdk::ExposeSecret`, returns the string.
}
