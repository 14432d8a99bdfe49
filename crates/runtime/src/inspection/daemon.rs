//! Gives a running daemon's operators access to its apps and tasks.

use bridgehead_sdk::TaskId;
use jiff::{SignedDuration, Timestamp};
use std::sync::Arc;

use tokio::sync::mpsc::Sender;
use tokio::time::Instant;

use super::checks::{CheckedApp, check_app};
use super::finding::Finding;
use super::listing::{Listing, Which};
use super::source::{Error, Source};
use super::story::{Live, TaskStory, story};
use crate::Runtime;
use crate::app::AppContext;
use bridgehead_bridge::Api;

fn source<'a>(app: &'a AppContext, bridge: &'a dyn Api) -> Source<'a> {
    Source {
        name: &app.name,
        app: app.id,
        key: app.key.clone(),
        bridge: Ok(bridge),
        journal: Some(app.store.for_operator()),
        held: app.deprovision_limit.held().into_iter().map(|held| (held.task, held.held_at)).collect(),
        redactor: &app.shared.redactor,
    }
}

/// An app to inspect. A reload does not wait for it, and may replace the app at any time.
#[derive(Debug)]
pub struct InspectedApp(Arc<AppContext>);

impl InspectedApp {
    /// Starts listing the app's tasks.
    pub async fn list_tasks<'a>(
        &'a self,
        bridge: &'a dyn Api,
        which: Which,
        limit: Option<u64>,
    ) -> Result<Listing<'a>, Error> {
        Listing::begin(source(&self.0, bridge), which, limit).await
    }

    /// Returns the history of a task. `None` if the task does not exist.
    pub async fn task_story(&self, bridge: &dyn Api, task: &TaskId) -> Result<Option<TaskStory>, Error> {
        let app = &*self.0;
        let seen = app.status.progress().task_seen(task);
        let live = Live {
            is_under_way: seen.is_some(),
            next_try_at: seen.as_ref().and_then(|seen| seen.next).map(|next| {
                let wait = next.saturating_duration_since(Instant::now());
                let wait = SignedDuration::try_from(wait).unwrap_or(SignedDuration::MAX);
                app.shared.clock.now().saturating_add(wait).unwrap_or(Timestamp::MAX)
            }),
            reason: seen.and_then(|seen| seen.reason),
        };
        story(&source(app, bridge), task, Some(live)).await
    }
}

impl Runtime {
    /// Returns an app to inspect. `None` if the app does not exist.
    pub fn inspected(&self, app: &str) -> Option<InspectedApp> {
        self.app(app).map(InspectedApp)
    }

    /// Checks an app's target and its access in Iden, with the daemon's connector and key. `None` if the app does not exist.
    pub async fn check_app(&self, app: &str, bridge: Option<&dyn Api>, tell: &Sender<Finding>) -> Option<()> {
        let app = self.app(app)?;
        let checked = CheckedApp {
            name: &app.name,
            settings: &app.settings,
            connector: app.target.for_operator(),
            redactor: &app.shared.redactor,
        };
        check_app(&checked, bridge, tell).await;
        Some(())
    }
}
