//! The client against servers that are scripted, over real sockets on loopback.

mod access;
mod calls;
mod lists;
mod outages;
mod raw;
mod shapes;
mod statuses;
<<<<<<< HEAD
mod waits;

use std::sync::Arc;
use std::time::Duration;

use super::backoff::Backoff;
use super::gate::Pace;
use super::{ApiKey, AppId, Client, KeySource, Retry, Settings};

const KEY: &str = "s3cret-key";
const APP: &str = "11111111-1111-4111-8111-111111111111";
const MOMENT: Duration = Duration::from_millis(1);

fn app() -> AppId {
    APP.parse().unwrap()
}

fn key() -> Arc<dyn KeySource> {
    Arc::new(ApiKey::new(KEY).unwrap())
}

/// Settings that wait for moments where the defaults wait for seconds.
fn settings(base_url: &str) -> Settings {
    let mut settings = Settings::new(base_url.parse().unwrap());
    settings.retry = Retry { tries: 4, base: MOMENT, cap: MOMENT };
    settings
}

/// A gate that closes as usual, and lets through every moment.
fn pace() -> Pace {
    let backoff = Backoff { base: MOMENT, cap: MOMENT };
    Pace { failures: 3, shortest: MOMENT, outage: backoff, pause: backoff }
}

fn client(base_url: &str) -> Client {
    Client::with_pace(settings(base_url), key(), pace()).unwrap()
}
=======
mod support;
mod waits;
>>>>>>> w-bridge
