//! What syncs saw in the target, as it is kept.

use std::collections::BTreeMap;
use std::fmt;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{AccessFacts, AccessLoss, AppKey, Error, Run};

/// How long removals are remembered: longer than any window of the removal guard.
pub(super) const REMEMBERED: SignedDuration = SignedDuration::from_hours(400 * 24);

/// A record that a listing holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordHash {
    /// Its id in the target.
    pub id: String,
    /// A hash of the whole record, stable across versions.
    pub hash: u64,
    /// What it says about access; `None` for groups and licenses.
    pub facts: Option<AccessFacts>,
}

/// The result of adding records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Added {
    /// The records whose id the listing held already, in the order in which they were given. The first one
    /// stays in the listing.
    pub duplicates: Vec<Duplicate>,
}

/// A record whose id the listing held already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Duplicate {
    /// Its id.
    pub id: String,
    /// Whether the two have the same hash: the same record read twice, as offset paging does it.
    pub same: bool,
}

/// How the listing that is under way differs from what Iden is known to hold, for one resource type: from the listing of
/// the last completed sync, and from what uncompleted syncs have pushed and tasks have created since then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Records that are known of and count when removals are judged.
    pub known: u64,
    /// Records in the present listing.
    pub seen: u64,
    /// In the present listing, and in no earlier one.
    pub created: u64,
    /// In both, with different hashes.
    pub changed: u64,
    /// Not in the present listing: completing the sync would remove these.
    pub removed: u64,
    /// Those of them that only [doubted](Trust::Rejected) listings have ever had, and that count for nothing.
    pub doubted: u64,
}

/// How far the listing of a sync is believed that ends without being completed. What it has pushed is in Iden, whatever it
/// was; this says whether a later sync may remove it unasked. See `docs/decisions/0007-what-held-listings-leave.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// It was read to its end, and the removal guard has nothing against it: its records count like those of a completed
    /// sync.
    Accepted,
    /// It was not read completely, so it could not be judged. Its records count, until a doubted listing has them too.
    Unverified,
    /// The removal guard holds it. Records that no other listing had do not count.
    Rejected,
}

/// A part of a [`Difference`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// In the present listing only.
    Created,
    /// In both, with different hashes.
    Changed,
    /// Known, and not in the present listing.
    Removed,
    /// Those of them that count: not what only [doubted](Trust::Rejected) listings had.
    Counted,
    /// In the present listing, known or not.
    Seen,
}

/// A way in which access is taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LossKind {
    /// The record is gone.
    Removed,
    /// The account was active, and is no longer.
    Deactivated,
    /// The account lost memberships or assignments.
    Memberships,
}

impl LossKind {
    /// All of them.
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

/// How many of a type lose something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LossCount {
    /// The resource type.
    pub slug: String,
    /// What they lose.
    pub kind: LossKind,
    /// How many do.
    pub count: u64,
}

/// An account that is in the present listing, and had more access in the last one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loser {
    /// Their id.
    pub id: String,
    /// What they lose, beside what tasks have taken from them.
    pub loss: AccessLoss,
}

/// Some of those who lose access.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Losers {
    /// Who, ordered by id.
    pub losers: Vec<Loser>,
    /// Where to continue; `None` at the end.
    pub next: Option<String>,
}

/// Who had access in the last listing, of those that count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AccessBase {
    /// Accounts that were active.
    pub active: u64,
    /// Accounts with a membership or an assignment.
    pub with_refs: u64,
    /// Records of which that is not known: an earlier version did not write it down.
    pub unknown: u64,
}

/// What tasks changed of an account's access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Changes {
    /// Its status.
    pub status: bool,
    /// Its memberships or assignments.
    pub memberships: bool,
}

/// What Iden said of our last completed sync.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IdenTime {
    /// When the app was last synced, by Iden's clock, as it said after our last completed sync.
    pub synced_at: Option<Timestamp>,
    /// When we sent a `complete` after which Iden has not said so yet, by our clock.
    pub pending_since: Option<Timestamp>,
}

