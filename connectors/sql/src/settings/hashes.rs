//! The costs of password hashes.

use bridgehead_sdk::schemars;
use serde::Deserialize;

/// The costs of hashing a password, for parameters that bind a hash instead of the password.
#[derive(Clone, Debug, Default, Deserialize, schemars::JsonSchema)]
#[schemars(crate = "bridgehead_sdk::schemars")]
#[serde(deny_unknown_fields, default)]
pub struct HashSettings {
    /// `:password_argon2id`.
    pub argon2id: Argon2idSettings,
    /// `:password_bcrypt`.
    pub bcrypt: BcryptSettings,
    /// `:password_pbkdf2_sha256`.
    pub pbkdf2_sha256: Pbkdf2Settings,
    /// `:password_scrypt`.
    pub scrypt: ScryptSettings,
    /// `:password_sha512_crypt`.
    pub sha512_crypt: ShaCryptSettings,
    /// `:password_yescrypt`.
    pub yescrypt: YescryptSettings,
}

/// The costs of Argon2id.
#[derive(Clone, Debug, Deserialize, schemars::JsonSchema)]
#[schemars(crate = "bridgehead_sdk::schemars")]
#[serde(deny_unknown_fields, default)]
pub struct Argon2idSettings {
    /// The memory for one hash in KiB, from 8 to 1048576.
    pub memory_kib: u32,
    /// The number of passes, from 1 to 100.
    pub iterations: u32,
    /// The number of lanes, from 1 to 16.
    pub parallelism: u32,
}

/// The cost of bcrypt.
#[derive(Clone, Debug, Deserialize, schemars::JsonSchema)]
#[schemars(crate = "bridgehead_sdk::schemars")]
#[serde(deny_unknown_fields, default)]
pub struct BcryptSettings {
    /// From 4 to 20; each increment doubles the time.
    pub cost: u32,
}

/// The cost of PBKDF2.
#[derive(Clone, Debug, Deserialize, schemars::JsonSchema)]
#[schemars(crate = "bridgehead_sdk::schemars")]
#[serde(deny_unknown_fields, default)]
pub struct Pbkdf2Settings {
    /// From 1000 to 10000000. Django 5.2 uses 1000000.
    pub iterations: u32,
}

/// The costs of scrypt.
#[derive(Clone, Debug, Deserialize, schemars::JsonSchema)]
#[schemars(crate = "bridgehead_sdk::schemars")]
#[serde(deny_unknown_fields, default)]
pub struct ScryptSettings {
    /// The binary logarithm of N, from 1 to 20.
    pub log_n: u8,
    /// The block size, from 1 to 32.
    pub r: u32,
    /// The number of lanes, from 1 to 16.
    pub p: u32,
}

/// The cost of SHA-512 crypt.
#[derive(Clone, Debug, Deserialize, schemars::JsonSchema)]
#[schemars(crate = "bridgehead_sdk::schemars")]
#[serde(deny_unknown_fields, default)]
pub struct ShaCryptSettings {
    /// From 1000 to 10000000.
    pub rounds: u32,
}

/// The costs of yescrypt.
#[derive(Clone, Debug, Deserialize, schemars::JsonSchema)]
#[schemars(crate = "bridgehead_sdk::schemars")]
#[serde(deny_unknown_fields, default)]
pub struct YescryptSettings {
    /// The binary logarithm of N, from 10 to 18.
    pub log_n: u8,
    /// The block size, from 8 to 32.
    pub r: u32,
}

impl Default for Argon2idSettings {
    fn default() -> Self {
        Self { memory_kib: 19_456, iterations: 2, parallelism: 1 }
    }
}

impl Default for BcryptSettings {
    fn default() -> Self {
        Self { cost: 12 }
    }
}

impl Default for Pbkdf2Settings {
    fn default() -> Self {
        Self { iterations: 1_000_000 }
    }
}

impl Default for ScryptSettings {
    fn default() -> Self {
        Self { log_n: 15, r: 8, p: 1 }
    }
}

impl Default for ShaCryptSettings {
    fn default() -> Self {
        Self { rounds: 100_000 }
    }
}

impl Default for YescryptSettings {
    fn default() -> Self {
        Self { log_n: 12, r: 32 }
    }
}
