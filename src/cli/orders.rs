//! `bridgehead tasks release | retry | resolve`, `apps pause | resume` and `sync --cancel`: through the running daemon, or in its journal
//! if none is running.

use std::io::IsTerminal;

use bridgehead_sdk::{TaskId, counted, visible};
use serde::Serialize;

use super::args::{Global, Resolve, Selected};
use super::context::Context;
use super::failure::{Exit, Failure, Outcome};
use super::{audit, confirm, daemon, logging, looking, print, table, task_rows};
use crate::control::{self, Request};
use bridgehead_bridge::AppId;
use bridgehead_config::Connectors;
use bridgehead_runtime::actions::{self, Cancelled, PauseChange, Resolution, Resolved, audited};
use bridgehead_runtime::inspection::{TaskRow, Which};
use bridgehead_runtime::operator_commands::{self, Answer, Released, ReportRetrier, Retries, Selection};
use bridgehead_runtime::{Clock, SystemClock};
use bridgehead_store::{AppKey, Pause, TaskJournal};

/// The maximum number of tasks that are listed in a sentence or before a release.
const NAMED: usize = 20;

/// The output of `--json`.
#[derive(Serialize)]
struct Shown<T> {
    app: String,
    /// `daemon`, or `state` if no daemon is running.
    by: &'static str,
    #[serde(flatten)]
    answer: T,
}

/// The prepared request of the operator.
struct Order {
    context: Context,
    app: String,
    tasks: Selection,
    expect: Option<u64>,
}

fn prepare(global: &Global, connectors: &Connectors, selected: Selected) -> Result<Order, Failure> {
    let context = Context::load(global, connectors)?;
    logging::start_quiet(&context.config.log, &context.redactor);
    let Selected { app, tasks, all, expect } = selected;
    context.names(std::slice::from_ref(&app))?;
    let tasks = tasks.iter().map(|id| task_id(id)).collect();
    let tasks = if all { Selection::All } else { Selection::These(tasks) };
    Ok(Order { context, app, tasks, expect })
}

/// A UUID is the same id in every spelling.
pub(super) fn task_id(id: &str) -> TaskId {
    TaskId::new(uuid::Uuid::parse_str(id).map_or_else(|_| id.to_owned(), |id| id.to_string()))
}

pub(crate) async fn release(global: &Global, connectors: &Connectors, selected: Selected) -> Outcome {
    let mut order = prepare(global, connectors, selected)?;
    if !global.json && order.tasks == Selection::All {
        let narrowed = show_first(&order).await?;
        if let Some((tasks, expect)) = narrowed {
            (order.tasks, order.expect) = (tasks, expect);
        }
    }
    let Order { context, app, tasks, expect } = order;
    let (answer, by): (Released, _) = if let Some(daemon) = daemon::connect(&context).await? {
        (daemon.ask(&Request::Release { app: app.clone(), tasks, expect }).await?, "daemon")
    } else {
        let key = AppKey::from(context.config.apps[&app].app_id);
        let state = daemon::state(&context, &app).await?;
        let audit = audit::open(&context)?;
        let released = operator_commands::release(&*state, &SystemClock, &key, &tasks, expect).await;
        if let Ok(released) = &released {
            let evidence = audited::released(released, expect);
            audit.record_command(audited::command(&control::own(), &app, "release", None, evidence, None));
        }
        state.shut(true).await;
        let released = released?;
        (released, "state")
    };
    if global.json {
        print::json(&Shown { app: app.clone(), by, answer: &answer });
    } else if answer.unexpected.is_some() {
        // Reported below.
    } else if answer.released.is_empty() && answer.not_held.is_empty() {
        print::line(format!("No held tasks in {app}."));
    } else if !answer.released.is_empty() {
        let when =
            if by == "daemon" { "they are executed now" } else { "they are executed when the daemon runs" };
        print::line(format!(
            "Released {} of {app}, {when}: {}",
            count(answer.released.len()),
            named(&answer.released)
        ));
    }
    as_expected(answer.unexpected, expect, |found, expected| {
        format!(
            "{} held, not {expected}: nothing was released. Check with `bridgehead tasks list {app} --held`",
            counted(found, &format!("task of {app} is"), &format!("tasks of {app} are"))
        )
    })?;
    none_of(&answer.not_held, |tasks| {
        format!("not held in {app}, so not released: {tasks}. See `bridgehead tasks list {app} --held`")
    })
}

