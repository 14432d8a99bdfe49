//! Tasks that become pending while the app is idle: how long it takes until each is reported.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hyper::Method;
use serde_json::{Value, json};

use super::place::Place;
use super::tasks::{seconds, task, to_f64};
use super::{Options, Round};
use crate::failure::{Failure, Result};

const COUNT: usize = 100;
/// The daemon's poll interval.
const POLL: Duration = Duration::from_secs(1);

/// The rate is meaningless here; `p50_ms` and `p99_ms` are measured from the moment a task became pending.
pub(super) async fn run(options: &Options) -> Result<Vec<Round>> {
    let place = Place::start(options)?;
    let count = options.count.unwrap_or(COUNT);
    let mut rounds = Vec::new();
    for number in 0..options.rounds {
        let app = place.app(number + 1, json!([])).await?;
        place.delay(options.bridge_delay).await?;
        let (verify, latency) = (!options.without_verify, options.target_delay);
        let daemon = place.daemon(
            &app,
            &format!(
                "sync = {{ enabled = false }}\ntasks = {{ poll_interval = \"{}ms\", verify = {verify} }}\n\
                      target = {{ accounts = 10, page_size = 100, latency = \"{latency}ms\" }}",
                POLL.as_millis()
            ),
        )?;
        place.wait_for("method=GET&path=/tasks/", 1).await?;
        let before = daemon.used()?;
        let made = made(&place, &app, count).await?;
        place.wait_for("method=PATCH&status=200", count).await?;
        let after = daemon.used()?;
        let requests = place.requests().await?;
        let mut took = Vec::with_capacity(count);
        for (id, at) in &made {
            let report = requests.iter().find(|entry| entry["method"] == "PATCH" && entry["task_id"] == **id);
            let end = report.and_then(|entry| seconds(entry["time"].as_str()?));
            let end = end.ok_or_else(|| Failure::Unfit(format!("task {id} was not reported")))?;
            took.push((end - at) * 1000.0);
        }
        took.sort_by(f64::total_cmp);
        let at = |part: usize| took.get(took.len() * part / 100).copied().unwrap_or_default();
        rounds.push(Round {
            p50_ms: at(50),
            p99_ms: at(99),
            cpu_ms: (after.cpu_ms - before.cpu_ms) / to_f64(count),
            written: (after.written - before.written) / to_f64(count),
            writes: (after.writes - before.writes) / to_f64(count),
            requests: to_f64(requests.len()) / to_f64(count),
            peak_mib: after.peak_mib,
            ..Round::default()
        });
    }
    Ok(rounds)
}

/// Creates tasks one after another, at times spread over the poll interval. Returns their ids, and when each became pending.
async fn made(place: &Place, app: &str, count: usize) -> Result<Vec<(String, f64)>> {
    let mut control = place.connect().await?;
    let mut made = Vec::with_capacity(count);
    for number in 0..count {
        // Multiples of the golden ratio are spread evenly, regardless of their number.
        let part = (to_f64(number) * 0.618).fract();
        tokio::time::sleep(POLL / 10 + POLL.mul_f64(part) / 5).await;
        let body = Value::from(vec![task(number, false)]).to_string();
        let answer =
            control.call(Method::POST, &format!("/sandbox/v1/apps/{app}/tasks"), body.into()).await?;
        let answer: Value = serde_json::from_slice(&answer).unwrap_or_default();
        let id = answer["ids"][0].as_str().map(str::to_owned);
        let id =
            id.ok_or_else(|| Failure::Unfit("the sandbox does not say which task it made".to_owned()))?;
        made.push((id, now()));
    }
    Ok(made)
}

/// The seconds since midnight, like the times of the ledger.
fn now() -> f64 {
    const DAY: f64 = 24.0 * 3600.0;
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64() % DAY)
}
