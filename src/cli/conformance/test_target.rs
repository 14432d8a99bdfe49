//! How the kit reaches a live target, according to the configuration.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bridgehead_conformance::{Situation, Skip, TestTarget};
use bridgehead_sdk::{Action, Connector, EntityRecord, Network, async_trait};
use serde_json::{Map, Value};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::super::context::{Context, build_connector};
use super::super::failure::{Exit, Failure};
use super::noted::{Noted, Pace};
use super::progress::Progress;
use bridgehead_config::{App, Connectors};

/// A placeholder address for checking the settings before anything starts.
const SOMEWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 1);
/// How long a connector may take to shut down. After that, anything still open is aborted: a process is killed.
const GRACE: Duration = Duration::from_secs(5);
/// How many connectors the kit runs at the same time: each may be a process.
const AT_ONCE: usize = 4;
/// How long the kit waits for one of them to end before it skips a check.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long the kit waits for an unused connector to shut down before it continues.
const BRIEF: Duration = Duration::from_secs(1);
/// The placeholder for an account's name.
const NAME: &str = "{name}";

/// A connector and its permit under the limit. It has none until it is called.
type Built = (Arc<dyn Connector>, Option<OwnedSemaphorePermit>);

/// The app's target, and its table `conformance`.
pub(super) struct LiveTestTarget<'a> {
    name: &'a str,
    app: &'a App,
    context: &'a Context,
    connectors: &'a Connectors,
    network: Network,
    working: Arc<dyn Connector>,
    secrets: Vec<String>,
    read_only: bool,
    progress: Arc<Progress>,
    pace: Arc<Pace>,
    /// All connectors that were built, for shutting them down.
    built: Mutex<Vec<Built>>,
    places: Arc<Semaphore>,
    /// Whether the kit has got the connector that every check uses.
    begun: AtomicBool,
    /// The names of the accounts that were created.
    names: Mutex<Vec<String>>,
}

impl<'a> LiveTestTarget<'a> {
    /// Builds the connector, and checks that the settings of every situation are valid.
    pub(super) fn new(
        context: &'a Context,
        connectors: &'a Connectors,
        name: &'a str,
        read_only: bool,
        trace: bool,
        progress: Arc<Progress>,
    ) -> Result<Self, Failure> {
        let app = &context.config.apps[name];
        let network = context.traced_network(trace)?;
        let working = build_connector(name, app, connectors, &network, &context.redactor)?;
        // The connector was just built from these secrets, so they are readable.
        let secrets = app.target.resolve().map(|resolved| resolved.secrets).unwrap_or_default();
        let rate = app.target.rate_limit.map(|rate| (rate.per_second, rate.burst));
        let test_target = Self {
            name,
            app,
            context,
            connectors,
            network,
            built: Mutex::new(vec![(Arc::clone(&working), None)]),
            working,
            secrets,
            read_only,
            progress,
            pace: Arc::new(Pace::new(rate)),
            // The connector that every check uses has a permanent place.
            places: Arc::new(Semaphore::new(AT_ONCE - 1)),
            begun: AtomicBool::new(false),
            names: Mutex::default(),
        };
        for situation in [
            Situation::BadCredential,
            Situation::RefusedPermission,
            Situation::Unreachable(SOMEWHERE),
            Situation::Silent(SOMEWHERE),
            Situation::Through(SOMEWHERE),
            Situation::CutListing,
            Situation::SmallPages(SOMEWHERE),
        ] {
            if let Some((key, _)) = key(situation)
                && let Some(built) = test_target.build(situation, key)?
            {
                test_target.keep((built, None));
            }
        }
        Ok(test_target)
    }

    /// The names of the accounts that were created so far.
    pub(super) fn names(&self) -> Vec<String> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Shuts down all connectors.
    pub(super) async fn close(&self) {
        self.progress.end();
        let built = std::mem::take(&mut *self.built.lock().unwrap_or_else(PoisonError::into_inner));
        futures::future::join_all(built.into_iter().map(end)).await;
    }

    fn keep(&self, built: Built) {
        self.built.lock().unwrap_or_else(PoisonError::into_inner).push(built);
    }

