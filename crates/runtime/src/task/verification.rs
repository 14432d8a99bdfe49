//! Reads an account back when the effect of a call is unknown.

use std::time::Duration;

use bridgehead_resilience::Backoff;
use bridgehead_sdk::{AccountRecord, AccountStatus, Completion, Operation};
use tokio::time::Instant;

use super::attempts::{AttemptContext, Failure};
use super::verify;
use crate::change_tracker::PriorState;
use crate::desired_state::{self, Convergence};
use crate::policies;
use crate::{ShuttingDown, retry_decision};
use bridgehead_store::PriorAccount;

/// Why the account is read back.
#[derive(Clone, Copy, Debug)]
pub(super) enum VerifyReason {
    /// The effect of an attempt is unknown. `since` is the time since it was made; `again` says whether another attempt may follow.
    Unknown { again: bool, since: Duration },
    /// The target reports that the account to be created already exists.
    Existing,
}

/// The result of reading back.
#[derive(Debug)]
pub(super) enum Verdict {
    Completed(Completion),
    Failed(Failure),
    TryAgain,
}

/// How often "not found" is checked again when the target reports that the account exists: a replica may lag behind.
const LOOKS: u32 = 3;

/// Reads the account back until there is a verdict. A failed look-up never counts as "not found".
pub(super) async fn run(
    context: &mut AttemptContext<'_>,
    purpose: VerifyReason,
    failure: Failure,
) -> Result<Verdict, ShuttingDown> {
    let began = Instant::now();
    let tasks = context.app.settings.tasks.clone();
    let (mut backoff, mut nobody) = (Backoff::new(policies::TARGET), 0);
    if let VerifyReason::Unknown { since, .. } = purpose {
        context.under_way_until = Some(began + tasks.timeout.saturating_sub(since));
    }
    loop {
        if let Some(held) = context.wait_for_target().await? {
            context.is_out_of_time = true;
            let message = format!("{}; it could not be read back: {}", failure.message, held.message);
            return Ok(Verdict::Failed(Failure::new(failure.code, message)));
        }
        let operation = context.operation.clone();
        let asked = Instant::now();
        let answer = tokio::select! {
            biased;
            () = context.stop.cancelled() => return Err(ShuttingDown),
            answer = verify::look(context, None) => answer,
        };
        if answer.is_err() && context.app.target.outage().is_some() {
            // The target is unreachable or hangs: the time spent does not count against the task.
            context.was_held(asked);
        }
        let mut doubt = "account not found yet";
        match answer {
            Err(error) if retry_decision::may_pass(&error) => doubt = "it could not be read back",
            Err(error) => {
                let message = format!("{}; it could not be read back: {}", failure.message, error.message());
                return Ok(Verdict::Failed(Failure::new(failure.code, message)));
            }
            Ok(found) => {
                nobody += u32::from(found.is_none());
                let settled = match purpose {
                    VerifyReason::Unknown { since, .. } => {
                        retry_decision::is_settled(nobody, since + began.elapsed(), tasks.timeout)
                    }
                    VerifyReason::Existing => nobody >= LOOKS,
                };
                // While the attempt may still take effect, a missing change proves nothing.
                let over = context.under_way_until.is_none_or(|until| until <= Instant::now());
                let judged = judge(context, found.as_ref(), purpose, settled, over, &failure);
                if let Some(verdict) = judged {
                    if found.is_some() && matches!(*operation, Operation::CreateAccount(_)) {
                        context.under_way_until = None;
                    }
                    if matches!(verdict, Verdict::TryAgain) {
                        if found.is_some() && context.intent.prior == PriorAccount::Unknown {
                            // Nothing is running any more, so the next attempt will find this state.
                            context.note_prior(found.as_ref());
                        }
                        context.in_doubt |=
                            desired_state::compare(&operation, found.as_ref()) == Convergence::Unverifiable;
                    }
                    if matches!(purpose, VerifyReason::Unknown { .. }) {
                        // It may have taken effect long after the attempt timed out: a sync that has started since must read the account
                        // again.
                        let deletes = matches!(*operation, Operation::DeleteAccount(_));
                        let before = if deletes { PriorState::Unknown } else { PriorState::NotAsked };
                        context.app.changes.touch(operation.account(), before);
                    }
                    return Ok(verdict);
                }
                doubt = if found.is_none() { doubt } else { "the change is not visible in the target yet" };
            }
        }
        let mut wait = backoff.failed(context.app.shared.rng.unit());
        // Look again as soon as the attempt is over, because that tells more.
        if let Some(left) =
            context.under_way_until.map(|until| until.saturating_duration_since(Instant::now()))
            && !left.is_zero()
        {
            wait = wait.min(left);
        }
        if !retry_decision::fits(context.spent(), wait, tasks.give_up_after) {
            context.is_out_of_time = true;
            let message =
                format!("{}; {doubt}, and it is unknown whether the change took effect", failure.message);
            return Ok(Verdict::Failed(Failure::new(failure.code, message)));
        }
        context.show_wait(wait, &Failure::new(failure.code, format!("{}; {doubt}", failure.message)));
        context.pause(wait).await?;
    }
}

