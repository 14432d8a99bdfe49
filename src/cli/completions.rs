//! Completions for shells, and the manual page.

use super::failure::{Exit, Failure, Outcome};
use super::{init, print};
use crate::config::Connectors;

/// Prints completions for a shell.
pub(crate) fn shell(connectors: &Connectors, shell: clap_complete::Shell) {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut init::command_line(connectors), "bridgehead", &mut text);
    print::raw(&text);
}

/// Prints the manual page, in roff.
pub(crate) fn manual(connectors: &Connectors) -> Outcome {
    let mut text = Vec::new();
    clap_mangen::Man::new(init::command_line(connectors))
        .render(&mut text)
        .map_err(|error| Failure::new(Exit::Failed, format!("the manual page cannot be written: {error}")))?;
    print::raw(&text);
    Ok(())
}
