//! What the journal records for a task.

use bridgehead_store::{
    AppKey, AttemptStep, Intent, Outcome, Phase, PriorAccount, ReportResult, TaskJournal,
};
use jiff::Timestamp;

pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Writes what the daemon writes for one successful task.
pub(crate) async fn record<S: TaskJournal>(state: &S, app: &AppKey, number: usize) -> Result<(), Failure> {
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
    // Task ids have no order.
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
    let result = Some(serde_json::Map::from_iter([("account_id".to_owned(), task.as_str().into())]));
    state.record_outcome(app, &intent, &Outcome::Completed { result }).await?;
    state.ended(app, &intent.task, &ReportResult::Accepted, at).await?;
    Ok(())
}
