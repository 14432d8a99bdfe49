//! The keys that `target` may have in the configuration.

use bridgehead_sdk::schemars;
use serde::Deserialize;

/// Unknown keys are refused with the nearest known one; the comments here are what `config schema` shows.
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
    // The configuration says where it is, `token = { env = "TOKEN" }`, and the daemon puts it in its place and keeps it out
    // of logs and messages. `token.expose_secret()`, with the trait `bridgehead_sdk::ExposeSecret`, is the text.
}
