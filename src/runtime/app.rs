//! What all loops of one app share.

use std::sync::Arc;
use std::time::Duration;

use bridgehead_sdk::{Account, AccountRecord, Connector, Description, Error, Redactor};
use tokio::sync::{Mutex, Semaphore};
use tokio_util::sync::CancellationToken;

use super::access::{Access, Leave};
use super::activity::Activity;
use super::backoff::{Backoff, Dice};
use super::breaker::Breaker;
use super::clock::Clock;
use super::guard::TaskGuard;
use super::pacing::Pacing;
use super::status::AppStatus;
use super::{Stopped, call};
use crate::bridge::{self, Api, AppId};
use crate::config;
use crate::journal::{AppKey, Journal, Listings};

/// One app of the configuration, at run time.
pub(crate) struct App {
    pub(crate) name: String,
    pub(crate) id: AppId,
    pub(crate) key: AppKey,
    pub(crate) settings: config::App,
    pub(crate) connector: Arc<dyn Connector>,
    pub(crate) bridge: Arc<dyn Api>,
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) listings: Arc<dyn Listings>,
    pub(crate) redactor: Redactor,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) dice: Arc<Dice>,
    pub(crate) status: Arc<AppStatus>,
    pub(crate) pacing: Pacing,
    pub(crate) breaker: Breaker,
    pub(crate) access: Access,
    pub(crate) activity: Activity,
    pub(crate) guard: TaskGuard,
    /// Held by the one sync that is under way.
    pub(crate) sync_turn: Mutex<()>,
    /// `tasks.concurrency` slots: one for each call that changes the target.
    pub(crate) slots: Semaphore,
    description: Mutex<Option<Arc<Description>>>,
}

/// What an app is made of.
pub(crate) struct Parts {
    pub(crate) name: String,
    pub(crate) settings: config::App,
    pub(crate) connector: Arc<dyn Connector>,
    pub(crate) bridge: Arc<dyn Api>,
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) listings: Arc<dyn Listings>,
    pub(crate) redactor: Redactor,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) dice: Arc<Dice>,
    pub(crate) status: Arc<AppStatus>,
}

impl App {
    pub(crate) fn new(parts: Parts) -> Arc<Self> {
        let Parts { name, settings, connector, bridge, journal, listings, redactor, clock, dice, status } =
            parts;
        let rate = settings.target.rate_limit.map(|rate| (rate.per_second, rate.burst));
        Arc::new(Self {
            id: AppId::from(settings.app_id),
            key: AppKey::from(settings.app_id),
            pacing: Pacing::new(rate),
            breaker: Breaker::default(),
            access: Access::new(Arc::clone(&dice)),
            activity: Activity::default(),
            guard: TaskGuard::new(settings.tasks.guard),
            sync_turn: Mutex::new(()),
            slots: Semaphore::new(settings.tasks.concurrency),
            description: Mutex::new(None),
            name,
            settings,
            connector,
            bridge,
            journal,
            listings,
            redactor,
            clock,
            dice,
            status,
        })
    }

    /// What the connector is and can do; asked once, and until it has been answered, also while the target is out of
    /// reach.
    pub(crate) async fn description(&self, stop: &CancellationToken) -> Result<Arc<Description>, Stopped> {
        let mut tries = 0;
        loop {
            match self.describe().await {
                Ok(description) => return Ok(description),
                Err(error) => {
                    tries += 1;
                    let wait = Backoff::TARGET.patient_wait(tries, &self.dice);
                    tracing::warn!(app = %self.name, code = %error.code(), ?wait, "the connector cannot say what it offers: {}; asking again",
                        self.redactor.redact(error.message()));
                    tokio::select! {
                        () = stop.cancelled() => return Err(Stopped),
                        () = tokio::time::sleep(wait) => {}
                    }
                }
            }
        }
    }

    /// Asks the connector once what it is and can do, unless it has said so already.
    pub(crate) async fn describe(&self) -> Result<Arc<Description>, Error> {
        let mut known = self.description.lock().await;
        if let Some(description) = &*known {
            return Ok(Arc::clone(description));
        }
        let connector = Arc::clone(&self.connector);
        let answer =
            self.guarded("the description of", self.settings.tasks.timeout, async move {
                connector.describe().await
            })
            .await;
        self.observe(&answer);
        let description = Arc::new(answer?);
        *known = Some(Arc::clone(&description));
        Ok(description)
    }

    /// Looks for an account on behalf of a task.
    pub(crate) async fn find_account(&self, account: &Account) -> Result<Option<AccountRecord>, Error> {
        self.pacing.for_task().await;
        let (connector, wanted) = (Arc::clone(&self.connector), account.clone());
        let what = format!("looking for {} in", account.label());
        let answer = self
            .guarded(&what, self.settings.tasks.timeout, async move { connector.find_account(&wanted).await })
            .await;
        self.observe(&answer);
        answer
    }

    /// A call to the connector with a deadline and isolation; `what` is followed by the app's name.
    pub(crate) async fn guarded<T, F>(&self, what: &str, timeout: Duration, call: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        call::guarded(&format!("{what} {}", self.name), timeout, call).await
    }

    /// Tells the breaker what came of a call.
    pub(crate) fn observe<T>(&self, result: &Result<T, Error>) {
        match result {
            Ok(_) => self.breaker.reached(),
            Err(error) => {
                if self.breaker.observe(error) {
                    tracing::error!(app = %self.name, code = %error.code(), "the target is out of reach, tasks are held: {}",
                        self.redactor.redact(error.message()));
                }
            }
        }
    }

    /// The Bridge refused the key or the app: says so once for each growing wait.
    pub(crate) fn refused_access(&self, leave: Leave, error: &bridge::Error) {
        let refusals = self.access.refused(leave, format!("{error} {}", error.advice()));
        tracing::error!(app = %self.name, refusals, "{error} {}", error.advice());
    }
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App").field("name", &self.name).field("id", &self.id).finish_non_exhaustive()
    }
}
