//! What carries a request to the Bridge and brings its response: HTTP, or a simulation in the same process.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bridgehead_resilience::{Clock, SeededRng, SystemClock};
use bridgehead_sdk::http::proxy;
use reqwest::{Request, Response};

use super::answer::cause;
use super::transport;
use super::{BuildError, Settings};

/// Sends one request and returns its response, whatever its status. It never repeats a request.
#[async_trait]
pub trait Exchange: fmt::Debug + Send + Sync + 'static {
    /// Sends the request. The body of the response is read later, by the caller.
    async fn exchange(&self, request: Request) -> Result<Response, Undelivered>;
}

/// Why there is no response.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Undelivered {
    /// Nothing was sent.
    #[error("the request was not sent: {0}")]
    NotSent(String),
    /// The request may have been received.
    #[error("no response: {0}")]
    NoAnswer(String),
}

/// Over HTTP.
#[derive(Debug)]
struct Http {
    client: reqwest::Client,
    /// What the configured proxy is called in messages.
    proxy: Option<String>,
}

#[async_trait]
impl Exchange for Http {
    async fn exchange(&self, request: Request) -> Result<Response, Undelivered> {
        self.client.execute(request).await.map_err(|error| {
            if error.is_connect() || error.is_builder() {
                Undelivered::NotSent(proxy::explained(cause(error), self.proxy.as_deref()))
            } else {
                Undelivered::NoAnswer(cause(error))
            }
        })
    }
}

/// What a client reaches outside of the process, so that a simulation can replace it.
#[derive(Clone, Debug)]
pub struct Environment {
    /// What carries requests.
    pub exchange: Arc<dyn Exchange>,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
    /// The randomness of all waits.
    pub rng: Arc<SeededRng>,
}

impl Environment {
    /// HTTP, the machine's clock, and randomness from the operating system.
    pub(super) fn real(settings: &Settings) -> Result<Self, BuildError> {
        Ok(Self {
            exchange: Arc::new(Http {
                client: transport::http(settings)?,
                proxy: proxy::configured(&settings.network),
            }),
            clock: Arc::new(SystemClock),
            rng: Arc::new(SeededRng::from_os()),
        })
    }
}
