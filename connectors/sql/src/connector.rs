//! The implementation of the connector contract.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bridgehead_sdk::{
    Account, AccountRecord, Completion, Connector, Context, Cursor, Description, Error, Factory, Operation,
    Page, ResourceType, SettingsError, Setup, async_trait,
};
use tokio::sync::OnceCell;

use crate::discovery::Look;
use crate::driver::{Target, Transaction};
use crate::fault::{Doing, Fault, Verdicts};
use crate::plan::Plan;
use crate::pool::Pool;
use crate::settings::Settings;
use crate::snapshots::Snapshots;
use crate::target::Database;
use crate::traced::Conversation;

/// A connector for a database.
///
/// Each action is one transaction: a failure before the commit has changed nothing. Only a commit without a response has an unknown effect.
pub struct SqlConnector {
    database: Database,
}

/// Makes connectors to databases: `.connector("sql", bridgehead_sql::factory())`.
pub fn factory() -> Arc<dyn Factory> {
    let factory =
        bridgehead_sdk::factory(|settings: Settings, setup: Setup| SqlConnector::new(&settings, setup));
    bridgehead_sdk::with_discovery(factory, Look)
}

impl SqlConnector {
    /// Creates a connector for one app. Does not connect.
    pub fn new(settings: &Settings, setup: Setup) -> Result<Self, SettingsError> {
        let pool = &settings.pool;
        if !(1..=100).contains(&pool.max_connections) {
            return Err(SettingsError::new("pool.max_connections", "must be from 1 to 100"));
        }
        let acquire_timeout = crate::driver::duration("pool.acquire_timeout", pool.acquire_timeout)?;
        let idle_timeout = crate::driver::duration("pool.idle_timeout", pool.idle_timeout)?;
        let target = Target::build(settings, &setup)?;
        let mut plan = Plan::build(settings)?;
        let overrides = std::mem::take(&mut plan.overrides);
        let size = usize::try_from(pool.max_connections).unwrap_or(1);
        let conversation = Conversation { system: setup.app.clone(), trace: setup.network.trace.clone() };
        let database = Database {
            plan,
            pool: Arc::new(Pool::new(target, conversation, size, acquire_timeout, idle_timeout)),
            verdicts: Verdicts { system: setup.app, overrides, redactor: setup.redactor },
            snapshots: Snapshots::new(),
            stamps: OnceCell::new(),
            lock_is_refused: AtomicBool::new(false),
        };
        Ok(Self { database })
    }
}

#[async_trait]
impl Connector for SqlConnector {
    async fn describe(&self) -> Result<Description, Error> {
        Ok(Description::new("sql", env!("CARGO_PKG_VERSION"))
            .with_actions(self.database.plan.offered())
            .with_resource_types(self.database.plan.resource_types())
            .with_unverifiable(self.database.plan.unverifiable()))
    }

    /// Connects, and lets the server parse every statement of the configuration without running it.
    async fn check(&self) -> Result<(), Error> {
        let Database { pool, verdicts, .. } = &self.database;
        let told = |fault: &Fault| verdicts.of(fault, Doing::Checking);
        let mut lease = pool.acquire().await.map_err(|fault| told(&fault))?;
        lease.begin(Transaction::Look).await.map_err(|fault| told(&fault))?;
        let checked = self.database.look_through(&mut lease).await;
        lease.finish().await;
        checked
    }

    async fn list(&self, resource_type: &ResourceType, cursor: Option<&Cursor>) -> Result<Page, Error> {
        self.database.page(resource_type.slug.as_str(), cursor).await
    }

    async fn find_account(&self, account: &Account) -> Result<Option<AccountRecord>, Error> {
        let Database { pool, verdicts, .. } = &self.database;
        let doing = Doing::Finding(account.label());
        let mut lease = pool.acquire().await.map_err(|fault| verdicts.of(&fault, doing))?;
        lease.begin(Transaction::Look).await.map_err(|fault| verdicts.of(&fault, doing))?;
        let found = self.database.find(&mut lease, account).await;
        lease.finish().await;
        found
    }

    async fn execute(&self, context: &Context, operation: &Operation) -> Result<Completion, Error> {
        self.database.execute(context, operation).await
    }

    async fn shutdown(&self) {
        self.database.snapshots.clear();
        self.database.pool.close().await;
    }
}

impl std::fmt::Debug for SqlConnector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqlConnector").field("system", &self.database.verdicts.system).finish_non_exhaustive()
    }
}
