//! A connection pool.
//!
//! sqlx's own pool retries until its deadline when the server is down, and then returns the same error as when all
//! connections are in use. The runtime must distinguish the two, and only the runtime retries; so this pool makes one
//! attempt, and says which case it was. It has no background task: a connection that was idle for too long is dropped
//! when the next one is requested.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout};

use crate::driver::{Answer, Columns, Session, Target, Transaction};
use crate::fault::{self, Fault, ServerMessage};
use crate::plan::{Kind, Statement};
use crate::traced::{self, Conversation, Heard};
use crate::value::Bound;

/// How much longer the connector waits than the server: the server cancels first, and reports it.
const GRACE: Duration = Duration::from_secs(2);

/// A pool of connections to one database. It has no `Debug`, because it contains the password.
pub(crate) struct Pool {
    target: Target,
    conversation: Conversation,
    permits: Arc<Semaphore>,
    size: usize,
    idle: Mutex<Vec<(Box<dyn Session>, Instant)>>,
    acquire_timeout: Duration,
    idle_timeout: Duration,
}

/// Exclusive use of a connection. If this is dropped before [`release`](Self::release), as when a call reaches its deadline, the connection
/// is closed, and the server rolls back.
pub(crate) struct Lease {
    pool: Arc<Pool>,
    session: Option<Box<dyn Session>>,
    /// The last uniqueness violation.
    taken: Option<ServerMessage>,
    /// A statement of the transaction may have committed a part of it, so that rolling back does not undo everything.
    may_have_committed: bool,
    /// The connection can be used until the end of the transaction, but not after it.
    is_last: bool,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Pool {
    /// An empty pool.
    pub(crate) fn new(
        target: Target,
        conversation: Conversation,
        size: usize,
        acquire_timeout: Duration,
        idle_timeout: Duration,
    ) -> Self {
        Self {
            target,
            conversation,
            permits: Arc::new(Semaphore::new(size)),
            size,
            idle: Mutex::default(),
            acquire_timeout,
            idle_timeout,
        }
    }

    /// Waits for a free connection, or opens one.
    pub(crate) async fn acquire(self: &Arc<Self>) -> Result<Lease, Fault> {
        let permit = timeout(self.acquire_timeout, Arc::clone(&self.permits).acquire_owned()).await;
        let Ok(Ok(permit)) = permit else { return Err(Fault::Busy(self.size)) };
        self.lease(Some(permit)).await
    }

    /// An additional connection for a listing that keeps it from page to page, so that tasks need not wait for it.
    pub(crate) async fn beside(self: &Arc<Self>) -> Result<Lease, Fault> {
        self.lease(None).await
    }

    async fn lease(self: &Arc<Self>, permit: Option<OwnedSemaphorePermit>) -> Result<Lease, Fault> {
        let session = if let Some(session) = self.reuse().await {
            session
        } else {
            self.conversation.asks(|| format!("connect to {}", self.target.engine.title()));
            let connected = self.target.connect().await.map_err(Fault::before_statements);
            self.conversation.hears(&connected);
            connected?
        };
        Ok(Lease {
            pool: Arc::clone(self),
            session: Some(session),
            taken: None,
            may_have_committed: false,
            is_last: false,
            _permit: permit,
        })
    }

    /// Takes an idle connection that the server still accepts.
    async fn reuse(&self) -> Option<Box<dyn Session>> {
        loop {
            let (mut session, since) = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()?;
            if since.elapsed() >= self.idle_timeout {
                continue;
            }
            if let Ok(Ok(())) = timeout(self.target.connect_timeout, session.ping()).await {
                return Some(session);
            }
            // The others are as old: the server was restarted, or the network failed.
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
    }

    /// Closes the idle connections.
    pub(crate) async fn close(&self) {
        let idle = std::mem::take(&mut *self.idle.lock().unwrap_or_else(PoisonError::into_inner));
        let goodbyes = idle.into_iter().map(|(session, _)| timeout(GRACE, session.close()));
        futures::future::join_all(goodbyes).await;
    }
}

impl Lease {
    /// Runs a statement.
    pub(crate) async fn run(&mut self, statement: &Statement, values: Vec<Bound>) -> Result<Answer, Fault> {
        self.may_have_committed |= statement.may_commit;
        self.run_as(&statement.sql, values).await
    }

    /// Whether a part of the transaction may stay, even if it is rolled back.
    pub(crate) fn may_have_committed(&self) -> bool {
        self.may_have_committed
    }

    /// Runs another form of a statement with the same parameters.
    pub(crate) async fn run_as(&mut self, sql: &Arc<str>, values: Vec<Bound>) -> Result<Answer, Fault> {
        let mut session = self.take()?;
        self.pool.conversation.asks(|| traced::statement(sql, &values));
        let answer = timeout(self.limit(), session.run(Arc::clone(sql), values)).await;
        self.settle(session, answer)
    }

    /// Runs a statement without parameters that another one generated.
    pub(crate) async fn run_made(&mut self, sql: &str) -> Result<Answer, Fault> {
        self.run_once(sql, traced::made).await
    }

    async fn run_once(&mut self, sql: &str, shown: impl FnOnce(&str) -> String) -> Result<Answer, Fault> {
        let mut session = self.take()?;
        self.pool.conversation.asks(|| shown(sql));
        let answer = timeout(self.limit(), session.run_made(Arc::from(sql))).await;
        self.settle(session, answer)
    }

    /// Lets the server parse a statement without running it, and returns its columns.
    pub(crate) async fn prepare(&mut self, statement: &Statement) -> Result<Columns, Fault> {
        let kinds: Vec<Kind> = statement.slots.iter().map(|slot| slot.kind).collect();
        let mut session = self.take()?;
        self.pool.conversation.asks(|| traced::prepare(&statement.sql, &kinds));
        let done = timeout(self.limit(), session.prepare(Arc::clone(&statement.sql), &kinds)).await;
        self.settle(session, done)
    }

    /// Begins a transaction. If this fails, the connection is not used again, because the transaction may have started.
    pub(crate) async fn begin(&mut self, transaction: Transaction) -> Result<(), Fault> {
        let mut session = self.take()?;
        self.pool.conversation.asks(|| format!("begin ({transaction:?})"));
        let done = timeout(self.limit(), session.begin(transaction)).await.unwrap_or(Err(Fault::Silent));
        let done = done.map_err(Fault::before_statements);
        self.pool.conversation.hears(&done);
        if done.is_ok() {
            self.session = Some(session);
        }
        done
    }

    /// Runs a statement whose failure does not affect the rest of the transaction: in PostgreSQL, any error otherwise ends it.
    pub(crate) async fn attempt(
        &mut self,
        sql: &Arc<str>,
        values: Vec<Bound>,
    ) -> Result<Result<Answer, Fault>, Fault> {
        self.run_once("SAVEPOINT bridgehead", str::to_owned).await?;
        let is_last = self.is_last;
        match self.run_as(sql, values).await {
            Ok(answer) => {
                self.run_once("RELEASE SAVEPOINT bridgehead", str::to_owned).await?;
                Ok(Ok(answer))
            }
            Err(fault) if self.session.is_some() => {
                self.is_last = is_last;
                self.run_once("ROLLBACK TO SAVEPOINT bridgehead", str::to_owned).await?;
                Ok(Err(fault))
            }
            Err(fault) => Err(fault),
        }
    }

    /// Takes the uniqueness violation of the last statement, if there was one.
    pub(crate) fn taken(&mut self) -> Option<ServerMessage> {
        self.taken.take()
    }

    /// Commits the transaction.
    pub(crate) async fn commit(&mut self) -> Result<(), Fault> {
        let mut session = self.take()?;
        self.pool.conversation.asks(|| "commit".to_owned());
        let done = timeout(self.limit(), session.commit()).await;
        self.settle(session, done)
    }

    /// Rolls back. If this fails, the connection is closed, and the server then rolls back.
    pub(crate) async fn roll_back(&mut self) {
        let Ok(mut session) = self.take() else { return };
        self.pool.conversation.asks(|| "roll back".to_owned());
        let done = timeout(self.limit(), session.roll_back()).await.unwrap_or(Err(Fault::Silent));
        self.pool.conversation.hears(&done);
        if done.is_ok() {
            self.session = Some(session);
        }
    }

    /// Returns the connection to the pool.
    pub(crate) fn release(mut self) {
        if let Some(session) = self.session.take() {
            let mut idle = self.pool.idle.lock().unwrap_or_else(PoisonError::into_inner);
            if idle.len() < self.pool.size && !self.is_last {
                idle.push((session, Instant::now()));
            }
        }
    }

    /// Ends a read-only transaction, and returns the connection to the pool.
    pub(crate) async fn finish(mut self) {
        self.roll_back().await;
        self.release();
    }

    fn limit(&self) -> Duration {
        self.pool.target.statement_timeout + GRACE
    }

    /// Takes the connection for one call, so that it is closed if the call is dropped.
    fn take(&mut self) -> Result<Box<dyn Session>, Fault> {
        self.session.take().ok_or_else(|| Fault::Lost("it was discarded after an error".to_owned()))
    }

    /// Returns the connection after a call, unless it is unusable.
    fn settle<T: Heard>(
        &mut self,
        session: Box<dyn Session>,
        result: Result<Result<T, Fault>, Elapsed>,
    ) -> Result<T, Fault> {
        let result = result.unwrap_or(Err(Fault::Silent));
        self.pool.conversation.hears(&result);
        // For example, a function's cached plan no longer matches: a new connection creates a new plan.
        self.is_last |= matches!(&result, Err(Fault::ServerMessage(told)) if told.code == "0A000");
        match &result {
            Err(fault) if fault.is_of_all_connections() => {
                // Idle connections have the same problem. Connections in use will detect it themselves.
                self.pool.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
            }
            Err(fault) if !fault.leaves_connection() => {}
            Err(Fault::ServerMessage(told)) if told.kind == fault::Kind::Unique => {
                self.taken = Some(told.clone());
                self.session = Some(session);
            }
            _ => self.session = Some(session),
        }
        result
    }
}
