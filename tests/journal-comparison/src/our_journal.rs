//! The journal as the daemon uses it, with the steps of each attempt, its witness and its fences.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bridgehead_store::{
    AppKey, AttemptStep, Intent, Outcome, Phase, PriorAccount, ReportResult, Sqlite, TaskJournal,
};
use jiff::Timestamp;

use crate::Failure;
use crate::cost::Cost;

pub async fn measure(folder: &Path, tasks: usize, at_once: usize) -> Result<Cost, Failure> {
    let state = Sqlite::open(&folder.join("state")).await?;
    let app: AppKey = "11111111-1111-4111-8111-111111111111".parse()?;
    let next = Arc::new(AtomicUsize::new(0));
    let before = Cost::now();
    let workers: Vec<_> = (0..at_once)
        .map(|_| {
            let (state, app, next) = (state.clone(), app.clone(), Arc::clone(&next));
            tokio::spawn(async move {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= tasks {
                        return Ok::<(), Failure>(());
                    }
                    live(&state, &app, &crate::id(number)).await?;
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await??;
    }
    let cost = Cost::now().since(&before);
    state.close().await;
    Ok(cost)
}

/// Writes what the daemon writes for one successful task.
async fn live(state: &Sqlite, app: &AppKey, task: &str) -> Result<(), Failure> {
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
    let mut intent = Intent {
        task: task.into(),
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
    let result = [("account_id", task.into()), ("temporary_password", crate::secret(task).into())];
    let result = Some(result.into_iter().map(|(name, value)| (name.to_owned(), value)).collect());
    state.record_outcome(app, &intent, &Outcome::Completed { result }).await?;
    state.ended(app, &intent.task, &ReportResult::Accepted, at).await?;
    Ok(())
}
