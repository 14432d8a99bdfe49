//! Being told to stop from outside.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::failure::{Exit, Failure};

/// SIGTERM, SIGINT, and SIGHUP, which a terminal sends when it is closed: all of them mean the same.
#[derive(Debug)]
pub(crate) struct Told {
    signals: Vec<Signal>,
}

impl Told {
    /// From now on none of them ends the process out of order.
    pub(crate) fn listen() -> Result<Self, Failure> {
        let mut kinds = vec![SignalKind::terminate(), SignalKind::interrupt()];
        if !is_ignored(SignalKind::hangup()) {
            kinds.push(SignalKind::hangup());
        }
        let signals = kinds.into_iter().map(receive).collect::<Result<_, _>>()?;
        Ok(Self { signals })
    }

    /// The same without SIGHUP, which has a meaning of its own to a daemon.
    pub(crate) fn listen_to_end() -> Result<Self, Failure> {
        Ok(Self { signals: vec![receive(SignalKind::terminate())?, receive(SignalKind::interrupt())?] })
    }

    /// Waits for one of them.
    pub(crate) async fn wait(&mut self) {
        let signals = self.signals.iter_mut().map(|signal| Box::pin(signal.recv()));
        futures::future::select_all(signals).await;
    }

    /// Cancels the first when one of them comes, and the next when one comes again, for as long as the result lives.
    #[must_use = "signals are heeded as long as this lives"]
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
    #[must_use = "signals are heeded as long as this lives"]
    pub(crate) fn cancels(self, stop: &CancellationToken) -> AbortOnDropHandle<()> {
        self.cancels_one_by_one([stop.clone()])
    }
}

/// SIGHUP, by which a daemon is told to read its configuration anew. From now on it does not end the process. `None` if whoever
/// started the process wants it not to be bothered by it.
pub(crate) fn hangup() -> Result<Option<Signal>, Failure> {
    let kind = SignalKind::hangup();
    if is_ignored(kind) { Ok(None) } else { receive(kind).map(Some) }
}

fn receive(kind: SignalKind) -> Result<Signal, Failure> {
    signal(kind).map_err(|error| Failure::new(Exit::Failed, format!("signals cannot be received: {error}")))
}

/// Whether whoever started the process wants it not to be bothered by this signal, as `nohup` does for SIGHUP. Where that
/// cannot be known, it is taken for not so.
fn is_ignored(kind: SignalKind) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default();
    ignored & (1 << (kind.as_raw_value() - 1)) != 0
}
