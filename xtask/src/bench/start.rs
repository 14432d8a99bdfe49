//! The start of a daemon, and what it costs while nothing happens: idle apps that only poll.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::Options;
use super::place::Place;
use crate::failure::Result;

/// The poll interval, which is also how long the first polls of many apps are spread.
const POLL: Duration = Duration::from_secs(10);
/// How long the idle daemon is observed.
const IDLE: Duration = Duration::from_secs(60);

/// The results of one round.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub(super) struct Cost {
    apps: usize,
    /// From the start of the process to its first request, in milliseconds.
    start_ms: f64,
    /// Processor time until then, in milliseconds.
    start_cpu_ms: f64,
    /// The share of one core that the idle daemon uses.
    idle_cpu: f64,
    /// Requests per second of the idle daemon.
    idle_requests: f64,
    /// The resident memory of the idle daemon, in MiB.
    idle_mib: f64,
    /// Its peak so far, in MiB.
    peak_mib: f64,
}

pub(super) async fn run(options: &Options) -> Result<Vec<Cost>> {
    let place = Place::start(options)?;
    let apps = options.apps.unwrap_or(1);
    let mut rounds = Vec::new();
    for number in 0..options.rounds {
        rounds.push(measure(&place, number * apps + 1, apps).await?);
    }
    Ok(rounds)
}

async fn measure(place: &Place, first: usize, apps: usize) -> Result<Cost> {
    let mut sections = String::new();
    for number in 0..apps {
        let app = place.app(first + number, json!([])).await?;
        let _written = write!(
            sections,
            "[apps.app-{number}]\napp_id = \"{app}\"\nconnector = \"simulated\"\nsync = {{ enabled = false }}\n\
             tasks = {{ poll_interval = \"{}s\" }}\ntarget = {{ accounts = 10, page_size = 100 }}\n",
            POLL.as_secs()
        );
    }
    let began = Instant::now();
    let daemon = place.daemon_of(&format!("start-{first}"), &sections)?;
    place.wait_for("method=GET&path=/tasks/", 1).await?;
    let start_ms = began.elapsed().as_secs_f64() * 1000.0;
    let started = daemon.used()?;
    // All first polls, which also ask about the new state folder.
    tokio::time::sleep(POLL * 2).await;
    let (before, asked) = (daemon.used()?, place.requests().await?.len());
    tokio::time::sleep(IDLE).await;
    let (after, asked_after) = (daemon.used()?, place.requests().await?.len());
    Ok(Cost {
        apps,
        start_ms,
        start_cpu_ms: started.cpu_ms,
        idle_cpu: (after.cpu_ms - before.cpu_ms) / 1000.0 / IDLE.as_secs_f64(),
        idle_requests: super::tasks::to_f64(asked_after - asked) / IDLE.as_secs_f64(),
        idle_mib: after.resident_mib,
        peak_mib: after.peak_mib,
    })
}

/// Prints each round: there are few, and they differ by more than a median would show.
#[expect(clippy::print_stdout, reason = "this is a command's own output")]
pub(super) fn print(options: &Options, rounds: &[Cost]) {
    if options.json {
        println!("{}", json!({"work": "start", "profile": options.profile, "rounds": rounds}));
        return;
    }
    println!("profile {}", options.profile);
    for cost in rounds {
        println!(
            "{} apps: first request after {:.0} ms and {:.0} ms of processor time; idle: {:.1} % of a core, \
             {:.1} requests/s, {:.1} MiB (peak {:.1} MiB)",
            cost.apps,
            cost.start_ms,
            cost.start_cpu_ms,
            cost.idle_cpu * 100.0,
            cost.idle_requests,
            cost.idle_mib,
            cost.peak_mib
        );
    }
}
