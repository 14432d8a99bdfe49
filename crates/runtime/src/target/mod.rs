//! The target system of one app. All connector calls of a running app go through this module.
//!
//! [`Target`] applies the operator's rate limit, gives each call a deadline and isolates its panics (`isolate`), and reports the result to
//! the [`breaker`]. A call that makes a change needs proof that its intent is durable.

pub(super) mod breaker;
pub(super) mod isolate;
pub(super) mod rate_limiter;
pub(super) mod turns;

use std::sync::Arc;
use std::time::Duration;

use bridgehead_sdk::{
    Account, AccountRecord, Completion, Connector, Context, Cursor, Description, Error, Operation, Page,
    Redactor, ResourceType, Retry, Subject,
};
use tokio::sync::{Mutex, MutexGuard, SemaphorePermit};

use self::breaker::{Breaker, Outage, Silence};
use self::rate_limiter::RateLimiter;
use self::turns::{Turn, Turns};
use super::proof::IntentRecorded;
use bridgehead_config as config;

/// How long a connector may take to shut down.
const FAREWELL: Duration = Duration::from_secs(10);

/// The origin of a call. Decides the order of calls, and what a response proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Priority {
    /// A call of a task.
    Task,
    /// A call of a task before it changes anything. A target that can be read may still reject changes, so a response to such a call does
    /// not reset the count of changes without a response.
    BeforeChange,
    /// A call of a sync: waits while a task waits.
    Sync,
    /// A call of a sync that only looks up a name for display; its result is ignored.
    Names,
}

/// The target of one app.
pub(crate) struct Target {
    /// Private, so that nothing can bypass this module.
    connector: Arc<dyn Connector>,
    /// The app's name in the configuration, for messages and the log.
    app: String,
    /// The timeout for a task's call.
    timeout: Duration,
    redactor: Redactor,
    breaker: Breaker,
    pacing: RateLimiter,
    /// `tasks.concurrency` slots, one for each call that changes something, and the places of tasks that prepare for one.
    turns: Turns,
    description: Mutex<Option<Arc<Description>>>,
}

impl Target {
    pub(crate) fn new(
        connector: Arc<dyn Connector>,
        app: &str,
        settings: &config::App,
        redactor: Redactor,
    ) -> Self {
        let rate = settings.target.rate_limit.map(|rate| (rate.per_second, rate.burst));
        Self {
            connector,
            app: app.to_owned(),
            timeout: settings.tasks.timeout,
            redactor,
            breaker: Breaker::default(),
            pacing: RateLimiter::new(rate),
            turns: Turns::new(settings.tasks.concurrency, rate.is_none()),
            description: Mutex::new(None),
        }
    }

    /// Returns the connector's description, which is requested once and cached. While the target is known to be unreachable, the connector
    /// is not called.
    pub(crate) async fn describe(&self) -> Result<Arc<Description>, Error> {
        let known = self.description.lock().await;
        match &*known {
            Some(description) => Ok(Arc::clone(description)),
            None => self.ask_for_description(known).await,
        }
    }

    /// Requests the connector's description again: a target may have gained or lost a resource type. If that fails, tasks keep using the
    /// previous description.
    pub(crate) async fn describe_again(&self) -> Result<Arc<Description>, Error> {
        let known = self.description.lock().await;
        self.ask_for_description(known).await
    }

    async fn ask_for_description(
        &self,
        mut known: MutexGuard<'_, Option<Arc<Description>>>,
    ) -> Result<Arc<Description>, Error> {
        if let Some(cause) = self.outage() {
            return Err(cause.into());
        }
        let connector = Arc::clone(&self.connector);
        let answer = self
            .isolated("the description of", self.timeout, async move { connector.describe().await })
            .await;
        // A connector whose target is down may offer nothing at all; then its real offer is unknown.
        let answer = answer.and_then(|description| {
            if description.actions.is_empty() && description.resource_types.is_empty() {
                let message =
                    format!("the connector of {} offers no actions and no resource types", self.app);
                return Err(Error::internal(message)
                    .with_retry(Retry::Backoff)
                    .with_subject(Subject::Connection));
            }
            Ok(description)
        });
        self.record(None, &answer);
        let description = Arc::new(answer.inspect_err(|error| {
            tracing::warn!(app = %self.app, code = %error.code(), "the connector cannot describe what it offers, tasks are held: {}",
                self.redactor.redact(error.message()));
        })?);
        *known = Some(Arc::clone(&description));
        Ok(description)
    }

    /// Looks up an account.
    pub(crate) async fn find_account(
        &self,
        account: &Account,
        priority: Priority,
    ) -> Result<Option<AccountRecord>, Error> {
        self.wait_for_rate(priority).await;
        let (connector, wanted) = (Arc::clone(&self.connector), account.clone());
        let what = match priority {
            Priority::Names => "looking for an account in".to_owned(),
            _ => format!("looking for {} in", account.label()),
        };
        let call = async move { connector.find_account(&wanted).await };
        let answer = self.isolated(&what, self.timeout, call).await;
        match priority {
            Priority::Task | Priority::Sync => self.record(Some(account), &answer),
            Priority::BeforeChange if answer.is_err() => self.record(Some(account), &answer),
            Priority::BeforeChange | Priority::Names => {}
        }
        answer
    }

