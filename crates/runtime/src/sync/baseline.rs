//! Determines what Iden may contain beyond the known records: distinguishes the very first sync of an app from a lost state, and an old
//! copy of the state from the current one. See `docs/decisions/0006-lost-state.md`.

use std::time::Duration;

use bridgehead_sdk::ResourceKind;
use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;

use super::phases::Preparing;
use super::push::PushCount;
use super::sync_run::SyncRun;
use super::{Error, fence};
use crate::saving::save;
use crate::upstream::Patience;
use bridgehead_bridge::Operation;
use bridgehead_store::{BaselineOrigin, IdenTime};

/// How long to retry asking Iden when the app was last synced.
const ASKED: Duration = Duration::from_secs(30);

/// The tolerance for attributing Iden's sync time to our own sync, if Iden could not be asked immediately after `complete`: the time for
/// which a cleanup is watched, plus an hour of clock difference.
const OURS: SignedDuration = SignedDuration::from_mins(90);

/// The baseline for counting a sync's removals.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Baseline {
    /// The last completed sync.
    Known,
    /// The last completed sync, although Iden has seen a later one; contains the evidence.
    Stale(String),
    /// No baseline: Iden has no records except those pushed by syncs recorded here.
    #[default]
    First,
    /// No baseline, and the responses to the pushed pages have not been checked yet.
    Unproven(Told),
    /// No baseline, although Iden has records; contains the evidence.
    Lost(String),
    /// No baseline, and it is unknown what Iden has; contains the reason.
    Unknown(String),
}

/// Iden's answer about the last sync of the app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// The time of the last sync.
    SyncedAt(Timestamp),
    /// The app is listed without a time.
    NoTime,
    /// No information about the app; contains the reason.
    Nothing(String),
}

/// Whether the last sync recorded here is the last one that Iden has seen.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Currency {
    Current,
    /// It is current, and Iden's time for it was not known until now.
    Learned(Timestamp),
    /// Iden has seen a later sync, at this time.
    Stale(Timestamp),
}

impl Preparing<'_, '_> {
    /// Determines the baseline for counting removals.
    pub(super) async fn determine_baseline(&mut self) -> Result<(), Error> {
        let (app, snapshots) = (&self.run.app.key, &self.run.app.snapshots);
        let last = snapshots.last(app).await?;
        let told = self.ask_iden().await;
        if let Told::SyncedAt(at) = told {
            self.run.record.synced_before = Some(at);
        }
        if last.is_none() && !self.run.options.dry_run {
            self.settle_new(&told).await?;
        }
        self.run.record.baseline = match (last, told) {
            (Some(last), Told::SyncedAt(at)) => {
                let known = snapshots.iden_time(app).await?;
                match currency(known, last.at, at) {
                    Currency::Current => Baseline::Known,
                    Currency::Learned(at) => {
                        // While the last `complete` may still take effect, this may be the time of an earlier sync. Recording it would
                        // forget that one is pending, and its own time would then look like that of another client's sync.
                        let is_dry_run = self.run.options.dry_run;
                        if !is_dry_run && fence::unanswered(self.run.app).await?.is_none() {
                            snapshots.set_iden_time(app, at).await?;
                        }
                        Baseline::Known
                    }
                    Currency::Stale(at) => Baseline::Stale(format!(
                        "Iden says that {} was last synced at {at}, but the last sync recorded here is from {}",
                        self.run.app.name,
                        known.synced_at.unwrap_or(last.at)
                    )),
                }
            }
            (Some(_), _) => Baseline::Known,
            (None, Told::SyncedAt(at)) => {
                Baseline::Lost(format!("Iden says that the app was last synced at {at}"))
            }
            (None, told) => match snapshots.past(app).await? {
                Some(BaselineOrigin::Lost) => {
                    Baseline::Lost("an earlier sync here found records in Iden".into())
                }
                Some(BaselineOrigin::Ours) => Baseline::First,
                None => Baseline::Unproven(told),
            },
        };
        Ok(())
    }

    /// Decides for a new state folder whether the app was synced before, for the handling of tasks. This must happen now: later, Iden's
    /// time is that of this sync, and a new installation would look like a lost state.
    async fn settle_new(&self, told: &Told) -> Result<(), Error> {
        let store = &self.run.app.store;
        let synced_before = match told {
            Told::SyncedAt(_) => true,
            Told::NoTime => false,
            Told::Nothing(_) => return Ok(()),
        };
        if store.doubted().await?.is_some_and(|doubt| doubt.is_question()) {
            store.settle_new(synced_before).await?;
        }
        Ok(())
    }

