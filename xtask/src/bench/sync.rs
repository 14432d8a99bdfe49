//! A full sync of the simulated target, from its start to `complete`.

use bytes::Bytes;
use serde_json::{Value, json};

use super::place::Place;
use super::tasks::{seconds, to_f64};
use super::{Options, Round, floor};
use crate::failure::{Failure, Result};

const COUNT: usize = 100_000;
const CONCURRENCY: usize = 4;
/// The number of records per page.
const PAGE: usize = 100;

pub(super) async fn run(options: &Options) -> Result<Vec<Round>> {
    let place = Place::start(options)?;
    let count = options.count.unwrap_or(COUNT);
    let concurrency = options.concurrency.unwrap_or(CONCURRENCY);
    let mut rounds = Vec::new();
    for number in 0..options.rounds {
        // The daemon runs first: the floor sends the same pages, byte for byte.
        let (mut round, pages) = daemon(&place, number * 10 + 1, count, concurrency).await?;
        let app = place.app(number * 10 + 2, types()).await?;
        round.floor = floor::sync(&place, &app, pages, count, concurrency).await?;
        rounds.push(round);
    }
    Ok(rounds)
}

fn types() -> Value {
    json!([{"slug": "team", "name": "Team", "type": "group"}, {"slug": "seat", "name": "Seat", "type": "license"},
        {"slug": "account", "name": "Account", "type": "account"}])
}

async fn daemon(
    place: &Place,
    number: usize,
    count: usize,
    concurrency: usize,
) -> Result<(Round, Vec<(&'static str, Bytes)>)> {
    let app = place.app(number, types()).await?;
    let daemon = place.daemon(
        &app,
        &format!(
            "tasks = {{ enabled = false }}\n\
             sync = {{ every = \"24h\", on_start = true, push_concurrency = {concurrency} }}\n\
             target = {{ accounts = {count}, groups = 10, licenses = 3, page_size = 500 }}"
        ),
    )?;
    place.wait_for("method=POST&path=/sync/", 1).await?;
    let before = daemon.used()?;
    place.wait_for("method=POST&path=/complete/", 1).await?;
    let after = daemon.used()?;
    let requests = place.requests().await?;
    drop(daemon);
    let (mut round, pages) = read(&requests, count)?;
    let per = |all: f64| all * 1000.0 / to_f64(count);
    round.cpu_ms = per(after.cpu_ms - before.cpu_ms);
    round.written = per(after.written - before.written);
    round.writes = per(after.writes - before.writes);
    round.peak_mib = after.peak_mib;
    Ok((round, pages))
}

/// Measures from the start of the session to `complete`, by the sandbox's clock; returns the pages that were sent.
fn read(requests: &[Value], count: usize) -> Result<(Round, Vec<(&'static str, Bytes)>)> {
    let at = |method: &str, end: &str| {
        let entry = requests.iter().find(|entry| {
            entry["method"] == method && entry["path"].as_str().is_some_and(|path| path.ends_with(end))
        });
        entry
            .and_then(|entry| entry["time"].as_str())
            .and_then(seconds)
            .ok_or_else(|| Failure::Unfit(format!("the daemon made no {method} …{end}")))
    };
    let began = at("POST", "/sync/")?;
    let took = at("POST", "/complete/")? - began;
    let mut pages = Vec::new();
    let mut ends = Vec::new();
    let mut kept = 0;
    for entry in requests.iter().filter(|entry| entry["method"] == "PUT") {
        let path = entry["path"].as_str().unwrap_or_default();
        let slug = ["team", "seat", "account"].into_iter().find(|slug| path.ends_with(&format!("/{slug}/")));
        let Some(slug) = slug else { continue };
        ends.extend(entry["time"].as_str().and_then(seconds).map(|end| (end - began) * 1000.0));
        if let Some(records) = entry["body"]["records"].as_array() {
            if slug == "account" {
                kept += records.len();
            }
            pages.push((slug, Bytes::from(entry["body"].to_string())));
        }
    }
    // The ledger keeps a limited number of bytes of bodies: missing pages are made from the existing ones.
    let model = pages.iter().rfind(|(slug, _)| *slug == "account").cloned();
    while kept < count
        && let Some((slug, body)) = &model
    {
        pages.push((slug, renumbered(body, kept)));
        kept += PAGE;
    }
    ends.sort_by(f64::total_cmp);
    let round = Round {
        daemon: to_f64(count) / took,
        p50_ms: ends.get(ends.len() / 2).copied().unwrap_or_default(),
        p99_ms: ends.get(ends.len() * 99 / 100).copied().unwrap_or_default(),
        requests: to_f64(requests.len()) * 1000.0 / to_f64(count),
        ..Round::default()
    };
    Ok((round, pages))
}

/// A copy of this page with different accounts.
fn renumbered(body: &Bytes, from: usize) -> Bytes {
    let Ok(mut page) = serde_json::from_slice::<Value>(body) else { return body.clone() };
    for (number, record) in page["records"].as_array_mut().into_iter().flatten().enumerate() {
        record["id"] = format!("made-up-{}", from + number).into();
    }
    Bytes::from(page.to_string())
}
