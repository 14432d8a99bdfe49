//! Uses a single app's target manually, without Iden and without the daemon's state. Operations are tried once ([`Hand::execute`]),
//! accounts looked up, pages listed, and everything that a sync would push is read ([`Hand::export`]), with the same code as in the daemon.

mod page;
mod unasked;
mod words;

use std::sync::Arc;
use std::time::Duration;

use bridgehead_resilience::{SeededRng, SystemClock};
use bridgehead_sdk::{Account, AccountRecord, Action, Connector, Description, Error, Redactor};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

pub use page::{Judged, ListedPage};

use self::unasked::Unasked;
use super::ShuttingDown;
use super::app::{AppContext, AppParts, SharedServices};
use super::audit::Audit;
use super::status::AppStatus;
use super::sync::export::{self, Export, Take};
use super::target::Priority;
use super::task::{self, ByHand};
use bridgehead_config as config;
use bridgehead_store::{self as journal, SnapshotStore, Sqlite, TaskJournal};

/// One app's target.
#[expect(missing_debug_implementations, reason = "it holds an app with its connector, and nobody prints it")]
pub struct Hand {
    app: Arc<AppContext>,
    state: Sqlite,
    /// The daemon's task settings.
    tasks: config::Tasks,
}

impl Hand {
    /// Prepares an app without calling its target. `patience` limits how long temporary problems are waited out; `None` means as long as
    /// the daemon would wait.
    pub async fn new(
        name: &str,
        mut settings: config::App,
        connector: Arc<dyn Connector>,
        redactor: &Redactor,
        patience: Option<Duration>,
    ) -> Result<Self, journal::Error> {
        let state = Sqlite::scratch().await?;
        let tasks = settings.tasks.clone();
        if let Some(patience) = patience {
            settings.tasks.give_up_after = tasks.give_up_after.min(patience);
            settings.tasks.hold_for = tasks.hold_for.min(patience);
        }
        // The deprovision limit would ask the operator, who runs this anyway.
        settings.tasks.guard = None;
        let shared = Arc::new(state.clone());
        let app = AppContext::new(AppParts {
            name: name.to_owned(),
            settings,
            connector,
            bridge: Arc::new(Unasked),
            journal: Arc::clone(&shared) as Arc<dyn TaskJournal>,
            snapshots: shared as Arc<dyn SnapshotStore>,
            status: Arc::new(AppStatus::default()),
            shared: SharedServices::new(
                redactor,
                Arc::new(SystemClock),
                Arc::new(SeededRng::from_os()),
                Audit::none(),
            ),
            leases: None,
        });
        Ok(Self { app, state, tasks })
    }

    /// The status of the app, for showing progress.
    pub fn status(&self) -> &Arc<AppStatus> {
        &self.app.status
    }

    /// Tries an operation once, and returns what the daemon would do with the result.
    pub async fn execute(
        &self,
        action: Action,
        payload: Value,
        stop: &CancellationToken,
    ) -> Result<ByHand, ShuttingDown> {
        Box::pin(task::by_hand(&self.app, &self.tasks, action, payload, stop)).await
    }

    /// The connector's description.
    pub async fn describe(&self) -> Result<Arc<Description>, Error> {
        self.app.target.describe().await.map_err(|error| self.app.target.without_secrets(&error))
    }

    /// Checks whether the target is reachable.
    pub async fn check(&self) -> Result<(), Error> {
        let timeout = self.tasks.timeout;
        self.app.target.check(timeout).await.map_err(|error| self.app.target.without_secrets(&error))
    }

    /// Looks up the account that a task would change.
    pub async fn find(&self, account: &Account) -> Result<Option<AccountRecord>, Error> {
        let found = self.app.target.find_account(account, Priority::Task).await;
        found.map_err(|error| self.app.target.without_secrets(&error))
    }

    /// Reads everything that a sync would push, and passes it on as it arrives.
    pub async fn export(&self, take: Take, stop: &CancellationToken) -> Export {
        Box::pin(export::run(&self.app, take, stop)).await
    }

    /// Shuts the connector down cleanly, and discards all state.
    pub async fn close(self) {
        self.app.target.shut_down().await;
        drop(self.app);
        self.state.close().await;
    }
}
