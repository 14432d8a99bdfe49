use std::future::ready;

use futures::future::{BoxFuture, join_all};

use super::super::super::{
    AccessFacts, AppKey, AttemptStep, Changes, Entry, Error, Intent, Outcome, Phase, ReportResult,
    STEPS_KEPT, SnapshotStore, TaskJournal,
};
use super::*;

const TASKS: usize = 70;

/// A task's entry and steps.
type Told = (Option<Entry>, Vec<AttemptStep>);

fn steps(number: usize, attempt: u32, phases: &[Phase]) -> Vec<AttemptStep> {
    let step = |(place, phase): (usize, &Phase)| {
        let second = i64::try_from(number + place).unwrap();
        AttemptStep {
            attempt,
            phase: *phase,
            began_at: at(second),
            ended_at: place.is_multiple_of(2).then(|| at(second + 1)),
            code: None,
            message: number.is_multiple_of(5).then(|| format!("step {place}")),
            next_try_at: None,
        }
    };
    phases.iter().enumerate().map(step).collect()
}

fn of(number: usize) -> (AppKey, Intent, Outcome, ReportResult) {
    let mut intent = intent(&format!("t{number}"), 1, i64::try_from(number).unwrap());
    // One task has more steps than are kept.
    let waits = if number == 3 { STEPS_KEPT + 20 } else { number % 3 };
    intent.steps = steps(number, 1, &vec![Phase::Wait; waits]);
    let outcome = if number.is_multiple_of(4) { failed("no such team") } else { completed("secret") };
    let end = match number % 3 {
        0 => ReportResult::Accepted,
        1 => ReportResult::Conflict,
        _ => ReportResult::Rejected { detail: format!("not that, {number}") },
    };
    (app(1 + (number % 2) as u128), intent, outcome, end)
}

/// Runs task executions that are one step apart, so that each commit contains writes of each kind.
async fn live(state: &Sqlite, at_once: bool) {
    for round in 0..4 {
        let writes: Vec<BoxFuture<'_, ()>> = (0..TASKS)
            .map(|number| -> BoxFuture<'_, ()> {
                let (app, mut intent, outcome, end) = of(number);
                match (round + 3 - number % 2).checked_sub(3) {
                    Some(0) => Box::pin(async move { state.intent(&app, &intent).await.unwrap() }),
                    Some(1) => Box::pin(async move {
                        intent.steps = steps(number + 500, 1, &[Phase::Execute, Phase::Verify]);
                        state.record_outcome(&app, &intent, &outcome).await.unwrap();
                    }),
                    Some(2) => Box::pin(async move {
                        state.ended(&app, &intent.task, &end, at(900)).await.unwrap();
                    }),
                    _ => Box::pin(ready(())),
                }
            })
            .collect();
        if at_once {
            join_all(writes).await;
        } else {
            for write in writes {
                write.await;
            }
        }
    }
}

async fn told(state: &Sqlite) -> Vec<Told> {
    let mut all = Vec::new();
    for number in 0..TASKS {
        let (app, intent, ..) = of(number);
        let entry = state.entry(&app, &intent.task).await.unwrap();
        all.push((entry, state.attempts(&app, &intent.task).await.unwrap()));
    }
    all
}

#[tokio::test]
async fn grouped_writes_equal_individual_writes() {
    let (together, apart) = (fleeting().await, fleeting().await);
    live(&together, true).await;
    live(&apart, false).await;
    let stats = together.stats();
    assert!(stats.commits * 10 < stats.writes, "they were in few commits: {stats:?}");
    assert!(apart.stats().commits >= stats.writes / 2, "these were not");
    let (one, other) = (told(&together).await, told(&apart).await);
    for (number, (one, other)) in one.iter().zip(&other).enumerate() {
        assert_eq!(one, other, "task {number}");
    }
    assert_eq!(one[3].1.len(), STEPS_KEPT);
    assert!(one.iter().any(|(entry, _)| entry.as_ref().is_some_and(|entry| entry.kept.is_some())));
}

