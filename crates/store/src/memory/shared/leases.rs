//! The leases of a process.

use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use super::super::super::lease::{Acquired, Leases, Mailbox, Presence, View};
use super::super::super::{AppKey, Error};
use super::node::Node;

#[async_trait]
impl Leases for Node {
    fn lease(&self) -> Duration {
        self.0.claims.terms.lease
    }

    fn node_name(&self) -> &str {
        &self.0.identity.name
    }

    async fn look(&self, presence: &Presence) -> Result<View, Error> {
        let (identity, lease, presence) = (self.0.identity.clone(), self.lease(), presence.clone());
        self.0.request(move |database| Ok(database.look(&identity, lease, &presence))).await
    }

    async fn acquire(&self, app: &AppKey) -> Result<Acquired, Error> {
        self.take(app).await
    }

    async fn release(&self, app: &AppKey, is_over: bool) -> Result<(), Error> {
        self.release_key(app.as_str(), is_over).await
    }

    fn holds(&self, app: &AppKey) -> bool {
        self.0.claims.held(app.as_str()).is_some()
    }

    fn settled_at(&self, app: &AppKey) -> Option<Instant> {
        self.0.claims.settled_at(app)
    }

    fn may_start(&self, app: &AppKey) -> bool {
        self.check_may_start(app).is_ok()
    }

    async fn allow_calls(&self, longest: Duration) -> Result<(), Error> {
        if !self.0.claims.allow_calls(longest) {
            return Ok(());
        }
        let all = self.0.claims.all();
        self.0.renew(all.into_iter().map(|(key, held)| (key, held.epoch)).collect()).await
    }

    fn mailbox(&self) -> &dyn Mailbox {
        self
    }
}
