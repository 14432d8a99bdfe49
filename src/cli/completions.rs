//! Shell completions.

use super::{init, print};
use bridgehead_config::Connectors;

/// Prints completions for a shell.
pub(crate) fn shell(connectors: &Connectors, shell: clap_complete::Shell) {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut init::command_line(connectors), "bridgehead", &mut text);
    print::raw(&text);
}
