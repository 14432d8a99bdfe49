//! `bridgehead tasks list`, and the way to the other commands about tasks.

use serde_json::{Value, json};

use super::args::{Global, Tasks};
use super::context::Context;
use super::failure::Outcome;
use super::{logging, orders, print, table, waiting};
use crate::bridge::{Api, AppId, Client, Task, TaskQuery, TaskStatus};
use crate::config::Connectors;
use crate::runtime::orders::PutAside;

pub(crate) async fn run(global: &Global, connectors: &Connectors, command: Tasks) -> Outcome {
    match command {
        Tasks::List { app, status, rejected, held, limit } => {
            let wanted = match (rejected, held) {
                (true, _) => Wanted::Rejected,
                (_, true) => Wanted::Held,
                _ => Wanted::Status(TaskStatus::from_name(&status)),
            };
            list(global, connectors, app, wanted, limit).await
        }
        Tasks::Release(selected) => orders::release(global, connectors, selected).await,
        Tasks::Retry(selected) => orders::retry(global, connectors, selected).await,
    }
}

/// Which tasks are listed.
enum Wanted {
    Status(TaskStatus),
    Rejected,
    Held,
}

async fn list(
    global: &Global,
    connectors: &Connectors,
    app: Option<String>,
    wanted: Wanted,
    limit: usize,
) -> Outcome {
    let context = Context::load(global, connectors)?;
    logging::start_quiet(&context.config.log, &context.redactor);
    let names = context.names(&app.into_iter().collect::<Vec<_>>())?;
    let apps = names.iter().map(|name| (name.as_str(), context.config.apps[name].app_id));
    let mut rows = Vec::new();
    match &wanted {
        Wanted::Rejected => {
            for (name, aside) in waiting::put_aside(&context, &names).await? {
                rows.extend(aside.iter().take(limit).map(|aside| put_aside(&name, aside)));
            }
        }
        Wanted::Held => {
            let bridge = context.bridge()?;
            let held = match waiting::by_daemon(&context, &names).await? {
                Some(held) => held,
                None => waiting::by_state(&context, &names).await?,
            };
            for (name, id) in apps {
                rows.extend(waiting::rows(&bridge, name, AppId::from(id), &held[name], limit).await?);
            }
        }
        Wanted::Status(status) => {
            let bridge = context.bridge()?;
            for (name, id) in apps {
                for task in tasks(&bridge, AppId::from(id), status, limit).await? {
                    rows.push(row(name, &task));
                }
            }
            // Without a daemon that answers, nobody is asked: a look at Iden must not depend on it.
            if *status == TaskStatus::Pending
                && let Ok(Some(held)) = waiting::by_daemon(&context, &names).await
            {
                waiting::mark(&mut rows, &held);
            }
        }
    }
    if global.json {
        print::json(&rows);
        return Ok(());
    }
    if rows.is_empty() {
        print::line(match &wanted {
            Wanted::Rejected => "No report was put aside.".to_owned(),
            Wanted::Held => "No task is held.".to_owned(),
            Wanted::Status(status) => format!("No {status} tasks."),
        });
        return Ok(());
    }
    show(&rows);
    Ok(())
}

fn show(rows: &[Value]) {
    let mut shown = table::table(["app", "task", "action", "account", "status", "created"]);
    for row in rows {
        let text = |field: &str| row[field].as_str().unwrap_or("-").to_owned();
        let status = if row["held_since"].is_string() { "held".to_owned() } else { text("status") };
        let [app, task, action, account, created] =
            ["app", "task", "action", "account", "created_at"].map(text);
        shown.add_row([app, task, action, account, status, created]);
    }
    print::line(shown.trim_fmt());
    for row in rows.iter().filter(|row| row["detail"].is_string()) {
        print::line(format!(
            "{}: {}",
            row["task"].as_str().unwrap_or_default(),
            bridgehead_sdk::visible(row["detail"].as_str().unwrap_or_default())
        ));
    }
    let is_held = |row: &&Value| row["held_since"].is_string();
    let held: std::collections::BTreeSet<&str> =
        rows.iter().filter(is_held).filter_map(|row| row["app"].as_str()).collect();
    for app in held {
        print::line(format!(
            "Held in {app}: more deletions and suspensions than apps.{app}.tasks.guard allows. If they are right, let them go with \
             `bridgehead tasks release {app} TASK…` or `--all`; otherwise cancel them in Iden."
        ));
    }
}

pub(super) async fn tasks(
    bridge: &Client,
    app: AppId,
    status: &TaskStatus,
    limit: usize,
) -> Result<Vec<Task>, crate::bridge::Error> {
    let query = TaskQuery { status: status.clone(), limit: 100 };
    let mut page = bridge.tasks(app, &query).await?;
    let mut tasks = Vec::new();
    loop {
        tasks.append(&mut page.tasks);
        match page.next {
            Some(next) if tasks.len() < limit => page = bridge.next_tasks(app, &next).await?,
            _ => break,
        }
    }
    tasks.truncate(limit);
    Ok(tasks)
}

/// Who and what, and nothing of the rest of the payload: it may hold a password.
pub(super) fn row(app: &str, task: &Task) -> Value {
    let payload = &task.payload;
    let name = |place: &Value| {
        ["id", "account_id", "username", "email"].into_iter().find_map(|field| match &place[field] {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        })
    };
    json!({
        "app": app,
        "task": task.id,
        "action": task.action,
        "account": name(&payload["account"]).or_else(|| name(payload)).or_else(|| payload["account"].as_str().map(str::to_owned)),
        "status": task.status,
        "created_at": task.created_at.map(|at| at.to_string()),
        "execute_after": task.execute_after.map(|at| at.to_string()),
    })
}

fn put_aside(app: &str, aside: &PutAside) -> Value {
    json!({
        "app": app,
        "task": aside.task,
        "action": aside.action,
        "status": aside.outcome,
        "created_at": aside.created_at.map(|at| at.to_string()),
        "detail": aside.detail,
    })
}
