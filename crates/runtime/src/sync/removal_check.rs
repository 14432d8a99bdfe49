//! What completing would do, compared with the last completed sync, and whether it may.

use std::sync::Arc;

use tokio::sync::RwLockWriteGuard;

use super::baseline::Baseline;
use super::consent::{Asked, Consent};
use super::losses::{KEPT, Losses};
use super::sync_run::{ReadState, SyncRun};
use super::{Error, HeldReason, TypeSummary, guard};
use crate::proof::CompletionPermit;
use bridgehead_config::WithoutProof;
use bridgehead_store::{LossKind, Shown, Trust, Which};

impl<'a> SyncRun<'a> {
    /// Every type that completing affects: those that were listed, and those known from earlier syncs that the
    /// connector no longer offers. Records that are not pushed are removed, even a whole type.
    async fn all_slugs(&self) -> Result<Vec<String>, Error> {
        let mut slugs: Vec<String> = self.types.iter().map(|of| of.slug.to_string()).collect();
        let known = self.app.listings.known_slugs(&self.app.key).await?;
        slugs.extend(known.into_iter().filter(|slug| !self.kinds.contains_key(slug)));
        Ok(slugs)
    }

    /// Compares the listing with that of the last completed sync, while it is still there.
    pub(super) async fn count_changes(&mut self) -> Result<(), Error> {
        let (app, listings) = (&self.app.key, &self.app.listings);
        // Half a listing does not say who is gone, nor what they lost.
        let is_whole = self.stage > ReadState::Reading;
        let mut losses = Losses::default();
        for slug in self.all_slugs().await? {
            let found = listings.difference(app, &slug).await?;
            let removed = if is_whole { found.removed } else { 0 };
            let figures =
                TypeSummary { listed: found.seen, created: found.created, changed: found.changed, removed };
            if removed > 0 {
                let most = u32::try_from(KEPT).unwrap_or(u32::MAX);
                let ids = listings.ids(app, &slug, Which::Removed, None, most).await?;
                self.removals.insert(slug.clone(), ids);
            }
            self.figures.insert(slug.clone(), figures);
            if is_whole {
                if found.doubted > 0 {
                    self.doubted.insert(slug.clone(), found.doubted);
                }
                self.measure_losses(&slug, found, &mut losses).await?;
            }
        }
        if is_whole {
            self.losses = Some(Arc::new(losses));
        }
        Ok(())
    }

