//! What all loops of one app share.

use std::sync::Arc;
use std::time::Duration;

use bridgehead_sdk::{Account, AccountRecord, Connector, Description, Error, Redactor, Retry, Subject};
use tokio::sync::{Mutex, MutexGuard, Semaphore};
use tokio::time::Instant;

use super::access::{Access, Leave};
use super::activity::Activity;
use super::breaker::Breaker;
use super::call;
use super::clock::Clock;
use super::guard::TaskGuard;
use super::newcomers::Newcomers;
use super::pacing::Pacing;
use super::progress::WatchedJournal;
use super::status::AppStatus;
use crate::bridge::{self, Api, AppId};
use crate::config;
use crate::journal::{AppKey, Journal, Listings};
use bridgehead_resilience::{Retry as Retrier, RetryPolicy, SeededRng};

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
    /// When this process began, by a clock that nobody sets.
    pub(crate) started: Instant,
    pub(crate) rng: Arc<SeededRng>,
    pub(crate) status: Arc<AppStatus>,
    pub(crate) pacing: Pacing,
    pub(crate) breaker: Breaker,
    pub(crate) access: Access,
    pub(crate) activity: Activity,
    pub(crate) newcomers: Newcomers,
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
    pub(crate) rng: Arc<SeededRng>,
    pub(crate) status: Arc<AppStatus>,
}

impl App {
    pub(crate) fn new(parts: Parts) -> Arc<Self> {
        let Parts { name, settings, connector, bridge, journal, listings, redactor, clock, rng, status } =
            parts;
        let rate = settings.target.rate_limit.map(|rate| (rate.per_second, rate.burst));
        let journal = Arc::new(WatchedJournal::new(journal, Arc::clone(&status)));
        Arc::new(Self {
            id: AppId::from(settings.app_id),
            key: AppKey::from(settings.app_id),
            pacing: Pacing::new(rate),
            breaker: Breaker::default(),
            access: Access::new(Arc::clone(&rng)),
            activity: Activity::default(),
            newcomers: Newcomers::default(),
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
            started: Instant::now(),
            rng,
            status,
        })
    }

