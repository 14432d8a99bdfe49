//! A connector as the kit calls it: every call has a deadline, a panic is a finding, and all output is searched for secrets.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use tokio::time::Instant;

use bridgehead_sdk::{
    Account, AccountRecord, Code, Completion, Connector, Context, Cursor, Description, Effect, Error,
    Operation, Page, Record, ResourceType, Retry,
};

use super::finding::{Finding, Verdict, failed};
use super::watch::Watch;

/// On a busy machine, a thread may not be scheduled for a while; only longer delays are the connector's fault.
const BLOCKED: Duration = Duration::from_secs(1);

/// How long in total one call is repeated if the target asks to wait.
const PATIENCE: Duration = Duration::from_secs(90);

/// How long to wait, if a target rejected the call because it is overloaded, and applied nothing.
pub(super) fn asks_to_wait(error: &Error) -> Option<Duration> {
    let refused = error.code() == Code::RateLimited && error.effect() == Effect::NotApplied;
    match error.retry() {
        Retry::After(wait) if refused => Some(wait.max(Duration::from_millis(50))),
        Retry::Backoff if refused => Some(Duration::from_secs(1)),
        _ => None,
    }
}

/// How long this thread has been running or ready to run, if the operating system reports it. The rest of the elapsed time it was sleeping.
fn awake() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let mut numbers = text.split_whitespace().map(str::parse::<u64>);
    let (ran, waited) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
    Some(Duration::from_nanos(ran.saturating_add(waited)))
}

/// A connector that the kit observes. Clones share the connector.
#[derive(Clone)]
pub(super) struct Probe {
    connector: Arc<dyn Connector>,
    watch: Arc<Watch>,
    deadline: Duration,
    /// Whether a call is repeated if the target asks to wait.
    is_patient: bool,
}

/// The connector's result of a call, or a finding if the call hung or panicked.
pub(super) type Answer<T> = Verdict<Result<T, Error>>;

impl Probe {
    pub(super) fn new(connector: Arc<dyn Connector>, watch: Arc<Watch>, deadline: Duration) -> Self {
        Self { connector, watch, deadline, is_patient: true }
    }

    /// The same connector, without repeating calls if the target asks to wait, so that each result can be judged.
    pub(super) fn impatient(self) -> Self {
        Self { is_patient: false, ..self }
    }

    /// The same connector with another deadline.
    pub(super) fn within(&self, deadline: Duration) -> Self {
        Self { deadline, ..self.clone() }
    }

    pub(super) async fn describe(&self) -> Answer<Description> {
        let answer = self.call("describe", || self.connector.describe()).await?;
        if let Ok(description) = &answer {
            self.watch.answer("describe", description);
        }
        Ok(answer)
    }

    pub(super) async fn check(&self) -> Answer<()> {
        self.call("check", || self.connector.check()).await
    }

    pub(super) async fn list(&self, of: &ResourceType, cursor: Option<&Cursor>) -> Answer<Page> {
        let call = format!("list {}", of.slug);
        let answer = self.call(&call, || self.connector.list(of, cursor)).await?;
        if let Ok(page) = &answer {
            for record in &page.records {
                match record {
                    Record::Account(account) => self.watch.account(&call, account),
                    Record::Entity(entity) => self.watch.record(&call, entity),
                }
            }
            self.watch.page(&call, page);
        }
        Ok(answer)
    }

    pub(super) async fn find(&self, account: &Account) -> Answer<Option<AccountRecord>> {
        let answer = self.call("find_account", || self.connector.find_account(account)).await?;
        if let Ok(Some(record)) = &answer {
            self.watch.account("find_account", record);
        }
        Ok(answer)
    }

    /// Executes an operation as the `attempt`th attempt of a task.
    pub(super) async fn execute(&self, attempt: u32, operation: &Operation) -> Answer<Completion> {
        let call = operation.action().as_str();
        let context = self.context(attempt, operation);
        let answer = self.call(call, || self.connector.execute(&context, operation)).await?;
        if let Ok(completion) = &answer {
            self.watch.completion(call, completion);
        }
        Ok(answer)
    }

    /// The same, as a later attempt; none of the earlier attempts was applied.
    pub(super) async fn execute_later(&self, attempt: u32, operation: &Operation) -> Answer<Completion> {
        let call = operation.action().as_str();
        let context = self.context(attempt, operation).with_may_have_applied(false);
        self.call(call, || self.connector.execute(&context, operation)).await
    }

