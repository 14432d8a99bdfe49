//! Wraps the connector for the kit: shows its calls, applies the target's rate limit, and rejects changes if they are not allowed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bridgehead_sdk::{
    Account, AccountRecord, Completion, Connector, Context, Cursor, Description, Error, Operation, Page,
    ResourceType, async_trait,
};

use tokio::time::Instant;

use super::progress::Progress;
use bridgehead_runtime::RateLimiter;

/// The operator's rate limit for the target, and how long calls have waited for it.
pub(super) struct Pace {
    pacing: RateLimiter,
    waited: AtomicU64,
}

impl Pace {
    /// The limits of calls per second, and of calls in a burst.
    pub(super) fn new(rate: Option<(f64, u32)>) -> Self {
        Self { pacing: RateLimiter::new(rate), waited: AtomicU64::new(0) }
    }

    /// How long calls have waited in total.
    pub(super) fn waited(&self) -> Duration {
        Duration::from_millis(self.waited.load(Ordering::Relaxed))
    }

    async fn keep(&self) {
        let began = Instant::now();
        self.pacing.for_task().await;
        let waited = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.waited.fetch_add(waited, Ordering::Relaxed);
    }
}

/// A connector whose calls are shown.
pub(super) struct Noted {
    inner: Arc<dyn Connector>,
    progress: Arc<Progress>,
    pace: Arc<Pace>,
    read_only: bool,
}

impl Noted {
    pub(super) fn new(
        inner: Arc<dyn Connector>,
        progress: Arc<Progress>,
        pace: Arc<Pace>,
        read_only: bool,
    ) -> Self {
        Self { inner, progress, pace, read_only }
    }

    async fn call(&self, what: impl FnOnce() -> String) {
        self.progress.note(what);
        self.pace.keep().await;
    }
}

#[async_trait]
impl Connector for Noted {
    async fn describe(&self) -> Result<Description, Error> {
        self.call(|| "asking what the connector can do".to_owned()).await;
        self.inner.describe().await
    }

    async fn check(&self) -> Result<(), Error> {
        self.call(|| "checking the connection to the target".to_owned()).await;
        self.inner.check().await
    }

    async fn list(&self, resource_type: &ResourceType, cursor: Option<&Cursor>) -> Result<Page, Error> {
        self.call(|| format!("listing {}", resource_type.slug)).await;
        self.inner.list(resource_type, cursor).await
    }

    async fn find_account(&self, account: &Account) -> Result<Option<AccountRecord>, Error> {
        self.call(|| "looking for an account".to_owned()).await;
        self.inner.find_account(account).await
    }

    async fn execute(&self, context: &Context, operation: &Operation) -> Result<Completion, Error> {
        if self.read_only {
            // The kit does not request changes then, but --read-only must not depend on that.
            return Err(Error::internal("changes are not allowed: --read-only"));
        }
        self.call(|| operation.action().to_string()).await;
        self.inner.execute(context, operation).await
    }

    async fn shutdown(&self) {
        self.inner.shutdown().await;
    }
}
