//! The event loop for an app's tasks: listed tasks are queued, and tasks that may run are started.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use bridgehead_bridge as bridge;
use bridgehead_resilience::{Backoff, Next};
use bridgehead_sdk::TaskId;
use jiff::SignedDuration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument;
use tracing::field::Empty;

use super::account_queues::AccountQueues;
use super::approval_queue::{self, ApprovalQueue};
use super::bodies;
use super::bodies::Bodies;
use super::doubt;
use super::executor::{TaskEnd, TaskExecutor, TaskInput};
use super::poller::{self, PendingTask, PollResult};
use super::relisted::Relisted;
use crate::ShuttingDown;
use crate::app::AppContext;
use crate::clock::SteadyClock;
use crate::guard;
use crate::policies;
use bridgehead_store::{Entry, Known, ReportResult, State};

/// The maximum number of executions: running ones, and those waiting for their backoff or for the target.
const MAX_EXECUTIONS: usize = 4096;
/// The maximum number of new tasks that wait for their turn at the target. Each of them takes memory; all others wait in the queues.
const TICKETS: usize = 512;
/// The list is not read again while this many tasks wait in the queues and one of them is ready.
const MAX_QUEUED: usize = 4096;
/// While this many tasks per concurrency slot are about to run, the list is read less often.
const AHEAD: usize = 8;
/// The minimum number of tasks for that.
const LEAST_AHEAD: usize = 256;
/// The factor for less frequent polls.
const SELDOM: u32 = 6;
/// How long a task that has ended is remembered; a task that Iden still lists is not removed.
const KEEP_ENDED: SignedDuration = SignedDuration::from_hours(30 * 24);
/// How often old tasks are removed from the journal.
const PRUNE_EVERY: Duration = Duration::from_hours(6);
/// After this many incomplete polls in a row, the tasks they saw are executed anyway.
const PATIENCE: u32 = 5;

/// Runs until `stop`, then lets running executions finish until `grace` is cancelled as well.
///
/// Cancel: after `stop`, nothing new is started, the poll is aborted, and running executors are awaited; `grace` aborts those. Neither that
/// nor dropping this future loses anything: tasks with an intent or an outcome are in the journal, the rest is still pending in Iden.
/// Error: a list that cannot be read is read again with backoff. While the journal cannot be read, nothing new is started; at startup,
/// reading it is retried until it succeeds. Panic: a panic of an executor delays its task, a panic of a poll costs that poll. A panic in
/// this function ends all executors, and the supervisor restarts it from the journal.
pub(crate) async fn run(app: Arc<AppContext>, stop: CancellationToken, grace: CancellationToken) {
    let mut scheduler = TaskScheduler::new(app, stop.clone());
    if scheduler.recover().await.is_err() {
        return;
    }
    let mut poll: Option<AbortOnDropHandle<PollResult>> = None;
    loop {
        scheduler.start_ready();
        if !scheduler.has_room() || scheduler.is_supplied() {
            scheduler.app.status.progress().heard();
        }
        scheduler.app.deprovision_limit.settle(&scheduler.app).await;
        let may_poll = poll.is_none() && scheduler.app.settings.tasks.enabled && scheduler.has_room();
        let next_poll = scheduler.next_poll();
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            () = tokio::time::sleep_until(next_poll), if may_poll => {
                let app = Arc::clone(&scheduler.app);
                poll = Some(AbortOnDropHandle::new(tokio::spawn(async move { approval_queue::poll(&app, bodies::BUDGET).await })));
            }
            Some(polled) = finished(&mut poll) => {
                poll = None;
                scheduler.take(polled).await;
            }
            Some(ended) = scheduler.executions.join_next_with_id() => scheduler.on_finished(ended),
            ticket = Arc::clone(&scheduler.tickets).acquire_owned(), if scheduler.ticket.is_none() && scheduler.queues.has_ready() => {
                scheduler.ticket = ticket.ok();
            }
            () = scheduler.app.deprovision_limit.changed() => {}
        }
    }
    drop(poll);
    scheduler.drain(grace).await;
}

/// Waits for the poll's result; never resolves if no poll is running. A poll that panicked counts as one that saw nothing.
///
/// Cancel: dropping the handle aborts the poll, which has changed nothing. Error: an error of the poll is part of its result, together with
/// the tasks it saw before.
async fn finished(poll: &mut Option<AbortOnDropHandle<PollResult>>) -> Option<PollResult> {
    match poll {
        Some(poll) => Some(poll.await.unwrap_or_default()),
        None => std::future::pending().await,
    }
}

