//! Catching up with what tasks did while the target was being read.

use bridgehead_resilience::Next;
use bridgehead_sdk::{Account, AccountRecord, AccountStatus, Record, ResourceKind, ResourceType};
use std::collections::HashSet;

use super::Error;
use super::ingest::seen;
use super::push::PushPipeline;
use super::sync_run::SyncRun;
use super::validate;
use crate::change_tracker::{ChangedAccount, PriorState};
use crate::policies;
use crate::retry_decision;
use crate::target::Priority;
use bridgehead_store::Changes;

impl SyncRun<'_> {
    /// Reads every account that a task touched since the last call again, and pushes it as it is now.
    pub(super) async fn reconcile(&mut self) -> Result<(), Error> {
        let touched = self.touched.take_touched();
        let of = self.types.iter().find(|of| of.kind == ResourceKind::Account).cloned();
        let Some(of) = of.filter(|_| !touched.is_empty()) else {
            return Ok(());
        };
        self.phase("applying changes made by tasks");
        let mut pusher = None;
        // An account may have been touched under several names; a page holds it once.
        let mut done = HashSet::new();
        for touched in touched {
            match self.look(&of, &touched.account).await? {
                Some(record) if done.insert(record.id.clone()) => {
                    self.refresh(&of, record, &mut pusher).await?;
                }
                Some(_) => {}
                None => self.mark_inactive(&of, touched, &mut pusher).await?,
            }
        }
        self.flush(&of, pusher).await
    }

    /// The account is there: Iden gets it as it is now, whatever its page said.
    async fn refresh(
        &mut self,
        of: &ResourceType,
        record: AccountRecord,
        pusher: &mut Option<PushPipeline>,
    ) -> Result<(), Error> {
        let record = Record::from(record);
        if let Err(problem) = validate::check(&record, of, &self.kinds) {
            self.reject(of, record.id(), problem);
            return Ok(());
        }
        // It may be in a group that a task made meanwhile. Here it takes the place of what its page said.
        for record in self.look_again(of, vec![record]).await? {
            self.put(of, record, pusher).await?;
        }
        Ok(())
    }

    /// The account is gone. If its page was pushed already, `complete` would keep it: it is pushed once more, as inactive.
    async fn mark_inactive(
        &mut self,
        of: &ResourceType,
        touched: ChangedAccount,
        pusher: &mut Option<PushPipeline>,
    ) -> Result<(), Error> {
        let ChangedAccount { account, before } = touched;
        let id = match &before {
            // A create or an update that failed, and no account: no task removed one.
            PriorState::NotAsked => return Ok(()),
            PriorState::Account(record) => record.id.as_str(),
            PriorState::Nobody | PriorState::Unknown => match &account.id {
                Some(id) => id.as_str(),
                None if before == PriorState::Nobody => return Ok(()),
                // Without an identifier it is unknown whether it was pushed.
                None => return Err(Error::Overtaken(account.label().to_owned())),
            },
        };
        if !self.app.listings.missing(&self.app.key, of.slug.as_str(), &[id]).await?.is_empty() {
            return Ok(());
        }
        let PriorState::Account(mut record) = before else {
            return Err(Error::Overtaken(account.label().to_owned()));
        };
        record.status = AccountStatus::Inactive;
        record.memberships = bridgehead_sdk::Memberships::default();
        record.assignments = bridgehead_sdk::Memberships::default();
        self.put(of, Record::Account(record), pusher).await
    }

    async fn put(
        &mut self,
        of: &ResourceType,
        record: Record,
        pusher: &mut Option<PushPipeline>,
    ) -> Result<(), Error> {
        let slug = of.slug.as_str();
        self.app.listings.set(&self.app.key, slug, &seen(&record)).await?;
        if self.options.dry_run {
            return Ok(());
        }
        // A task did that, so it is no surprise whatever it was.
        let changes = Changes { status: true, memberships: true };
        self.app.listings.note_changed(&self.app.key, slug, record.id(), changes).await?;
        self.push(of, vec![record], pusher).await
    }

    /// Looks until there is a response. Not being able to look ends the sync; it never means "not found".
    async fn look(&self, of: &ResourceType, account: &Account) -> Result<Option<AccountRecord>, Error> {
        let app = self.app;
        let retry = app.retry(policies::TARGET).give_up_after(app.settings.tasks.give_up_after);
        let look = |_| app.target.find_account(account, Priority::Sync);
        let next = |error: &_| if retry_decision::may_pass(error) { Next::Retry } else { Next::GiveUp };
        retry.run(look, next, |_| {}).await.map_err(|error| Error::Unreadable {
            slug: of.slug.to_string(),
            message: app.redactor.redact(error.message()).into_owned(),
        })
    }
}
