//! Reads the names of affected accounts from the target when they are shown. Names are not stored in the state folder.

use std::time::Duration;

use bridgehead_sdk::{Account, AccountRecord, ResourceKind};

use super::sync_run::SyncRun;
use super::{LossSummary, LostRecord};
use crate::target::Priority;
use bridgehead_store::LossKind;

/// The maximum number of look-ups per type and kind.
const LOOKED_UP: usize = 20;
/// The maximum total time.
const PATIENCE: Duration = Duration::from_secs(20);

impl SyncRun<'_> {
    /// The losses that the removal guard counted, with the first names if an operator has to decide about them.
    pub(super) async fn show_losses(&self) -> Vec<LossSummary> {
        let losses =
            self.record.measured.losses.iter().flat_map(|losses| &losses.all).filter(|one| one.loss.lost > 0);
        let mut shown: Vec<LossSummary> = losses
            .map(|one| {
                let lost = |(id, refs): &(String, u32)| LostRecord {
                    id: id.clone(),
                    memberships: *refs,
                    ..LostRecord::default()
                };
                LossSummary {
                    resource_type: one.slug.clone(),
                    kind: one.loss.kind,
                    count: one.loss.lost,
                    of: one.loss.known,
                    records: one.losers.iter().map(lost).collect(),
                }
            })
            .collect();
        // Names are only a help; without them, the ids are still shown.
        drop(tokio::time::timeout(PATIENCE, self.look_up(&mut shown)).await);
        shown
    }

    async fn look_up(&self, shown: &mut [LossSummary]) {
        if !self.options.dry_run && self.record.held_because.is_empty() {
            return;
        }
        let is_of_accounts = |one: &&mut LossSummary| {
            self.record.offer.kinds.get(&one.resource_type) == Some(&ResourceKind::Account)
        };
        for one in shown.iter_mut().filter(is_of_accounts) {
            for record in one.records.iter_mut().take(LOOKED_UP) {
                let wanted = Account::by_id(record.id.as_str());
                let answer = self.app.target.find_account(&wanted, Priority::Names).await;
                let Ok(found) = answer else { return };
                // Some targets match other fields than the id, too.
                let Some(found) = found.filter(|found| found.id.as_str() == record.id) else { continue };
                record.name = name_of(&found).map(|name| self.app.shared.redactor.redact(name).into_owned());
                record.is_still_there = one.kind == LossKind::Removed;
            }
        }
    }
}

/// The name by which an operator recognizes an account.
fn name_of(record: &AccountRecord) -> Option<&str> {
    let names = [&record.display_name, &record.username, &record.email];
    names
        .into_iter()
        .flatten()
        .map(String::as_str)
        .find(|name| !name.is_empty() && *name != record.id.as_str())
}
