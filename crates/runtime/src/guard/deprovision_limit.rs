//! Decides which destructive tasks may start, and tracks which are held and which the operator released.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bridgehead_sdk::TaskId;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::sliding_window::{Quota, SlidingWindow};
use bridgehead_config as config;
use bridgehead_store::Held;

/// If the clock was set back by more than this, it was wrong before, and the window is counted again.
const SET_BACK: SignedDuration = SignedDuration::from_secs(60);

/// The decision about a destructive task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// The task may start; quota is reserved for it.
    Start,
    /// Other tasks have reserved the remaining quota: ask again when one of them has ended.
    Wait,
    /// The task is held until the operator releases it.
    Hold,
}

/// A change of a held task, for the event loop that keeps its account queue blocked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// The operator released the task.
    Released(TaskId),
    /// The task is no longer pending in Iden.
    Gone(TaskId),
}

/// A held task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldTask {
    /// The task.
    pub task: TaskId,
    /// Since when it is held.
    pub held_at: Timestamp,
}

/// Describes why tasks of an app are held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holding {
    /// Since when at least one task has been held continuously.
    pub since: Timestamp,
    /// The number of held tasks.
    pub held: u64,
    /// The number of tasks executed within the window.
    pub executed: u64,
    /// The maximum number, `apps.NAME.tasks.guard.max`.
    pub max: u64,
    /// The window in seconds, `apps.NAME.tasks.guard.per`.
    pub per_seconds: u64,
}

/// The deprovision limit of one app.
///
/// A task passes with [`check`](Self::check), which reserves quota for it. [`executed`](Self::executed) converts the reservation into an
/// execution once the intent is durable, and [`give_back`](Self::give_back) frees it if the connector was not called.
#[derive(Debug)]
pub(crate) struct DeprovisionLimit {
    limit: Option<config::TaskGuard>,
    state: Mutex<State>,
    news: Notify,
}

/// The clock for the window: the machine's clock when the journal was read, advanced by a monotonic clock. Otherwise, setting the machine's
/// clock forward would empty the window.
#[derive(Clone, Copy, Debug)]
struct Steady {
    at: Timestamp,
    began: Instant,
}

impl Steady {
    fn now(self) -> Timestamp {
        let passed = SignedDuration::try_from(self.began.elapsed()).unwrap_or(SignedDuration::MAX);
        self.at.saturating_add(passed).unwrap_or(Timestamp::MAX)
    }
}

#[derive(Debug, Default)]
struct State {
    window: Option<SlidingWindow>,
    /// `None` before the journal was read.
    steady: Option<Steady>,
    reserved: HashSet<TaskId>,
    held: BTreeMap<TaskId, Timestamp>,
    /// Since when at least one task has been held continuously.
    since: Option<Timestamp>,
    /// Held, but not in the journal yet.
    unwritten: Vec<TaskId>,
    released: HashSet<TaskId>,
    changes: VecDeque<Change>,
    is_alarmed: bool,
}

impl DeprovisionLimit {
    pub(crate) fn new(limit: Option<config::TaskGuard>) -> Self {
        let window = limit.map(|limit| SlidingWindow::new(limit, Vec::new()));
        let state = Mutex::new(State { window, ..State::default() });
        Self { limit, state, news: Notify::new() }
    }

    pub(super) fn limit(&self) -> Option<config::TaskGuard> {
        self.limit
    }

    /// Restores the state from the journal.
    pub(super) fn restore(&self, executed: Vec<Timestamp>, held: Vec<Held>) {
        let mut state = State {
            window: self.limit.map(|limit| SlidingWindow::new(limit, executed)),
            is_alarmed: self.state().is_alarmed,
            ..State::default()
        };
        for Held { task, held_at, released_at } in held {
            if released_at.is_some() {
                state.released.insert(task);
            } else {
                state.since = Some(state.since.map_or(held_at, |since| since.min(held_at)));
                state.held.insert(task, held_at);
            }
        }
        *self.state() = state;
    }

