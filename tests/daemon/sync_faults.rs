//! Faults of the Bridge: whatever is lost in transit, the sync completes once and removes no account by mistake.

use std::time::Duration;

use bridgehead::sandbox::{Effect, Entry, Fault, Filter, Loss};
use futures::future::join_all;
use serde_json::json;

use crate::support::World;
use crate::sync_world::{Synced, accounts, crowd, ids};

/// Syncs 250 accounts, then 249 of them with this fault active.
async fn with_fault(fault: Fault) -> (World, Synced) {
    let world = World::with_target(crowd(false), "").await;
    world.sync(&[]).await.assert(0, "completed");
    world.sandbox.clear_ledger();
    let mut said = crowd(false);
    said["records"]["account"] = json!({"count": 249});
    world.target(said);
    world.sandbox.add_fault(fault);
    let synced = world.sync(&[]).await;
    assert!(world.sandbox.faults()[0].fired > 0, "the fault never fired");
    (world, synced)
}

/// The requests that took effect and whose path ends with `end`.
fn taken(world: &World, method: &str, end: &str) -> Vec<Entry> {
    let filter = Filter { method: Some(method.into()), ..Filter::default() };
    let entries = world.sandbox.ledger_matching(&filter).into_iter();
    entries
        .filter(|entry| entry.path.ends_with(end) && entry.handled.is_some_and(|status| status < 300))
        .collect()
}

#[track_caller]
fn went_through(world: &World, synced: &Synced) {
    assert_eq!(synced.assert(0, "completed").figures("account"), [249, 0, 0, 1]);
    assert_eq!(synced.summary["invalid_count"], 0);
    assert_eq!(world.active_ids("account"), ids(0..249));
    assert_eq!(taken(world, "POST", "/complete/").len(), 1);
    assert_eq!(taken(world, "POST", "/abandon/").len(), 0);
}

#[tokio::test]
async fn failed_page_pushes_are_retried_without_loss() {
    let effects = [
        Effect::answer(500),
        Effect::answer(503),
        Effect::Cut,
        Effect::Lose(Loss::Cut),
        Effect::Lose(Loss::Truncate),
        Effect::Lose(Loss::Status(502)),
    ];
    let each = effects.map(async |effect| {
        let (world, synced) = with_fault(Fault::new(effect).method("PUT").skip(1).times(2)).await;
        went_through(&world, &synced);
    });
    join_all(each).await;
}

#[tokio::test]
async fn page_push_honors_retry_after() {
    let fault = Fault::new(Effect::retry_after(429, 1)).method("PUT").times(1);
    let (world, synced) = with_fault(fault).await;
    went_through(&world, &synced);
    let puts = world.sandbox.ledger_matching(&Filter { method: Some("PUT".into()), ..Filter::default() });
    let (refused, next) = (&puts[0], puts.iter().find(|put| put.handled.is_some()).unwrap());
    assert_eq!(refused.status, Some(429));
    let waited = next.time.duration_since(refused.time);
    assert!(waited >= jiff::SignedDuration::from_millis(950), "{waited:?}");
}

#[tokio::test]
async fn unanswered_sync_start_is_retried() {
    let effects = [Effect::Lose(Loss::Cut), Effect::Lose(Loss::Status(500)), Effect::Garbage { status: 201 }];
    let each = effects.map(async |effect| {
        let (world, synced) = with_fault(Fault::new(effect).method("POST").path("**/sync/").times(1)).await;
        went_through(&world, &synced);
        assert_eq!(taken(&world, "POST", "/sync/").len(), 2, "the second cancels the one that nobody knows");
    });
    join_all(each).await;
}

#[tokio::test]
async fn received_but_unanswered_complete_is_not_repeated() {
    let effects = [Effect::Lose(Loss::Cut), Effect::Lose(Loss::Status(500)), Effect::Garbage { status: 202 }];
    let each = effects.map(async |effect| {
        let (world, synced) =
            with_fault(Fault::new(effect).method("POST").path("**/complete/").times(1)).await;
        went_through(&world, &synced);
        assert_eq!(world.count("complete"), 1);
    });
    join_all(each).await;
}

#[tokio::test]
async fn lost_complete_is_sent_again() {
    let each = [Effect::Cut, Effect::answer(500)].map(async |effect| {
        let (world, synced) =
            with_fault(Fault::new(effect).method("POST").path("**/complete/").times(1)).await;
        went_through(&world, &synced);
        assert_eq!(world.count("complete"), 2);
    });
    join_all(each).await;
}

