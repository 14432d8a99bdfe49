//! What the end of a sync needs, whichever phase it ends in.

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

/// What a sync has found out and left behind so far. The phases only borrow it, so an error or a stop in the middle of one loses
/// nothing of it.
#[derive(Debug, Default)]
pub(super) struct RunRecord {
    pub(super) offer: Offer,
    /// The session, while it can be abandoned.
    pub(super) session: Option<SyncId>,
    /// Whether there ever was one: then Iden may hold something of it.
    pub(super) has_begun: bool,
    extent: Extent,
    pub(super) baseline: Baseline,
    /// When Iden said, before this sync, that the app was last synced.
    pub(super) synced_before: Option<Timestamp>,
    /// Whether the answers to the pages show that Iden held nothing but what syncs of this state have pushed.
    pub(super) is_past_shown: bool,
    /// The results of the pages.
    pub(super) tallies: PushCounts,
    pub(super) invalid: Invalid,
    /// What showed that each listing was read to its end.
    pub(super) evidence: BTreeMap<String, String>,
    /// The types of which nothing did.
    pub(super) unproven: BTreeSet<String>,
    pub(super) measured: Measured,
    /// What the operator is asked to allow.
    pub(super) asked: Option<Asked>,
    pub(super) held_because: Vec<HeldReason>,
    /// Whether the operator has allowed what would have been held.
    pub(super) has_consent: bool,
}

/// The resource types of a sync.
#[derive(Debug, Default)]
pub(super) struct Offer {
    /// Groups, licenses, accounts, in this order.
    pub(super) types: Vec<ResourceType>,
    /// What each slug stands for.
    pub(super) kinds: BTreeMap<String, ResourceKind>,
}

/// What completing would do, as far as it was counted.
#[derive(Debug, Default)]
pub(super) struct Measured {
    pub(super) figures: BTreeMap<String, TypeSummary>,
    pub(super) removals: BTreeMap<String, Vec<String>>,
    /// Records that only held listings had, and that go without being counted.
    pub(super) doubted: BTreeMap<String, u64>,
    /// What completing would take away; only of a listing that was read to its end.
    pub(super) losses: Option<Arc<Losses>>,
}

/// How far the listing is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Extent {
    /// It has not started: what the journal calls the present listing is that of an earlier sync.
    #[default]
    Nothing,
    /// It has started. Who is not in it yet may still come.
    Part,
    /// Every type was read to its end: who is not in it is not in the target.
    Whole,
    /// Iden has taken `complete`.
    Completed,
}

impl RunRecord {
    pub(super) fn extent(&self) -> Extent {
        self.extent
    }

    /// For the transitions between the phases alone.
    pub(super) fn reach(&mut self, extent: Extent) {
        self.extent = extent;
    }
}
