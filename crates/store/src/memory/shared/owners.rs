//! Nodes, and the owners of apps, by the clock of the database. The rules are those of `postgres/owners` and `postgres/nodes`.

use std::time::Duration;

use tokio::time::Instant;

#[cfg(test)]
use super::super::super::AppKey;
use super::super::super::Error;
use super::super::super::lease::claims::Durations;
use super::super::super::lease::{Acquired, NodeSeen, OwnerSeen, Presence, View};
use super::database::{Database, Rows};
use super::node::Identity;

/// A node is forgotten after it was silent for this many leases.
const FORGOTTEN: u32 = 40;

/// The owner of an app.
pub(super) struct Owner {
    node: String,
    process: String,
    pub(super) epoch: i64,
    taken_at: Instant,
    expires_at: Instant,
    longest_call: Duration,
    is_released: bool,
    /// When all calls of earlier owners have ended.
    settled_at: Instant,
}

/// A node, and when it was last seen.
pub(super) struct Seen {
    name: String,
    started_at: Instant,
    at: Instant,
    presence: Presence,
}

impl Owner {
    fn lasts_for(&self, now: Instant) -> Duration {
        if self.is_released { Duration::ZERO } else { self.expires_at.saturating_duration_since(now) }
    }
}

impl Database {
    /// Takes over an app unless another process has a valid lease.
    pub(super) fn acquire(
        &self,
        node: &Identity,
        key: &str,
        durations: Durations,
    ) -> Result<Acquired, Error> {
        let now = Instant::now();
        let mut rows = self.rows();
        let (epoch, settled_at) = match rows.owners.get(key) {
            None => (1, now),
            Some(held) => {
                let has_ended = held.is_released || node.ended.contains(&held.process);
                if !has_ended && held.expires_at > now {
                    let (node, lasts_for) = (held.node.clone(), held.lasts_for(now));
                    return Err(Error::Owned { place: "memory".to_owned(), node, lasts_for });
                }
                let expired = held.settled_at.max(held.expires_at + held.longest_call);
                (held.epoch + 1, if has_ended { held.settled_at } else { expired })
            }
        };
        let owner = Owner {
            node: node.name.clone(),
            process: node.process.clone(),
            epoch,
            taken_at: now,
            expires_at: now + durations.lease,
            longest_call: durations.longest_call,
            is_released: false,
            settled_at,
        };
        rows.owners.insert(key.to_owned(), owner);
        let settles_in =
            if self.checks().settling { settled_at.saturating_duration_since(now) } else { Duration::ZERO };
        Ok(Acquired { epoch, settles_in })
    }

    /// Returns which of these leases were renewed. The others belong to another process now.
    pub(super) fn renew(
        &self,
        node: &Identity,
        leases: &[(String, i64)],
        durations: Durations,
    ) -> Vec<String> {
        let now = Instant::now();
        let mut rows = self.rows();
        let mut renewed = Vec::new();
        for (key, epoch) in leases {
            let held = rows.owners.get_mut(key);
            let own = held.filter(|held| held.process == node.process && held.epoch == *epoch);
            if let Some(held) = own.filter(|held| !held.is_released) {
                held.expires_at = now + durations.lease;
                held.longest_call = held.longest_call.max(durations.longest_call);
                renewed.push(key.clone());
            }
        }
        renewed
    }

    /// Releases an app. Unless everything that was started for it `is_over`, the next owner waits for the longest call.
    pub(super) fn give_back(&self, node: &Identity, (key, epoch): (&str, i64), is_over: bool) {
        let now = Instant::now();
        let mut rows = self.rows();
        let held = rows.owners.get_mut(key);
        if let Some(held) = held.filter(|held| held.process == node.process && held.epoch == epoch) {
            held.is_released = true;
            held.expires_at = now;
            if !is_over {
                held.settled_at = held.settled_at.max(now + held.longest_call);
            }
        }
    }

    /// Announces that a node is alive, and returns its view of the others.
    pub(super) fn look(&self, node: &Identity, lease: Duration, presence: &Presence) -> View {
        let now = Instant::now();
        let mut rows = self.rows();
        let new =
            || Seen { name: node.name.clone(), started_at: now, at: now, presence: Presence::default() };
        let seen = rows.nodes.entry(node.process.clone()).or_insert_with(new);
        (seen.at, seen.presence) = (now, presence.clone());
        let is_known = |process: &String, seen: &mut Seen| {
            !node.ended.contains(process) && now - seen.at <= lease * FORGOTTEN
        };
        rows.nodes.retain(is_known);
        rows.view(&node.process, now)
    }

    /// Removes a node that has released all apps.
    pub(super) fn leave(&self, node: &Identity) {
        self.rows().nodes.remove(&node.process);
    }

    /// The owners of all apps, and all nodes.
    pub fn view(&self) -> View {
        self.rows().view("", Instant::now())
    }

    /// Ends a lease, as if the clock of the database had jumped.
    #[cfg(test)]
    pub(crate) fn expire(&self, app: &AppKey) {
        if let Some(owner) = self.rows().owners.get_mut(app.as_str()) {
            owner.expires_at = Instant::now();
        }
    }

    /// Whether a process still owns an app.
    pub(super) fn is_owner(&self, app: &str, epoch: i64) -> bool {
        self.rows().owners.get(app).is_some_and(|owner| owner.epoch == epoch)
    }
}

impl Rows {
    fn view(&self, me: &str, now: Instant) -> View {
        let node = |(process, seen): (&String, &Seen)| NodeSeen {
            name: seen.name.clone(),
            process: process.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            up_for: now - seen.started_at,
            silent_for: now - seen.at,
            presence: seen.presence.clone(),
        };
        let owner = |(app, owner): (&String, &Owner)| OwnerSeen {
            app: app.clone(),
            node: owner.node.clone(),
            process: owner.process.clone(),
            epoch: owner.epoch,
            owned_for: now - owner.taken_at,
            lasts_for: owner.lasts_for(now),
        };
        let mut nodes: Vec<NodeSeen> = self.nodes.iter().map(node).collect();
        nodes.sort_by(|one, other| (&one.name, &one.process).cmp(&(&other.name, &other.process)));
        View { me: me.to_owned(), nodes, owners: self.owners.iter().map(owner).collect() }
    }
}
