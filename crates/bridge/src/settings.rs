//! The settings of a client.

use std::num::NonZeroU32;
use std::time::Duration;

use bridgehead_sdk::Network;
use serde::{Deserialize, Serialize};
use url::{Host, Url};

/// The wire format of references to groups and licenses. The Bridge documentation leaves it open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Refs {
    /// `"g1"`.
    #[default]
    Id,
    /// `{"id": "g1", "name": "Sales"}`; the name if it is known.
    Object,
}

/// A limit on the number of calls.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RateLimit {
    /// The average number of calls per second; more than 0.
    pub per_second: f64,
    /// The maximum number of calls in a burst after a quiet time; at least 1.
    pub burst: u32,
}

/// How calls that are safe to repeat are retried: exponential backoff with full jitter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// The total number of attempts; 1 disables retries.
    pub tries: u32,
    /// The maximum wait before the second attempt; it doubles with each one after that.
    pub base: Duration,
    /// The upper limit of that maximum.
    pub cap: Duration,
}

impl Retry {
    /// Disables retries.
    pub(super) fn never() -> Self {
        Self { tries: 1, ..Self::default() }
    }
}

impl Default for Retry {
    fn default() -> Self {
        Self { tries: 4, base: Duration::from_millis(250), cap: Duration::from_secs(8) }
    }
}

/// The settings of a client. [`Settings::new`] fills in the defaults.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// `https://developer.idenhq.com/org/{tenant_slug}`; the paths `/api/v1/bridge/…` are appended.
    pub base_url: Url,
    /// The maximum time of one request, from connecting to the last byte of the response. Default: 30 seconds.
    pub request_timeout: Duration,
    /// A limit on all calls of this client. Default: none.
    pub rate_limit: Option<RateLimit>,
    /// The wire format of references.
    pub refs: Refs,
    /// The maximum size of a list or a task after decompression; other responses are limited to 1 MiB. Default: 16 MiB.
    pub max_body_bytes: usize,
    /// How long each attempt waits to be sent while the Bridge is down or rate limiting. After that it fails, and nothing was sent.
    /// Default: 30 seconds.
    pub patience: Duration,
    /// How calls that are safe to repeat are retried.
    pub retry: Retry,
    /// Trusted certificates and the proxy. A Bridge on this machine is reached without a proxy. Default: what the
    /// operating system and the environment define.
    pub network: Network,
    /// Whether the key may be sent over plain `http` to another machine. To this machine it always may. Default: no.
    pub allow_plain_http: bool,
}

impl Settings {
    /// The default settings for the Bridge at `base_url`.
    pub fn new(base_url: Url) -> Self {
        Self {
            base_url,
            request_timeout: Duration::from_secs(30),
            rate_limit: None,
            refs: Refs::default(),
            max_body_bytes: 16 * 1024 * 1024,
            patience: Duration::from_secs(30),
            retry: Retry::default(),
            network: Network::default(),
            allow_plain_http: false,
        }
    }

    /// Whether the Bridge is on this machine, like the sandbox: then no proxy is used.
    pub fn is_local(&self) -> bool {
        match self.base_url.host() {
            Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        }
    }

    /// Rejects settings that cannot work or would put the key at risk.
    pub(super) fn check(&self) -> Result<(), BuildError> {
        let url = &self.base_url;
        let wrong = |reason| Err(BuildError::BaseUrl { reason });
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
            return wrong("it must start with https://");
        }
        if !url.username().is_empty() || url.password().is_some() {
            return wrong("it must not contain a user name or password; the API key has its own setting");
        }
        if url.query().is_some() || url.fragment().is_some() {
            return wrong("it must end with the path, without '?' or '#'");
        }
        if url.path().contains("/api/v1/") {
            return wrong("it must not include /api/v1/…, which is appended");
        }
        if url.scheme() == "http" && !self.is_local() && !self.allow_plain_http {
            return wrong("it must start with https://, otherwise the API key would be sent unencrypted");
        }
        if self.request_timeout.is_zero() {
            return Err(BuildError::NoTime);
        }
        self.rate_limit.map_or(Ok(()), |limit| limit.quota().map(|_| ()))
    }
}

impl RateLimit {
    /// The limit in the limiter's format.
    pub(super) fn quota(self) -> Result<governor::Quota, BuildError> {
        let wrong = BuildError::RateLimit { per_second: self.per_second, burst: self.burst };
        let burst = NonZeroU32::new(self.burst).ok_or_else(|| wrong.clone())?;
        let period = Duration::try_from_secs_f64(1.0 / self.per_second).map_err(|_| wrong.clone())?;
        governor::Quota::with_period(period).map(|quota| quota.allow_burst(burst)).ok_or(wrong)
    }
}

/// Why a client cannot be built. The operator must act: the cause is always a setting or the machine's own TLS configuration.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum BuildError {
    /// The base URL cannot be used.
    #[error("base_url is not valid: {reason}")]
    BaseUrl {
        /// What is wrong, and what would be correct.
        reason: &'static str,
    },
    /// The request timeout is zero.
    #[error("request_timeout must be more than 0")]
    NoTime,
    /// The rate limit permits no calls, or is not a number.
    #[error(
        "rate_limit is not valid: per_second is {per_second} and burst is {burst}; both must be more than 0"
    )]
    RateLimit {
        /// The configured value.
        per_second: f64,
        /// The configured value.
        burst: u32,
    },
    /// The HTTP client cannot be created, for example because there are no certificates.
    #[error("the HTTP client cannot be set up: {0}")]
    Http(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(base_url: &str) -> Result<(), String> {
        Settings::new(base_url.parse().unwrap()).check().map_err(|error| error.to_string())
    }

    #[test]
    fn documented_base_url_is_accepted() {
        assert_eq!(check("https://developer.idenhq.com/org/acme"), Ok(()));
        assert_eq!(check("http://127.0.0.1:8080/org/acme/"), Ok(()));
        assert_eq!(check("http://[::1]:8080"), Ok(()));
    }

    #[test]
    fn base_url_that_would_expose_the_key_is_refused() {
        assert!(check("http://developer.idenhq.com/org/acme").unwrap_err().contains("unencrypted"));
        assert!(check("https://user:pw@idenhq.com/").unwrap_err().contains("user name or password"));
        let mut settings = Settings::new("http://gateway.internal/org/acme".parse().unwrap());
        settings.allow_plain_http = true;
        assert_eq!(settings.check(), Ok(()));
    }

    #[test]
    fn invalid_base_url_is_refused() {
        assert!(check("ftp://idenhq.com/").unwrap_err().contains("https://"));
        assert!(check("mailto:a@b.c").unwrap_err().contains("https://"));
        assert!(check("https://idenhq.com/org/acme?x=1").unwrap_err().contains("without '?'"));
        assert!(check("https://idenhq.com/org/acme/api/v1/bridge").unwrap_err().contains("appended"));
    }

    #[test]
    fn zero_or_invalid_rate_is_refused() {
        for (per_second, burst) in [(0.0, 1), (-1.0, 1), (f64::NAN, 1), (f64::INFINITY, 1), (1.0, 0)] {
            assert!(RateLimit { per_second, burst }.quota().is_err(), "{per_second} {burst}");
        }
        assert!(RateLimit { per_second: 0.5, burst: 3 }.quota().is_ok());
    }
}
