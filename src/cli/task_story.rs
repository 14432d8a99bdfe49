//! `bridgehead tasks show`: the history of one task, in order.

use super::args::Global;
use super::context::Context;
use super::failure::{Exit, Failure, Outcome};
use super::{logging, looking, orders, print, table, task_rows};
use bridgehead_config::Connectors;
use bridgehead_runtime::first_names;
use bridgehead_runtime::inspection::{Standing, TaskStory};

pub(super) async fn show(global: &Global, connectors: &Connectors, app: Option<&str>, task: &str) -> Outcome {
    let context = Context::load(global, connectors)?;
    logging::start_quiet(&context.config.log, &context.redactor);
    let apps: Vec<String> = match app {
        Some(app) => vec![app.to_owned()],
        None => context.config.apps.keys().cloned().collect(),
    };
    context.names(&apps)?;
    let task = orders::task_id(task);
    let mut found = None;
    for app in &apps {
        let (story, by) = looking::story(&context, app, &task).await?;
        if let Some(story) = story {
            found = Some((story, by));
            break;
        }
    }
    let Some((story, by)) = found else {
        let has_none = match app {
            Some(app) => format!("{app} has no task {task}"),
            None => format!("no app ({}) has a task {task}", first_names(apps.iter())),
        };
        return Err(Failure::new(Exit::Failed, format!("{has_none}: neither Iden nor the journal knows it")));
    };
    if global.json {
        let mut json = serde_json::to_value(&story).unwrap_or_default();
        json["by"] = by.into();
        print::json(&json);
        return Ok(());
    }
    for line in told(&story) {
        print::line(print::visible(&line));
    }
    if let Some(why) = &story.without_names {
        print::complain(format!("Iden could not be asked, so names may be missing: {why}"));
    }
    Ok(())
}

/// The history, one entry per line.
fn told(story: &TaskStory) -> Vec<String> {
    let row = &story.row;
    let mut lines = vec![format!(
        "{} {} for {} in {}",
        row.task,
        row.action.as_deref().unwrap_or("(of unknown action)"),
        row.account.as_deref().unwrap_or("an unknown account"),
        row.app
    )];
    let who = task_rows::who(row);
    if who != "-" {
        lines.push(format!("who: {who}"));
    }
    let status = row.status.as_deref().unwrap_or("not known");
    lines.push(format!("in Iden: {status}"));
    lines.push(String::new());
    let events = story.events(table::second);
    lines.extend(events.iter().map(|event| format!("{}  {}", table::second(event.at), event.line())));
    lines.push(String::new());
    if story.attempts > 0 && story.steps.is_empty() {
        lines.push(format!("attempts: {}; the steps are no longer kept", story.attempts));
    }
    if let Some(outcome) = &story.outcome {
        let code = row.code.as_ref().map_or_else(String::new, |code| format!(" with {code}"));
        let reason = row.reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"));
        lines.push(format!("outcome: {outcome}{code}{reason}"));
    } else if story.standing == Standing::Begun {
        lines.push("outcome: not known yet".to_owned());
    }
    lines.push(format!("next: {}", story.next));
    lines
}

#[cfg(test)]
mod tests {
    use bridgehead_runtime::inspection::TaskRow;
    use bridgehead_sdk::Code;
    use bridgehead_store::{AttemptStep, Phase};
    use jiff::Timestamp;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    #[test]
    fn task_history_is_chronological() {
        let of = |phase, attempt, second: i64| AttemptStep {
            attempt,
            phase,
            began_at: at(second),
            ended_at: Some(at(second + 1)),
            code: None,
            message: None,
            next_try_at: None,
        };
        let failed = AttemptStep {
            code: Some(Code::RateLimited),
            message: Some("HR asks to slow down".to_owned()),
            ..of(Phase::Execute, 1, 12)
        };
        let waits = AttemptStep {
            next_try_at: Some(at(30)),
            ended_at: None,
            code: failed.code,
            message: failed.message.clone(),
            ..of(Phase::Wait, 1, 13)
        };
        let row = TaskRow {
            app: "hr".into(),
            task: "t1".into(),
            action: Some("suspend_account".into()),
            account: Some("u1".into()),
            display_name: Some("Ann Example".into()),
            status: Some("completed".into()),
            created_at: Some(at(0)),
            ..TaskRow::default()
        };
        let story = TaskStory {
            row,
            standing: Standing::Reported,
            attempts: 2,
            steps: vec![
                of(Phase::Fetch, 0, 10),
                of(Phase::Admit, 0, 10),
                of(Phase::LookUp, 1, 11),
                failed,
                waits,
                of(Phase::Execute, 2, 30),
                of(Phase::Verify, 2, 31),
            ],
            outcome: Some("completed".into()),
            report: Some("accepted".into()),
            reported_at: Some(at(33)),
            next: "Nothing: it is resolved.".into(),
            ..TaskStory::default()
        };
        insta::assert_snapshot!(told(&story).join("\n"), @r"
        t1 suspend_account for u1 in hr
        who: Ann Example
        in Iden: completed

        2027-01-15T08:00:00Z  Iden created the task
        2027-01-15T08:00:10Z  fetched from Iden
        2027-01-15T08:00:10Z  accepted for execution
        2027-01-15T08:00:11Z  attempt 1: looked up the account (1000 ms), ok
        2027-01-15T08:00:12Z  attempt 1: called the connector (1000 ms), RATE_LIMITED: HR asks to slow down
        2027-01-15T08:00:13Z  waiting until 2027-01-15T08:00:30Z, RATE_LIMITED: HR asks to slow down
        2027-01-15T08:00:30Z  attempt 2: called the connector (1000 ms), ok
        2027-01-15T08:00:31Z  attempt 2: read the account back (1000 ms), ok
        2027-01-15T08:00:33Z  report accepted by Iden

        outcome: completed
        next: Nothing: it is resolved.
        ");
    }
}
