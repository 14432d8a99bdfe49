//! When the daemon counts as ready: for systemd, which waits only for a limited time, and for `/readyz`, which reports the current state.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::names::first_names;
use super::status::{AppStatus, PollState};
use super::upstream::Upstream;

/// Watches for readiness: every app that executes tasks must have read its task list.
#[derive(Clone, Debug)]
pub struct Readiness {
    apps: BTreeMap<String, Watched>,
}

/// What is watched of an app.
#[derive(Clone, Debug)]
pub(crate) struct Watched {
    /// Its polls. `None` if it executes no tasks.
    pub(crate) polls: Option<Arc<AppStatus>>,
    /// All calls of the app: a sync or a report may be refused between two polls.
    pub(crate) upstream: Arc<Upstream>,
}

/// The current readiness state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ready {
    /// Apps whose state is not known yet.
    pub awaited: Vec<String>,
    /// Apps that cannot use the Bridge.
    pub down: Vec<String>,
    /// Apps that have not been in contact with the Bridge since the daemon started.
    pub unreached: Vec<String>,
    /// The reasons why apps are awaited or down, if known.
    pub reasons: BTreeMap<String, String>,
}

impl Readiness {
    /// Watches the given apps.
    pub(crate) fn new(apps: BTreeMap<String, Watched>) -> Self {
        Self { apps }
    }

    /// The current readiness state.
    pub fn now(&self) -> Ready {
        let mut ready = Ready::default();
        for (name, app) in &self.apps {
            let contact = app.polls.as_ref().map_or(PollState::Made, |polls| *polls.contact().borrow());
            if app.polls.as_ref().is_some_and(|polls| polls.polled_at().is_none()) {
                ready.unreached.push(name.clone());
            }
            // While access is refused, nothing polls, so the last poll may have succeeded.
            if contact != PollState::Failed && app.upstream.refused().is_some() {
                ready.down.push(name.clone());
                ready.reasons.insert(name.clone(), "Iden refuses access".to_owned());
                continue;
            }
            let Some(app) = &app.polls else { continue };
            let reason = match contact {
                PollState::Made => continue,
                PollState::None => {
                    ready.awaited.push(name.clone());
                    let asked = app.progress().seen().asked.map(|asked| asked.elapsed().as_secs());
                    asked.filter(|seconds| *seconds > 0).map(|seconds| format!("no response for {seconds} s"))
                }
                PollState::Failed => {
                    ready.down.push(name.clone());
                    app.poll_failure().map(|failure| failure.message)
                }
            };
            if let Some(reason) = reason {
                ready.reasons.insert(name.clone(), reason);
            }
        }
        ready
    }

    /// Waits until every app is ready, for at most `patience`: a Bridge that is down, or accepts requests without responding, must not
    /// delay the machine's boot.
    pub async fn reached(&self, patience: Duration) -> Ready {
        let all = async {
            for status in self.apps.values().filter_map(|app| app.polls.as_ref()) {
                let mut contact = status.contact();
                // The sender is in the status, which is borrowed here, so it cannot be dropped.
                drop(contact.wait_for(|contact| *contact != PollState::None).await);
            }
        };
        // Timeout or not, the current state is returned below.
        drop(tokio::time::timeout(patience, all).await);
        self.now()
    }
}

impl Ready {
    /// Whether every app has been in contact with the Bridge. A later outage does not change that.
    pub fn is_ready(&self) -> bool {
        self.unreached.is_empty()
    }

    fn names(&self, names: &[String]) -> String {
        let told = names.iter().map(|name| match self.reasons.get(name) {
            Some(reason) => format!("{name} ({reason})"),
            None => name.clone(),
        });
        first_names(told)
    }
}

