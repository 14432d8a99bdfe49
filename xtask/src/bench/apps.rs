//! Many apps with a few tasks each, compared with one app that has all of them; also how much apps with a very slow target delay the
//! others.

use std::collections::HashSet;
use std::time::Duration;

use bytes::Bytes;
use hyper::Method;
use serde_json::{Value, json};

use super::place::Place;
use super::tasks::{AT_ONCE, task, timed, to_f64};
use super::{Options, Round};
use crate::failure::Result;

/// The total number of tasks.
const COUNT: usize = 20_000;
/// The number of concurrent tasks per app.
const CONCURRENCY: usize = 32;
/// The number of apps in the measurement with many apps.
const APPS: usize = 1_000;

pub(super) async fn run(options: &Options) -> Result<Vec<Round>> {
    let place = Place::start(options)?;
    let count = options.count.unwrap_or(COUNT);
    let apps = options.apps.unwrap_or(APPS);
    let mut rounds = Vec::new();
    for number in 0..options.rounds {
        let first = number * 2 * (apps + 1) + 1;
        let one = measure(&place, options, first, 1, count).await?;
        let mut round = measure(&place, options, first + 1, apps, count / apps).await?;
        round.floor = one.daemon;
        rounds.push(round);
    }
    Ok(rounds)
}

/// Measures `apps` apps, numbered from `first`, with `each` tasks per app. Tasks of apps with a slow target do not count.
async fn measure(place: &Place, options: &Options, first: usize, apps: usize, each: usize) -> Result<Round> {
    let slow = if apps == 1 { 0 } else { options.slow.min(apps - 1) };
    let concurrency = options.concurrency.unwrap_or(CONCURRENCY);
    let mut control = place.connect().await?;
    let mut sections = String::new();
    let mut slow_ids = HashSet::new();
    for number in 0..apps {
        let app = place.app(first + number, json!([])).await?;
        let is_slow = number < slow;
        for from in (0..each).step_by(AT_ONCE) {
            let tasks: Vec<Value> =
                (from..each.min(from + AT_ONCE)).map(|number| task(number, false)).collect();
            let body = Value::from(tasks).to_string();
            control.call(Method::POST, &format!("/sandbox/v1/apps/{app}/tasks"), body.into()).await?;
        }
        let section = format!(
            "[apps.app-{number}]\napp_id = \"{app}\"\nconnector = \"simulated\"\nsync = {{ enabled = false }}\n\
             tasks = {{ poll_interval = \"10s\", concurrency = {concurrency} }}\n\
             target = {{ accounts = 10, page_size = 100, latency = \"{}\" }}\n",
            if is_slow { "10m" } else { "0s" }
        );
        sections.push_str(&section);
        if is_slow {
            slow_ids.insert(app);
        }
    }
    control.call(Method::DELETE, "/sandbox/v1/ledger", Bytes::new()).await?;
    let count = each * (apps - slow);
    let daemon = place.daemon_of(&format!("apps-{first}"), &sections)?;
    place.wait_for("method=GET&path=/tasks/", 1).await?;
    let before = daemon.used()?;
    place.wait_for("method=PATCH&status=200", count).await?;
    // Lets the daemon record that the last outcome was reported.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let after = daemon.used()?;
    let mut requests = place.requests().await?;
    drop(daemon);
    requests.retain(|entry| {
        let path = entry["path"].as_str().unwrap_or_default();
        !path.split('/').any(|part| slow_ids.contains(part))
    });
    let mut round = timed(&requests, count)?;
    let per = |all: f64| all / to_f64(count);
    round.cpu_ms = per(after.cpu_ms - before.cpu_ms);
    round.written = per(after.written - before.written);
    round.writes = per(after.writes - before.writes);
    round.peak_mib = after.peak_mib;
    Ok(round)
}
