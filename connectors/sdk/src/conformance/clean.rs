//! Removing whatever the checks have made, also after a check that failed.

use serde_json::{Map, json};

use crate::{Account, Action};

use super::finding::Finding;
use super::kit::{Kit, lock};
use super::tasks::{about, identity};

impl Kit<'_> {
    /// Removes whom the kit has made, and keeps in mind who could not be removed.
    pub(super) async fn clean_up(&self) {
        let given = std::mem::take(&mut *lock(&self.given));
        if !self.offers(Action::CreateAccount) || self.bench.read_only() {
            return;
        }
        let living = lock(&self.living).as_ref().map(|person| person.fields.clone());
        for fields in given {
            if living.as_ref() == Some(&fields) {
                continue;
            }
            if let Err(why) = self.remove(&identity(&fields)).await {
                lock(&self.left).push(why);
            }
        }
        let renamed = std::mem::take(&mut *lock(&self.renamed));
        for id in renamed {
            if let Err(why) = self.remove(&Account::by_id(id)).await {
                lock(&self.left).push(why);
            }
        }
    }

    /// Looks once more for everybody whom the kit ever asked for, and says who could not be removed.
    pub(super) async fn sweep(&self) -> Vec<String> {
        *lock(&self.living) = None;
        *lock(&self.given) = std::mem::take(&mut *lock(&self.ever));
        lock(&self.left).clear();
        self.clean_up().await;
        std::mem::take(&mut *lock(&self.left))
    }

    async fn remove(&self, account: &Account) -> Result<(), String> {
        if !account.is_identified() {
            return Ok(());
        }
        let name = account.label().to_owned();
        let text = |finding| match finding {
            Finding::Failed(why) | Finding::Late(why) | Finding::Skipped(why) => {
                format!("{name} may be left: {why}")
            }
        };
        let Some(record) = self.look(account).await.map_err(text)? else {
            return Ok(());
        };
        // Whoever else a broken look-up may find is not the kit's to remove.
        if !account.is_same_as(&record) {
            return Err(format!("{name} may be left: find_account finds {} instead", record.id));
        }
        let known = Map::from_iter([("id".to_owned(), json!(record.id))]);
        let ways = [Action::DeleteAccount, Action::SuspendAccount];
        let Some(action) = ways.into_iter().find(|action| self.offers(*action)) else {
            return Err(format!("{name} is left: the connector neither deletes nor suspends"));
        };
        self.done(&about(action, &known).map_err(text)?).await.map_err(text)?;
        if action == Action::SuspendAccount {
            return Err(format!("{name} is left, suspended: the connector does not delete"));
        }
        self.gone(account).await.map_err(text)
    }
}
