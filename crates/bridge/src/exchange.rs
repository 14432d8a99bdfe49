//! Carries a request to the Bridge and returns its response: over HTTP, or to a simulation in the same process.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bridgehead_resilience::{Clock, SeededRng, SystemClock};
use bridgehead_sdk::http::proxy;
use reqwest::{Request, Response};

use super::answer::cause;
use super::transport;
use super::{BuildError, Settings};

/// Sends one request and returns its response, with any status. It never repeats a request.
#[async_trait]
pub trait Exchange: fmt::Debug + Send + Sync + 'static {
    /// Sends the request. The caller reads the body of the response later.
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

/// Sends requests over HTTP.
#[derive(Debug)]
struct Http {
    client: reqwest::Client,
    /// The name of the configured proxy in messages.
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

/// The client's access to the outside of the process, which a simulation can replace.
#[derive(Clone, Debug)]
pub struct Environment {
    /// Sends requests.
    pub exchange: Arc<dyn Exchange>,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
    /// The randomness of all delays.
    pub rng: Arc<SeededRng>,
}

impl Environment {
    /// HTTP, the system clock, and randomness from the operating system.
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