    /// The connector in a situation; `None` if the situation is not configured.
    fn build(&self, situation: Situation, key: &str) -> Result<Option<Arc<dyn Connector>>, Failure> {
        let address = match situation {
            Situation::Unreachable(address)
            | Situation::Silent(address)
            | Situation::Through(address)
            | Situation::SmallPages(address) => Some(address),
            _ => None,
        };
        let Some(target) = self.app.conformance.target(&self.app.target, key, address) else {
            return Ok(None);
        };
        let app = App { target, ..self.app.clone() };
        let built = build_connector(self.name, &app, self.connectors, &self.network, &self.context.redactor);
        let built = built.map_err(|error| {
            let message = format!("{error} (with apps.{}.conformance.{key} applied to target)", self.name);
            Failure::new(Exit::Configuration, message)
        })?;
        Ok(Some(built))
    }

    /// Shuts down the connectors that the kit no longer uses: each may be a process.
    async fn retire(&self) {
        let unused: Vec<_> = {
            let mut built = self.built.lock().unwrap_or_else(PoisonError::into_inner);
            built.extract_if(.., |(connector, _)| Arc::strong_count(connector) == 1).collect()
        };
        let ends = unused.into_iter().map(|built| tokio::spawn(end(built)));
        drop(tokio::time::timeout(BRIEF, futures::future::join_all(ends)).await);
    }

    /// Waits for a permit for one more connector.
    async fn place(&self) -> Result<OwnedSemaphorePermit, Skip> {
        self.retire().await;
        let place = Arc::clone(&self.places).acquire_owned();
        match tokio::time::timeout(PATIENCE, place).await {
            Ok(Ok(place)) => Ok(place),
            _ => Err(Skip::because(format!(
                "{AT_ONCE} connectors are already running, and none of them exits"
            ))),
        }
    }

    fn noted(&self, connector: Arc<dyn Connector>) -> Arc<dyn Connector> {
        Arc::new(Noted::new(connector, Arc::clone(&self.progress), Arc::clone(&self.pace), self.read_only))
    }
}

#[async_trait]
impl TestTarget for LiveTestTarget<'_> {
    async fn connect(&self, situation: Situation) -> Result<Arc<dyn Connector>, Skip> {
        if situation == Situation::Working {
            if !self.begun.swap(true, Ordering::SeqCst) {
                return Ok(self.noted(Arc::clone(&self.working)));
            }
            // Connectors do not share state: a separate process.
            let place = self.place().await?;
            let (app, context) = (self.app, self.context);
            let another = build_connector(self.name, app, self.connectors, &self.network, &context.redactor)
                .map_err(|error| Skip::because(error.to_string()))?;
            self.keep((Arc::clone(&another), Some(place)));
            return Ok(self.noted(another));
        }
        let Some((key, what)) = key(situation) else {
            return Err(Skip::because("this version of bridgehead does not have a key for it"));
        };
        let place = self.place().await?;
        match self.build(situation, key) {
            Ok(Some(connector)) => {
                self.keep((Arc::clone(&connector), Some(place)));
                Ok(self.noted(connector))
            }
            Ok(None) => {
                Err(Skip::because(format!("apps.{}.conformance.{key} is not set: {what}", self.name)))
            }
            // The same settings were valid with another address.
            Err(failure) => Err(Skip::because(failure.message())),
        }
    }

    fn address(&self) -> Option<SocketAddr> {
        self.app.conformance.address
    }

    async fn populated(&self, _: usize) -> Result<Arc<dyn Connector>, Skip> {
        Err(Skip::because(
            "a live target is not filled; with page_size the kit can create several pages of accounts, and \
             the connector's own tests cover the rest",
        ))
    }

    fn account(&self, name: &str) -> Map<String, Value> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner).push(name.to_owned());
        account(self.app, name)
    }

    fn changes(&self, name: &str) -> Map<String, Value> {
        match &self.app.conformance.changes {
            Some(changes) => named(changes, name),
            None => Plain.changes(name),
        }
    }

    fn free_text_fields(&self) -> Vec<&'static str> {
        match &self.app.conformance.free_text_fields {
            // Leaks a few names, which are used until the command ends.
            Some(fields) => fields.iter().map(|field| &*field.clone().leak()).collect(),
            None => Plain.free_text_fields(),
        }
    }

    fn secrets(&self) -> Vec<String> {
        self.secrets.clone()
    }

    fn missing_ref(&self, slug: &str) -> String {
        let said = self.app.conformance.missing_refs.get(slug);
        said.cloned().unwrap_or_else(|| Plain.missing_ref(slug))
    }

    fn usable_ref(&self, slug: &str, _: &[EntityRecord]) -> Result<String, Skip> {
        // The first entries of a listing may be those of administrators, so none is chosen by default.
        let said = self.app.conformance.usable_refs.get(slug);
        let why = || {
            format!(
                "apps.{}.conformance.usable_refs does not name a {slug} for the kit's accounts",
                self.name
            )
        };
        said.cloned().ok_or_else(|| Skip::because(why()))
    }

    fn deadline(&self) -> Duration {
        self.app.tasks.timeout
    }

    fn read_only(&self) -> bool {
        self.read_only
    }

    fn check_limit(&self) -> Duration {
        self.app.conformance.check_timeout
    }

    fn run_limit(&self) -> Duration {
        self.app.conformance.timeout
    }

    fn waited(&self) -> Duration {
        self.pace.waited()
    }

    fn page_size(&self) -> Option<usize> {
        self.app.conformance.page_size
    }

    fn remedy(&self, action: Action) -> Option<String> {
        let (key, what) = match action {
            Action::CreateAccount => ("account", "a new account needs fields that the kit does not set"),
            Action::UpdateAccount => ("changes", "the target cannot change the kit's default fields"),
            _ => return None,
        };
        Some(format!("if {what}, set suitable fields with {key} in [apps.{}.conformance]", self.name))
    }
}

