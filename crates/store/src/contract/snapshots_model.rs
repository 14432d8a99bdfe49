//! Tests the known records of a target against a model that stores everything in maps.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::super::{AccessFacts, Changes, SnapshotStore, Trust, Which};
use super::*;

each_state! {
    blocking what_is_known_is_what_the_model_knows,
}

const SLUG: &str = "account";

/// The active accounts in a snapshot, one bit each.
type Active = u8;

fn is_active(active: Active, id: u8) -> bool {
    active & (1 << id) != 0
}

#[derive(Clone, Debug)]
enum Step {
    /// A sync lists these accounts, and ends without completing.
    Keep(Vec<u8>, Active, Trust),
    /// A sync lists these accounts, and completes.
    Complete(Vec<u8>, Active),
    /// A task changes the status of an account.
    Changed(u8, bool),
    /// A task creates an account, and may read whether it is active. `Deleted`: a task deletes one.
    Created(u8, Option<bool>),
    Deleted(u8),
    /// A sync lists these accounts, and the process dies.
    CutOff(Vec<u8>),
}

fn step() -> impl Strategy<Value = Step> {
    let ids = || prop::collection::btree_set(0_u8..8, 0..8).prop_map(|ids| ids.into_iter().collect());
    let belief = prop_oneof![
        Just(Trust::Accepted),
        Just(Trust::Unverified),
        Just(Trust::Rejected),
        Just(Trust::Rejected)
    ];
    prop_oneof![
        4 => (ids(), any::<Active>(), belief).prop_map(|(ids, active, belief)| Step::Keep(ids, active, belief)),
        2 => (ids(), any::<Active>()).prop_map(|(ids, active)| Step::Complete(ids, active)),
        1 => (0_u8..8, any::<bool>()).prop_map(|(id, is_active)| Step::Changed(id, is_active)),
        1 => (0_u8..8, any::<Option<bool>>()).prop_map(|(id, active)| Step::Created(id, active)),
        1 => (0_u8..8).prop_map(Step::Deleted),
        1 => ids().prop_map(Step::CutOff),
    ]
}

/// Where a record that Iden has is known from.
#[derive(Clone, Debug, Default)]
struct Sources {
    /// From a snapshot that counts permanently.
    believed: bool,
    /// From a task that created it, and no sync since.
    only_created: bool,
    doubted: bool,
    /// Whether it was active when a sync last completed, or in a snapshot since then that was not rejected.
    active: Option<bool>,
}

#[derive(Debug, Default)]
struct Model {
    known: BTreeMap<u8, Sources>,
    removals: u64,
}

impl Model {
    fn counts(sources: &Sources) -> bool {
        sources.believed || sources.only_created || !sources.doubted
    }

    fn apply(&mut self, step: &Step) {
        match step {
            Step::Keep(ids, active, belief) => {
                for id in ids {
                    let sources = self.known.entry(*id).or_default();
                    if *belief != Trust::Rejected {
                        sources.active = Some(sources.active == Some(true) || is_active(*active, *id));
                    }
                    sources.believed |= sources.only_created || *belief == Trust::Accepted;
                    sources.doubted |= *belief == Trust::Rejected;
                    sources.only_created = false;
                }
            }
            Step::Changed(id, is_active) => {
                // What is known of an account that no sync has seen is not known in parts.
                if let Some(sources) = self.known.get_mut(id)
                    && sources.active.is_some()
                {
                    sources.active = Some(*is_active);
                }
            }
            Step::Complete(ids, active) => {
                let gone = self.known.iter().filter(|(id, of)| !ids.contains(id) && Self::counts(of)).count();
                self.removals += gone as u64;
                let believed = |id| Sources {
                    believed: true,
                    active: Some(is_active(*active, id)),
                    ..Sources::default()
                };
                self.known = ids.iter().map(|id| (*id, believed(*id))).collect();
            }
            Step::Created(id, active) => {
                let created = Sources { only_created: true, active: *active, ..Sources::default() };
                let sources = self.known.entry(*id).or_insert(created);
                sources.believed |= !sources.only_created;
                sources.active = active.or(sources.active);
            }
            Step::Deleted(id) => {
                if self.known.get(id).is_some_and(|sources| sources.only_created) {
                    self.known.remove(id);
                }
            }
            Step::CutOff(_) => {}
        }
    }
}

