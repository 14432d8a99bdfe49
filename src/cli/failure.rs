//! Failures of commands.

use std::process::ExitCode;

/// The exit codes other than 0; those from 64 on are from `sysexits`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// The command failed.
    Failed = 1,
    /// The command line is wrong.
    Usage = 2,
    /// Nothing failed, but not everything was proven.
    #[cfg(feature = "conformance")]
    Unproven = 3,
    /// The output could not be written, for example because a disk is full.
    Output = 74,
    /// A retry may work: the Bridge is down, or another process holds the state folder.
    Temporary = 75,
    /// The configuration is wrong.
    Configuration = 78,
}

/// A message and the exit code.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    message: String,
}

impl Failure {
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into() }
    }

    /// A failure that was already printed, as part of the command's output.
    pub(crate) fn silent(exit: Exit) -> Self {
        Self::new(exit, "")
    }

    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    pub(crate) fn code(&self) -> ExitCode {
        ExitCode::from(self.exit as u8)
    }
}

impl From<bridgehead_config::Errors> for Failure {
    fn from(errors: bridgehead_config::Errors) -> Self {
        Self::new(Exit::Configuration, errors.to_string())
    }
}

impl From<bridgehead_config::Error> for Failure {
    fn from(error: bridgehead_config::Error) -> Self {
        Self::new(Exit::Configuration, error.to_string())
    }
}

impl From<bridgehead_bridge::Error> for Failure {
    fn from(error: bridgehead_bridge::Error) -> Self {
        let exit = if error.is_transient() { Exit::Temporary } else { Exit::Failed };
        Self::new(exit, format!("{error}\n{}", error.advice()))
    }
}

impl From<bridgehead_runtime::inspection::Error> for Failure {
    fn from(error: bridgehead_runtime::inspection::Error) -> Self {
        use bridgehead_runtime::inspection::Error;
        match error {
            Error::Bridge(error) => error.into(),
            Error::Journal(error) => error.into(),
            Error::NoBridge(message) => Self::new(Exit::Configuration, message),
        }
    }
}

impl From<crate::admin::Error> for Failure {
    fn from(error: crate::admin::Error) -> Self {
        // With the code for a wrong configuration, systemd would never try again.
        let exit = if error.may_pass() { Exit::Temporary } else { Exit::Configuration };
        Self::new(exit, error.to_string())
    }
}

impl From<bridgehead_store::Error> for Failure {
    fn from(error: bridgehead_store::Error) -> Self {
        let is_temporary = error.may_pass() || matches!(error, bridgehead_store::Error::Locked { .. });
        let exit = if is_temporary { Exit::Temporary } else { Exit::Failed };
        Self::new(exit, error.to_string())
    }
}

/// The result of a command.
pub(crate) type Outcome = Result<(), Failure>;
