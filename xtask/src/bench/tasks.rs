//! Measures tasks that are pending when the daemon starts, until the last one is reported.

use std::collections::HashSet;
use std::process::Command;
use std::time::Duration;

use bytes::Bytes;
use hyper::Method;
use serde_json::{Value, json};

use super::place::Place;
use super::{Options, Round, Work, floor};
use crate::failure::{Failure, Result};

const COUNT: usize = 6_000;
const CONCURRENCY: usize = 32;
/// How many tasks are added to the sandbox per request.
pub(super) const AT_ONCE: usize = 1_000;

pub(super) async fn run(options: &Options) -> Result<Vec<Round>> {
    let place = Place::start(options)?;
    let count = options.count.unwrap_or(COUNT);
    let concurrency = options.concurrency.unwrap_or(CONCURRENCY);
    let mut rounds = Vec::new();
    let target = Duration::from_millis(options.target_delay);
    place.delay(options.bridge_delay).await?;
    for number in 0..options.rounds {
        let bare = async |number| {
            let app = filled(&place, number, count, false).await?;
            match options.work {
                Work::Script => script(&place, &app),
                _ => floor::tasks(&place, &app, concurrency, target).await,
            }
        };
        let before = bare(number * 10 + 1).await?;
        let mut round = daemon(&place, number * 10 + 2, count, concurrency, options).await?;
        let after = bare(number * 10 + 3).await?;
        // The load of the machine changes while the daemon is measured, so the floor is measured before and after.
        round.floor = f64::midpoint(before, after);
        rounds.push(round);
    }
    Ok(rounds)
}

/// Executes all pending tasks of the app with a script. Returns tasks per second.
fn script(place: &Place, app: &str) -> Result<f64> {
    let mut command = Command::new("python3");
    command.args(["-c", include_str!("script.py"), place.base_url(), app]);
    let output = command
        .env("AUTHORIZATION", format!("Api-Key {}", place.key))
        .output()
        .map_err(Failure::of("python3".as_ref()))?;
    let said = String::from_utf8_lossy(&output.stdout);
    said.trim().parse().map_err(|_| {
        let error = String::from_utf8_lossy(&output.stderr);
        Failure::Unfit(format!("the script failed; it needs Python's package 'requests':\n{error}"))
    })
}

async fn filled(place: &Place, number: usize, count: usize, passwords: bool) -> Result<String> {
    let app = place.app(number, json!([])).await?;
    let mut control = place.connect().await?;
    for first in (0..count).step_by(AT_ONCE) {
        let tasks: Vec<Value> =
            (first..count.min(first + AT_ONCE)).map(|number| task(number, passwords)).collect();
        let body = Value::from(tasks).to_string();
        control.call(Method::POST, &format!("/sandbox/v1/apps/{app}/tasks"), body.into()).await?;
    }
    control.call(Method::DELETE, "/sandbox/v1/ledger", Bytes::new()).await?;
    Ok(app)
}

pub(super) fn task(number: usize, passwords: bool) -> Value {
    let mut task = json!({
        "action": "create_account",
        "payload": {"account": {
            "username": format!("person-{number}"), "email": format!("person-{number}@example.org"),
            "first_name": "Person", "last_name": format!("Number {number}")
        }},
    });
    if passwords {
        task["payload"]["account"]["password"] = format!("Correct-Horse-{number}").into();
    }
    task
}