#[tokio::test]
async fn failed_progress_requests_are_retried() {
    let each = [Effect::answer(500), Effect::Cut, Effect::Garbage { status: 200 }].map(async |effect| {
        let (world, synced) = with_fault(Fault::new(effect).method("GET").path("**/sync/*/").times(2)).await;
        went_through(&world, &synced);
    });
    join_all(each).await;
}

#[tokio::test]
async fn colliding_page_is_resent_once_no_other_push_is_running() {
    let detail = "Sync failed for 'account': a record with the same identifier already exists.";
    let collision = Effect::answer_json(422, json!({"detail": detail}));
    let (world, synced) = with_fault(Fault::new(collision).method("PUT").path("**/account/").times(1)).await;
    went_through(&world, &synced);
    let sizes: Vec<usize> = world.pages("account");
    assert_eq!(sizes.iter().sum::<usize>(), 249);
    assert_eq!(sizes.len(), 3, "it was not split: {sizes:?}");
    let puts = world.sandbox.ledger_matching(&Filter { path: Some("/account/".into()), ..Filter::default() });
    let refused = puts.iter().find(|put| put.status == Some(422)).unwrap();
    assert_eq!(puts.last().unwrap().body, refused.body, "it is the last one");
}

#[tokio::test]
async fn failed_type_registration_fails_the_sync_with_advice() {
    let (world, synced) = with_fault(Fault::new(Effect::answer(403)).path("**/resource-types/")).await;
    let detail = synced.assert(1, "failed").detail();
    assert!(detail.contains("registering a resource type") && detail.contains("403"), "{detail}");
    assert_eq!(world.steps(), [""; 0]);
    assert_eq!(world.active_ids("account"), ids(0..250));
}

#[tokio::test]
async fn forbidden_page_push_waits_for_access() {
    let (world, synced) = with_fault(Fault::new(Effect::answer(403)).method("PUT").times(1)).await;
    went_through(&world, &synced);
    assert!(synced.stderr.contains("403"), "somebody is told: {}", synced.stderr);
}

#[tokio::test]
async fn failed_abandon_is_not_retried_for_long() {
    let records = json!({"account": accounts(350)});
    let data = json!({"code": "INTERNAL_ERROR", "retry": "never"});
    let faults = json!([{"do": "error", "type": "account", "page": 3, "data": data}]);
    let world = World::with_target(json!({"records": records, "faults": faults}), "").await;
    world.sandbox.add_fault(Fault::new(Effect::answer(400)).path("**/abandon/"));
    let began = tokio::time::Instant::now();
    world.sync(&[]).await.assert(1, "abandoned");
    assert!(began.elapsed() < Duration::from_secs(30));
}

#[tokio::test]
async fn sync_survives_many_random_faults() {
    let world = World::with_target(json!({"records": {"account": accounts(2500)}}), "").await;
    for (seed, effect) in (1..).zip([Effect::answer(500), Effect::Cut, Effect::Lose(Loss::Cut)]) {
        world.sandbox.add_fault(Fault::new(effect).path("**/sync/**").probability(0.05, seed));
    }
    let synced = world.sync(&[]).await;
    assert_eq!(synced.assert(0, "completed").figures("account"), [2500, 2500, 0, 0]);
    assert_eq!(world.active_ids("account"), ids(0..2500));
    assert_eq!(taken(&world, "POST", "/complete/").len(), 1);
}

/// The request without a response may have completed the first sync, although the session seemed to be running afterwards. Otherwise, the
/// next sync would find that Iden was synced before, and be held as after a lost state.
#[tokio::test]
async fn first_sync_that_may_have_been_completed_does_not_look_like_a_lost_state() {
    let world = World::with_target(crowd(false), "").await;
    let running = json!({"status": "in_progress", "progress": []});
    for fault in [
        Fault::new(Effect::Lose(Loss::Cut)).method("POST").path("**/complete/").times(1),
        Fault::new(Effect::answer(400)).method("POST").path("**/complete/").times(1),
        Fault::new(Effect::answer(400)).method("POST").path("**/abandon/"),
        // The first one checks the counts.
        Fault::new(Effect::answer_json(200, running)).method("GET").path("**/sync/*/").skip(1).times(2),
    ] {
        world.sandbox.add_fault(fault);
    }
    let synced = world.sync(&[]).await;
    assert_eq!(synced.summary["reason"], "unheard", "{:?}", synced.summary);
    assert!(world.sandbox.faults().iter().all(|fault| fault.fired > 0), "{:?}", world.sandbox.faults());
    world.sandbox.clear_faults();
    world.sync(&[]).await.assert(0, "completed");
}
