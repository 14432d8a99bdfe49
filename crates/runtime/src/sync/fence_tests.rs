//! Nothing changes the target while a `complete` without a response may still reach Iden.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bridgehead_resilience::{Next, SeededRng};
use bridgehead_sdk::{
    Account, AccountRecord, Action, Completion, Connector, Context, Cursor, Description, Error, Operation,
    Page, ResourceType, async_trait,
};
use futures::FutureExt;
use futures::future::ready;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::schedule;
use crate::app::AppContext;
use crate::fakes::{Script, api, app_in_memory, settings};
use crate::liveness::Liveness;
use crate::supervisor::Supervisor;
use crate::upstream::Patience;
use bridgehead_bridge::{self as bridge, Call, SyncId, Task, TaskPage, TaskQuery, TaskStatus};
use bridgehead_store::{Memory, Run, RunReason, RunResult, SnapshotStore};

/// What was called, in order.
type Calls = Arc<Mutex<Vec<&'static str>>>;

/// A Bridge with one task. Its first attempts to start a session fail like this.
struct Iden {
    calls: Calls,
    failures: Mutex<Vec<bridge::Error>>,
}

#[async_trait]
impl Script for Iden {
    async fn start_sync(&self) -> Result<SyncId, bridge::Error> {
        self.calls.lock().unwrap().push("start");
        self.failures.lock().unwrap().pop().map_or_else(|| Ok(SyncId::new("s-2")), Err)
    }

    async fn abandon(&self) -> Result<(), bridge::Error> {
        self.calls.lock().unwrap().push("abandon");
        Ok(())
    }

    async fn tasks(&self, _: &TaskQuery) -> Result<TaskPage, bridge::Error> {
        let fields = json!({
            "id": "t-1", "action": "create_account", "status": "pending", "created_at": "2026-01-05T09:00:00Z",
            "payload": {"account": {"username": "ann"}},
        });
        let task = Task::from_json(fields, &TaskStatus::Pending).unwrap();
        Ok(TaskPage { tasks: vec![task], unreadable: Vec::new(), count: None, next: None })
    }

    async fn report(&self) -> Result<(), bridge::Error> {
        self.calls.lock().unwrap().push("report");
        Ok(())
    }
}

struct Target(Calls);

#[async_trait]
impl Connector for Target {
    async fn describe(&self) -> Result<Description, Error> {
        Ok(Description::new("target", "1")
            .with_actions([Action::CreateAccount])
            .with_resource_types([ResourceType::account("account", "Account")]))
    }

    async fn check(&self) -> Result<(), Error> {
        Ok(())
    }

    async fn list(&self, _: &ResourceType, _: Option<&Cursor>) -> Result<Page, Error> {
        Err(Error::internal("not asked in this test"))
    }

    async fn find_account(&self, _: &Account) -> Result<Option<AccountRecord>, Error> {
        Ok(None)
    }

    async fn execute(&self, _: &Context, _: &Operation) -> Result<Completion, Error> {
        self.0.lock().unwrap().push("execute");
        Ok(Completion::done().with("account_id", "u1"))
    }
}

struct World {
    state: Memory,
    calls: Calls,
    app: Arc<AppContext>,
}

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn at(second: i64) -> Timestamp {
    NOW + SignedDuration::from_secs(second)
}

/// An app whose last process sent a `complete` at second 5, if `is_pending`.
async fn world(is_pending: bool, failures: Vec<bridge::Error>) -> World {
    let (state, calls) = (Memory::new(NOW), Calls::default());
    let iden = Arc::new(Iden { calls: Arc::clone(&calls), failures: Mutex::new(failures) });
    let mut settings = settings();
    settings.sync.enabled = false;
    settings.tasks.verify = false;
    let (target, rng) = (Arc::new(Target(Arc::clone(&calls))), Arc::new(SeededRng::seeded(1)));
    let app = app_in_memory("hr", settings, api(&iden), target, &state, &rng);
    if is_pending {
        state.begin(&app.key).await.unwrap();
        state.prepare_commit(&app.key, at(5), &[]).await.unwrap();
    }
    World { state, calls, app }
}

impl World {
    /// Runs the app for a minute, and returns what was called until its task was reported.
    async fn run(&self) -> Vec<&'static str> {
        let supervisor = Supervisor::new(Arc::new(Liveness::new()), Duration::from_secs(1));
        supervisor.start(&self.app);
        tokio::time::sleep(Duration::from_mins(1)).await;
        let calls = self.calls.lock().unwrap();
        calls.split_inclusive(|call| *call == "report").next().map(<[_]>::to_vec).unwrap_or_default()
    }

    async fn pass(&self) {
        self.app.fence.pass(&self.app, &CancellationToken::new()).await.unwrap();
    }

    fn calls(&self) -> Vec<&'static str> {
        std::mem::take(&mut *self.calls.lock().unwrap())
    }
}

fn down() -> bridge::Error {
    bridge::Error::Server { call: call(), status: 503, retry_after: None }
}

fn call() -> Call {
    Call::new(bridge::Operation::StartSync, None)
}

#[tokio::test(start_paused = true)]
async fn no_task_changes_anything_before_a_session_has_cancelled_the_earlier_one() {
    assert_eq!(world(true, vec![]).await.run().await, ["start", "abandon", "execute", "report"]);
    let late = world(true, vec![down(), down()]).await;
    assert_eq!(late.run().await, ["start", "start", "start", "abandon", "execute", "report"]);
}

