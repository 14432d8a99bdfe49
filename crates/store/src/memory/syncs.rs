//! The snapshots and results of an app's syncs.

use std::collections::{BTreeMap, VecDeque};

use jiff::Timestamp;

use super::super::history::{KEPT, RUNS_AT_LEAST, RUNS_AT_MOST};
use super::super::snapshot::REMEMBERED;
use super::super::{
    AccessFacts, Added, AppKey, BaselineOrigin, Changes, Duplicate, Error, IdenTime, LastSync, LossCount,
    LossKind, RecordHash, RecordedRun, Run, Shown, Trust,
};
use super::compared::{Compared, EMPTY, Record, Records, Standing};
use super::instant::kept;

/// The syncs of an app.
#[derive(Default)]
pub(super) struct Syncs {
    /// The snapshot in progress.
    present: Option<Present>,
    /// The known records, by slug.
    known: BTreeMap<String, Known>,
    completed_at: Option<Timestamp>,
    /// Losses caused by completed syncs.
    losses: Vec<(Timestamp, LossCount)>,
    pub(super) past: Option<BaselineOrigin>,
    pub(super) iden: IdenTime,
    pub(super) shown: Option<Shown>,
    /// Whether a sync has started without a recorded run.
    pub(super) is_unrecorded: bool,
    /// Newest first.
    runs: VecDeque<RecordedRun>,
}

/// A snapshot in progress.
#[derive(Default)]
struct Present {
    listings: BTreeMap<String, Records>,
    /// When `complete` was about to be sent, and the losses that it causes.
    completing: Option<(Timestamp, Vec<LossCount>)>,
}

/// The known records of a resource type.
#[derive(Default)]
struct Known {
    records: Records,
    /// How many records the last completed sync had.
    completed: u64,
}

impl Syncs {
    pub(super) fn begin(&mut self, is_dry_run: bool) {
        self.drop_unfinished();
        self.present = Some(Present::default());
        self.is_unrecorded |= !is_dry_run;
    }

    pub(super) fn discard(&mut self) {
        self.present = None;
    }

    /// Drops or commits an unfinished snapshot, as a new process or the next sync does.
    pub(super) fn drop_unfinished(&mut self) {
        if let Some(present) = self.present.take()
            && let Some((at, _)) = present.completing
        {
            self.complete(present, at);
        }
    }

    /// The current snapshot of a type, which is created if necessary.
    fn present(&mut self, app: &AppKey, slug: &str) -> Result<&mut Records, Error> {
        let present = self.present.as_mut().ok_or_else(|| no_listing(app))?;
        Ok(present.listings.entry(slug.to_owned()).or_default())
    }

    pub(super) fn add(&mut self, app: &AppKey, slug: &str, records: &[RecordHash]) -> Result<Added, Error> {
        let listing = self.present(app, slug)?;
        let mut added = Added::default();
        for seen in records {
            if let Some(first) = listing.get(&seen.id) {
                let same = first.hash == seen.hash;
                added.duplicates.push(Duplicate { id: seen.id.clone(), same });
            } else {
                listing.insert(seen.id.clone(), record(seen));
            }
        }
        Ok(added)
    }

    pub(super) fn set(&mut self, app: &AppKey, slug: &str, seen: &RecordHash) -> Result<(), Error> {
        self.present(app, slug)?.insert(seen.id.clone(), record(seen));
        Ok(())
    }

    pub(super) fn unset(&mut self, app: &AppKey, slug: &str, id: &str) -> Result<(), Error> {
        self.present(app, slug)?.remove(id);
        Ok(())
    }

