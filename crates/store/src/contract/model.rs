//! Tests writes in any order against a model that is a map.

use std::collections::HashMap;

use proptest::prelude::*;

use super::super::{Counts, Error, Known, ReportResult, RetainedOutcome, State, TaskJournal};
use super::*;

each_state! {
    blocking any_order_of_writes_does_what_the_model_does,
}

const TASKS: [&str; 3] = ["t0", "t1", "t2"];

#[derive(Clone, Debug)]
enum Step {
    Intent { task: usize, attempt: u32, second: i64 },
    Decide { task: usize, outcome: usize },
    End { task: usize, ended: usize, second: i64 },
    Forget { task: usize },
    Prune { before: i64 },
}

fn step() -> impl Strategy<Value = Step> {
    let task = 0..TASKS.len();
    let second = 0..100_i64;
    prop_oneof![
        (task.clone(), 1..5_u32, second.clone()).prop_map(|(task, attempt, second)| Step::Intent {
            task,
            attempt,
            second
        }),
        (task.clone(), 0..3_usize).prop_map(|(task, outcome)| Step::Decide { task, outcome }),
        (task.clone(), 0..4_usize, second.clone()).prop_map(|(task, ended, second)| Step::End {
            task,
            ended,
            second
        }),
        task.prop_map(|task| Step::Forget { task }),
        second.prop_map(|before| Step::Prune { before }),
    ]
}

fn outcomes() -> [Outcome; 3] {
    [completed("a1"), completed("a2"), failed("not found")]
}

fn ends() -> [ReportResult; 4] {
    let detail = "refused".to_owned();
    [ReportResult::Accepted, ReportResult::Conflict, ReportResult::Missing, ReportResult::Rejected { detail }]
}

#[derive(Clone, Debug)]
struct Modelled {
    attempt: u32,
    first: i64,
    last: i64,
    outcome: Option<Outcome>,
    ended: Option<(ReportResult, i64)>,
}

impl Modelled {
    fn new(attempt: u32, second: i64) -> Self {
        Self { attempt, first: second, last: second, outcome: None, ended: None }
    }

    fn known(&self) -> Known {
        match (&self.outcome, &self.ended) {
            (None, _) => Known::Intended,
            (_, None) => Known::Decided,
            _ => Known::Ended,
        }
    }

    fn state(&self) -> State {
        match (&self.outcome, &self.ended) {
            (None, _) => State::Intended,
            (Some(outcome), None) => State::Decided(outcome.clone()),
            (_, Some((ended, _))) => State::Ended(ended.clone()),
        }
    }

    fn is_rejected(&self) -> bool {
        matches!(self.ended, Some((ReportResult::Rejected { .. }, _)))
    }

    fn kept(&self) -> Option<RetainedOutcome> {
        self.ended.as_ref()?;
        Some(match self.outcome.as_ref()? {
            Outcome::Completed { result } => {
                let kept = |result: &serde_json::Map<String, serde_json::Value>| {
                    let id = result.get("account_id")?;
                    Some(serde_json::Map::from_iter([("account_id".to_owned(), id.clone())]))
                };
                RetainedOutcome::Completed { result: result.as_ref().and_then(kept) }
            }
            Outcome::Failed { code, message } => {
                RetainedOutcome::Failed { code: *code, message: Some(message.clone()) }
            }
        })
    }
}

#[derive(Debug, PartialEq)]
enum Answer {
    Fine,
    Pruned(u64),
    AlreadyDecided,
    NotDecided,
}

fn answer(result: Result<(), Error>) -> Answer {
    match result {
        Ok(()) => Answer::Fine,
        Err(Error::AlreadyDecided { .. }) => Answer::AlreadyDecided,
        Err(Error::NotDecided { .. }) => Answer::NotDecided,
        Err(other) => panic!("{other}"),
    }
}

