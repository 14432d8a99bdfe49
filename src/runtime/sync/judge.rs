//! What completing would do, compared with the last completed sync, and whether it may.

use super::engine::{Stage, Sync};
use super::past::Baseline;
use super::{Error, TypeSummary, guard};
use crate::journal::{Belief, Which};

/// So many identifiers of removed records are shown.
const SHOWN: u32 = 20;

impl Sync<'_> {
    /// Every type that completing has a say in: those that were listed, and those known from earlier syncs that the
    /// connector does not offer any more. What is not pushed is removed, a whole type too.
    async fn all_slugs(&self) -> Result<Vec<String>, Error> {
        let mut slugs: Vec<String> = self.types.iter().map(|of| of.slug.to_string()).collect();
        let known = self.app.listings.known_slugs(&self.app.key).await?;
        slugs.extend(known.into_iter().filter(|slug| !self.kinds.contains_key(slug)));
        Ok(slugs)
    }

    /// Compares the listing with that of the last completed sync, while it is still there.
    pub(super) async fn measure(&mut self) -> Result<(), Error> {
        let (app, listings) = (&self.app.key, &self.app.listings);
        for slug in self.all_slugs().await? {
            let found = listings.difference(app, &slug).await?;
            // Half a listing does not say who is gone.
            let removed = if self.stage == Stage::Reading { 0 } else { found.removed };
            let figures =
                TypeSummary { listed: found.seen, created: found.created, changed: found.changed, removed };
            if removed > 0 {
                let ids = listings.ids(app, &slug, Which::Removed, None, SHOWN).await?;
                self.removals.insert(slug.clone(), ids);
            }
            self.figures.insert(slug, figures);
        }
        Ok(())
    }

    /// What the removal guard has against completing. `spared` of the records that are gone do not count.
    async fn verdicts(&self, spared: u64) -> Result<Vec<String>, Error> {
        let settings = &self.app.settings.sync.guard;
        let window = jiff::SignedDuration::try_from(settings.window).unwrap_or(jiff::SignedDuration::MAX);
        let since = self.app.clock.now().checked_sub(window).unwrap_or(jiff::Timestamp::MIN);
        let mut held = Vec::new();
        for slug in self.all_slugs().await? {
            let difference = self.app.listings.difference(&self.app.key, &slug).await?;
            let removed_in_window = self.app.listings.removals_since(&self.app.key, &slug, since).await?;
            let removed = difference.removed.saturating_sub(difference.doubted).saturating_sub(spared);
            let removal = guard::Removal { known: difference.known, removed, removed_in_window };
            let verdict = guard::verdict(&slug, settings, removal);
            held.extend(verdict.map(|why| {
                if self.kinds.contains_key(&slug) {
                    why
                } else {
                    format!("{why} (the connector does not offer {slug} any more)")
                }
            }));
        }
        Ok(held)
    }

    /// How far a sync is believed that ends without being completed. A bad record is no reason to doubt: it is not in the
    /// listing, and not gone either.
    pub(super) async fn belief(&self) -> Result<Belief, Error> {
        Ok(match self.stage {
            Stage::Before | Stage::Reading => Belief::Unjudged,
            _ if self.options.allow_removals => Belief::Plausible,
            Stage::Whole | Stage::Completed => match self.verdicts(self.invalid.count).await?.as_slice() {
                [] => Belief::Plausible,
                _ => Belief::Doubted,
            },
        })
    }

    /// Says what goes without having been counted.
    async fn tell_doubted(&self) -> Result<(), Error> {
        for slug in self.all_slugs().await? {
            let doubted = self.app.listings.difference(&self.app.key, &slug).await?.doubted;
            if doubted > 0 {
                tracing::warn!(app = %self.app.name, resource_type = slug, records = doubted,
                    "the listing has recovered: completing removes, uncounted, what only listings had that the removal guard held");
            }
        }
        Ok(())
    }

    /// Judges what completing would remove, unless the operator lets it pass this once.
    pub(super) async fn guard(&mut self) -> Result<(), Error> {
        self.prove_past().await?;
        let name = &self.app.name;
        let held = self.verdicts(0).await?;
        let held = match &self.baseline {
            Baseline::Lost(evidence) => {
                Some(Error::LostState { app: name.clone(), evidence: evidence.clone() })
            }
            _ => (!held.is_empty()).then(|| Error::Held { app: name.clone(), why: held.join("; ") }),
        };
        let Some(held) = held else {
            self.tell_doubted().await?;
            return Ok(());
        };
        if self.options.allow_removals {
            tracing::warn!(app = %name, "the removal guard is let pass by the operator: {held}");
            return Ok(());
        }
        if !self.options.dry_run {
            tracing::error!(app = %name, alarm = "removal_guard", "the removal guard holds this sync: {held}");
        }
        Err(held)
    }
}
