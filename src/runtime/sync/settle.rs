//! Catching up with what tasks did while the target was being read.

use std::sync::Arc;

use bridgehead_sdk::{Account, AccountRecord, AccountStatus, Record, ResourceKind, ResourceType};
use tokio::time::Instant;

use super::Error;
use super::engine::{Sync, hash};
use super::push::Pusher;
use super::validate;
use crate::journal::Seen;
use crate::runtime::activity::Touched;
use crate::runtime::backoff::Backoff;
use crate::runtime::decide;

impl Sync<'_> {
    /// Reads every account that a task touched since the last call again, and pushes it as it is now.
    pub(super) async fn settle(&mut self) -> Result<(), Error> {
        let touched = self.touched.take_touched();
        let of = self.types.iter().find(|of| of.kind == ResourceKind::Account).cloned();
        let Some(of) = of.filter(|_| !touched.is_empty()) else {
            return Ok(());
        };
        self.phase("catching up with tasks");
        let mut pusher = None;
        for touched in touched {
            match self.look(&of, &touched.account).await? {
                Some(record) => self.refresh(&of, record, &mut pusher).await?,
                None => self.retire(&of, touched, &mut pusher).await?,
            }
        }
        self.flush(&of, pusher).await
    }

    /// The account is there: Iden gets it as it is now, whatever its page said.
    async fn refresh(
        &mut self,
        of: &ResourceType,
        record: AccountRecord,
        pusher: &mut Option<Pusher>,
    ) -> Result<(), Error> {
        let record = Record::from(record);
        if let Err(problem) = validate::check(&record, of, &self.slugs) {
            self.reject(of, record.id(), problem);
            return Ok(());
        }
        let (mut good, unknown) = self.split_by_references(vec![record]).await?;
        if !unknown.is_empty() {
            self.second_look(of, unknown, pusher).await?;
        }
        if let Some(record) = good.pop() {
            self.put(of, record, pusher).await?;
        }
        Ok(())
    }

    /// The account is gone. If its page was pushed already, `complete` would keep it: it is pushed once more, as inactive.
    async fn retire(
        &mut self,
        of: &ResourceType,
        touched: Touched,
        pusher: &mut Option<Pusher>,
    ) -> Result<(), Error> {
        let known = touched.record.as_ref().map(|record| record.id.as_str());
        let id = known.or(touched.account.id.as_ref().map(|id| id.as_str()));
        let Some(id) = id else {
            // Without an identifier nobody can tell whether it was pushed.
            return Err(Error::Overtaken(touched.account.label().to_owned()));
        };
        let was_listed = self.app.listings.missing(&self.app.key, of.slug.as_str(), &[id]).await?.is_empty();
        match (was_listed, touched.record) {
            (false, _) => Ok(()),
            (true, Some(mut record)) => {
                record.status = AccountStatus::Inactive;
                record.memberships = bridgehead_sdk::Memberships::default();
                record.assignments = bridgehead_sdk::Memberships::default();
                self.put(of, Record::from(record), pusher).await
            }
            (true, None) => Err(Error::Overtaken(touched.account.label().to_owned())),
        }
    }

    async fn put(
        &mut self,
        of: &ResourceType,
        record: Record,
        pusher: &mut Option<Pusher>,
    ) -> Result<(), Error> {
        let seen = Seen { id: record.id().to_owned(), hash: hash(&record) };
        self.app.listings.set(&self.app.key, of.slug.as_str(), &seen).await?;
        if self.options.dry_run {
            return Ok(());
        }
        if pusher.is_none() {
            *pusher = Some(Pusher::new(self.app, self.session().await?, of.slug.clone()));
        }
        match pusher {
            Some(pusher) => pusher.push(vec![record]).await,
            None => Ok(()),
        }
    }

    /// Looks until there is an answer. Not being able to look ends the sync; it never means "nobody there".
    async fn look(&self, of: &ResourceType, account: &Account) -> Result<Option<AccountRecord>, Error> {
        let began = Instant::now();
        let mut tries = 0;
        loop {
            tries += 1;
            self.app.pacing.for_sync().await;
            let (connector, wanted) = (Arc::clone(&self.app.connector), account.clone());
            let what = format!("looking for {} in", account.label());
            let call = async move { connector.find_account(&wanted).await };
            let answer = self.app.guarded(&what, self.app.settings.tasks.timeout, call).await;
            self.app.observe(&answer);
            let error = match answer {
                Ok(found) => return Ok(found),
                Err(error) => error,
            };
            let message = self.app.redactor.redact(error.message()).into_owned();
            let wait = Backoff::TARGET.patient_wait(tries, &self.app.dice);
            if !decide::may_pass(&error)
                || !decide::fits(began.elapsed(), wait, self.app.settings.tasks.give_up_after)
            {
                return Err(Error::Unreadable { slug: of.slug.to_string(), message });
            }
            tokio::time::sleep(wait).await;
        }
    }
}
