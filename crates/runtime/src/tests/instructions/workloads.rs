//! The workloads that are measured. Everything except SQLite runs in one thread, without a network and without a clock.

use std::collections::BTreeMap;

use bridgehead_sdk::{AccountRecord, Record, ResourceKind, ResourceType};
use jiff::Timestamp;
use serde_json::json;

use crate::sync::pages::{prepare, seen};
use bridgehead_bridge::fuzz;
use bridgehead_store::{
    AppKey, AttemptStep, Intent, Outcome, Phase, PriorAccount, ReportResult, SnapshotStore, Sqlite,
    TaskJournal,
};

/// Work that is done for each task or each record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Workload {
    /// A record is validated, serialized, hashed, and ready to be pushed.
    Record,
    /// A record is added to the snapshot in the store.
    Listing,
    /// A task is read from a page of the list.
    List,
    /// A task goes through the journal: intent, outcome and end.
    Journal,
}

/// The records or tasks of one page.
const PAGE: u32 = 100;

impl Workload {
    pub(super) const ALL: [Self; 4] = [Self::Record, Self::Listing, Self::List, Self::Journal];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Record => "record",
            Self::Listing => "listing",
            Self::List => "list",
            Self::Journal => "journal",
        }
    }

    /// A small and a large number of items.
    pub(super) fn items(self) -> (u32, u32) {
        match self {
            Self::Record | Self::Listing | Self::List => (500, 1_500),
            Self::Journal => (20, 120),
        }
    }

    pub(super) fn run(self, items: u32) {
        match self {
            Self::Record => records(items),
            Self::List => list(items),
            Self::Listing => in_runtime(listing(items)),
            Self::Journal => in_runtime(journal(items)),
        }
    }
}

fn in_runtime(work: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work);
}

fn of() -> ResourceType {
    ResourceType::account("account", "Account")
}

fn page(first: u32) -> Vec<Record> {
    let one = |n: u32| {
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

fn records(items: u32) {
    let kinds = [("team", ResourceKind::Group), ("seat", ResourceKind::License)];
    let kinds: BTreeMap<String, ResourceKind> = kinds.map(|(slug, kind)| (slug.to_owned(), kind)).into();
    for first in (0..items).step_by(PAGE as usize) {
        let (wire, seen) = prepare(page(first), &of(), &kinds).unwrap();
        assert_eq!((wire.len(), seen.len()), (PAGE as usize, PAGE as usize));
    }
}

fn list(items: u32) {
    let task = |n: u32| {
        json!({
            "id": format!("00000000-0000-4000-8000-{n:012}"), "action": "create_account", "status": "pending",
            "created_at": "2026-01-05T09:00:00Z",
            "payload": {"account": {
                "username": format!("person-{n}"), "email": format!("person-{n}@example.org"),
                "first_name": "Person", "last_name": format!("Number {n}")
            }},
        })
    };
    let tasks: Vec<_> = (0..PAGE).map(task).collect();
    let body = json!({"count": PAGE, "next": null, "previous": null, "results": tasks}).to_string();
    let url = "https://bridge.test/org/acme/api/v1/bridge/apps/a/tasks/".parse().unwrap();
    for _ in 0..items / PAGE {
        let page = fuzz::task_page(body.as_bytes(), &url).unwrap();
        assert_eq!(page.tasks.len(), PAGE as usize);
    }
}

fn app() -> AppKey {
    "11111111-1111-4111-8111-111111111111".parse().unwrap()
}

async fn listing(items: u32) {
    let folder = tempfile::tempdir().unwrap();
    let state = Sqlite::open(&folder.path().join("state")).await.unwrap();
    state.begin(&app()).await.unwrap();
    for first in (0..items).step_by(PAGE as usize) {
        let added = state.add(&app(), "account", &seen(page(first), &of()).unwrap()).await.unwrap();
        assert!(added.duplicates.is_empty());
    }
    state.close().await;
}

/// Writes what the daemon writes about successful tasks, one after another: how many share a commit would depend on the machine.
async fn journal(items: u32) {
    let folder = tempfile::tempdir().unwrap();
    let state = Sqlite::open(&folder.path().join("state")).await.unwrap();
    let at = Timestamp::from_second(1_800_000_000).unwrap();
    let step = |phase: Phase| AttemptStep {
        attempt: 1,
        phase,
        began_at: at,
        ended_at: Some(at),
        code: None,
        message: None,
        next_try_at: None,
    };
    for number in 0..items {
        let mut intent = Intent {
            task: format!("task-{number}").as_str().into(),
            action: "create_account".into(),
            created_at: Some(at),
            keys: vec![1, 2],
            attempt: 1,
            prior: PriorAccount::Absent,
            at,
            steps: vec![step(Phase::Fetch), step(Phase::Admit), step(Phase::LookUp)],
        };
        state.intent(&app(), &intent).await.unwrap();
        intent.steps = vec![step(Phase::Execute), step(Phase::Verify)];
        let result = json!({"account_id": number}).as_object().cloned();
        state.record_outcome(&app(), &intent, &Outcome::Completed { result }).await.unwrap();
        state.ended(&app(), &intent.task, &ReportResult::Accepted, at).await.unwrap();
    }
    state.close().await;
}
