//! Builds a daemon from third-party connectors and bridgehead's command line.

use std::process::ExitCode;
use std::sync::Arc;

use bridgehead_sdk::Factory;

use crate::cli;
use bridgehead_config::Connectors;

/// A daemon with a registry of connectors.
///
/// ```no_run
/// fn main() -> std::process::ExitCode {
///     bridgehead::Daemon::builder().connector("people", bridgehead_simulated::factory()).run_from_args()
/// }
/// ```
#[derive(Debug)]
pub struct Daemon;

impl Daemon {
    /// Starts with an empty registry.
    pub fn builder() -> Builder {
        Builder { connectors: Connectors::new() }
    }
}

/// Collects connectors. Only this registry refers to them by name.
#[derive(Clone)]
pub struct Builder {
    connectors: Connectors,
}

impl Builder {
    /// Registers a connector under the name for `apps.NAME.connector`.
    pub fn connector(mut self, name: impl Into<String>, factory: Arc<dyn Factory>) -> Self {
        self.connectors.insert(name.into(), factory);
        self
    }

    /// The whole command line, with the flags that these connectors add: for generating documentation, or checking commands in it.
    pub fn command_line(&self) -> clap::Command {
        cli::command_line(&self.connectors)
    }

    /// Runs the command from the command line, and returns the exit code.
    pub fn run_from_args(self) -> ExitCode {
        cli::run(&self.connectors)
    }
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder").field("connectors", &self.connectors.keys()).finish()
    }
}
