//! How targets are reached over the network: one setting for the Bridge and for every connector.

use std::sync::Arc;

use url::Url;

/// What `[network]` says in the configuration: whom to trust beside what the operating system trusts, and which way out
/// to take.
///
/// Every connector goes by this, so that an operator says it once. Certificates count for every TLS connection; the proxy for
/// HTTP alone, since directories and databases are not reached through one.
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Network {
    /// Certificates of authorities in PEM, trusted beside those of the operating system. Empty for none.
    pub authorities: Arc<[u8]>,
    /// The proxy that HTTP goes through; `None` for what the environment says (`HTTPS_PROXY`, `HTTP_PROXY`,
    /// `NO_PROXY`). Its user name and password, if it has any, are part of it.
    pub proxy: Option<Url>,
    /// Hosts that are reached without the proxy: names, domains such as `.example.com`, addresses and networks.
    /// Loopback always is.
    pub no_proxy: Vec<String>,
    /// Where HTTP exchanges are recorded, or answered from, in tests of a connector; see
    /// [`Recording`](crate::http::Recording).
    #[cfg(feature = "http")]
    pub recording: Option<crate::http::Recording>,
    /// Where the messages between a connector and its target are shown, if anybody wants to see them.
    pub trace: Option<crate::Trace>,
}

impl Network {
    /// The same, with these certificates of authorities in PEM.
    pub fn with_authorities(mut self, pem: impl Into<Arc<[u8]>>) -> Self {
        self.authorities = pem.into();
        self
    }

    /// The same, through this proxy.
    pub fn with_proxy(mut self, proxy: Url) -> Self {
        self.proxy = Some(proxy);
        self
    }

    /// The same, with these hosts reached without the proxy.
    pub fn with_no_proxy<H: Into<String>>(mut self, hosts: impl IntoIterator<Item = H>) -> Self {
        self.no_proxy.extend(hosts.into_iter().map(Into::into));
        self
    }

    /// The same, with the messages shown.
    pub fn with_trace(mut self, trace: crate::Trace) -> Self {
        self.trace = Some(trace);
        self
    }
}

#[cfg(feature = "http")]
impl Network {
    /// The same, with the HTTP exchanges recorded, or answered from a recording.
    pub fn with_recording(mut self, recording: &crate::http::Recording) -> Self {
        self.recording = Some(recording.clone());
        self
    }
}

impl std::fmt::Debug for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The proxy's address may hold a password.
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

/// What is wrong with how targets are to be reached.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetworkError {
    /// The operator must fix the file that `network.ca_file` names.
    #[error("the file of network.ca_file contains no readable certificate: {0}")]
    Authorities(String),
    /// The operator must fix `network.proxy`.
    #[error("network.proxy is not valid: {0}")]
    Proxy(String),
    /// The operating system's certificates cannot be loaded, and no others are given.
    #[error(
        "TLS cannot be set up: {0}; install the system's certificates (ca-certificates), or set network.ca_file"
    )]
    Tls(String),
}