/// What the operator was last shown that a sync would take away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown {
    /// A digest of exactly that.
    pub digest: u64,
    /// How many losses it is.
    pub losses: u64,
}

/// The last completed sync.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastSync {
    /// When it completed.
    pub at: Timestamp,
    /// How many records of each resource type it held, by slug.
    pub counts: BTreeMap<String, u64>,
}

/// What Iden may hold of an app of which no completed sync is known here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BaselineOrigin {
    /// Nothing but what syncs that are recorded here have pushed.
    Ours,
    /// What syncs of another state have left there: this state was lost, or the app was synced from elsewhere.
    Lost,
}

impl BaselineOrigin {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Ours, Self::Lost];

    /// The stored name, such as `lost`. Earlier versions stored `ours` without evidence for it, so that name is no
    /// longer used, and counts as unknown.
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
/// [`completing`](Self::prepare_commit) before `complete` is sent, [`promote`](Self::commit) when the Bridge has taken it. A
/// sync that is abandoned after it has pushed something ends with [`retain`](Self::retain); what else there is of a listing is
/// dropped by the next `begin`, or the next start of the process.
///
/// # Contract
/// One listing of an app is under way at a time; different apps do not disturb one another. Memory does not
/// grow with the number of records. All that speaks of the present listing is [`Error::NoListing`] unless
/// `begin` was called and neither a `promote`, a `keep` nor a restart came after it: half a listing is never promoted. A restart
/// after `completing` promotes it.
/// Ids are compared byte by byte; ordered by id means that order.
#[async_trait]
pub trait SnapshotStore: Send + Sync + fmt::Debug + 'static {
    /// Begins a listing, and drops an unfinished one of the same app.
    async fn begin(&self, app: &AppKey) -> Result<(), Error>;

    /// Begins a listing that is only looked at, and ends with [`discard`](Self::discard). A crash in the middle of it is no
    /// interrupted sync.
    async fn begin_dry_run(&self, app: &AppKey) -> Result<(), Error>;

    /// Drops the present listing, as if it had never been. Where there is none, nothing happens.
    async fn discard(&self, app: &AppKey) -> Result<(), Error>;

    /// Adds records of one resource type. An empty slice notes that the type was listed.
    async fn add(&self, app: &AppKey, slug: &str, records: &[RecordHash]) -> Result<Added, Error>;

    /// Puts a record into the present listing, in place of one with the same id: a task changed it.
    async fn set(&self, app: &AppKey, slug: &str, seen: &RecordHash) -> Result<(), Error>;

    /// Takes a record out of the present listing: a task deleted it. One that is not in it is no error.
    async fn unset(&self, app: &AppKey, slug: &str, id: &str) -> Result<(), Error>;

    /// Which of these ids the present listing does not hold, in the order in which they were given.
    async fn missing(&self, app: &AppKey, slug: &str, ids: &[&str]) -> Result<Vec<String>, Error>;

    /// How many records the present listing holds.
    async fn seen_count(&self, app: &AppKey, slug: &str) -> Result<u64, Error>;

    /// How the present listing differs from what is known.
    async fn difference(&self, app: &AppKey, slug: &str) -> Result<Difference, Error>;

    /// The ids of a part of the difference, ordered by id, from the one after `after`, at most `limit`.
    async fn ids(
        &self,
        app: &AppKey,
        slug: &str,
        which: Which,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<String>, Error>;

    /// Those who lose access without being gone, from the one after `after`, some at a time. What tasks have
    /// [changed](Self::note_changed) is no loss.
    async fn losers(&self, app: &AppKey, slug: &str, after: Option<&str>) -> Result<Losers, Error>;

    /// Who had access in the last listing.
    async fn access_base(&self, app: &AppKey, slug: &str) -> Result<AccessBase, Error>;

    /// `complete` is about to be sent, which removes this in addition to the records that it removes. If the process
    /// ends before the result is known, the next start promotes the listing, as of this time: what `complete` removes
    /// has been judged, and what it left must be known.
    async fn prepare_commit(&self, app: &AppKey, at: Timestamp, losses: &[LossCount]) -> Result<(), Error>;

    /// Makes the present listing the last completed one and records how many of each type were removed that count. A
    /// type that the present listing does not have is dropped, and counts as removed whole: `complete` has PUT
    /// semantics. All of it happens, or nothing.
    async fn commit(&self, app: &AppKey, at: Timestamp) -> Result<(), Error>;

    /// The sync ends without `complete`. What it pushed stays in Iden, so the present listing is added to what later ones
    /// are compared with, and ends. What is said of it decides whether that counts when removals are judged; what a
    /// completed or a plausible listing had counts whatever comes after it. This makes no completed sync of it: see
    /// [`last`](Self::last).
    async fn retain(&self, app: &AppKey, belief: Trust) -> Result<(), Error>;

    /// A task has created an account, so Iden holds it. It counts when removals are judged, although no sync has seen it
    /// yet.
    async fn note_created(&self, app: &AppKey, slug: &str, id: &str) -> Result<(), Error>;

    /// A task has deleted an account. If [no sync has seen it](Self::note_created), it no longer counts.
    async fn note_deleted(&self, app: &AppKey, slug: &str, id: &str) -> Result<(), Error>;

    /// A task has changed an account's access, which the next completed sync therefore is not surprised at.
    async fn note_changed(&self, app: &AppKey, slug: &str, id: &str, changes: Changes) -> Result<(), Error>;

    /// The resource types of which anything is known but the present listing.
    async fn known_slugs(&self, app: &AppKey) -> Result<Vec<String>, Error>;

    /// How many records of a type completed syncs have removed since this instant, it included. Removals are
    /// remembered for 400 days.
    async fn removals_since(&self, app: &AppKey, slug: &str, since: Timestamp) -> Result<u64, Error>;

    /// How many of a type lost something else by completed syncs since this instant, it included.
    async fn losses_since(
        &self,
        app: &AppKey,
        slug: &str,
        kind: LossKind,
        since: Timestamp,
    ) -> Result<u64, Error>;

    /// Removals and other losses up to now no longer count: the operator has allowed them.
    async fn forgive_removals(&self, app: &AppKey) -> Result<(), Error>;

    /// The last completed sync; `None` if there was none, or the state was lost.
    async fn last(&self, app: &AppKey) -> Result<Option<LastSync>, Error>;

    /// What was found out about the time before the first completed sync; `None` if this was not checked.
    async fn past(&self, app: &AppKey) -> Result<Option<BaselineOrigin>, Error>;

    /// Keeps what was found out about the time before the first completed sync.
    async fn set_past(&self, app: &AppKey, past: BaselineOrigin) -> Result<(), Error>;

    /// What Iden said of our last completed sync.
    async fn iden_time(&self, app: &AppKey) -> Result<IdenTime, Error>;

    /// Iden says that the app was last synced then, and that was this process's sync. Nothing is pending.
    async fn set_iden_time(&self, app: &AppKey, synced_at: Timestamp) -> Result<(), Error>;

    /// What the operator was last shown; `None` if nothing since the last completed sync.
    async fn shown(&self, app: &AppKey) -> Result<Option<Shown>, Error>;

    /// The operator is shown this.
    async fn set_shown(&self, app: &AppKey, shown: Shown) -> Result<(), Error>;

    /// Whether a sync has started of which no run was recorded: the process died in the middle of it.
    async fn was_interrupted(&self, app: &AppKey) -> Result<bool, Error>;

    /// Records a sync for the operator, which ends it. Those of the last 30 days are kept, the last 200 of an app
    /// whenever they were, and never more than 5,000.
    async fn record_run(&self, app: &AppKey, run: &Run) -> Result<(), Error>;

    /// The last syncs, newest first.
    async fn runs(&self, app: &AppKey, limit: u32) -> Result<Vec<Run>, Error>;
}

/// The trait must stay usable as an object.
const _: Option<&dyn SnapshotStore> = None;