    /// Reads a page of a listing.
    pub(crate) async fn list(
        &self,
        of: &ResourceType,
        cursor: Option<&Cursor>,
        timeout: Duration,
        priority: Priority,
    ) -> Result<Page, Error> {
        self.wait_for_rate(priority).await;
        let connector = Arc::clone(&self.connector);
        let (of, cursor) = (of.clone(), cursor.cloned());
        let what = format!("listing {} of", of.slug);
        let call = async move { connector.list(&of, cursor.as_ref()).await };
        let answer = self.isolated(&what, timeout, call).await;
        if priority == Priority::Sync {
            self.record(None, &answer);
        }
        answer
    }

    /// Waits until one more account may be looked up before its call: as many at once as calls. `None` if the daemon is stopping.
    pub(crate) async fn look(&self) -> Option<SemaphorePermit<'_>> {
        self.turns.look().await
    }

    /// Waits until a task may prepare for a change; `tasks.concurrency` limits the calls themselves. `None` if the daemon is stopping.
    pub(crate) async fn turn(&self) -> Option<Turn<'_>> {
        self.turns.next().await
    }

    /// Waits until the operator's rate limit allows a call.
    pub(crate) async fn wait_for_rate(&self, priority: Priority) {
        match priority {
            Priority::Task | Priority::BeforeChange => self.pacing.for_task().await,
            Priority::Sync | Priority::Names => self.pacing.for_sync().await,
        }
    }

    /// Makes a change. `what` names the call in messages, such as "create_account for ann in acme-hr".
    ///
    /// [`executed`](Self::executed) reports to the breaker, once the result of the change is known.
    pub(crate) async fn execute(
        &self,
        proof: &IntentRecorded,
        what: &str,
        context: Context,
        operation: &Arc<Operation>,
    ) -> Result<Completion, Error> {
        debug_assert!(proof.is_of(&context.task_id, context.attempt), "the intent of a different attempt");
        let (connector, operation) = (Arc::clone(&self.connector), Arc::clone(operation));
        isolate::isolate(what, self.timeout, async move { connector.execute(&context, &operation).await })
            .await
    }

    /// Reports the result of a change to the breaker.
    pub(crate) fn executed<T>(&self, account: &Account, result: &Result<T, Error>) {
        self.record(Some(account), result);
    }

    /// Checks whether the target responds. The caller decides what the result means.
    pub(crate) async fn check(&self, timeout: Duration) -> Result<(), Error> {
        let connector = Arc::clone(&self.connector);
        self.isolated("the check of", timeout, async move { connector.check().await }).await
    }

    /// Lets the connector shut down cleanly.
    pub(crate) async fn shut_down(&self) {
        if tokio::time::timeout(FAREWELL, self.connector.shutdown()).await.is_err() {
            tracing::warn!(app = %self.app, "the connector did not shut down in time");
        }
    }

    /// Why tasks are held, if the target is unreachable.
    pub(crate) fn outage(&self) -> Option<Outage> {
        self.breaker.cause()
    }

    /// Consecutive calls without a response, if the last one is recent.
    pub(crate) fn silence(&self) -> Option<Silence> {
        self.breaker.silence()
    }

    /// Waits until the target is reachable, for at most `patience`; then returns why it is not.
    pub(crate) async fn wait_available(&self, patience: Duration) -> Result<(), Outage> {
        self.breaker.wait_available(patience).await
    }

    /// For the loop that probes the target.
    pub(super) fn breaker(&self) -> &Breaker {
        &self.breaker
    }

    /// The connector, for operator commands.
    pub(crate) fn for_operator(&self) -> &Arc<dyn Connector> {
        &self.connector
    }

    /// Redacts an error that is kept. The secrets of a task are only known while it is executed, but its errors are kept for longer.
    pub(crate) fn without_secrets(&self, error: &Error) -> Error {
        Error::new(error.code(), self.redactor.redact(error.message()))
            .with_effect(error.effect())
            .with_retry(error.retry())
            .with_subject(error.subject())
    }

    /// Makes a call with a deadline and isolates its panics. The app's name is appended to `what`.
    async fn isolated<T, F>(&self, what: &str, timeout: Duration, call: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        isolate::isolate(&format!("{what} {}", self.app), timeout, call).await
    }

    /// Reports the result of a call, and its account, to the breaker.
    fn record<T>(&self, account: Option<&Account>, result: &Result<T, Error>) {
        match result {
            Ok(_) => self.breaker.succeeded(),
            Err(error) => {
                let error = self.without_secrets(error);
                if self.breaker.observe(account.map(Account::label), &error) {
                    tracing::error!(app = %self.app, code = %error.code(), "the target is unreachable, tasks are held: {}", error.message());
                }
            }
        }
    }
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Target")
            .field("app", &self.app)
            .field("breaker", &self.breaker)
            .finish_non_exhaustive()
    }
}
