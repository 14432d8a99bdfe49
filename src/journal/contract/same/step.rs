//! Steps: every write of both traits, and the end of a process.

use bridgehead_sdk::{Code, TaskId};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use serde_json::json;

use super::super::super::{
    AccessFacts, Belief, Changes, Ended, Intent, LossCount, LossKind, Outcome, Past, PriorAccount, Run,
    RunResult, Seen, Shown,
};
use super::answers::Part;

pub(super) const APPS: [u128; 2] = [1, 2];
/// In an order that is not that of an alphabet.
pub(super) const TASKS: [&str; 4] = ["Z", "a", "a\0", "é"];
pub(super) const SLUGS: [&str; 2] = ["account", "Team"];
pub(super) const IDS: [&str; 6] = ["", "A", "a", "a\0", "é", "😀"];

#[derive(Clone, Debug)]
pub(super) enum Step {
    /// Something is written of an app.
    Of(u128, Change),
    /// The process ends, and another one begins.
    Reopen,
}

#[derive(Clone, Debug)]
pub(super) enum Change {
    Intent(Intent),
    NotApplied(TaskId),
    Decide(Intent, Outcome),
    End(TaskId, Ended, Timestamp),
    Forget(TaskId),
    Hold(Vec<TaskId>, Timestamp),
    Release(Vec<TaskId>, Timestamp),
    Unhold(Vec<TaskId>),
    Prune(Timestamp),
    Settle(bool),
    Begin,
    DryRun,
    Discard,
    Add(&'static str, Vec<Seen>),
    Set(&'static str, Seen),
    Unset(&'static str, &'static str),
    Completing(Timestamp, Vec<LossCount>),
    Promote(Timestamp),
    Keep(Belief),
    Created(&'static str, &'static str),
    Deleted(&'static str, &'static str),
    Changed(&'static str, &'static str, Changes),
    Forgive,
    Past(Past),
    IdenTime(Timestamp),
    Shown(Shown),
    Run(Run),
}

impl Change {
    /// The trait that it is of.
    pub(super) fn part(&self) -> Part {
        match self {
            Self::Intent(_)
            | Self::NotApplied(_)
            | Self::Decide(..)
            | Self::End(..)
            | Self::Forget(_)
            | Self::Hold(..)
            | Self::Release(..)
            | Self::Unhold(_)
            | Self::Prune(_)
            | Self::Settle(_) => Part::Journal,
            _ => Part::Listings,
        }
    }
}

pub(super) fn step() -> impl Strategy<Value = Step> {
    // Mostly one app, so that much happens to it.
    let app = prop_oneof![4 => Just(APPS[0]), 1 => Just(APPS[1])];
    let change = prop_oneof![2 => of_tasks(), 3 => of_listings()];
    prop_oneof![
        12 => (app, change).prop_map(|(app, change)| Step::Of(app, change)),
        1 => Just(Step::Reopen),
    ]
}

fn of_tasks() -> impl Strategy<Value = Change> {
    let tasks = || prop::collection::vec(task(), 0..4);
    prop_oneof![
        4 => intent().prop_map(Change::Intent),
        1 => task().prop_map(Change::NotApplied),
        4 => (intent(), outcome()).prop_map(|(intent, outcome)| Change::Decide(intent, outcome)),
        4 => (task(), ended(), instant()).prop_map(|(task, ended, at)| Change::End(task, ended, at)),
        1 => task().prop_map(Change::Forget),
        2 => (tasks(), instant()).prop_map(|(tasks, at)| Change::Hold(tasks, at)),
        2 => (tasks(), instant()).prop_map(|(tasks, at)| Change::Release(tasks, at)),
        1 => tasks().prop_map(Change::Unhold),
        2 => instant().prop_map(Change::Prune),
        1 => any::<bool>().prop_map(Change::Settle),
    ]
}

fn of_listings() -> impl Strategy<Value = Change> {
    let records = || prop::collection::vec(seen(), 0..7);
    let losses = prop::collection::vec(loss(), 0..3);
    let changes = any::<[bool; 2]>().prop_map(|[status, memberships]| Changes { status, memberships });
    prop_oneof![
        4 => Just(Change::Begin),
        1 => Just(Change::DryRun),
        1 => Just(Change::Discard),
        8 => (slug(), records()).prop_map(|(slug, records)| Change::Add(slug, records)),
        2 => (slug(), seen()).prop_map(|(slug, seen)| Change::Set(slug, seen)),
        1 => (slug(), id()).prop_map(|(slug, id)| Change::Unset(slug, id)),
        2 => (instant(), losses).prop_map(|(at, losses)| Change::Completing(at, losses)),
        3 => instant().prop_map(Change::Promote),
        4 => belief().prop_map(Change::Keep),
        2 => (slug(), id()).prop_map(|(slug, id)| Change::Created(slug, id)),
        1 => (slug(), id()).prop_map(|(slug, id)| Change::Deleted(slug, id)),
        2 => (slug(), id(), changes).prop_map(|(slug, id, changes)| Change::Changed(slug, id, changes)),
        1 => Just(Change::Forgive),
        1 => prop::sample::select(&Past::ALL[..]).prop_map(Change::Past),
        1 => instant().prop_map(Change::IdenTime),
        1 => (any::<u64>(), 0..9_u64).prop_map(|(digest, losses)| Change::Shown(Shown { digest, losses })),
        1 => a_run().prop_map(Change::Run),
    ]
}

/// Around 1970 and finer than what is kept, as far apart as what is remembered, or after everything.
fn instant() -> impl Strategy<Value = Timestamp> {
    let after_epoch = |time: SignedDuration| Timestamp::UNIX_EPOCH.checked_add(time).unwrap();
    prop_oneof![
        8 => (-5..20_i64).prop_map(move |half| after_epoch(SignedDuration::from_nanos(500 * half))),
        4 => (0..5_i64).prop_map(move |times| after_epoch(SignedDuration::from_hours(times * 200 * 24))),
        1 => Just(Timestamp::from_second(7_258_118_400).unwrap()),
    ]
}

fn task() -> impl Strategy<Value = TaskId> {
    prop::sample::select(&TASKS[..]).prop_map(TaskId::from)
}

fn slug() -> impl Strategy<Value = &'static str> {
    prop::sample::select(&SLUGS[..])
}

fn id() -> impl Strategy<Value = &'static str> {
    prop::sample::select(&IDS[..])
}

