//! Steps: every write of both traits, and the end of a process.

use bridgehead_sdk::{Code, TaskId};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use serde_json::json;

use super::super::super::{
    AccessFacts, AttemptStep, BaselineOrigin, Changes, Intent, LossCount, LossKind, Outcome, Pause, Phase,
    PriorAccount, RecordHash, ReportResult, Run, RunReason, RunResult, Shown, Trust,
};

pub(super) const APPS: [u128; 2] = [1, 2];
/// In a non-alphabetical order.
pub(super) const TASKS: [&str; 3] = ["Z", "a", "a\0"];
pub(super) const SLUGS: [&str; 2] = ["account", "Team"];
pub(super) const IDS: [&str; 6] = ["", "A", "a", "a\0", "é", "😀"];

#[derive(Clone, Debug)]
pub(super) enum Step {
    /// A write for an app.
    Of(u128, Box<Change>),
    /// The process ends, and another one starts.
    Reopen,
}

#[derive(Clone, Debug)]
pub(super) enum Change {
    Intent(Intent),
    NotApplied(TaskId),
    Decide(Intent, Outcome),
    End(TaskId, ReportResult, Timestamp),
    Forget(TaskId),
    Note(TaskId, Vec<AttemptStep>),
    Pause(Option<Pause>),
    Hold(Vec<TaskId>, Timestamp),
    Release(Vec<TaskId>, Timestamp),
    Unhold(Vec<TaskId>),
    Prune(Timestamp),
    Settle(bool),
    Begin,
    DryRun,
    Discard,
    Add(&'static str, Vec<RecordHash>),
    Set(&'static str, RecordHash),
    Unset(&'static str, &'static str),
    Completing(Timestamp, Vec<LossCount>),
    Promote(Timestamp),
    Keep(Trust),
    Created(&'static str, &'static str, Option<AccessFacts>),
    Deleted(&'static str, &'static str),
    Changed(&'static str, &'static str, Changes),
    Forgive,
    BaselineOrigin(BaselineOrigin),
    IdenTime(Timestamp),
    Shown(Shown),
    Run(Run),
}

/// Steps with tasks, including complete executions.
pub(super) fn of_tasks() -> impl Strategy<Value = Vec<Step>> {
    let life = (task(), app(), intent(), outcome(), [ended(), ended()], [instant(), instant()]);
    let life = life.prop_map(|(task, app, intent, outcome, [one, other], [at, later])| {
        let intent = Intent { task: task.clone(), ..intent };
        let life = [
            Change::Intent(intent.clone()),
            Change::Decide(intent, outcome),
            Change::End(task.clone(), one, at),
            Change::End(task, other, later),
        ];
        life.map(|change| Step::Of(app, Box::new(change))).to_vec()
    });
    mixed(task_change().boxed(), life.boxed())
}

/// Steps with snapshots, including complete syncs.
pub(super) fn of_listings() -> impl Strategy<Value = Vec<Step>> {
    let end = prop_oneof![
        instant().prop_map(|at| vec![Change::Promote(at)]),
        (instant(), losses(), instant())
            .prop_map(|(at, losses, later)| vec![Change::Completing(at, losses), Change::Promote(later)]),
        // The process or the sync ends before it knows the result.
        (instant(), losses()).prop_map(|(at, losses)| vec![Change::Completing(at, losses)]),
        belief().prop_map(|belief| vec![Change::Keep(belief)]),
        belief().prop_map(|belief| vec![Change::Keep(belief)]),
    ];
    let given = (app(), slug(), records(), prop::option::weighted(0.3, listing_change()), end, any::<bool>());
    let sync = given.prop_map(|(app, slug, records, between, end, is_same_process)| {
        let reopens = matches!(end[..], [Change::Completing(..)]) && !is_same_process;
        let changes = [Change::Begin, Change::Add(slug, records)].into_iter().chain(between).chain(end);
        let steps = changes.map(|change| Step::Of(app, Box::new(change)));
        steps.chain(reopens.then_some(Step::Reopen)).collect()
    });
    mixed(listing_change().boxed(), sync.boxed())
}

/// Changes in any order, ends of the process, and scripts.
fn mixed(
    change: BoxedStrategy<Change>,
    script: BoxedStrategy<Vec<Step>>,
) -> impl Strategy<Value = Vec<Step>> {
    let steps = prop_oneof![
        12 => (app(), change).prop_map(|(app, change)| vec![Step::Of(app, Box::new(change))]),
        6 => script,
        1 => Just(vec![Step::Reopen]),
    ];
    prop::collection::vec(steps, 1..25).prop_map(|steps| steps.concat())
}

fn task_change() -> impl Strategy<Value = Change> {
    let tasks = || prop::collection::vec(task(), 0..4);
    prop_oneof![
        4 => intent().prop_map(Change::Intent),
        2 => task().prop_map(Change::NotApplied),
        2 => (intent(), outcome()).prop_map(|(intent, outcome)| Change::Decide(intent, outcome)),
        2 => (task(), ended(), instant()).prop_map(|(task, ended, at)| Change::End(task, ended, at)),
        1 => task().prop_map(Change::Forget),
        2 => (task(), steps()).prop_map(|(task, steps)| Change::Note(task, steps)),
        1 => prop::option::of(pause()).prop_map(Change::Pause),
        2 => (tasks(), instant()).prop_map(|(tasks, at)| Change::Hold(tasks, at)),
        2 => (tasks(), instant()).prop_map(|(tasks, at)| Change::Release(tasks, at)),
        1 => tasks().prop_map(Change::Unhold),
        2 => instant().prop_map(Change::Prune),
        1 => Just(Change::Prune(after_all())),
        1 => any::<bool>().prop_map(Change::Settle),
    ]
}

fn listing_change() -> impl Strategy<Value = Change> {
    let changes = (any::<Option<bool>>(), prop::option::of(prop::collection::vec(0_u64..4, 0..3)))
        .prop_map(|(is_active, refs)| Changes { is_active, refs });
    let access = prop::option::of((any::<bool>(), 0_u64..4))
        .prop_map(|access| access.map(|(is_active, group)| AccessFacts::new(is_active, [group])));
    prop_oneof![
        2 => Just(Change::Begin),
        1 => Just(Change::DryRun),
        1 => Just(Change::Discard),
        3 => (slug(), records()).prop_map(|(slug, records)| Change::Add(slug, records)),
        2 => (slug(), seen()).prop_map(|(slug, seen)| Change::Set(slug, seen)),
        1 => (slug(), id()).prop_map(|(slug, id)| Change::Unset(slug, id)),
        1 => (instant(), losses()).prop_map(|(at, losses)| Change::Completing(at, losses)),
        1 => instant().prop_map(Change::Promote),
        1 => belief().prop_map(Change::Keep),
        3 => (slug(), id(), access).prop_map(|(slug, id, access)| Change::Created(slug, id, access)),
        2 => (slug(), id()).prop_map(|(slug, id)| Change::Deleted(slug, id)),
        3 => (slug(), id(), changes).prop_map(|(slug, id, changes)| Change::Changed(slug, id, changes)),
        1 => Just(Change::Forgive),
        1 => prop::sample::select(&BaselineOrigin::ALL[..]).prop_map(Change::BaselineOrigin),
        1 => instant().prop_map(Change::IdenTime),
        2 => (any::<u64>(), 0..9_u64).prop_map(|(digest, losses)| Change::Shown(Shown { digest, losses })),
        1 => a_run().prop_map(Change::Run),
    ]
}

/// Mostly the same value, so that many steps affect it.
fn mostly<T: Clone + std::fmt::Debug + 'static>(of: &'static [T]) -> impl Strategy<Value = T> {
    prop_oneof![3 => Just(of[0].clone()), 1 => prop::sample::select(of)]
}

fn app() -> impl Strategy<Value = u128> {
    mostly(&APPS)
}

fn records() -> impl Strategy<Value = Vec<RecordHash>> {
    prop::collection::vec(seen(), 0..7)
}

fn losses() -> impl Strategy<Value = Vec<LossCount>> {
    prop::collection::vec(loss(), 0..3)
}

/// Instants around 1970 with more precision than is stored, further apart than the retention, or after everything.
fn instant() -> impl Strategy<Value = Timestamp> {
    let after_epoch = |time: SignedDuration| Timestamp::UNIX_EPOCH.checked_add(time).unwrap();
    prop_oneof![
        8 => (-3..10_i64).prop_map(move |half| after_epoch(SignedDuration::from_nanos(500 * half))),
        4 => (0..5_i64).prop_map(move |times| after_epoch(SignedDuration::from_hours(times * 200 * 24))),
        1 => Just(after_all()),
    ]
}

/// After every doubt that a process may ever have had.
fn after_all() -> Timestamp {
    Timestamp::from_second(7_258_118_400).unwrap()
}

fn task() -> impl Strategy<Value = TaskId> {
    prop::sample::select(&TASKS[..]).prop_map(TaskId::from)
}

fn slug() -> impl Strategy<Value = &'static str> {
    mostly(&SLUGS)
}

