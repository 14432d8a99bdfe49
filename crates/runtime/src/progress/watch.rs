//! The activity that the loops of one app report.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bridgehead_sdk::{Code, TaskId};
use tokio::time::Instant;

/// The maximum number of errors kept for list items that are not tasks.
const COMPLAINTS: usize = 20;

/// The progress of one app.
#[derive(Debug)]
pub(crate) struct Progress(Mutex<State>);

#[derive(Debug)]
struct State {
    tasks: HashMap<TaskId, Task>,
    /// When any task was last picked up, attempted, decided or ended.
    moved: Instant,
    /// When the request for the task list was sent that has no response yet.
    asked: Option<Instant>,
    /// When the last response for the list arrived, or polling was paused on purpose.
    heard: Instant,
    unwritten: Option<Unwritten>,
    unreadable: Vec<String>,
    not_due: u64,
    /// When the sync last made progress.
    sync_moved: Instant,
}

#[derive(Debug)]
struct Task {
    action: String,
    /// When this process picked up the task.
    since: Instant,
    attempts: u32,
    /// When this process started its first attempt.
    tried: Option<Instant>,
    /// Why the task is not done yet, as last reported.
    last: Option<(Option<Code>, String)>,
    /// When the task continues.
    next: Option<Instant>,
    /// When the outcome was decided that has not been reported to Iden yet.
    decided: Option<Instant>,
    /// The task waits for the app to be resumed.
    paused: bool,
}

/// The state folder cannot be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unwritten {
    pub(crate) since: Instant,
    pub(crate) message: String,
}

/// The state of a task. Not redacted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TaskSeen {
    pub(crate) task: TaskId,
    pub(crate) action: String,
    pub(crate) since: Instant,
    pub(crate) tried: Option<Instant>,
    pub(crate) attempts: u32,
    pub(crate) code: Option<Code>,
    pub(crate) reason: Option<String>,
    pub(crate) next: Option<Instant>,
    pub(crate) decided: Option<Instant>,
}

/// A snapshot of all activity. Not redacted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Tasks under way that are retried, or whose outcome has not been reported yet; oldest first.
    pub(crate) tasks: Vec<TaskSeen>,
    /// Since when no task has made progress, although one could.
    pub(crate) still: Option<Instant>,
    /// Since when a request for the list has been waiting for a response.
    pub(crate) asked: Option<Instant>,
    /// When the last response for the list arrived.
    pub(crate) heard: Instant,
    pub(crate) unwritten: Option<Unwritten>,
    pub(crate) unreadable: Vec<String>,
    pub(crate) not_due: u64,
    pub(crate) sync_moved: Instant,
}

impl Default for Progress {
    fn default() -> Self {
        let now = Instant::now();
        Self(Mutex::new(State {
            tasks: HashMap::new(),
            moved: now,
            asked: None,
            heard: now,
            unwritten: None,
            unreadable: Vec::new(),
            not_due: 0,
            sync_moved: now,
        }))
    }
}

impl Progress {
    /// Records that a task was picked up.
    pub(crate) fn begin(&self, task: &TaskId) {
        self.task(task, |_| {});
    }

    /// Records that a task waits for its app to be resumed, or no longer does.
    pub(crate) fn pause(&self, task: &TaskId, paused: bool) {
        self.task(task, |seen| seen.paused = paused);
    }

    /// Records that a task is no longer in progress.
    pub(crate) fn end(&self, task: &TaskId) {
        let mut state = self.state();
        state.tasks.remove(task);
        state.moved = Instant::now();
    }

    /// Records that an attempt is about to be made.
    pub(crate) fn attempt(&self, task: &TaskId, action: &str, attempt: u32) {
        self.task(task, |seen| {
            action.clone_into(&mut seen.action);
            seen.attempts = attempt;
            seen.tried.get_or_insert_with(Instant::now);
            seen.next = None;
        });
    }

