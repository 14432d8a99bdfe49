//! `bridgehead tasks release | retry`: through the running daemon, or in its journal while none runs.

use bridgehead_sdk::{TaskId, visible};
use serde::Serialize;

use super::args::{Global, Selected};
use super::context::Context;
use super::failure::{Exit, Failure, Outcome};
use super::{daemon, logging, print};
use crate::bridge::AppId;
use crate::config::Connectors;
use crate::control::Request;
use crate::journal::AppKey;
use crate::runtime::SystemClock;
use crate::runtime::orders::{self, Answer, Desk, Released, Retries, Selection};

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

fn prepare(
    global: &Global,
    connectors: &Connectors,
    selected: Selected,
) -> Result<(Context, String, Selection), Failure> {
    let context = Context::load(global, connectors)?;
    logging::start_quiet(&context.config.log, &context.redactor);
    let Selected { app, tasks, all } = selected;
    context.names(std::slice::from_ref(&app))?;
    let tasks = tasks.into_iter().map(TaskId::new).collect();
    let selection = if all { Selection::All } else { Selection::These(tasks) };
    Ok((context, app, selection))
}

pub(crate) async fn release(global: &Global, connectors: &Connectors, selected: Selected) -> Outcome {
    let (context, app, tasks) = prepare(global, connectors, selected)?;
    let (answer, by): (Released, _) = if let Some(daemon) = daemon::connect(&context).await? {
        (daemon.ask(&Request::Release { app: app.clone(), tasks }).await?, "daemon")
    } else {
        let state = daemon::state(&context).await?;
        let key = AppKey::from(context.config.apps[&app].app_id);
        let released = orders::release(&state, &SystemClock, &key, &tasks).await;
        state.close().await;
        (released?, "state")
    };
    if global.json {
        print::json(&Shown { app: app.clone(), by, answer: &answer });
    } else if answer.released.is_empty() && answer.not_held.is_empty() {
        print::line(format!("Nothing of {app} is held."));
    } else if !answer.released.is_empty() {
        let when = if by == "daemon" { "they go on now" } else { "they go on when the daemon runs" };
        print::line(format!(
            "Released {} of {app}, {when}: {}",
            count(answer.released.len()),
            named(&answer.released)
        ));
    }
    none_of(&answer.not_held, |tasks| {
        format!(
            "not held in {app}, so nothing was done about: {tasks}. See `bridgehead tasks list {app} --held`"
        )
    })
}

pub(crate) async fn retry(global: &Global, connectors: &Connectors, selected: Selected) -> Outcome {
    let (context, app, tasks) = prepare(global, connectors, selected)?;
    let (answer, by): (Retries, _) = if let Some(daemon) = daemon::connect(&context).await? {
        let request = Request::Retry { app: app.clone(), tasks };
        (daemon.follow(&request, std::future::pending(), |_| {}).await?, "daemon")
    } else {
        let bridge = context.bridge()?;
        let state = daemon::state(&context).await?;
        let id = context.config.apps[&app].app_id;
        let (journal, clock) = (&state, &SystemClock);
        let (id, key) = (AppId::from(id), AppKey::from(id));
        let retries =
            Desk { bridge: &bridge, journal, clock, app: id, key, status: None }.retry(&tasks).await;
        state.close().await;
        (retries?, "state")
    };
    if global.json {
        print::json(&Shown { app: app.clone(), by, answer: &answer });
    } else if answer.retried.is_empty() && answer.not_rejected.is_empty() {
        print::line(format!("No report of {app} was put aside."));
    } else {
        for retried in &answer.retried {
            let said = match retried.answer {
                Answer::Accepted => "reported, and accepted",
                Answer::Conflict => "was resolved by somebody else meanwhile",
                Answer::Missing => "is not known to Iden any more",
                Answer::Rejected => "refused again, and stays put aside",
                Answer::Postponed => "could not be reported now, and stays put aside",
            };
            let detail =
                retried.detail.as_ref().map_or_else(String::new, |detail| format!(": {}", visible(detail)));
            print::line(format!("{}: {said}{detail}", retried.task));
        }
    }
    none_of(&answer.not_rejected, |tasks| {
        format!("no report is put aside in {app} for: {tasks}. See `bridgehead tasks list {app} --rejected`")
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
