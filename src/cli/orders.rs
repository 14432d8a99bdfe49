//! `bridgehead tasks release | retry`: through the running daemon, or in its journal while none runs.

use std::io::IsTerminal;

use bridgehead_sdk::{TaskId, visible};
use serde::Serialize;

use super::args::{Global, Selected};
use super::context::Context;
use super::failure::{Exit, Failure, Outcome};
use super::{confirm, daemon, logging, looking, print, task_rows};
use crate::control::Request;
use bridgehead_bridge::AppId;
use bridgehead_config::Connectors;
use bridgehead_runtime::SystemClock;
use bridgehead_runtime::inspection::{TaskRow, Which};
use bridgehead_runtime::operator_commands::{self, Answer, Released, ReportRetrier, Retries, Selection};
use bridgehead_store::{AppKey, Sqlite};

/// So many tasks are named in a sentence.
const NAMED: usize = 20;

/// What `--json` prints.
#[derive(Serialize)]
struct Shown<T> {
    app: String,
    /// `daemon`, or `state` while none runs.
    by: &'static str,
    #[serde(flatten)]
    answer: T,
}

/// The operator's request, prepared.
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
    // A UUID is one id however it is spelled.
    let plain = |id: String| uuid::Uuid::parse_str(&id).map_or(id, |id| id.to_string());
    let tasks = tasks.into_iter().map(|id| TaskId::new(plain(id))).collect();
    let tasks = if all { Selection::All } else { Selection::These(tasks) };
    Ok(Order { context, app, tasks, expect })
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
        let state = daemon::state(&context).await?;
        let released = operator_commands::release(&state, &SystemClock, &key, &tasks, expect).await;
        state.close().await;
        (released?, "state")
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
            "{found} tasks of {app} are held, not {expected}: nothing was released. Check with `bridgehead \
             tasks list {app} --held`"
        )
    })?;
    none_of(&answer.not_held, |tasks| {
        format!("not held in {app}, so not released: {tasks}. See `bridgehead tasks list {app} --held`")
    })
}

/// Shows which accounts a release of all tasks affects, and asks for confirmation if there is a terminal. Only what was
/// confirmed is then released: these tasks, or this many.
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
        // A script that was told to release is not kept from it because names could not be looked up.
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
        let state = daemon::state(&context).await?;
        let retries = retry_in(&context, &app, &state, &tasks, expect).await;
        state.close().await;
        (retries?, "state")
    };
    if global.json {
        print::json(&Shown { app: app.clone(), by, answer: &answer });
    } else if answer.unexpected.is_some() {
        // Reported below.
    } else if answer.retried.is_empty() && answer.not_rejected.is_empty() {
        print::line(format!("No rejected reports in {app}."));
    } else {
        show(&answer);
    }
    as_expected(answer.unexpected, expect, |found, expected| {
        format!(
            "{found} reports of {app} are rejected, not {expected}: nothing was reported. Check with \
             `bridgehead tasks list {app} --rejected`"
        )
    })?;
    none_of(&answer.not_rejected, |tasks| {
        format!("no rejected report in {app} for: {tasks}. See `bridgehead tasks list {app} --rejected`")
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
    state: &Sqlite,
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

/// A failure if there are another number than the operator expected.
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

/// A failure if tasks were named to which the order does not apply.
fn none_of(tasks: &[TaskId], say: impl FnOnce(String) -> String) -> Outcome {
    if tasks.is_empty() { Ok(()) } else { Err(Failure::new(Exit::Failed, say(named(tasks)))) }
}

fn count(tasks: usize) -> String {
    if tasks == 1 { "1 task".to_owned() } else { format!("{tasks} tasks") }
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
    fn a_long_list_is_cut_and_counted() {
        let tasks: Vec<TaskId> = (0..22).map(|n| TaskId::new(format!("t{n}"))).collect();
        assert!(named(&tasks).ends_with("t18, t19 and 2 more"));
        assert_eq!(named(&tasks[..2]), "t0, t1");
    }
}