/// The verdict; `None` if the account must be read again.
fn judge(
    context: &AttemptContext<'_>,
    found: Option<&AccountRecord>,
    purpose: VerifyReason,
    settled: bool,
    over: bool,
    failure: &Failure,
) -> Option<Verdict> {
    let operation = &*context.operation;
    let may_repeat = matches!(purpose, VerifyReason::Unknown { again: true, .. });
    let state = match (desired_state::compare(operation, found), operation, found) {
        // If an account existed before all attempts, or no attempt can have created it, it only counts as the requested account if nothing
        // differs at all.
        (Convergence::Reached, Operation::CreateAccount(create), Some(found))
            if !context.may_be_ours() && !desired_state::is_identical(create, found) =>
        {
            Convergence::NotReached
        }
        // A missing account is not the effect of an attempt if it did not exist before.
        (Convergence::Reached, Operation::DeleteAccount(_), None)
            if settled && !context.intent.prior.was_seen() =>
        {
            Convergence::NotReached
        }
        (state, ..) => state,
    };
    match (state, found, operation) {
        // It has the attributes, but is not active, which was not requested.
        (Convergence::Reached, Some(found), Operation::CreateAccount(create))
            if matches!(purpose, VerifyReason::Existing)
                && create.account.status.is_none()
                && found.status != AccountStatus::Active =>
        {
            Some(Verdict::Failed(failure.clone()))
        }
        (Convergence::Reached, Some(found), Operation::CreateAccount(_)) => {
            Some(Verdict::Completed(Completion::created(found.id.clone())))
        }
        // A replica may not show an account yet that the previous task created; the account would keep its access.
        (Convergence::Reached, None, _) if !settled => None,
        (Convergence::Reached, ..) => Some(Verdict::Completed(Completion::done())),
        // Only a create makes a second account if it is repeated too early.
        (_, None, Operation::CreateAccount(_)) if !settled => None,
        // An attempt that may still be running would overlap the next one, or undo later changes.
        _ if !over => None,
        // Never create a second account with the same name; not every target rejects that.
        (_, Some(found), Operation::CreateAccount(_))
            if may_repeat && let Some(taken) = context.taken(found) =>
        {
            let ours = "; an earlier attempt may have created it, but it differs from the request";
            let ours = if context.may_be_ours() { ours } else { "" };
            Some(Verdict::Failed(Failure::new(taken.code(), format!("{}{ours}", taken.message()))))
        }
        _ if may_repeat => Some(Verdict::TryAgain),
        (Convergence::Unverifiable, ..) => {
            let message = format!(
                "{}; the target does not show this change, so it is unknown whether it took effect",
                failure.message
            );
            Some(Verdict::Failed(Failure::new(failure.code, message)))
        }
        _ => Some(Verdict::Failed(failure.clone())),
    }
}