async fn daemon(
    place: &Place,
    number: usize,
    count: usize,
    concurrency: usize,
    options: &Options,
) -> Result<Round> {
    let app = filled(place, number, count, options.passwords).await?;
    let (verify, latency) = (!options.without_verify, options.target_delay);
    let daemon = place.daemon(
        &app,
        &format!(
            "sync = {{ enabled = false }}\n\
                  tasks = {{ poll_interval = \"1s\", concurrency = {concurrency}, verify = {verify} }}\n\
                  target = {{ accounts = 10, page_size = 100, latency = \"{latency}ms\" }}"
        ),
    )?;
    place.wait_for("method=GET&path=/tasks/", 1).await?;
    let before = daemon.used()?;
    place.wait_for("method=PATCH&status=200", count).await?;
    // Lets the daemon record that the last outcome was reported.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let after = daemon.used()?;
    let requests = place.requests().await?;
    drop(daemon);
    let mut round = timed(&requests, count)?;
    let per = |all: f64| all / to_f64(count);
    round.cpu_ms = per(after.cpu_ms - before.cpu_ms);
    round.written = per(after.written - before.written);
    round.writes = per(after.writes - before.writes);
    round.peak_mib = after.peak_mib;
    Ok(round)
}

/// Measures from the first list request to each report, by the sandbox's clock.
pub(super) fn timed(requests: &[Value], count: usize) -> Result<Round> {
    let unfit = |what: &str| Failure::Unfit(format!("what the daemon asked for makes no sense: {what}"));
    let is_get = |entry: &&Value| entry["method"] == "GET";
    let at = |entry: &Value| entry["time"].as_str().and_then(seconds);
    let first = requests.iter().find(is_get).and_then(at).ok_or_else(|| unfit("no list"))?;
    let reports: Vec<&Value> = requests.iter().filter(|entry| entry["method"] == "PATCH").collect();
    let tasks: HashSet<&str> = reports.iter().filter_map(|entry| entry["task_id"].as_str()).collect();
    if tasks.len() != count {
        return Err(unfit("not every task was reported"));
    }
    let mut ends: Vec<f64> =
        reports.iter().filter_map(|entry| at(entry)).map(|end| (end - first) * 1000.0).collect();
    ends.sort_by(f64::total_cmp);
    let last = ends.last().copied().ok_or_else(|| unfit("no report"))?;
    let reads = requests.iter().filter(is_get).filter(|entry| !entry["task_id"].is_null()).count();
    Ok(Round {
        daemon: to_f64(count) / last * 1000.0,
        p50_ms: ends.get(ends.len() / 2).copied().unwrap_or(last),
        p99_ms: ends.get(ends.len() * 99 / 100).copied().unwrap_or(last),
        requests: to_f64(requests.len()) / to_f64(count),
        lists: requests.iter().filter(is_get).count() - reads,
        reads,
        ..Round::default()
    })
}

#[expect(clippy::cast_precision_loss, reason = "a count of what was measured")]
pub(super) fn to_f64(count: usize) -> f64 {
    count as f64
}

/// The seconds since midnight of a time such as `2026-01-31T12:00:00.25Z`: a run takes less than a day.
pub(super) fn seconds(time: &str) -> Option<f64> {
    let (_, clock) = time.trim_end_matches('Z').split_once('T')?;
    clock.split(':').try_fold(0.0, |all, part| Some(all * 60.0 + part.parse::<f64>().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_of_the_ledger_is_parsed() {
        assert_eq!(seconds("2026-01-31T01:02:03.5Z"), Some(3723.5));
        assert_eq!(seconds("yesterday"), None);
    }

    #[test]
    fn round_counts_lists_reads_and_reports_separately() {
        let entry = |method: &str, second: &str, task: Option<&str>| json!({"method": method, "time": format!("2026-01-31T00:00:{second}Z"), "task_id": task});
        let requests = [
            entry("GET", "00", None),
            entry("GET", "00.5", Some("a")),
            entry("PATCH", "01", Some("a")),
            entry("PATCH", "02", Some("b")),
        ];
        let round = timed(&requests, 2).unwrap();
        assert_eq!((round.lists, round.reads), (1, 1));
        assert!((round.daemon - 1.0).abs() < 1e-9 && (round.p99_ms - 2000.0).abs() < 1e-9, "{round:?}");
        assert!(timed(&requests, 3).is_err(), "a task that was not reported");
    }
}
