//! Measures what completing a sync would remove, compared with the last completed sync.

use std::sync::Arc;

use bridgehead_sdk::ResourceKind;

use super::consent::Digester;
use super::record::{Measured as Counted, Offer};
use super::{Error, TypeSummary, guard};
use crate::app::AppContext;
use bridgehead_config::Guard;
use bridgehead_store::{AccessBase, Difference, LossCount, LossKind, Which};

/// The maximum number of affected records stored individually, per type and kind.
const KEPT: usize = 10_000;
/// The number of identifiers read at a time.
const PIECE: u32 = 1000;

/// What completing would remove.
#[derive(Clone, Debug, Default)]
pub(super) struct Losses {
    /// By type and kind, if anything could be lost.
    pub(super) all: Vec<Measured>,
    /// Records whose previous access is unknown.
    pub(super) unknown: u64,
    pub(super) digester: Digester,
}

/// One kind of loss in one resource type.
#[derive(Clone, Debug)]
pub(super) struct Measured {
    pub(super) slug: String,
    pub(super) loss: guard::Loss,
    /// Those of the lost records that only held listings had.
    pub(super) doubted: u64,
    /// Whether the connector offers the resource type.
    pub(super) is_offered: bool,
    /// The first affected records, with the number of memberships that each loses.
    pub(super) losers: Vec<(String, u32)>,
}

impl Losses {
    /// The total number of losses.
    pub(super) fn count(&self) -> u64 {
        self.all.iter().map(|one| one.loss.lost).sum()
    }

    /// The losses that count within the window. The state itself counts removed records, except for those that only held listings had.
    pub(super) fn to_record(&self) -> Vec<LossCount> {
        let counts = self.all.iter().map(|one| {
            let count = if one.loss.kind == LossKind::Removed { one.doubted } else { one.loss.lost };
            LossCount { slug: one.slug.clone(), kind: one.loss.kind, count }
        });
        counts.filter(|loss| loss.count > 0).collect()
    }

    /// The removal guard's reasons to hold the sync. `spared` is the number of missing records that do not count.
    pub(super) fn verdicts(&self, settings: &Guard, spared: u64) -> Vec<String> {
        let mut held = Vec::new();
        for measured in &self.all {
            let mut loss = measured.loss;
            if loss.kind == LossKind::Removed {
                loss.lost = loss.lost.saturating_sub(spared);
                loss.is_everything = loss.lost >= loss.known;
            }
            held.extend(guard::violation(&measured.slug, settings, loss).map(|why| {
                if measured.is_offered {
                    why
                } else {
                    format!("{why} (the connector no longer offers {})", measured.slug)
                }
            }));
        }
        held
    }
}

/// Whether records that only held listings had count, too. A listing that has some of them shows that the held listings were right about
/// those. So they may be right about the others, and this listing may lack them.
fn are_all_counted(difference: Difference) -> bool {
    difference.confirmed > 0
}

/// Compares the current snapshot with what Iden is known to have.
#[derive(Clone, Copy)]
pub(super) struct Meter<'a> {
    pub(super) app: &'a AppContext,
    pub(super) offer: &'a Offer,
}

