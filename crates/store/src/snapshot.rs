//! Stored snapshots of what syncs saw in the target.

use std::collections::BTreeMap;
use std::fmt;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{AccessFacts, AccessLoss, AppKey, Error, Run};

/// How long removals are remembered: longer than the longest possible window of the removal guard.
pub(super) const REMEMBERED: SignedDuration = SignedDuration::from_hours(400 * 24);

/// A record in a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordHash {
    /// The record's id in the target.
    pub id: String,
    /// A hash of the whole record, stable across versions.
    pub hash: u64,
    /// The record's access; `None` for groups and licenses.
    pub facts: Option<AccessFacts>,
}

/// The result of adding records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Added {
    /// Records whose id was already in the snapshot, in the order in which they were given. The first record with an id stays in the
    /// snapshot.
    pub duplicates: Vec<Duplicate>,
}

/// A record whose id was already in the snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Duplicate {
    /// The record's id.
    pub id: String,
    /// Whether both have the same hash: the same record was read twice, as happens with offset paging.
    pub same: bool,
}

/// The difference, for one resource type, between the snapshot in progress and what Iden is known to have: the snapshot of the last
/// completed sync, and everything that uncompleted syncs have pushed and tasks have created since.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Known records that count for the removal guard.
    pub known: u64,
    /// Records in the current snapshot.
    pub seen: u64,
    /// Records that are only in the current snapshot.
    pub created: u64,
    /// Records in both, with different hashes.
    pub changed: u64,
    /// Records missing from the current snapshot: completing the sync would remove these.
    pub removed: u64,
    /// Those of the removed records that were only ever in [rejected](Trust::Rejected) snapshots, and do not count.
    pub doubted: u64,
    /// Records that were only in rejected snapshots until now, and that the current snapshot has, too.
    pub confirmed: u64,
}

/// How far the snapshot of an uncompleted sync is trusted. Whatever it pushed is in Iden; this decides whether a later sync may remove it
/// without approval. See `docs/decisions/0007-what-held-listings-leave.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// It was read completely, and the removal guard allows it: its records count like those of a completed sync.
    Accepted,
    /// It was not read completely, so the guard could not evaluate it. Its records count until a rejected snapshot contains them, too.
    Unverified,
    /// The removal guard holds it. Records that were in no other snapshot do not count.
    Rejected,
}

/// A part of a [`Difference`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// Only in the current snapshot.
    Created,
    /// In both, with different hashes.
    Changed,
    /// Known, but missing from the current snapshot.
    Removed,
    /// Those of the removed records that count: not the ones that were only in [rejected](Trust::Rejected) snapshots.
    Counted,
    /// In the current snapshot, whether known or not.
    Seen,
}

/// A kind of access loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LossKind {
    /// The record was removed.
    Removed,
    /// The account was active, and is not any more.
    Deactivated,
    /// The account lost memberships or assignments.
    Memberships,
}

impl LossKind {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::Removed, Self::Deactivated, Self::Memberships];

    /// The name, such as `removed`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Removed => "removed",
            Self::Deactivated => "deactivated",
            Self::Memberships => "memberships",
        }
    }
}

/// The number of records of a type that lose access.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LossCount {
    /// The resource type.
    pub slug: String,
    /// The kind of loss.
    pub kind: LossKind,
    /// The number of records.
    pub count: u64,
}

/// An account in the current snapshot that had more access in the last one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loser {
    /// The account's id.
    pub id: String,
    /// The loss, excluding what tasks have taken away.
    pub loss: AccessLoss,
}

/// A page of accounts that lose access.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Losers {
    /// The accounts, ordered by id.
    pub losers: Vec<Loser>,
    /// The id to continue with; `None` at the end.
    pub next: Option<String>,
}

/// The access in the last snapshot, of the records that count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AccessBase {
    /// Accounts that were active.
    pub active: u64,
    /// Accounts with a membership or an assignment.
    pub with_refs: u64,
    /// Records with unknown access: an earlier version did not store it.
    pub unknown: u64,
}

/// An account's access after a task has changed it. What the account lost by that is no loss; what it gained can be lost later.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Whether the account is active now; `None` if the task did not change that.
    pub is_active: Option<bool>,
    /// The memberships and assignments that can still be lost, as in [`AccessFacts`]; `None` if the task did not change any.
    pub refs: Option<Vec<u64>>,
}

impl Changes {
    /// The account was read after the change.
    pub fn read(facts: &AccessFacts) -> Self {
        Self { is_active: Some(facts.is_active()), refs: Some(facts.refs().to_vec()) }
    }

