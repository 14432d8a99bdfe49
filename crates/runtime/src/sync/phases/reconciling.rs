//! The third phase: catches up with changes that tasks made while the target was being read.

use bridgehead_resilience::Next;
use bridgehead_sdk::{Account, AccountRecord, AccountStatus, Record, ResourceKind, ResourceType};
use std::collections::{HashMap, HashSet};

use super::Checking;
use crate::change_tracker::{ChangedAccount, PriorState, name};
use crate::policies;
use crate::retry_decision;
use crate::sync::Error;
use crate::sync::ingest::{Ingest, unwritable};
use crate::sync::prepared::Prepared;
use crate::sync::push::PushPipeline;
use crate::sync::validate;
use crate::target::Priority;
use bridgehead_store::{Changes, Shown};

/// While more changed accounts than this are pending, the sync catches up before it makes tasks wait.
const FEW: usize = 50;
/// The maximum number of rounds: tasks may be faster than the sync can catch up.
pub(super) const ROUNDS: usize = 5;
/// What the status shows meanwhile.
const PHASE: &str = "applying changes made by tasks";

/// A sync that has read every type completely.
#[derive(Debug)]
pub(in crate::sync) struct Reconciling<'r, 'a> {
    pub(super) ingest: Ingest<'r, 'a>,
    /// What the operator had seen before.
    pub(super) shown: Option<Shown>,
    /// The results of the look-ups while tasks wait, so that only changes are pushed again.
    looked_up: HashMap<String, Option<AccountRecord>>,
}

impl<'r, 'a> Reconciling<'r, 'a> {
    pub(super) fn new(mut ingest: Ingest<'r, 'a>, shown: Option<Shown>) -> Self {
        ingest.catches_up = true;
        Self { ingest, shown, looked_up: HashMap::new() }
    }

    /// Catches up with the tasks until nothing is left; for the last part, tasks have to wait.
    pub(in crate::sync) async fn reconcile(mut self) -> Result<Checking<'r, 'a>, Error> {
        let touched = self.ingest.run.touched;
        // Catch up with most changes while tasks continue; tasks only have to wait for the rest.
        for _ in 0..ROUNDS {
            self.catch_up().await?;
            if touched.count_touched() <= FEW {
                break;
            }
        }
        let quiet = touched.quiesce().await;
        self.catch_up_while_quiet().await?;
        Ok(Checking::new(self, quiet))
    }

    /// Reads every account that a task has changed since the last call again, and pushes its current state.
    async fn catch_up(&mut self) -> Result<(), Error> {
        let touched = self.ingest.run.touched.take_touched();
        let Some(of) = self.account_type().filter(|_| !touched.is_empty()) else {
            return Ok(());
        };
        self.ingest.run.phase(PHASE);
        let mut found = Vec::new();
        for touched in touched {
            let record = self.look(&of, &touched.account).await?;
            found.push((touched, record));
        }
        self.push(&of, found).await
    }

    /// Does the same while no task starts a call. An earlier call may still take effect, so the accounts that it may change are read, too.
    /// Returns the first account that has changed since the last call, if any.
    pub(super) async fn catch_up_while_quiet(&mut self) -> Result<Option<Account>, Error> {
        let touched = self.ingest.run.touched.take_touched_and_unsettled();
        let Some(of) = self.account_type().filter(|_| !touched.is_empty()) else {
            return Ok(None);
        };
        self.ingest.run.phase(PHASE);
        let mut changed = Vec::new();
        for mut touched in touched {
            let record = self.look(&of, &touched.account).await?;
            match self.looked_up.insert(name(&touched.account), record.clone()) {
                Some(before) if before == record => continue,
                Some(Some(before)) => touched.before = PriorState::Account(Box::new(before)),
                Some(None) | None => {}
            }
            changed.push((touched, record));
        }
        let first = changed.first().map(|(touched, _)| touched.account.clone());
        self.push(&of, changed).await?;
        Ok(first)
    }

    fn account_type(&self) -> Option<ResourceType> {
        self.ingest.run.record.offer.types.iter().find(|of| of.kind == ResourceKind::Account).cloned()
    }

