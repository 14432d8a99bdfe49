//! Reads tasks: through the running daemon with its credentials, or with this command's if none is running.

use std::collections::HashMap;

use bridgehead_sdk::TaskId;
use jiff::Timestamp;

use super::context::Context;
use super::daemon;
use super::failure::{Exit, Failure};
use crate::control::{Event, Request};
use bridgehead_bridge::{Api, AppId, Client};
use bridgehead_runtime::inspection::{self, Listing, ListingEnd, Source, TaskRow, TaskStory, Which};
use bridgehead_runtime::operator_commands;
use bridgehead_store::{AppKey, StateStore, TaskJournal};

/// Lists tasks of an app. `take` receives rows as they arrive, and returns whether to continue.
pub(super) async fn tasks(
    context: &Context,
    app: &str,
    which: &Which,
    limit: Option<u64>,
    mut take: impl FnMut(Vec<TaskRow>) -> bool,
) -> Result<ListingEnd, Failure> {
    if let Some(daemon) = daemon::connect(context).await? {
        let request = Request::Tasks { app: app.to_owned(), which: which.clone(), limit };
        let heard = |event| match event {
            Event::Tasks { rows } => take(rows),
            _ => true,
        };
        return Ok(daemon.look(&request, heard).await?.unwrap_or_default());
    }
    let state = match which {
        // A look at Iden must not depend on the state.
        Which::Status(_) => match context.place() {
            Ok(place) => place.read_only().await.ok().flatten(),
            Err(_) => None,
        },
        Which::Held | Which::Rejected => {
            let Some(state) = daemon::readable_state(context).await? else {
                return Err(daemon::without_journal(&context.place()?));
            };
            Some(state)
        }
    };
    let listed = by_ourselves(context, app, which, limit, state.as_deref(), take).await;
    if let Some(state) = state {
        state.shut(true).await;
    }
    listed
}

async fn by_ourselves(
    context: &Context,
    app: &str,
    which: &Which,
    limit: Option<u64>,
    state: Option<&dyn StateStore>,
    mut take: impl FnMut(Vec<TaskRow>) -> bool,
) -> Result<ListingEnd, Failure> {
    let key = AppKey::from(context.config.apps[app].app_id);
    let held = match (which, state) {
        (Which::Held, Some(state)) => operator_commands::held(state, &key).await?,
        // The state may be from an earlier version without held tasks.
        (Which::Status(_), Some(state)) => operator_commands::held(state, &key).await.unwrap_or_default(),
        _ => Vec::new(),
    };
    let bridge = match (context.bridge(), which) {
        (Ok(bridge), _) => Ok(bridge),
        (Err(failure), Which::Status(_)) => return Err(failure),
        (Err(failure), _) => Err(failure.message().to_owned()),
    };
    let held = held.into_iter().map(|held| (held.task, held.held_at)).collect();
    let source = source(context, app, &bridge, state, held);
    let mut listing = Listing::begin(source, which.clone(), limit).await?;
    while let Some(rows) = listing.next().await? {
        if !take(rows) {
            break;
        }
    }
    Ok(listing.end())
}

fn source<'a>(
    context: &'a Context,
    app: &'a str,
    bridge: &'a Result<Client, String>,
    state: Option<&'a dyn StateStore>,
    held: HashMap<TaskId, Timestamp>,
) -> Source<'a> {
    let id = context.config.apps[app].app_id;
    Source {
        name: app,
        app: AppId::from(id),
        key: AppKey::from(id),
        bridge: bridge.as_ref().map(|bridge| bridge as &dyn Api).map_err(Clone::clone),
        journal: state.map(|state| state as &dyn TaskJournal),
        held,
        redactor: &context.redactor,
    }
}

/// The history of one task, and whether it comes from the daemon; `None` if neither Iden nor the journal knows the task.
pub(super) async fn story(
    context: &Context,
    app: &str,
    task: &TaskId,
) -> Result<(Option<TaskStory>, &'static str), Failure> {
    if let Some(daemon) = daemon::connect(context).await? {
        let request = Request::Show { app: app.to_owned(), task: task.clone() };
        let story: Option<Option<TaskStory>> = daemon.look(&request, |_| true).await?;
        return Ok((story.flatten(), "daemon"));
    }
    let state = daemon::readable_state(context).await?;
    let bridge = context.bridge().map_err(|failure| failure.message().to_owned());
    let source = source(context, app, &bridge, state.as_deref(), HashMap::new());
    let told = inspection::story(&source, task, None).await;
    drop(source);
    if let Some(state) = state {
        state.shut(true).await;
    }
    Ok((told?, "state"))
}

/// Makes a request to the daemon that has a single response; `None` if none is running.
pub(super) async fn ask<T: serde::de::DeserializeOwned>(
    context: &Context,
    request: &Request,
) -> Result<Option<T>, Failure> {
    let Some(daemon) = daemon::connect(context).await? else {
        return Ok(None);
    };
    let answer = daemon.look(request, |_| true).await?;
    answer.map(Some).ok_or_else(|| Failure::new(Exit::Temporary, "the daemon did not respond"))
}
