//! What waits for the operator, for `bridgehead tasks list`: held tasks, and reports that Iden refused.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::context::Context;
use super::failure::Failure;
use super::{daemon, tasks};
use crate::bridge::{AppId, Client, TaskStatus};
use crate::control::{self, Request};
use crate::journal::AppKey;
use crate::runtime::HeldTask;
use crate::runtime::orders::{self, PutAside};

/// What is held, by app.
pub(super) type Held = BTreeMap<String, Vec<HeldTask>>;

/// What the running daemon says; `None` if none answers.
pub(super) async fn by_daemon(context: &Context, names: &[String]) -> Result<Option<Held>, Failure> {
    let mut held = Held::new();
    for name in names {
        let Some(daemon) = daemon::connect(context).await? else {
            return Ok(None);
        };
        held.insert(name.clone(), daemon.ask(&Request::Held { app: name.clone() }).await?);
    }
    Ok(Some(held))
}

/// What the state says while no daemon runs.
pub(super) async fn by_state(context: &Context, names: &[String]) -> Result<Held, Failure> {
    let state = daemon::state(context).await?;
    let mut held = Held::new();
    for name in names {
        let key = AppKey::from(context.config.apps[name].app_id);
        held.insert(name.clone(), orders::held(&state, &key).await?);
    }
    state.close().await;
    Ok(held)
}

/// The reports that Iden refused, by app: as the running daemon says, or else its state.
pub(super) async fn put_aside(
    context: &Context,
    names: &[String],
) -> Result<Vec<(String, Vec<PutAside>)>, Failure> {
    let mut aside = Vec::new();
    if daemon::connect(context).await?.is_some() {
        for name in names {
            let daemon = daemon::connect(context).await?.ok_or(control::Error::Lost)?;
            let found = daemon.ask(&Request::Rejected { app: name.clone() }).await?;
            aside.push((name.clone(), found));
        }
        return Ok(aside);
    }
    let state = daemon::state(context).await?;
    for name in names {
        let key = AppKey::from(context.config.apps[name].app_id);
        aside.push((name.clone(), orders::put_aside(&state, &key).await?));
    }
    state.close().await;
    Ok(aside)
}

/// Adds to the pending tasks since when they are held.
pub(super) fn mark(rows: &mut [Value], held: &Held) {
    for row in rows {
        let app = row["app"].as_str().unwrap_or_default();
        let task = row["task"].as_str().unwrap_or_default();
        let found = held.get(app).and_then(|held| held.iter().find(|held| held.task.as_str() == task));
        row["held_since"] = found.map(|held| held.held_at.to_string()).into();
    }
}

/// The held tasks of an app, with what Iden says of them.
pub(super) async fn rows(
    bridge: &Client,
    name: &str,
    app: AppId,
    held: &[HeldTask],
    limit: usize,
) -> Result<Vec<Value>, crate::bridge::Error> {
    if held.is_empty() {
        return Ok(Vec::new());
    }
    let pending = tasks::tasks(bridge, app, &TaskStatus::Pending, usize::MAX).await?;
    let mut pending: BTreeMap<&str, Value> =
        pending.iter().map(|task| (task.id.as_str(), tasks::row(name, task))).collect();
    let rows = held.iter().map(|held| {
        let unknown = || json!({"app": name, "task": held.task, "status": "pending"});
        let mut row = pending.remove(held.task.as_str()).unwrap_or_else(unknown);
        row["held_since"] = held.held_at.to_string().into();
        row
    });
    let mut rows: Vec<Value> = rows.collect();
    // As Iden lists them; one that it does not list any more comes last.
    rows.sort_by_key(|row| {
        let created = row["created_at"].as_str().and_then(|at| at.parse::<Timestamp>().ok());
        (created.is_none(), created)
    });
    rows.truncate(limit);
    Ok(rows)
}
