//! One process of a node: what it owns, and its requests to the database.

use std::sync::{Arc, Weak};
use std::time::Duration;

use futures::FutureExt;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::super::super::lease::claims::{Claims, Held};
use super::super::super::lease::{Acquired, Grant, Terms};
use super::super::super::{AppKey, Error, Memory};
use super::database::Database;
use super::link::Link;
use super::queue::{Queue, Writer};

/// The delay after a failed renewal.
const AGAIN: Duration = Duration::from_millis(500);

/// A process of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The name of the node.
    pub name: String,
    /// An id that differs for each start.
    pub process: String,
    /// Earlier processes of this node that are known to have ended.
    pub ended: Vec<String>,
}

/// The state as one process has it open. Clones share it.
#[derive(Clone, Debug)]
pub struct Node(pub(super) Arc<Inner>);

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) database: Database,
    pub(super) identity: Identity,
    pub(super) claims: Arc<Claims>,
    link: Arc<dyn Link>,
    tasks: Queue,
    listings: Queue,
}

impl Node {
    /// Opens the state as one of several nodes, at first without any app.
    pub fn join(database: &Database, identity: Identity, terms: Terms, link: Arc<dyn Link>) -> Self {
        Self::join_as(database, identity, terms, link, false)
    }

    /// Opens the state as the owner of all apps together, for tests of the contract.
    #[cfg(test)]
    pub(crate) async fn open(
        database: &Database,
        identity: Identity,
        terms: Terms,
        link: Arc<dyn Link>,
    ) -> Self {
        let node = Self::join_as(database, identity, terms, link, true);
        let key = super::super::super::lease::claims::ALL;
        let acquired = node.acquire_key(key).await.expect("nobody owns it");
        assert!(acquired.settles_in.is_zero(), "the last owner has not returned it");
        database.drop_all_unfinished();
        node
    }

    fn join_as(
        database: &Database,
        identity: Identity,
        terms: Terms,
        link: Arc<dyn Link>,
        is_sole: bool,
    ) -> Self {
        let claims = Arc::new(Claims::new(is_sole, terms));
        let writer =
            || Writer { database: database.clone(), link: Arc::clone(&link), claims: Arc::clone(&claims) };
        let (tasks, listings) = (Queue::start(writer()), Queue::start(writer()));
        let database = database.clone();
        let inner = Arc::new(Inner { database, identity, claims, link, tasks, listings });
        tokio::spawn(keep(Arc::downgrade(&inner)));
        Self(inner)
    }

    /// Runs waiting writes, and releases all apps. `is_over` means that no call is running any more.
    pub async fn close(&self, is_over: bool) {
        let inner = &self.0;
        inner.tasks.close().await;
        inner.listings.close().await;
        for key in inner.claims.all().into_keys() {
            // If this fails, the next owner waits until the lease has expired.
            drop(self.release_key(&key, is_over).await);
        }
        let identity = inner.identity.clone();
        let left = inner.request(move |database| {
            database.leave(&identity);
            Ok(())
        });
        drop(left.await);
    }

    async fn acquire_key(&self, key: &str) -> Result<Acquired, Error> {
        let inner = &self.0;
        let (identity, asked, durations) = (inner.identity.clone(), key.to_owned(), inner.claims.durations());
        let asked_at = Instant::now();
        let acquired = inner.request(move |database| database.acquire(&identity, &asked, durations)).await?;
        let settled_at = Instant::now() + acquired.settles_in;
        let held = Held { epoch: acquired.epoch, grant: Grant { asked_at }, settled_at };
        inner.claims.hold(key, held);
        Ok(acquired)
    }

    pub(super) async fn take(&self, app: &AppKey) -> Result<Acquired, Error> {
        let acquired = self.acquire_key(app.as_str()).await?;
        let unfinished = app.clone();
        let dropped =
            self.0.listings.write(app, move |memory| Database::drop_unfinished(memory, &unfinished)).await;
        if let Err(error) = dropped {
            // Otherwise the app would be started although its unfinished work is still there.
            drop(self.release_key(app.as_str(), true).await);
            return Err(error);
        }
        Ok(acquired)
    }