fn belief() -> impl Strategy<Value = Belief> {
    prop::sample::select(&[Belief::Plausible, Belief::Unjudged, Belief::Doubted][..])
}

fn intent() -> impl Strategy<Value = Intent> {
    let action =
        prop::sample::select(&["create_account", "delete_account", "suspend_account", "merge_account"][..]);
    let prior = prop_oneof![
        Just(PriorAccount::Unknown),
        Just(PriorAccount::Absent),
        any::<u64>().prop_map(|hash| PriorAccount::Seen { fields: [("last_name".to_owned(), hash)].into() }),
    ];
    let keys = prop::collection::vec(any::<u64>(), 0..3);
    let given = (task(), action, prop::option::of(instant()), keys, 0..4_u32, prior, instant());
    given.prop_map(|(task, action, created_at, keys, attempt, prior, at)| {
        let action = action.to_owned();
        Intent { task, action, created_at, keys, attempt, prior, at }
    })
}

fn outcome() -> impl Strategy<Value = Outcome> {
    let completed = |result: serde_json::Value| Outcome::Completed { result: result.as_object().cloned() };
    let failed = |code, message: &str| Outcome::Failed { code, message: message.to_owned() };
    prop::sample::select(vec![
        completed(json!(null)),
        completed(json!({})),
        completed(json!({"password": "hunter2"})),
        completed(json!({"account_id": "a1", "password": "hunter2", "not_verified": ["password"]})),
        completed(json!({"not_verified": [], "account_id": null, "since": 0.1, "large": u64::MAX})),
        failed(Code::AccountNotFound, "no such account"),
        failed(Code::AccountNotFound, ""),
        failed(Code::PermissionDenied, "no such account"),
    ])
}

fn ended() -> impl Strategy<Value = Ended> {
    let rejected = |detail: &str| Ended::Rejected { detail: detail.to_owned() };
    prop::sample::select(vec![
        Ended::Accepted,
        Ended::Conflict,
        Ended::Missing,
        rejected(""),
        rejected("unknown field"),
    ])
}

fn seen() -> impl Strategy<Value = Seen> {
    let refs = prop::collection::vec(prop_oneof![0..3_u64, Just(u64::MAX)], 0..3);
    let facts = (any::<bool>(), refs).prop_map(|(is_active, refs)| AccessFacts::new(is_active, refs));
    let hash = prop_oneof![0..2_u64, Just(u64::MAX)];
    (id(), hash, prop::option::weighted(0.8, facts)).prop_map(|(id, hash, facts)| {
        let id = id.to_owned();
        Seen { id, hash, facts }
    })
}

fn loss() -> impl Strategy<Value = LossCount> {
    let given = (slug(), prop::sample::select(&LossKind::ALL[..]), 0..4_u64);
    given.prop_map(|(slug, kind, count)| LossCount { slug: slug.to_owned(), kind, count })
}

fn a_run() -> impl Strategy<Value = Run> {
    let counts = || prop::collection::btree_map(slug().prop_map(str::to_owned), any::<u64>(), 0..3);
    let result = prop::sample::select(&RunResult::ALL[..]);
    let given = (instant(), instant(), result, counts(), counts());
    given.prop_map(|(started_at, ended_at, result, pushed, removed)| {
        let detail = format!("{} records", pushed.len());
        Run { started_at, ended_at, result, detail, pushed, removed }
    })
}
