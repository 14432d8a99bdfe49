//! The manual pages: one for each command, so that all references between them resolve.

use std::path::Path;

use bridgehead_config::Connectors;
use clap::Command;
use clap_mangen::Man;

use super::failure::{Exit, Failure, Outcome};
use super::{init, print};

/// Prints the page of a command, in roff.
pub(crate) fn print(connectors: &Connectors, path: &[String]) -> Outcome {
    let root = commands(connectors);
    let mut command = &root;
    for name in path {
        command = command.find_subcommand(name).ok_or_else(|| {
            let known: Vec<&str> = command.get_subcommands().map(Command::get_name).collect();
            let known = if known.is_empty() {
                "it has none".to_owned()
            } else {
                format!("it has {}", known.join(", "))
            };
            Failure::new(Exit::Usage, format!("`{}` has no command `{name}`; {known}", title(command)))
        })?;
    }
    let mut text = Vec::new();
    page(command)
        .render(&mut text)
        .map_err(|error| Failure::new(Exit::Failed, format!("the manual page cannot be written: {error}")))?;
    print::raw(&text);
    Ok(())
}

/// Writes the pages of all commands into a folder.
pub(crate) fn write(connectors: &Connectors, folder: &Path) -> Outcome {
    fn all(command: &Command, folder: &Path) -> std::io::Result<()> {
        page(command).generate_to(folder)?;
        command.get_subcommands().try_for_each(|command| all(command, folder))
    }
    all(&commands(connectors), folder).map_err(|error| {
        let message = format!("the manual pages cannot be written into {}: {error}", folder.display());
        Failure::new(Exit::Output, message)
    })
}

/// All commands except `help`, which only explains the commands.
fn commands(connectors: &Connectors) -> Command {
    let mut root = init::command_line(connectors).disable_help_subcommand(true);
    root.build();
    root
}

fn page(command: &Command) -> Man {
    let source = format!("bridgehead {}", env!("CARGO_PKG_VERSION"));
    Man::new(command.clone()).source(source).manual("bridgehead")
}

/// The command line of a command.
fn title(command: &Command) -> String {
    command.get_bin_name().unwrap_or(command.get_name()).to_owned()
}
