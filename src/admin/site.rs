//! What the pages are made from, and who asks for them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::http::{HeaderMap, header};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::actions::{Actions, Operator, Refusal};
use super::pages::{self, Frame};
use super::session::Access;
use bridgehead_runtime::inspection::{ListingEnd, TaskRow, TaskStory};
use bridgehead_runtime::{StatusReport, StatusReporter};
use bridgehead_sdk::TaskId;

/// How long a list of tasks is shown again without asking Iden again: paging through one must not be felt by the daemon.
const FRESH: Duration = Duration::from_secs(5);
/// How long the status is told again as it was.
const NOW: Duration = Duration::from_millis(500);
/// So many pages are kept live at once.
const LIVE: usize = 16;
/// So many lists are kept for a moment.
const LISTS: usize = 16;

/// A list of tasks that was read.
type Listed = Arc<(Vec<TaskRow>, ListingEnd)>;

/// What the pages are made from.
pub(crate) struct Site {
    pub(super) observer: StatusReporter,
    pub(super) access: Access,
    /// What can be looked at and done beside the status; nothing in tests of single pages.
    pub(super) operator: Option<Operator>,
    pub(super) actions: Actions,
    /// What the cookie is called: cookies of one host are shared by all its ports.
    pub(super) cookie: String,
    pub(super) live: Arc<Semaphore>,
    /// Iden is asked for one page at a time.
    asking: Semaphore,
    lists: Mutex<BTreeMap<String, (Age, Listed)>>,
    seen: Mutex<Option<(Age, Arc<StatusReport>)>>,
    notices: Mutex<BTreeMap<String, String>>,
}

/// When something was read, and how many exchanges of apps came before.
#[derive(Clone, Copy)]
struct Age {
    at: Instant,
    exchanges: u64,
}

impl Age {
    /// Whether it was read a moment ago, and is about the apps that there are.
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
            asking: Semaphore::new(1),
            lists: Mutex::default(),
            seen: Mutex::default(),
            notices: Mutex::default(),
        }
    }

    /// The status, as it was a moment ago at most.
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

    /// A list of tasks, as it was a moment ago at most.
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
        // Another request may have asked meanwhile.
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

    /// The story of a task, which Iden is asked for like a list: one at a time, however many ask for pages.
    pub(super) async fn story(&self, app: &str, task: &TaskId) -> Result<Option<TaskStory>, Refusal> {
        let operator = self.operator.as_ref().ok_or(Refusal::NoSuchApp)?;
        let _one = self.asking.acquire().await;
        operator.story(app, task).await
    }

    /// What was read is not so any more.
    pub(super) fn forget_lists(&self) {
        self.lists.lock().unwrap_or_else(PoisonError::into_inner).clear();
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Says something on the next page of a session.
    pub(super) fn notify(&self, session: &str, text: String) {
        let mut notices = self.notices.lock().unwrap_or_else(PoisonError::into_inner);
        // A session that ends is not reported here.
        if notices.len() >= 64 {
            notices.clear();
        }
        notices.insert(session.to_owned(), text);
    }

    /// The session of a request, if its cookie is that of one.
    pub(super) fn session(&self, headers: &HeaderMap) -> Option<String> {
        let sessions = self.access.sessions()?;
        let cookies = headers.get_all(header::COOKIE).into_iter().filter_map(|cookies| cookies.to_str().ok());
        let mut pairs =
            cookies.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.trim().split_once('='));
        pairs
            .find(|(name, value)| *name == self.cookie && sessions.knows(value))
            .map(|(_, value)| value.to_owned())
    }

    /// What is around a page.
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

/// The apps, and of the one that is shown its lists.
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
