//! Helpers for the tests.

pub(super) use std::sync::Arc;
pub(super) use std::time::Duration;

pub(super) use crate::breaker::BreakerSettings;
pub(super) use crate::{ApiKey, AppId, Client, KeySource, Retry, Settings};
use bridgehead_resilience::RetryPolicy;

pub(super) const KEY: &str = "s3cret-key";
pub(super) const APP: &str = "11111111-1111-4111-8111-111111111111";
pub(super) const MOMENT: Duration = Duration::from_millis(1);

pub(super) fn app() -> AppId {
    APP.parse().unwrap()
}

pub(super) fn key() -> Arc<dyn KeySource> {
    Arc::new(ApiKey::new(KEY).unwrap())
}

/// Settings with very short waits instead of the default seconds.
pub(super) fn settings(base_url: &str) -> Settings {
    let mut settings = Settings::new(base_url.parse().unwrap());
    settings.retry = Retry { tries: 4, base: MOMENT, cap: MOMENT };
    settings
}

/// A breaker with the usual threshold and very short intervals.
pub(super) fn pace() -> BreakerSettings {
    let backoff = RetryPolicy::new(MOMENT, MOMENT);
    BreakerSettings { failures: 3, shortest: MOMENT, outage: backoff, pause: backoff }
}

pub(super) fn client(base_url: &str) -> Client {
    Client::with_pace(settings(base_url), key(), pace()).unwrap()
}
