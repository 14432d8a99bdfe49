//! What tasks do during a sync.
//!
//! `complete` tells Iden that the pushed records are complete. So a sync must know every account that a task changed
//! since it began to read, and must not complete while a task is in the middle of a change.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use bridgehead_sdk::{Account, AccountRecord};
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Meets the tasks and the sync of one app.
#[derive(Debug, Default)]
pub(crate) struct ChangeTracker {
    barrier: RwLock<()>,
    /// The accounts touched since the sync began; `None` when no sync is under way.
    touched: Mutex<Option<BTreeMap<String, Kept>>>,
}

/// What was known of an account before a task changed it, as far as a sync has to know.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum PriorState {
    /// The task deletes no account, so nothing was looked up.
    #[default]
    NotAsked,
    /// The task deletes, and the account did not exist.
    Nobody,
    /// The task deletes, and the account could not be looked up before.
    Unknown,
    /// The task deletes this account.
    Account(Box<AccountRecord>),
}

impl PriorState {
    /// Of two attempts at the same account, the one that says more.
    fn better(self, other: Self) -> Self {
        let worth = |before: &Self| match before {
            Self::NotAsked => 0,
            Self::Nobody => 1,
            Self::Unknown => 2,
            Self::Account(_) => 3,
        };
        if worth(&other) > worth(&self) { other } else { self }
    }
}

/// An account that a task touched.
#[derive(Clone, Debug)]
pub(crate) struct ChangedAccount {
    /// Who it is; nothing else of what the task said.
    pub(crate) account: Account,
    /// What it was before.
    pub(crate) before: PriorState,
}

#[derive(Debug)]
struct Kept {
    touched: ChangedAccount,
    /// ChangedAccount since the sync last asked. What was known before is kept beyond that: a repeated deletion knows less.
    is_new: bool,
}

impl ChangeTracker {
    /// A task is about to change the target. Waits while a sync completes.
    pub(crate) async fn change(&self) -> RwLockReadGuard<'_, ()> {
        self.barrier.read().await
    }

    /// A task has changed the target, or may have. Called before the guard of [`change`](Self::change) is dropped.
    pub(crate) fn touch(&self, account: &Account, before: PriorState) {
        if let Some(touched) = &mut *self.touched.lock().unwrap_or_else(PoisonError::into_inner) {
            // Only who it is: the rest is read from the target, and may be a secret.
            let mut who = Account::default();
            who.id.clone_from(&account.id);
            who.username.clone_from(&account.username);
            who.email.clone_from(&account.email);
            let name = format!("{:?}\0{:?}\0{:?}", who.id, who.username, who.email);
            let kept = touched.entry(name).or_insert(Kept {
                touched: ChangedAccount { account: who, before: PriorState::default() },
                is_new: true,
            });
            kept.is_new = true;
            kept.touched.before = before.better(std::mem::take(&mut kept.touched.before));
        }
    }

    /// Whether a sync is under way.
    pub(crate) fn is_sync_under_way(&self) -> bool {
        self.touched.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// A sync begins to read: from now on, touched accounts are kept.
    pub(crate) fn begin(&self) -> Session<'_> {
        *self.touched.lock().unwrap_or_else(PoisonError::into_inner) = Some(BTreeMap::new());
        Session(self)
    }
}

/// A sync that is under way. Dropping it ends the keeping of touched accounts.
#[derive(Debug)]
pub(crate) struct Session<'a>(&'a ChangeTracker);

impl<'a> Session<'a> {
    /// The accounts touched since the last call.
    pub(crate) fn take_touched(&self) -> Vec<ChangedAccount> {
        let mut touched = self.0.touched.lock().unwrap_or_else(PoisonError::into_inner);
        let all = touched.iter_mut().flat_map(BTreeMap::values_mut);
        all.filter_map(|kept| std::mem::take(&mut kept.is_new).then(|| kept.touched.clone())).collect()
    }

    /// How many accounts were touched since then.
    pub(crate) fn count_touched(&self) -> usize {
        let touched = self.0.touched.lock().unwrap_or_else(PoisonError::into_inner);
        touched.iter().flat_map(BTreeMap::values).filter(|kept| kept.is_new).count()
    }

    /// Whether a task touched the account of this record since the sync began.
    pub(crate) fn concerns(&self, record: &AccountRecord) -> bool {
        let touched = self.0.touched.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = touched.iter().flat_map(BTreeMap::values);
        all.any(|kept| {
            let was = matches!(&kept.touched.before, PriorState::Account(before) if before.id == record.id);
            was || kept.touched.account.is_same_as(record)
        })
    }

    /// Waits until no task is in the middle of a change, and lets none begin while the guard lives.
    pub(crate) async fn quiesce(&self) -> RwLockWriteGuard<'a, ()> {
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
        let activity = ChangeTracker::default();
        activity.touch(&Account::by_id("before"), PriorState::NotAsked);
        let session = activity.begin();
        activity.touch(&Account::by_id("during"), PriorState::NotAsked);
        activity.touch(&Account::by_id("during"), PriorState::NotAsked);
        let ids: Vec<_> =
            session.take_touched().into_iter().filter_map(|touched| touched.account.id).collect();
        assert_eq!(ids, ["during".into()]);
        assert!(session.take_touched().is_empty());
        drop(session);
        activity.touch(&Account::by_id("after"), PriorState::NotAsked);
        assert!(activity.begin().take_touched().is_empty());
    }

    #[tokio::test]
    async fn whom_a_deletion_removed_is_remembered_when_it_is_repeated() {
        let activity = ChangeTracker::default();
        let session = activity.begin();
        let account = Account::by_id("u1");
        let record = AccountRecord::new("u1");
        activity.touch(&account, PriorState::Account(Box::new(record.clone())));
        assert_eq!((session.count_touched(), session.take_touched().len()), (1, 1));
        assert_eq!(session.count_touched(), 0);
        activity.touch(&account, PriorState::Nobody);
        let again = session.take_touched();
        assert_eq!(again[0].before, PriorState::Account(Box::new(record.clone())));
        assert!(session.concerns(&record) && !session.concerns(&AccountRecord::new("u2")));
    }

    #[tokio::test]
    async fn a_sync_completes_only_between_changes() {
        let activity = ChangeTracker::default();
        let session = activity.begin();
        let change = activity.change().await;
        let mut quiet = Box::pin(session.quiesce());
        assert!((&mut quiet).now_or_never().is_none());
        let mut next = Box::pin(activity.change());
        assert!((&mut next).now_or_never().is_none(), "a waiting sync is not starved by new tasks");
        drop(change);
        let guard = quiet.await;
        assert!((&mut next).now_or_never().is_none());
        drop(guard);
        drop(next.await);
    }
}
