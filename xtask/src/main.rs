//! Tasks for this repository other than compiling it: `cargo xtask ci`, `cargo xtask dist`, `cargo xtask book`, `cargo xtask bench`,
//! `cargo xtask deny`.
//!
//! [`dist`] creates the release artifacts: packages, manual pages, the list of crates. Each format is written by its own tool (`dpkg-deb`,
//! `rpmbuild`), which determines the required libraries; this program only decides where each file goes.

mod bench;
mod book;
mod deny;
mod dist;
mod failure;
mod tool;

use std::process::{Command, ExitCode};

use clap::{Parser, Subcommand};

use failure::Result;

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about = "What is done with this repository beside compiling it.")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Check everything that must pass before a change lands, as CI does.
    Ci,
    /// Create the release artifacts in target/dist: packages, manual pages, completions, SBOM, checksums.
    Dist(dist::Options),
    /// Build the documentation as a book, into target/book, and check its links.
    Book(book::Options),
    /// Measure the daemon, as a process, against a bare client that makes the fewest calls (docs/benchmarks.md).
    Bench(bench::Options),
    /// Draw the charts of docs/benchmarks.md from the figures in docs/benchmarks/results.json.
    Charts,
    /// Check licenses, advisories and bans with cargo-deny, as configured in deny.toml.
    Deny {
        /// Install the required version of cargo-deny if it is missing. Compiling it takes minutes.
        #[arg(long)]
        install: bool,
    },
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().task {
        Task::Ci => ci(),
        Task::Dist(options) => dist::run(&options),
        Task::Book(options) => book::run(&options),
        Task::Bench(options) => bench::run(&options),
        Task::Charts => bench::chart::run(),
        Task::Deny { install } => deny::run(install),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.complain();
            ExitCode::FAILURE
        }
    }
}

/// The script remains the only place that defines what CI runs.
fn ci() -> Result<()> {
    tool::show(Command::new("bash").arg(".ci/run"))
}
