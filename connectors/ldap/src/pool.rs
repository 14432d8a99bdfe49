//! A small connection pool for tasks and look-ups.
//!
//! The client library has neither pools nor reconnects. A connection is used by one operation at a time, so that an operation reads its own
//! writes even behind a load balancer. It is only reused if every request on it was answered, the server has not closed it, and it was not
//! idle for long: firewalls silently drop idle connections.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::endpoint::Endpoint;
use crate::failure::Failure;
use crate::session::Session;

/// How long a connection may be idle and still be reused.
const IDLE: Duration = Duration::from_secs(30);

/// The pool.
#[derive(Debug)]
pub(crate) struct Pool {
    endpoint: Arc<Endpoint>,
    places: Arc<Semaphore>,
    idle: Mutex<Vec<(Arc<Session>, Instant)>>,
}

/// Exclusive use of a connection. When this is dropped, the connection returns to the pool if it is still usable.
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

    /// Waits for a free place, and returns a pooled or a new connection.
    pub(crate) async fn lease(self: &Arc<Self>) -> Result<Lease, Failure> {
        // The semaphore is never closed.
        let place = Arc::clone(&self.places).acquire_owned().await.ok();
        let session = match self.take() {
            Some(session) => session,
            None => Arc::new(Session::open(&self.endpoint).await?),
        };
        Ok(Lease { pool: Arc::clone(self), session, _place: place })
    }

    /// Closes the idle connections.
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