#[tokio::test(start_paused = true)]
async fn no_session_is_started_if_every_complete_was_answered() {
    assert_eq!(world(false, vec![]).await.run().await, ["execute", "report"]);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_of_the_request_blocks_nothing() {
    let refusal = bridge::Error::NotFound { call: call(), what: "no such app".to_owned(), from_bridge: true };
    assert_eq!(world(true, vec![refusal]).await.run().await, ["start", "execute", "report"]);
}

#[tokio::test(start_paused = true)]
async fn a_page_of_a_proxy_does_not_count_as_a_refusal() {
    let page = bridge::Error::NotFound { call: call(), what: "a page".to_owned(), from_bridge: false };
    let world = world(true, vec![page]).await;
    assert_eq!(world.run().await, ["start", "start", "abandon", "execute", "report"]);
}

#[tokio::test(start_paused = true)]
async fn complete_without_a_response_in_the_same_process_counts_too() {
    let world = world(false, vec![]).await;
    world.pass().await;
    drop(world.app.fence.sending().await);
    assert_eq!(world.run().await, ["start", "abandon", "execute", "report"]);
}

#[tokio::test(start_paused = true)]
async fn running_sync_is_not_cancelled() {
    let world = world(false, vec![]).await;
    let sending = world.app.fence.sending().await;
    let mut passing = Box::pin(world.pass());
    assert!((&mut passing).now_or_never().is_none(), "tasks wait for the response");
    sending.answered();
    drop(sending);
    passing.await;
    assert!(world.calls().is_empty());
}

/// A refused key is probed by one call at a time. That call must not be one that waits for the sync.
#[tokio::test(start_paused = true)]
async fn tasks_that_wait_for_a_running_sync_do_not_keep_it_from_the_bridge() {
    let world = world(false, vec![]).await;
    let sending = world.app.fence.sending().await;
    let upstream = &world.app.upstream;
    let refused = |_| ready(Err::<(), _>(bridge::Error::Unauthorized { call: call() })).boxed();
    let operation = bridge::Operation::Complete;
    upstream.ask(operation, refused).await.unwrap_err();
    let complete = async {
        let forever = Patience::until_answered(|_| Next::Retry);
        upstream.patiently(operation, forever, |_| ready(Ok(())).boxed()).await.unwrap();
        sending.answered();
        drop(sending);
    };
    let both = async { tokio::join!(biased; world.pass(), complete) };
    tokio::time::timeout(Duration::from_hours(1), both).await.unwrap();
}

/// Iden would remove an account that it learns of between the last look-up of a sync and its `complete`.
#[tokio::test(start_paused = true)]
async fn task_is_not_reported_while_a_sync_completes() {
    let world = world(false, vec![]).await;
    let session = world.app.changes.begin();
    let reports = session.hold_reports().await;
    assert_eq!(world.run().await, ["execute"]);
    drop(reports);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(world.calls()[..2], ["execute", "report"]);
}

/// The response to the `complete` is missing, so it may still reach Iden.
#[tokio::test(start_paused = true)]
async fn task_is_not_reported_before_a_session_has_cancelled_an_earlier_complete() {
    let world = world(false, vec![]).await;
    let session = world.app.changes.begin();
    let reports = session.hold_reports().await;
    assert_eq!(world.run().await, ["execute"]);
    drop(world.app.fence.sending().await);
    drop(reports);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(world.calls()[..4], ["execute", "start", "abandon", "report"]);
}

#[tokio::test(start_paused = true)]
async fn session_of_a_sync_is_enough() {
    let world = world(true, vec![]).await;
    world.app.fence.start(&world.app).await.unwrap();
    world.pass().await;
    assert_eq!(world.calls(), ["start"]);
}

#[tokio::test(start_paused = true)]
async fn response_counts_as_recorded_only_with_the_run_it_belongs_to() {
    let of = |from, to, result, reason| Run {
        started_at: at(from),
        ended_at: at(to),
        result,
        reason,
        detail: String::new(),
        cause: None,
        pushed: [].into(),
        removed: [].into(),
    };
    let completed = RunResult::Completed;
    let failed = RunResult::Failed;
    for (run, is_answered) in [
        (of(1, 9, completed, None), true),
        (of(1, 9, completed, Some(RunReason::Unwatched)), true),
        (of(1, 9, failed, Some(RunReason::CleanupFailed)), true),
        (of(1, 9, failed, Some(RunReason::Unheard)), false),
        (of(1, 9, RunResult::Abandoned, Some(RunReason::Stopped)), false),
        (of(1, 4, completed, None), false),
        (of(6, 9, completed, None), false),
    ] {
        let world = world(true, vec![]).await;
        world.state.record_run(&world.app.key, &run).await.unwrap();
        world.pass().await;
        assert_eq!(world.calls().is_empty(), is_answered, "{run:?}");
    }
    // The clock was set back: the interrupted sync seems to have sent its `complete` during the one before it.
    let world = world(true, vec![]).await;
    world.state.record_run(&world.app.key, &of(1, 9, completed, None)).await.unwrap();
    world.state.begin(&world.app.key).await.unwrap();
    world.pass().await;
    assert_eq!(world.calls(), ["start", "abandon"]);
}

#[tokio::test(start_paused = true)]
async fn sync_is_due_at_once_after_an_earlier_one_was_cancelled() {
    for is_pending in [true, false] {
        let mut world = world(is_pending, vec![]).await;
        let app = Arc::get_mut(&mut world.app).unwrap();
        app.lifecycle.continues = true;
        app.settings.sync.on_start = true;
        let now = app.shared.clock.now();
        let run = Run {
            started_at: now,
            ended_at: now,
            result: RunResult::Completed,
            reason: None,
            detail: String::new(),
            cause: None,
            pushed: [].into(),
            removed: [].into(),
        };
        world.state.record_run(&world.app.key, &run).await.unwrap();
        let due = schedule::first(&world.app).await;
        let is_now = due.duration_since(now) < SignedDuration::from_mins(1);
        assert_eq!(is_now, is_pending, "{due} {now}");
    }
}