    /// What the removal guard has against completing. `spared` of the records that are gone do not count.
    fn verdicts(&self, losses: &Losses, spared: u64) -> Vec<String> {
        let settings = &self.app.settings.sync.guard;
        let mut held = Vec::new();
        for measured in &losses.all {
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

    /// How far a sync is believed that ends without being completed. A bad record is no reason to doubt: it is not in the
    /// listing, and not gone either.
    pub(super) async fn belief(&mut self) -> Result<Trust, Error> {
        if self.stage <= ReadState::Reading || !self.unproven.is_empty() {
            return Ok(Trust::Unverified);
        }
        if self.has_consent {
            return Ok(Trust::Accepted);
        }
        if self.losses.is_none() {
            self.count_changes().await?;
        }
        let held = self.losses.as_ref().map(|losses| self.verdicts(losses, self.invalid.count));
        Ok(match held.as_deref() {
            Some([]) => Trust::Accepted,
            Some(_) => Trust::Rejected,
            None => Trust::Unverified,
        })
    }

    /// Says what goes without having been counted.
    fn tell_doubted(&self) {
        for (slug, doubted) in &self.doubted {
            tracing::warn!(app = %self.app.name, resource_type = slug, records = doubted,
                "the listing has recovered: records that only held syncs saw are removed uncounted");
        }
    }

    /// What speaks against completing, the weightiest first.
    fn objections(&self, losses: &Losses) -> Vec<(HeldReason, String)> {
        let mut objections = Vec::new();
        match &self.baseline {
            Baseline::Lost(evidence) | Baseline::Unknown(evidence) => {
                objections.push((HeldReason::LostState, evidence.clone()));
            }
            Baseline::Stale(evidence) => objections.push((HeldReason::StaleState, evidence.clone())),
            Baseline::Known | Baseline::First | Baseline::Unproven(_) => {}
        }
        let held = self.verdicts(losses, 0);
        if !held.is_empty() {
            objections.push((HeldReason::AccessGuard, held.join("; ")));
        }
        if !self.unproven.is_empty() {
            let types = self.unproven.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
            objections.push((HeldReason::NotProven, types));
        }
        objections
    }

    /// Judges what completing would take away, unless the operator has allowed it.
    pub(super) async fn guard(
        &mut self,
        quiet: RwLockWriteGuard<'a, ()>,
    ) -> Result<CompletionPermit<'a>, Error> {
        self.prove_past().await?;
        let Some(losses) = self.losses.clone() else { return Err(Error::Unmeasured) };
        let name = self.app.name.clone();
        if losses.unknown > 0 {
            tracing::warn!(app = %name, records = losses.unknown,
                "an earlier version did not record which access these records gave, so their losses are not \
                 counted; the next sync counts them");
        }
        let mut objections = self.objections(&losses);
        if self.app.settings.sync.complete_without_proof == WithoutProof::Allow
            && let Some(at) = objections.iter().position(|(reason, _)| *reason == HeldReason::NotProven)
        {
            let (_, types) = objections.remove(at);
            tracing::warn!(app = %name, resource_types = types,
                "no proof that the listing is complete; accepted because complete_without_proof is \"allow\"");
        }
        let Some((first, _)) = objections.first().cloned() else {
            self.tell_doubted();
            return Ok(CompletionPermit::by_the_check(quiet));
        };
        let asked = self.ask(&losses, &objections).await?;
        self.held_because = objections.iter().map(|(reason, _)| *reason).collect();
        self.asked = Some(asked);
        let why = |wanted: HeldReason| {
            objections
                .iter()
                .find(|(reason, _)| *reason == wanted)
                .map(|(_, why)| why.clone())
                .unwrap_or_default()
        };
        if let Some(consent) = self.options.allow_removals
            && consent.covers(asked, self.shown)
        {
            let all = objections.iter().map(|(_, why)| why.as_str()).collect::<Vec<_>>().join("; ");
            tracing::warn!(app = %name, losses = asked.losses, digest = %asked.digest,
                "the operator allowed what the removal guard would hold: {all}");
            self.has_consent = true;
            self.held_because.clear();
            return Ok(CompletionPermit::by_the_check(quiet));
        }
        let exceeds = match self.options.allow_removals {
            None => "",
            Some(Consent::AtMost(_)) if asked.is_uncounted => {
                "; a number cannot allow losses that cannot be counted"
            }
            Some(Consent::AtMost(_)) => "; this exceeds the allowed number",
            Some(Consent::Shown | Consent::Exactly(_)) => "; this differs from what was shown and allowed",
        };
        let losses = losses_of(asked);
        let consent =
            format!("it allows exactly what is shown here ({losses}, digest {}){exceeds}", asked.digest);
        let (app, why) = (name.clone(), why(first));
        let held = match first {
            HeldReason::LostState => Error::LostState { app, evidence: why, consent },
            HeldReason::StaleState => Error::StaleState { app, evidence: why, consent },
            HeldReason::AccessGuard => Error::Held { app, why, consent },
            HeldReason::NotProven => Error::Unproven { app, slugs: why, consent },
        };
        self.app
            .listings
            .set_shown(&self.app.key, Shown { digest: asked.digest.number(), losses: asked.losses })
            .await?;
        if !self.options.dry_run {
            tracing::error!(app = %name, alarm = "removal_guard", "the removal guard holds this sync: {held}");
        }
        Err(held)
    }

    /// What the operator is asked to allow.
    async fn ask(&self, losses: &Losses, objections: &[(HeldReason, String)]) -> Result<Asked, Error> {
        let mut digester = losses.digester.clone();
        let mut is_uncounted = false;
        for (reason, why) in objections {
            match reason {
                HeldReason::AccessGuard => {}
                HeldReason::NotProven => {
                    digester.part(reason.as_str());
                    digester.part(why);
                    is_uncounted = true;
                }
                // What would be lost is not known, but what would be left is, and that is what was shown.
                HeldReason::LostState | HeldReason::StaleState => {
                    self.digest_seen(&mut digester).await?;
                    is_uncounted = true;
                }
            }
        }
        Ok(Asked { digest: digester.digest(), losses: losses.count(), is_uncounted })
    }
}

fn losses_of(asked: Asked) -> String {
    match (asked.losses, asked.is_uncounted) {
        (0, true) => "losses that cannot be counted".into(),
        (1, false) => "1 loss".into(),
        (losses, false) => format!("{losses} losses"),
        (losses, true) => format!("{losses} losses, plus others that cannot be counted"),
    }
}