struct TaskScheduler {
    app: Arc<AppContext>,
    stop: CancellationToken,
    queues: AccountQueues,
    holding: ApprovalQueue,
    /// Waiting tasks, as they were listed.
    bodies: Bodies,
    /// The journal's entries for tasks that an earlier process started.
    entries: HashMap<TaskId, Entry>,
    executions: JoinSet<Result<TaskEnd, ShuttingDown>>,
    names: HashMap<Id, TaskId>,
    /// Limit how many new tasks wait for their turn.
    tickets: Arc<Semaphore>,
    /// The ticket for the next new task.
    ticket: Option<OwnedSemaphorePermit>,
    /// Tasks that were skipped since the last poll. A running poll may have listed them before that.
    skipped: HashSet<TaskId>,
    /// How often an execution panicked, so that the next one starts later.
    panics: HashMap<TaskId, u32>,
    complaints: HashSet<String>,
    began: Instant,
    polled_at: Option<Instant>,
    wait: Duration,
    failed_polls: Backoff,
    relisted: Relisted,
    /// Tasks that may have been started before the journal was lost.
    doubted: HashSet<TaskId>,
    clock: SteadyClock,
    pruned_at: Option<Instant>,
    /// The last poll found tasks: poll again as soon as they are done.
    eager: bool,
}

impl TaskScheduler {
    fn new(app: Arc<AppContext>, stop: CancellationToken) -> Self {
        let clock = SteadyClock::start(app.shared.clock.now());
        Self {
            app,
            stop,
            queues: AccountQueues::default(),
            holding: ApprovalQueue::default(),
            bodies: Bodies::default(),
            entries: HashMap::new(),
            executions: JoinSet::new(),
            names: HashMap::new(),
            tickets: Arc::new(Semaphore::new(TICKETS)),
            ticket: None,
            skipped: HashSet::new(),
            panics: HashMap::new(),
            complaints: HashSet::new(),
            began: Instant::now(),
            polled_at: None,
            wait: Duration::ZERO,
            failed_polls: Backoff::new(policies::BRIDGE),
            relisted: Relisted::default(),
            doubted: HashSet::new(),
            clock,
            // Do not prune immediately: until the clock of a newly booted machine is set, everything may seem old.
            pruned_at: Some(Instant::now()),
            eager: false,
        }
    }

    /// Resumes the tasks that an earlier process started, before anything new: they keep their place in their account queues.
    async fn recover(&mut self) -> Result<(), ShuttingDown> {
        let app = &self.app;
        let retry = app.retry(policies::LOCAL).until(&self.stop);
        let entries = retry.run(
            |_| app.store.open(),
            |_| Next::Retry,
            |failed| tracing::error!(app = %app.name, error = %failed.error, "the journal cannot be read"),
        );
        let entries = entries.await.map_err(|_| ShuttingDown)?;
        if !entries.is_empty() {
            tracing::info!(app = %self.app.name, tasks = entries.len(), "resuming tasks from an earlier run");
        }
        for entry in entries {
            self.take_up(entry);
        }
        guard::load(&self.app, &self.stop).await
    }

    fn take_up(&mut self, entry: Entry) {
        let id = entry.task.clone();
        if self.queues.insert(id.clone(), entry.created_at, entry.keys.clone()) {
            self.entries.insert(id, entry);
        }
    }

    fn next_poll(&self) -> Instant {
        match self.polled_at {
            Some(_) if self.eager && self.executions.is_empty() && self.queues.waiting() == 0 => {
                Instant::now()
            }
            // The delay after an error is long enough.
            Some(at) if self.is_supplied() => {
                at + self.wait.max(self.app.settings.tasks.poll_interval * SELDOM)
            }
            Some(at) => at + self.wait,
            None => self.began + self.app.lifecycle.first_poll.get().copied().unwrap_or_default(),
        }
    }

