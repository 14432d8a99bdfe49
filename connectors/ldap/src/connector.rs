//! The contract with the runtime.

use std::sync::Arc;
use std::time::Duration;

use bridgehead_sdk::{
    Account, AccountRecord, Action, Completion, Connector, Context, Cursor, Description, Error, Factory,
    Operation, Page, ResourceType, Retry, SettingsError, Setup, async_trait,
};

use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::advice;
use crate::create;
use crate::directory::Directory;
use crate::listing::Listings;
use crate::memberships::Resolver;
use crate::password;
use crate::probe;
use crate::records;
use crate::report::About;
use crate::settings::{PasswordMethod, Settings};
use crate::update;

/// A target that is an LDAP directory.
///
/// Operations overlap as far as `connections` goes. A call that is dropped at its deadline takes its connection with it.
#[derive(Debug)]
pub struct LdapConnector {
    directory: Directory,
    listings: Listings,
    /// What `describe` said last that an operator should look at, and when.
    advice: Mutex<Option<(Instant, Vec<String>)>>,
}

/// How long advice holds: whoever asks several times in a row is not the reason to look again.
const ADVICE_HOLDS: Duration = Duration::from_mins(1);

/// How long `describe` waits for a server, without which there is no advice.
const ADVICE_TAKES: Duration = Duration::from_secs(5);

/// Makes LDAP connectors: `.connector("ldap", bridgehead_ldap::factory())`.
pub fn factory() -> Arc<dyn Factory> {
    bridgehead_sdk::factory(|settings: Settings, setup| LdapConnector::new(&settings, setup))
}

impl LdapConnector {
    /// A connector for one app. Connects to nothing.
    pub fn new(settings: &Settings, setup: Setup) -> Result<Self, SettingsError> {
        let directory = Directory::new(settings, setup)?;
        Ok(Self { directory, listings: Listings::new(), advice: Mutex::default() })
    }

    /// What an operator should look at. A server that cannot be asked is no reason not to say what the connector can do.
    async fn advice(&self) -> Vec<String> {
        let mut last = self.advice.lock().await;
        if let Some((_, advice)) = last.as_ref().filter(|(when, _)| when.elapsed() < ADVICE_HOLDS) {
            return advice.clone();
        }
        let directory = &self.directory;
        let asked = async {
            let lease = directory.lease(About::Reading("what tasks would fail on")).await?;
            let advice = advice::gather(directory, &lease).await;
            advice.map_err(|failure| directory.report(failure, About::Reading("what tasks would fail on")))
        };
        match tokio::time::timeout(ADVICE_TAKES, asked).await {
            Ok(Ok(advice)) => last.insert((Instant::now(), advice)).1.clone(),
            Ok(Err(error)) => {
                tracing::debug!(app = %directory.system(), "what tasks would fail on cannot be told: {error}");
                Vec::new()
            }
            Err(_) => Vec::new(),
        }
    }
}

#[async_trait]
impl Connector for LdapConnector {
    async fn describe(&self) -> Result<Description, Error> {
        let layout = &self.directory.layout();
        let mut actions = vec![Action::CreateAccount, Action::UpdateAccount, Action::DeleteAccount];
        if layout.suspension.is_some() {
            actions.extend([Action::SuspendAccount, Action::UnsuspendAccount]);
        }
        if layout.password != PasswordMethod::None {
            actions.push(Action::ResetPassword);
        }
        if self.directory.read_only {
            actions.clear();
        }
        let groups = layout.groups.iter().map(|of| of.resource_type.clone());
        Ok(Description {
            name: "ldap".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            actions: actions.into_iter().collect(),
            resource_types: groups.chain([layout.accounts.resource_type.clone()]).collect(),
            unverifiable: layout.unverifiable(),
            warnings: self.advice().await,
        })
    }

    async fn check(&self) -> Result<(), Error> {
        probe::check(&self.directory).await
    }

    async fn list(&self, resource_type: &ResourceType, cursor: Option<&Cursor>) -> Result<Page, Error> {
        self.listings.page(&self.directory, resource_type.slug.as_str(), cursor).await
    }

    async fn find_account(&self, account: &Account) -> Result<Option<AccountRecord>, Error> {
        let directory = &self.directory;
        let lease = directory.lease(About::Reading("accounts")).await?;
        let Some(entry) = directory.find(&lease, account).await? else { return Ok(None) };
        let found = Resolver::default().of_all(directory, &lease, vec![entry]).await?.pop();
        let Some((entry, groups)) = found else {
            // It was there a moment ago.
            let message = format!("{}: {} went away while it was read", directory.system(), account.label());
            return Err(Error::internal(message).retry(Retry::Backoff));
        };
        let record = records::account(directory.layout(), &entry, groups);
        record.map(Some).map_err(|rejected| Error::internal(format!("{}: {rejected}", directory.system())))
    }

    async fn execute(&self, context: &Context, operation: &Operation) -> Result<Completion, Error> {
        let directory = &self.directory;
        let layout = directory.layout();
        if directory.read_only {
            return Err(Error::unsupported(operation.action()));
        }
        match operation {
            Operation::CreateAccount(task) => Box::pin(create::create(directory, context, task)).await,
            Operation::UpdateAccount(task) => Box::pin(update::update(directory, context, task)).await,
            Operation::DeleteAccount(task) => Box::pin(update::delete(directory, &task.account)).await,
            Operation::SuspendAccount(task) if layout.suspension.is_some() => {
                update::set_suspended(directory, &task.account, true).await
            }
            Operation::UnsuspendAccount(task) if layout.suspension.is_some() => {
                update::set_suspended(directory, &task.account, false).await
            }
            Operation::ResetPassword(task) if layout.password != PasswordMethod::None => {
                password::reset(directory, task).await
            }
            other => Err(Error::unsupported(other.action())),
        }
    }

    async fn shutdown(&self) {
        self.listings.close();
        self.directory.pool.close();
    }
}
