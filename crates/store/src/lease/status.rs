//! The status of each app as the node that runs it reports it, for the status pages of the other nodes.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

use super::super::{AppKey, Error};

/// What the node that runs an app has last reported about it.
#[derive(Clone, PartialEq, Eq)]
pub struct Reported {
    /// The app's id.
    pub app: String,
    /// The status. Its format is up to the nodes.
    pub body: Vec<u8>,
    /// The time since it was reported.
    pub age: Duration,
}

/// Passes the status of apps between nodes. It is only for display: it may be lost at any time, and nothing else depends on it.
#[async_trait]
pub trait SharedStatus: fmt::Debug + Send + Sync {
    /// Reports the status of apps. Apps that this process does not own are ignored.
    async fn report(&self, apps: &[(AppKey, Vec<u8>)]) -> Result<(), Error>;

    /// Returns what the current owners of apps have reported, except this process.
    async fn reported(&self) -> Result<Vec<Reported>, Error>;
}

impl fmt::Debug for Reported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { app, body, age } = self;
        write!(f, "Reported {{ app: {app}, {} bytes, age: {age:?} }}", body.len())
    }
}
