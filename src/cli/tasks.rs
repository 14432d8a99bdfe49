//! `bridgehead tasks list`, and forwarding to the other commands about tasks.

use super::args::{Global, ListTasks, Tasks};
use super::context::Context;
use super::failure::{Exit, Failure, Outcome};
use super::print::JsonList;
use super::task_choice::Chosen;
use super::task_rows::{self, Shown};
use super::{logging, looking, orders, print, table, task_story};
use crate::control::Request;
use bridgehead_bridge::TaskStatus;
use bridgehead_config::Connectors;
use bridgehead_runtime::StatusReport;
use bridgehead_runtime::inspection::{ListingEnd, TaskRow, Which};

/// The default number of tasks per app that are shown to people.
const SHOWN: u64 = 50;

pub(crate) async fn run(global: &Global, connectors: &Connectors, command: Tasks) -> Outcome {
    match command {
        Tasks::List(selected) => list(global, connectors, selected).await,
        Tasks::Show { app, task } => task_story::show(global, connectors, app.as_deref(), &task).await,
        Tasks::Release(selected) => orders::release(global, connectors, selected).await,
        Tasks::Retry(selected) => orders::retry(global, connectors, selected).await,
        Tasks::Resolve(asked) => orders::resolve(global, connectors, asked).await,
    }
}

async fn list(global: &Global, connectors: &Connectors, selected: ListTasks) -> Outcome {
    let context = Context::load(global, connectors)?;
    logging::start_quiet(&context.config.log, &context.redactor);
    let mut names = context.names(&selected.app.iter().cloned().collect::<Vec<_>>())?;
    // An app that the daemon does not run yet must not hide the others.
    let unknown =
        if selected.app.is_none() { unknown_to_daemon(&context, &names).await? } else { Vec::new() };
    names.retain(|name| !unknown.contains(name));
    if !names.is_empty() {
        list_of(global, &context, &names, selected).await?;
    }
    if unknown.is_empty() {
        return Ok(());
    }
    let message = format!(
        "The running daemon does not know {}: the configuration has changed since it was read. Run `bridgehead reload`.",
        unknown.join(", ")
    );
    Err(Failure::new(Exit::Failed, message))
}

/// Those of these apps that a running daemon does not have.
async fn unknown_to_daemon(context: &Context, names: &[String]) -> Result<Vec<String>, Failure> {
    let status: Option<StatusReport> = looking::ask(context, &Request::Status).await?;
    let Some(status) = status else { return Ok(Vec::new()) };
    Ok(names.iter().filter(|name| !status.apps.contains_key(*name)).cloned().collect())
}

async fn list_of(global: &Global, context: &Context, names: &[String], selected: ListTasks) -> Outcome {
    let which = match (selected.rejected, selected.held) {
        (true, _) => Which::Rejected,
        (_, true) => Which::Held,
        _ => Which::Status(TaskStatus::from_name(&selected.status)),
    };
    let chosen = Chosen::of(&selected);
    if global.json {
        let mut list = JsonList::default();
        let found = each(context, names, &which, &chosen, selected.limit, |row| list.add(row)).await?;
        list.end();
        return if found { Ok(()) } else { chosen.explain_nothing() };
    }
    if selected.csv {
        table::csv_row(&task_rows::COLUMNS);
        let take = |row: &TaskRow| table::csv_row(&task_rows::cells(row));
        let found = each(context, names, &which, &chosen, selected.limit, take).await?;
        return if found { Ok(()) } else { chosen.explain_nothing() };
    }
    let limit = selected.limit.unwrap_or(SHOWN);
    let mut shown = Vec::new();
    for name in names {
        let mut rows = Vec::new();
        let end = rows_of(context, name, &which, &chosen, Some(limit), |mut page| {
            rows.append(&mut page);
            true
        })
        .await?;
        shown.push(Shown { app: name.clone(), rows, end });
    }
    if shown.iter().all(|of| of.rows.is_empty() && !of.end.more) {
        chosen.explain_nothing()?;
        let such = if chosen.is_all() { "" } else { " of this selection" };
        print::line(match &which {
            Which::Rejected => format!("No rejected reports{such}."),
            Which::Held => format!("No held tasks{such}."),
            Which::Status(status) => format!("No {status} tasks{such}."),
        });
    } else {
        task_rows::show(&which, &shown);
    }
    for of in &shown {
        note(&of.app, of.end.without_names.as_deref());
    }
    Ok(())
}

/// For programs, all tasks are returned as they arrive, unless the operator sets a limit. Returns whether there are any.
async fn each(
    context: &Context,
    names: &[String],
    which: &Which,
    chosen: &Chosen,
    limit: Option<u64>,
    mut take: impl FnMut(&TaskRow),
) -> Result<bool, Failure> {
    let mut found = false;
    for name in names {
        let end = rows_of(context, name, which, chosen, limit, |rows| {
            found |= !rows.is_empty();
            rows.iter().for_each(&mut take);
            print::is_read()
        })
        .await?;
        note(name, end.without_names.as_deref());
    }
    Ok(found)
}

/// The selected tasks of an app, in the requested order.
async fn rows_of(
    context: &Context,
    app: &str,
    which: &Which,
    chosen: &Chosen,
    limit: Option<u64>,
    mut take: impl FnMut(Vec<TaskRow>) -> bool,
) -> Result<ListingEnd, Failure> {
    if chosen.is_all() && chosen.sort.is_none() {
        return looking::tasks(context, app, which, limit, take).await;
    }
    // The order is known only once all tasks are.
    let mut rows = Vec::new();
    let end = looking::tasks(context, app, which, None, |page| {
        rows.extend(page.into_iter().filter(|row| chosen.includes(row)));
        true
    })
    .await?;
    chosen.order(&mut rows);
    let total = rows.len() as u64;
    rows.truncate(limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX)));
    let shown = rows.len() as u64;
    take(rows);
    Ok(ListingEnd { shown, total: Some(total), more: shown < total, ..end })
}

/// Prints what could not be determined while listing the tasks of an app. The list itself is complete.
fn note(app: &str, without_names: Option<&str>) {
    if let Some(why) = without_names {
        print::complain(format!(
            "{app}: cannot ask Iden, so names may be missing, and tasks resolved there may still be listed: \
             {why}"
        ));
    }
}
