//! Options and results of a sync.

use bridgehead_sdk::counted;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::consent::{Consent, Digest};
use super::outcome::{NextSync, SyncResult};
use bridgehead_store::{LossKind, RunReason};

/// Options of a sync.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Read and validate everything, push nothing.
    pub dry_run: bool,
    /// The removals approved for this sync only.
    pub allow_removals: Option<Consent>,
}

/// What a sync did, or would do, to one resource type.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TypeSummary {
    /// Valid records read from the target.
    pub listed: u64,
    /// Records that neither the last completed sync nor any later one contained, except this one.
    pub created: u64,
    /// Records that differ from what was last pushed.
    pub changed: u64,
    /// Missing records that the last completed sync or a later one contained, and missing accounts that tasks have created since; 0 if the
    /// target was not read completely.
    pub removed: u64,
}

impl std::fmt::Display for TypeSummary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { listed, created, changed, removed } = self;
        let records = counted(*listed, "record", "records");
        write!(f, "{records}, {created} new, {changed} changed, {removed} removed")
    }
}

/// A record that was not pushed, with the reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvalidRecord {
    /// The resource type.
    pub resource_type: String,
    /// The record's identifier, or its position.
    pub record: String,
    /// The invalid field; empty if only Iden knows it.
    pub field: String,
    /// The violated rule.
    pub rule: String,
}

impl std::fmt::Display for InvalidRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} '{}': ", self.resource_type, self.record)?;
        if !self.field.is_empty() {
            write!(f, "{} ", self.field)?;
        }
        f.write_str(&self.rule)
    }
}

/// Why a sync is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HeldReason {
    /// It would remove more than the removal guard allows.
    AccessGuard,
    /// No completed sync is recorded here, and Iden may have records.
    LostState,
    /// Iden has seen a later sync than the last one recorded here.
    StaleState,
    /// It is the first sync of the app, and `sync.first` is `ask`.
    FirstSync,
    /// There is no evidence that a listing is complete.
    NotProven,
}

impl HeldReason {
    /// The name, such as `access_guard`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AccessGuard => "access_guard",
            Self::LostState => "lost_state",
            Self::StaleState => "stale_state",
            Self::FirstSync => "first_sync",
            Self::NotProven => "not_proven",
        }
    }
}

/// A record that loses access.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LostRecord {
    /// The identifier.
    pub id: String,
    /// The current name in the target; only for the first records, and only for accounts that still exist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The number of memberships and assignments that it loses.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub memberships: u32,
    /// The record is missing from the listing, but the target still finds it: the listing may be wrong.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_still_there: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// One kind of loss in one resource type that a sync caused, or would cause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LossSummary {
    /// The resource type.
    pub resource_type: String,
    /// The kind of loss.
    pub kind: LossKind,
    /// The number of affected records.
    pub count: u64,
    /// The number of records that could be affected.
    pub of: u64,
    /// The affected records, ordered by identifier: all of them, or the first ten thousand.
    pub records: Vec<LostRecord>,
}

/// What a sync did, or would do.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Summary {
    /// `completed`, `abandoned`, `held`, `failed`, or `rehearsed` for a dry run that found nothing wrong.
    pub result: SyncResult,
    /// The reason, if the result is not self-explanatory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<RunReason>,
    /// A sentence that describes the result.
    pub detail: String,
    /// Whether nothing was pushed on purpose.
    pub dry_run: bool,
    /// By resource type.
    pub resource_types: BTreeMap<String, TypeSummary>,
    /// The number of invalid records.
    pub invalid_count: u64,
    /// The first invalid records.
    pub invalid: Vec<InvalidRecord>,
    /// The identifiers of records that completing removed or would remove, by resource type: all of them, or the first ten thousand.
    pub removals: BTreeMap<String, Vec<String>>,
    /// The losses that the removal guard counted: records removed, accounts deactivated, accounts that lose memberships.
    #[serde(default)]
    pub losses: Vec<LossSummary>,
    /// Why the sync is held, most important reason first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub held_because: Vec<HeldReason>,
    /// The digest of exactly what a held sync would remove, for `--allow-removals`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// The evidence that each listing is complete, by resource type, such as `end_of_cursor`; `none` if there is none.
    #[serde(default)]
    pub evidence: BTreeMap<String, String>,
    /// When the next sync should follow.
    #[serde(skip)]
    pub(crate) follow_up: NextSync,
}

impl Summary {
    /// Whether the sync succeeded.
    pub fn is_success(&self) -> bool {
        matches!(self.result, SyncResult::Completed | SyncResult::Rehearsed)
    }
}

/// The maximum number of invalid records stored with all details; the others are only counted.
const KEPT: usize = 1000;
/// The maximum number of invalid records that are logged individually.
const LOGGED: u64 = 100;

/// Collects invalid records with bounded memory.
#[derive(Debug, Default)]
pub(super) struct Invalid {
    pub(super) count: u64,
    pub(super) kept: Vec<InvalidRecord>,
}

impl Invalid {
    /// Whether to log the next one: a million log lines must not fill the disk.
    pub(super) fn is_worth_a_line(&self) -> bool {
        self.count < LOGGED
    }

    pub(super) fn add(&mut self, record: InvalidRecord) {
        self.count += 1;
        if self.kept.len() < KEPT {
            self.kept.push(record);
        }
    }
}
