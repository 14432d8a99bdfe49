//! Completions for shells, and the manual page.

use clap::CommandFactory;

use super::args::Cli;
use super::failure::{Exit, Failure, Outcome};
use super::print;

/// Prints completions for a shell.
pub(crate) fn shell(shell: clap_complete::Shell) {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "bridgehead", &mut text);
    print::raw(&text);
}

/// Prints the manual page, in roff.
pub(crate) fn manual() -> Outcome {
    let mut text = Vec::new();
    clap_mangen::Man::new(Cli::command())
        .render(&mut text)
        .map_err(|error| Failure::new(Exit::Failed, format!("the manual page cannot be written: {error}")))?;
    print::raw(&text);
    Ok(())
}
