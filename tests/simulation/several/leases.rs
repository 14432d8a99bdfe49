//! The leases of one process, with an event before and after each call.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bridgehead::journal::lease::{Acquired, Leases, Mailbox, Presence, View};
use bridgehead::journal::shared::{Database, Node};
use bridgehead::journal::{AppKey, Error};
use tokio::time::Instant;

use crate::life::Life;

/// The leases as one process uses them.
pub(super) struct Keeper {
    pub(super) life: Arc<Life>,
    pub(super) node: Node,
}

impl Keeper {
    async fn call<T>(&self, name: &str, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let number = self.life.before(name).await;
        let answer = work.await;
        self.life.after(number).await;
        answer
    }
}

impl std::fmt::Debug for Keeper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keeper")
    }
}

#[async_trait]
impl Leases for Keeper {
    fn lease(&self) -> Duration {
        self.node.lease()
    }

    fn node_name(&self) -> &str {
        self.node.node_name()
    }

    async fn look(&self, presence: &Presence) -> Result<View, Error> {
        self.call("look", self.node.look(presence)).await
    }

    async fn acquire(&self, app: &AppKey) -> Result<Acquired, Error> {
        self.call(&format!("acquire {app}"), self.node.acquire(app)).await
    }

    async fn release(&self, app: &AppKey, is_over: bool) -> Result<(), Error> {
        let what = format!("release {app} {is_over}");
        self.call(&what, Leases::release(&self.node, app, is_over)).await
    }

    fn holds(&self, app: &AppKey) -> bool {
        self.node.holds(app)
    }

    fn settled_at(&self, app: &AppKey) -> Option<Instant> {
        self.node.settled_at(app)
    }

    fn may_start(&self, app: &AppKey) -> bool {
        self.node.may_start(app)
    }

    async fn allow_calls(&self, longest: Duration) -> Result<(), Error> {
        self.call("allow_calls", self.node.allow_calls(longest)).await
    }

    fn mailbox(&self) -> &dyn Mailbox {
        self.node.mailbox()
    }
}

/// An app as one process owns it.
#[derive(Clone)]
pub(crate) struct Claim {
    pub(super) node: Node,
    pub(super) database: Database,
    pub(super) process: String,
    pub(super) app: AppKey,
}

impl Claim {
    /// Whether a call may be started, as far as the process knows.
    pub(crate) fn may_start(&self) -> bool {
        self.node.may_start(&self.app)
    }

    /// Whether the process has a valid lease.
    pub(crate) fn is_owner(&self) -> bool {
        self.database.view().owner(&self.app).is_some_and(|owner| owner.process == self.process)
    }
}
