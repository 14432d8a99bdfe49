//! The daemon of the demo: this binary, as a separate process.

use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, Command};

use super::super::failure::{Exit, Failure};
use super::people::Place;

/// A `bridgehead run` whose log goes to a file.
pub(super) struct Daemon {
    child: Child,
}

/// A command of this binary with the demo's configuration.
pub(super) fn command(place: &Place, key: &str) -> Result<Command, Failure> {
    let binary = std::env::current_exe().map_err(|error| {
        Failure::new(Exit::Failed, format!("cannot find this program's own executable: {error}"))
    })?;
    let mut command = Command::new(binary);
    command.arg("--config").arg(place.configuration()).env("IDEN_API_KEY", key).env_remove("NOTIFY_SOCKET");
    command.stdin(Stdio::null()).kill_on_drop(true);
    Ok(command)
}

impl Daemon {
    pub(super) fn start(place: &Place, key: &str) -> Result<Self, Failure> {
        let failed = |error: std::io::Error| {
            Failure::new(Exit::Failed, format!("the daemon cannot be started: {error}"))
        };
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(place.path("daemon.log"))
            .map_err(failed)?;
        let child = command(place, key)?
            .arg("run")
            .stdout(Stdio::null())
            .stderr(log)
            // Ctrl-C is meant for the demo, which then shuts down the daemon cleanly.
            .process_group(0)
            .spawn()
            .map_err(failed)?;
        Ok(Self { child })
    }

    /// Returns an error if it has exited unexpectedly.
    pub(super) fn check(&mut self, place: &Place) -> Result<(), Failure> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            _ => Err(Failure::new(Exit::Failed, format!("the daemon exited:\n{}", tail(place)))),
        }
    }

    /// Stops it as systemd would, with SIGTERM.
    pub(super) async fn stop(mut self, place: &Place) -> Result<(), Failure> {
        let pid = self.child.id().and_then(|id| rustix::process::Pid::from_raw(i32::try_from(id).ok()?));
        if let Some(pid) = pid {
            // A daemon that has exited is detected below.
            rustix::process::kill_process(pid, rustix::process::Signal::TERM).ok();
        }
        let ended = tokio::time::timeout(Duration::from_secs(40), self.child.wait()).await;
        match ended {
            Ok(Ok(status)) if status.success() => Ok(()),
            _ => Err(Failure::new(
                Exit::Failed,
                format!("the daemon did not shut down cleanly:\n{}", tail(place)),
            )),
        }
    }
}

/// The last lines of the daemon's log.
pub(super) fn tail(place: &Place) -> String {
    let log = std::fs::read_to_string(place.path("daemon.log")).unwrap_or_default();
    let lines: Vec<&str> = log.lines().rev().take(15).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join("\n")
}
