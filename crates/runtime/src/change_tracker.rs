//! Tracks the changes that tasks make during a sync.
//!
//! `complete` tells Iden that the pushed records are complete. So a sync must know every account that a task has changed since the sync
//! started reading, and must not complete while a task is in the middle of a change.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use bridgehead_sdk::{Account, AccountRecord};
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Coordinates the tasks and the sync of one app.
#[derive(Debug, Default)]
pub(crate) struct ChangeTracker {
    barrier: RwLock<()>,
    reports: RwLock<()>,
    /// The accounts changed since the sync started; `None` if no sync is running.
    touched: Mutex<Option<BTreeMap<String, Kept>>>,
    /// The accounts that an attempt may still change, and the number of such attempts.
    unsettled: Mutex<BTreeMap<String, (ChangedAccount, usize)>>,
}

/// What was known about an account before a task changed it, as far as a sync needs it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum PriorState {
    /// The task does not delete an account, so nothing was looked up.
    #[default]
    NotAsked,
    /// The task deletes an account, and the account did not exist.
    Nobody,
    /// The task deletes an account, and the look-up beforehand failed.
    Unknown,
    /// The task deletes this account.
    Account(Box<AccountRecord>),
}

impl PriorState {
    /// Returns the more informative of two observations of the same account.
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

/// An account that a task changed.
#[derive(Clone, Debug)]
pub(crate) struct ChangedAccount {
    /// The account's identity; no other fields of the task.
    pub(crate) account: Account,
    /// The account's state before the change.
    pub(crate) before: PriorState,
}

#[derive(Debug)]
struct Kept {
    touched: ChangedAccount,
    /// Whether the account was changed since the sync last asked. The prior state is kept beyond that, because a repeated deletion learns
    /// less.
    is_new: bool,
}

impl ChangeTracker {
    /// Announces a change to the target. Waits while a sync completes.
    pub(crate) async fn change(&self) -> RwLockReadGuard<'_, ()> {
        self.barrier.read().await
    }

    /// Announces a report to Iden. Waits while a sync completes: Iden would otherwise learn of an account between the sync's last look-up
    /// and `complete`, which removes what was not pushed.
    pub(crate) async fn report(&self) -> RwLockReadGuard<'_, ()> {
        self.reports.read().await
    }

    /// Records that a task has changed the target, or may have. Call it before the guard of [`change`](Self::change) is dropped.
    pub(crate) fn touch(&self, account: &Account, before: PriorState) {
        if let Some(touched) = &mut *self.touched.lock().unwrap_or_else(PoisonError::into_inner) {
            let account = identity(account);
            let kept = touched.entry(name(&account)).or_insert(Kept {
                touched: ChangedAccount { account, before: PriorState::default() },
                is_new: true,
            });
            kept.is_new = true;
            kept.touched.before = before.better(std::mem::take(&mut kept.touched.before));
        }
    }

    /// Announces an attempt whose effect is not certain until the guard is dropped: it may become visible at any time. A sync reads such an
    /// account again immediately before it completes.
    pub(crate) fn unsettled(&self, account: &Account, before: PriorState) -> Unsettled<'_> {
        let account = identity(account);
        let name = name(&account);
        let mut all = self.unsettled.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry(name.clone()).or_insert((ChangedAccount { account, before }, 0)).1 += 1;
        drop(all);
        Unsettled { tracker: self, name }
    }

    /// Whether a sync is running.
    pub(crate) fn is_sync_under_way(&self) -> bool {
        self.touched.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Starts a sync's reading phase: changed accounts are tracked until the session is dropped.
    pub(crate) fn begin(&self) -> Session<'_> {
        *self.touched.lock().unwrap_or_else(PoisonError::into_inner) = Some(BTreeMap::new());
        Session(self)
    }
}

/// The fields that identify an account. The others are read from the target, and may contain secrets.
fn identity(account: &Account) -> Account {
    let mut identity = Account::default();
    identity.id.clone_from(&account.id);
    identity.username.clone_from(&account.username);
    identity.email.clone_from(&account.email);
    identity
}

/// A name that is unique to these identifying fields.
pub(crate) fn name(identity: &Account) -> String {
    format!("{:?}\0{:?}\0{:?}", identity.id, identity.username, identity.email)
}

/// An attempt that may still change an account. Drop it when its effect is certain.
#[derive(Debug)]
#[must_use]
pub(crate) struct Unsettled<'a> {
    tracker: &'a ChangeTracker,
    name: String,
}

