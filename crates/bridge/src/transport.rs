//! How calls are sent: the key, the breaker, the operator's rate limit, and retries.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use bridgehead_resilience::{self as resilience, Jitter, Next, RetryPolicy};
use reqwest::header::{ACCEPT, HeaderMap, HeaderValue};
use tokio::sync::watch;
use tokio::time::Instant;

use super::answer::{self, Answer, Bounds, Request};
use super::breaker::{BreakerSettings, BridgeBreaker, Outcome, Permit, Refusal};
use super::clock::{ClockReading, Dated, LastReading};
use super::exchange::Environment;
use super::key::KeyRing;
use super::limiter::Limiter;
use super::{ApiKey, BuildError, Error, Health, KeyError, KeySource, Retry, Settings};

/// The timeout for connecting. If it expires, nothing was sent, and this is certain.
const CONNECT: Duration = Duration::from_secs(10);

/// Sends calls. There is one for each key, shared by all its users.
#[derive(Debug)]
pub(super) struct Transport {
    environment: Environment,
    keys: KeyRing,
    gate: BridgeBreaker,
    limiter: Option<Limiter>,
    bounds: Bounds,
    patience: Duration,
    clock: LastReading,
}

/// A call that failed.
struct Failure {
    error: Error,
    /// Whether the call was sent. If it was delayed until its patience ended, retrying is pointless.
    tried: bool,
}

impl Transport {
    pub(super) fn new(
        mut environment: Environment,
        settings: &Settings,
        key: Arc<dyn KeySource>,
        pace: BreakerSettings,
    ) -> Result<Self, BuildError> {
        let last = LastReading::default();
        environment.exchange = Arc::new(Dated {
            exchange: environment.exchange,
            clock: Arc::clone(&environment.clock),
            last: Arc::clone(&last),
        });
        Ok(Self {
            clock: last,
            keys: KeyRing::new(key),
            gate: BridgeBreaker::new(pace, Arc::clone(&environment.clock), Arc::clone(&environment.rng)),
            limiter: settings.rate_limit.map(|limit| limit.quota().map(Limiter::new)).transpose()?,
            bounds: Bounds { time: settings.request_timeout, bytes: settings.max_body_bytes },
            patience: settings.patience,
            environment,
        })
    }

    pub(super) async fn renew_key(&self) -> Result<(), KeyError> {
        self.keys.read().await.map(drop)
    }

    pub(super) fn health(&self) -> watch::Receiver<Health> {
        self.gate.health()
    }

    pub(super) fn clock(&self) -> Option<ClockReading> {
        *self.clock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a call, and repeats it if that is safe and may help.
    pub(super) async fn send(&self, request: &Request, retry: Retry) -> Result<Answer, Error> {
        let policy = RetryPolicy::new(retry.base, retry.cap).with_jitter(Jitter::Full);
        let retry = resilience::Retry::new(policy, &self.environment.rng).max_attempts(retry.tries);
        let answer =
            retry.run(|attempt| self.attempt(request, attempt), |failure| self.next(failure), |_| {});
        answer.await.map_err(|failure| failure.error)
    }

    /// Whether to retry a failed call within the patience.
    fn next(&self, failure: &Failure) -> Next {
        if !failure.tried || !failure.error.is_safe_to_repeat() {
            return Next::GiveUp;
        }
        match &failure.error {
            // The breaker does this waiting for all calls.
            Error::RateLimited { .. } => Next::Retry,
            error => match error.retry_after() {
                Some(asked) if asked > self.patience => Next::GiveUp,
                Some(asked) => Next::RetryAfter(asked),
                None => Next::Retry,
            },
        }
    }

    /// Makes a call once, or twice if the key was rejected and has been replaced in the meantime.
    async fn attempt(&self, request: &Request, attempt: u32) -> Result<Answer, Failure> {
        let mut key = self.keys.current().await.map_err(|cause| self.no_key(request, cause))?;
        let mut renewed = false;
        loop {
            let pass = self.enter(request).await.map_err(|error| Failure { error, tried: false })?;
            if request.only_if.as_ref().is_some_and(|condition| !condition.holds()) {
                let what = "its precondition no longer holds after the wait".to_owned();
                let error = Error::Invalid { call: request.call.clone(), what };
                return Err(Failure { error, tried: false });
            }
            let result = self.exchange(request, &key, attempt).await;
            pass.record(outcome(&result));
            if renewed || !matches!(result, Err(Error::Unauthorized { .. })) {
                return result.map_err(|error| Failure { error, tried: true });
            }
            match self.keys.renewed(&key).await {
                Ok(Some(other)) => {
                    tracing::info!(
                        "the Bridge rejected the API key, which has since been replaced; repeating the call"
                    );
                    (key, renewed) = (other, true);
                }
                Ok(None) => return result.map_err(|error| Failure { error, tried: true }),
                Err(cause) => {
                    tracing::warn!(%cause, "the Bridge rejected the API key, and the key cannot be reloaded");
                    return result.map_err(|error| Failure { error, tried: true });
                }
            }
        }
    }

    fn no_key(&self, request: &Request, cause: KeyError) -> Failure {
        self.gate.without_key(cause.to_string());
        Failure { error: Error::Key { call: request.call.clone(), cause }, tried: false }
    }

    /// Waits for the breaker and the limit. Asks the breaker again if its state changed while waiting for the limit.
    async fn enter(&self, request: &Request) -> Result<Permit<'_>, Error> {
        let patience = Instant::now() + self.patience;
        loop {
            let pass = self.gate.pass(patience).await.map_err(|refusal| held_back(request, refusal))?;
            if let Some(limiter) = &self.limiter {
                limiter.ready().await;
            }
            if pass.is_valid() {
                return Ok(pass);
            }
        }
    }