    /// Asks Iden when it last completed a sync of this app. An error tells nothing, and an app that is not listed is not the same as one
    /// without a time.
    async fn ask_iden(&self) -> Told {
        let app = self.run.app;
        let patience = Patience::within(ASKED);
        match app.upstream.patiently(Operation::ListApps, patience, |bridge| bridge.find_app(app.id)).await {
            Ok(None) => Told::Nothing("it does not list this app".into()),
            Ok(Some(found)) => found.last_synced_at.map_or(Told::NoTime, |at| Told::SyncedAt(cut(at))),
            // The responses to the pushed pages will also tell.
            Err(error) => {
                tracing::warn!(app = %app.name, %error, "cannot ask Iden when the app was last synced");
                Told::Nothing(error.to_string())
            }
        }
    }
}

impl SyncRun<'_> {
    /// Decides by the responses to the pushed pages, and stores the decision if there was evidence. Later, the pages of this very sync
    /// would look like those of another one. An unknown result is never stored.
    pub(super) async fn prove_past(&mut self, stop: &CancellationToken) -> Result<(), Error> {
        if let Baseline::Unproven(told) = &self.record.baseline {
            if !self.record.has_begun {
                return Ok(());
            }
            let own = self.pushed_before(None).await?;
            let accounts = self.pushed_before(Some(ResourceKind::Account)).await?;
            let told = told.clone();
            self.record.baseline = judge(&told, self.record.tallies.sum(), own);
            let of = self.record.offer.types.iter().filter(|of| of.kind == ResourceKind::Account);
            let mut tally = PushCount::default();
            of.for_each(|of| tally.add(self.record.tallies.of(of.slug.as_str())));
            self.record.is_past_shown = shows_ours(tally, accounts);
        }
        let past = match self.record.baseline {
            Baseline::First if self.record.is_past_shown => BaselineOrigin::Ours,
            Baseline::Lost(_) => BaselineOrigin::Lost,
            _ => return Ok(()),
        };
        if !self.options.dry_run && self.app.snapshots.past(&self.app.key).await? != Some(past) {
            let app = self.app;
            save(app, stop, "the earlier state of Iden", || app.snapshots.set_past(&app.key, past)).await?;
        }
        Ok(())
    }

    /// The number of records in the current snapshot that earlier syncs of this state pushed: it proves nothing that Iden knows those.
    async fn pushed_before(&self, kind: Option<ResourceKind>) -> Result<u64, Error> {
        let mut pushed = 0;
        for of in self.record.offer.types.iter().filter(|of| kind.is_none_or(|kind| of.kind == kind)) {
            match self.app.snapshots.difference(&self.app.key, of.slug.as_str()).await {
                Ok(found) => pushed += found.seen.saturating_sub(found.created),
                Err(bridgehead_store::Error::NoListing { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(pushed)
    }
}

/// Truncates to the precision of the journal.
pub(super) fn cut(at: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(at.as_microsecond()).unwrap_or(at)
}

/// Whether the last sync recorded here is the last one that Iden has seen, by the same rule as in the next sync. `completed_at` is from our
/// clock, `said` is Iden's time of the last sync.
pub fn is_current(known: IdenTime, completed_at: Timestamp, said: Timestamp) -> bool {
    !matches!(currency(known, completed_at, cut(said)), Currency::Stale(_))
}

/// Compares the last sync recorded here with Iden's answer, both by Iden's clock. `completed_at` is from our clock, and is only used if
/// Iden's time for our sync never became known.
fn currency(known: IdenTime, completed_at: Timestamp, said: Timestamp) -> Currency {
    if known.synced_at.is_some_and(|known| said <= known) {
        return Currency::Current;
    }
    let unheard = known.pending_since.or_else(|| known.synced_at.is_none().then_some(completed_at));
    let is_ours = unheard.is_some_and(|ours| said <= ours.saturating_add(OURS).unwrap_or(Timestamp::MAX));
    if is_ours { Currency::Learned(said) } else { Currency::Stale(said) }
}

/// Evaluates the responses to the pushed pages. Iden may know a few accounts of an app that was never synced: those created by tasks.
/// Records that earlier syncs of this state pushed prove nothing either.
fn judge(told: &Told, all: PushCount, own: u64) -> Baseline {
    let foreign = all.updated.saturating_sub(own);
    if foreign > all.created {
        return Baseline::Lost(format!(
            "Iden already had {foreign} of the {} records that were pushed",
            all.accepted
        ));
    }
    match told {
        // If Iden's answer is missing, at least one account must be new: otherwise nothing indicates a first sync.
        Told::Nothing(why) if all.created == 0 => Baseline::Unknown(format!(
            "Iden did not say when it was last synced ({why}), and its responses to the pushed pages do not \
             prove that it had no records"
        )),
        _ => Baseline::First,
    }
}

/// Whether the responses to account pages show that Iden has no accounts but ours.
fn shows_ours(accounts: PushCount, own: u64) -> bool {
    accounts.created > accounts.updated.saturating_sub(own)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(created: u64, updated: u64) -> PushCount {
        PushCount { sent: created + updated, accepted: created + updated, created, updated }
    }

    fn nothing() -> Told {
        Told::Nothing("403".into())
    }

    #[test]
    fn first_sync_is_distinguished_from_lost_state_by_iden_counts() {
        for told in [Told::NoTime, nothing()] {
            assert_eq!(judge(&told, tally(1000, 0), 0), Baseline::First);
            assert_eq!(judge(&told, tally(900, 100), 0), Baseline::First, "tasks have created some");
            assert_eq!(
                judge(&told, tally(10, 990), 0),
                Baseline::Lost("Iden already had 990 of the 1000 records that were pushed".into())
            );
            assert_eq!(judge(&told, tally(50, 300), 300), Baseline::First, "an earlier try pushed those");
            assert!(matches!(judge(&told, tally(50, 300), 200), Baseline::Lost(_)));
        }
    }

    #[test]
    fn missing_counts_and_times_prove_nothing() {
        let no_figures = PushCount { sent: 1000, accepted: 1000, ..PushCount::default() };
        assert_eq!(judge(&Told::NoTime, no_figures, 0), Baseline::First);
        for all in [no_figures, PushCount::default(), tally(0, 300)] {
            assert!(matches!(judge(&nothing(), all, 300), Baseline::Unknown(_)), "{all:?}");
        }
    }

    #[test]
    fn only_created_accounts_show_that_iden_was_empty() {
        assert!(
            shows_ours(tally(100, 0), 0) && shows_ours(tally(100, 50), 0) && shows_ours(tally(1, 300), 300)
        );
        assert!(
            !shows_ours(PushCount::default(), 0)
                && !shows_ours(tally(0, 300), 300)
                && !shows_ours(tally(9, 10), 0)
        );
    }

    #[test]
    fn later_sync_time_at_iden_means_an_old_state_copy() {
        let at = |second: i64| Timestamp::from_second(second).unwrap();
        let ours = OURS.as_secs();
        let known = |synced_at: Option<i64>, pending: Option<i64>| IdenTime {
            synced_at: synced_at.map(at),
            pending_since: pending.map(at),
        };
        // Columns: known, pending, completed here, Iden's answer, expected result. Iden's clock is far from ours.
        let table = [
            (known(Some(500), None), 90_000, 500, Currency::Current),
            (known(Some(500), None), 90_000, 400, Currency::Current),
            (known(Some(500), None), 90_000, 501, Currency::Stale(at(501))),
            (known(Some(500), Some(90_000)), 90_000, 500, Currency::Current),
            (known(Some(500), Some(90_000)), 90_000, 90_001, Currency::Learned(at(90_001))),
            (known(Some(500), Some(90_000)), 90_000, 90_001 + ours, Currency::Stale(at(90_001 + ours))),
            (known(None, None), 90_000, 90_000 + ours, Currency::Learned(at(90_000 + ours))),
            (known(None, None), 90_000, 90_001 + ours, Currency::Stale(at(90_001 + ours))),
            (known(None, Some(90_000)), 90_000, 90_001, Currency::Learned(at(90_001))),
        ];
        for (known, completed, said, wanted) in table {
            assert_eq!(currency(known, at(completed), at(said)), wanted, "{known:?} {said}");
        }
    }
}
