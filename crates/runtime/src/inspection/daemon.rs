//! How a running daemon looks at its own apps.

use std::sync::Arc;

use tokio::sync::mpsc::Sender;

use super::checks::{CheckedApp, check_app};
use super::finding::Finding;
use super::listing::{Listing, Which};
use super::source::{Error, Source};
use crate::Runtime;
use crate::app::AppContext;
use bridgehead_bridge::Api;

/// An app that is looked at. A reload may exchange it meanwhile, and does not wait for that.
#[derive(Debug)]
pub struct InspectedApp(Arc<AppContext>);

impl InspectedApp {
    /// Begins a list of its tasks.
    pub async fn list_tasks<'a>(
        &'a self,
        bridge: &'a dyn Api,
        which: Which,
        limit: Option<u64>,
    ) -> Result<Listing<'a>, Error> {
        let app = &self.0;
        let source = Source {
            name: &app.name,
            app: app.id,
            key: app.key.clone(),
            bridge: Ok(bridge),
            journal: Some(app.store.for_operator()),
            held: app.guard.held().into_iter().map(|held| (held.task, held.held_at)).collect(),
            redactor: &app.redactor,
        };
        Listing::begin(source, which, limit).await
    }
}

impl Runtime {
    /// An app, to look at. `None` if there is no such app.
    pub fn inspected(&self, app: &str) -> Option<InspectedApp> {
        self.app(app).map(InspectedApp)
    }

    /// Checks the target and the access of an app, with the connector and the key that the daemon uses. `None` if there is no such
    /// app.
    pub async fn check_app(&self, app: &str, bridge: Option<&dyn Api>, tell: &Sender<Finding>) -> Option<()> {
        let app = self.app(app)?;
        let checked = CheckedApp {
            name: &app.name,
            settings: &app.settings,
            connector: app.target.for_operator(),
            redactor: &app.redactor,
        };
        check_app(&checked, bridge, tell).await;
        Some(())
    }
}
