//! What tasks do while a sync is under way.
//!
//! `complete` tells Iden that what was pushed is the whole truth. So a sync must know every account that a task touched
//! since it began to read, and must not complete while a task is in the middle of a change.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use bridgehead_sdk::{Account, AccountRecord};
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Meets the tasks and the sync of one app.
#[derive(Debug, Default)]
pub(crate) struct Activity {
    barrier: RwLock<()>,
    /// The accounts touched since the sync began; `None` when no sync is under way.
    touched: Mutex<Option<HashMap<String, Touched>>>,
}

/// An account that a task touched.
#[derive(Clone, Debug)]
pub(crate) struct Touched {
    /// Who it is; nothing else of what the task said.
    pub(crate) account: Account,
    /// The record as it was before a task deleted it.
    pub(crate) record: Option<AccountRecord>,
}

impl Activity {
    /// A task is about to change the target. Waits while a sync completes.
    pub(crate) async fn change(&self) -> RwLockReadGuard<'_, ()> {
        self.barrier.read().await
    }

    /// A task has changed the target, or may have. Called before the guard of [`change`](Self::change) is dropped.
    /// `before` is the record as it was, where a task deletes it.
    pub(crate) fn touch(&self, account: &Account, before: Option<AccountRecord>) {
        if let Some(touched) = &mut *self.touched.lock().unwrap_or_else(PoisonError::into_inner) {
            // Only who it is: the rest is read from the target, and may be a secret.
            let who = Account {
                id: account.id.clone(),
                username: account.username.clone(),
                email: account.email.clone(),
                ..Account::default()
            };
            let name = format!("{:?}\0{:?}\0{:?}", who.id, who.username, who.email);
            let entry = touched.entry(name).or_insert(Touched { account: who, record: None });
            entry.record = before.or(entry.record.take());
        }
    }

    /// Whether a sync is under way.
    pub(crate) fn is_sync_under_way(&self) -> bool {
        self.touched.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// A sync begins to read: from now on, touched accounts are kept.
    pub(crate) fn begin(&self) -> Session<'_> {
        *self.touched.lock().unwrap_or_else(PoisonError::into_inner) = Some(HashMap::new());
        Session(self)
    }
}

/// A sync that is under way. Dropping it ends the keeping of touched accounts.
#[derive(Debug)]
pub(crate) struct Session<'a>(&'a Activity);

impl<'a> Session<'a> {
    /// The accounts touched since the last call.
    pub(crate) fn take_touched(&self) -> Vec<Touched> {
        let mut touched = self.0.touched.lock().unwrap_or_else(PoisonError::into_inner);
        touched
            .as_mut()
            .map(|touched| touched.drain().map(|(_, touched)| touched).collect())
            .unwrap_or_default()
    }

    /// Waits until no task is in the middle of a change, and lets none begin while the guard lives.
    pub(crate) async fn quiet(&self) -> RwLockWriteGuard<'a, ()> {
        self.0.barrier.write().await
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        *self.0.touched.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn touched_accounts_are_kept_only_while_a_sync_is_under_way() {
        let activity = Activity::default();
        activity.touch(&Account::by_id("before"), None);
        let session = activity.begin();
        activity.touch(&Account::by_id("during"), None);
        activity.touch(&Account::by_id("during"), None);
        let ids: Vec<_> =
            session.take_touched().into_iter().filter_map(|touched| touched.account.id).collect();
        assert_eq!(ids, ["during".into()]);
        assert!(session.take_touched().is_empty());
        drop(session);
        activity.touch(&Account::by_id("after"), None);
        assert!(activity.begin().take_touched().is_empty());
    }

    #[tokio::test]
    async fn a_sync_completes_only_between_changes() {
        let activity = Activity::default();
        let session = activity.begin();
        let change = activity.change().await;
        let mut quiet = Box::pin(session.quiet());
        assert!((&mut quiet).now_or_never().is_none());
        let mut next = Box::pin(activity.change());
        assert!((&mut next).now_or_never().is_none(), "a waiting sync is not starved by new tasks");
        drop(change);
        let guard = quiet.await;
        assert!((&mut next).now_or_never().is_none());
        drop(guard);
        next.await;
    }
}
