//! Stands between the kit and the connector: shows what is called, keeps the target's pace, and lets nothing be changed where
//! nothing may be.

use std::io::IsTerminal;
use std::sync::Arc;
use std::time::Duration;

use bridgehead_sdk::{
    Account, AccountRecord, Completion, Connector, Context, Cursor, Description, Error, Operation, Page,
    ResourceType, async_trait,
};
use indicatif::{ProgressBar, ProgressStyle};

use crate::runtime::Pacing;

/// What is being done at this moment, on a terminal.
pub(super) struct Progress(Option<ProgressBar>);

impl Progress {
    /// Shows nothing unless it is `wanted` and there is a terminal.
    pub(super) fn new(wanted: bool) -> Self {
        Self((wanted && std::io::stderr().is_terminal()).then(|| {
            let bar = ProgressBar::no_length();
            if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed}, {pos} calls; {wide_msg}") {
                bar.set_style(style);
            }
            bar
        }))
    }

    fn note(&self, what: impl FnOnce() -> String) {
        if let Some(bar) = &self.0 {
            bar.enable_steady_tick(Duration::from_millis(100));
            bar.inc(1);
            bar.set_message(what());
        }
    }

    pub(super) fn end(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

/// A connector whose calls are noted.
pub(super) struct Noted {
    inner: Arc<dyn Connector>,
    progress: Arc<Progress>,
    pacing: Arc<Pacing>,
    read_only: bool,
}

impl Noted {
    pub(super) fn new(
        inner: Arc<dyn Connector>,
        progress: Arc<Progress>,
        pacing: Arc<Pacing>,
        read_only: bool,
    ) -> Self {
        Self { inner, progress, pacing, read_only }
    }

    async fn call(&self, what: impl FnOnce() -> String) {
        self.progress.note(what);
        self.pacing.for_task().await;
    }
}

#[async_trait]
impl Connector for Noted {
    async fn describe(&self) -> Result<Description, Error> {
        self.call(|| "asking what the connector can do".to_owned()).await;
        self.inner.describe().await
    }

    async fn check(&self) -> Result<(), Error> {
        self.call(|| "checking the way to the target".to_owned()).await;
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
            // The kit does not ask for it; whoever says --read-only does not depend on that.
            return Err(Error::internal("nothing may be changed: --read-only"));
        }
        self.call(|| operation.action().to_string()).await;
        self.inner.execute(context, operation).await
    }

    async fn shutdown(&self) {
        self.inner.shutdown().await;
    }
}