    fn start_ready(&mut self) {
        while self.executions.len() < MAX_EXECUTIONS
            && self.has_ticket()
            && let Some(id) = self.holding.start_next(&self.app, &mut self.queues, &mut self.bodies)
        {
            let entry = self.entries.remove(&id);
            let ticket = self.ticket.take_if(|_| entry.is_none());
            let task = self.bodies.take(&id);
            let delay =
                self.panics.get(&id).map(|panics| policies::LOCAL.delay(*panics, self.app.shared.rng.unit()));
            let (app, stop) = (Arc::clone(&self.app), self.stop.clone());
            let may_have_begun = self.doubted.remove(&id);
            let input = TaskInput { id: id.clone(), task, entry, may_have_begun, ticket };
            let span = tracing::info_span!(
                "task",
                app = %app.name,
                task = %id,
                action = Empty,
                attempts = Empty,
                outcome = Empty,
                code = Empty
            );
            let life = async move {
                if let Some(delay) = delay {
                    tokio::select! {
                        biased;
                        () = stop.cancelled() => return Err(ShuttingDown),
                        () = tokio::time::sleep(delay) => {}
                    }
                }
                Box::pin(TaskExecutor::new(app, stop).run(input)).await
            };
            let handle = self.executions.spawn(life.instrument(span));
            self.app.status.progress().begin(&id);
            self.names.insert(handle.id(), id);
        }
        self.app
            .status
            .queue(self.queues.waiting() + self.holding.waiting_for_quota(), self.executions.len());
    }

    /// Whether one more task may start waiting for its turn.
    fn has_ticket(&mut self) -> bool {
        if self.ticket.is_none() {
            self.ticket = Arc::clone(&self.tickets).try_acquire_owned().ok();
        }
        self.ticket.is_some()
    }

    /// Whether more tasks can be listed. Tasks that wait behind held or retried ones do not count if no other task is ready, so they never
    /// keep the tasks of other accounts from being listed.
    fn has_room(&self) -> bool {
        self.queues.waiting() < MAX_QUEUED || !self.queues.has_ready()
    }

    /// Whether so many tasks are about to run that the list can be read less often: new tasks would have to wait anyway. Tasks that wait
    /// for their next attempt or for the target do not count, so that they do not delay others.
    fn is_supplied(&self) -> bool {
        let about_to_run =
            self.executions.len().saturating_sub(self.app.operator.waiting.count()) + self.queues.ready();
        about_to_run >= (self.app.settings.tasks.concurrency * AHEAD).max(LEAST_AHEAD)
    }

    async fn take(&mut self, polled: PollResult) {
        self.polled_at = Some(Instant::now());
        // After a failure, the next poll waits.
        self.eager = false;
        self.app.status.polled(polled.error.as_ref());
        let walked_unreadable = polled.unreadable;
        for complaint in &walked_unreadable {
            if self.complaints.len() < 1000 && self.complaints.insert(complaint.clone()) {
                tracing::error!(app = %self.app.name, "skipping an invalid entry of the task list: \
                                                       {complaint}");
            }
        }
        if polled.error.is_none() {
            self.app.status.progress().skipped(&walked_unreadable, polled.not_due);
        }
        self.wait = self.app.shared.rng.around(self.app.settings.tasks.poll_interval);
        if let Some(error) = &polled.error {
            self.wait = self.wait.max(self.failed_polls.failed(self.app.shared.rng.unit()));
            // That the Bridge is down was logged once. With a thousand apps, one line for each of their polls would hide everything else.
            if matches!(error, bridge::Error::NotSent { known: true, .. }) {
                tracing::debug!(app = %self.app.name, %error, "the task list could not be read completely");
            } else {
                tracing::warn!(app = %self.app.name, %error, "the task list could not be read completely");
            }
            // An unread page may contain an older task of the same account, so known tasks wait for a complete poll; but a page that can
            // never be read must not block all tasks forever.
            if self.failed_polls.failures() < PATIENCE {
                return;
            }
        } else {
            if self.failed_polls.failures() > 0 {
                // Many apps have waited for the same moment, so their polls are spread again.
                self.wait = self.app.shared.rng.up_to(self.app.settings.tasks.poll_interval);
            }
            self.failed_polls.succeeded();
        }
        let is_whole = polled.error.is_none();
        let all: HashSet<TaskId> = polled.tasks.iter().map(|listed| listed.id.clone()).collect();
        let mut fresh = polled.tasks;
        poller::oldest_first(&mut fresh);
        if is_whole {
            self.bodies.retain(|id| all.contains(id));
        }
        self.refresh(&mut fresh);
        let skipped = std::mem::take(&mut self.skipped);
        fresh.retain(|listed| !self.queues.contains(&listed.id) && !skipped.contains(&listed.id));
        let ids: Vec<TaskId> = fresh.iter().map(|listed| listed.id.clone()).collect();
        let known = match self.app.store.known(&ids).await {
            Ok(known) => known,
            Err(error) => {
                tracing::error!(app = %self.app.name, %error, "the journal cannot be read; no new task is started");
                return;
            }
        };
        let doubt = if known.len() < ids.len() { doubt::ask(&self.app).await } else { Ok(None) };
        let doubt = match doubt {
            Ok(doubt) => doubt,
            Err(error) => {
                tracing::error!(app = %self.app.name, %error, "the journal cannot be read; no new task is started");
                return;
            }
        };
        for listed in fresh {
            match known.get(&listed.id) {
                Some(Known::Ended) => self.take_ended(listed, polled.began).await,
                Some(Known::Intended | Known::Decided) => {
                    if let Ok(Some(entry)) = self.app.store.entry(&listed.id).await {
                        self.take_up(entry);
                    }
                }
                None => {
                    self.eager = true;
                    if doubt.as_ref().is_some_and(|doubt| doubt.covers(listed.created_at)) {
                        self.doubted.insert(listed.id.clone());
                    }
                    if !self.queues.insert(listed.id.clone(), listed.created_at, listed.keys) {
                        continue;
                    }
                    if listed.is_destructive {
                        self.holding.expect(listed.id.clone());
                    }
                    if let Some(task) = listed.task {
                        self.bodies.keep(task, listed.seen);
                    }
                }
            }
        }
        if is_whole {
            self.relisted.settle(&all.iter().collect(), polled.began);
            self.app.status.relisted(self.relisted.stuck());
            self.prune().await;
        }
    }