/// Shuts down a connector and releases its permit.
async fn end((connector, place): Built) {
    drop(tokio::time::timeout(GRACE, connector.shutdown()).await);
    drop(connector);
    drop(place);
}

/// The key for a situation, and its description.
fn key(situation: Situation) -> Option<(&'static str, &'static str)> {
    Some(match situation {
        Situation::BadCredential => ("bad_credential", "a credential that the target rejects"),
        Situation::RefusedPermission => ("refused_permission", "a read-only credential"),
        Situation::Unreachable(_) => {
            ("unreachable", "how to address a target that is down, with {address} where nothing listens")
        }
        Situation::Silent(_) => ("silent", "how to address a target at {address} that never responds"),
        Situation::Through(_) => ("through", "how to reach the target through the kit at {address}"),
        Situation::SmallPages(_) => ("small_pages", "how to make the connector request pages of two records"),
        Situation::CutListing => (
            "cut_listing",
            "how to interrupt a listing; for a target with an address, set address and through instead",
        ),
        _ => return None,
    })
}

/// The fields of an account: the kit's own, with the configuration's changes.
pub(super) fn account(app: &App, name: &str) -> Map<String, Value> {
    let mut account = Plain.account(name);
    for (field, value) in named(&app.conformance.account, name) {
        if value == "" {
            account.shift_remove(&field);
        } else {
            account.insert(field, value);
        }
    }
    account
}

/// The fields, with `{name}` replaced by the account's name.
fn named(fields: &Map<String, Value>, name: &str) -> Map<String, Value> {
    fn put(value: &mut Value, name: &str) {
        match value {
            Value::String(text) => *text = text.replace(NAME, name),
            Value::Array(items) => items.iter_mut().for_each(|item| put(item, name)),
            Value::Object(fields) => fields.values_mut().for_each(|field| put(field, name)),
            _ => {}
        }
    }
    let mut fields = fields.clone();
    fields.values_mut().for_each(|value| put(value, name));
    fields
}

/// The kit's data for a target without configuration.
struct Plain;

#[async_trait]
impl TestTarget for Plain {
    async fn connect(&self, _: Situation) -> Result<Arc<dyn Connector>, Skip> {
        Err(Skip::because("it is not available"))
    }
}