fn name(id: u8) -> String {
    format!("a{id}")
}

async fn list(state: &impl SnapshotStore, app: &AppKey, ids: &[u8], active: Active) {
    state.begin(app).await.unwrap();
    let record = |id: &u8| RecordHash {
        facts: Some(AccessFacts::new(is_active(active, *id), [])),
        ..seen(&name(*id), u64::from(*id))
    };
    let records: Vec<RecordHash> = ids.iter().map(record).collect();
    state.add(app, SLUG, &records).await.unwrap();
}

async fn run(state: &impl SnapshotStore, app: &AppKey, step: &Step) {
    match step {
        Step::Keep(ids, active, belief) => {
            list(state, app, ids, *active).await;
            state.retain(app, *belief).await.unwrap();
        }
        Step::Changed(id, is_active) => {
            let changes = Changes { is_active: Some(*is_active), refs: None };
            state.note_changed(app, SLUG, &name(*id), changes).await.unwrap();
        }
        Step::Complete(ids, active) => {
            list(state, app, ids, *active).await;
            state.commit(app, at(1_000)).await.unwrap();
        }
        Step::Created(id, active) => {
            let access = active.map(|active| AccessFacts::new(active, []));
            state.note_created(app, SLUG, &name(*id), access.as_ref()).await.unwrap();
        }
        Step::Deleted(id) => state.note_deleted(app, SLUG, &name(*id)).await.unwrap(),
        Step::CutOff(ids) => list(state, app, ids, 0).await,
    }
}

/// Compares the results for a next snapshot with these accounts.
async fn compare(state: &impl SnapshotStore, app: &AppKey, model: &Model, next: &BTreeSet<u8>) {
    // No account is active in it, so active accounts lose that.
    list(state, app, &next.iter().copied().collect::<Vec<_>>(), 0).await;
    let found = state.difference(app, SLUG).await.unwrap();
    let gone: Vec<u8> = model.known.keys().filter(|id| !next.contains(id)).copied().collect();
    let doubted = gone.iter().filter(|id| !Model::counts(&model.known[id])).count() as u64;
    let known = model.known.values().filter(|of| Model::counts(of)).count() as u64;
    let new = next.iter().filter(|id| model.known.get(id).is_none_or(|of| of.only_created)).count() as u64;
    assert_eq!(
        (found.known, found.seen, found.created, found.changed, found.removed, found.doubted),
        (known, next.len() as u64, new, 0, gone.len() as u64, doubted)
    );
    let ids = state.ids(app, SLUG, Which::Removed, None, 99).await.unwrap();
    assert_eq!(ids, gone.iter().map(|id| name(*id)).collect::<Vec<_>>());
    assert_eq!(state.removals_since(app, SLUG, at(0)).await.unwrap(), model.removals);
    let was_active = |id: &&u8| {
        let of = model.known.get(id);
        of.is_some_and(|of| Model::counts(of) && of.active == Some(true))
    };
    let losers: Vec<String> = next.iter().filter(was_active).map(|id| name(*id)).collect();
    let found = state.losers(app, SLUG, None).await.unwrap();
    assert_eq!(found.losers.into_iter().map(|one| one.id).collect::<Vec<_>>(), losers);
}

fn what_is_known_is_what_the_model_knows<P: Place>() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let state = runtime.block_on(P::fleeting());
    let mut runner = TestRunner::new(ProptestConfig {
        cases: 128,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let given = (prop::collection::vec(step(), 0..12), prop::collection::btree_set(0_u8..8, 0..8));
    runner
        .run(&given, |(steps, next)| {
            let app = AppKey::from(uuid::Uuid::new_v4());
            runtime.block_on(async {
                let mut model = Model::default();
                for step in &steps {
                    model.apply(step);
                    run(&state, &app, step).await;
                }
                compare(&state, &app, &model, &next).await;
            });
            Ok(())
        })
        .unwrap();
}
