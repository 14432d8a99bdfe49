//! The results of a state: for a step, and for every possible query.

use std::collections::HashMap;

use bridgehead_sdk::TaskId;
use jiff::Timestamp;

use super::super::super::{
    AccessBase, Added, AppKey, AttemptStep, BaselineOrigin, Counts, Difference, Doubt, Entry, Error, Held,
    IdenTime, Known, LastSync, Loser, LossKind, Pause, Run, Shown, SnapshotStore, TaskJournal, Which,
};
use super::super::at;
use super::step::{Change, IDS, SLUGS, TASKS};

/// A result, or the error as a string.
type Answer<T> = Result<T, String>;

/// The result of a write.
#[derive(Debug, PartialEq)]
pub(super) enum Written {
    Done,
    Pruned(u64),
    Added(Added),
}

/// A trait of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    TaskJournal,
    SnapshotStore,
}

/// The results of all queries.
#[derive(Debug, PartialEq)]
pub(super) enum Observed {
    TaskJournal(Box<OfTasks>),
    SnapshotStore(Box<OfSyncs>),
}

#[derive(Debug, PartialEq)]
pub(super) struct OfTasks {
    open: Answer<Vec<Entry>>,
    entries: Vec<Answer<Option<Entry>>>,
    attempts: Vec<Answer<Vec<AttemptStep>>>,
    paused: Answer<Option<Pause>>,
    known: Answer<HashMap<TaskId, Known>>,
    rejected: Answer<Vec<Entry>>,
    counts: Answer<Counts>,
    destructive: Vec<Answer<Vec<Timestamp>>>,
    held: Answer<Vec<Held>>,
    doubted: Answer<Option<Doubt>>,
    verified: Answer<()>,
}

#[derive(Debug, PartialEq)]
pub(super) struct OfSyncs {
    types: Vec<OfType>,
    known_slugs: Answer<Vec<String>>,
    last: Answer<Option<LastSync>>,
    past: Answer<Option<BaselineOrigin>>,
    iden_time: Answer<IdenTime>,
    shown: Answer<Option<Shown>>,
    was_interrupted: Answer<bool>,
    runs: Vec<Answer<Vec<Run>>>,
}

#[derive(Debug, PartialEq)]
pub(super) struct OfType {
    missing: Answer<Vec<String>>,
    seen_count: Answer<u64>,
    difference: Answer<Difference>,
    ids: Vec<(Which, Answer<Vec<String>>)>,
    losers: Vec<Answer<(Vec<Loser>, Option<String>)>>,
    access_base: Answer<AccessBase>,
    removals: Vec<Answer<u64>>,
    losses: Vec<Answer<u64>>,
}

fn answer<T>(result: Result<T, Error>) -> Answer<T> {
    result.map_err(|error| format!("{error:?}"))
}

/// Runs a write and returns its result.
pub(super) async fn run(
    state: &(impl TaskJournal + SnapshotStore),
    app: &AppKey,
    change: &Change,
) -> Answer<Written> {
    let done = match change {
        Change::Intent(intent) => state.intent(app, intent).await,
        Change::NotApplied(task) => state.not_applied(app, task).await,
        Change::Decide(identity, outcome) => state.record_outcome(app, identity, outcome).await,
        Change::End(task, ended, at) => state.ended(app, task, ended, *at).await,
        Change::Forget(task) => state.forget(app, task).await,
        Change::Note(task, steps) => state.note_attempts(app, task, steps).await,
        Change::Pause(Some(pause)) => state.pause(app, pause).await,
        Change::Pause(None) => state.resume(app).await,
        Change::Hold(tasks, at) => state.hold(app, tasks, *at).await,
        Change::Release(tasks, at) => state.release(app, tasks, *at).await,
        Change::Unhold(tasks) => state.unhold(app, tasks).await,
        Change::Prune(before) => return answer(state.prune(app, *before).await).map(Written::Pruned),
        Change::Settle(synced_before) => state.settle_new(app, *synced_before).await,
        Change::Begin => state.begin(app).await,
        Change::DryRun => state.begin_dry_run(app).await,
        Change::Discard => state.discard(app).await,
        Change::Add(slug, records) => return answer(state.add(app, slug, records).await).map(Written::Added),
        Change::Set(slug, seen) => state.set(app, slug, seen).await,
        Change::Unset(slug, id) => state.unset(app, slug, id).await,
        Change::Completing(at, losses) => state.prepare_commit(app, *at, losses).await,
        Change::Promote(at) => state.commit(app, *at).await,
        Change::Keep(belief) => state.retain(app, *belief).await,
        Change::Created(slug, id, access) => state.note_created(app, slug, id, access.as_ref()).await,
        Change::Deleted(slug, id) => state.note_deleted(app, slug, id).await,
        Change::Changed(slug, id, changes) => state.note_changed(app, slug, id, changes.clone()).await,
        Change::Forgive => state.forgive_removals(app).await,
        Change::BaselineOrigin(past) => state.set_past(app, *past).await,
        Change::IdenTime(at) => state.set_iden_time(app, *at).await,
        Change::Shown(shown) => state.set_shown(app, *shown).await,
        Change::Run(run) => state.record_run(app, run).await,
    };
    answer(done).map(|()| Written::Done)
}