fn id() -> impl Strategy<Value = &'static str> {
    prop::sample::select(&IDS[..])
}

fn belief() -> impl Strategy<Value = Trust> {
    use Trust::{Accepted, Rejected, Unverified};
    prop::sample::select(&[Rejected, Unverified, Rejected, Unverified, Accepted][..])
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
    let given = (task(), action, prop::option::of(instant()), keys, 0..4_u32, prior, instant(), steps());
    given.prop_map(|(task, action, created_at, keys, attempt, prior, at, steps)| {
        let action = action.to_owned();
        Intent { task, action, created_at, keys, attempt, prior, at, steps }
    })
}

fn steps() -> impl Strategy<Value = Vec<AttemptStep>> {
    let phase = prop::sample::select(&Phase::ALL[..]);
    let message = prop::option::of(prop::sample::select(&["", "slow down"][..]));
    let code = prop::option::of(prop::sample::select(&[Code::Timeout, Code::RateLimited][..]));
    let instants = (instant(), prop::option::of(instant()), prop::option::of(instant()));
    let step = (0..4_u32, phase, instants, code, message).prop_map(
        |(attempt, phase, (began_at, ended_at, next_try_at), code, message)| {
            let message = message.map(str::to_owned);
            AttemptStep { attempt, phase, began_at, ended_at, code, message, next_try_at }
        },
    );
    prop::collection::vec(step, 0..3)
}