    async fn exchange(&self, request: &Request, key: &ApiKey, attempt: u32) -> Result<Answer, Error> {
        let start = Instant::now();
        let mut result = answer::once(&self.environment, request, key, self.bounds).await;
        if let Ok(answer) = &mut result {
            answer.repeated = attempt > 1;
        }
        tracing::debug!(
            method = %request.method,
            path = request.url.path(),
            attempt,
            milliseconds = start.elapsed().as_millis(),
            answer = in_a_word(&result),
            "called the Bridge"
        );
        result
    }
}

fn held_back(request: &Request, refusal: Refusal) -> Error {
    let call = request.call.clone();
    match refusal {
        Refusal::Paused(wait) => Error::RateLimited { call, retry_after: Some(wait) },
        Refusal::Down(cause) => {
            let cause = format!("unavailable, as earlier calls showed: {cause}");
            Error::NotSent { call, cause, known: true }
        }
    }
}

/// The result of a call, as far as the breaker is concerned. Any response except a server error shows that the Bridge is up.
fn outcome(result: &Result<Answer, Error>) -> Outcome {
    match result {
        Err(Error::RateLimited { retry_after, .. }) => Outcome::Throttled(*retry_after),
        Err(Error::Unauthorized { .. }) => {
            Outcome::Refused("the Bridge rejected the API key (401)".to_owned())
        }
        Err(Error::Server { status, .. }) => Outcome::Failed(format!("it responds with {status}")),
        Err(Error::NotSent { cause, .. } | Error::NoAnswer { cause, .. }) => Outcome::Failed(cause.clone()),
        Ok(_) | Err(_) => Outcome::Answered,
    }
}

/// The response in a word, for the log.
fn in_a_word(result: &Result<Answer, Error>) -> String {
    match result {
        Ok(answer) => answer.status().to_string(),
        Err(Error::BadRequest { .. }) => "400".to_owned(),
        Err(Error::Unauthorized { .. }) => "401".to_owned(),
        Err(Error::Forbidden { .. }) => "403".to_owned(),
        Err(Error::NotFound { .. }) => "404".to_owned(),
        Err(Error::Conflict { .. }) => "409".to_owned(),
        Err(Error::Unprocessable { .. }) => "422".to_owned(),
        Err(Error::RateLimited { .. }) => "429".to_owned(),
        Err(Error::Server { status, .. } | Error::Unexpected { status, .. }) => status.to_string(),
        Err(Error::NotSent { cause, .. } | Error::NoAnswer { cause, .. }) => cause.clone(),
        Err(_) => "an unusable response".to_owned(),
    }
}

pub(super) fn http(settings: &Settings) -> Result<reqwest::Client, BuildError> {
    let headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("application/json"))]);
    let builder = reqwest::Client::builder()
        .user_agent(concat!("bridgehead/", env!("CARGO_PKG_VERSION")))
        .default_headers(headers)
        // The key must not be sent to the target of a redirect.
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .https_only(settings.base_url.scheme() == "https")
        .connect_timeout(CONNECT.min(settings.request_timeout))
        .pool_idle_timeout(Duration::from_mins(1))
        // Detects a connection that a firewall dropped, so that calls do not keep using it.
        .http2_keep_alive_interval(Duration::from_secs(20))
        .http2_keep_alive_timeout(Duration::from_secs(10));
    let builder = settings.network.apply(builder).map_err(|error| BuildError::Http(error.to_string()))?;
    // Proxies are for external hosts; the sandbox is on this machine.
    let builder = if settings.is_local() { builder.no_proxy() } else { builder };
    builder.build().map_err(|error| {
        let cause = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
        BuildError::Http(cause)
    })
}
