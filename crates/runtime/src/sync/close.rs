//! Records the end of a sync, and reports it to the operator, the journal and the status.

use std::collections::BTreeMap;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::baseline::Baseline;
use super::losses::Meter;
use super::outcome::{Abandoned, Failed, SyncOutcome};
use super::record::{Extent, RunRecord};
use super::sync_run::SyncRun;
use super::{Error, Summary, TypeSummary, session};
use crate::app::AppContext;
use crate::history::ShownRemovals;
use crate::saving::save;
use crate::status::{LastSync, SyncProgress};
use bridgehead_sdk::ResourceKind;
use bridgehead_store::{Changes, Run, Trust};

impl SyncRun<'_> {
    /// Closes a sync, in whichever phase it ended: abandons the session, stores which records it left in Iden, records the run, and
    /// summarizes the result. All of that happens only here.
    pub(super) async fn close(
        mut self,
        result: Result<(), Error>,
        started_at: Timestamp,
        stop: &CancellationToken,
    ) -> Summary {
        let app = self.app;
        if !self.options.dry_run
            && let Err(error) = self.prove_past(stop).await
        {
            tracing::error!(app = %app.name, %error, "the earlier state of Iden could not be saved");
        }
        let outcome = SyncOutcome::of(&result, self.options.dry_run);
        let cause = result.as_ref().err().and_then(Error::cause);
        let cause = cause.map(|cause| app.shared.redactor.redact(&cause).into_owned());
        let summary = self.summarise(&result, outcome).await;
        show(app, &summary, outcome);
        if self.options.dry_run {
            // A dry run only reads: neither the state folder nor the app's status records a sync.
            if let Err(error) = app.snapshots.discard(&app.key).await {
                tracing::error!(app = %app.name, %error, "the data of the dry run could not be discarded");
            }
            app.status.sync_progress(|progress| *progress = SyncProgress::default());
            return summary;
        }
        let is_known = self.retain(stop).await;
        // Records pushed in an abandoned session stay in Iden, and a later `complete` could remove them unnoticed. Those of a session that
        // the next one cancels do not stay.
        if let (true, true, Some(session)) = (is_known, result.is_err(), self.record.session.take())
            && outcome != SyncOutcome::Failed(Failed::SessionLost)
        {
            // What has ended cannot be completed any more, even if Iden did not respond to `complete`.
            if session::abandon(app, &session).await {
                app.fence.over();
            }
        }
        if outcome == SyncOutcome::Abandoned(Abandoned::NothingShown) {
            // There was no sync; the operator is informed.
            app.status.sync_progress(|progress| *progress = SyncProgress::default());
            return summary;
        }
        record(app, &summary, outcome, cause.clone(), started_at).await;
        app.status.sync_ended(LastSync {
            at: app.shared.clock.now(),
            result: outcome.run_result(),
            reason: outcome.reason(),
            detail: summary.detail.clone(),
            cause,
            resource_types: summary.resource_types.clone(),
            invalid: summary.invalid_count,
        });
        summary
    }

    /// Stores the pushed records, and returns whether the guard knows all that Iden may have of them, which is necessary if the session is
    /// abandoned. If no page is known to have been accepted, nothing is stored: later syncs would take that as evidence that Iden has
    /// records of ours. Iden may still have a page whose response was lost.
    async fn retain(&mut self, stop: &CancellationToken) -> bool {
        let (app, record) = (self.app, &self.record);
        if !record.has_begun || record.extent() == Extent::Completed {
            return true;
        }
        let pushed = record.tallies.sum();
        if pushed.accepted == 0 {
            // The next sync must not take this one for a completed one.
            let discard = || app.snapshots.discard(&app.key);
            if let Err(error) = save(app, stop, "that the sync was not completed", discard).await {
                tracing::error!(app = %app.name, %error, "the data of the sync could not be discarded");
            }
            return pushed.sent == 0;
        }
        let belief = self.belief().await.unwrap_or_else(|error| {
            tracing::error!(app = %app.name, %error, "the records that this sync left in Iden could not be determined");
            Trust::Unverified
        });
        let retain = || app.snapshots.retain(&app.key, belief);
        if let Err(error) = save(app, stop, "what this sync left in Iden", retain).await {
            tracing::error!(app = %app.name, %error, "the records that this sync has pushed could not be saved, so its session is not \
                abandoned: the next sync cancels it, and Iden discards them");
            return false;
        }
        if let Err(error) = self.note_changed_since(stop).await {
            tracing::error!(app = %app.name, %error, "changes made by tasks during this sync could not be saved");
        }
        true
    }

    /// Records again what tasks have changed since this sync read it. Saving what it had read may have undone that.
    async fn note_changed_since(&self, stop: &CancellationToken) -> Result<(), bridgehead_store::Error> {
        let (app, mut types) = (self.app, self.record.offer.types.iter());
        let Some(of) = types.find(|of| of.kind == ResourceKind::Account) else { return Ok(()) };
        for changed in self.touched.take_touched() {
            if let Some(id) = changed.account.id {
                let note =
                    || app.snapshots.note_changed(&app.key, of.slug.as_str(), id.as_str(), Changes::unread());
                save(app, stop, "a change made by a task during this sync", note).await?;
            }
        }
        Ok(())
    }

    /// How far an uncompleted sync can be trusted. Invalid records do not reduce trust: they are not in the snapshot, but they are not
    /// missing either.
    async fn belief(&mut self) -> Result<Trust, Error> {
        let record = &mut self.record;
        if record.extent() <= Extent::Part || !record.unproven.is_empty() {
            return Ok(Trust::Unverified);
        }
        if record.has_consent {
            return Ok(Trust::Accepted);
        }
        let losses = match record.measured.losses.clone() {
            Some(losses) => losses,
            None => Meter { app: self.app, offer: &record.offer }.measure(&mut record.measured).await?,
        };
        let held = losses.verdicts(&self.app.settings.sync.guard, record.invalid.count);
        Ok(match record.baseline {
            _ if held.is_empty() => Trust::Accepted,
            Baseline::Known | Baseline::Stale(_) => Trust::Rejected,
            // No completed listing shows which of the listings is wrong, so the records of all of them count.
            Baseline::First | Baseline::Unproven(_) | Baseline::Lost(_) | Baseline::Unknown(_) => {
                Trust::Unverified
            }
        })
    }

    async fn summarise(&mut self, result: &Result<(), Error>, outcome: SyncOutcome) -> Summary {
        let dry_run = self.options.dry_run;
        let detail = match result {
            Ok(()) if dry_run => "everything was read and validated; nothing was pushed".into(),
            Ok(()) => "sync completed, stale records removed".into(),
            Err(error) => error.to_string(),
        };
        if let Err(error) = self.count().await {
            tracing::debug!(app = %self.app.name, %error, "no figures available for this sync");
        }
        let losses = self.show_losses().await;
        let record = &mut self.record;
        Summary {
            result: outcome.result(),
            reason: outcome.reason(),
            detail: self.app.shared.redactor.redact(&detail).into_owned(),
            dry_run,
            resource_types: std::mem::take(&mut record.measured.figures),
            invalid_count: record.invalid.count,
            invalid: std::mem::take(&mut record.invalid.kept),
            removals: std::mem::take(&mut record.measured.removals),
            losses,
            held_because: record.held_because.clone(),
            digest: record.asked.filter(|_| !record.has_consent).map(|asked| asked.digest),
            evidence: std::mem::take(&mut record.evidence),
            follow_up: outcome.next(),
        }
    }

    /// Calculates the figures of a sync that ended before they were counted.
    async fn count(&mut self) -> Result<(), Error> {
        let extent = self.record.extent();
        let RunRecord { offer, measured, .. } = &mut self.record;
        if !measured.figures.is_empty() {
            return Ok(());
        }
        let meter = Meter { app: self.app, offer };
        match extent {
            Extent::Part => meter.count_part(measured).await,
            Extent::Whole => meter.measure(measured).await.map(drop),
            Extent::Nothing | Extent::Completed => Ok(()),
        }
    }
}

