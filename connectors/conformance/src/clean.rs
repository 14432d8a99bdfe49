//! Removes everything that the checks have created, also after a failed check.

use std::sync::Mutex;
use std::time::Duration;

use serde_json::{Map, json};
use tokio::time::{Instant, timeout_at};

use bridgehead_sdk::{Account, Action};

use super::finding::Finding;
use super::kit::{Kit, lock};
use super::tasks::{about, identity};

/// The last item of a list, without removing it.
fn next<T: Clone>(list: &Mutex<Vec<T>>) -> Option<T> {
    lock(list).last().cloned()
}

impl Kit<'_> {
    /// Removes the accounts that the kit has created, and remembers those that could not be removed. The call can be
    /// dropped at any point: accounts that were not looked up yet are still remembered.
    pub(super) async fn clean_up(&self) {
        if !self.offers(Action::CreateAccount) || self.test_target.read_only() {
            lock(&self.given).clear();
            return;
        }
        let living = lock(&self.living).as_ref().map(|person| person.fields.clone());
        while let Some(fields) = next(&self.given) {
            if living.as_ref() != Some(&fields)
                && let Err(why) = self.remove(&identity(&fields)).await
            {
                lock(&self.left).push(why);
            }
            lock(&self.given).pop();
        }
        while let Some(id) = next(&self.renamed) {
            if let Err(why) = self.remove(&Account::by_id(id)).await {
                lock(&self.left).push(why);
            }
            lock(&self.renamed).pop();
        }
    }

    /// Looks up every account that the kit ever requested again, and returns those that could not be removed.
    pub(super) async fn sweep(&self) -> Vec<String> {
        *lock(&self.living) = None;
        *lock(&self.given) = std::mem::take(&mut *lock(&self.ever));
        lock(&self.left).clear();
        self.clean_up().await;
        std::mem::take(&mut *lock(&self.left))
    }

    /// Ends a run early: removes what the running check has created and, if there is time left, looks up all other
    /// accounts. Returns those that are left, or may be.
    pub(super) async fn settle(&self, within: Duration) -> Vec<String> {
        let living = lock(&self.living).take();
        if let Some(person) = living {
            lock(&self.given).push(person.fields);
        }
        let until = Instant::now() + within;
        if timeout_at(until, self.clean_up()).await.is_err() {
            let unseen = |name: &str| format!("{name} may be left: there was no time to check");
            let mut left = std::mem::take(&mut *lock(&self.left));
            left.extend(lock(&self.given).iter().map(|fields| unseen(identity(fields).label())));
            left.extend(lock(&self.renamed).iter().map(|id| unseen(id.as_str())));
            return left;
        }
        // From here on, every account was seen to be removed once, except for those that are known to be left.
        let known = lock(&self.left).clone();
        timeout_at(until, self.sweep()).await.unwrap_or(known)
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
        // The kit must not remove a different account that a broken lookup returns.
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
