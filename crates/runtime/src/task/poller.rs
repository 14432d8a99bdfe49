//! Walking the list of pending tasks, page by page.
//!
//! Offset pages shift while tasks complete: what stood at the head of page three slides into page two. A task missed
//! that way is found by the next walk, but a younger task of the same account could be seen first and overtake it. So
//! the walk goes back where pages do not fit together ([`OffsetPager`]), and tasks are handed on only when the list has been
//! read to its end.

use std::collections::HashSet;

use bridgehead_sdk::{Action, TaskId};
use futures::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::account_queues::{self, AccountKey};
use super::bodies;
use super::offset_pager::OffsetPager;
use crate::app::AppContext;
use bridgehead_bridge::{self as bridge, Api, Call, NextPage, Operation, Task, TaskQuery, TaskStatus};

/// The most tasks on one page; the documented default is 50.
const PAGE: u32 = 100;
/// So many different complaints about a list are kept.
const COMPLAINTS: usize = 100;

/// A pending task as the list shows it.
#[derive(Debug)]
pub(super) struct PendingTask {
    pub(super) id: TaskId,
    pub(super) created_at: Option<Timestamp>,
    pub(super) keys: Vec<AccountKey>,
    /// Whether it takes access away.
    pub(super) is_destructive: bool,
    /// When the page was requested that shows it.
    pub(super) seen: Instant,
    /// The task itself, for as many as there is room for; of the rest only this much is kept.
    pub(super) task: Option<Task>,
}

/// What one walk saw.
#[derive(Debug)]
pub(super) struct PollResult {
    /// When the first page was requested.
    pub(super) began: Instant,
    pub(super) tasks: Vec<PendingTask>,
    /// What is wrong with items of the list that are no tasks; nothing can be reported for them.
    pub(super) unreadable: Vec<String>,
    /// How many pending tasks are not due yet.
    pub(super) not_due: u64,
    /// What ended the walk before the end of the list.
    pub(super) error: Option<bridge::Error>,
}

impl Default for PollResult {
    fn default() -> Self {
        Self { began: Instant::now(), tasks: Vec::new(), unreadable: Vec::new(), not_due: 0, error: None }
    }
}

/// Reads the whole list; `room` is how many bytes the tasks may take that are kept whole.
pub(super) async fn walk(app: &AppContext, mut room: usize) -> PollResult {
    let mut walked = PollResult::default();
    let mut seen = walked.began;
    let mut ids = HashSet::new();
    let mut course = OffsetPager::new(app.status.resolved());
    let query = TaskQuery { status: TaskStatus::Pending, limit: PAGE };
    let mut answer = guarded(app, |bridge| bridge.tasks(app.id, &query)).await;
    let mut here: Option<NextPage> = None;
    loop {
        let page = match answer {
            Ok(page) => page,
            Err(error) => {
                walked.error = Some(error);
                return walked;
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
        walked.complain(page.unreadable);
        let mut is_news = false;
        for task in page.tasks {
            if !ids.insert(task.id.clone()) {
                continue;
            }
            is_news = true;
            if is_early(&task, app.clock.now()) {
                walked.not_due += 1;
            } else if task.status == TaskStatus::Pending {
                let keys = account_queues::keys_of(&task.id, &task.payload);
                let (id, created_at) = (task.id.clone(), task.created_at);
                let is_destructive = task.action.parse().is_ok_and(Action::is_destructive);
                let weight = bodies::weight_of(&task);
                let task = (weight <= room).then_some(task);
                room -= task.as_ref().map_or(0, |_| weight);
                walked.tasks.push(PendingTask { id, created_at, keys, is_destructive, seen, task });
            }
        }
        let Some(next) = page.next else {
            let oldest = walked.tasks.iter().filter_map(|task| task.created_at).min();
            app.status.recent().listed(oldest, app.clock.now());
            return walked;
        };
        let Ok(next) = course.onward(&next, items, page.count, app.status.resolved(), ids.len(), is_news)
        else {
            walked.error = Some(bridge::Error::LinkLoop { call: Call::new(Operation::ListTasks, app.id) });
            return walked;
        };
        seen = Instant::now();
        answer = guarded(app, |bridge| bridge.next_tasks(app.id, &next)).await;
        here = Some(next);
    }
}

/// What the clocks of Iden and of this machine may be apart. Iden shows a task as pending when its time has come by Iden's clock
/// (task guide), which is believed within this; what is further ahead is no difference of clocks.
const CLOCKS: SignedDuration = SignedDuration::from_hours(24);

/// Whether a pending task is not due yet. It stays in the list and is seen again by the next walk; nothing waits behind it,
/// as nothing waits behind a task that Iden shows as `scheduled`.
pub(super) fn is_early(task: &Task, now: Timestamp) -> bool {
    let latest = now.saturating_add(CLOCKS).unwrap_or(Timestamp::MAX);
    task.status == TaskStatus::Pending && task.execute_after.is_some_and(|after| after > latest)
}

impl PollResult {
    /// They are much alike, and a list that never ends would have no end of them.
    fn complain(&mut self, unreadable: Vec<String>) {
        for what in unreadable {
            if self.unreadable.len() < COMPLAINTS && !self.unreadable.contains(&what) {
                self.unreadable.push(what);
            }
        }
    }
}

/// Reverses the order of tasks that were listed newest first. Their creation time counts more, but for two created at
/// the same instant, only the order of the list is available.
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
