//! In-memory fakes of an app's components, for tests of the runtime's mechanisms: a Bridge whose responses each test scripts, and
//! everything else idle.

use std::collections::BTreeMap;
use std::sync::Arc;

use bridgehead_resilience::{SeededRng, SystemClock};
use bridgehead_sdk::{
    Account, AccountRecord, Completion, Connector, Context, Cursor, Description, Error, Operation, Page,
    Redactor, ResourceType, Slug, TaskId, async_trait,
};

use super::app::{AppContext, AppParts, SharedServices};
use super::audit::Audit;
use super::status::AppStatus;
use bridgehead_bridge::{
    self as bridge, self, Api, AppId, NewApp, NextPage, Precondition, Progress, Pushed, Registration, Report,
    SyncId, Task, TaskPage, TaskQuery, WireRecord,
};
use bridgehead_config::{self as config, Connectors, Document};
use bridgehead_store::{Memory, SnapshotStore, Sqlite, TaskJournal};

/// A Bridge for which a test implements only the calls that it needs; every other call is refused as unexpected.
#[async_trait]
pub(crate) trait Script: Send + Sync + 'static {
    async fn tasks(&self, _query: &TaskQuery) -> Result<TaskPage, bridge::Error> {
        Err(unexpected(bridge::Operation::ListTasks))
    }

    async fn next_tasks(&self, _next: &NextPage) -> Result<TaskPage, bridge::Error> {
        Err(unexpected(bridge::Operation::ListTasks))
    }

    async fn push(&self, _slug: &Slug, _records: &[WireRecord]) -> Result<Pushed, bridge::Error> {
        Err(unexpected(bridge::Operation::Push))
    }

    async fn start_sync(&self) -> Result<SyncId, bridge::Error> {
        Err(unexpected(bridge::Operation::StartSync))
    }

    async fn progress(&self) -> Result<Progress, bridge::Error> {
        Err(unexpected(bridge::Operation::Progress))
    }

    async fn complete(&self) -> Result<(), bridge::Error> {
        Err(unexpected(bridge::Operation::Complete))
    }

    async fn abandon(&self) -> Result<(), bridge::Error> {
        Err(unexpected(bridge::Operation::Abandon))
    }

    async fn report(&self) -> Result<(), bridge::Error> {
        Err(unexpected(bridge::Operation::Report))
    }
}

pub(crate) fn unexpected(operation: bridge::Operation) -> bridge::Error {
    let call = bridge::Call::new(operation, None);
    bridge::Error::Invalid { call, what: "the test does not expect this call".to_owned() }
}

/// Implements the whole interface on top of a script.
struct Scripted<S>(Arc<S>);

#[async_trait]
impl<S: Script> Api for Scripted<S> {
    async fn create_app(&self, _: &NewApp) -> Result<bridge::App, bridge::Error> {
        Err(unexpected(bridge::Operation::CreateApp))
    }

    async fn list_apps(&self) -> Result<Vec<bridge::App>, bridge::Error> {
        Err(unexpected(bridge::Operation::ListApps))
    }

    async fn list_resource_types(&self, _: AppId) -> Result<Vec<ResourceType>, bridge::Error> {
        Err(unexpected(bridge::Operation::ListResourceTypes))
    }

    async fn register_resource_type(
        &self,
        _: AppId,
        _: &ResourceType,
    ) -> Result<Registration, bridge::Error> {
        Err(unexpected(bridge::Operation::RegisterResourceType))
    }

    async fn rename_resource_type(&self, _: AppId, _: &Slug, _: &str) -> Result<(), bridge::Error> {
        Err(unexpected(bridge::Operation::RenameResourceType))
    }

    async fn start_sync(&self, _: AppId) -> Result<SyncId, bridge::Error> {
        self.0.start_sync().await
    }

    async fn push(
        &self,
        _: AppId,
        _: &SyncId,
        slug: &Slug,
        records: &[WireRecord],
    ) -> Result<Pushed, bridge::Error> {
        self.0.push(slug, records).await
    }

    async fn progress(&self, _: AppId, _: &SyncId) -> Result<Progress, bridge::Error> {
        self.0.progress().await
    }

    async fn complete(&self, _: AppId, _: &SyncId, only_if: &Precondition) -> Result<(), bridge::Error> {
        if only_if.holds() { self.0.complete().await } else { Err(unexpected(bridge::Operation::Complete)) }
    }

