//! The implementation of the connector contract.

use std::sync::{Arc, Mutex, PoisonError};

use bridgehead_sdk::{
    Account, AccountRecord, Action, Completion, Connector, Context, Cursor, Description, Error, Factory,
    Operation, Page, ResourceType, Retry, SettingsError, Setup, async_trait,
};

use crate::advice;
use crate::create;
use crate::delete;
use crate::directory::Directory;
use crate::discovery::Look;
use crate::listing::Listings;
use crate::memberships::Resolver;
use crate::password;
use crate::probe;
use crate::records;
use crate::report::About;
use crate::settings::{PasswordMethod, Settings};
use crate::update;

/// How often an account that disappears while it is read is looked up.
const LOOKS: u32 = 2;

/// A connector for an LDAP directory.
///
/// Up to `connections` operations run at the same time. A call that is dropped at its deadline closes its connection.
#[derive(Debug)]
pub struct LdapConnector {
    directory: Directory,
    listings: Listings,
    /// The warnings of the last check.
    advice: Mutex<Vec<String>>,
}

/// Makes LDAP connectors: `.connector("ldap", bridgehead_ldap::factory())`.
pub fn factory() -> Arc<dyn Factory> {
    let factory = bridgehead_sdk::factory(|settings: Settings, setup| LdapConnector::new(&settings, setup));
    bridgehead_sdk::with_discovery(factory, Look)
}

impl LdapConnector {
    /// Creates a connector for one app. Does not connect.
    pub fn new(settings: &Settings, setup: Setup) -> Result<Self, SettingsError> {
        let directory = Directory::new(settings, setup)?;
        Ok(Self { directory, listings: Listings::new(), advice: Mutex::default() })
    }

    /// Collects the warnings for an operator. The check does not fail if they cannot be determined.
    async fn look_ahead(&self) {
        let directory = &self.directory;
        let about = About::Reading("the causes of failing tasks");
        let found = match directory.lease(about).await {
            Ok(lease) => advice::gather(directory, &lease).await.map_err(|why| directory.report(why, about)),
            Err(error) => Err(error),
        };
        match found {
            Ok(found) => *self.advice.lock().unwrap_or_else(PoisonError::into_inner) = found,
            Err(error) => {
                tracing::debug!(app = %directory.system(), "cannot check whether tasks would fail: {error}");
            }
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
        Ok(Description::new("ldap", env!("CARGO_PKG_VERSION"))
            .with_actions(actions)
            .with_resource_types(groups.chain([layout.accounts.resource_type.clone()]))
            .with_unverifiable(layout.unverifiable())
            .with_warnings(self.advice.lock().unwrap_or_else(PoisonError::into_inner).clone()))
    }

    async fn check(&self) -> Result<(), Error> {
        probe::check(&self.directory).await?;
        self.look_ahead().await;
        Ok(())
    }

    async fn list(&self, resource_type: &ResourceType, cursor: Option<&Cursor>) -> Result<Page, Error> {
        self.listings.page(&self.directory, resource_type.slug.as_str(), cursor).await
    }

    async fn find_account(&self, account: &Account) -> Result<Option<AccountRecord>, Error> {
        let directory = &self.directory;
        let lease = directory.lease(About::Reading("accounts")).await?;
        // An account that is deleted between the two reads is looked up again, and is then not found.
        let mut found = None;
        for _ in 0..LOOKS {
            let Some(entry) = directory.find(&lease, account).await? else { return Ok(None) };
            found = Resolver::default().of_all(directory, &lease, vec![entry]).await?.pop();
            if found.is_some() {
                break;
            }
        }
        let Some((entry, groups)) = found else {
            let message =
                format!("{}: {} disappeared while it was read", directory.system(), account.label());
            return Err(Error::internal(message).with_retry(Retry::Backoff));
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
            Operation::DeleteAccount(task) => Box::pin(delete::delete(directory, &task.account)).await,
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
