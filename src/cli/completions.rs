//! Completions for shells.

use clap::CommandFactory;

use super::args::Cli;
use super::print;

/// Prints completions for a shell.
pub(crate) fn shell(shell: clap_complete::Shell) {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "bridgehead", &mut text);
    print::raw(&text);
}
