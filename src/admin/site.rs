//! The data that pages are made from, and the sessions of their users.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::http::{HeaderMap, header};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::actions::{Actions, Operator, Refusal};
use super::pages::{self, Frame};
use super::refusals::Refusals;
use super::session::Access;
use bridgehead_runtime::inspection::{ListingEnd, TaskRow, TaskStory};
use bridgehead_runtime::{StatusReport, StatusReporter};
use bridgehead_sdk::TaskId;

/// How long a list of tasks is cached: paging through one must not burden the daemon.
const FRESH: Duration = Duration::from_secs(5);
/// How long the status is cached.
const NOW: Duration = Duration::from_millis(500);
/// The maximum number of pages with live updates.
const LIVE: usize = 16;
/// The maximum number of cached lists.
const LISTS: usize = 16;

/// A list of tasks that was read.
type Listed = Arc<(Vec<TaskRow>, ListingEnd)>;

/// The data that pages are made from.
pub(crate) struct Site {
    pub(super) observer: StatusReporter,
    pub(super) access: Access,
    /// Data and actions other than the status; `None` in tests of single pages.
    pub(super) operator: Option<Operator>,
    pub(super) actions: Actions,
    /// The name of the cookie: all ports of a host share their cookies.
    pub(super) cookie: String,
    pub(super) live: Arc<Semaphore>,
    pub(super) refusals: Refusals,
    /// Iden is called for one page at a time.
    asking: Semaphore,
    lists: Mutex<BTreeMap<String, (Age, Listed)>>,
    seen: Mutex<Option<(Age, Arc<StatusReport>)>>,
    notices: Mutex<BTreeMap<String, String>>,
}

/// When something was read, and how often apps had been exchanged before.
#[derive(Clone, Copy)]
struct Age {
    at: Instant,
    exchanges: u64,
}

impl Age {
    /// Whether it was read recently, and the apps have not been exchanged since.
    fn is_fresh(self, observer: &StatusReporter, moment: Duration) -> bool {
        self.at.elapsed() < moment && self.exchanges == observer.exchanges()
    }
}

impl std::fmt::Debug for Site {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Site").field("access", &self.access).finish_non_exhaustive()
    }
}

impl Site {
    pub(super) fn new(
        observer: StatusReporter,
        access: Access,
        operator: Option<Operator>,
        port: u16,
    ) -> Self {
        Self {
            observer,
            access,
            operator,
            actions: Actions::of(),
            cookie: format!("bridgehead_{port}"),
            live: Arc::new(Semaphore::new(LIVE)),
            refusals: Refusals::default(),
            asking: Semaphore::new(1),
            lists: Mutex::default(),
            seen: Mutex::default(),
            notices: Mutex::default(),
        }
    }

    /// The status, cached for a moment.
    pub(super) async fn overview(&self) -> Arc<StatusReport> {
        let lock = || self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((age, seen)) = &*lock()
            && age.is_fresh(&self.observer, NOW)
        {
            return Arc::clone(seen);
        }
        let exchanges = self.observer.exchanges();
        let seen = Arc::new(self.observer.overview().await);
        *lock() = Some((Age { at: Instant::now(), exchanges }, Arc::clone(&seen)));
        seen
    }

    /// A list of tasks, cached for a moment.
    pub(super) async fn tasks(&self, app: &str, fields: &super::query::Fields) -> Result<Listed, Refusal> {
        let (name, which, limit) = pages::which(fields);
        let key = format!("{app}/{name}/{limit:?}");
        let lock = || self.lists.lock().unwrap_or_else(PoisonError::into_inner);
        let is_fresh = |age: Age| age.is_fresh(&self.observer, FRESH);
        let kept =
            || lock().get(&key).filter(|(age, _)| is_fresh(*age)).map(|(_, listed)| Arc::clone(listed));
        if let Some(listed) = kept() {
            return Ok(listed);
        }
        let operator = self.operator.as_ref().ok_or(Refusal::NoSuchApp)?;
        let _one = self.asking.acquire().await;
        // Another request may have loaded it in the meantime.
        if let Some(listed) = kept() {
            return Ok(listed);
        }
        let exchanges = self.observer.exchanges();
        let listed = Arc::new(operator.list(app, which, limit).await?);
        let mut lists = lock();
        lists.retain(|_, (age, _)| is_fresh(*age));
        if lists.len() < LISTS {
            lists.insert(key, (Age { at: Instant::now(), exchanges }, Arc::clone(&listed)));
        }
        Ok(listed)
    }

    /// The history of a task. Like lists, histories are requested from Iden one at a time, no matter how many pages are requested.
    pub(super) async fn story(&self, app: &str, task: &TaskId) -> Result<Option<TaskStory>, Refusal> {
        let operator = self.operator.as_ref().ok_or(Refusal::NoSuchApp)?;
        let _one = self.asking.acquire().await;
        operator.story(app, task).await
    }

    /// Drops what was read, because it is outdated.
    pub(super) fn forget_lists(&self) {
        self.lists.lock().unwrap_or_else(PoisonError::into_inner).clear();
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Shows a message on the next page of a session.
    pub(super) fn notify(&self, session: &str, text: String) {
        let mut notices = self.notices.lock().unwrap_or_else(PoisonError::into_inner);
        // Ended sessions are not reported here, so the number is limited.
        if notices.len() >= 64 {
            notices.clear();
        }
        notices.insert(session.to_owned(), text);
    }

    /// The session of a request, from its cookie.
    pub(super) fn session(&self, headers: &HeaderMap) -> Option<String> {
        let sessions = self.access.sessions()?;
        let cookies = headers.get_all(header::COOKIE).into_iter().filter_map(|cookies| cookies.to_str().ok());
        let mut pairs =
            cookies.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.trim().split_once('='));
        pairs
            .find(|(name, value)| *name == self.cookie && sessions.knows(value))
            .map(|(_, value)| value.to_owned())
    }

    /// The frame of a page.
    pub(super) fn frame(&self, here: &str, session: Option<&str>, overview: &StatusReport) -> Frame {
        let daemon = overview.daemon.clone().unwrap_or_default();
        let uptime = jiff::SignedDuration::from_secs(i64::try_from(daemon.uptime_seconds).unwrap_or(0));
        let notice = session
            .and_then(|session| self.notices.lock().unwrap_or_else(PoisonError::into_inner).remove(session));
        Frame {
            here: here.to_owned(),
            links: links(here, overview),
            can_sign_in: self.access.sessions().is_some(),
            is_signed_in: session.is_some(),
            is_live: false,
            renews: false,
            notice,
            process: format!(
                "bridgehead {}, process {}, running for {}",
                daemon.version,
                daemon.pid,
                super::summary::long(uptime)
            ),
            readiness: pages::sentence(&daemon.readiness),
        }
    }
}

/// Links to the apps, and to the lists of the current one.
fn links(here: &str, overview: &StatusReport) -> Vec<pages::Link> {
    let path = here.split('?').next().unwrap_or(here);
    let mut links = vec![pages::Link::new("Overview", "/", path == "/")];
    for name in overview.apps.keys() {
        let base = format!("/apps/{}", pages::path_of(name));
        let is_inside = path == base || path.strip_prefix(&base).is_some_and(|rest| rest.starts_with('/'));
        links.push(pages::Link::new(name.as_str(), base.clone(), path == base));
        if is_inside {
            for (text, part) in [("Tasks", "tasks"), ("Syncs", "syncs")] {
                let href = format!("{base}/{part}");
                let is_here = path == href;
                links.push(pages::Link { is_sub: true, ..pages::Link::new(text, href, is_here) });
            }
        }
    }
    links
}
