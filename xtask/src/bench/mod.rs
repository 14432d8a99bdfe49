//! `cargo xtask bench`: the daemon's throughput, compared with what the protocol allows.
//!
//! The daemon and the sandbox run as separate processes. They are compared with a *floor*: [`floor`], a bare client that makes the fewest
//! calls with the same concurrency, to the same server and in the same run. Only the ratio of the two is meaningful: the absolute figures
//! depend on the machine and its load. How to read them: `docs/benchmarks.md`.

mod apps;
pub(crate) mod chart;
mod floor;
mod http;
mod idle;
mod place;
mod process;
mod show;
mod start;
mod sync;
mod tasks;

use std::process::Command;

use clap::{Args, ValueEnum};

use crate::failure::{Failure, Result};
use crate::tool;

/// The workload to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Work {
    /// Tasks, from pending to reported.
    Tasks,
    /// Tasks that become pending one after another in an otherwise idle app, until each is reported.
    Idle,
    /// A full sync of the simulated target.
    Sync,
    /// Pending tasks of many apps, compared with the same number of one app.
    Apps,
    /// Tasks, compared with a sequential script in Python with `requests`.
    Script,
    /// The start of a daemon with --apps apps [default: 1], and what it costs while nothing happens.
    Start,
}

impl Work {
    fn name(self) -> &'static str {
        match self {
            Self::Tasks => "tasks",
            Self::Idle => "idle",
            Self::Sync => "sync",
            Self::Apps => "apps",
            Self::Script => "script",
            Self::Start => "start",
        }
    }
}

/// The options of a measurement.
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// What to measure.
    work: Work,
    /// The total number of tasks, or the number of accounts in a sync.
    #[arg(long)]
    count: Option<usize>,
    /// The number of concurrent tasks or pages [default: 32 tasks, 4 pages].
    #[arg(long)]
    concurrency: Option<usize>,
    /// The number of apps [default: 1,000, or 1 for `start`].
    #[arg(long)]
    apps: Option<usize>,
    /// The number of apps whose target does not respond within minutes; only the tasks of the others count.
    #[arg(long, default_value_t = 0)]
    slow: usize,
    /// The number of rounds; the median counts.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// The profile that the daemon, the sandbox and the floor are built with.
    #[arg(long, default_value = "release")]
    profile: String,
    /// Give each task a different password, which the daemon must keep out of everything it writes.
    #[arg(long)]
    passwords: bool,
    /// How long the sandbox delays each response, in milliseconds: simulates the network latency to Iden.
    #[arg(long, default_value_t = 0)]
    bridge_delay: u64,
    /// How long each call of the target takes, in milliseconds; the floor waits once for each task.
    #[arg(long, default_value_t = 0)]
    target_delay: u64,
    /// Turn `tasks.verify` off, to measure the cost of verification.
    #[arg(long)]
    without_verify: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Run the daemon under this command, such as `perf record -g -o perf.data`.
    #[arg(long)]
    under: Option<String>,
    /// Everything is already built, and this process is the built one.
    #[arg(long, hide = true)]
    built: bool,
}

/// Builds everything, and measures in a process that is built like the daemon: an unoptimized floor is meaningless.
pub(crate) fn run(options: &Options) -> Result<()> {
    if options.built {
        return measure(options);
    }
    let profile = options.profile.as_str();
    tool::show(tool::cargo().args([
        "build",
        "--quiet",
        "--profile",
        profile,
        "-p",
        "bridgehead",
        "-p",
        "xtask",
    ]))?;
    let mut again = Command::new(place::built(profile, "xtask"));
    again.args(["bench", options.work.name(), "--built", "--profile", profile]);
    again.args(["--rounds", &options.rounds.to_string(), "--slow", &options.slow.to_string()]);
    for (flag, value) in
        [("--count", options.count), ("--concurrency", options.concurrency), ("--apps", options.apps)]
    {
        if let Some(value) = value {
            again.args([flag, &value.to_string()]);
        }
    }
    if let Some(under) = &options.under {
        again.args(["--under", under]);
    }
    for (flag, milliseconds) in
        [("--bridge-delay", options.bridge_delay), ("--target-delay", options.target_delay)]
    {
        again.args([flag, &milliseconds.to_string()]);
    }
    if options.passwords {
        again.arg("--passwords");
    }
    if options.without_verify {
        again.arg("--without-verify");
    }
    if options.json {
        again.arg("--json");
    }
    tool::show(&mut again)
}

fn measure(options: &Options) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Unfit(format!("cannot begin to measure: {error}")))?;
    runtime.block_on(async {
        let rounds = match options.work {
            Work::Start => {
                start::print(options, &start::run(options).await?);
                return Ok(());
            }
            Work::Tasks | Work::Script => tasks::run(options).await?,
            Work::Idle => idle::run(options).await?,
            Work::Sync => sync::run(options).await?,
            Work::Apps => apps::run(options).await?,
        };
        show::print(options, &rounds);
        Ok(())
    })
}

/// The results of one round.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub(crate) struct Round {
    /// The floor, in tasks or records per second.
    floor: f64,
    /// The daemon, in the same unit.
    daemon: f64,
    /// The time until half of the work was done, in milliseconds.
    p50_ms: f64,
    /// The time until 99 % of the work was done, in milliseconds.
    p99_ms: f64,
    /// Processor time in milliseconds, per task or per 1,000 records.
    cpu_ms: f64,
    /// Bytes written, per task or per 1,000 records.
    written: f64,
    /// Calls of `write` and related functions, per task or per 1,000 records.
    writes: f64,
    /// Requests to the Bridge, per task or per 1,000 records.
    requests: f64,
    /// How many list requests were made.
    lists: usize,
    /// How many tasks were read individually.
    reads: usize,
    /// The peak resident memory, in MiB.
    peak_mib: f64,
}

impl Round {
    fn ratio(&self) -> f64 {
        self.daemon / self.floor
    }
}
