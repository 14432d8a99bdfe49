//! A few connections for tasks and look-ups.
//!
//! The client library knows neither pools nor reconnecting. A connection is used by one operation at a time, so that an
//! operation reads what it wrote also behind a load balancer. It is used again only if every request on it was answered,
//! the server has not closed it, and it was not left alone for long: firewalls forget idle connections without a word.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::endpoint::Endpoint;
use crate::failure::Failure;
use crate::session::Session;

/// How long a connection may be idle and still be used again.
const IDLE: Duration = Duration::from_secs(30);

/// The connections.
#[derive(Debug)]
pub(crate) struct Pool {
    endpoint: Arc<Endpoint>,
    places: Arc<Semaphore>,
    idle: Mutex<Vec<(Arc<Session>, Instant)>>,
}

/// A connection that nobody else uses meanwhile. It goes back when this is dropped, if it is still good.
#[derive(Debug)]
pub(crate) struct Lease {
    pool: Arc<Pool>,
    session: Arc<Session>,
    _place: Option<OwnedSemaphorePermit>,
}

impl Pool {
    pub(crate) fn new(endpoint: Arc<Endpoint>, size: u8) -> Arc<Self> {
        let places = Arc::new(Semaphore::new(usize::from(size)));
        Arc::new(Self { endpoint, places, idle: Mutex::default() })
    }

    /// A connection, as soon as there is one: one that was used before, or a new one.
    pub(crate) async fn lease(self: &Arc<Self>) -> Result<Lease, Failure> {
        // The semaphore is never closed.
        let place = Arc::clone(&self.places).acquire_owned().await.ok();
        let session = match self.take() {
            Some(session) => session,
            None => Arc::new(Session::open(&self.endpoint).await?),
        };
        Ok(Lease { pool: Arc::clone(self), session, _place: place })
    }

    /// Closes what nobody uses.
    pub(crate) fn close(&self) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn take(&self) -> Option<Arc<Session>> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        idle.retain(|(session, since)| session.is_usable() && now.duration_since(*since) < IDLE);
        idle.pop().map(|(session, _)| session)
    }
}

impl std::ops::Deref for Lease {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.session
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.session.is_usable() {
            let mut idle = self.pool.idle.lock().unwrap_or_else(PoisonError::into_inner);
            idle.push((Arc::clone(&self.session), Instant::now()));
        }
    }
}
