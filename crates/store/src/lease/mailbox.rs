//! Requests of operators to the node that runs an app, through the database: nodes need not reach each other.

use std::fmt;

use async_trait::async_trait;

use super::super::{AppKey, Error};

/// A request to another node.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    /// Its id.
    pub id: String,
    /// The app.
    pub app: AppKey,
    /// Who asks, and on which node.
    pub actor: String,
    /// What is asked for. The sender and the recipient agree on the format.
    pub body: Vec<u8>,
}

/// The state of a request.
#[derive(Clone, PartialEq, Eq)]
pub enum Progress {
    /// The recipient has not seen it.
    Waiting,
    /// The recipient has started it.
    Taken,
    /// The recipient has answered.
    Answered(Vec<u8>),
    /// It no longer exists.
    Gone,
}

/// Passes requests between nodes. Each request is taken at most once.
#[async_trait]
pub trait Mailbox: fmt::Debug + Send + Sync {
    /// Sends a request to a process, and returns its id.
    async fn send(&self, app: &AppKey, process: &str, actor: &str, body: &[u8]) -> Result<String, Error>;

    /// The state of a request that this process has sent.
    async fn progress(&self, id: &str) -> Result<Progress, Error>;

    /// Removes a request that was not taken, or has been answered. False if the recipient is at it.
    async fn withdraw(&self, id: &str) -> Result<bool, Error>;

    /// Takes all requests for this process.
    async fn take(&self) -> Result<Vec<Request>, Error>;

    /// Answers a request.
    async fn answer(&self, id: &str, body: &[u8]) -> Result<(), Error>;
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, app, actor, body } = self;
        let size = body.len();
        write!(f, "Request {{ id: {id}, app: {app}, actor: {actor}, {size} bytes }}")
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Waiting => f.write_str("Waiting"),
            Self::Taken => f.write_str("Taken"),
            Self::Answered(body) => write!(f, "Answered({} bytes)", body.len()),
            Self::Gone => f.write_str("Gone"),
        }
    }
}