#[tokio::test]
async fn conflicting_write_in_a_group_fails_alone() {
    let state = fleeting().await;
    let app = app(1);
    let intents: Vec<Intent> = (0..10).map(|number| intent(&format!("t{number}"), 1, 1)).collect();
    state.record_outcome(&app, &intents[4], &completed("a")).await.unwrap();
    let mut again = intents.clone();
    for intent in &mut again {
        intent.steps = steps(1, 1, &[Phase::Fetch]);
    }
    let results = join_all(again.iter().map(|intent| state.intent(&app, intent))).await;
    for (number, result) in results.iter().enumerate() {
        let is_refused = matches!(result, Err(Error::AlreadyDecided { .. }));
        assert_eq!(is_refused, number == 4, "{number}: {result:?}");
        assert!(is_refused || result.is_ok(), "{number}: {result:?}");
    }
    assert_eq!(state.attempts(&app, &intents[4].task).await.unwrap(), [], "its steps are not written either");
    assert_eq!(state.attempts(&app, &intents[5].task).await.unwrap().len(), 1);

    // One end without an outcome, together with nine that have one.
    let decided = completed("b");
    for number in (0..10).filter(|number| *number != 4) {
        state.record_outcome(&app, &intents[number], &decided).await.unwrap();
    }
    let unknown = intent("unknown", 1, 1);
    let ends = intents.iter().chain([&unknown]);
    let results =
        join_all(ends.map(|intent| state.ended(&app, &intent.task, &ReportResult::Accepted, at(5)))).await;
    for (number, result) in results.iter().enumerate() {
        let is_refused = matches!(result, Err(Error::NotDecided { .. }));
        assert_eq!(is_refused, number == 10, "{number}: {result:?}");
    }
    assert_eq!(state.counts(&app).await.unwrap().ended_accepted, 10);
}

/// What tasks note about accounts: each account is created, changed and deleted in some order, one step apart.
async fn noted(state: &Sqlite, at_once: bool) -> Vec<(String, String, String, i64, Option<Vec<u8>>)> {
    for round in 0..4 {
        let notes: Vec<BoxFuture<'_, ()>> = (0..TASKS)
            .map(|number| -> BoxFuture<'_, ()> {
                let (app, id) = (app(1 + (number % 2) as u128), format!("account {}", number / 2));
                let slug = if number % 5 == 0 { "person" } else { "account" };
                Box::pin(async move {
                    let changes = Changes {
                        is_active: (number % 3 > 0).then_some(number % 3 == 1),
                        refs: (number % 4 > 0).then(|| vec![number as u64 % 4]),
                    };
                    match (number + round) % 4 {
                        0 => {
                            let access = AccessFacts::new(number % 3 == 1, [number as u64]);
                            let access = Some(&access).filter(|_| number % 3 > 0);
                            state.note_created(&app, slug, &id, access).await.unwrap();
                        }
                        1 => state.note_changed(&app, slug, &id, changes).await.unwrap(),
                        2 if number % 7 != 0 => state.note_deleted(&app, slug, &id).await.unwrap(),
                        _ => {}
                    }
                })
            })
            .collect();
        if at_once {
            join_all(notes).await;
        } else {
            for note in notes {
                note.await;
            }
        }
    }
    sqlx::query_as(
        "SELECT app, slug, id, standing, facts FROM records JOIN listings USING (listing) ORDER BY 1, 2, 3",
    )
    .fetch_all(state.listings().readers())
    .await
    .unwrap()
}

#[tokio::test]
async fn grouped_notes_equal_individual_notes() {
    let together = noted(&fleeting().await, true).await;
    let apart = noted(&fleeting().await, false).await;
    assert_eq!(together, apart);
    let known = together.iter().filter(|(.., facts)| facts.is_some()).count();
    assert!(together.len() > 20 && known > 5 && known < together.len(), "{together:?}");
}