    pub(super) fn compared(&self, app: &AppKey, slug: &str) -> Result<Compared<'_>, Error> {
        let present = self.present.as_ref().ok_or_else(|| no_listing(app))?;
        Ok(self.compare(present, slug))
    }

    fn compare<'a>(&'a self, present: &'a Present, slug: &str) -> Compared<'a> {
        Compared {
            present: present.listings.get(slug).unwrap_or(&EMPTY),
            last: self.known.get(slug).map_or(&EMPTY, |known| &known.records),
        }
    }

    pub(super) fn prepare_commit(
        &mut self,
        app: &AppKey,
        at: Timestamp,
        losses: &[LossCount],
    ) -> Result<(), Error> {
        let present = self.present.as_mut().ok_or_else(|| no_listing(app))?;
        present.completing = Some((kept(at), losses.to_vec()));
        self.iden.pending_since = Some(kept(at));
        Ok(())
    }

    pub(super) fn commit(&mut self, app: &AppKey, at: Timestamp) -> Result<(), Error> {
        let present = self.present.take().ok_or_else(|| no_listing(app))?;
        self.complete(present, at);
        Ok(())
    }

    fn complete(&mut self, present: Present, at: Timestamp) {
        let mut losses = Vec::new();
        for slug in self.known.keys() {
            let count = self.compare(&present, slug).gone(Record::counts);
            losses.push(LossCount { slug: slug.clone(), kind: LossKind::Removed, count });
        }
        losses.extend(present.completing.into_iter().flat_map(|(_, losses)| losses));
        let lost = losses.into_iter().filter(|loss| loss.count > 0);
        self.losses.extend(lost.map(|loss| (kept(at), loss)));
        let forgotten = kept(at.saturating_sub(REMEMBERED).unwrap_or(Timestamp::MIN));
        self.losses.retain(|(at, _)| *at >= forgotten);
        let known = |(slug, records): (String, Records)| {
            let completed = records.len() as u64;
            (slug, Known { records, completed })
        };
        self.known = present.listings.into_iter().map(known).collect();
        self.completed_at = Some(kept(at));
        self.shown = None;
    }

    pub(super) fn retain(&mut self, app: &AppKey, belief: Trust) -> Result<(), Error> {
        let present = self.present.take().ok_or_else(|| no_listing(app))?;
        for (slug, records) in present.listings {
            let known = &mut self.known.entry(slug).or_default().records;
            for (id, mut seen) in records {
                seen.standing = belief.into();
                if belief == Trust::Rejected {
                    seen.facts = None;
                }
                match known.get_mut(&id) {
                    Some(record) => record.keep(seen),
                    None => drop(known.insert(id, seen)),
                }
            }
        }
        Ok(())
    }

    pub(super) fn note_created(&mut self, slug: &str, id: &str, access: Option<&AccessFacts>) {
        let records = &mut self.known.entry(slug.to_owned()).or_default().records;
        if let Some(record) = records.get_mut(id) {
            if record.standing != Standing::Created {
                record.standing = Standing::Believed;
            }
            if let Some(access) = access {
                record.facts = Some(access.clone());
            }
        } else {
            // No record has this hash: no sync has read the account yet.
            let facts = access.cloned();
            records.insert(id.to_owned(), Record { hash: 0, facts, standing: Standing::Created });
        }
    }

    pub(super) fn note_deleted(&mut self, slug: &str, id: &str) {
        if let Some(known) = self.known.get_mut(slug)
            && known.records.get(id).is_some_and(|record| record.standing == Standing::Created)
        {
            known.records.remove(id);
        }
    }

    pub(super) fn note_changed(&mut self, slug: &str, id: &str, changes: &Changes) {
        let Some(record) = self.known.get_mut(slug).and_then(|known| known.records.get_mut(id)) else {
            return;
        };
        match (&mut record.facts, changes) {
            (Some(facts), changes) => facts.change(changes),
            (facts @ None, Changes { is_active: Some(is_active), refs: Some(refs) }) => {
                *facts = Some(AccessFacts::new(*is_active, refs.iter().copied()));
            }
            (None, _) => {}
        }
    }

    pub(super) fn known_slugs(&self) -> Vec<String> {
        let known = self.known.iter().filter(|(_, known)| !known.records.is_empty());
        known.map(|(slug, _)| slug.clone()).collect()
    }

    pub(super) fn losses_since(&self, slug: &str, kind: LossKind, since: Timestamp) -> u64 {
        let since = kept(since);
        let wanted =
            self.losses.iter().filter(|(at, loss)| *at >= since && loss.slug == slug && loss.kind == kind);
        wanted.fold(0, |sum, (_, loss)| sum.saturating_add(loss.count))
    }

    pub(super) fn forgive_removals(&mut self) {
        self.losses.clear();
    }

    pub(super) fn last(&self) -> Option<LastSync> {
        let counts = self.known.iter().map(|(slug, known)| (slug.clone(), known.completed)).collect();
        Some(LastSync { at: self.completed_at?, counts })
    }

    pub(super) fn record_run(&mut self, run: &Run, id: u64) {
        let run = Run { started_at: kept(run.started_at), ended_at: kept(run.ended_at), ..run.clone() };
        let forgotten = kept(run.ended_at.saturating_sub(KEPT).unwrap_or(Timestamp::MIN));
        self.runs.push_front(RecordedRun { id, run });
        self.runs.truncate(usize::from(RUNS_AT_MOST));
        let mut newer = 0;
        self.runs.retain(|recorded| {
            newer += 1;
            newer <= RUNS_AT_LEAST || recorded.run.ended_at >= forgotten
        });
        self.is_unrecorded = false;
    }

    pub(super) fn runs(&self, limit: u32) -> Vec<Run> {
        let runs = self.runs.iter().take(usize::try_from(limit).unwrap_or(usize::MAX));
        runs.map(|recorded| recorded.run.clone()).collect()
    }

    /// All stored runs, newest first.
    pub(super) fn recorded(&self) -> impl Iterator<Item = &RecordedRun> {
        self.runs.iter()
    }
}

fn record(seen: &RecordHash) -> Record {
    Record { hash: seen.hash, facts: seen.facts.clone(), standing: Standing::Believed }
}

fn no_listing(app: &AppKey) -> Error {
    Error::NoListing { app: app.clone() }
}
