//! The target system, as one app uses it: every call to a connector goes through here, and nowhere else.
//!
//! [`Target`] applies the operator's rate limit, gives each call a deadline and isolates its panics (`isolate`), and
//! reports the result to the [`breaker`]. A call that changes something needs proof that its intent is durable.

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
use tokio::sync::{Mutex, MutexGuard};

use self::breaker::{Breaker, Outage, Silence};
use self::rate_limiter::RateLimiter;
use self::turns::{Turn, Turns};
use super::proof::IntentRecorded;
use bridgehead_config as config;

/// How long a connector may take to say goodbye.
const FAREWELL: Duration = Duration::from_secs(10);

/// Whose call it is, which decides who goes first and what an answer shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Priority {
    /// A task's.
    Task,
    /// A task's, before it changes anything. That a target can be read does not show that it can be changed, so an answer does
    /// not make up for changes that get none.
    BeforeChange,
    /// A sync's: not while a task waits.
    Sync,
    /// A sync's that only wants a name to show; what comes of it says nothing.
    Names,
}

/// The target of one app.
pub(crate) struct Target {
    /// Private: there is no way around what this module does.
    connector: Arc<dyn Connector>,
    /// The app's name in the configuration, for messages and the log.
    app: String,
    /// How long a call of a task may take.
    timeout: Duration,
    redactor: Redactor,
    breaker: Breaker,
    pacing: RateLimiter,
    /// `tasks.concurrency` slots: one for each call that changes something.
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

    /// Asks the connector once for its description, unless it has one already. While the target is known to be
    /// unreachable, it is not asked.
    pub(crate) async fn describe(&self) -> Result<Arc<Description>, Error> {
        let known = self.description.lock().await;
        match &*known {
            Some(description) => Ok(Arc::clone(description)),
            None => self.ask_for_description(known).await,
        }
    }

    /// Asks the connector again what it is and can do: a target may have gained a resource type, or lost one. Where it
    /// cannot say, what it said last still holds for tasks.
    pub(crate) async fn describe_anew(&self) -> Result<Arc<Description>, Error> {
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
        // One whose target is down may have nothing to offer; what it offers then is not known.
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

    /// Looks for an account.
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

    /// Waits until it is worth getting ready to change something: `tasks.concurrency` calls are made at a time. Nothing if the daemon is
    /// going away.
    pub(crate) async fn turn(&self) -> Option<Turn<'_>> {
        self.turns.next().await
    }

    /// Waits until the operator's rate allows a call.
    pub(crate) async fn wait_for_rate(&self, priority: Priority) {
        match priority {
            Priority::Task | Priority::BeforeChange => self.pacing.for_task().await,
            Priority::Sync | Priority::Names => self.pacing.for_sync().await,
        }
    }

    /// Changes the target. `what` names the call for a message, such as "create_account for ann in acme-hr".
    ///
    /// The breaker is informed by [`executed`](Self::executed), once the result of the change is known.
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

    /// Asks the target for a sign of life. The caller decides what the answer means.
    pub(crate) async fn check(&self, timeout: Duration) -> Result<(), Error> {
        let connector = Arc::clone(&self.connector);
        self.isolated("the check of", timeout, async move { connector.check().await }).await
    }

    /// Lets the connector close what should be closed in order.
    pub(crate) async fn shut_down(&self) {
        if tokio::time::timeout(FAREWELL, self.connector.shutdown()).await.is_err() {
            tracing::warn!(app = %self.app, "the connector did not shut down in time");
        }
    }

    /// Why tasks are held, if the target is unreachable.
    pub(crate) fn outage(&self) -> Option<Outage> {
        self.breaker.cause()
    }

    /// The calls in a row that got no answer, if the last one is not long ago.
    pub(crate) fn silence(&self) -> Option<Silence> {
        self.breaker.silence()
    }

    /// Waits until the target is in reach, `patience` at most; then says why it is not.
    pub(crate) async fn wait_available(&self, patience: Duration) -> Result<(), Outage> {
        self.breaker.wait_available(patience).await
    }

    /// For the loop that finds out whether the target is back.
    pub(super) fn breaker(&self) -> &Breaker {
        &self.breaker
    }

    /// The connector, for what an operator looks at.
    pub(crate) fn for_operator(&self) -> &Arc<dyn Connector> {
        &self.connector
    }

    /// An error to be remembered. The secrets of a task are known while it is under way, and what is remembered of its
    /// errors outlives it.
    pub(crate) fn without_secrets(&self, error: &Error) -> Error {
        Error::new(error.code(), self.redactor.redact(error.message()))
            .with_effect(error.effect())
            .with_retry(error.retry())
            .with_subject(error.subject())
    }

    /// A call with a deadline, and so that a panic in it costs this call alone; `what` is followed by the app's name.
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
