//! The record of a sync: everything needed when it ends, in whichever phase.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bridgehead_sdk::{ResourceKind, ResourceType};
use jiff::Timestamp;

use super::baseline::Baseline;
use super::consent::Asked;
use super::losses::Losses;
use super::push::PushCounts;
use super::summary::Invalid;
use super::{HeldReason, TypeSummary};
use bridgehead_bridge::SyncId;

/// What a sync has found out and left in Iden so far. The phases only borrow it, so an error or a stop in the middle of one loses nothing.
#[derive(Debug, Default)]
pub(super) struct RunRecord {
    pub(super) offer: Offer,
    /// The session, while it can still be abandoned.
    pub(super) session: Option<SyncId>,
    /// Whether a session was ever started: then Iden may have some of the records.
    pub(super) has_begun: bool,
    extent: Extent,
    pub(super) baseline: Baseline,
    /// Iden's time of the app's last sync, as of before this sync.
    pub(super) synced_before: Option<Timestamp>,
    /// Whether the responses to the pages show that Iden had no records except those pushed by syncs of this state.
    pub(super) is_past_shown: bool,
    /// Counts from the responses to the pages.
    pub(super) tallies: PushCounts,
    pub(super) invalid: Invalid,
    /// The evidence that each listing is complete.
    pub(super) evidence: BTreeMap<String, String>,
    /// The types without evidence.
    pub(super) unproven: BTreeSet<String>,
    pub(super) measured: Measured,
    /// The removals that the operator is asked to approve.
    pub(super) asked: Option<Asked>,
    pub(super) held_because: Vec<HeldReason>,
    /// Whether the operator has approved a sync that would otherwise have been held.
    pub(super) has_consent: bool,
}

/// The resource types of a sync.
#[derive(Debug, Default)]
pub(super) struct Offer {
    /// Sorted: groups, licenses, accounts.
    pub(super) types: Vec<ResourceType>,
    /// The kind of each slug.
    pub(super) kinds: BTreeMap<String, ResourceKind>,
}

/// What completing would do, as far as counted.
#[derive(Debug, Default)]
pub(super) struct Measured {
    pub(super) figures: BTreeMap<String, TypeSummary>,
    pub(super) removals: BTreeMap<String, Vec<String>>,
    /// Records that only held syncs saw, and that would be removed uncounted.
    pub(super) doubted: BTreeMap<String, u64>,
    /// What completing would remove; only for a complete listing.
    pub(super) losses: Option<Arc<Losses>>,
}

/// How far the listing has progressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Extent {
    /// It has not started: the journal's current snapshot belongs to an earlier sync.
    #[default]
    Nothing,
    /// It has started. Records not listed yet may still follow.
    Part,
    /// Every type was read completely: records that were not listed do not exist in the target.
    Whole,
    /// Iden has accepted `complete`.
    Completed,
}

impl RunRecord {
    pub(super) fn extent(&self) -> Extent {
        self.extent
    }

    /// Only for the transitions between phases.
    pub(super) fn reach(&mut self, extent: Extent) {
        self.extent = extent;
    }
}