    /// All access may have changed, and the account has not been read since: it has nothing to lose until a sync reads it again.
    pub fn unread() -> Self {
        Self { is_active: Some(false), refs: Some(Vec::new()) }
    }
}

/// Iden's time of our last completed sync.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IdenTime {
    /// When the app was last synced by Iden's clock, as returned after our last completed sync.
    pub synced_at: Option<Timestamp>,
    /// When we sent a `complete` whose time Iden has not returned yet, by our clock.
    pub pending_since: Option<Timestamp>,
}

/// The removals that the operator was last shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The digest of exactly these removals.
    pub digest: u64,
    /// The number of losses.
    pub losses: u64,
}

/// The last completed sync.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastSync {
    /// When it completed.
    pub at: Timestamp,
    /// The number of records of each resource type, by slug.
    pub counts: BTreeMap<String, u64>,
}

/// The records that Iden may have of an app without a completed sync recorded here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BaselineOrigin {
    /// Only those pushed by syncs recorded here.
    Ours,
    /// Those of syncs with another state: this state was lost, or the app was synced from elsewhere.
    Lost,
}

impl BaselineOrigin {
    /// All values.
    pub const ALL: [Self; 2] = [Self::Ours, Self::Lost];

    /// The stored name, such as `lost`. Earlier versions stored `ours` without evidence for it, so that name is no longer used, and counts
    /// as unknown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ours => "shown",
            Self::Lost => "lost",
        }
    }
}