    /// Keeps the current version of waiting tasks that are listed again, so that they need not be read again. Tasks that an earlier process
    /// started are read again in any case.
    fn refresh(&mut self, listed: &mut [PendingTask]) {
        for listed in listed {
            if self.queues.is_waiting(&listed.id)
                && !self.entries.contains_key(&listed.id)
                && let Some(task) = listed.task.take()
            {
                self.bodies.keep(task, listed.seen);
            }
        }
    }

    /// Handles an ended task that is listed as pending. If the list was requested after the report, Iden does not agree, and the outcome is
    /// reported again. The journal entry is kept until then: without it the task would be executed again.
    async fn take_ended(&mut self, listed: PendingTask, list_began: Instant) {
        if !self.relisted.is_due(&listed.id, list_began) {
            return;
        }
        let (app, id) = (&self.app, &listed.id);
        let entry = match app.store.entry(id).await {
            Ok(Some(entry)) => entry,
            Ok(None) => return,
            Err(error) => {
                tracing::error!(app = %app.name, task = %id, %error, "the journal cannot be read");
                return;
            }
        };
        let State::Ended(ended) = &entry.state else { return };
        // Reports that Iden rejected wait for the operator.
        if matches!(ended, ReportResult::Rejected { .. }) {
            return;
        }
        if let Err(error) = app.store.ended(id, ended, app.shared.clock.now()).await {
            tracing::error!(app = %app.name, task = %id, %error, "the journal cannot be written");
        }
        if self.queues.insert(listed.id.clone(), listed.created_at, listed.keys) {
            self.entries.insert(listed.id, entry);
        }
    }

    /// Removes tasks that ended long ago, after a complete list has shown which of them Iden still lists.
    async fn prune(&mut self) {
        if self.pruned_at.is_some_and(|at| at.elapsed() < PRUNE_EVERY) {
            return;
        }
        self.pruned_at = Some(Instant::now());
        let now = self.clock.now(self.app.shared.clock.now());
        let Ok(before) = now.checked_sub(KEEP_ENDED) else { return };
        match self.app.store.prune(before).await {
            Ok(0) => {}
            Ok(count) => tracing::debug!(app = %self.app.name, count, "deleted old tasks from the journal"),
            Err(error) => {
                tracing::warn!(app = %self.app.name, %error, "old tasks could not be deleted from the journal");
            }
        }
    }

    fn on_finished(&mut self, ended: Result<(Id, Result<TaskEnd, ShuttingDown>), JoinError>) {
        let (handle, panicked, left) = match ended {
            Ok((handle, left)) => (handle, false, left.ok()),
            Err(error) => (error.id(), error.is_panic(), None),
        };
        let Some(id) = self.names.remove(&handle) else {
            return;
        };
        self.queues.finish(&id);
        self.app.status.progress().end(&id);
        match left {
            Some(TaskEnd::PassedOver) => {
                self.skipped.insert(id.clone());
                // If the list and the task itself contradict each other, an immediate poll would list it again, and so on without a delay.
                self.eager = false;
            }
            Some(TaskEnd::Reported) => self.relisted.ended(id.clone()),
            None => {}
        }
        self.app.deprovision_limit.give_back(&id);
        if panicked {
            tracing::error!(app = %self.app.name, task = %id, "the daemon panicked while processing this task; retrying it later");
            *self.panics.entry(id).or_default() += 1;
        } else {
            self.panics.remove(&id);
        }
    }