    /// Tries again what fails, with this app's randomness.
    pub(crate) fn retry(&self, policy: RetryPolicy) -> Retrier<'_> {
        Retrier::new(policy, &self.rng)
    }

    /// Asks the connector once what it is and can do, unless it has said so already. While the target is known to be out
    /// of reach, it is not asked.
    pub(crate) async fn describe(&self) -> Result<Arc<Description>, Error> {
        let known = self.description.lock().await;
        match &*known {
            Some(description) => Ok(Arc::clone(description)),
            None => self.ask_for_description(known).await,
        }
    }

    /// Asks the connector again what it is and can do: a target may have gained a resource type, or lost one. Where it
    /// cannot say, what it said last still holds for tasks.
    pub(crate) async fn describe_anew(&self) -> Result<Arc<Description>, Error> {
        let known = self.description.lock().await;
        self.ask_for_description(known).await
    }

    async fn ask_for_description(
        &self,
        mut known: MutexGuard<'_, Option<Arc<Description>>>,
    ) -> Result<Arc<Description>, Error> {
        if let Some(cause) = self.breaker.cause() {
            return Err(cause.into());
        }
        let connector = Arc::clone(&self.connector);
        let answer =
            self.guarded("the description of", self.settings.tasks.timeout, async move {
                connector.describe().await
            })
            .await;
        // One whose target is down may have nothing to offer; what it offers then is not known.
        let answer = answer.and_then(|description| {
            if description.actions.is_empty() && description.resource_types.is_empty() {
                let message = format!("the connector of {} says that it offers nothing at all", self.name);
                return Err(Error::internal(message)
                    .with_retry(Retry::Backoff)
                    .with_subject(Subject::Connection));
            }
            Ok(description)
        });
        self.observe(&answer);
        let description = Arc::new(answer.inspect_err(|error| {
            tracing::warn!(app = %self.name, code = %error.code(), "the connector cannot say what it offers, tasks are held: {}",
                self.redactor.redact(error.message()));
        })?);
        *known = Some(Arc::clone(&description));
        Ok(description)
    }

    /// Looks for an account on behalf of a task.
    pub(crate) async fn find_account(&self, account: &Account) -> Result<Option<AccountRecord>, Error> {
        let answer = self.look_up(account).await;
        self.observe_for(account, &answer);
        answer
    }

    /// The same before a change. That a target can be read does not show that it can be changed, so an answer here does not
    /// make up for changes that get none.
    pub(crate) async fn find_before(&self, account: &Account) -> Result<Option<AccountRecord>, Error> {
        let answer = self.look_up(account).await;
        if answer.is_err() {
            self.observe_for(account, &answer);
        }
        answer
    }

    async fn look_up(&self, account: &Account) -> Result<Option<AccountRecord>, Error> {
        self.pacing.for_task().await;
        let (connector, wanted) = (Arc::clone(&self.connector), account.clone());
        let what = format!("looking for {} in", account.label());
        self.guarded(&what, self.settings.tasks.timeout, async move { connector.find_account(&wanted).await })
            .await
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
        self.tell_breaker(None, result);
    }

    /// Tells the breaker what came of a call about an account.
    pub(crate) fn observe_for<T>(&self, account: &Account, result: &Result<T, Error>) {
        self.tell_breaker(Some(account.label()), result);
    }

    fn tell_breaker<T>(&self, account: Option<&str>, result: &Result<T, Error>) {
        match result {
            Ok(_) => self.breaker.reached(),
            Err(error) => {
                let error = self.without_secrets(error);
                if self.breaker.observe(account, &error) {
                    tracing::error!(app = %self.name, code = %error.code(), "the target is out of reach, tasks are held: {}", error.message());
                }
            }
        }
    }

    /// An error to be remembered. The secrets of a task are known while it is under way, and what is remembered of its
    /// errors outlives it.
    pub(crate) fn without_secrets(&self, error: &Error) -> Error {
        Error::new(error.code(), self.redactor.redact(error.message()))
            .with_effect(error.effect())
            .with_retry(error.retry())
            .with_subject(error.subject())
    }

    /// Makes a call to the Bridge as soon as key and app are accepted, as far as is known, and takes down whether they were.
    pub(crate) async fn ask<T>(
        &self,
        call: impl Future<Output = Result<T, bridge::Error>>,
    ) -> Result<T, bridge::Error> {
        let leave = self.access.enter().await;
        let answer = call.await;
        self.heard(leave, &answer);
        answer
    }

    /// Makes a call that is not about this app alone: only a refused key says anything, as every call meets it.
    pub(crate) async fn ask_about_all<T>(
        &self,
        call: impl Future<Output = Result<T, bridge::Error>>,
    ) -> Result<T, bridge::Error> {
        let leave = self.access.enter().await;
        let answer = call.await;
        match &answer {
            Err(error @ bridge::Error::Unauthorized { .. }) => self.refused_access(leave, error),
            _ => drop(leave),
        }
        answer
    }

    /// A call to the Bridge has ended: whether key and app are accepted is known, if Iden itself has answered.
    pub(crate) fn heard<T>(&self, leave: Leave, answer: &Result<T, bridge::Error>) {
        match answer {
            Err(error) if error.is_access() => self.refused_access(leave, error),
            Err(error) if !error.shows_access() => drop(leave),
            _ => {
                if self.access.granted(leave) {
                    tracing::info!(app = %self.name, "the Bridge accepts the key for this app again");
                }
            }
        }
    }

    /// The Bridge refused the key or the app: says so once for each growing wait.
    fn refused_access(&self, leave: Leave, error: &bridge::Error) {
        if let Some(refusals) = self.access.refused(leave, format!("{error}. {}", error.advice())) {
            tracing::error!(app = %self.name, refusals, "{error}. {}", error.advice());
        }
    }
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App").field("name", &self.name).field("id", &self.id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::bridge::{Call, Operation};
    use crate::runtime::fakes::{Place, Script};

    struct Nothing;

    impl Script for Nothing {}

    fn call() -> Call {
        Call::new(Operation::Push, None)
    }

    /// What Iden itself cannot have said after looking at the key.
    fn says_nothing() -> Vec<bridge::Error> {
        use bridge::Error as E;
        vec![
            E::NotSent { call: call(), cause: "refused".into() },
            E::NoAnswer { call: call(), cause: "reset".into() },
            E::Server { call: call(), status: 502, retry_after: None },
            E::RateLimited { call: call(), retry_after: None },
            E::Malformed { call: call(), what: "a page for people".into() },
            E::Unexpected { call: call(), status: 408 },
            E::NotFound { call: call(), what: "x".into(), from_bridge: false },
        ]
    }

    fn shows_access() -> Vec<bridge::Error> {
        use bridge::Error as E;
        vec![
            E::Conflict { call: call(), detail: "done already".into() },
            E::Unprocessable { call: call(), detail: "a rule".into() },
            E::BadRequest { call: call(), detail: "a field".into() },
            E::NotFound { call: call(), what: "x".into(), from_bridge: true },
        ]
    }

    fn refused(app: &App) {
        let refusal: Result<(), _> = Err(bridge::Error::Unauthorized { call: call() });
        app.heard(Access::ordered(), &refusal);
        assert!(app.access.cause().is_some());
    }

    #[test]
    fn only_an_answer_of_iden_itself_shows_that_the_key_works_again() {
        let place = Place::new();
        let app = place.app(&Arc::new(Nothing));
        for error in says_nothing() {
            refused(&app);
            let told = error.to_string();
            app.heard::<()>(Access::ordered(), &Err(error));
            assert!(app.access.cause().is_some(), "{told}");
        }
        for error in shows_access() {
            refused(&app);
            let told = error.to_string();
            app.heard::<()>(Access::ordered(), &Err(error));
            assert!(app.access.cause().is_none(), "{told}");
        }
        refused(&app);
        app.heard(Access::ordered(), &Ok(()));
        assert!(app.access.cause().is_none());
    }

    #[test]
    fn a_list_of_all_apps_says_nothing_of_one_that_is_refused() {
        let place = Place::new();
        let app = place.app(&Arc::new(Nothing));
        place.runtime.block_on(async {
            let forbidden: Result<(), _> = Err(bridge::Error::Forbidden { call: call() });
            app.heard(Access::ordered(), &forbidden);
            tokio::time::pause();
            app.ask_about_all(async { Ok(()) }).await.unwrap();
            assert!(app.access.cause().is_some());
        });
    }
}
