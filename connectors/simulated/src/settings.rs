//! The keys of `target`.

use bridgehead_sdk::{SettingsError, schemars};
use jiff::SignedDuration;
use serde::Deserialize;

/// The target exists only in memory, and is lost when the process exits.
#[derive(Clone, Debug, PartialEq, Deserialize, schemars::JsonSchema)]
#[schemars(crate = "bridgehead_sdk::schemars")]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// How many accounts exist at the start, up to 1,000,000,000. They are computed from the seed, and use no memory.
    pub accounts: u64,
    /// How many groups exist, `team-0` and up, of the single type `team`.
    pub groups: u64,
    /// How many licenses exist, `seat-0` and up, of the single type `seat`.
    pub licenses: u64,
    /// How long every call takes.
    #[schemars(with = "String")]
    pub latency: SignedDuration,
    /// How long a task for an account named `slow-…` takes.
    #[schemars(with = "String")]
    pub slow_latency: SignedDuration,
    /// The share of calls that fail, from 0 to 1. The seed, the task and the attempt determine which calls fail, and
    /// how: every run is the same.
    pub error_rate: f64,
    /// Determines the sample accounts and the errors.
    pub seed: u64,
    /// How many records a page of a listing contains, from 1 to 10000.
    pub page_size: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            accounts: 1_000,
            groups: 10,
            licenses: 3,
            latency: SignedDuration::ZERO,
            slow_latency: SignedDuration::from_secs(10),
            error_rate: 0.0,
            seed: 0,
            page_size: 500,
        }
    }
}

/// A million has seven digits; a larger number than this is a typing error.
const MOST: u64 = 1_000_000_000;

impl Settings {
    /// Validates what the types cannot express.
    pub(crate) fn validate(&self) -> Result<(), SettingsError> {
        let error = |key: &str, message: &str| Err(SettingsError::new(key, message));
        for (key, count) in
            [("accounts", self.accounts), ("groups", self.groups), ("licenses", self.licenses)]
        {
            if count > MOST {
                return error(key, "must be at most 1000000000");
            }
        }
        for (key, duration) in [("latency", self.latency), ("slow_latency", self.slow_latency)] {
            if duration.is_negative() {
                return error(key, "must not be negative");
            }
        }
        if !(0.0..=1.0).contains(&self.error_rate) {
            return error("error_rate", "must be from 0 to 1");
        }
        if !(1..=10_000).contains(&self.page_size) {
            return error("page_size", "must be from 1 to 10000");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn human_readable_durations_are_parsed() {
        let settings: Settings =
            serde_json::from_value(json!({"latency": "5ms", "slow_latency": "1m 30s"})).unwrap();
        assert_eq!(settings.latency, SignedDuration::from_millis(5));
        assert_eq!(settings.slow_latency, SignedDuration::from_secs(90));
    }

    #[test]
    fn invalid_setting_names_its_key() {
        for (target, key) in [
            (json!({"accounts": 2_000_000_000_u64}), "accounts"),
            (json!({"latency": "-1s"}), "latency"),
            (json!({"error_rate": 1.5}), "error_rate"),
            (json!({"page_size": 0}), "page_size"),
        ] {
            let settings: Settings = serde_json::from_value(target).unwrap();
            assert_eq!(settings.validate().unwrap_err().key, key);
        }
        Settings::default().validate().unwrap();
    }
}
