//! `cargo xtask bench`: what the daemon does in a second, against what the protocol allows.
//!
//! The daemon and the sandbox run as processes of their own. Against them is set a *floor*: [`floor`], a bare client that makes the
//! fewest calls with the same concurrency, of the same server and in the same run. Only the ratio of both says anything: the figures
//! themselves are the machine's, and what else runs on it. How to read them: `docs/benchmarks.md`.

mod apps;
mod floor;
mod http;
mod place;
mod process;
mod show;
mod sync;
mod tasks;

use std::process::Command;

use clap::{Args, ValueEnum};

use crate::failure::{Failure, Result};
use crate::tool;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Work {
    /// Pending tasks until they are reported.
    Tasks,
    /// A full sync of the simulated target.
    Sync,
    /// Pending tasks of many apps, against as many of one app.
    Apps,
}

impl Work {
    fn name(self) -> &'static str {
        match self {
            Self::Tasks => "tasks",
            Self::Sync => "sync",
            Self::Apps => "apps",
        }
    }
}

/// How it is measured.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// What to measure.
    work: Work,
    /// How many tasks in all, or how many accounts of a sync.
    #[arg(long)]
    count: Option<usize>,
    /// How much is under way at once [default: 32 tasks, 4 pages].
    #[arg(long)]
    concurrency: Option<usize>,
    /// How many apps [default: 1,000].
    #[arg(long)]
    apps: Option<usize>,
    /// So many of the apps have a target that does not answer within minutes; the tasks of the others count.
    #[arg(long, default_value_t = 0)]
    slow: usize,
    /// How often; the median counts.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// The profile that the daemon, the sandbox and the floor are built with.
    #[arg(long, default_value = "release")]
    profile: String,
    /// Give each task a password of its own, which the daemon keeps out of everything it writes.
    #[arg(long)]
    passwords: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Run the daemon under this command, such as `perf record -g -o perf.data`.
    #[arg(long)]
    under: Option<String>,
    /// Everything is built, and this process is the built one.
    #[arg(long, hide = true)]
    built: bool,
}

/// Builds, and measures in a process that is built as the daemon is: a floor that is not optimised is none.
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
    if options.passwords {
        again.arg("--passwords");
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
    let rounds = runtime.block_on(async {
        match options.work {
            Work::Tasks => tasks::run(options).await,
            Work::Sync => sync::run(options).await,
            Work::Apps => apps::run(options).await,
        }
    })?;
    show::print(options, &rounds);
    Ok(())
}

/// What one round has shown.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub(crate) struct Round {
    /// Tasks or records a second: the floor.
    floor: f64,
    /// The same: the daemon.
    daemon: f64,
    /// How long after the beginning half of it was done, in milliseconds.
    p50_ms: f64,
    /// How long after the beginning 99 of 100 were done, in milliseconds.
    p99_ms: f64,
    /// Milliseconds of processor time, for a task or for 1,000 records.
    cpu_ms: f64,
    /// Bytes that were written, for a task or for 1,000 records.
    written: f64,
    /// Calls of `write` and its kin, for a task or for 1,000 records.
    writes: f64,
    /// Requests to the Bridge, for a task or for 1,000 records.
    requests: f64,
    /// How often a list was asked for.
    lists: usize,
    /// How often a task was read alone.
    reads: usize,
    /// The most memory that was resident, in MiB.
    peak_mib: f64,
}

impl Round {
    fn ratio(&self) -> f64 {
        self.daemon / self.floor
    }
}
