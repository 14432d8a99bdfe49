//! What a node sees of the others, and how it takes apps over. The database tells both, by its own clock.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

use super::super::{AppKey, Error};

/// What a node says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Presence {
    /// The apps that it could run.
    pub apps: Vec<AppKey>,
    /// It gives its apps away, and takes none.
    pub is_leaving: bool,
}

/// A node, as the database knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeSeen {
    /// Its name, for people.
    pub name: String,
    /// Drawn by each start: two starts of one node differ in it.
    pub process: String,
    /// The version of bridgehead.
    pub version: String,
    /// For how long it has been there.
    pub up_for: Duration,
    /// For how long nothing has been heard of it.
    pub silent_for: Duration,
    /// What it says of itself.
    pub presence: Presence,
}

/// Who owns an app.
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
    /// Since when.
    pub owned_for: Duration,
    /// How long the lease lasts; nothing if it has ended, or was returned.
    pub lasts_for: Duration,
}

/// All nodes that were there lately, and all owners.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// The process that looks.
    pub me: String,
    /// The nodes, by name.
    pub nodes: Vec<NodeSeen>,
    /// The owners, by app.
    pub owners: Vec<OwnerSeen>,
}

/// What was acquired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acquired {
    /// The epoch: one more than that of the owner before.
    pub epoch: i64,
    /// A call of an earlier owner may still be under way for so long: until then, nothing that it did not finish is looked up or done.
    pub settles_in: Duration,
}

/// The leases of one node.
#[async_trait]
pub trait Leases: fmt::Debug + Send + Sync {
    /// How long a lease lasts.
    fn lease(&self) -> Duration;

    /// The name of this node.
    fn node_name(&self) -> &str;

    /// Says that this node is there, and looks who else is. Repeating it is harmless.
    async fn look(&self, presence: &Presence) -> Result<View, Error>;

    /// Takes an app over, if nobody has a lease on it that lasts: else [`Error::Owned`]. What an earlier owner left unfinished is
    /// dropped, as after a crash. It is renewed from now on.
    async fn acquire(&self, app: &AppKey) -> Result<Acquired, Error>;

    /// Gives an app back. Unless everything that was begun for it `is_over`, the next owner waits until it must have ended.
    async fn release(&self, app: &AppKey, is_over: bool) -> Result<(), Error>;

    /// Whether the app is this node's, as far as it knows. A lease that could not be renewed in time may still be gone on with; that
    /// of another node may not.
    fn holds(&self, app: &AppKey) -> bool;

    /// Whether a call may be started for the app now, by this machine's monotonic clock.
    fn may_start(&self, app: &AppKey) -> bool;

    /// From now on, a call of this node may last so long. It is recorded before this returns.
    async fn allow_calls(&self, longest: Duration) -> Result<(), Error>;
}

impl View {
    /// Who has an app, if the lease lasts.
    pub fn owner(&self, app: &AppKey) -> Option<&OwnerSeen> {
        self.owners.iter().find(|owner| owner.app == app.as_str() && !owner.lasts_for.is_zero())
    }
}
