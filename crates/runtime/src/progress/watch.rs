//! What the loops of one app say of themselves.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bridgehead_sdk::{Code, TaskId};
use tokio::time::Instant;

/// So many items of the list that are no tasks are kept.
const COMPLAINTS: usize = 20;

/// The progress of one app.
#[derive(Debug)]
pub(crate) struct Progress(Mutex<State>);

#[derive(Debug)]
struct State {
    tasks: HashMap<TaskId, Task>,
    /// When any task was last picked up, tried, decided or ended.
    moved: Instant,
    /// When a request for the list of tasks went out that is not answered yet.
    asked: Option<Instant>,
    /// When the list last said something, or was left alone on purpose.
    heard: Instant,
    unwritten: Option<Unwritten>,
    unreadable: Vec<String>,
    not_due: u64,
    /// Where the sync stood when it last moved.
    sync_moved: Instant,
}

#[derive(Debug)]
struct Task {
    action: String,
    /// When this process took it up.
    since: Instant,
    attempts: u32,
    /// When its first attempt of this process began.
    tried: Option<Instant>,
    /// Why it is not done yet, as last seen.
    last: Option<(Option<Code>, String)>,
    /// Nothing happens to it before.
    next: Option<Instant>,
    /// When its outcome was decided, which Iden has not heard of yet.
    decided: Option<Instant>,
    /// It waits for the app to be resumed.
    paused: bool,
}

/// That the state cannot be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unwritten {
    pub(crate) since: Instant,
    pub(crate) message: String,
}

/// A task as it stands. Not redacted.
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

/// Everything at one moment. Not redacted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// The tasks under way that are retried, or whose outcome waits to be heard; the oldest first.
    pub(crate) tasks: Vec<TaskSeen>,
    /// Since when no task has moved, while one could.
    pub(crate) still: Option<Instant>,
    /// Since when an answer to a request for the list has been waited for.
    pub(crate) asked: Option<Instant>,
    /// When the list last said something.
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
    /// A task is picked up.
    pub(crate) fn begin(&self, task: &TaskId) {
        self.task(task, |_| {});
    }

    /// A task waits for its app to be resumed, or no longer does.
    pub(crate) fn pause(&self, task: &TaskId, paused: bool) {
        self.task(task, |seen| seen.paused = paused);
    }

    /// A task is no longer in progress.
    pub(crate) fn end(&self, task: &TaskId) {
        let mut state = self.state();
        state.tasks.remove(task);
        state.moved = Instant::now();
    }

    /// An attempt is about to be made.
    pub(crate) fn attempt(&self, task: &TaskId, action: &str, attempt: u32) {
        self.task(task, |seen| {
            action.clone_into(&mut seen.action);
            seen.attempts = attempt;
            seen.tried.get_or_insert_with(Instant::now);
            seen.next = None;
        });
    }

    /// A task is not done yet: why, and how long it waits now.
    pub(crate) fn wait(&self, task: &TaskId, code: Option<Code>, reason: &str, wait: Duration) {
        self.task(task, |seen| {
            seen.last = Some((code, reason.to_owned()));
            seen.next = Some(Instant::now() + wait);
        });
    }

    /// The outcome of a task is known, and is to be reported.
    pub(crate) fn decided(&self, task: &TaskId) {
        self.task(task, |seen| {
            seen.decided.get_or_insert_with(Instant::now);
            seen.last = None;
            seen.next = None;
        });
    }

    /// A request for the list of tasks goes out.
    pub(crate) fn asked(&self) {
        self.state().asked.get_or_insert_with(Instant::now);
    }

    /// The list of tasks was heard, whatever it said; or it is left alone on purpose.
    pub(crate) fn heard(&self) {
        let mut state = self.state();
        state.asked = None;
        state.heard = Instant::now();
    }

    /// What a reading of the whole list skipped: items that are no tasks, and how many tasks are not due yet.
    pub(crate) fn passed_over(&self, unreadable: &[String], not_due: u64) {
        let mut state = self.state();
        state.unreadable = unreadable.iter().take(COMPLAINTS).cloned().collect();
        state.not_due = not_due;
    }

    /// The state was written.
    pub(crate) fn written(&self) {
        self.state().unwritten = None;
    }

    /// The state could not be written.
    pub(crate) fn not_written(&self, message: String) {
        let mut state = self.state();
        let since = state.unwritten.as_ref().map_or_else(Instant::now, |unwritten| unwritten.since);
        state.unwritten = Some(Unwritten { since, message });
    }

    /// The sync has got on.
    pub(crate) fn sync_moved(&self) {
        self.state().sync_moved = Instant::now();
    }

    /// How everything stands.
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
        // One that waits for its next try, or whose report is repeated, is told about as such.
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

    /// A task that is under way, whether there is something to tell of it or not.
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
    async fn a_task_that_is_tried_again_is_seen_with_its_attempts_its_reason_and_its_next_try() {
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
    async fn an_outcome_that_waits_to_be_heard_is_seen() {
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
    async fn any_task_that_moves_is_movement() {
        let progress = Progress::default();
        progress.begin(&"slow".into());
        tokio::time::advance(MINUTE).await;
        progress.begin(&"quick".into());
        progress.end(&"quick".into());
        assert_eq!(progress.seen().still.unwrap().elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_that_fails_is_told_of_until_one_succeeds() {
        let progress = Progress::default();
        progress.not_written("no space left".into());
        tokio::time::advance(MINUTE).await;
        progress.not_written("no space left".into());
        assert_eq!(progress.seen().unwritten.unwrap().since.elapsed(), MINUTE);
        progress.written();
        assert_eq!(progress.seen().unwritten, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_is_not_answered_is_waited_for_since_it_went_out() {
        let progress = Progress::default();
        progress.asked();
        tokio::time::advance(MINUTE).await;
        progress.asked();
        assert_eq!(progress.seen().asked.unwrap().elapsed(), MINUTE);
        progress.heard();
        assert_eq!((progress.seen().asked, progress.seen().heard), (None, Instant::now()));
    }
}
