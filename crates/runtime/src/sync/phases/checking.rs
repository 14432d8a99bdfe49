//! The fourth phase: compares what completing would do with the last completed sync, and decides whether it is allowed.

use bridgehead_sdk::counted;
use std::sync::Arc;

use tokio::sync::RwLockWriteGuard;
use tokio_util::sync::CancellationToken;

use super::reconciling::ROUNDS;
use super::{Completing, Reconciling};
use crate::sync::baseline::Baseline;
use crate::sync::consent::{Asked, Consent};
use crate::sync::losses::{Losses, Meter};
use crate::sync::sync_run::SyncRun;
use crate::sync::{Error, HeldReason, session};
use bridgehead_config::{FirstSync, OnInvalid, WithoutProof};
use bridgehead_store::Shown;

/// Permission to complete the session: the removal guard allows it, and in the meantime no task can change the target or be reported. Only
/// [`Checking`] creates one.
#[derive(Debug)]
#[must_use]
pub struct CompletionPermit<'a> {
    /// Held until the session is completed, so that no task changes the target.
    _quiet: RwLockWriteGuard<'a, ()>,
    /// Held as long, so that Iden learns of no account that the last look-up did not find.
    _reports: RwLockWriteGuard<'a, ()>,
}

/// A sync that has read and pushed everything, and caught up with the tasks, which wait while this exists.
#[derive(Debug)]
pub(in crate::sync) struct Checking<'r, 'a> {
    reconciling: Reconciling<'r, 'a>,
    quiet: RwLockWriteGuard<'a, ()>,
}

impl<'r, 'a> Checking<'r, 'a> {
    pub(super) fn new(reconciling: Reconciling<'r, 'a>, quiet: RwLockWriteGuard<'a, ()>) -> Self {
        Self { reconciling, quiet }
    }

    /// Checks that completing does no harm. `None` for a dry run, which completes nothing.
    pub(in crate::sync) async fn check(mut self) -> Result<Option<Completing<'r, 'a>>, Error> {
        self.check_once().await?;
        if self.run().options.dry_run {
            return Ok(None);
        }
        // The check takes a while, and an earlier call that timed out may have taken effect in the meantime. Its account may even have been
        // reported, so it is looked up again, and nothing more is reported until Iden has accepted `complete`.
        let reports = self.run().touched.hold_reports().await;
        let mut rounds = 0;
        while let Some(account) = self.reconciling.catch_up_while_quiet().await? {
            rounds += 1;
            if rounds > ROUNDS {
                return Err(Error::Overtaken(account.label().to_owned()));
            }
            self.check_once().await?;
        }
        let permit = CompletionPermit { _quiet: self.quiet, _reports: reports };
        Ok(Some(Completing::new(self.reconciling.ingest.run, permit)))
    }

