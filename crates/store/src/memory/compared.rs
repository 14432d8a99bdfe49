//! A snapshot, and the comparison of the known records with the current ones.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::super::{AccessBase, AccessFacts, Difference, Loser, Losers, Trust, Which};

/// The number of records with different access that are compared at a time.
const PIECE: usize = 500;

/// The records of a snapshot, ordered by id.
pub(super) type Records = BTreeMap<String, Record>;

/// A snapshot without records.
pub(super) static EMPTY: Records = Records::new();

/// A record of a snapshot.
#[derive(Clone)]
pub(super) struct Record {
    pub(super) hash: u64,
    pub(super) facts: Option<AccessFacts>,
    /// Where the record is known from.
    pub(super) standing: Standing,
}

/// Where a record is known from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// From a completed sync, or one that the removal guard would have allowed to complete.
    Believed,
    /// Only from syncs that were not read completely.
    Unjudged,
    /// Only from syncs that the removal guard holds.
    Doubted,
    /// From a task that created it; no sync has contained it yet, and its hash is meaningless.
    Created,
}

impl From<Trust> for Standing {
    fn from(belief: Trust) -> Self {
        match belief {
            Trust::Accepted => Self::Believed,
            Trust::Unverified => Self::Unjudged,
            Trust::Rejected => Self::Doubted,
        }
    }
}

impl Record {
    /// Whether it counts for the removal guard.
    pub(super) fn counts(&self) -> bool {
        self.standing != Standing::Doubted
    }

    fn was_seen(&self) -> bool {
        self.standing != Standing::Created
    }

    /// Adds the record from an uncompleted sync.
    pub(super) fn keep(&mut self, seen: Self) {
        self.hash = seen.hash;
        self.standing = match (seen.standing, self.standing) {
            (Standing::Believed, _) | (_, Standing::Created) => Standing::Believed,
            (Standing::Doubted, Standing::Unjudged) => Standing::Doubted,
            (_, standing) => standing,
        };
        // Keep the account's access from the last completed sync, and add what it has gained.
        match (&mut self.facts, seen.facts) {
            (Some(facts), Some(seen)) => drop(facts.gain(&seen)),
            (facts @ None, seen) => *facts = seen,
            (Some(_), None) => {}
        }
    }
}

/// The two snapshots of a resource type.
pub(super) struct Compared<'a> {
    pub(super) present: &'a Records,
    pub(super) last: &'a Records,
}

impl Compared<'_> {
    pub(super) fn difference(&self) -> Difference {
        let seen = self.present.len() as u64;
        let removed = self.gone(|_| true);
        Difference {
            known: count(self.last.values(), |record| record.counts()),
            seen,
            created: count(self.present.keys(), |id| !self.was_seen(id)),
            changed: count(self.present.iter(), |(id, record)| self.has_changed(id, record)),
            removed,
            doubted: removed - self.gone(Record::counts),
            confirmed: count(self.last.iter(), |(id, record)| !record.counts() && !self.is_gone(id)),
        }
    }

    /// The number of known records that are missing from the current snapshot.
    pub(super) fn gone(&self, wanted: impl Fn(&Record) -> bool) -> u64 {
        count(self.last.iter(), |(id, record)| self.is_gone(id) && wanted(record))
    }

    pub(super) fn ids(&self, which: Which, after: Option<&str>, limit: u32) -> Vec<String> {
        let listing = match which {
            Which::Created | Which::Changed | Which::Seen => self.present,
            Which::Removed | Which::Counted => self.last,
        };
        let wanted = |(id, record): &(&String, &Record)| match which {
            Which::Created => !self.was_seen(id),
            Which::Changed => self.has_changed(id, record),
            Which::Removed => self.is_gone(id),
            Which::Counted => self.is_gone(id) && record.counts(),
            Which::Seen => true,
        };
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        behind(listing, after).filter(wanted).take(limit).map(|(id, _)| id.clone()).collect()
    }

    /// Accounts that lose access without being removed.
    pub(super) fn losers(&self, after: Option<&str>) -> Losers {
        let differ = |(id, now): (&String, &Record)| {
            let (before, now) = (self.last.get(id).filter(|before| before.counts())?, now.facts.as_ref()?);
            let before = before.facts.as_ref().filter(|before| *before != now)?;
            Some((id.clone(), now.loss_since(before)))
        };
        let piece: Vec<_> = behind(self.present, after).filter_map(differ).take(PIECE).collect();
        let next = piece.last().filter(|_| piece.len() == PIECE).map(|(id, _)| id.clone());
        let all = piece.into_iter().map(|(id, loss)| Loser { id, loss });
        let losers = all.filter(|loser| loser.loss.deactivated || loser.loss.refs > 0).collect();
        Losers { losers, next }
    }

    pub(super) fn access_base(&self) -> AccessBase {
        let counting = || self.last.values().filter(|record| record.counts());
        let of = |wanted: fn(&AccessFacts) -> bool| {
            count(counting(), |record| record.facts.as_ref().is_some_and(wanted))
        };
        AccessBase {
            active: of(AccessFacts::is_active),
            with_refs: of(AccessFacts::has_refs),
            unknown: count(counting(), |record| record.facts.is_none() && record.was_seen()),
        }
    }

    fn was_seen(&self, id: &str) -> bool {
        self.last.get(id).is_some_and(Record::was_seen)
    }

    fn has_changed(&self, id: &str, now: &Record) -> bool {
        self.last.get(id).is_some_and(|before| before.was_seen() && before.hash != now.hash)
    }

    fn is_gone(&self, id: &str) -> bool {
        !self.present.contains_key(id)
    }
}

fn behind<'a>(records: &'a Records, after: Option<&str>) -> impl Iterator<Item = (&'a String, &'a Record)> {
    records.range::<str, _>((after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded))
}

fn count<T>(items: impl Iterator<Item = T>, wanted: impl Fn(&T) -> bool) -> u64 {
    items.filter(wanted).count() as u64
}