    pub(super) async fn release_key(&self, key: &str, is_over: bool) -> Result<(), Error> {
        let inner = &self.0;
        let Some(held) = inner.claims.held(key) else { return Ok(()) };
        // This comes before the database is updated: from now on, this process writes nothing and starts nothing for the app.
        inner.claims.lose(key, held.epoch);
        let (identity, key) = (inner.identity.clone(), key.to_owned());
        let release = move |database: &Database| {
            database.give_back(&identity, (&key, held.epoch), is_over);
            Ok(())
        };
        inner.request(release).await
    }

    /// Drops all apps that this process no longer owns.
    pub(super) async fn check_owned(&self) -> Result<(), Error> {
        let all = self.0.claims.all();
        let asked: Vec<(String, i64)> = all.into_iter().map(|(key, held)| (key, held.epoch)).collect();
        let lost = self.0.request(move |database| {
            let is_lost = |(key, epoch): &(String, i64)| !database.is_owner(key, *epoch);
            Ok(asked.into_iter().filter(is_lost).collect::<Vec<_>>())
        });
        for (key, epoch) in lost.await? {
            self.0.claims.lose(&key, epoch);
        }
        Ok(())
    }

    pub(super) fn check_may_start(&self, app: &AppKey) -> Result<(), Error> {
        if self.0.database.checks().may_start { self.0.claims.may_start(app) } else { Ok(()) }
    }

    /// Reads the state. The work is over when it is first polled: see [`Memory`].
    pub(super) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Memory) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        self.0.request(move |database| work(database.memory())).await
    }

    pub(super) async fn write_tasks<T: Send + 'static>(
        &self,
        app: &AppKey,
        work: impl FnOnce(&Memory) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        self.0.tasks.write(app, work).await
    }

    pub(super) async fn write_listings<T: Send + 'static>(
        &self,
        app: &AppKey,
        work: impl FnOnce(&Memory) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        self.0.listings.write(app, work).await
    }
}

impl Inner {
    /// Sends a request. It is executed even if the caller no longer waits for the answer.
    pub(super) async fn request<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Database) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (tell, told) = oneshot::channel();
        let (database, link) = (self.database.clone(), Arc::clone(&self.link));
        tokio::spawn(async move {
            let answer = async {
                link.there().await?;
                let answer = work(&database);
                link.back().await?;
                answer
            };
            drop(tell.send(answer.await));
        });
        told.await.map_err(|_| Error::Closed)?
    }

    /// Renews leases, and drops those of apps that another node has taken over.
    pub(super) async fn renew(&self, leases: Vec<(String, i64)>) -> Result<(), Error> {
        let asked_at = Instant::now();
        let (identity, asked, durations) = (self.identity.clone(), leases.clone(), self.claims.durations());
        let renewed = self.request(move |database| Ok(database.renew(&identity, &asked, durations))).await?;
        for (key, epoch) in leases {
            if renewed.contains(&key) {
                self.claims.renew(&key, epoch, Grant { asked_at });
            } else {
                self.claims.lose(&key, epoch);
            }
        }
        Ok(())
    }

    async fn renew_due(&self) -> Result<(), Error> {
        let (terms, now) = (self.claims.terms, Instant::now());
        let due = self.claims.all().into_iter().filter(|(_, held)| now >= held.grant.renew_at(&terms));
        let due: Vec<(String, i64)> = due.map(|(key, held)| (key, held.epoch)).collect();
        if due.is_empty() { Ok(()) } else { self.renew(due).await }
    }
}

/// Renews the leases of a process while it has the state open.
async fn keep(inner: Weak<Inner>) {
    let mut wait = Duration::ZERO;
    loop {
        tokio::time::sleep(wait).await;
        let Some(inner) = inner.upgrade() else { return };
        let limit = inner.claims.terms.renew_after();
        let done = tokio::time::timeout(limit, inner.renew_due()).await;
        wait = if done.is_err() { Duration::ZERO } else { AGAIN.min(limit / 2) };
    }
}

/// The answer of [`Memory`], which is there when it is first asked for.
pub(super) fn answer<T>(work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    work.now_or_never().unwrap_or(Err(Error::Closed))
}
