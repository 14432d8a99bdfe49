//! Reads an account back after the target has reported success: `completed` is reported to Iden when the change is visible.

use bridgehead_resilience::Backoff;
use bridgehead_sdk::{Account, AccountId, AccountRecord, Code, Completion, Error, Operation};
use serde_json::Value;
use tokio::time::Instant;

use super::attempts::{AttemptContext, AttemptsEnd, Failure, Seen};
use crate::ShuttingDown;
use crate::change_tracker::PriorState;
use crate::comparison::Verification;
use crate::metrics::Verified;
use crate::policies;
use crate::retry_decision;
use crate::sync::access_facts;
use crate::target::Priority;

/// After this many permanent errors, the account counts as unreadable: a single one may be a passing problem.
const REFUSALS: u32 = 3;

/// Reads the account until it shows the requested state, or the task's time is over. A single look-up is enough if it already does.
pub(super) async fn run(
    context: &mut AttemptContext<'_>,
    mut completion: Completion,
) -> Result<AttemptsEnd, ShuttingDown> {
    let app = context.app;
    if !app.settings.tasks.verify {
        return Ok(AttemptsEnd::Completed(completion));
    }
    let began = Instant::now();
    let mut backoff = Backoff::new(policies::TARGET);
    let mut refused = 0;
    let mut contradiction = None;
    let why_unseen = loop {
        // The target has just responded, so the first look-up is always made: a daemon that is stopping lets running work finish.
        if backoff.failures() > 0
            && let Some(failure) = context.wait_for_target().await?
        {
            context.is_out_of_time = true;
            break failure.message;
        }
        let reason = match look(context, Some(&completion)).await {
            Ok(found) => match context.verification(found.as_ref()) {
                Verification::Seen { differing, not_shown } => {
                    seen(context, backoff.failures() + 1, &differing, &not_shown);
                    context.seen = Some(Seen { differing, not_shown });
                    context.read = found.as_ref().map(|found| (found.id.clone(), access_facts(found)));
                    name_created(&context.operation, &mut completion, found.as_ref());
                    return Ok(AttemptsEnd::Completed(completion));
                }
                Verification::NotSeen(missing) => {
                    contradiction = Some(missing);
                    String::new()
                }
            },
            Err(error) => {
                refused += u32::from(!retry_decision::may_pass(&error));
                if refused >= REFUSALS {
                    break error.message().to_owned();
                }
                error.message().to_owned()
            }
        };
        let wait = backoff.failed(app.shared.rng.unit());
        // However long the attempts took, the target gets a moment to show the change.
        let has_time = retry_decision::fits(context.spent(), wait, app.settings.tasks.give_up_after)
            || retry_decision::fits(began.elapsed(), wait, context.moment);
        if !has_time {
            context.is_out_of_time = true;
            break reason;
        }
        let reason = if reason.is_empty() { "the change is not visible in the target yet" } else { &reason };
        context.show_wait(wait, &Failure::new(Code::InternalError, reason));
        context.pause(wait).await?;
    };
    let Some(missing) = contradiction else {
        // Nothing contradicts the target's response. A successful write is not reported as failed because it could not be read back.
        app.status.tally().verified(Verified::NotLooked);
        tracing::warn!(app = %app.name, task = %context.intent.task, "completed, not verified: the account could not be read back: {}",
            app.shared.redactor.redact(&why_unseen));
        return Ok(AttemptsEnd::Completed(completion));
    };
    app.status.tally().verified(Verified::Contradicted);
    Ok(AttemptsEnd::Failed(Failure::new(
        Code::InternalError,
        format!(
            "{}: {} reported success, but the account does not show the change: {}",
            context.what(),
            app.name,
            missing.join("; ")
        ),
    )))
}

/// Adds the identifier of a new account if the connector did not return it: without it, Iden could not link the account.
fn name_created(operation: &Operation, completion: &mut Completion, found: Option<&AccountRecord>) {
    let is_named =
        completion.result.get("account_id").is_some_and(|id| id.as_str().is_some_and(|id| !id.is_empty()));
    if let (Operation::CreateAccount(_), Some(found), false) = (operation, found, is_named) {
        completion.result.insert("account_id".to_owned(), found.id.as_str().into());
    }
}

/// Looks up the account under any of the names that the target may know it by now.
pub(super) async fn look(
    context: &AttemptContext<'_>,
    completion: Option<&Completion>,
) -> Result<Option<AccountRecord>, Error> {
    for account in names(context, completion) {
        context.app.status.tally().looked();
        let Some(found) = context.app.target.find_account(&account, Priority::Task).await? else { continue };
        if account == *context.operation.account() && context.is_another(&found) {
            // The task's own account may have another name by now, so it is not known to be missing either.
            return Err(Error::internal(context.another(&found)));
        }
        return Ok(Some(found));
    }
    Ok(None)
}

/// The names to look under, most reliable first: the identifier that the target returned; otherwise the identifier from before the change,
/// the names in the request, and the names that the task sets.
fn names(context: &AttemptContext<'_>, completion: Option<&Completion>) -> Vec<Account> {
    let operation = &*context.operation;
    let told = completion.and_then(|completion| completion.result.get("account_id")).and_then(Value::as_str);
    let told = told.filter(|id| !id.is_empty());
    let asked = operation.account();
    if let Some(id) = told {
        return vec![Account::by_id(id)];
    }
    let mut names = Vec::new();
    if asked.id.is_none() && !matches!(operation, Operation::CreateAccount(_)) {
        names.extend(context.prior_id.clone().map(|id: AccountId| Account::by_id(id)));
    }
    match operation {
        Operation::UpdateAccount(update) => {
            names.push(asked.clone());
            let text = |name: &str| update.changes.get(name).and_then(Value::as_str).map(str::to_owned);
            let mut renamed = Account::default();
            renamed.id = text("id").map(AccountId::new);
            (renamed.username, renamed.email) = (text("username"), text("email"));
            if renamed.is_identified() {
                names.push(renamed);
            }
        }
        // The names may have been given to another account since.
        Operation::DeleteAccount(_) if !names.is_empty() => {}
        _ => names.push(asked.clone()),
    }
    names
}

fn seen(context: &AttemptContext<'_>, looks: u32, differing: &[String], not_shown: &[String]) {
    let (app, task) = (context.app, &context.intent.task);
    let result = if differing.is_empty() { Verified::Seen } else { Verified::Differing };
    app.status.tally().verified(result);
    if !differing.is_empty() {
        tracing::info!(app = %app.name, %task, "completed; the target stores some values in a different \
                                                form: {}",
            app.shared.redactor.redact(&differing.join("; ")));
    }
    if !not_shown.is_empty() {
        tracing::debug!(app = %app.name, %task, "the target does not show {}", not_shown.join(", "));
    }
    for name in context.unverifiable().iter().chain(not_shown) {
        app.status.tally().not_verified(name);
    }
    if looks > 1 {
        // The change became visible after the call: a sync that has started since must read the account again.
        app.changes.touch(context.operation.account(), PriorState::NotAsked);
    }
}
