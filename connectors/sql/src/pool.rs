//! Connections that are used again.
//!
//! sqlx's own pool tries again until its deadline when nobody listens, and then says the same as when all connections are in
//! use. The runtime must tell the two apart, and it alone tries again; so this one makes one attempt, and says which it was. It
//! has no task of its own: a connection that was idle for too long is dropped when the next one is asked for.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout};

use crate::driver::{Answer, Session, Target};
use crate::fault::Fault;
use crate::plan::{Kind, Statement};
use crate::value::Bound;

/// How much longer than the server the connector waits before it gives up: the server cancels first, and says so.
const GRACE: Duration = Duration::from_secs(2);

/// Connections to one database. It has no `Debug`: the password is inside.
pub(crate) struct Pool {
    target: Target,
    permits: Semaphore,
    size: usize,
    idle: Mutex<Vec<(Box<dyn Session>, Instant)>>,
    acquire_timeout: Duration,
    idle_timeout: Duration,
}

/// A connection that nobody else uses meanwhile. When it is dropped before [`release`](Self::release), as a call at its deadline
/// is, the connection ends, and the server rolls back.
pub(crate) struct Lease<'a> {
    pool: &'a Pool,
    session: Option<Box<dyn Session>>,
    _permit: SemaphorePermit<'a>,
}

impl Pool {
    /// A pool without a connection.
    pub(crate) fn new(
        target: Target,
        size: usize,
        acquire_timeout: Duration,
        idle_timeout: Duration,
    ) -> Self {
        Self {
            target,
            permits: Semaphore::new(size),
            size,
            idle: Mutex::default(),
            acquire_timeout,
            idle_timeout,
        }
    }

    /// Waits for a connection to be free, or makes one.
    pub(crate) async fn acquire(&self) -> Result<Lease<'_>, Fault> {
        let permit = timeout(self.acquire_timeout, self.permits.acquire()).await;
        let Ok(Ok(permit)) = permit else { return Err(Fault::Busy(self.size)) };
        let session = match self.reuse().await {
            Some(session) => session,
            None => self.target.connect().await?,
        };
        Ok(Lease { pool: self, session: Some(session), _permit: permit })
    }

    /// Takes a connection that was used before, if the server still knows of it.
    async fn reuse(&self) -> Option<Box<dyn Session>> {
        loop {
            let (mut session, since) = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()?;
            if since.elapsed() >= self.idle_timeout {
                continue;
            }
            if let Ok(Ok(())) = timeout(self.target.connect_timeout, session.ping()).await {
                return Some(session);
            }
            // The others are as old: the server was restarted, or the way to it was cut.
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
    }

    /// Ends the connections that are not in use.
    pub(crate) async fn close(&self) {
        let idle = std::mem::take(&mut *self.idle.lock().unwrap_or_else(PoisonError::into_inner));
        let goodbyes = idle.into_iter().map(|(session, _)| timeout(GRACE, session.close()));
        futures::future::join_all(goodbyes).await;
    }
}

impl Lease<'_> {
    /// Runs a statement.
    pub(crate) async fn run(&mut self, statement: &Statement, values: Vec<Bound>) -> Result<Answer, Fault> {
        let mut session = self.take()?;
        let answer = timeout(self.limit(), session.run(Arc::clone(&statement.sql), values, true)).await;
        self.settle(session, answer)
    }

    /// Runs a statement that another one made. The connection does not keep it: there may be a secret in it.
    pub(crate) async fn run_made(&mut self, sql: &str) -> Result<Answer, Fault> {
        let mut session = self.take()?;
        let answer = timeout(self.limit(), session.run(Arc::from(sql), Vec::new(), false)).await;
        self.settle(session, answer)
    }

    /// Lets the server look at a statement without running it.
    pub(crate) async fn prepare(&mut self, statement: &Statement) -> Result<(), Fault> {
        let kinds: Vec<Kind> = statement.slots.iter().map(|slot| slot.kind).collect();
        let mut session = self.take()?;
        let done = timeout(self.limit(), session.prepare(Arc::clone(&statement.sql), &kinds)).await;
        self.settle(session, done)
    }

    /// Begins a transaction.
    pub(crate) async fn begin(&mut self) -> Result<(), Fault> {
        let mut session = self.take()?;
        let done = timeout(self.limit(), session.begin()).await;
        self.settle(session, done)
    }

    /// Commits it.
    pub(crate) async fn commit(&mut self) -> Result<(), Fault> {
        let mut session = self.take()?;
        let done = timeout(self.limit(), session.commit()).await;
        self.settle(session, done)
    }

    /// Rolls back. A connection that cannot even do that is ended, and the server rolls back then.
    pub(crate) async fn roll_back(&mut self) {
        let Ok(mut session) = self.take() else { return };
        if let Ok(Ok(())) = timeout(self.limit(), session.roll_back()).await {
            self.session = Some(session);
        }
    }

    /// Gives the connection back.
    pub(crate) fn release(mut self) {
        if let Some(session) = self.session.take() {
            let mut idle = self.pool.idle.lock().unwrap_or_else(PoisonError::into_inner);
            idle.push((session, Instant::now()));
        }
    }

    fn limit(&self) -> Duration {
        self.pool.target.statement_timeout + GRACE
    }

    /// Takes the connection for one call, so that it ends with a call that is dropped.
    fn take(&mut self) -> Result<Box<dyn Session>, Fault> {
        self.session.take().ok_or_else(|| Fault::Lost("it was given up after an error".to_owned()))
    }

    /// Puts the connection back after a call, unless it cannot be used any more.
    fn settle<T>(
        &mut self,
        session: Box<dyn Session>,
        result: Result<Result<T, Fault>, Elapsed>,
    ) -> Result<T, Fault> {
        let result = result.unwrap_or(Err(Fault::Silent));
        if result.as_ref().map_or_else(Fault::leaves_connection, |_| true) {
            self.session = Some(session);
        }
        result
    }
}