/// The durable record of what syncs saw.
///
/// # Flow
/// [`begin`](Self::begin), [`add`](Self::add) page by page, [`difference`](Self::difference) for the guard,
/// [`prepare_commit`](Self::prepare_commit) before `complete` is sent, [`commit`](Self::commit) when the Bridge has accepted it. A sync
/// that is abandoned after it has pushed something ends with [`retain`](Self::retain); any other unfinished snapshot is dropped by the next
/// `begin`, or at the next start of the process.
///
/// # Contract
/// An app has at most one snapshot in progress; apps are independent of each other. Memory use does not grow with the number of records.
/// All methods that refer to the current snapshot return [`Error::NoListing`] unless `begin` was called without a `commit`, a `retain` or a
/// restart after it: an incomplete snapshot is never committed. A restart or `begin` after `prepare_commit` commits the snapshot. Ids are
/// compared byte by byte, and "ordered by id" means that order.
#[async_trait]
pub trait SnapshotStore: Send + Sync + fmt::Debug + 'static {
    /// Starts a snapshot, and drops an unfinished one of the same app, or commits it if `complete` [was about to be
    /// sent](Self::prepare_commit).
    async fn begin(&self, app: &AppKey) -> Result<(), Error>;

    /// Starts a snapshot for a dry run, which ends with [`discard`](Self::discard). A crash in the middle of it does not count as an
    /// interrupted sync.
    async fn begin_dry_run(&self, app: &AppKey) -> Result<(), Error>;

    /// Drops the current snapshot, as if it had never existed. Does nothing if there is none.
    async fn discard(&self, app: &AppKey) -> Result<(), Error>;

    /// Adds records of one resource type. An empty slice records that the type was listed.
    async fn add(&self, app: &AppKey, slug: &str, records: &[RecordHash]) -> Result<Added, Error>;

    /// Puts a record that a task changed into the current snapshot, replacing one with the same id.
    async fn set(&self, app: &AppKey, slug: &str, seen: &RecordHash) -> Result<(), Error>;

    /// Removes a record that a task deleted from the current snapshot. Not an error if it does not exist.
    async fn unset(&self, app: &AppKey, slug: &str, id: &str) -> Result<(), Error>;

    /// The given ids that are missing from the current snapshot, in the given order.
    async fn missing(&self, app: &AppKey, slug: &str, ids: &[&str]) -> Result<Vec<String>, Error>;

    /// The number of records in the current snapshot.
    async fn seen_count(&self, app: &AppKey, slug: &str) -> Result<u64, Error>;

    /// The difference between the current snapshot and what is known.
    async fn difference(&self, app: &AppKey, slug: &str) -> Result<Difference, Error>;

    /// The ids of a part of the difference, ordered by id, starting after `after`, at most `limit`.
    async fn ids(
        &self,
        app: &AppKey,
        slug: &str,
        which: Which,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<String>, Error>;

    /// A page of accounts that lose access without being removed, starting after `after`. Losses caused by [tasks](Self::note_changed) do
    /// not count.
    async fn losers(&self, app: &AppKey, slug: &str, after: Option<&str>) -> Result<Losers, Error>;

    /// The access in the last snapshot.
    async fn access_base(&self, app: &AppKey, slug: &str) -> Result<AccessBase, Error>;

    /// Records that `complete` is about to be sent, and the other losses that it causes, in addition to the removed records. If the process
    /// ends before the result is known, the next start or `begin` commits the snapshot as of this time: the removals have been approved,
    /// and the remaining records must be known. If Iden has not completed the sync, call `retain` or `discard`.
    async fn prepare_commit(&self, app: &AppKey, at: Timestamp, losses: &[LossCount]) -> Result<(), Error>;

    /// Makes the current snapshot the last completed one, and records how many counting records of each type were removed. A type that is
    /// missing from the current snapshot is dropped, and all of its records count as removed: `complete` has PUT semantics. Atomic.
    async fn commit(&self, app: &AppKey, at: Timestamp) -> Result<(), Error>;

    /// Ends the sync without `complete`. Its pushed records stay in Iden, so the current snapshot is added to what later ones are compared
    /// with, and so is access that its accounts have gained, unless it is rejected. `belief` decides whether it counts for the removal guard; records from a completed or accepted snapshot keep counting whatever
    /// follows. This does not make it a completed sync: see [`last`](Self::last).
    async fn retain(&self, app: &AppKey, belief: Trust) -> Result<(), Error>;

    /// Records that a task has created an account, so Iden has it. It counts for the removal guard, although no sync has seen it yet.
    /// `access` is what the task has read of it, if it has.
    async fn note_created(
        &self,
        app: &AppKey,
        slug: &str,
        id: &str,
        access: Option<&AccessFacts>,
    ) -> Result<(), Error>;

    /// Records that a task has deleted an account. If [no sync has seen it](Self::note_created), it no longer counts.
    async fn note_deleted(&self, app: &AppKey, slug: &str, id: &str) -> Result<(), Error>;

    /// Records that a task has changed an account's access. Later losses are measured against these changes, if the account is known.
    async fn note_changed(&self, app: &AppKey, slug: &str, id: &str, changes: Changes) -> Result<(), Error>;

    /// The known resource types, not including those only in the current snapshot.
    async fn known_slugs(&self, app: &AppKey) -> Result<Vec<String>, Error>;

    /// The number of records of a type that completed syncs have removed since this instant (inclusive). Removals are remembered for 400
    /// days.
    async fn removals_since(&self, app: &AppKey, slug: &str, since: Timestamp) -> Result<u64, Error>;

    /// The number of records of a type with other losses in completed syncs since this instant (inclusive).
    async fn losses_since(
        &self,
        app: &AppKey,
        slug: &str,
        kind: LossKind,
        since: Timestamp,
    ) -> Result<u64, Error>;

    /// Removals and other losses up to now no longer count: the operator has approved them.
    async fn forgive_removals(&self, app: &AppKey) -> Result<(), Error>;

    /// The last completed sync; `None` if there was none, or the state was lost.
    async fn last(&self, app: &AppKey) -> Result<Option<LastSync>, Error>;

    /// The result of checking the time before the first completed sync; `None` if it was not checked.
    async fn past(&self, app: &AppKey) -> Result<Option<BaselineOrigin>, Error>;

    /// Stores the result of checking the time before the first completed sync.
    async fn set_past(&self, app: &AppKey, past: BaselineOrigin) -> Result<(), Error>;

    /// Iden's time of our last completed sync.
    async fn iden_time(&self, app: &AppKey) -> Result<IdenTime, Error>;

    /// Records Iden's time of this process's last sync. Nothing is pending after that.
    async fn set_iden_time(&self, app: &AppKey, synced_at: Timestamp) -> Result<(), Error>;

    /// The removals that the operator was last shown; `None` if there were none since the last completed sync.
    async fn shown(&self, app: &AppKey) -> Result<Option<Shown>, Error>;

    /// Records the removals that the operator is shown.
    async fn set_shown(&self, app: &AppKey, shown: Shown) -> Result<(), Error>;

    /// Whether a sync has started without a recorded run: the process died in the middle of it.
    async fn was_interrupted(&self, app: &AppKey) -> Result<bool, Error>;

    /// Records a sync for the operator, which ends it. Keeps the runs of the last 30 days and at least the last 200 of an app, but never
    /// more than 5,000.
    async fn record_run(&self, app: &AppKey, run: &Run) -> Result<(), Error>;

    /// The last syncs, newest first.
    async fn runs(&self, app: &AppKey, limit: u32) -> Result<Vec<Run>, Error>;
}

/// The trait must stay object-safe.
const _: Option<&dyn SnapshotStore> = None;