fn expect(model: &mut HashMap<&'static str, Modelled>, step: &Step) -> Answer {
    match *step {
        Step::Intent { task, attempt, second } => match model.get_mut(TASKS[task]) {
            None => {
                model.insert(TASKS[task], Modelled::new(attempt, second));
                Answer::Fine
            }
            Some(known) if known.outcome.is_some() => Answer::AlreadyDecided,
            Some(known) => {
                known.attempt = known.attempt.max(attempt);
                known.last = second;
                Answer::Fine
            }
        },
        Step::Decide { task, outcome } => {
            let known = model.entry(TASKS[task]).or_insert_with(|| Modelled::new(9, 500));
            let outcome = outcomes()[outcome].clone();
            if known.ended.is_some() || known.outcome.as_ref().is_some_and(|first| *first != outcome) {
                return Answer::AlreadyDecided;
            }
            known.outcome = Some(outcome);
            Answer::Fine
        }
        Step::End { task, ended, second } => match model.get_mut(TASKS[task]) {
            Some(known) if known.outcome.is_some() => {
                known.ended = Some(match known.ended.take() {
                    // An end is final; reporting it again only delays pruning.
                    Some((first, at)) if !matches!(first, ReportResult::Rejected { .. }) => {
                        (first, at.max(second))
                    }
                    _ => (ends()[ended].clone(), second),
                });
                Answer::Fine
            }
            _ => Answer::NotDecided,
        },
        Step::Forget { task } => match model.get(TASKS[task]) {
            Some(known) if known.outcome.is_some() => Answer::AlreadyDecided,
            _ => {
                model.remove(TASKS[task]);
                Answer::Fine
            }
        },
        Step::Prune { before } => {
            let all = model.len();
            model.retain(|_, known| {
                known.is_rejected() || known.ended.as_ref().is_none_or(|(_, second)| *second >= before)
            });
            Answer::Pruned((all - model.len()) as u64)
        }
    }
}

async fn run(state: &impl TaskJournal, app: &AppKey, step: &Step) -> Answer {
    match *step {
        Step::Intent { task, attempt, second } => {
            answer(state.intent(app, &intent(TASKS[task], attempt, second)).await)
        }
        Step::Decide { task, outcome } => {
            answer(state.record_outcome(app, &intent(TASKS[task], 9, 500), &outcomes()[outcome]).await)
        }
        Step::End { task, ended, second } => {
            answer(state.ended(app, &TASKS[task].into(), &ends()[ended], at(second)).await)
        }
        Step::Forget { task } => answer(state.forget(app, &TASKS[task].into()).await),
        Step::Prune { before } => Answer::Pruned(state.prune(app, at(before)).await.unwrap()),
    }
}

async fn compare(state: &impl TaskJournal, app: &AppKey, model: &HashMap<&'static str, Modelled>) {
    let tasks = TASKS.map(TaskId::from);
    let known = state.known(app, &tasks).await.unwrap();
    let mut counts = Counts::default();
    for task in &tasks {
        let expected = model.get(task.as_str());
        assert_eq!(known.get(task).copied(), expected.map(Modelled::known));
        let entry = state.entry(app, task).await.unwrap();
        assert_eq!(entry.is_some(), expected.is_some());
        let (Some(entry), Some(expected)) = (entry, expected) else {
            continue;
        };
        assert_eq!(entry.state, expected.state());
        assert_eq!(entry.kept, expected.kept());
        assert_eq!(entry.attempt, expected.attempt);
        assert_eq!((entry.first_intent_at, entry.last_intent_at), (at(expected.first), at(expected.last)));
        *match (&expected.outcome, &expected.ended) {
            (None, _) => &mut counts.intended,
            (_, None) => &mut counts.decided,
            (_, Some((ReportResult::Accepted, _))) => &mut counts.ended_accepted,
            (_, Some((ReportResult::Conflict, _))) => &mut counts.ended_conflict,
            (_, Some((ReportResult::Missing, _))) => &mut counts.ended_missing,
            (_, Some((ReportResult::Rejected { .. }, _))) => &mut counts.rejected,
        } += 1;
    }
    assert_eq!(state.counts(app).await.unwrap(), counts);
    let open = state.open(app).await.unwrap().len() as u64;
    assert_eq!(open, counts.intended + counts.decided);
    assert_eq!(state.rejected(app).await.unwrap().len() as u64, counts.rejected);
}

fn any_order_of_writes_does_what_the_model_does<P: Place>() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let state = runtime.block_on(P::fleeting());
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 128,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let steps = proptest::collection::vec(step(), 1..30);
    runner
        .run(&steps, |steps| {
            let app = AppKey::from(uuid::Uuid::new_v4());
            runtime.block_on(async {
                let mut model = HashMap::new();
                for step in &steps {
                    let expected = expect(&mut model, step);
                    assert_eq!(run(&state, &app, step).await, expected, "{step:?}");
                }
                compare(&state, &app, &model).await;
            });
            Ok(())
        })
        .unwrap();
}
