//! How targets are reached over the network: one configuration for the Bridge API and for every connector.

use std::sync::Arc;

use url::Url;

/// The settings of `[network]`: additional trusted certificates, and the proxy.
///
/// Every connector uses this, so that an operator configures it only once. The certificates apply to every TLS
/// connection, the proxy only to HTTP, because directories and databases are not reached through one.
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Network {
    /// CA certificates in PEM, trusted in addition to those of the operating system. May be empty.
    pub authorities: Arc<[u8]>,
    /// The HTTP proxy; `None` to use the environment (`HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY`). Includes its user name
    /// and password, if any.
    pub proxy: Option<Url>,
    /// Hosts to reach without the proxy: names, domains such as `.example.com`, addresses and networks. Loopback is
    /// always included.
    pub no_proxy: Vec<String>,
    /// Where HTTP exchanges are recorded, or replayed from, in tests of a connector; see
    /// [`Recording`](crate::http::Recording).
    #[cfg(feature = "http")]
    pub recording: Option<crate::http::Recording>,
    /// Where to show the messages between a connector and its target; `None` to not show them.
    pub trace: Option<crate::Trace>,
}

impl Network {
    /// Adds these CA certificates in PEM.
    pub fn with_authorities(mut self, pem: impl Into<Arc<[u8]>>) -> Self {
        self.authorities = pem.into();
        self
    }

    /// Sets this proxy.
    pub fn with_proxy(mut self, proxy: Url) -> Self {
        self.proxy = Some(proxy);
        self
    }

    /// Sets the hosts to reach without the proxy.
    pub fn with_no_proxy<H: Into<String>>(mut self, hosts: impl IntoIterator<Item = H>) -> Self {
        self.no_proxy.extend(hosts.into_iter().map(Into::into));
        self
    }

    /// Shows the messages between a connector and its target.
    pub fn with_trace(mut self, trace: crate::Trace) -> Self {
        self.trace = Some(trace);
        self
    }
}

#[cfg(feature = "http")]
impl Network {
    /// Records the HTTP exchanges, or replays them from a recording.
    pub fn with_recording(mut self, recording: &crate::http::Recording) -> Self {
        self.recording = Some(recording.clone());
        self
    }
}

impl std::fmt::Debug for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The proxy's address may contain a password.
        let mut shown = f.debug_struct("Network");
        shown
            .field("authorities", &format_args!("{} bytes", self.authorities.len()))
            .field("proxy", &self.proxy.as_ref().and_then(Url::host_str))
            .field("no_proxy", &self.no_proxy);
        #[cfg(feature = "http")]
        shown.field("recording", &self.recording);
        shown.field("trace", &self.trace);
        shown.finish()
    }
}

/// An error in the network settings.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetworkError {
    /// The operator must fix the file that `network.ca_file` names.
    #[error("the file of network.ca_file contains no readable certificate: {0}")]
    Authorities(String),
    /// The operator must fix `network.proxy`.
    #[error("network.proxy is not valid: {0}")]
    Proxy(String),
    /// The operating system's certificates cannot be loaded, and no others are configured.
    #[error(
        "TLS cannot be set up: {0}; install the system's certificates (ca-certificates), or set network.ca_file"
    )]
    Tls(String),
}