    async fn drain(mut self, grace: CancellationToken) {
        loop {
            tokio::select! {
                biased;
                ended = self.executions.join_next_with_id() => match ended {
                    Some(ended) => self.on_finished(ended),
                    None => break,
                },
                () = grace.cancelled() => {
                    tracing::warn!(app = %self.app.name, tasks = self.executions.len(), "grace period expired; running tasks are interrupted, and verified at the next start");
                    self.executions.shutdown().await;
                    break;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fakes::{Place, Script};
    use crate::task::executor::FRESH;
    use bridgehead_bridge::{Task, TaskStatus};

    struct Nothing;

    impl Script for Nothing {}

    fn dispatch(place: &Place) -> TaskScheduler {
        let mut scheduler = TaskScheduler::new(place.app(&Arc::new(Nothing)), CancellationToken::new());
        scheduler.polled_at = Some(Instant::now());
        scheduler.wait = scheduler.app.settings.tasks.poll_interval;
        scheduler
    }

    fn listed(id: &str, seen: Instant) -> PollResult {
        let fields = json!({ "id": id, "action": "create_account", "payload": { "account": { "id": id } } });
        let task = Task::from_json(fields, &TaskStatus::Pending).unwrap();
        let keys = crate::task::account_queues::keys_of(&task.id, &task.payload);
        let id = task.id.clone();
        let task = PendingTask {
            id,
            created_at: None,
            keys,
            is_destructive: false,
            seen,
            task: Some(bodies::Body::of(task)),
        };
        PollResult { tasks: vec![task], ..PollResult::default() }
    }

    #[test]
    fn relisted_waiting_task_is_not_fetched_again() {
        let place = Place::new();
        place.runtime.block_on(async {
            let mut scheduler = dispatch(&place);
            let (id, now) = (TaskId::from("a"), Instant::now());
            scheduler.take(listed("a", now.checked_sub(FRESH).unwrap())).await;
            scheduler.take(listed("a", now)).await;
            assert!(scheduler.bodies.take(&id).is_some(), "the later list counts");
            assert_eq!(scheduler.queues.start_next(), Some(id.clone()));
            scheduler.take(listed("a", now)).await;
            assert!(scheduler.bodies.take(&id).is_none(), "it runs, or is held, and needs no memory");
            scheduler.take(listed("b", now)).await;
            scheduler.take(PollResult::default()).await;
            assert!(scheduler.bodies.take(&TaskId::from("b")).is_none(), "a list without it");
        });
    }

    #[test]
    fn polling_slows_down_while_enough_tasks_are_runnable() {
        let place = Place::new();
        place.runtime.block_on(async {
            let mut scheduler = dispatch(&place);
            let interval = scheduler.app.settings.tasks.poll_interval;
            let next = |scheduler: &TaskScheduler| {
                scheduler.next_poll().duration_since(scheduler.polled_at.unwrap())
            };
            assert_eq!(next(&scheduler), interval);
            for _ in 0..LEAST_AHEAD {
                scheduler.executions.spawn(std::future::pending());
            }
            assert_eq!(next(&scheduler), interval * SELDOM);
            scheduler.wait = interval * SELDOM * 2;
            assert_eq!(next(&scheduler), scheduler.wait, "an error has a wait of its own");
            scheduler.wait = interval;
            let waiting = scheduler.app.operator.waiting.enter(&TaskId::from("w"));
            assert_eq!(next(&scheduler), interval);
            drop(waiting);
            assert_eq!(next(&scheduler), interval * SELDOM);
        });
    }

    /// Iden's list may show a task as pending that is resolved, or does not exist, if it is read alone.
    #[test]
    fn list_that_contradicts_the_task_is_not_read_again_at_once() {
        let place = Place::new();
        place.runtime.block_on(async {
            for (end, is_eager) in [(TaskEnd::Reported, true), (TaskEnd::PassedOver, false)] {
                let mut scheduler = dispatch(&place);
                // The poll had listed a new task.
                scheduler.eager = true;
                let execution = scheduler.executions.spawn(async move { Ok(end) });
                scheduler.names.insert(execution.id(), TaskId::from("a"));
                let ended = scheduler.executions.join_next_with_id().await.unwrap();
                scheduler.on_finished(ended);
                assert_eq!(scheduler.next_poll() <= Instant::now(), is_eager, "{end:?}");
            }
        });
    }
}
