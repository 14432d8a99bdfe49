//! Measures parts of the daemon: `cargo bench -p bridgehead-runtime`. What the figures mean: docs/benchmarks.md.
//!
//! Each part is the work for one page, one task, one entry or one error, without a network.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use bridgehead_bridge::fuzz as bridge;
use bridgehead_runtime::audit::{Audit, Event, Settings};
use bridgehead_runtime::fuzz::prepared_page;
use bridgehead_sdk::{AccountRecord, Code, Error, Record, Redactor, ResourceKind, ResourceType};
use bridgehead_store::{
    AppKey, AttemptStep, Intent, Memory, Outcome, Phase, PriorAccount, RecordHash, ReportResult,
    SnapshotStore, Sqlite, TaskJournal,
};
use divan::Bencher;
use divan::counter::ItemsCount;
use jiff::Timestamp;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The tasks or records of one page.
const PAGE: usize = 100;
/// How many tasks pass through the journal at the same time, as with the default of `tasks.concurrency` for a fast target.
const AT_ONCE: usize = 32;

fn main() {
    divan::main();
}

/// Wraps a bench whose preparation may fail.
fn prepared<T>(result: Result<T, Failure>) -> T {
    result.unwrap_or_else(|error| panic!("the benchmark cannot be prepared: {error}"))
}

fn runtime() -> Result<Runtime, Failure> {
    Ok(tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?)
}

/// A folder on the disk with the build: a file system in memory would never have to be waited for.
fn folder() -> Result<TempDir, Failure> {
    Ok(tempfile::tempdir_in(Path::new(env!("CARGO_TARGET_TMPDIR")))?)
}

fn app() -> Result<AppKey, Failure> {
    Ok("11111111-1111-4111-8111-111111111111".parse()?)
}

/// A page of the list of pending tasks, parsed and checked.
#[divan::bench]
fn task_page_parsed(bencher: Bencher<'_, '_>) {
    let task = |n: usize| {
        json!({
            "id": format!("00000000-0000-4000-8000-{n:012}"), "action": "create_account", "status": "pending",
            "created_at": "2026-01-05T09:00:00Z",
            "payload": {"account": {
                "username": format!("person-{n}"), "email": format!("person-{n}@example.org"),
                "first_name": "Person", "last_name": format!("Number {n}")
            }},
        })
    };
    let tasks: Vec<Value> = (0..PAGE).map(task).collect();
    let body = json!({"count": PAGE, "next": null, "previous": null, "results": tasks}).to_string();
    let url = prepared(
        "https://bridge.test/org/acme/api/v1/bridge/apps/a/tasks/"
            .parse()
            .map_err(|error| format!("{error}").into()),
    );
    bencher.counter(ItemsCount::new(PAGE)).bench(|| {
        let page = bridge::task_page(black_box(body.as_bytes()), &url);
        assert!(page.is_ok_and(|page| page.tasks.len() == PAGE));
    });
}

fn records(first: usize) -> Vec<Record> {
    let one = |n: usize| {
        AccountRecord::new(format!("u{n}"))
            .with_username(format!("person.{n}"))
            .with_email(format!("person.{n}@example.org"))
            .with_first_name("Person")
            .with_last_name(format!("Number {n}"))
            .with_memberships("team", [format!("team-{}", n % 10), "team-all".to_owned()])
            .with_assignments("seat", ["seat-1"])
            .with_field("employee_number", n)
            .into()
    };
    (first..first + PAGE).map(one).collect()
}

fn kinds() -> BTreeMap<String, ResourceKind> {
    [("team".to_owned(), ResourceKind::Group), ("seat".to_owned(), ResourceKind::License)].into()
}

/// Records of a connector, validated, serialized and hashed into a page that the Bridge can be sent.
#[divan::bench]
fn records_made_a_page(bencher: Bencher<'_, '_>) {
    let (of, kinds) = (ResourceType::account("account", "Account"), kinds());
    bencher.counter(ItemsCount::new(PAGE)).with_inputs(|| records(0)).bench_values(|records| {
        let page = prepared_page(records, &of, &kinds);
        assert!(page.is_ok_and(|(wire, seen)| wire.len() == PAGE && seen.len() == PAGE));
    });
}

/// A page of a listing, recorded in the snapshot in SQLite.
#[divan::bench(sample_size = 1)]
fn snapshot_page_in_sqlite(bencher: Bencher<'_, '_>) {
    let made = (|| -> Result<_, Failure> {
        let (runtime, folder, app) = (runtime()?, folder()?, app()?);
        let state = runtime.block_on(Sqlite::open(&folder.path().join("state")))?;
        runtime.block_on(state.begin(&app))?;
        Ok((runtime, folder, app, state))
    })();
    let (runtime, _folder, app, state) = prepared(made);
    let (of, kinds) = (ResourceType::account("account", "Account"), kinds());
    let next = AtomicUsize::new(0);
    let seen = || -> Vec<RecordHash> {
        let first = next.fetch_add(PAGE, Ordering::Relaxed);
        prepared(prepared_page(records(first), &of, &kinds).map_err(Into::into)).1
    };
    bencher.counter(ItemsCount::new(PAGE)).with_inputs(seen).bench_refs(|seen| {
        let added = runtime.block_on(state.add(&app, "account", seen));
        assert!(added.is_ok_and(|added| added.duplicates.is_empty()));
    });
    runtime.block_on(state.close());
}