/// Shows which accounts a release of all tasks affects, and asks for confirmation if there is a terminal. Only what was confirmed is then
/// released: these tasks, or this many.
async fn show_first(order: &Order) -> Result<Option<(Selection, Option<u64>)>, Failure> {
    let Order { context, app, expect, .. } = order;
    let asks = expect.is_none() && std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    let mut rows: Vec<TaskRow> = Vec::new();
    let most = u64::try_from(NAMED).ok();
    let looked = looking::tasks(context, app, &Which::Held, most, |mut page| {
        rows.append(&mut page);
        true
    })
    .await;
    let end = match looked {
        Ok(end) => end,
        Err(failure) if asks => return Err(failure),
        // A script with an explicit release continues even if the names could not be determined.
        Err(_) => return Ok(None),
    };
    let total = end.total.unwrap_or(end.shown);
    if total == 0 {
        return Ok(None);
    }
    task_rows::table_of(rows.iter());
    if end.more {
        print::line(format!(
            "and {} more; `bridgehead tasks list {app} --held --limit {total}` shows all",
            total - end.shown
        ));
    }
    if !asks {
        return Ok(None);
    }
    let people = if total == 1 { "this task".to_owned() } else { format!("these {total} tasks") };
    if !confirm::by_typing(
        &format!("Release {people} of {app}? The accounts lose access. Type {total} to continue: "),
        &total.to_string(),
    ) {
        return Err(Failure::new(Exit::Failed, "not confirmed; nothing was released"));
    }
    Ok(Some(if end.more {
        (Selection::All, Some(total))
    } else {
        (Selection::These(rows.into_iter().map(|row| TaskId::new(row.task)).collect()), None)
    }))
}

pub(crate) async fn retry(global: &Global, connectors: &Connectors, selected: Selected) -> Outcome {
    let Order { context, app, tasks, expect } = prepare(global, connectors, selected)?;
    let (answer, by): (Retries, _) = if let Some(daemon) = daemon::connect(&context).await? {
        let request = Request::Retry { app: app.clone(), tasks, expect };
        (daemon.follow(&request, std::future::pending(), |_| {}).await?, "daemon")
    } else {
        let state = daemon::state(&context, &app).await?;
        let audit = audit::open(&context)?;
        let retries = retry_in(&context, &app, &*state, &tasks, expect).await;
        if let Ok(retries) = &retries {
            let evidence = audited::retried(retries, expect);
            audit.record_command(audited::command(&control::own(), &app, "retry", None, evidence, None));
        }
        state.shut(true).await;
        let retries = retries?;
        (retries, "state")
    };
    if global.json {
        print::json(&Shown { app: app.clone(), by, answer: &answer });
    } else if answer.unexpected.is_some() {
        // Reported below.
    } else if answer.retried.is_empty() && answer.not_rejected.is_empty() && answer.woken.is_empty() {
        print::line(format!("No rejected reports in {app}."));
    } else {
        show(&answer);
    }
    as_expected(answer.unexpected, expect, |found, expected| {
        format!(
            "{} rejected, not {expected}: nothing was reported. Check with `bridgehead tasks list {app} \
             --rejected`",
            counted(found, &format!("report of {app} is"), &format!("reports of {app} are"))
        )
    })?;
    none_of(&answer.not_rejected, |tasks| {
        let waits = if by == "daemon" { ", and no waiting task" } else { "" };
        format!(
            "no rejected report{waits} in {app} for: {tasks}. See `bridgehead tasks list {app} --rejected` and `bridgehead tasks show {app} TASK`"
        )
    })?;
    let is = |wanted| answer.retried.iter().any(|retried| retried.answer == wanted);
    if is(Answer::Rejected) {
        Err(Failure::silent(Exit::Failed))
    } else if is(Answer::Postponed) {
        Err(Failure::silent(Exit::Temporary))
    } else {
        Ok(())
    }
}

async fn retry_in(
    context: &Context,
    app: &str,
    state: &dyn TaskJournal,
    tasks: &Selection,
    expect: Option<u64>,
) -> Result<Retries, Failure> {
    let bridge = context.bridge()?;
    let id = context.config.apps[app].app_id;
    let (id, key) = (AppId::from(id), AppKey::from(id));
    let desk = ReportRetrier::without_daemon(&bridge, state, &SystemClock, id, key);
    Ok(desk.retry(tasks, expect).await?)
}

fn show(answer: &Retries) {
    if !answer.woken.is_empty() {
        print::line(format!("{} tried now: {}", count(answer.woken.len()), named(&answer.woken)));
    }
    for retried in &answer.retried {
        let said = match retried.answer {
            Answer::Accepted => "reported and accepted",
            Answer::Conflict => "was already resolved in Iden",
            Answer::Missing => "is no longer known to Iden",
            Answer::Rejected => "rejected again; kept for another retry",
            Answer::Postponed => "could not be reported now; kept for another retry",
        };
        let detail =
            retried.detail.as_ref().map_or_else(String::new, |detail| format!(": {}", visible(detail)));
        print::line(format!("{}: {said}{detail}", retried.task));
    }
}