fn pause() -> impl Strategy<Value = Pause> {
    let reason = prop::option::of(prop::sample::select(&["", "migration"][..]));
    (instant(), reason).prop_map(|(since, reason)| Pause {
        since,
        by: "ann".to_owned(),
        reason: reason.map(str::to_owned),
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

fn ended() -> impl Strategy<Value = ReportResult> {
    let rejected = |detail: &str| ReportResult::Rejected { detail: detail.to_owned() };
    prop::sample::select(vec![
        ReportResult::Accepted,
        ReportResult::Conflict,
        ReportResult::Missing,
        rejected(""),
        rejected("unknown field"),
    ])
}

fn seen() -> impl Strategy<Value = RecordHash> {
    let refs = prop::collection::vec(prop_oneof![0..3_u64, Just(u64::MAX)], 0..3);
    let facts = (any::<bool>(), refs).prop_map(|(is_active, refs)| AccessFacts::new(is_active, refs));
    let hash = prop_oneof![0..2_u64, Just(u64::MAX)];
    (id(), hash, prop::option::weighted(0.8, facts)).prop_map(|(id, hash, facts)| {
        let id = id.to_owned();
        RecordHash { id, hash, facts }
    })
}

fn loss() -> impl Strategy<Value = LossCount> {
    let given = (slug(), prop::sample::select(&LossKind::ALL[..]), 0..4_u64);
    given.prop_map(|(slug, kind, count)| LossCount { slug: slug.to_owned(), kind, count })
}

fn a_run() -> impl Strategy<Value = Run> {
    let counts = || prop::collection::btree_map(slug().prop_map(str::to_owned), any::<u64>(), 0..3);
    let result = prop::sample::select(&RunResult::ALL[..]);
    let reason = prop::option::of(prop::sample::select(&RunReason::ALL[..]));
    let cause = prop::option::of("[a-z]{0,5}");
    let given = (instant(), instant(), result, (reason, cause), counts(), counts());
    given.prop_map(|(started_at, ended_at, result, (reason, cause), pushed, removed)| {
        let detail = format!("{} records", pushed.len());
        Run { started_at, ended_at, result, reason, detail, cause, pushed, removed }
    })
}