/// Runs the queries of a trait: all of them, or only the most informative ones.
pub(super) async fn observe(
    state: &(impl TaskJournal + SnapshotStore),
    app: &AppKey,
    part: Part,
    all: bool,
) -> Observed {
    match part {
        Part::TaskJournal => Observed::TaskJournal(Box::new(of_tasks(state, app, all).await)),
        Part::SnapshotStore => Observed::SnapshotStore(Box::new(of_syncs(state, app, all).await)),
    }
}

/// Instants to query, between those of the steps.
fn instants(all: bool) -> Vec<Timestamp> {
    let instants = [Timestamp::from_nanosecond(1_500).unwrap(), at(-1), at(400 * 86_400)];
    instants[..if all { 3 } else { 1 }].to_vec()
}

async fn of_tasks(state: &impl TaskJournal, app: &AppKey, all: bool) -> OfTasks {
    let tasks = TASKS.map(TaskId::from);
    let mut entries = Vec::new();
    for task in &tasks {
        entries.push(answer(state.entry(app, task).await));
    }
    let mut attempts = Vec::new();
    for task in &tasks {
        attempts.push(answer(state.attempts(app, task).await));
    }
    let mut destructive = Vec::new();
    for since in instants(all) {
        destructive.push(answer(state.destructive_since(app, since).await));
    }
    OfTasks {
        open: answer(state.open(app).await),
        entries,
        attempts,
        paused: answer(state.paused(app).await),
        known: answer(state.known(app, &tasks).await),
        rejected: answer(state.rejected(app).await),
        counts: answer(state.counts(app).await),
        destructive,
        held: answer(state.held(app).await),
        doubted: answer(state.doubted(app).await),
        verified: answer(state.verify().await),
    }
}

async fn of_syncs(state: &impl SnapshotStore, app: &AppKey, all: bool) -> OfSyncs {
    let mut types = Vec::new();
    for slug in &SLUGS[..if all { 2 } else { 1 }] {
        types.push(of_type(state, app, slug, all).await);
    }
    let mut runs = Vec::new();
    for limit in if all { vec![0, 2, u32::MAX] } else { vec![2] } {
        runs.push(answer(state.runs(app, limit).await));
    }
    OfSyncs {
        types,
        known_slugs: answer(state.known_slugs(app).await),
        last: answer(state.last(app).await),
        past: answer(state.past(app).await),
        iden_time: answer(state.iden_time(app).await),
        shown: answer(state.shown(app).await),
        was_interrupted: answer(state.was_interrupted(app).await),
        runs,
    }
}

async fn of_type(state: &impl SnapshotStore, app: &AppKey, slug: &str, all: bool) -> OfType {
    let mut ids = Vec::new();
    let mut losers = Vec::new();
    for after in if all { vec![None, Some(""), Some("a")] } else { vec![None] } {
        let limit = after.map_or(99, |_| 2);
        for which in [Which::Created, Which::Changed, Which::Removed, Which::Counted, Which::Seen] {
            ids.push((which, answer(state.ids(app, slug, which, after, limit).await)));
        }
        let page = answer(state.losers(app, slug, after).await);
        losers.push(page.map(|page| (page.losers, page.next)));
    }
    let (mut removals, mut losses) = (Vec::new(), Vec::new());
    for since in instants(all) {
        removals.push(answer(state.removals_since(app, slug, since).await));
        for kind in LossKind::ALL {
            losses.push(answer(state.losses_since(app, slug, kind, since).await));
        }
    }
    OfType {
        missing: answer(state.missing(app, slug, &IDS).await),
        seen_count: answer(state.seen_count(app, slug).await),
        difference: answer(state.difference(app, slug).await),
        ids,
        losers,
        access_base: answer(state.access_base(app, slug).await),
        removals,
        losses,
    }
}