impl Meter<'_> {
    /// Measures what completing would remove, for a complete listing.
    pub(super) async fn measure(&self, into: &mut Counted) -> Result<Arc<Losses>, Error> {
        let mut losses = Losses::default();
        for slug in self.all_slugs().await? {
            let found = self.count(&slug, true, into).await?;
            let counts = are_all_counted(found);
            if found.doubted > 0 && !counts {
                into.doubted.insert(slug.clone(), found.doubted);
            }
            self.measure_type(&slug, found, counts, &mut losses).await?;
        }
        Ok(Arc::clone(into.losses.insert(Arc::new(losses))))
    }

    /// Counts an incomplete listing, which cannot show which records are missing or what they lost.
    pub(super) async fn count_part(&self, into: &mut Counted) -> Result<(), Error> {
        for slug in self.all_slugs().await? {
            self.count(&slug, false, into).await?;
        }
        Ok(())
    }

    /// All types affected by completing: those that were listed, and those known from earlier syncs that the connector does not offer any
    /// more. Records that are not pushed are removed, even a whole type.
    async fn all_slugs(&self) -> Result<Vec<String>, Error> {
        let mut slugs: Vec<String> = self.offer.types.iter().map(|of| of.slug.to_string()).collect();
        let known = self.app.snapshots.known_slugs(&self.app.key).await?;
        slugs.extend(known.into_iter().filter(|slug| !self.offer.kinds.contains_key(slug)));
        Ok(slugs)
    }

    async fn count(&self, slug: &str, is_whole: bool, into: &mut Counted) -> Result<Difference, Error> {
        let (app, snapshots) = (&self.app.key, &self.app.snapshots);
        let found = snapshots.difference(app, slug).await?;
        let removed = if is_whole { found.removed } else { 0 };
        let figures =
            TypeSummary { listed: found.seen, created: found.created, changed: found.changed, removed };
        if removed > 0 {
            let most = u32::try_from(KEPT).unwrap_or(u32::MAX);
            let ids = snapshots.ids(app, slug, Which::Removed, None, most).await?;
            into.removals.insert(slug.to_owned(), ids);
        }
        into.figures.insert(slug.to_owned(), figures);
        Ok(found)
    }

    /// Measures one type, given its difference, and whether records that only held listings had count.
    async fn measure_type(
        &self,
        slug: &str,
        difference: Difference,
        counts: bool,
        into: &mut Losses,
    ) -> Result<(), Error> {
        let is_offered = self.offer.kinds.contains_key(slug);
        let Difference { known, removed, doubted, confirmed, .. } = difference;
        let (known, removed, doubted, which) = if counts {
            (known.saturating_add(confirmed).saturating_add(doubted), removed, doubted, Which::Removed)
        } else {
            (known, removed.saturating_sub(doubted), 0, Which::Counted)
        };
        let mut gone = Vec::new();
        if removed > 0 {
            self.read_gone(slug, which, &mut gone, &mut into.digester).await?;
        }
        let loss = guard::Loss {
            kind: LossKind::Removed,
            known,
            lost: removed,
            in_window: self.lost_in_window(slug, LossKind::Removed).await?,
            is_everything: removed >= known,
        };
        into.all.push(Measured { slug: slug.to_owned(), loss, doubted, is_offered, losers: gone });
        if self.offer.kinds.get(slug) == Some(&ResourceKind::Account) && known > 0 {
            self.measure_access(slug, removed, into).await?;
        }
        Ok(())
    }

    async fn read_gone(
        &self,
        slug: &str,
        which: Which,
        gone: &mut Vec<(String, u32)>,
        digester: &mut Digester,
    ) -> Result<(), Error> {
        self.each_id(slug, which, |id| {
            digester.lost(slug, LossKind::Removed, &id, 0);
            if gone.len() < KEPT {
                gone.push((id, 0));
            }
        })
        .await
    }

    /// Adds every account that completing would keep to a digest.
    pub(super) async fn digest_seen(&self, digester: &mut Digester) -> Result<(), Error> {
        for of in &self.offer.types {
            digester.part(of.slug.as_str());
            self.each_id(of.slug.as_str(), Which::Seen, |id| digester.part(&id)).await?;
        }
        Ok(())
    }

    async fn each_id(&self, slug: &str, which: Which, mut each: impl FnMut(String)) -> Result<(), Error> {
        let (app, snapshots) = (&self.app.key, &self.app.snapshots);
        let mut after: Option<String> = None;
        loop {
            let ids = snapshots.ids(app, slug, which, after.as_deref(), PIECE).await?;
            let is_last = ids.len() < PIECE as usize;
            after = ids.last().cloned();
            ids.into_iter().for_each(&mut each);
            if is_last {
                return Ok(());
            }
        }
    }

    /// Measures accounts that still exist, but have less access than before.
    async fn measure_access(&self, slug: &str, removed: u64, into: &mut Losses) -> Result<(), Error> {
        let (app, snapshots) = (&self.app.key, &self.app.snapshots);
        let AccessBase { active, with_refs, unknown } = snapshots.access_base(app, slug).await?;
        into.unknown += unknown;
        let mut kinds = [LossKind::Deactivated, LossKind::Memberships].map(|kind| (kind, 0_u64, Vec::new()));
        let mut emptied = 0_u64;
        let mut after: Option<String> = None;
        loop {
            let page = snapshots.losers(app, slug, after.as_deref()).await?;
            for loser in page.losers {
                emptied += u64::from(loser.loss.refs > 0 && loser.loss.none_left);
                let lost =
                    [loser.loss.deactivated.then_some(0), Some(loser.loss.refs).filter(|refs| *refs > 0)];
                for ((kind, count, losers), lost) in kinds.iter_mut().zip(lost) {
                    let Some(refs) = lost else { continue };
                    into.digester.lost(slug, *kind, &loser.id, refs);
                    *count += 1;
                    if losers.len() < KEPT {
                        losers.push((loser.id.clone(), refs));
                    }
                }
            }
            let Some(next) = page.next else { break };
            after = Some(next);
        }
        for (kind, lost, losers) in kinds {
            let (known, all) =
                if kind == LossKind::Deactivated { (active, lost) } else { (with_refs, emptied) };
            let loss = guard::Loss {
                kind,
                known,
                lost,
                in_window: self.lost_in_window(slug, kind).await?,
                // A removed account has lost its access, too.
                is_everything: all > 0 && all.saturating_add(removed) >= known,
            };
            into.all.push(Measured { slug: slug.to_owned(), loss, doubted: 0, is_offered: true, losers });
        }
        Ok(())
    }

    async fn lost_in_window(&self, slug: &str, kind: LossKind) -> Result<u64, Error> {
        let window = self.app.settings.sync.guard.window;
        let window = jiff::SignedDuration::try_from(window).unwrap_or(jiff::SignedDuration::MAX);
        // Losses of today count although the machine's clock is set to tomorrow.
        let since = self.app.shared.aging_now().checked_sub(window).unwrap_or(jiff::Timestamp::MIN);
        Ok(self.app.snapshots.losses_since(&self.app.key, slug, kind, since).await?)
    }
}
