//! Reads the list of pending tasks, page by page.
//!
//! Offset pages shift while tasks complete: a task at the top of page three moves to page two. The next poll finds a task missed that way,
//! but a newer task of the same account could be seen first and overtake it. So the poll goes back if pages do not fit together
//! ([`OffsetPager`]), and tasks are passed on only when the list has been read completely.

use std::collections::HashSet;

use bridgehead_sdk::{Action, TaskId};
use futures::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::account_queues::{self, AccountKey};
use super::bodies::Body;
use super::offset_pager::OffsetPager;
use crate::app::AppContext;
use bridgehead_bridge::{self as bridge, Api, Call, NextPage, Operation, Task, TaskQuery, TaskStatus};

/// The page size; the documented default is 50.
const PAGE: u32 = 100;
/// The maximum number of different errors kept for a list.
const COMPLAINTS: usize = 100;

/// A pending task as shown by the list.
#[derive(Debug)]
pub(super) struct PendingTask {
    pub(super) id: TaskId,
    pub(super) created_at: Option<Timestamp>,
    pub(super) keys: Vec<AccountKey>,
    /// Whether it removes access.
    pub(super) is_destructive: bool,
    /// When the page with this task was requested.
    pub(super) seen: Instant,
    /// The whole task, if it fits into memory; of other tasks only the fields above are kept.
    pub(super) task: Option<Body>,
}

/// The result of one poll.
#[derive(Debug)]
pub(super) struct PollResult {
    /// When the first page was requested.
    pub(super) began: Instant,
    pub(super) tasks: Vec<PendingTask>,
    /// Errors for list items that are not tasks; nothing can be reported for them.
    pub(super) unreadable: Vec<String>,
    /// The number of pending tasks that are not due yet.
    pub(super) not_due: u64,
    /// The error that ended the poll before the end of the list.
    pub(super) error: Option<bridge::Error>,
}

impl Default for PollResult {
    fn default() -> Self {
        Self { began: Instant::now(), tasks: Vec::new(), unreadable: Vec::new(), not_due: 0, error: None }
    }
}

/// Reads the whole list; `room` is the maximum number of bytes for tasks that are kept whole.
pub(super) async fn poll(app: &AppContext, mut room: usize) -> PollResult {
    let mut polled = PollResult::default();
    let mut seen = polled.began;
    let mut ids = HashSet::new();
    let mut course = OffsetPager::new(app.status.resolved());
    let query = TaskQuery { status: TaskStatus::Pending, limit: PAGE };
    let mut answer = guarded(app, |bridge| bridge.tasks(app.id, &query)).await;
    let mut here: Option<NextPage> = None;
    loop {
        let page = match answer {
            Ok(page) => page,
            Err(error) => {
                polled.error = Some(error);
                return polled;
            }
        };
        if let Some(here) = &mut here
            && let Some(earlier) = course.back_from(here, &page, &ids)
        {
            *here = earlier;
            seen = Instant::now();
            answer = guarded(app, |bridge| bridge.next_tasks(app.id, here)).await;
            continue;
        }
        let items = page.tasks.len() + page.unreadable.len();
        polled.complain(page.unreadable);
        let mut is_news = false;
        for task in page.tasks {
            if !ids.insert(task.id.clone()) {
                continue;
            }
            is_news = true;
            if is_early(app, &task) {
                polled.not_due += 1;
            } else if task.status == TaskStatus::Pending {
                let keys = account_queues::keys_of(&task.id, &task.payload);
                let (id, created_at) = (task.id.clone(), task.created_at);
                let is_destructive = task.action.parse().is_ok_and(Action::is_destructive);
                let body = Body::of(task);
                let weight = body.weight();
                let task = (weight <= room).then_some(body);
                room -= task.as_ref().map_or(0, |_| weight);
                polled.tasks.push(PendingTask { id, created_at, keys, is_destructive, seen, task });
            }
        }
        let Some(next) = page.next else {
            let oldest = polled.tasks.iter().filter_map(|task| task.created_at).min();
            app.status.recent().listed(oldest, app.shared.clock.now());
            return polled;
        };
        let Ok(next) = course.onward(&next, items, page.count, app.status.resolved(), ids.len(), is_news)
        else {
            polled.error = Some(bridge::Error::LinkLoop { call: Call::new(Operation::ListTasks, app.id) });
            return polled;
        };
        seen = Instant::now();
        answer = guarded(app, |bridge| bridge.next_tasks(app.id, &next)).await;
        here = Some(next);
    }
}

/// The tolerated difference between Iden's clock and this machine's clock. Iden lists a task as pending when it is due by Iden's clock
/// (task guide), and that is trusted within this limit; a task further in the future cannot be explained by clock differences.
const CLOCKS: SignedDuration = SignedDuration::from_hours(24);

/// Whether a pending task is not due yet. It stays in the list, and the next poll sees it again. No other task waits for it, just as none
/// waits for a task that Iden shows as `scheduled`.
pub(super) fn is_early(app: &AppContext, task: &Task) -> bool {
    // Iden has set the time. A clock here that is far off must neither start the task years early nor keep it for years.
    let latest =
        app.upstream.iden_time(app.shared.clock.now()).saturating_add(CLOCKS).unwrap_or(Timestamp::MAX);
    task.status == TaskStatus::Pending && task.execute_after.is_some_and(|after| after > latest)
}

impl PollResult {
    /// Errors are limited: they are similar, and an endless list would produce an endless number of them.
    fn complain(&mut self, unreadable: Vec<String>) {
        for what in unreadable {
            if self.unreadable.len() < COMPLAINTS && !self.unreadable.contains(&what) {
                self.unreadable.push(what);
            }
        }
    }
}

/// Reverses tasks that were listed newest first. Creation times take precedence, but for tasks created at the same instant, only the order
/// of the list is known.
pub(super) fn oldest_first(tasks: &mut [PendingTask]) {
    let mut times = tasks.iter().filter_map(|listed| listed.created_at);
    if let (Some(first), Some(last)) = (times.next(), times.next_back())
        && last < first
    {
        tasks.reverse();
    }
}

async fn guarded<'a, T: 'a>(
    app: &'a AppContext,
    call: impl Fn(&'a dyn Api) -> BoxFuture<'a, Result<T, bridge::Error>>,
) -> Result<T, bridge::Error> {
    let watched = |bridge| -> BoxFuture<'a, Result<T, bridge::Error>> {
        let call = call(bridge);
        Box::pin(async move {
            app.status.progress().asked();
            let answer = call.await;
            app.status.progress().heard();
            answer
        })
    };
    app.upstream.ask(Operation::ListTasks, watched).await
}