    /// Measures the window with a monotonic clock from now on.
    pub(super) fn steady_from(&self, now: Timestamp) {
        let mut state = self.state();
        state.steady = Some(Steady { at: now, began: Instant::now() });
        if let Some(window) = &mut state.window {
            window.clamp(now);
        }
    }

    /// Whether the machine's clock was ahead when the journal was read, so that too few executions may have been counted.
    pub(super) fn was_set_back(&self, now: Timestamp) -> bool {
        self.state().steady.is_some_and(|steady| steady.now().duration_since(now) > SET_BACK)
    }

    /// Counts again with the journal's data as of `now`. Tasks executed after that read are counted again, which frees no quota.
    pub(super) fn recount(&self, executed: Vec<Timestamp>, now: Timestamp) {
        let mut state = self.state();
        let before = state.steady(now);
        let lately = state.window.as_mut().map_or(0, |window| window.count(before));
        if let Some(limit) = self.limit {
            let missing = lately.saturating_sub(executed.len());
            let executed = executed.into_iter().chain(std::iter::repeat_n(now, missing)).collect();
            state.window = Some(SlidingWindow::new(limit, executed));
        }
        drop(state);
        self.steady_from(now);
    }

    /// Decides about a destructive task that has not been executed yet.
    pub(crate) fn check(&self, task: &TaskId, now: Timestamp) -> Decision {
        let mut state = self.state();
        let state = &mut *state;
        let steady = state.steady(now);
        let Some(window) = &mut state.window else {
            return Decision::Start;
        };
        if !state.released.contains(task) {
            // While any task is held, no new ones pass: the operator should see all of them.
            let room =
                if state.held.is_empty() { window.room(state.reserved.len(), steady) } else { Quota::None };
            match room {
                Quota::Free => {}
                Quota::Reserved => return Decision::Wait,
                Quota::None => {
                    state.since.get_or_insert(now);
                    if !state.held.contains_key(task) {
                        state.held.insert(task.clone(), now);
                        state.unwritten.push(task.clone());
                    }
                    return Decision::Hold;
                }
            }
        }
        state.reserved.insert(task.clone());
        Decision::Start
    }

    /// Whether the connector may be called for a destructive task: it passed [`check`](Self::check).
    pub(crate) fn has_passed(&self, task: &TaskId) -> bool {
        self.limit.is_none() || self.state().reserved.contains(task)
    }

    /// Records that the connector is about to be called. From now on the task counts, whatever its result.
    pub(crate) fn executed(&self, task: &TaskId, at: Timestamp) {
        let mut state = self.state();
        // The journal contains the task from now on, and it is not checked again.
        state.released.remove(task);
        let at = state.steady(at);
        if state.reserved.remove(task)
            && let Some(window) = &mut state.window
        {
            window.add(at);
        }
    }

    /// Frees the reservation of a task that ended. If the connector was not called, the task does not count.
    pub(crate) fn give_back(&self, task: &TaskId) {
        self.state().reserved.remove(task);
    }

    /// Releases tasks for the operator; tasks that are not held are skipped.
    pub(crate) fn release(&self, tasks: &[TaskId]) {
        self.end(tasks, true);
    }

    /// Removes held tasks that are no longer pending in Iden.
    pub(crate) fn gone(&self, tasks: &[TaskId]) {
        self.end(tasks, false);
    }

    fn end(&self, tasks: &[TaskId], released: bool) {
        let mut state = self.state();
        for task in tasks {
            if state.held.remove(task).is_none() {
                continue;
            }
            let task = task.clone();
            if released {
                state.released.insert(task.clone());
                state.changes.push_back(Change::Released(task));
            } else {
                state.changes.push_back(Change::Gone(task));
            }
        }
        if state.held.is_empty() {
            state.since = None;
            state.is_alarmed = false;
        }
        let State { held, unwritten, .. } = &mut *state;
        unwritten.retain(|task| held.contains_key(task));
        drop(state);
        self.news.notify_one();
    }

    /// Waits for a [`Change`].
    pub(crate) async fn changed(&self) {
        self.news.notified().await;
    }

