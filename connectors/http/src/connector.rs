//! The implementation of the connector contract.

use std::sync::Arc;
use std::time::Duration;

use bridgehead_sdk::{
    Account, AccountRecord, Completion, Connector, Context, Cursor, Description, Error, Factory, Operation,
    Page, ResourceKind, ResourceType, SettingsError, Setup, async_trait,
};

use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::application::Application;
use crate::discovery;
use crate::execute::{self, Execution};
use crate::look::Look;
use crate::settings::Settings;

/// A connector for an application with a REST API.
///
/// Its behavior is defined by its configuration alone. Between calls it keeps only connections, the current login and the last look at the
/// target.
#[derive(Debug)]
pub struct HttpConnector {
    application: Application,
    /// The last look at the target, and when it was taken.
    look: Mutex<Option<(Instant, Arc<Look>)>>,
}

/// How long a look is reused. Each sync describes the target, and a look takes one request per group.
const LOOK_LASTS: Duration = Duration::from_mins(10);

/// Makes http connectors: `.connector("http", bridgehead_http::factory())`.
pub fn factory() -> Arc<dyn Factory> {
    bridgehead_sdk::with_discovery(bridgehead_sdk::factory(HttpConnector::new), discovery::Look)
}

impl HttpConnector {
    /// Creates a connector for one app. Nothing is sent.
    #[expect(clippy::needless_pass_by_value, reason = "both are passed to factories, which keep them")]
    pub fn new(settings: Settings, setup: Setup) -> Result<Self, SettingsError> {
        Ok(Self { application: Application::new(&settings, &setup)?, look: Mutex::default() })
    }

    /// The last look, or a new one if the last is too old.
    async fn last_look(&self) -> Arc<Look> {
        let mut kept = self.look.lock().await;
        if let Some((at, look)) = &*kept
            && at.elapsed() < LOOK_LASTS
        {
            return Arc::clone(look);
        }
        let look = Arc::new(self.application.look().await);
        // An incomplete look is not kept, so the next call repeats it.
        *kept = look.is_whole.then(|| (Instant::now(), Arc::clone(&look)));
        look
    }
}

#[async_trait]
impl Connector for HttpConnector {
    async fn describe(&self) -> Result<Description, Error> {
        let look = self.last_look().await;
        let mut unverifiable = self.application.unverifiable();
        unverifiable.extend(look.blind.iter().map(|slug| format!("memberships.{slug}")));
        let others = self.application.entities.iter().map(|one| one.resource_type.clone());
        Ok(Description::new("http", env!("CARGO_PKG_VERSION"))
            .with_actions(self.application.plans.keys().copied())
            .with_resource_types(others.chain([self.application.accounts.resource_type.clone()]))
            .with_unverifiable(unverifiable)
            .with_warnings(look.warnings.iter().cloned()))
    }

    async fn check(&self) -> Result<(), Error> {
        self.application.accounts.check(&self.application.target).await?;
        let mut kept = self.look.lock().await;
        *kept = Some((Instant::now(), Arc::new(self.application.look().await)));
        Ok(())
    }

    async fn list(&self, resource_type: &ResourceType, cursor: Option<&Cursor>) -> Result<Page, Error> {
        let Application { target, accounts, entities, .. } = &self.application;
        if resource_type.kind == ResourceKind::Account && resource_type.slug == accounts.resource_type.slug {
            return accounts.list(target, cursor).await;
        }
        match entities.iter().find(|one| one.resource_type.slug == resource_type.slug) {
            Some(entities) => entities.list(target, cursor).await,
            None => Err(Error::incomplete_listing(format!(
                "{} has no resource type '{}' in this configuration",
                target.system, resource_type.slug
            ))),
        }
    }

    async fn find_account(&self, account: &Account) -> Result<Option<AccountRecord>, Error> {
        let found = self.application.accounts.find(&self.application.target, account).await?;
        Ok(found.map(|found| found.record))
    }

    async fn execute(&self, context: &Context, operation: &Operation) -> Result<Completion, Error> {
        let Application { target, accounts, entities, plans } = &self.application;
        let plan = plans.get(&operation.action()).ok_or_else(|| Error::unsupported(operation.action()))?;
        let what = execute::what(operation);
        Execution { target, accounts, entities, plan, operation, what: &what }.run(context).await
    }
}
