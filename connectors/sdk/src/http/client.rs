//! Sending a request once.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use reqwest::{Certificate, Method, NoProxy, Proxy, RequestBuilder, redirect};
use tokio::time::{Instant, timeout_at};
use url::Url;

use super::{Answer, Recording, body, recording, retry_after};
use crate::{Code, Effect, Error, Network, NetworkError, Retry, Subject, Trace};

/// What one request may take.
///
/// ```
/// use std::time::Duration;
///
/// use bridgehead_sdk::http::Limits;
///
/// let limits = Limits::default().with_request(Duration::from_secs(90));
/// assert_eq!(limits.connect, Duration::from_secs(10));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// From looking up the name to the connection standing. Past it, nothing was sent, which is worth knowing for
    /// certain. Default: 10 seconds.
    pub connect: Duration,
    /// From connecting to the last byte of the answer. Default: 30 seconds.
    pub request: Duration,
    /// How many bytes an answer may have, after decompression. Default: 16 MiB.
    pub body: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connect: Duration::from_secs(10), request: Duration::from_secs(30), body: 16 * 1024 * 1024 }
    }
}

impl Limits {
    /// The same, with another time to connect.
    pub fn with_connect(self, connect: Duration) -> Self {
        Self { connect, ..self }
    }

    /// The same, with another time for the whole request.
    pub fn with_request(self, request: Duration) -> Self {
        Self { request, ..self }
    }

    /// The same, with another number of bytes for the answer.
    pub fn with_body(self, body: usize) -> Self {
        Self { body, ..self }
    }
}

/// Sends requests to one target.
///
/// It retries nothing: the runtime decides that, from the [`Error`] alone. Connections are pooled, so make one client for a
/// connector and keep it. Redirects are not followed, since a credential must not go where one points to; cookies are not
/// kept.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    system: Arc<str>,
    limits: Limits,
    recording: Option<Recording>,
    trace: Option<Trace>,
}

