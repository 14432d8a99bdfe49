//! The polls of many apps are spread evenly, both after a start and after an outage of the Bridge.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::http;
use bridgehead_resilience::{SeededRng, SystemClock};
use bridgehead_sdk::async_trait;
use jiff::Timestamp;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::app::AppContext;
use crate::fakes::{Untouched, app_in_memory, settings};
use crate::fleet::Fleet;
use crate::liveness::Liveness;
use crate::supervisor::Supervisor;
use bridgehead_bridge::{Api, ApiKey, Client, Environment, Exchange, Settings, Undelivered};
use bridgehead_store::Memory;

const APPS: u32 = 300;
const INTERVAL: Duration = Duration::from_secs(10);

/// A network with a Bridge that has no tasks, or that is unreachable.
#[derive(Debug, Default)]
struct Network {
    is_away: AtomicBool,
    /// When task lists were requested successfully.
    lists: Mutex<Vec<Instant>>,
}

#[async_trait]
impl Exchange for Network {
    async fn exchange(&self, request: reqwest::Request) -> Result<reqwest::Response, Undelivered> {
        sleep(Duration::from_millis(5)).await;
        if self.is_away.load(Ordering::Relaxed) {
            return Err(Undelivered::NotSent("connection refused".to_owned()));
        }
        if request.url().path().ends_with("/tasks/") {
            self.lists.lock().unwrap().push(Instant::now());
        }
        let body = r#"{"count": 0, "next": null, "previous": null, "results": []}"#;
        Ok(http::Response::builder().body(body).unwrap().into())
    }
}

impl Network {
    /// Counts the lists in each tenth of an interval, for `tenths` tenths starting at `began`.
    fn per_tenth(&self, began: Instant, tenths: usize) -> Vec<usize> {
        let mut counts = vec![0; tenths];
        for at in self.lists.lock().unwrap().iter() {
            let Some(after) = at.checked_duration_since(began) else { continue };
            let tenth = usize::try_from(after.as_millis() / (INTERVAL.as_millis() / 10)).unwrap();
            if let Some(count) = counts.get_mut(tenth) {
                *count += 1;
            }
        }
        counts
    }
}

fn bridge(network: &Arc<Network>) -> Arc<dyn Api> {
    let environment = Environment {
        exchange: Arc::clone(network) as Arc<dyn Exchange>,
        clock: Arc::new(SystemClock),
        rng: Arc::new(SeededRng::seeded(7)),
    };
    let settings = Settings::new("https://bridge.test/org/acme".parse().unwrap());
    let client = Client::within(environment, settings, Arc::new(ApiKey::new("key").unwrap())).unwrap();
    Arc::new(client.without_retries())
}

fn apps(network: &Arc<Network>) -> BTreeMap<String, Arc<AppContext>> {
    let bridge = bridge(network);
    let state = Memory::new(Timestamp::UNIX_EPOCH);
    // The apps of a daemon share one source of randomness.
    let rng = Arc::new(SeededRng::seeded(4711));
    let apps = (0..APPS).map(|number| {
        let mut settings = settings();
        settings.app_id = Uuid::from_u128(u128::from(number) + 1);
        settings.sync.enabled = false;
        settings.tasks.poll_interval = INTERVAL;
        let name = format!("app-{number}");
        let app = app_in_memory(&name, settings, Arc::clone(&bridge), Arc::new(Untouched), &state, &rng);
        (name, app)
    });
    apps.collect()
}

/// Checks that the number of polls in each tenth of an interval is close to the mean.
fn assert_even(counts: &[usize], when: &str) {
    let mean = f64::from(APPS) / 10.0;
    for count in counts {
        let share = f64::from(u32::try_from(*count).unwrap()) / mean;
        assert!(
            (0.4..1.7).contains(&share),
            "{when}: {counts:?} polls in tenths of an interval, {mean} in the mean"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn polls_are_spread_evenly_after_a_start_and_after_an_outage() {
    let network = Arc::new(Network::default());
    let fleet = Fleet::new(apps(&network));
    let supervisor = Supervisor::new(Arc::new(Liveness::new()), Duration::from_secs(1));
    supervisor.start_all(&fleet);
    let began = Instant::now();
    sleep(INTERVAL * 3).await;
    assert_even(&network.per_tenth(began, 30), "after the start");

    network.is_away.store(true, Ordering::Relaxed);
    sleep(Duration::from_hours(1)).await;
    network.lists.lock().unwrap().clear();
    network.is_away.store(false, Ordering::Relaxed);
    // Every app has polled again by then: the wait between two attempts to reach the Bridge is at most half a minute.
    sleep(Duration::from_mins(1)).await;
    let back = *network.lists.lock().unwrap().first().expect("a list");
    let first = network.per_tenth(back, 600);
    let most = first.iter().max().copied().unwrap_or_default();
    assert!(most * 3 < usize::try_from(APPS).unwrap() * 2, "all at once: {:?}", &first[..20]);

    sleep(INTERVAL * 3).await;
    assert_even(&network.per_tenth(Instant::now() - INTERVAL * 2, 20), "after the outage");
    drop(supervisor);
}
