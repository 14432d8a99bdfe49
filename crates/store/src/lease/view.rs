//! A node's view of the other nodes, and how it takes over apps. The database decides both, by its own clock.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use super::super::{AppKey, Error};
use super::{Mailbox, SharedStatus};

/// A node's announcement about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Presence {
    /// The apps that it could run.
    pub apps: Vec<AppKey>,
    /// The node gives up its apps, and takes no others.
    pub is_leaving: bool,
}

/// A node as the database knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeSeen {
    /// Its name, for display.
    pub name: String,
    /// A random id for each start, which distinguishes two processes of the same node.
    pub process: String,
    /// The version of bridgehead.
    pub version: String,
    /// The time since its process joined.
    pub up_for: Duration,
    /// The time since its last announcement.
    pub silent_for: Duration,
    /// Its last announcement.
    pub presence: Presence,
}

/// The owner of an app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnerSeen {
    /// The app's id.
    pub app: String,
    /// The name of the node.
    pub node: String,
    /// The process of the node.
    pub process: String,
    /// The epoch.
    pub epoch: i64,
    /// The time since it took over the app.
    pub owned_for: Duration,
    /// The remaining time of the lease; zero if it has expired or was released.
    pub lasts_for: Duration,
}

/// All recently seen nodes, and all owners.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// The process that this view belongs to.
    pub me: String,
    /// The nodes, by name.
    pub nodes: Vec<NodeSeen>,
    /// The owners, by app.
    pub owners: Vec<OwnerSeen>,
}

/// The result of acquiring an app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acquired {
    /// The epoch: one more than the previous owner's.
    pub epoch: i64,
    /// A call of a previous owner may still be running for this long. Until then, its unfinished tasks are neither looked up nor executed.
    pub settles_in: Duration,
}

/// The leases of one node.
#[async_trait]
pub trait Leases: fmt::Debug + Send + Sync {
    /// How long a lease lasts.
    fn lease(&self) -> Duration;

    /// The name of this node.
    fn node_name(&self) -> &str;

    /// Announces that this node is alive, and returns its view of the others. May be repeated.
    async fn look(&self, presence: &Presence) -> Result<View, Error>;

    /// Takes over an app unless another node has a valid lease on it, which is [`Error::Owned`]. Unfinished work of a previous owner is
    /// dropped, as after a crash. After that, the lease is renewed.
    async fn acquire(&self, app: &AppKey) -> Result<Acquired, Error>;

    /// Releases an app. `is_over` means that everything started for it has ended; otherwise the next owner waits until it must have ended.
    async fn release(&self, app: &AppKey, is_over: bool) -> Result<(), Error>;

    /// Whether this node owns the app, as far as it knows. This stays true if the lease could not be renewed in time, until another node is
    /// known to have taken over the app.
    fn holds(&self, app: &AppKey) -> bool;

    /// When calls of earlier owners of the app have certainly ended, on this machine's monotonic clock. `None` if this node does not own it.
    fn settled_at(&self, app: &AppKey) -> Option<Instant>;

    /// Whether a call for the app may be started now, according to this machine's monotonic clock.
    fn may_start(&self, app: &AppKey) -> bool;

    /// Allows calls of this node to last up to `longest`. The database has recorded that before this returns.
    async fn allow_calls(&self, longest: Duration) -> Result<(), Error>;

    /// Passes requests of operators between the nodes.
    fn mailbox(&self) -> &dyn Mailbox;

    /// Passes the status of apps between the nodes, if the database can.
    fn shared_status(&self) -> Option<&dyn SharedStatus> {
        None
    }
}

impl View {
    /// The owner of an app, if its lease is still valid.
    pub fn owner(&self, app: &AppKey) -> Option<&OwnerSeen> {
        self.owners.iter().find(|owner| owner.app == app.as_str() && !owner.lasts_for.is_zero())
    }
}
