//! How a running daemon looks at its own apps.

use tokio::sync::mpsc::Sender;

use super::checks::{CheckedApp, check_app};
use super::finding::Finding;
use super::listing::{Listing, Which};
use super::source::{Error, Source};
use crate::Runtime;
use bridgehead_bridge::Api;

impl Runtime {
    /// Begins a list of tasks of an app. `None` if there is no such app.
    pub async fn list_tasks<'a>(
        &'a self,
        app: &str,
        bridge: &'a dyn Api,
        which: Which,
        limit: Option<u64>,
    ) -> Option<Result<Listing<'a>, Error>> {
        let app = self.app(app)?;
        let source = Source {
            name: &app.name,
            app: app.id,
            key: app.key.clone(),
            bridge: Ok(bridge),
            journal: Some(app.store.for_operator()),
            held: app.guard.held().into_iter().map(|held| (held.task, held.held_at)).collect(),
            redactor: &app.redactor,
        };
        Some(Listing::begin(source, which, limit).await)
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