impl Drop for Unsettled<'_> {
    fn drop(&mut self) {
        let mut all = self.tracker.unsettled.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((changed, attempts)) = all.get_mut(&self.name) else { return };
        let changed = changed.clone();
        *attempts -= 1;
        if *attempts == 0 {
            all.remove(&self.name);
        }
        drop(all);
        // The effect may have become visible since a sync last read the account, so it has to read it once more.
        self.tracker.touch(&changed.account, changed.before);
    }
}

/// A running sync. Dropping it stops the tracking of changed accounts.
#[derive(Debug)]
pub(crate) struct Session<'a>(&'a ChangeTracker);

impl<'a> Session<'a> {
    /// Takes the accounts changed since the last call.
    pub(crate) fn take_touched(&self) -> Vec<ChangedAccount> {
        let mut touched = self.0.touched.lock().unwrap_or_else(PoisonError::into_inner);
        let all = touched.iter_mut().flat_map(BTreeMap::values_mut);
        all.filter_map(|kept| std::mem::take(&mut kept.is_new).then(|| kept.touched.clone())).collect()
    }

    /// Takes the accounts changed since the last call, and adds those that an attempt may still change.
    pub(crate) fn take_touched_and_unsettled(&self) -> Vec<ChangedAccount> {
        let mut all = self.take_touched();
        let known: BTreeSet<String> = all.iter().map(|touched| name(&touched.account)).collect();
        let unsettled = self.0.unsettled.lock().unwrap_or_else(PoisonError::into_inner);
        let others = unsettled.iter().filter(|(name, _)| !known.contains(*name));
        all.extend(others.map(|(_, (account, _))| account.clone()));
        all
    }

    /// An account changed since the last [`take_touched`](Self::take_touched), if there is one.
    pub(crate) fn first_touched(&self) -> Option<Account> {
        let touched = self.0.touched.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = touched.iter().flat_map(BTreeMap::values);
        all.find(|kept| kept.is_new).map(|kept| kept.touched.account.clone())
    }

    /// The number of accounts changed since the last [`take_touched`](Self::take_touched).
    pub(crate) fn count_touched(&self) -> usize {
        let touched = self.0.touched.lock().unwrap_or_else(PoisonError::into_inner);
        touched.iter().flat_map(BTreeMap::values).filter(|kept| kept.is_new).count()
    }

    /// Whether a task has changed the account of this record since the sync started.
    pub(crate) fn concerns(&self, record: &AccountRecord) -> bool {
        let touched = self.0.touched.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = touched.iter().flat_map(BTreeMap::values);
        all.any(|kept| {
            let was = matches!(&kept.touched.before, PriorState::Account(before) if before.id == record.id);
            was || kept.touched.account.is_same_as(record)
        })
    }

    /// Waits until no task is in the middle of a change, and blocks new changes while the guard is held.
    pub(crate) async fn quiesce(&self) -> RwLockWriteGuard<'a, ()> {
        self.0.barrier.write().await
    }

    /// Waits until no report is being sent, and blocks new ones while the guard is held.
    pub(crate) async fn hold_reports(&self) -> RwLockWriteGuard<'a, ()> {
        self.0.reports.write().await
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
    async fn touched_accounts_are_tracked_only_during_a_sync() {
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
    async fn repeated_deletion_remembers_the_removed_account() {
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
    async fn unsettled_account_is_read_each_time_until_its_attempts_have_settled() {
        let activity = ChangeTracker::default();
        let first = activity.unsettled(&Account::by_id("u1"), PriorState::NotAsked);
        let second = activity.unsettled(&Account::by_id("u1"), PriorState::NotAsked);
        // The attempt was made before the sync started.
        let session = activity.begin();
        let count = || session.take_touched_and_unsettled().len();
        assert_eq!((count(), count()), (1, 1));
        activity.touch(&Account::by_id("u1"), PriorState::NotAsked);
        assert_eq!(count(), 1, "it is read once, not twice");
        assert!(session.take_touched().is_empty());
        drop(first);
        assert_eq!(count(), 1);
        drop(second);
        assert_eq!((count(), count()), (1, 0), "what has become visible since is read once more");
    }

    #[tokio::test]
    async fn sync_completes_only_between_changes() {
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

    #[tokio::test]
    async fn sync_completes_only_between_reports() {
        let activity = ChangeTracker::default();
        let session = activity.begin();
        let report = activity.report().await;
        let mut held = Box::pin(session.hold_reports());
        assert!((&mut held).now_or_never().is_none());
        drop(report);
        let guard = held.await;
        assert!(activity.report().now_or_never().is_none());
        drop(guard);
        drop(activity.report().await);
    }
}