    /// Records what an earlier process has done for a task.
    pub(crate) fn resumed(&self, task: &TaskId, action: &str, attempts: u32) {
        self.task(task, |seen| {
            action.clone_into(&mut seen.action);
            seen.attempts = attempts;
        });
    }

    /// Records why a task is not done yet, and how long it waits now.
    pub(crate) fn wait(&self, task: &TaskId, code: Option<Code>, reason: &str, wait: Duration) {
        self.task(task, |seen| {
            seen.last = Some((code, reason.to_owned()));
            seen.next = Some(Instant::now() + wait);
        });
    }

    /// Records that a task has an outcome, which is to be reported.
    pub(crate) fn decided(&self, task: &TaskId) {
        self.task(task, |seen| {
            seen.decided.get_or_insert_with(Instant::now);
            seen.last = None;
            seen.next = None;
        });
    }

    /// Records that a task was reported, and that its account's next task waits until its attempt is certainly over.
    pub(crate) fn reported(&self, task: &TaskId, wait: Duration) {
        self.task(task, |seen| {
            seen.decided = None;
            seen.last = Some((None, "reported; an attempt may still be running in the target".to_owned()));
            seen.next = Some(Instant::now() + wait);
        });
    }

    /// Records that a request for the task list is sent.
    pub(crate) fn asked(&self) {
        self.state().asked.get_or_insert_with(Instant::now);
    }

    /// Records any response to the request for the list, or that polling is paused on purpose.
    pub(crate) fn heard(&self) {
        let mut state = self.state();
        state.asked = None;
        state.heard = Instant::now();
    }

    /// Records what a complete poll skipped: errors of items that are not tasks, and the number of tasks that are not due yet.
    pub(crate) fn skipped(&self, unreadable: &[String], not_due: u64) {
        let mut state = self.state();
        state.unreadable = unreadable.iter().take(COMPLAINTS).cloned().collect();
        state.not_due = not_due;
    }

    /// Records that the state folder was written.
    pub(crate) fn written(&self) {
        self.state().unwritten = None;
    }

    /// Records that the state folder could not be written.
    pub(crate) fn not_written(&self, message: String) {
        let mut state = self.state();
        let since = state.unwritten.as_ref().map_or_else(Instant::now, |unwritten| unwritten.since);
        state.unwritten = Some(Unwritten { since, message });
    }

    /// Records that the sync made progress.
    pub(crate) fn sync_moved(&self) {
        self.state().sync_moved = Instant::now();
    }

    /// Takes a snapshot.
    pub(crate) fn seen(&self) -> Seen {
        let now = Instant::now();
        let state = self.state();
        let mut tasks: Vec<TaskSeen> = state
            .tasks
            .iter()
            .filter(|(_, task)| task.last.is_some() || task.decided.is_some() || task.attempts > 1)
            .map(|(id, task)| TaskSeen {
                task: id.clone(),
                action: task.action.clone(),
                since: task.since,
                tried: task.tried,
                attempts: task.attempts,
                code: task.last.as_ref().and_then(|(code, _)| *code),
                reason: task.last.as_ref().map(|(_, reason)| reason.clone()),
                next: task.next.filter(|next| *next > now),
                decided: task.decided,
            })
            .collect();
        tasks.sort_by(|one, other| (one.since, &one.task).cmp(&(other.since, &other.task)));
        // Tasks that wait for their next attempt, or whose report is repeated, are listed as such.
        let could_move =
            |task: &Task| task.next.is_none_or(|next| next <= now) && task.decided.is_none() && !task.paused;
        Seen {
            tasks,
            still: state.tasks.values().any(could_move).then_some(state.moved),
            asked: state.asked,
            heard: state.heard,
            unwritten: state.unwritten.clone(),
            unreadable: state.unreadable.clone(),
            not_due: state.not_due,
            sync_moved: state.sync_moved,
        }
    }

