//! Signals to stop, or to reload the configuration.

use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::failure::{Exit, Failure};

/// How long after its SIGHUP a closed terminal may still seem to exist.
const CLOSING: Duration = Duration::from_millis(100);

/// SIGTERM, SIGINT, and SIGHUP, which a closing terminal sends: all of them stop the process.
#[derive(Debug)]
pub(crate) struct Told {
    signals: Vec<Signal>,
}

impl Told {
    /// Handles these signals, so that none of them kills the process.
    pub(crate) fn listen() -> Result<Self, Failure> {
        let mut told = Self::listen_but_to_hangups()?;
        if !is_ignored(SignalKind::hangup()) {
            told.signals.push(listen_to(SignalKind::hangup())?);
        }
        Ok(told)
    }

    /// The same for a daemon, for which SIGHUP has another meaning: [`Hangups`].
    pub(crate) fn listen_but_to_hangups() -> Result<Self, Failure> {
        let kinds = [SignalKind::terminate(), SignalKind::interrupt()];
        Ok(Self { signals: kinds.into_iter().map(listen_to).collect::<Result<_, _>>()? })
    }

    /// Waits for one of the signals.
    pub(crate) async fn wait(&mut self) {
        let signals = self.signals.iter_mut().map(|signal| Box::pin(signal.recv()));
        futures::future::select_all(signals).await;
    }

    /// Cancels the first token at the first signal, the next one at the next signal, and so on, until the result is dropped.
    #[must_use = "signals are handled as long as this lives"]
    pub(crate) fn cancels_one_by_one<const N: usize>(
        mut self,
        stops: [CancellationToken; N],
    ) -> AbortOnDropHandle<()> {
        AbortOnDropHandle::new(tokio::spawn(async move {
            for stop in stops {
                self.wait().await;
                stop.cancel();
            }
        }))
    }

    /// Cancels `stop` at a signal, until the result is dropped.
    #[must_use = "signals are handled as long as this lives"]
    pub(crate) fn cancels(self, stop: &CancellationToken) -> AbortOnDropHandle<()> {
        self.cancels_one_by_one([stop.clone()])
    }
}

/// The meaning of a SIGHUP for a daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hangup {
    /// The terminal that it runs on was closed.
    Closed,
    /// The configuration must be reloaded.
    Reload,
}

/// SIGHUP to a daemon: from its terminal, or from an operator who changed the configuration.
#[derive(Debug)]
pub(crate) struct Hangups {
    /// `None` if the process was started with the signal ignored.
    signal: Option<Signal>,
    /// Whether it was started on a terminal.
    has_terminal: bool,
}

impl Hangups {
    /// Handles the signal, so that it does not kill the process.
    pub(crate) fn listen() -> Result<Self, Failure> {
        let kind = SignalKind::hangup();
        let signal = if is_ignored(kind) { None } else { Some(listen_to(kind)?) };
        Ok(Self { signal, has_terminal: is_on_terminal() })
    }

    /// Waits for a signal.
    pub(crate) async fn next(&mut self) -> Hangup {
        let Some(signal) = &mut self.signal else {
            return std::future::pending().await;
        };
        signal.recv().await;
        if !self.has_terminal {
            return Hangup::Reload;
        }
        tokio::time::sleep(CLOSING).await;
        if is_on_terminal() { Hangup::Reload } else { Hangup::Closed }
    }
}

/// Signals that would end a daemon at once and mean nothing to it: SIGUSR1 and SIGUSR2, which programs that rotate logs send, and SIGXFSZ,
/// after which a write fails as on a full disk.
#[derive(Debug)]
pub(crate) struct Others {
    user: [Signal; 2],
    _file_size: Signal,
}

impl Others {
    /// Handles these signals, so that none of them kills the process.
    pub(crate) fn listen() -> Result<Self, Failure> {
        let file_size = SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw());
        let user = [listen_to(SignalKind::user_defined1())?, listen_to(SignalKind::user_defined2())?];
        Ok(Self { user, _file_size: listen_to(file_size)? })
    }

    /// Waits for a signal that somebody sent, and returns its name.
    pub(crate) async fn next(&mut self) -> &'static str {
        let [first, second] = &mut self.user;
        tokio::select! {
            _ = first.recv() => "SIGUSR1",
            _ = second.recv() => "SIGUSR2",
        }
    }
}

fn listen_to(kind: SignalKind) -> Result<Signal, Failure> {
    signal(kind).map_err(|error| Failure::new(Exit::Failed, format!("cannot receive signals: {error}")))
}

/// Whether the process has a controlling terminal that could close, regardless of where its output goes.
fn is_on_terminal() -> bool {
    std::fs::File::open("/dev/tty").is_ok()
}

/// Whether the parent process started this one with the signal ignored, as `nohup` does for SIGHUP. False if that cannot be determined.
fn is_ignored(kind: SignalKind) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default();
    ignored & (1 << (kind.as_raw_value() - 1)) != 0
}