    /// Returns the next change.
    pub(crate) fn next_change(&self) -> Option<Change> {
        self.state().changes.pop_front()
    }

    /// The held tasks, oldest first.
    pub(crate) fn held(&self) -> Vec<HeldTask> {
        let mut held: Vec<HeldTask> = self
            .state()
            .held
            .iter()
            .map(|(task, held_at)| HeldTask { task: task.clone(), held_at: *held_at })
            .collect();
        held.sort_by(|one, other| (one.held_at, &one.task).cmp(&(other.held_at, &other.task)));
        held
    }

    /// A summary of the held tasks; `None` if there are none.
    pub(crate) fn holding(&self, now: Timestamp) -> Option<Holding> {
        let limit = self.limit?;
        let mut state = self.state();
        let since = state.since?;
        let now = state.steady(now);
        let executed = state.window.as_mut().map_or(0, |window| window.count(now));
        Some(Holding {
            since,
            held: state.held.len() as u64,
            executed: executed as u64,
            max: limit.max as u64,
            per_seconds: limit.per.as_secs(),
        })
    }

    /// Whether an alarm is due: tasks are held, and this was not reported yet.
    pub(super) fn alarm(&self) -> bool {
        let mut state = self.state();
        let due = !state.held.is_empty() && !state.is_alarmed;
        state.is_alarmed |= due;
        due
    }

    /// Held tasks that the journal does not contain yet, with the time since which they are held.
    pub(super) fn unwritten(&self) -> Vec<(TaskId, Timestamp)> {
        let state = self.state();
        state.unwritten.iter().filter_map(|task| Some((task.clone(), *state.held.get(task)?))).collect()
    }