    /// Starts an operation, and drops the call when it is pending more than `patience` times; `None` if it was dropped.
    pub(super) async fn drop_after(
        &self,
        patience: usize,
        operation: &Operation,
    ) -> Verdict<Option<Result<Completion, Error>>> {
        let context = self.context(1, operation);
        let mut call = Guarded::new(self.connector.execute(&context, operation));
        let mut waited = 0;
        let polled = std::future::poll_fn(|task| match Pin::new(&mut call).poll(task) {
            Poll::Ready(answer) => Poll::Ready(Some(answer)),
            Poll::Pending if waited >= patience => Poll::Ready(None),
            Poll::Pending => {
                waited += 1;
                Poll::Pending
            }
        });
        match tokio::time::timeout(self.deadline, polled).await {
            Ok(Some(Ok(answer))) => Ok(Some(answer)),
            Ok(Some(Err(panic))) => {
                failed(format!("{}: the connector panicked: {panic}", operation.action()))
            }
            Ok(None) | Err(_) => Ok(None),
        }
    }

    fn context(&self, attempt: u32, operation: &Operation) -> Context {
        let task_id = format!("bhk-{}-{}", operation.action(), operation.account().label());
        Context::first(task_id, self.deadline).with_attempt(attempt).with_may_have_applied(attempt > 1)
    }

    /// Makes a call, and repeats it if the target asks to wait.
    async fn call<T, F>(&self, call: &str, make: impl Fn() -> F) -> Answer<T>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let mut patience = if self.is_patient { PATIENCE } else { Duration::ZERO };
        loop {
            let answer = self.once(call, make()).await?;
            match answer.as_ref().err().and_then(asks_to_wait) {
                Some(wait) if wait <= patience => {
                    patience = patience.saturating_sub(wait);
                    self.watch.wait(wait).await;
                }
                _ => return Ok(answer),
            }
        }
    }

    /// Makes a call; fails if it hung, panicked or blocked its thread.
    async fn once<T>(&self, call: &str, future: impl Future<Output = Result<T, Error>>) -> Answer<T> {
        let mut guarded = Guarded::new(future);
        let answer = tokio::time::timeout(self.deadline, &mut guarded).await;
        if guarded.longest >= self.deadline.max(BLOCKED) {
            let longest = guarded.longest.as_secs();
            return failed(format!(
                "{call}: the call blocked its thread for {longest} s instead of waiting, so it cannot be \
                 dropped at its deadline"
            ));
        }
        if guarded.slept >= BLOCKED {
            return failed(format!(
                "{call}: the call put its thread to sleep for {:.1} s, which blocks everything else on it; \
                 wait with `.await`",
                guarded.slept.as_secs_f64()
            ));
        }
        match answer {
            Ok(Ok(answer)) => {
                if let Err(error) = &answer {
                    self.watch.error(call, error);
                }
                Ok(answer)
            }
            Ok(Err(panic)) => failed(format!("{call}: the connector panicked: {panic}")),
            Err(_) => Err(Finding::Late(format!("{call}: no response within {} s", self.deadline.as_secs()))),
        }
    }
}

/// A call that returns the message of its panic, if it panics, and measures how long it has blocked its thread.
struct Guarded<F> {
    inner: Pin<Box<F>>,
    longest: Duration,
    /// The longest time that a poll slept, as far as the operating system reports it.
    slept: Duration,
}

impl<F: Future> Guarded<F> {
    fn new(inner: F) -> Self {
        Self { inner: Box::pin(inner), longest: Duration::ZERO, slept: Duration::ZERO }
    }
}

impl<F: Future> Future for Guarded<F> {
    type Output = Result<F::Output, String>;

    fn poll(mut self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<Self::Output> {
        let (began, ran) = (Instant::now(), awake());
        // A connector that panicked is called again, as the runtime does: it is responsible for its own state.
        let polled = catch_unwind(AssertUnwindSafe(|| self.inner.as_mut().poll(task)));
        let took = began.elapsed();
        self.longest = self.longest.max(took);
        if took >= BLOCKED
            && let (Some(before), Some(now)) = (ran, awake())
        {
            self.slept = self.slept.max(took.saturating_sub(now.saturating_sub(before)));
        }
        match polled {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(answer)) => Poll::Ready(Ok(answer)),
            Err(panic) => Poll::Ready(Err(message(panic.as_ref()))),
        }
    }
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}