impl fmt::Display for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let awaited = self.names(&self.awaited);
        let down = self.names(&self.down);
        match (awaited.is_empty(), down.is_empty()) {
            (true, true) => f.write_str("connected to the Bridge"),
            (false, true) => write!(f, "no contact with the Bridge yet for {awaited}"),
            (true, false) if self.is_ready() => write!(f, "the Bridge is currently unavailable for {down}"),
            (true, false) => write!(f, "the Bridge is not available yet for {down}"),
            (false, false) => {
                write!(f, "no contact with the Bridge yet for {awaited}; it is unavailable for {down}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;
    use crate::fakes;
    use bridgehead_bridge as bridge;
    use bridgehead_resilience::SeededRng;

    const PATIENCE: Duration = Duration::from_secs(30);

    struct Nothing;

    impl fakes::Script for Nothing {}

    fn upstream() -> Arc<Upstream> {
        let rng = Arc::new(SeededRng::seeded(1));
        Arc::new(Upstream::new(fakes::api(&Arc::new(Nothing)), "an app", &rng))
    }

    /// A call of the app, other than a poll, gets this answer.
    async fn called(upstream: &Upstream, answer: Result<(), bridge::Error>) {
        let answer = std::sync::Mutex::new(Some(answer));
        let send = |_| {
            let answer = answer.lock().unwrap().take().unwrap();
            async { answer }.boxed()
        };
        drop(upstream.ask(bridge::Operation::Push, send).await);
    }

    fn two() -> (Readiness, Arc<AppStatus>, Arc<AppStatus>) {
        let (hr, crm) = (Arc::new(AppStatus::default()), Arc::new(AppStatus::default()));
        let watched =
            |status: &Arc<AppStatus>| Watched { polls: Some(Arc::clone(status)), upstream: upstream() };
        let apps = BTreeMap::from([("hr".to_owned(), watched(&hr)), ("crm".to_owned(), watched(&crm))]);
        (Readiness::new(apps), hr, crm)
    }

    fn failure() -> bridge::Error {
        let app = bridge::AppId::from(uuid::Uuid::nil());
        bridge::Error::Unauthorized { call: bridge::Call::new(bridge::Operation::ListTasks, app) }
    }

    /// A sync or a report notices a revoked key while the last poll was fine, and an app may have no polls at all.
    #[tokio::test]
    async fn refused_access_between_polls_is_not_a_connection() {
        for has_polls in [true, false] {
            let (status, upstream) = (Arc::new(AppStatus::default()), upstream());
            let polls = has_polls.then(|| Arc::clone(&status));
            let watched = Watched { polls, upstream: Arc::clone(&upstream) };
            let readiness = Readiness::new(BTreeMap::from([("hr".to_owned(), watched)]));
            status.polled(None);
            assert_eq!(readiness.now().to_string(), "connected to the Bridge");
            called(&upstream, Err(failure())).await;
            let refused = readiness.now();
            assert!(refused.is_ready(), "the daemon was ready; this is an alarm");
            let told = "the Bridge is currently unavailable for hr (Iden refuses access)";
            assert_eq!(refused.to_string(), told, "polls: {has_polls}");
            called(&upstream, Ok(())).await;
            assert_eq!(readiness.now().to_string(), "connected to the Bridge");
        }
    }

    #[tokio::test]
    async fn daemon_is_ready_once_every_app_has_contact() {
        let (readiness, hr, crm) = two();
        assert_eq!(readiness.now().to_string(), "no contact with the Bridge yet for crm, hr");
        hr.polled(None);
        assert!(!readiness.now().is_ready());
        assert!(readiness.reached(PATIENCE).now_or_never().is_none());
        crm.polled(None);
        assert_eq!(readiness.reached(PATIENCE).await, Ready::default());
        hr.polled(Some(&failure()));
        assert!(readiness.now().is_ready(), "an outage later on is an alarm");
        assert!(
            readiness
                .now()
                .to_string()
                .starts_with("the Bridge is currently unavailable for hr (cannot list")
        );
        hr.polled(None);
        assert_eq!(readiness.now().to_string(), "connected to the Bridge");
    }

    #[tokio::test]
    async fn failed_contact_ends_the_wait_without_being_ready() {
        let (readiness, hr, crm) = two();
        hr.polled(Some(&failure()));
        crm.polled(None);
        let ready = readiness.reached(PATIENCE).await;
        assert!(!ready.is_ready(), "the machine may go on booting; the daemon is not ready for all that");
        let text = ready.to_string();
        assert!(
            text.starts_with("the Bridge is not available yet for hr (cannot ") && text.contains("401"),
            "{text}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_for_a_silent_bridge_times_out() {
        let (readiness, hr, crm) = two();
        hr.progress().asked();
        crm.polled(None);
        let began = tokio::time::Instant::now();
        let ready = readiness.reached(PATIENCE).await;
        assert_eq!(began.elapsed(), PATIENCE);
        assert!(!ready.is_ready());
        assert_eq!(ready.to_string(), "no contact with the Bridge yet for hr (no response for 30 s)");
    }

    #[tokio::test]
    async fn daemon_without_tasks_is_ready_at_once() {
        assert!(Readiness::new(BTreeMap::new()).reached(PATIENCE).await.is_ready());
    }
}
