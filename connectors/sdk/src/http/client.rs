//! Sends a request once.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use reqwest::{Certificate, Method, NoProxy, Proxy, RequestBuilder, Response, StatusCode, redirect};
use tokio::time::{Instant, timeout_at};
use url::Url;

use super::proxy;
use super::{Answer, Recording, body, recording, retry_after};
use crate::{Code, Effect, Error, Network, NetworkError, Retry, Subject, Trace};

/// The limits of one request.
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
    /// The time limit for connecting, including name resolution. If it is exceeded, it is certain that nothing was
    /// sent. Default: 10 seconds.
    pub connect: Duration,
    /// The time limit from connecting to the last byte of the response. Default: 30 seconds.
    pub request: Duration,
    /// The maximum size of a response in bytes, after decompression. Default: 16 MiB.
    pub body: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connect: Duration::from_secs(10), request: Duration::from_secs(30), body: 16 * 1024 * 1024 }
    }
}

impl Limits {
    /// The same limits with a different connect timeout.
    pub fn with_connect(self, connect: Duration) -> Self {
        Self { connect, ..self }
    }

    /// The same limits with a different timeout for the whole request.
    pub fn with_request(self, request: Duration) -> Self {
        Self { request, ..self }
    }

    /// The same limits with a different maximum size of the response.
    pub fn with_body(self, body: usize) -> Self {
        Self { body, ..self }
    }
}

/// Sends requests to one target.
///
/// It never retries: the runtime decides on retries, from the [`Error`] alone. Connections are pooled, so create one
/// client per connector and keep it. Redirects are not followed, because they could send a credential elsewhere;
/// cookies are not kept.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    system: Arc<str>,
    limits: Limits,
    recording: Option<Recording>,
    trace: Option<Trace>,
    /// How messages name the configured proxy.
    proxy: Option<Arc<str>>,
}

impl Client {
    /// A client for a target; messages call it `system`. Does not connect yet.
    pub fn new(system: impl Into<Arc<str>>, network: &Network, limits: Limits) -> Result<Self, NetworkError> {
        let builder = reqwest::Client::builder()
            .user_agent(concat!("bridgehead/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .referer(false)
            .connect_timeout(limits.connect.min(limits.request))
            .pool_idle_timeout(Duration::from_mins(1));
        let http = network.apply(builder)?.build().map_err(|error| NetworkError::Tls(cause(&error)))?;
        let (recording, trace) = (network.recording.clone(), network.trace.clone());
        let proxy = proxy::configured(network).map(Arc::from);
        Ok(Self { http, system: system.into(), limits, recording, trace, proxy })
    }

    /// The same client under a different name, for requests to another server on the target's behalf. Connections are
    /// shared.
    pub fn named(&self, system: impl Into<Arc<str>>) -> Self {
        Self { system: system.into(), ..self.clone() }
    }

    /// Starts a request. Pass it to [`send`](Self::send); reqwest's own `send` has no limits.
    pub fn request(&self, method: Method, url: Url) -> RequestBuilder {
        self.http.request(method, url)
    }

    /// The target's name in messages.
    pub fn system(&self) -> &str {
        &self.system
    }

    /// The recording that exchanges are written to, or replayed from.
    pub(super) fn recording(&self) -> Option<&Recording> {
        self.recording.as_ref()
    }

    /// Sends a request, and reads the complete response, whatever its status. With a [`Recording`] that is replayed,
    /// the response comes from the file.
    ///
    /// # Errors
    ///
    /// | what happened | code | effect | subject |
    /// |---|---|---|---|
    /// | no connection | `TIMEOUT` | not applied | connection |
    /// | no response in time | `TIMEOUT` | unknown | account |
    /// | the connection failed before the response was complete | `TIMEOUT` | unknown | connection |
    /// | the response cannot be decompressed | `INTERNAL_ERROR` | unknown | account |
    /// | the response is larger than the limit | `INTERNAL_ERROR` | unknown | account |
    /// | the request cannot be created | `INTERNAL_ERROR` | not applied | account |
    ///
    /// If the status alone says what happened (401, 408, 429 and 5xx), the response is returned even if its body cannot be read, with an
    /// empty one.
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

    /// Sends a request, and passes it and its response to the observer, if there is one.
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
                let why = proxy::explained(cause(&error), self.proxy.as_deref());
                let message = format!("{system} is unreachable: {why}");
                return Err(Error::unreachable(message).with_source(error.without_url()));
            }
            Ok(Err(error)) => return Err(self.broken(error)),
            Ok(Ok(response)) => response,
        };
        let body = match body::read(&mut response, self.limits.body, deadline).await {
            Ok(body) => body,
            Err(_) if says_enough(response.status()) => Vec::new(),
            Err(error) => return Err(self.unread(&response, error)),
        };
        let retry_after = retry_after::read(response.headers(), SystemTime::now());
        Ok(Answer::new(Arc::clone(system), &response, retry_after, body))
    }

    /// The error for a response whose body cannot be read.
    fn unread(&self, response: &Response, error: body::Error) -> Error {
        let (system, status) = (&self.system, response.status().as_u16());
        // The target responds, so only this request is repeated.
        let damaged = |what: String| {
            let message = format!(
                "{system} returned {status} with a body that {what}; check it and any proxy in front of it"
            );
            Error::new(Code::InternalError, message).with_retry(Retry::Backoff)
        };
        match error {
            body::Error::Late => self.late(),
            body::Error::Cut(error) => self.broken(error),
            body::Error::Damaged(error) => damaged("cannot be decompressed".to_owned()).with_source(error),
            body::Error::Encoded(name) => {
                damaged(format!("is compressed with {name}, which was not requested"))
            }
            body::Error::TooLarge(limit) => Error::new(
                Code::InternalError,
                format!("a response from {system} is larger than {limit} bytes"),
            ),
        }
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
    /// Applies the network settings to a reqwest client.
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

/// Whether a status says what happened, whatever the body says.
fn says_enough(status: StatusCode) -> bool {
    matches!(status.as_u16(), 401 | 408 | 429 | 500..=599)
}

/// The chain of causes in one line, without the URL, which may contain confidential data.
fn cause(error: &reqwest::Error) -> String {
    let chain = std::iter::successors(std::error::Error::source(error), |error| error.source());
    let told = chain
        .map(ToString::to_string)
        .reduce(|all, one| if all.contains(&one) { all } else { format!("{all}: {one}") });
    told.unwrap_or_else(|| "the request failed".to_owned())
}
