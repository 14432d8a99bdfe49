//! `bridgehead tasks list`, and the way to the other commands about tasks.

use super::args::{Global, ListTasks, Tasks};
use super::context::Context;
use super::failure::Outcome;
use super::print::JsonList;
use super::task_rows::{self, Shown};
use super::{logging, looking, orders, print};
use bridgehead_bridge::TaskStatus;
use bridgehead_config::Connectors;
use bridgehead_runtime::inspection::Which;

/// So many tasks of an app are shown to people who do not say how many.
const SHOWN: u64 = 50;

pub(crate) async fn run(global: &Global, connectors: &Connectors, command: Tasks) -> Outcome {
    match command {
        Tasks::List(selected) => list(global, connectors, selected).await,
        Tasks::Release(selected) => orders::release(global, connectors, selected).await,
        Tasks::Retry(selected) => orders::retry(global, connectors, selected).await,
    }
}

async fn list(global: &Global, connectors: &Connectors, selected: ListTasks) -> Outcome {
    let ListTasks { app, status, rejected, held, limit } = selected;
    let which = match (rejected, held) {
        (true, _) => Which::Rejected,
        (_, true) => Which::Held,
        _ => Which::Status(TaskStatus::from_name(&status)),
    };
    let context = Context::load(global, connectors)?;
    logging::start_quiet(&context.config.log, &context.redactor);
    let names = context.names(&app.into_iter().collect::<Vec<_>>())?;
    if global.json {
        return stream(&context, &names, &which, limit).await;
    }
    let limit = limit.unwrap_or(SHOWN);
    let mut shown = Vec::new();
    for name in &names {
        let mut rows = Vec::new();
        let end = looking::tasks(&context, name, &which, Some(limit), |mut page| {
            rows.append(&mut page);
            true
        })
        .await?;
        shown.push(Shown { app: name.clone(), rows, end });
    }
    if shown.iter().all(|of| of.rows.is_empty() && !of.end.more) {
        print::line(match &which {
            Which::Rejected => "No rejected reports.".to_owned(),
            Which::Held => "No held tasks.".to_owned(),
            Which::Status(status) => format!("No {status} tasks."),
        });
    } else {
        task_rows::show(&which, &shown);
    }
    for of in &shown {
        note(&of.app, of.end.without_names.as_deref());
    }
    Ok(())
}

/// As JSON everything is shown, unless the operator says how much, and printed as it comes.
async fn stream(context: &Context, names: &[String], which: &Which, limit: Option<u64>) -> Outcome {
    let mut list = JsonList::default();
    for name in names {
        let end = looking::tasks(context, name, which, limit, |rows| {
            for row in &rows {
                list.add(row);
            }
            print::is_read()
        })
        .await?;
        note(name, end.without_names.as_deref());
    }
    list.end();
    Ok(())
}

/// What a look at the tasks of an app could not find out. The list is whole all the same.
fn note(app: &str, without_names: Option<&str>) {
    if let Some(why) = without_names {
        print::complain(format!(
            "{app}: cannot ask Iden, so names may be missing, and tasks resolved there may still be listed: \
             {why}"
        ));
    }
}
