//! The implementation of the connector contract.

use std::sync::Arc;
use std::time::Duration;

use bridgehead_sdk::http::{Client, Credential};
use bridgehead_sdk::{
    Account, AccountRecord, Action, Completion, Connector, Context, Cursor, Description, Error, Factory,
    Operation, Page, ResourceType, SettingsError, Setup, async_trait,
};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::application::Application;
use crate::check::{BlindSpots, summary};
use crate::client::Scim;
use crate::discovery::Features;
use crate::first_look::Look;
use crate::listing::Listing;
use crate::mapping::Mapping;
use crate::memberships::Listings;
use crate::settings::Settings;

/// A connector for an application that supports SCIM 2.0.
#[derive(Debug)]
pub struct ScimConnector {
    scim: Scim,
    settings: Settings,
    mapping: Mapping,
    /// The features that the application announced last.
    features: Mutex<Option<Arc<Features>>>,
    /// The result of the last look at the application, and when it was taken.
    look: Mutex<Option<(Instant, BlindSpots)>>,
    listings: Listings,
    turn: Mutex<()>,
}

/// How long a look is reused.
const LOOK_LASTS: Duration = Duration::from_mins(10);

/// Makes SCIM connectors: `.connector("scim", bridgehead_scim::factory())`.
pub fn factory() -> Arc<dyn Factory> {
    bridgehead_sdk::with_discovery(bridgehead_sdk::factory(ScimConnector::new), Look)
}

impl ScimConnector {
    /// Creates a connector for one app. Does not connect.
    pub fn new(settings: Settings, setup: Setup) -> Result<Self, SettingsError> {
        let base = settings.validate()?;
        let mapping = Mapping::new(&settings)?;
        let limits = settings.limits.limits("limits")?;
        let Setup { app, network, redactor, .. } = setup;
        let http = Client::new(app, &network, limits)?;
        let credential = Credential::new(&settings.auth, "auth", &http, &redactor)?;
        Ok(Self {
            scim: Scim::new(http, credential, base),
            settings,
            mapping,
            features: Mutex::default(),
            look: Mutex::default(),
            listings: Listings::default(),
            turn: Mutex::default(),
        })
    }

    fn application(&self, features: Arc<Features>) -> Application<'_> {
        Application {
            scim: &self.scim,
            settings: &self.settings,
            mapping: &self.mapping,
            features,
            turn: &self.turn,
        }
    }

    /// The application with its announced features, which are requested if they are not known yet.
    async fn known(&self) -> Result<Application<'_>, Error> {
        let mut features = self.features.lock().await;
        if let Some(known) = &*features {
            return Ok(self.application(Arc::clone(known)));
        }
        let found = Arc::new(Features::discover(&self.scim, &self.settings).await?);
        *features = Some(Arc::clone(&found));
        Ok(self.application(found))
    }

    /// The result of the last look. If it is too old, a new one is taken, which requests less than `check`.
    async fn last_look(&self, application: &Application<'_>) -> BlindSpots {
        let mut kept = self.look.lock().await;
        match &*kept {
            Some((at, spots)) if at.elapsed() < LOOK_LASTS => spots.clone(),
            _ => {
                let spots = application.blind_spots().await;
                *kept = Some((Instant::now(), spots.clone()));
                spots
            }
        }
    }

    /// The application with newly requested features.
    async fn asked_again(&self) -> Result<Application<'_>, Error> {
        let found = Arc::new(Features::discover(&self.scim, &self.settings).await?);
        let application = self.application(Arc::clone(&found));
        let mut features = self.features.lock().await;
        if features.as_ref() != Some(&found) {
            tracing::info!(app = self.scim.system(), features = %summary(&application), "read the application's service provider configuration");
        }
        *features = Some(found);
        Ok(application)
    }
}

#[async_trait]
impl Connector for ScimConnector {
    async fn describe(&self) -> Result<Description, Error> {
        let application = self.asked_again().await?;
        let mut actions = Vec::new();
        if !self.settings.read_only {
            actions.extend(Action::ALL);
            actions.retain(|action| *action != Action::ResetPassword || application.features.change_password);
        }
        let spots = self.last_look(&application).await;
        let accounts = &self.settings.accounts;
        let mut types = Vec::new();
        if application.features.groups.is_some() {
            let groups = &self.settings.groups;
            types.push(ResourceType::group(groups.slug.as_str(), groups.name.as_str()));
        }
        let licenses = self.settings.licenses.iter();
        types.extend(licenses.map(|license| ResourceType::license(license.slug.as_str(), license.title())));
        types.push(ResourceType::account(accounts.slug.as_str(), accounts.name.as_str()));
        Ok(Description::new("scim", env!("CARGO_PKG_VERSION"))
            .with_actions(actions)
            .with_resource_types(types)
            .with_unverifiable(spots.unverifiable)
            .with_warnings(spots.warnings))
    }

    async fn check(&self) -> Result<(), Error> {
        let application = self.asked_again().await?;
        let spots = application.check().await?;
        *self.look.lock().await = Some((Instant::now(), spots));
        Ok(())
    }

    async fn list(&self, resource_type: &ResourceType, cursor: Option<&Cursor>) -> Result<Page, Error> {
        let slug = resource_type.slug.as_str();
        let application = self.known().await?;
        let listing = Listing { application: &application, listings: &self.listings };
        if let Some(license) = self.settings.licenses.iter().find(|license| license.slug == slug) {
            return listing.licenses(license, cursor).await;
        }
        if slug == self.settings.accounts.slug {
            listing.accounts(cursor).await
        } else if slug == self.settings.groups.slug {
            listing.groups(cursor).await
        } else {
            let message = format!("{} has no resource type '{slug}'", self.scim.system());
            Err(Error::incomplete_listing(message))
        }
    }

    async fn find_account(&self, account: &Account) -> Result<Option<AccountRecord>, Error> {
        let application = self.known().await?;
        match application.find(account).await? {
            Some(user) => application.record(&user).await.map(Some),
            None => Ok(None),
        }
    }

    async fn execute(&self, context: &Context, operation: &Operation) -> Result<Completion, Error> {
        if self.settings.read_only {
            return Err(Error::unsupported(operation.action()));
        }
        self.known().await?.execute(context, operation).await
    }
}
