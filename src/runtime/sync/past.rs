//! What Iden may hold when no completed sync is known here: the very first sync of an app, told apart from a state that
//! was lost. See `docs/decisions/0006-lost-state.md`.

use std::time::Duration;

use jiff::Timestamp;

use super::Error;
use super::engine::Sync;
use super::push::Tally;
use crate::journal::Past;
use crate::runtime::backoff::Backoff;

/// How often Iden is asked when the app was last synced, beyond what its client repeats by itself.
const TRIES: u32 = 3;

/// What the removals of a sync are counted from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Baseline {
    /// The last completed sync.
    Known,
    /// Nothing: Iden holds no more than what syncs recorded here have pushed.
    First,
    /// Nothing, and nobody has looked at what the pages are answered with yet.
    Unproven,
    /// Nothing, although Iden holds records: this is why one knows.
    Lost(String),
}

impl Sync<'_> {
    /// Finds out what the removals are to be counted from.
    pub(super) async fn look_back(&mut self) -> Result<(), Error> {
        let (app, listings) = (&self.app.key, &self.app.listings);
        self.baseline = if listings.last(app).await?.is_some() {
            Baseline::Known
        } else {
            match listings.past(app).await? {
                Some(Past::Ours) => Baseline::First,
                past => match self.last_synced_at().await {
                    Some(at) => Baseline::Lost(format!("Iden says that the app was last synced at {at}")),
                    None if past == Some(Past::Lost) => {
                        Baseline::Lost("an earlier sync here found records in Iden".into())
                    }
                    None => Baseline::Unproven,
                },
            }
        };
        Ok(())
    }

    /// Judges by what the pages were answered with, and keeps the judgement: later, the pages of this very sync would
    /// be taken for those of another.
    pub(super) async fn prove_past(&mut self) -> Result<(), Error> {
        if self.baseline == Baseline::Unproven {
            if !self.has_begun {
                return Ok(());
            }
            self.baseline = judge(self.tallies.sum());
        }
        let past = match self.baseline {
            Baseline::First => Past::Ours,
            Baseline::Lost(_) => Past::Lost,
            Baseline::Known | Baseline::Unproven => return Ok(()),
        };
        if !self.options.dry_run && self.app.listings.past(&self.app.key).await? != Some(past) {
            self.app.listings.set_past(&self.app.key, past).await?;
        }
        Ok(())
    }

    /// When Iden last completed a sync of this app; `None` also if it does not say.
    async fn last_synced_at(&self) -> Option<Timestamp> {
        let app = self.app;
        let mut tries = 0;
        loop {
            match app.bridge.list_apps().await {
                Ok(apps) => return apps.into_iter().find(|one| one.id == app.id)?.last_synced_at,
                Err(error) if error.is_transient() && tries < TRIES => {
                    tries += 1;
                    let wait = Backoff::BRIDGE.patient_wait(tries, &app.dice);
                    tokio::time::sleep(wait.max(error.retry_after().unwrap_or(Duration::ZERO))).await;
                }
                // What the pages are answered with tells too.
                Err(error) => {
                    tracing::warn!(app = %app.name, %error, "Iden cannot be asked when the app was last synced");
                    return None;
                }
            }
        }
    }
}

/// Iden may know a few of an app that was never synced: those whom tasks have created.
fn judge(all: Tally) -> Baseline {
    if all.updated > all.created {
        Baseline::Lost(format!("Iden knew {} of the {} records that were pushed", all.updated, all.accepted))
    } else {
        Baseline::First
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(created: u64, updated: u64) -> Tally {
        Tally { accepted: created + updated, created, updated }
    }

    #[test]
    fn a_first_sync_is_told_from_a_lost_state_by_what_iden_knew() {
        assert_eq!(judge(tally(1000, 0)), Baseline::First);
        assert_eq!(judge(tally(900, 100)), Baseline::First, "tasks have created some");
        assert_eq!(
            judge(tally(10, 990)),
            Baseline::Lost("Iden knew 990 of the 1000 records that were pushed".into())
        );
    }

    #[test]
    fn a_bridge_that_gives_no_figures_proves_nothing() {
        assert_eq!(judge(Tally { accepted: 1000, created: 0, updated: 0 }), Baseline::First);
    }
}