    fn run(&self) -> &SyncRun<'a> {
        self.reconciling.ingest.run
    }

    fn run_mut(&mut self) -> &mut SyncRun<'a> {
        self.reconciling.ingest.run
    }

    async fn check_once(&mut self) -> Result<(), Error> {
        let run = self.run_mut();
        let (app, dry_run) = (run.app, run.options.dry_run);
        let record = &mut run.record;
        let losses = Meter { app, offer: &record.offer }.measure(&mut record.measured).await?;
        let count = record.invalid.count;
        if count > 0 && app.settings.sync.on_invalid == OnInvalid::Abandon {
            return Err(Error::Invalid { count, dry_run });
        }
        if !dry_run {
            run.session().await?;
            session::verify(run).await?;
        }
        self.judge(&losses).await
    }

    /// Decides whether the removals are allowed, by the guard or by the operator.
    async fn judge(&mut self, losses: &Arc<Losses>) -> Result<(), Error> {
        // A stop ends this phase as a whole.
        self.run_mut().prove_past(&CancellationToken::new()).await?;
        let app = self.run().app;
        let name = app.name.clone();
        if losses.unknown > 0 {
            tracing::warn!(app = %name, records = losses.unknown,
                "an earlier version did not record which access these records gave, so their losses are not counted; the next sync counts them");
        }
        let mut objections = self.objections(losses);
        if app.settings.sync.complete_without_proof == WithoutProof::Allow
            && let Some(at) = objections.iter().position(|(reason, _)| *reason == HeldReason::NotProven)
        {
            let (_, types) = objections.remove(at);
            tracing::warn!(app = %name, resource_types = types,
                "no proof that the listing is complete; accepted because complete_without_proof is \"allow\"");
        }
        let Some((first, _)) = objections.first().cloned() else {
            self.tell_doubted();
            return Ok(());
        };
        let asked = self.ask(losses, &objections).await?;
        self.run_mut().record.held_because = objections.iter().map(|(reason, _)| *reason).collect();
        self.run_mut().record.asked = Some(asked);
        let why = |wanted: HeldReason| {
            objections
                .iter()
                .find(|(reason, _)| *reason == wanted)
                .map(|(_, why)| why.clone())
                .unwrap_or_default()
        };
        if let Some(consent) = self.run().options.allow_removals
            && consent.covers(asked, self.reconciling.shown)
        {
            let all = objections.iter().map(|(_, why)| why.as_str()).collect::<Vec<_>>().join("; ");
            tracing::warn!(app = %name, losses = asked.losses, digest = %asked.digest,
                "the operator allowed what the removal guard would hold: {all}");
            self.run_mut().record.has_consent = true;
            self.run_mut().record.held_because.clear();
            return Ok(());
        }
        let exceeds = match self.run().options.allow_removals {
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
        let why = why(first);
        let held = match first {
            HeldReason::LostState => Error::LostState { app: name.clone(), evidence: why, consent },
            HeldReason::StaleState => Error::StaleState { app: name.clone(), evidence: why, consent },
            HeldReason::FirstSync => Error::FirstSync { app: name.clone(), consent },
            HeldReason::AccessGuard => Error::Held { app: name.clone(), why, consent },
            HeldReason::NotProven => Error::Unproven { app: name.clone(), slugs: why, consent },
        };
        app.snapshots
            .set_shown(&app.key, Shown { digest: asked.digest.number(), losses: asked.losses })
            .await?;
        // A dry run is how the operator should check the first sync, so it must not fail because that sync would be held.
        if self.run().options.dry_run && matches!(held, Error::FirstSync { .. }) && objections.len() == 1 {
            return Ok(());
        }
        if !self.run().options.dry_run {
            if matches!(held, Error::FirstSync { .. }) {
                // The operator has asked for this.
                tracing::warn!(app = %name, alarm = "removal_guard", "sync held: {held}");
            } else {
                tracing::error!(app = %name, alarm = "removal_guard", "the removal guard holds this sync: {held}");
            }
        }
        Err(held)
    }

    /// Logs records that are removed uncounted.
    fn tell_doubted(&self) {
        for (slug, doubted) in &self.run().record.measured.doubted {
            tracing::warn!(app = %self.run().app.name, resource_type = slug, records = doubted,
                "the listing has recovered: records that only held syncs saw are removed uncounted");
        }
    }

    /// The reasons not to complete, most important first.
    fn objections(&self, losses: &Losses) -> Vec<(HeldReason, String)> {
        let mut objections = Vec::new();
        match &self.run().record.baseline {
            Baseline::Lost(evidence) | Baseline::Unknown(evidence) => {
                objections.push((HeldReason::LostState, evidence.clone()));
            }
            Baseline::Stale(evidence) => objections.push((HeldReason::StaleState, evidence.clone())),
            Baseline::First | Baseline::Unproven(_)
                if self.run().app.settings.sync.first == FirstSync::Ask =>
            {
                objections.push((HeldReason::FirstSync, "this is the first sync of the app".to_owned()));
            }
            Baseline::Known | Baseline::First | Baseline::Unproven(_) => {}
        }
        let held = losses.verdicts(&self.run().app.settings.sync.guard, 0);
        if !held.is_empty() {
            objections.push((HeldReason::AccessGuard, held.join("; ")));
        }
        if !self.run().record.unproven.is_empty() {
            let types = self.run().record.unproven.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
            objections.push((HeldReason::NotProven, types));
        }
        objections
    }

    /// What the operator is asked to approve.
    async fn ask(&self, losses: &Losses, objections: &[(HeldReason, String)]) -> Result<Asked, Error> {
        let meter = Meter { app: self.run().app, offer: &self.run().record.offer };
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
                // It is unknown what would be lost, but known what would be kept, and that is what was shown.
                HeldReason::LostState | HeldReason::StaleState | HeldReason::FirstSync => {
                    meter.digest_seen(&mut digester).await?;
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
        (losses, false) => counted(losses, "loss", "losses"),
        (losses, true) => {
            format!("{}, plus others that cannot be counted", counted(losses, "loss", "losses"))
        }
    }
}
