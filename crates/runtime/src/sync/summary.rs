//! What a sync did, or would do.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::consent::{Consent, Digest};
use super::outcome::{NextSync, SyncResult};
use bridgehead_store::{LossKind, RunReason};

/// What is asked of a sync.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Read and validate everything, push nothing.
    pub dry_run: bool,
    /// What the removal guard lets pass, this once.
    pub allow_removals: Option<Consent>,
}

/// What a sync did, or would do, to one resource type.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TypeSummary {
    /// Good records read from the target.
    pub listed: u64,
    /// Records that no sync since the last completed one had, itself included.
    pub created: u64,
    /// Records that differ from what was pushed last.
    pub changed: u64,
    /// Records of the last completed sync or of one since, and accounts that tasks created since, that are gone; 0 if the
    /// target was not read to its end.
    pub removed: u64,
}

impl std::fmt::Display for TypeSummary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { listed, created, changed, removed } = self;
        write!(f, "{listed} records, {created} new, {changed} changed, {removed} removed")
    }
}

/// A record that was not pushed, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvalidRecord {
    /// The resource type.
    pub resource_type: String,
    /// The record's identifier, or where it stands.
    pub record: String,
    /// The field that is wrong; empty where only Iden knows.
    pub field: String,
    /// The rule it breaks.
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
    /// It would take away more than the removal guard lets pass.
    AccessGuard,
    /// No completed sync is known here, and Iden may hold records.
    LostState,
    /// Iden has seen a later sync than the last one known here.
    StaleState,
    /// It is the first sync of the app, and `sync.first` is `ask`.
    FirstSync,
    /// Nothing shows that a listing was read to its end.
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
    /// The name, as the target shows it now; only of the first ones, and only of those who are still there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// How many memberships and assignments it loses.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub memberships: u32,
    /// The listing does not have it, and yet the target finds it: the listing may be wrong.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_still_there: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// What a sync took away, or would take away, of one type in one way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LossSummary {
    /// The resource type.
    pub resource_type: String,
    /// How.
    pub kind: LossKind,
    /// How many lose something.
    pub count: u64,
    /// How many had it to lose.
    pub of: u64,
    /// Who, ordered by identifier: all of them, or the first ten thousand.
    pub records: Vec<LostRecord>,
}

/// What a sync did, or would do.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Summary {
    /// `completed`, `abandoned`, `held`, `failed`, or `rehearsed` for a dry run that found nothing wrong.
    pub result: SyncResult,
    /// Why, where the result does not say everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<RunReason>,
    /// A sentence.
    pub detail: String,
    /// Whether nothing was pushed on purpose.
    pub dry_run: bool,
    /// By resource type.
    pub resource_types: BTreeMap<String, TypeSummary>,
    /// How many records were not valid.
    pub invalid_count: u64,
    /// The first of them.
    pub invalid: Vec<InvalidRecord>,
    /// The identifiers that completing removed or would remove, by resource type: all of them, or the first ten thousand.
    pub removals: BTreeMap<String, Vec<String>>,
    /// What the removal guard counted: records removed, accounts deactivated, accounts that lose memberships.
    #[serde(default)]
    pub losses: Vec<LossSummary>,
    /// Why the sync is held, the weightiest reason first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub held_because: Vec<HeldReason>,
    /// The digest of exactly what a held sync would take away, for `--allow-removals`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// What shows that each listing was read to its end, by resource type, such as `end_of_cursor`; `none` where nothing does.
    #[serde(default)]
    pub evidence: BTreeMap<String, String>,
    /// What the schedule is to do next.
    #[serde(skip)]
    pub(crate) follow_up: NextSync,
}

impl Summary {
    /// Whether everything went through.
    pub fn is_success(&self) -> bool {
        matches!(self.result, SyncResult::Completed | SyncResult::Rehearsed)
    }
}

/// So many bad records are kept with all details; of the others only the number.
const KEPT: usize = 1000;
/// So many have a line in the log each.
const LOGGED: u64 = 100;

/// Collects bad records without growing with their number.
#[derive(Debug, Default)]
pub(super) struct Invalid {
    pub(super) count: u64,
    pub(super) kept: Vec<InvalidRecord>,
}

impl Invalid {
    /// Whether the next one is to be logged: a million of them must not fill the disk.
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