/// Shows on the page what the sync would remove, until a sync completes or a dry run finds that no access would be lost.
fn show(app: &AppContext, summary: &Summary, outcome: SyncOutcome) {
    let is_harmless = outcome == SyncOutcome::DryRun && summary.losses.iter().all(|loss| loss.count == 0);
    if is_harmless || matches!(outcome, SyncOutcome::Completed { .. }) {
        app.status.show_removals(None);
    } else if summary.digest.is_some() || !summary.losses.is_empty() {
        app.status.show_removals(Some(ShownRemovals::of(summary, app.shared.clock.now())));
    }
}

async fn record(
    app: &AppContext,
    summary: &Summary,
    outcome: SyncOutcome,
    cause: Option<String>,
    started_at: Timestamp,
) {
    let by_type = |figure: fn(&TypeSummary) -> u64| -> BTreeMap<String, u64> {
        summary.resource_types.iter().map(|(slug, of)| (slug.clone(), figure(of))).collect()
    };
    let run = Run {
        started_at,
        ended_at: app.shared.clock.now(),
        result: outcome.run_result(),
        reason: outcome.reason(),
        detail: summary.detail.clone(),
        cause,
        pushed: by_type(|of| of.listed),
        removed: by_type(|of| of.removed),
    };
    // The next sync does not need it: without it, a sync simply runs soon.
    let recorded = app.snapshots.record_run(&app.key, &run).await;
    app.status.wrote(recorded.as_ref().err());
    if let Err(error) = recorded {
        tracing::error!(app = %app.name, %error, "the result of the sync could not be saved");
    }
}