    /// Pushes the state in which changed accounts were found.
    async fn push(
        &mut self,
        of: &ResourceType,
        found: Vec<(ChangedAccount, Option<AccountRecord>)>,
    ) -> Result<(), Error> {
        let mut pusher = None;
        // An account may have been changed under several names, but must be on a page only once.
        let mut done = HashSet::new();
        for (touched, record) in found {
            match record {
                Some(record) if done.insert(record.id.clone()) => {
                    self.refresh(of, record, &mut pusher).await?;
                }
                Some(_) => {}
                None => self.mark_inactive(of, touched, &mut pusher).await?,
            }
        }
        self.ingest.flush(of, pusher).await
    }

    /// Pushes the current state of an account, whatever its page contained.
    async fn refresh(
        &mut self,
        of: &ResourceType,
        record: AccountRecord,
        pusher: &mut Option<PushPipeline>,
    ) -> Result<(), Error> {
        let record = Record::from(record);
        if let Err(problem) = validate::check(&record, of, &self.ingest.run.record.offer.kinds) {
            self.ingest.reject(of, record.id(), problem);
            return Ok(());
        }
        let prepared = match Prepared::one(record, self.ingest.run.app.upstream.refs()) {
            Ok(prepared) => prepared,
            Err(failed) => {
                let (record, error) = *failed;
                self.ingest.reject(of, record.id(), unwritable(&error));
                return Ok(());
            }
        };
        // It may be in a group that a task made meanwhile. Here it replaces what its page said.
        for prepared in self.ingest.look_again(of, vec![prepared]).await? {
            self.put(of, prepared, pusher).await?;
        }
        Ok(())
    }

    /// Handles an account that no longer exists. If it was already pushed, `complete` would keep it, so it is pushed again as inactive.
    async fn mark_inactive(
        &mut self,
        of: &ResourceType,
        touched: ChangedAccount,
        pusher: &mut Option<PushPipeline>,
    ) -> Result<(), Error> {
        let ChangedAccount { account, before } = touched;
        let id = match &before {
            // A create or an update that failed, without an account: no task removed one.
            PriorState::NotAsked => return Ok(()),
            PriorState::Account(record) => record.id.as_str(),
            PriorState::Nobody | PriorState::Unknown => match &account.id {
                Some(id) => id.as_str(),
                None if before == PriorState::Nobody => return Ok(()),
                // Without an identifier, it is unknown whether the account was pushed.
                None => return Err(Error::Overtaken(account.label().to_owned())),
            },
        };
        if !self
            .ingest
            .run
            .app
            .snapshots
            .missing(&self.ingest.run.app.key, of.slug.as_str(), &[id])
            .await?
            .is_empty()
        {
            return Ok(());
        }
        let PriorState::Account(mut record) = before else {
            return Err(Error::Overtaken(account.label().to_owned()));
        };
        record.status = AccountStatus::Inactive;
        record.memberships = bridgehead_sdk::Memberships::default();
        record.assignments = bridgehead_sdk::Memberships::default();
        match Prepared::one(Record::Account(record), self.ingest.run.app.upstream.refs()) {
            Ok(prepared) => self.put(of, prepared, pusher).await,
            Err(failed) => {
                let (record, error) = *failed;
                self.ingest.reject(of, record.id(), unwritable(&error));
                Ok(())
            }
        }
    }

    async fn put(
        &mut self,
        of: &ResourceType,
        prepared: Prepared,
        pusher: &mut Option<PushPipeline>,
    ) -> Result<(), Error> {
        let slug = of.slug.as_str();
        let (app, seen) = (self.ingest.run.app, prepared.seen());
        app.snapshots.set(&app.key, slug, &seen).await?;
        if self.ingest.run.options.dry_run {
            return Ok(());
        }
        // A task made the change, so the guard must not count it.
        let changes = seen.facts.as_ref().map_or_else(Changes::unread, Changes::read);
        app.snapshots.note_changed(&app.key, slug, &seen.id, changes).await?;
        self.ingest.push(of, vec![prepared.into_wire()], pusher).await
    }

    /// Looks up an account, with retries. A failed look-up ends the sync; it never counts as "not found".
    async fn look(&self, of: &ResourceType, account: &Account) -> Result<Option<AccountRecord>, Error> {
        let app = self.ingest.run.app;
        let retry = app.retry(policies::TARGET).give_up_after(app.settings.tasks.give_up_after);
        let look = |_| app.target.find_account(account, Priority::Sync);
        let next = |error: &_| if retry_decision::may_pass(error) { Next::Retry } else { Next::GiveUp };
        retry.run(look, next, |_| {}).await.map_err(|error| Error::Unreadable {
            slug: of.slug.to_string(),
            message: app.shared.redactor.redact(error.message()).into_owned(),
        })
    }
}