    /// Marks tasks as recorded in the journal.
    pub(super) fn written(&self, tasks: &[TaskId]) {
        let written: HashSet<&TaskId> = tasks.iter().collect();
        self.state().unwritten.retain(|task| !written.contains(task));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The time by which the window is measured, given the machine's clock `now`.
    fn steady(&self, now: Timestamp) -> Timestamp {
        self.steady.map_or(now, Steady::now)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn guard(max: usize) -> DeprovisionLimit {
        DeprovisionLimit::new(Some(config::TaskGuard { max, per: Duration::from_secs(100) }))
    }

    fn check(guard: &DeprovisionLimit, task: &str, second: i64) -> Decision {
        guard.check(&task.into(), at(second))
    }

    fn execute(guard: &DeprovisionLimit, task: &str, second: i64) {
        assert_eq!(check(guard, task, second), Decision::Start);
        assert!(guard.has_passed(&task.into()));
        guard.executed(&task.into(), at(second));
        guard.give_back(&task.into());
    }

    fn names(guard: &DeprovisionLimit) -> Vec<String> {
        guard.held().into_iter().map(|held| held.task.into_string()).collect()
    }

    #[test]
    fn tasks_over_the_limit_stay_held_after_the_window() {
        let guard = guard(2);
        execute(&guard, "a", 0);
        execute(&guard, "b", 0);
        assert_eq!(check(&guard, "c", 1), Decision::Hold);
        assert!(!guard.has_passed(&"c".into()));
        assert_eq!(check(&guard, "c", 1000), Decision::Hold, "the operator decides, not time");
        assert_eq!(check(&guard, "d", 1000), Decision::Hold, "nothing new passes while something is held");
        assert_eq!(names(&guard), ["c", "d"]);
        guard.gone(&["c".into(), "d".into()]);
        execute(&guard, "e", 1000);
    }

    #[test]
    fn task_without_effect_does_not_count() {
        let guard = guard(1);
        assert_eq!(check(&guard, "a", 0), Decision::Start);
        assert_eq!(check(&guard, "b", 0), Decision::Wait);
        guard.give_back(&"a".into());
        execute(&guard, "b", 0);
        assert_eq!(check(&guard, "c", 0), Decision::Hold);
    }

    #[test]
    fn release_passes_only_the_named_tasks_and_counts_them() {
        let guard = guard(2);
        execute(&guard, "a", 0);
        execute(&guard, "b", 0);
        for task in ["c", "d"] {
            assert_eq!(check(&guard, task, 0), Decision::Hold);
        }
        guard.release(&["c".into(), "never-held".into()]);
        assert_eq!(guard.next_change(), Some(Change::Released("c".into())));
        assert_eq!(guard.next_change(), None);
        assert_eq!(check(&guard, "never-held", 0), Decision::Hold);
        execute(&guard, "c", 99);
        guard.release(&["d".into(), "never-held".into()]);
        execute(&guard, "d", 99);
        execute(&guard, "never-held", 99);
        assert_eq!(check(&guard, "e", 150), Decision::Hold, "what was released is within the window");
    }

    #[test]
    fn limit_is_restored_from_the_journal() {
        let guard = guard(2);
        let held = |task: &str, released: bool| Held {
            task: task.into(),
            held_at: at(0),
            released_at: released.then(|| at(1)),
        };
        guard.restore(vec![at(0), at(0)], vec![held("held", false), held("released", true)]);
        assert_eq!(names(&guard), ["held"]);
        assert!(guard.unwritten().is_empty());
        assert_eq!(check(&guard, "held", 500), Decision::Hold);
        execute(&guard, "released", 500);
        assert!(guard.unwritten().is_empty(), "it is in the journal already");
    }

    #[test]
    fn alarm_is_raised_once_per_holding() {
        let guard = guard(0);
        assert!(!guard.alarm());
        check(&guard, "a", 0);
        assert!(guard.alarm());
        check(&guard, "b", 0);
        assert!(!guard.alarm());
        guard.release(&["a".into()]);
        assert!(!guard.alarm(), "b is still held");
        guard.release(&["b".into()]);
        check(&guard, "c", 0);
        assert!(guard.alarm());
    }

    #[test]
    fn held_tasks_are_written_once() {
        let guard = guard(0);
        check(&guard, "a", 5);
        check(&guard, "a", 6);
        check(&guard, "b", 7);
        assert_eq!(guard.unwritten(), [("a".into(), at(5)), ("b".into(), at(7))]);
        guard.written(&["a".into()]);
        guard.release(&["b".into()]);
        assert!(guard.unwritten().is_empty());
    }

    #[test]
    fn holding_reports_its_counts() {
        let guard = guard(1);
        execute(&guard, "a", 0);
        assert_eq!(guard.holding(at(1)), None);
        check(&guard, "b", 2);
        check(&guard, "c", 3);
        let holding = guard.holding(at(4)).unwrap();
        assert_eq!((holding.since, holding.held, holding.executed, holding.max), (at(2), 2, 1, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn clock_set_forward_does_not_empty_the_window() {
        let guard = guard(1);
        guard.steady_from(at(0));
        execute(&guard, "a", 0);
        assert_eq!(check(&guard, "b", 1_000_000), Decision::Hold);
        guard.gone(&["b".into()]);
        tokio::time::advance(Duration::from_secs(100)).await;
        assert_eq!(check(&guard, "c", 1_000_100), Decision::Start, "a whole window has really passed");
    }

    #[tokio::test(start_paused = true)]
    async fn clock_set_back_triggers_a_recount() {
        let guard = guard(2);
        // The clock was ahead at the start, so a task executed a moment before seemed long ago.
        guard.steady_from(at(1_000_000));
        execute(&guard, "a", 1_000_000);
        assert!(!guard.was_set_back(at(1_000_000)) && guard.was_set_back(at(1000)));
        guard.recount(vec![at(990), at(1_000_000)], at(1000));
        assert!(!guard.was_set_back(at(1000)));
        assert_eq!(check(&guard, "b", 1000), Decision::Hold);
    }

    #[test]
    fn all_tasks_start_without_a_limit() {
        let guard = DeprovisionLimit::new(None);
        for task in 0..1000 {
            assert_eq!(check(&guard, &task.to_string(), 0), Decision::Start);
        }
        assert!(guard.has_passed(&"x".into()) && guard.holding(at(0)).is_none());
    }
}