    /// The state of a task under way, even if there is nothing noteworthy about it.
    pub(crate) fn task_seen(&self, id: &TaskId) -> Option<TaskSeen> {
        let state = self.state();
        let task = state.tasks.get(id)?;
        Some(TaskSeen {
            task: id.clone(),
            action: task.action.clone(),
            since: task.since,
            tried: task.tried,
            attempts: task.attempts,
            code: task.last.as_ref().and_then(|(code, _)| *code),
            reason: task.last.as_ref().map(|(_, reason)| reason.clone()),
            next: task.next.filter(|next| *next > Instant::now()),
            decided: task.decided,
        })
    }

    fn task(&self, task: &TaskId, change: impl FnOnce(&mut Task)) {
        let now = Instant::now();
        let mut state = self.state();
        state.moved = now;
        change(state.tasks.entry(task.clone()).or_insert_with(|| Task {
            action: String::new(),
            since: now,
            attempts: 0,
            tried: None,
            last: None,
            next: None,
            decided: None,
            paused: false,
        }));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    #[tokio::test(start_paused = true)]
    async fn retried_task_shows_attempts_reason_and_next_attempt() {
        let progress = Progress::default();
        let task: TaskId = "t1".into();
        progress.begin(&task);
        progress.attempt(&task, "suspend_account", 1);
        assert_eq!(progress.seen().tasks, [], "a first attempt is nothing to tell of");
        progress.wait(&task, Some(Code::RateLimited), "HR asks to slow down", MINUTE);
        progress.attempt(&task, "suspend_account", 2);
        progress.wait(&task, Some(Code::RateLimited), "HR asks to slow down", MINUTE);
        let seen = progress.seen();
        assert_eq!(seen.tasks.len(), 1);
        assert_eq!((seen.tasks[0].attempts, seen.tasks[0].code), (2, Some(Code::RateLimited)));
        assert_eq!(seen.tasks[0].next, Some(Instant::now() + MINUTE));
        assert_eq!(seen.still, None, "it waits, and says until when");
        tokio::time::advance(2 * MINUTE).await;
        let seen = progress.seen();
        assert_eq!((seen.tasks[0].next, seen.still.unwrap().elapsed()), (None, 2 * MINUTE));
        progress.end(&task);
        assert_eq!((progress.seen().tasks, progress.seen().still), (vec![], None));
    }

    #[tokio::test(start_paused = true)]
    async fn unreported_outcome_is_visible() {
        let progress = Progress::default();
        progress.begin(&"t1".into());
        progress.decided(&"t1".into());
        tokio::time::advance(MINUTE).await;
        progress.decided(&"t1".into());
        let seen = progress.seen();
        assert_eq!(seen.tasks[0].decided.unwrap().elapsed(), MINUTE);
        assert_eq!(seen.still, None, "the report is what waits");
    }

    #[tokio::test(start_paused = true)]
    async fn any_task_activity_counts_as_progress() {
        let progress = Progress::default();
        progress.begin(&"slow".into());
        tokio::time::advance(MINUTE).await;
        progress.begin(&"quick".into());
        progress.end(&"quick".into());
        assert_eq!(progress.seen().still.unwrap().elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn failed_write_is_shown_until_one_succeeds() {
        let progress = Progress::default();
        progress.not_written("no space left".into());
        tokio::time::advance(MINUTE).await;
        progress.not_written("no space left".into());
        assert_eq!(progress.seen().unwritten.unwrap().since.elapsed(), MINUTE);
        progress.written();
        assert_eq!(progress.seen().unwritten, None);
    }

    #[tokio::test(start_paused = true)]
    async fn unanswered_request_is_timed_from_when_it_was_sent() {
        let progress = Progress::default();
        progress.asked();
        tokio::time::advance(MINUTE).await;
        progress.asked();
        assert_eq!(progress.seen().asked.unwrap().elapsed(), MINUTE);
        progress.heard();
        assert_eq!((progress.seen().asked, progress.seen().heard), (None, Instant::now()));
    }
}
