//! The command line of a build without the sandbox, which has no `init`, because that can start one.

use bridgehead_config::Connectors;
use clap::{CommandFactory, Parser};

use super::args::Cli;

/// The command line.
pub(crate) fn command_line(_: &Connectors) -> clap::Command {
    Cli::command()
}

/// Parses the arguments of the process.
pub(crate) fn parse(_: &Connectors) -> Result<Cli, clap::Error> {
    Cli::try_parse()
}
