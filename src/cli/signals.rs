//! Being told to stop from outside, or to read the configuration again.

use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::failure::{Exit, Failure};

/// How long after its SIGHUP a terminal that is closed may still seem to be there.
const CLOSING: Duration = Duration::from_millis(100);

/// SIGTERM, SIGINT, and SIGHUP, which a terminal sends when it is closed: all of them mean the same.
#[derive(Debug)]
pub(crate) struct Told {
    signals: Vec<Signal>,
}

impl Told {
    /// From now on none of them ends the process out of order.
    pub(crate) fn listen() -> Result<Self, Failure> {
        let mut told = Self::listen_but_to_hangups()?;
        if !is_ignored(SignalKind::hangup()) {
            told.signals.push(listen_to(SignalKind::hangup())?);
        }
        Ok(told)
    }

    /// The same for a daemon, to which SIGHUP means something else: [`Hangups`].
    pub(crate) fn listen_but_to_hangups() -> Result<Self, Failure> {
        let kinds = [SignalKind::terminate(), SignalKind::interrupt()];
        Ok(Self { signals: kinds.into_iter().map(listen_to).collect::<Result<_, _>>()? })
    }

    /// Waits for one of them.
    pub(crate) async fn wait(&mut self) {
        let signals = self.signals.iter_mut().map(|signal| Box::pin(signal.recv()));
        futures::future::select_all(signals).await;
    }

    /// Cancels the first when one of them comes, and the next when one comes again, for as long as the result lives.
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

    /// Cancels `stop` when one of them comes, for as long as the result lives.
    #[must_use = "signals are handled as long as this lives"]
    pub(crate) fn cancels(self, stop: &CancellationToken) -> AbortOnDropHandle<()> {
        self.cancels_one_by_one([stop.clone()])
    }
}

/// What SIGHUP says to a daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hangup {
    /// The terminal that it runs on was closed.
    Closed,
    /// Someone wants it to read its configuration again.
    Reload,
}

/// SIGHUP to a daemon: it comes from its terminal, or from the operator who changed the configuration.
#[derive(Debug)]
pub(crate) struct Hangups {
    /// None if the process was started so that it does not get any.
    signal: Option<Signal>,
    /// It was started on a terminal.
    has_terminal: bool,
}

impl Hangups {
    /// From now on none of them ends the process.
    pub(crate) fn listen() -> Result<Self, Failure> {
        let kind = SignalKind::hangup();
        let signal = if is_ignored(kind) { None } else { Some(listen_to(kind)?) };
        Ok(Self { signal, has_terminal: is_on_terminal() })
    }

    /// Waits for one of them.
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

fn listen_to(kind: SignalKind) -> Result<Signal, Failure> {
    signal(kind).map_err(|error| Failure::new(Exit::Failed, format!("cannot receive signals: {error}")))
}

/// Whether the process has a terminal that could close: that of its session, wherever its output goes.
fn is_on_terminal() -> bool {
    std::fs::File::open("/dev/tty").is_ok()
}

/// Whether the parent process wants this signal to be ignored, as `nohup` does for SIGHUP. If that cannot be
/// determined, it counts as no.
fn is_ignored(kind: SignalKind) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default();
    ignored & (1 << (kind.as_raw_value() - 1)) != 0
}
