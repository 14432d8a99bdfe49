//! The network between a node and the database.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use super::super::super::Error;

/// A request or its answer was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost;

/// Carries the requests of one process.
#[async_trait]
pub trait Link: fmt::Debug + Send + Sync + 'static {
    /// Carries a request: it is executed as soon as this returns. An error means that it never arrives.
    async fn there(&self) -> Result<(), Lost>;

    /// Carries the answer to a request that was executed. An error means that the process never gets it.
    async fn back(&self) -> Result<(), Lost>;
}

/// Takes no time, and loses nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Direct;

#[async_trait]
impl Link for Direct {
    async fn there(&self) -> Result<(), Lost> {
        Ok(())
    }

    async fn back(&self) -> Result<(), Lost> {
        Ok(())
    }
}

impl From<Lost> for Error {
    fn from(_: Lost) -> Self {
        let source = sqlx::Error::Io(std::io::ErrorKind::TimedOut.into());
        Self::Postgres { place: "memory".to_owned(), source: Arc::new(source) }
    }
}