impl Client {
    /// A client for the target that messages call `system`. Nothing is connected to yet.
    pub fn new(system: impl Into<Arc<str>>, network: &Network, limits: Limits) -> Result<Self, NetworkError> {
        let builder = reqwest::Client::builder()
            .user_agent(concat!("bridgehead/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .referer(false)
            .connect_timeout(limits.connect.min(limits.request))
            .pool_idle_timeout(Duration::from_mins(1));
        let http = network.apply(builder)?.build().map_err(|error| NetworkError::Tls(cause(&error)))?;
        let (recording, trace) = (network.recording.clone(), network.trace.clone());
        Ok(Self { http, system: system.into(), limits, recording, trace })
    }

    /// The same client under another name, for requests to somebody else on the target's behalf. Connections are shared.
    pub fn named(&self, system: impl Into<Arc<str>>) -> Self {
        Self { system: system.into(), ..self.clone() }
    }

    /// Begins a request. Give it to [`send`](Self::send); reqwest's own `send` knows no bounds.
    pub fn request(&self, method: Method, url: Url) -> RequestBuilder {
        self.http.request(method, url)
    }

    /// The target's name in messages.
    pub fn system(&self) -> &str {
        &self.system
    }

    /// The file that the exchanges are recorded in, or answered from.
    pub(super) fn recording(&self) -> Option<&Recording> {
        self.recording.as_ref()
    }

    /// Sends a request, and reads the answer to its end, whatever its status. With a [`Recording`] that is replayed, it is
    /// answered from the file.
    ///
    /// # Errors
    /// | what happened | code | effect | subject |
    /// |---|---|---|---|
    /// | no connection came about | `TIMEOUT` | not applied | connection |
    /// | no answer in time | `TIMEOUT` | unknown | account |
    /// | the connection broke before the answer was whole | `TIMEOUT` | unknown | connection |
    /// | the answer is larger than it may be | `INTERNAL_ERROR` | unknown | account |
    /// | the request cannot be made | `INTERNAL_ERROR` | not applied | account |
    pub async fn send(&self, request: RequestBuilder) -> Result<Answer, Error> {
        let Some(recording) = &self.recording else { return self.traced(request).await };
        let (http, built) = request.build_split();
        let built = built.map_err(|error| self.unmade(error))?;
        let asked = recording.ask(&built);
        if !recording.is_recording() {
            return recording.answer(&asked, &self.system, built.url().clone());
        }
        let answer = self.traced(RequestBuilder::from_parts(http, built)).await?;
        recording.take(asked, &answer);
        Ok(answer)
    }

    /// Sends a request, and shows it and its answer to whoever wants to see them.
    async fn traced(&self, request: RequestBuilder) -> Result<Answer, Error> {
        let Some(trace) = &self.trace else { return self.exchange(request).await };
        let (http, built) = request.build_split();
        let built = built.map_err(|error| self.unmade(error))?;
        let asked = recording::Shown::asked(&built, trace);
        trace.sent(&self.system, &asked);
        let began = Instant::now();
        let answer = self.exchange(RequestBuilder::from_parts(http, built)).await;
        let milliseconds = began.elapsed().as_millis();
        match &answer {
            Ok(answer) => {
                let shown = recording::Shown::answered(answer, trace);
                trace.received(&self.system, &format!("{shown} ({milliseconds} ms)"));
            }
            Err(error) => {
                trace.received(&self.system, &format!("{} ({milliseconds} ms)", error.message()));
            }
        }
        answer
    }

    async fn exchange(&self, request: RequestBuilder) -> Result<Answer, Error> {
        let deadline = Instant::now() + self.limits.request;
        let system = &self.system;
        let mut response = match timeout_at(deadline, request.send()).await {
            Err(_) => return Err(self.late()),
            Ok(Err(error)) if error.is_builder() => return Err(self.unmade(error)),
            Ok(Err(error)) if error.is_connect() => {
                let message = format!("{system} is unreachable: {}", cause(&error));
                return Err(Error::unreachable(message).with_source(error.without_url()));
            }
            Ok(Err(error)) => return Err(self.broken(error)),
            Ok(Ok(response)) => response,
        };
        let body = match body::read(&mut response, self.limits.body, deadline).await {
            Ok(body) => body,
            Err(body::Error::Late) => return Err(self.late()),
            Err(body::Error::Cut(error)) => return Err(self.broken(error)),
            Err(body::Error::TooLarge(limit)) => {
                return Err(Error::new(
                    Code::InternalError,
                    format!("a response from {system} is larger than {limit} bytes"),
                ));
            }
        };
        let retry_after = retry_after::read(response.headers(), SystemTime::now());
        Ok(Answer::new(Arc::clone(system), &response, retry_after, body))
    }

    fn unmade(&self, error: reqwest::Error) -> Error {
        let message = format!("a request to {} cannot be created: {}", self.system, cause(&error));
        Error::internal(message).with_source(error.without_url())
    }

    fn late(&self) -> Error {
        let seconds = self.limits.request.as_secs_f64();
        Error::timeout(format!("{} did not respond within {seconds} s", self.system))
    }

    fn broken(&self, error: reqwest::Error) -> Error {
        let message =
            format!("the connection to {} failed before it responded: {}", self.system, cause(&error));
        Error::new(Code::Timeout, message)
            .with_effect(Effect::Unknown)
            .with_retry(Retry::Backoff)
            .with_subject(Subject::Connection)
            .with_source(error.without_url())
    }
}

impl Network {
    /// Has a client of reqwest go by this.
    pub fn apply(&self, builder: reqwest::ClientBuilder) -> Result<reqwest::ClientBuilder, NetworkError> {
        let mut builder = builder;
        let certificates = self.certificates()?;
        if !certificates.is_empty() {
            let certificates = certificates
                .iter()
                .map(|der| Certificate::from_der(der))
                .collect::<Result<Vec<_>, _>>()
                .map_err(|error| NetworkError::Authorities(error.to_string()))?;
            builder = builder.tls_certs_merge(certificates);
        }
        if let Some(url) = &self.proxy {
            let direct = format!("{},localhost,127.0.0.0/8,::1", self.no_proxy.join(","));
            let proxy = Proxy::all(url.clone())
                .map_err(|error| NetworkError::Proxy(cause(&error)))?
                .no_proxy(NoProxy::from_string(&direct));
            builder = builder.proxy(proxy);
        }
        Ok(builder)
    }
}

/// The chain of causes in one line, without the address, which may hold what is nobody's business.
fn cause(error: &reqwest::Error) -> String {
    let chain = std::iter::successors(std::error::Error::source(error), |error| error.source());
    let told = chain
        .map(ToString::to_string)
        .reduce(|all, one| if all.contains(&one) { all } else { format!("{all}: {one}") });
    told.unwrap_or_else(|| "the request failed".to_owned())
}