pub(crate) async fn resolve(global: &Global, connectors: &Connectors, asked: Resolve) -> Outcome {
    let context = Context::load(global, connectors)?;
    logging::start_quiet(&context.config.log, &context.redactor);
    let Resolve { app, task, completed, reason, yes, .. } = asked;
    context.names(std::slice::from_ref(&app))?;
    let task = task_id(&task);
    let resolution = Resolution { completed, reason };
    let word = if completed { "completed" } else { "failed" };
    if !yes {
        agree_to_resolve(&context, &app, &task, word).await?;
    }
    let (answer, by): (Resolved, _) = if let Some(daemon) = daemon::connect(&context).await? {
        let request = Request::Resolve { app: app.clone(), task, resolution };
        (daemon.ask(&request).await?, "daemon")
    } else {
        let key = AppKey::from(context.config.apps[&app].app_id);
        let state = daemon::state(&context, &app).await?;
        let audit = audit::open(&context)?;
        let now = SystemClock.now();
        let resolved =
            actions::resolve(&*state, &app, &key, &task, &resolution, now, &context.redactor).await;
        let evidence = audited::resolution(&resolution, resolved.as_ref().ok());
        let refused = resolved.as_ref().err();
        audit.record_command(audited::command(
            &control::own(),
            &app,
            "resolve",
            Some(&task),
            evidence,
            refused,
        ));
        state.shut(true).await;
        (resolved.map_err(|error| Failure::new(Exit::Failed, error.to_string()))?, "state")
    };
    if global.json {
        print::json(&Shown { app, by, answer });
    } else {
        let when = if by == "daemon" {
            "it is reported to Iden now"
        } else {
            "it is reported to Iden when the daemon runs"
        };
        print::line(format!(
            "Resolved {} of {app} as {word}; {when}. It is not executed again.",
            answer.task
        ));
    }
    Ok(())
}

/// Shows which account is affected, and asks for confirmation.
async fn agree_to_resolve(context: &Context, app: &str, task: &TaskId, word: &str) -> Outcome {
    if !confirm::is_possible() {
        return Err(Failure::new(
            Exit::Usage,
            "resolving a task needs a confirmation, and there is no terminal to ask on: pass --yes",
        ));
    }
    let (story, _) = looking::story(context, app, task).await?;
    let row = story.map(|story| story.row).unwrap_or_default();
    let who = match task_rows::who(&row) {
        who if who == "-" => String::new(),
        who => format!(" ({who})"),
    };
    let question = format!(
        "Report {} for {}{who} in {app} as {word}, and never execute it again? Type {word} to continue: ",
        row.action.as_deref().unwrap_or("the task"),
        row.account.as_deref().unwrap_or("an unknown account"),
    );
    if confirm::by_typing(&print::visible(&question), word) {
        return Ok(());
    }
    Err(Failure::new(Exit::Failed, "not confirmed; nothing was resolved"))
}

/// A change of an app's pause.
pub(crate) enum Switch {
    /// Pause it, optionally with a reason.
    Pause(Option<String>),
    /// Resume it.
    Resume,
}

/// Pauses or resumes an app.
pub(crate) async fn pause(global: &Global, connectors: &Connectors, app: &str, switch: Switch) -> Outcome {
    let context = Context::load(global, connectors)?;
    logging::start_quiet(&context.config.log, &context.redactor);
    context.names(&[app.to_owned()])?;
    let (answer, by): (PauseChange, _) = if let Some(daemon) = daemon::connect(&context).await? {
        let app = app.to_owned();
        let request = match switch {
            Switch::Pause(reason) => Request::Pause { app, reason },
            Switch::Resume => Request::Resume { app },
        };
        (daemon.ask(&request).await?, "daemon")
    } else {
        (pause_in_state(&context, app, switch).await?, "state")
    };
    if global.json {
        print::json(&Shown { app: app.to_owned(), by, answer });
        return Ok(());
    }
    print::line(match (&answer.paused, answer.changed) {
        (Some(pause), true) => format!(
            "{app} has been paused since {}: no task and no sync starts. `bridgehead apps resume {app}` resumes it.",
            table::time(pause.since)
        ),
        (Some(pause), false) => {
            format!("{app} was paused already, since {} by {}.", table::time(pause.since), pause.by)
        }
        (None, true) => format!("{app} is resumed."),
        (None, false) => format!("{app} was not paused."),
    });
    Ok(())
}

