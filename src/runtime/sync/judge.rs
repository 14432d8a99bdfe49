//! What completing would do, compared with the last completed sync, and whether it may.

use bridgehead_sdk::Slug;

use super::engine::{Stage, Sync};
use super::past::Baseline;
use super::{Error, TypeSummary, guard};
use crate::journal::Which;

/// So many identifiers of removed records are shown.
const SHOWN: u32 = 20;

impl Sync<'_> {
    /// Every type that completing has a say in: those that were listed, and those of the last completed sync that the
    /// connector does not offer any more. What is not pushed is removed, a whole type too.
    async fn all_slugs(&self) -> Result<Vec<String>, Error> {
        let mut slugs: Vec<String> = self.types.iter().map(|of| of.slug.to_string()).collect();
        if let Some(last) = self.app.listings.last(&self.app.key).await? {
            let vanished = last.counts.into_iter().filter(|(_, count)| *count > 0);
            slugs.extend(vanished.map(|(slug, _)| slug).filter(|slug| !self.kinds.contains_key(slug)));
        }
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

    /// Judges what completing would remove, unless the operator lets it pass this once.
    pub(super) async fn guard(&mut self) -> Result<(), Error> {
        self.prove_past().await?;
        let (name, settings) = (&self.app.name, &self.app.settings.sync.guard);
        let window = jiff::SignedDuration::try_from(settings.window).unwrap_or(jiff::SignedDuration::MAX);
        let since = self.app.clock.now().checked_sub(window).unwrap_or(jiff::Timestamp::MIN);
        let mut held = Vec::new();
        for slug in self.all_slugs().await? {
            let difference = self.app.listings.difference(&self.app.key, &slug).await?;
            let removed_in_window = self.app.listings.removals_since(&self.app.key, &slug, since).await?;
            let removal =
                guard::Removal { known: difference.known, removed: difference.removed, removed_in_window };
            let verdict = guard::verdict(&slug, settings, removal);
            held.extend(verdict.map(|why| {
                if self.kinds.contains_key(&slug) {
                    why
                } else {
                    format!("{why} (the connector does not offer {} any more)", Slug::from(slug.as_str()))
                }
            }));
        }
        let held = match &self.baseline {
            Baseline::Lost(evidence) => {
                Some(Error::LostState { app: name.clone(), evidence: evidence.clone() })
            }
            _ => (!held.is_empty()).then(|| Error::Held { app: name.clone(), why: held.join("; ") }),
        };
        let Some(held) = held else {
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
