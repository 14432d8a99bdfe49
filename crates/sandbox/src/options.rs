//! The options of a sandbox.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use jiff::Timestamp;

/// The options of a sandbox.
#[derive(Clone)]
pub struct Options {
    /// The listening address. Port 0 selects a free port. Default `127.0.0.1:0`.
    pub listen: SocketAddr,
    /// The tenant in the path `/org/{tenant}`. Default `sandbox`.
    pub tenant: String,
    /// The API key that has access to every app; the control plane calls it `default`. Default `sandbox-key`.
    pub api_key: String,
    /// The sandbox's time at its start. Default: the machine's time.
    pub started_at: Option<Timestamp>,
    /// How long after `complete` the cleanup runs. Default 200 ms.
    pub cleanup_delay: Duration,
    /// Whether an unknown app is created on first access, instead of responding with 404. Default false.
    pub auto_create_apps: bool,
    /// The maximum number of requests in the ledger; older ones are dropped and counted. Default 100 000.
    pub ledger_entries: usize,
    /// The maximum number of bytes of request bodies in the ledger; older bodies are dropped first. Default 64 MiB.
    pub ledger_body_bytes: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            tenant: "sandbox".to_owned(),
            api_key: "sandbox-key".to_owned(),
            started_at: None,
            cleanup_delay: Duration::from_millis(200),
            auto_create_apps: false,
            ledger_entries: 100_000,
            ledger_body_bytes: 64 * 1024 * 1024,
        }
    }
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("listen", &self.listen)
            .field("tenant", &self.tenant)
            .field("started_at", &self.started_at)
            .field("cleanup_delay", &self.cleanup_delay)
            .field("auto_create_apps", &self.auto_create_apps)
            .field("ledger_entries", &self.ledger_entries)
            .field("ledger_body_bytes", &self.ledger_body_bytes)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_hides_the_key() {
        let options = Options { api_key: "hunter2".into(), ..Options::default() };
        assert!(!format!("{options:?}").contains("hunter2"));
    }
}