/// What the daemon writes about one successful task.
async fn executed<S: TaskJournal>(state: &S, app: &AppKey, number: usize) -> Result<(), Failure> {
    let at = Timestamp::from_second(1_800_000_000)?;
    let step = |phase: Phase| AttemptStep {
        attempt: 1,
        phase,
        began_at: at,
        ended_at: Some(at),
        code: None,
        message: None,
        next_try_at: None,
    };
    // The ids of tasks have no order.
    let task = format!("{:016x}", (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut intent = Intent {
        task: task.as_str().into(),
        action: "create_account".into(),
        created_at: Some(at),
        keys: vec![1, 2],
        attempt: 1,
        prior: PriorAccount::Absent,
        at,
        steps: vec![step(Phase::Fetch), step(Phase::Admit), step(Phase::LookUp)],
    };
    state.intent(app, &intent).await?;
    intent.steps = vec![step(Phase::Execute), step(Phase::Verify)];
    let result = json!({"account_id": task}).as_object().cloned();
    state.record_outcome(app, &intent, &Outcome::Completed { result }).await?;
    state.ended(app, &intent.task, &ReportResult::Accepted, at).await?;
    Ok(())
}

async fn executed_together<S: TaskJournal>(state: &S, app: &AppKey, first: usize) -> Result<(), Failure> {
    let tasks = (first..first + AT_ONCE).map(|number| executed(state, app, number));
    futures::future::try_join_all(tasks).await?;
    Ok(())
}

/// Tasks that pass through the journal in memory, which tests use: intent, outcome, end.
#[divan::bench]
fn tasks_through_the_journal_in_memory(bencher: Bencher<'_, '_>) {
    let (runtime, app) = (prepared(runtime()), prepared(app()));
    let state = Memory::new(Timestamp::UNIX_EPOCH);
    let next = AtomicUsize::new(0);
    bencher.counter(ItemsCount::new(AT_ONCE)).bench(|| {
        let first = next.fetch_add(AT_ONCE, Ordering::Relaxed);
        assert!(runtime.block_on(executed_together(&state, &app, first)).is_ok());
    });
}

/// The same in SQLite, on a disk.
#[divan::bench(sample_size = 1)]
fn tasks_through_the_journal_in_sqlite(bencher: Bencher<'_, '_>) {
    let made = (|| -> Result<_, Failure> {
        let (runtime, folder, app) = (runtime()?, folder()?, app()?);
        let state = runtime.block_on(Sqlite::open(&folder.path().join("state")))?;
        Ok((runtime, folder, app, state))
    })();
    let (runtime, _folder, app, state) = prepared(made);
    let next = AtomicUsize::new(0);
    bencher.counter(ItemsCount::new(AT_ONCE)).bench(|| {
        let first = next.fetch_add(AT_ONCE, Ordering::Relaxed);
        assert!(runtime.block_on(executed_together(&state, &app, first)).is_ok());
    });
    runtime.block_on(state.close());
}

/// An entry of the audit log about a task's outcome: redacted, chained and written, without waiting for the disk.
#[divan::bench]
fn audit_entry_written(bencher: Bencher<'_, '_>) {
    let folder = prepared(folder());
    let settings = Settings { folder: folder.path().join("audit"), max_bytes: 64 * 1024 * 1024, keep: 2 };
    let audit = prepared(Audit::open(settings, &Redactor::new()).map_err(Into::into));
    let event = || Event {
        app: Some("acme-hr".to_owned()),
        task: Some("00000000-0000-4000-8000-000000000001".to_owned()),
        account: Some("ann".to_owned()),
        action: "create_account".to_owned(),
        decision: Some("execute".to_owned()),
        evidence: json!({"found_before": false, "attempts": 1, "verified": true}),
        outcome: Some("completed".to_owned()),
        duration_ms: Some(12),
        ..Event::default()
    };
    bencher.counter(ItemsCount::new(1_usize)).with_inputs(event).bench_values(|event| audit.record(event));
    assert!(audit.status().is_some_and(|status| status.failing_since.is_none()));
}

/// An error of a connector, redacted while 32 tasks with a password each are running.
#[divan::bench]
fn error_redacted(bencher: Bencher<'_, '_>) {
    let redactor = Redactor::new();
    let secrets = (0..AT_ONCE).map(|number| format!("Correct-Horse-{number:04}"));
    let _protection = redactor.protect(secrets);
    let cause = Error::new(
        Code::Timeout,
        "create_account for ann in acme-hr: POST /users returned 503: {\"password\":\"Correct-Horse-0007\"}",
    );
    bencher.counter(ItemsCount::new(1_usize)).bench(|| {
        let error = Error::new(cause.code(), redactor.redact(black_box(cause.message())))
            .with_effect(cause.effect())
            .with_retry(cause.retry())
            .with_subject(cause.subject());
        assert!(!error.message().contains("Correct-Horse"));
        error
    });
}
