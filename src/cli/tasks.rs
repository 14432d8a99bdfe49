//! `bridgehead tasks list`.

use bridgehead_sdk::TaskId;
use serde_json::{Value, json};

use super::args::{Global, Tasks};
use super::context::Context;
use super::failure::Outcome;
use super::{logging, print, table};
use crate::bridge::{Api, AppId, Client, Task, TaskQuery, TaskStatus};
use crate::config::Connectors;
use crate::journal::{AppKey, Journal, Kept, Sqlite, State};

pub(crate) async fn run(global: &Global, connectors: &Connectors, command: Tasks) -> Outcome {
    let Tasks::List { app, status, rejected, limit } = command;
    let context = Context::load(global, connectors)?;
    logging::start_quiet(&context.config.log, &context.redactor);
    let names = context.names(&app.into_iter().collect::<Vec<_>>())?;
    let apps = names.iter().map(|name| (name.as_str(), context.config.apps[name].app_id));
    let mut rows = Vec::new();
    if rejected {
        let journal = Sqlite::open(&context.config.state.path).await?;
        for (name, id) in apps {
            rows.extend(put_aside(&journal, name, &AppKey::from(id), limit).await?);
        }
        journal.close().await;
    } else {
        let bridge = context.bridge()?;
        let status = TaskStatus::from_name(&status);
        for (name, id) in apps {
            for task in tasks(&bridge, AppId::from(id), &status, limit).await? {
                rows.push(row(name, &task));
            }
        }
    }
    if global.json {
        print::json(&rows);
        return Ok(());
    }
    if rows.is_empty() {
        print::line(if rejected {
            "No report was put aside.".to_owned()
        } else {
            format!("No {status} tasks.")
        });
        return Ok(());
    }
    let mut shown = table::table(["app", "task", "action", "account", "status", "created"]);
    for row in &rows {
        let text = |field: &str| row[field].as_str().unwrap_or("-").to_owned();
        shown.add_row(["app", "task", "action", "account", "status", "created_at"].map(text));
    }
    print::line(shown.trim_fmt());
    for row in rows.iter().filter(|row| row["detail"].is_string()) {
        print::line(format!(
            "{}: {}",
            row["task"].as_str().unwrap_or_default(),
            row["detail"].as_str().unwrap_or_default()
        ));
    }
    Ok(())
}

async fn tasks(
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
fn row(app: &str, task: &Task) -> Value {
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

async fn put_aside(
    journal: &Sqlite,
    app: &str,
    key: &AppKey,
    limit: usize,
) -> Result<Vec<Value>, crate::journal::Error> {
    let rejected = journal.rejected(key).await?;
    Ok(rejected
        .into_iter()
        .take(limit)
        .map(|entry| {
            let task: &TaskId = &entry.task;
            let detail = match &entry.state {
                State::Ended(crate::journal::Ended::Rejected { detail }) => Some(detail.clone()),
                _ => None,
            };
            let status = match &entry.kept {
                Some(Kept::Failed { code, .. }) => format!("failed {code}"),
                _ => "completed".to_owned(),
            };
            json!({
                "app": app,
                "task": task,
                "action": entry.action,
                "status": status,
                "created_at": entry.created_at.map(|at| at.to_string()),
                "detail": detail,
            })
        })
        .collect())
}