async fn pause_in_state(context: &Context, app: &str, switch: Switch) -> Result<PauseChange, Failure> {
    let key = AppKey::from(context.config.apps[app].app_id);
    let actor = control::own();
    let reason = match &switch {
        Switch::Pause(reason) => audited::reason(reason.as_deref(), &context.redactor)
            .map_err(|error| Failure::new(Exit::Usage, error.to_string()))?,
        Switch::Resume => None,
    };
    let state = daemon::state(context, app).await?;
    let audit = audit::open(context)?;
    let done = async {
        let before = state.paused(&key).await?;
        if matches!(switch, Switch::Resume) {
            state.resume(&key).await?;
            return Ok(PauseChange { paused: None, changed: before.is_some() });
        }
        let now = Pause { since: SystemClock.now(), by: actor.as_str().to_owned(), reason: reason.clone() };
        let now = match before.clone() {
            Some(before) if now.reason.is_none() => before,
            Some(before) => Pause { since: before.since, ..now },
            None => now,
        };
        state.pause(&key, &now).await?;
        let changed = before.as_ref() != Some(&now);
        Ok::<_, bridgehead_store::Error>(PauseChange { paused: Some(now), changed })
    };
    let done = done.await;
    if let Ok(done) = &done {
        let action = if done.paused.is_some() { "pause" } else { "resume" };
        let evidence = serde_json::json!({ "reason": reason });
        audit.record_command(audited::command(&actor, app, action, None, evidence, None));
    }
    // Only the process that holds the lock on the state may write to the audit log.
    state.shut(true).await;
    Ok(done?)
}

/// Cancels the running sync of an app in the daemon.
pub(crate) async fn cancel_sync(global: &Global, connectors: &Connectors, app: &str) -> Outcome {
    let context = Context::load(global, connectors)?;
    logging::start_quiet(&context.config.log, &context.redactor);
    context.names(&[app.to_owned()])?;
    let Some(daemon) = daemon::connect(&context).await? else {
        return Err(Failure::new(
            Exit::Failed,
            "no daemon is running, so there is no sync to cancel; stop a `bridgehead sync` in a shell with Ctrl-C there",
        ));
    };
    let request = Request::CancelSync { app: app.to_owned() };
    let answer: Cancelled = daemon.follow(&request, std::future::pending(), |_| {}).await?;
    if global.json {
        print::json(&Shown { app: app.to_owned(), by: "daemon", answer: &answer });
    }
    let (exit, message) = match (answer.was_under_way, answer.ended.as_deref()) {
        (false, _) => (
            Some(Exit::Failed),
            format!(
                "No sync of {app} is running, so none was cancelled. `bridgehead status` shows when the last one ended."
            ),
        ),
        (true, Some("completed")) => (
            Some(Exit::Failed),
            format!(
                "It was too late to cancel the sync of {app}: it has completed. See `bridgehead status`."
            ),
        ),
        (true, Some(ended)) => {
            (None, format!("The sync of {app} is cancelled ({ended}); no account was removed."))
        }
        (true, None) => (
            Some(Exit::Temporary),
            format!("The sync of {app} is being cancelled; `bridgehead status` shows when it has ended."),
        ),
    };
    match exit {
        Some(exit) => Err(Failure::new(exit, message)),
        None if global.json => Ok(()),
        None => {
            print::line(message);
            Ok(())
        }
    }
}

/// Fails if the number differs from the operator's expectation.
fn as_expected(
    unexpected: Option<u64>,
    expect: Option<u64>,
    say: impl FnOnce(u64, u64) -> String,
) -> Outcome {
    match unexpected {
        Some(found) => Err(Failure::new(Exit::Failed, say(found, expect.unwrap_or_default()))),
        None => Ok(()),
    }
}

/// Fails if the command does not apply to some of the given tasks.
fn none_of(tasks: &[TaskId], say: impl FnOnce(String) -> String) -> Outcome {
    if tasks.is_empty() { Ok(()) } else { Err(Failure::new(Exit::Failed, say(named(tasks)))) }
}

fn count(tasks: usize) -> String {
    counted(tasks, "task", "tasks")
}

fn named(tasks: &[TaskId]) -> String {
    let names: Vec<&str> = tasks.iter().take(NAMED).map(TaskId::as_str).collect();
    let more = tasks.len().saturating_sub(NAMED);
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    format!("{}{more}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_list_is_truncated_with_a_count() {
        let tasks: Vec<TaskId> = (0..22).map(|n| TaskId::new(format!("t{n}"))).collect();
        assert!(named(&tasks).ends_with("t18, t19 and 2 more"));
        assert_eq!(named(&tasks[..2]), "t0, t1");
    }
}
