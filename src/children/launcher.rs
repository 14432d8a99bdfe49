//! Starts a program that ends with this process.
//!
//! A process can only ask for itself to be ended with its parent, and between the start of a process and that of the program there is no
//! place for that without unsafe code. So this command is started first, asks for it, and then becomes the program.

use std::ffi::{OsStr, OsString};
use std::process::ExitCode;

/// The hidden first argument, followed by the process that starts the program, the program, and its arguments.
const WORD: &str = "__start-program";

/// The prefix of a command.
#[cfg(target_os = "linux")]
pub(super) fn words() -> Vec<OsString> {
    // Not the path of this program: an upgrade may have replaced it.
    vec!["/proc/self/exe".into(), WORD.into(), std::process::id().to_string().into()]
}

#[cfg(not(target_os = "linux"))]
pub(super) fn words() -> Vec<OsString> {
    Vec::new()
}

/// Becomes the program if the arguments request it; returns only if they do not, or if the program cannot be started.
pub(crate) fn launch(arguments: impl IntoIterator<Item = OsString>) -> Option<ExitCode> {
    let mut arguments = arguments.into_iter().skip(1);
    if arguments.next()? != WORD {
        return None;
    }
    let parent = arguments.next()?.to_str()?.parse().ok()?;
    let program = arguments.next()?;
    Some(become_program(parent, &program, arguments))
}

#[cfg(target_os = "linux")]
fn become_program(parent: i32, program: &OsStr, arguments: impl Iterator<Item = OsString>) -> ExitCode {
    use std::os::unix::process::CommandExt;

    use rustix::process::{Signal, getppid, set_parent_process_death_signal};

    /// The exit code of shells when a program cannot be started.
    const NOT_STARTED: u8 = 126;

    let asked = set_parent_process_death_signal(Some(Signal::KILL));
    // The parent may have ended before the request.
    let is_there = getppid().is_some_and(|now| now.as_raw_nonzero().get() == parent);
    if asked.is_err() || !is_there {
        return ExitCode::from(NOT_STARTED);
    }
    let error = std::process::Command::new(program).args(arguments).exec();
    crate::cli::complain(format!("{} cannot be started: {error}", program.display()));
    ExitCode::from(NOT_STARTED)
}

#[cfg(not(target_os = "linux"))]
fn become_program(_: i32, _: &OsStr, _: impl Iterator<Item = OsString>) -> ExitCode {
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_arguments_launch_nothing() {
        for arguments in [
            &["bridgehead"][..],
            &["bridgehead", "run"],
            &["bridgehead", WORD],
            &["bridgehead", WORD, "x", "true"],
        ] {
            assert!(launch(arguments.iter().map(OsString::from)).is_none(), "{arguments:?}");
        }
    }
}