    async fn abandon(&self, _: AppId, _: &SyncId) -> Result<(), bridge::Error> {
        self.0.abandon().await
    }

    async fn tasks(&self, _: AppId, query: &TaskQuery) -> Result<TaskPage, bridge::Error> {
        self.0.tasks(query).await
    }

    async fn next_tasks(&self, _: AppId, next: &NextPage) -> Result<TaskPage, bridge::Error> {
        self.0.next_tasks(next).await
    }

    async fn task(&self, _: AppId, _: &TaskId) -> Result<Task, bridge::Error> {
        Err(unexpected(bridge::Operation::ReadTask))
    }

    async fn report(&self, _: AppId, _: &TaskId, _: &Report) -> Result<(), bridge::Error> {
        self.0.report().await
    }
}

/// Wraps a script as the Bridge.
pub(crate) fn api(script: &Arc<impl Script>) -> Arc<dyn Api> {
    Arc::new(Scripted(Arc::clone(script)))
}

/// An app whose state is in memory: a paused clock waits for no thread.
pub(crate) fn app_in_memory(
    name: &str,
    settings: config::App,
    bridge: Arc<dyn Api>,
    connector: Arc<dyn Connector>,
    state: &Memory,
    rng: &Arc<SeededRng>,
) -> Arc<AppContext> {
    AppContext::new(AppParts {
        name: name.to_owned(),
        settings,
        connector,
        bridge,
        journal: Arc::new(state.clone()),
        snapshots: Arc::new(state.clone()),
        status: Arc::new(AppStatus::default()),
        shared: SharedServices::new(&Redactor::new(), Arc::new(SystemClock), Arc::clone(rng), Audit::none()),
        leases: None,
    })
}

/// A target that is never called.
pub(crate) struct Untouched;

#[async_trait]
impl Connector for Untouched {
    async fn describe(&self) -> Result<Description, Error> {
        Err(Error::internal("not asked in this test"))
    }

    async fn check(&self) -> Result<(), Error> {
        Ok(())
    }

    async fn list(&self, _: &ResourceType, _: Option<&Cursor>) -> Result<Page, Error> {
        Err(Error::internal("not asked in this test"))
    }

    async fn find_account(&self, _: &Account) -> Result<Option<AccountRecord>, Error> {
        Err(Error::internal("not asked in this test"))
    }

    async fn execute(&self, _: &Context, _: &Operation) -> Result<Completion, Error> {
        Err(Error::internal("not asked in this test"))
    }
}

/// An environment for test apps: a single-threaded runtime, and a journal shared by all apps.
pub(crate) struct Place {
    pub(crate) runtime: tokio::runtime::Runtime,
    journal: Arc<Sqlite>,
    _folder: tempfile::TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let journal = Arc::new(runtime.block_on(Sqlite::open(&folder.path().join("state"))).unwrap());
        Self { runtime, journal, _folder: folder }
    }

    /// Creates an app that uses a scripted Bridge.
    pub(crate) fn app(&self, script: &Arc<impl Script>) -> Arc<AppContext> {
        AppContext::new(AppParts {
            name: "acme-hr".to_owned(),
            settings: settings(),
            connector: Arc::new(Untouched),
            bridge: api(script),
            journal: Arc::clone(&self.journal) as Arc<dyn TaskJournal>,
            snapshots: Arc::clone(&self.journal) as Arc<dyn SnapshotStore>,
            status: Arc::new(AppStatus::default()),
            shared: SharedServices::new(
                &Redactor::new(),
                Arc::new(SystemClock),
                Arc::new(SeededRng::seeded(4711)),
                Audit::none(),
            ),
            leases: None,
        })
    }
}

/// The default settings, as an operator gets them.
pub(crate) fn settings() -> config::App {
    let text = "[bridge]\nbase_url = \"https://h.test\"\napi_key = { env = \"KEY\" }\n\n[apps.acme-hr]\n\
                app_id = \"11111111-1111-4111-8111-111111111111\"\nconnector = \"untouched\"\n";
    let documents = [Document { path: "/etc/bridgehead.toml".into(), text: text.to_owned() }];
    let factory = bridgehead_simulated::factory();
    let connectors = Connectors::from([("untouched".to_owned(), factory)]);
    config::parse(&documents, &BTreeMap::new(), &connectors).unwrap().apps.remove("acme-hr").unwrap()
}
