//! The deprovision limit for tasks that remove access, between their account queues and their executions: a task passes, waits or is held.
//!
//! A held task counts as running in its account queue, so that no other task of its account overtakes it, while other accounts continue. It
//! has no execution and no body in memory: there may be very many of them.

use std::collections::{HashSet, VecDeque};

use bridgehead_sdk::TaskId;

use super::account_queues::AccountQueues;
use super::bodies::Bodies;
use super::poller::{self, PollResult};
use crate::app::AppContext;
use crate::guard::{Change, Decision};
use bridgehead_bridge::{self as bridge, Operation};

/// The maximum number of held tasks that are looked up after a poll because the list does not contain them.
const LOOKED_UP: usize = 50;

/// The tasks of one app that the limit keeps from starting.
#[derive(Debug, Default)]
pub(super) struct ApprovalQueue {
    /// Waiting in their account queues, and not checked yet.
    expected: HashSet<TaskId>,
    /// Waiting for the limit to allow them, in order.
    parked: VecDeque<TaskId>,
    held: HashSet<TaskId>,
    /// Released, and about to start.
    released: VecDeque<TaskId>,
}

impl ApprovalQueue {
    /// Records that a destructive task was added to its account queue.
    pub(super) fn expect(&mut self, id: TaskId) {
        self.expected.insert(id);
    }

    /// The number of tasks waiting for the limit to allow them.
    pub(super) fn waiting_for_quota(&self) -> usize {
        self.parked.len()
    }

    /// Returns the next task that may start, and marks it as running in its account queue.
    pub(super) fn start_next(
        &mut self,
        app: &AppContext,
        queues: &mut AccountQueues,
        bodies: &mut Bodies,
    ) -> Option<TaskId> {
        self.take_decisions(app, queues);
        loop {
            let id = if let Some(id) = self.released.pop_front().or_else(|| self.parked.pop_front()) {
                id
            } else {
                let id = queues.start_next()?;
                if !self.expected.remove(&id) {
                    return Some(id);
                }
                id
            };
            match app.deprovision_limit.check(&id, app.shared.clock.now()) {
                Decision::Start => return Some(id),
                Decision::Hold => {
                    bodies.drop_task(&id);
                    self.held.insert(id);
                }
                Decision::Wait => {
                    self.parked.push_front(id);
                    return self.pass_by(queues);
                }
            }
        }
    }

    /// Returns the next non-destructive task while destructive ones wait.
    fn pass_by(&mut self, queues: &mut AccountQueues) -> Option<TaskId> {
        loop {
            let id = queues.start_next()?;
            if !self.expected.remove(&id) {
                return Some(id);
            }
            self.parked.push_back(id);
        }
    }

    fn take_decisions(&mut self, app: &AppContext, queues: &mut AccountQueues) {
        while let Some(change) = app.deprovision_limit.next_change() {
            match change {
                Change::Released(id) if self.held.remove(&id) => self.released.push_back(id),
                Change::Gone(id) if self.held.remove(&id) => queues.finish(&id),
                // This process has not listed the task yet.
                Change::Released(_) | Change::Gone(_) => {}
            }
        }
    }
}

/// Reads the whole list, and finds held tasks that are no longer pending because they were cancelled or resolved in Iden. Absence from the
/// list does not prove that, so missing tasks are looked up.
pub(super) async fn poll(app: &AppContext, room: usize) -> PollResult {
    let polled = poller::poll(app, room).await;
    if polled.error.is_some() {
        return polled;
    }
    let held = app.deprovision_limit.held();
    if held.is_empty() {
        return polled;
    }
    let listed: HashSet<&TaskId> = polled.tasks.iter().map(|listed| &listed.id).collect();
    let absent = held.into_iter().map(|held| held.task).filter(|task| !listed.contains(task));
    let mut gone = Vec::new();
    for task in absent.take(LOOKED_UP) {
        match is_gone(app, &task).await {
            Ok(true) => gone.push(task),
            Ok(false) => {}
            Err(error) => {
                tracing::debug!(app = %app.name, %task, %error, "a held task could not be looked up");
                break;
            }
        }
    }
    if gone.is_empty() {
        return polled;
    }
    match app.store.unhold(&gone).await {
        Ok(()) => {
            tracing::info!(app = %app.name, tasks = gone.len(), "dropping held tasks that are no longer pending in Iden");
            app.deprovision_limit.gone(&gone);
        }
        Err(error) => {
            tracing::error!(app = %app.name, %error, "the journal cannot be written; held tasks that no \
                                                      longer exist stay held for now");
        }
    }
    polled
}

async fn is_gone(app: &AppContext, task: &TaskId) -> Result<bool, bridge::Error> {
    match app.upstream.ask(Operation::ReadTask, |bridge| bridge.task(app.id, task)).await {
        Ok(task) => Ok(task.status.is_terminal()),
        Err(bridge::Error::NotFound { from_bridge: true, .. }) => Ok(true),
        Err(error) => Err(error),
    }
}
