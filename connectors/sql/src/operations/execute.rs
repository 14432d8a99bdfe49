//! The six actions, from BEGIN to COMMIT.

use std::collections::{BTreeMap, BTreeSet};

use bridgehead_sdk::{
    Account, AccountId, AccountRecord, AccountStatus, Action, Completion, Context, CreateAccount, Effect,
    Error, Operation, UpdateAccount,
};

use secrecy::SecretString;

use super::inputs::{Inputs, Refusal};
use super::run::Purpose;
use crate::driver::Transaction;
use crate::fault::Doing;
use crate::hash::{self, Scheme};
use crate::plan::{Parameter, Source, Step};
use crate::pool::Lease;
use crate::settings::Engine;
use crate::taken;
use crate::target::Database;

impl Database {
    /// Executes an operation.
    pub(crate) async fn execute(
        &self,
        context: &Context,
        operation: &Operation,
    ) -> Result<Completion, Error> {
        let action = operation.action();
        if !self.plan.offered().contains(&action) {
            return Err(Error::unsupported(action));
        }
        let label = operation.account().label();
        // The server's error messages may repeat these values.
        let _protection = self.verdicts.redactor.protect(operation.payload().secrets());
        let doing = Doing::Acting { action, account: label, made: false };
        // Hashing comes before the connection, so that neither a connection nor locked rows wait for it.
        let hashes = self.hashes(operation).await?;
        let mut lease = self.pool.acquire().await.map_err(|fault| self.verdicts.of(&fault, doing))?;
        lease.begin(Transaction::Change).await.map_err(|fault| self.verdicts.of(&fault, doing))?;
        let done = match self.carry_out(&mut lease, context, operation, hashes).await {
            Ok(done) => done,
            Err(error) => {
                let (taken, is_partial) = (lease.taken(), lease.may_have_committed());
                lease.finish().await;
                let error = match taken {
                    Some(told) => self.explain(&told, operation, error).await,
                    None => error,
                };
                return Err(if is_partial { partial(&error) } else { error.with_effect(Effect::NotApplied) });
            }
        };
        match lease.commit().await {
            Ok(()) => {
                lease.release();
                Ok(done)
            }
            Err(fault) => {
                // Deferred constraints are checked by the commit.
                let taken = lease.taken();
                lease.finish().await;
                let error = self.verdicts.of(&fault, Doing::Committing { action, account: label });
                match taken {
                    Some(told) => Err(self.explain(&told, operation, error).await),
                    None => Err(error),
                }
            }
        }
    }

    /// The hashes of a task's password, in the formats that its statements use.
    async fn hashes(&self, operation: &Operation) -> Result<BTreeMap<Scheme, SecretString>, Error> {
        let password = match operation {
            Operation::CreateAccount(create) => create.password.clone(),
            Operation::ResetPassword(reset) => reset.password.clone(),
            _ => None,
        };
        let schemes = schemes(self.steps(operation.action()));
        let Some(password) = password.filter(|_| !schemes.is_empty()) else { return Ok(BTreeMap::new()) };
        let hashes = hash::in_turn(&self.plan.hasher, password, schemes).await;
        hashes.map_err(|why| self.refused(operation.action(), operation.account(), &why.into()))
    }

    async fn carry_out(
        &self,
        lease: &mut Lease,
        context: &Context,
        operation: &Operation,
        hashes: BTreeMap<Scheme, SecretString>,
    ) -> Result<Completion, Error> {
        if let Operation::CreateAccount(create) = operation {
            return self.create(lease, context, operation, (create, hashes)).await;
        }
        let account = operation.account();
        let action = operation.action();
        let found = self.find_to_change(lease, account, action == Action::UpdateAccount).await?;
        let Some(found) = found else {
            let message = format!("User {} not found in {}", account.label(), self.verdicts.system);
            return Err(Error::account_not_found(message));
        };
        let stamps = self.stamps(lease).await?;
        let mut inputs = Inputs::of(context, &self.plan.accounts.fields, operation, &found)
            .with_stamps(stamps)
            .with_hashes(hashes);
        if let Operation::UpdateAccount(update) = operation {
            return self.update(lease, &mut inputs, update, &found).await;
        }
        let steps = self.steps(action);
        let needs_password = steps.iter().any(Step::uses_password);
        if action == Action::ResetPassword && needs_password && !inputs.has_password() {
            return Err(self.refused(action, account, &Refusal::NoPassword));
        }
        let _protection = self.verdicts.redactor.protect(inputs.secrets());
        let rows = self.run_steps(lease, steps, &mut inputs, Purpose::action(action, account), &[]).await?;
        // Nothing else shows whether a password was set.
        if action == Action::ResetPassword && sets_no_password(steps, &rows) {
            let why = "its statements succeeded, but changed no row; nothing was changed. Correct \
                       actions.reset_password";
            return Err(Error::internal(self.verdicts.message(Purpose::action(action, account).doing, why)));
        }
        self.check_outcome(lease, action, account, &found.id).await?;
        Ok(Completion::done())
    }

    async fn create(
        &self,
        lease: &mut Lease,
        context: &Context,
        operation: &Operation,
        (create, hashes): (&CreateAccount, BTreeMap<Scheme, SecretString>),
    ) -> Result<Completion, Error> {
        let action = Action::CreateAccount;
        let account = &create.account;
        let mut by_names = account.clone();
        by_names.id = None;
        if self.find(lease, &by_names).await?.is_some() {
            let message = format!("User {} already exists in {}", account.label(), self.verdicts.system);
            return Err(Error::account_already_exists(message));
        }
        if let Some(why) = self.holder(lease, account, None).await? {
            let doing = Purpose::action(action, account).doing;
            return Err(taken::conflict(taken::code(action), self.verdicts.message(doing, &why)));
        }
        let fields = &self.plan.accounts.fields;
        let stamps = self.stamps(lease).await?;
        let mut inputs = Inputs::create(context, fields, account, create.password.as_ref())
            .map_err(|why| self.refused(action, account, &why))?
            .with_stamps(stamps)
            .with_hashes(hashes);
        let steps = self.steps(action);
        let _protection = self.verdicts.redactor.protect(inputs.secrets());
        self.run_steps(lease, steps, &mut inputs, Purpose::action(action, account), &[]).await?;
        let wanted = inputs.id.clone().map_or(by_names, Account::by_id);
        let created = self.created(lease, account, &wanted).await?;
        inputs.id = Some(created.id.to_string());
        let wanted_status = account.status.filter(|status| *status != AccountStatus::Active);
        if let (Some(status), AccountStatus::Active) = (wanted_status, created.status) {
            if self.plan.offered().contains(&Action::SuspendAccount) {
                let mut inputs = Inputs::of(context, fields, operation, &created).with_stamps(stamps);
                let suspend = self.steps(Action::SuspendAccount);
                self.run_steps(lease, suspend, &mut inputs, Purpose::action(action, account), &[]).await?;
                self.check_outcome(lease, Action::SuspendAccount, account, &created.id).await?;
            } else if !steps.iter().any(|step| self.uses_field(step, "status")) {
                return Err(self.refused(action, account, &Refusal::CreatedActive { status }));
            }
        }
        if let Some(memberships) = &create.memberships {
            self.change_memberships(lease, &mut inputs, account.label(), memberships, None).await?;
            let afterwards = self.created(lease, account, &Account::by_id(created.id.clone())).await?;
            self.check_memberships(account.label(), memberships, &afterwards)?;
        }
        let done = Completion::created(created.id);
        let mut unwritten = self.unwritten(steps, &inputs);
        // The status has already been verified.
        unwritten.retain(|field| field != "status");
        Ok(if unwritten.is_empty() { done } else { done.with("fields_without_statement", unwritten) })
    }

    async fn created(
        &self,
        lease: &mut Lease,
        account: &Account,
        wanted: &Account,
    ) -> Result<AccountRecord, Error> {
        self.find(lease, wanted).await?.ok_or_else(|| {
            let doing = Purpose::action(Action::CreateAccount, account).doing;
            let why = "its statements succeeded, but the account is not found afterwards; the changes were \
                       rolled back";
            Error::internal(self.verdicts.message(doing, why))
        })
    }

    async fn update(
        &self,
        lease: &mut Lease,
        inputs: &mut Inputs,
        update: &UpdateAccount,
        found: &AccountRecord,
    ) -> Result<Completion, Error> {
        let action = Action::UpdateAccount;
        let account = &update.account;
        let changed = inputs
            .change(&self.plan.accounts.fields, &self.plan.own, update)
            .map_err(|why| self.refused(action, account, &why))?;
        let steps = self.steps(action);
        if let Some(field) = changed.iter().find(|field| !self.is_written(steps, field, &changed)) {
            let why = Refusal::NoStatement { action: action.as_str(), field: field.clone() };
            return Err(self.refused(action, account, &why));
        }
        let names = taken::new_names(&changed, |field| inputs.text(field));
        if let Some(why) = self.holder(lease, &names, Some(found)).await? {
            let doing = Purpose::action(action, account).doing;
            let why = format!("{why}; nothing was changed");
            return Err(taken::conflict(taken::code(action), self.verdicts.message(doing, &why)));
        }
        if !changed.is_empty() {
            self.run_steps(lease, steps, inputs, Purpose::action(action, account), &changed).await?;
        }
        if let Some(memberships) = &update.memberships {
            self.change_memberships(lease, inputs, account.label(), memberships, Some(found)).await?;
        }
        self.check_outcome(lease, action, account, &found.id).await?;
        if let Some(memberships) = &update.memberships {
            let afterwards = self.find(lease, &Account::by_id(found.id.clone())).await?;
            if let Some(afterwards) = afterwards {
                self.check_memberships(account.label(), memberships, &afterwards)?;
            }
        }
        Ok(Completion::done())
    }

    /// Checks that an action had the intended effect: a statement that changed nothing is not a success.
    async fn check_outcome(
        &self,
        lease: &mut Lease,
        action: Action,
        account: &Account,
        id: &AccountId,
    ) -> Result<(), Error> {
        let afterwards = self.find(lease, &Account::by_id(id.clone())).await?;
        let why = match (action, afterwards.map(|found| found.status)) {
            (Action::DeleteAccount, None) => return Ok(()),
            (Action::DeleteAccount, Some(_)) => "the account is still found",
            (_, None) => "the account is no longer found under its identifier",
            (Action::SuspendAccount, Some(AccountStatus::Active)) => "the account is still active",
            (Action::UnsuspendAccount, Some(AccountStatus::Inactive | AccountStatus::Suspended)) => {
                "the account is still not active"
            }
            (_, Some(_)) => return Ok(()),
        };
        let why = format!(
            "its statements succeeded, but {why}; nothing was changed. Correct \
                           actions.{action}"
        );
        Err(Error::internal(self.verdicts.message(Purpose::action(action, account).doing, &why)))
    }

    /// The fields whose columns are MySQL time stamps, according to the server's description of the look-up statement.
    async fn stamps(&self, lease: &mut Lease) -> Result<&BTreeSet<String>, Error> {
        let known = self.stamps.get_or_try_init(async || {
            if self.plan.engine != Engine::Mysql {
                return Ok(BTreeSet::new());
            }
            let columns = lease.prepare(&self.plan.accounts.by_id).await;
            let columns = columns.map_err(|fault| self.verdicts.of(&fault, Doing::Checking))?;
            let is_stamp =
                |column: &str| columns.iter().any(|(name, kind)| name == column && kind == "TIMESTAMP");
            let fields = self.plan.accounts.fields.iter().filter(|(_, field)| is_stamp(&field.column));
            Ok(fields.map(|(name, _)| name.clone()).collect())
        });
        known.await
    }

    fn steps(&self, action: Action) -> &[Step] {
        self.plan.actions.get(&action).map_or(&[], Vec::as_slice)
    }

    fn refused(&self, action: Action, account: &Account, why: &Refusal) -> Error {
        Error::internal(self.verdicts.message(Purpose::action(action, account).doing, &why.to_string()))
    }

    /// Whether one of the statements that run writes the field.
    fn is_written(&self, steps: &[Step], field: &str, changed: &[String]) -> bool {
        steps.iter().any(|step| match &step.when {
            Some(when) if !when.iter().any(|one| changed.contains(one)) => false,
            Some(when) if when.iter().any(|one| one == field) => true,
            _ => self.uses_field(step, field),
        })
    }

    fn uses_field(&self, step: &Step, field: &str) -> bool {
        step.statement.slots.iter().any(|slot| match &slot.parameter {
            Parameter::Field(name) => name == field,
            Parameter::Own(name) => {
                matches!(self.plan.own.get(name), Some(Source::Task { field: source, .. }) if source == field)
            }
            _ => false,
        })
    }

    /// The names of a new account's fields that no statement writes, including `password`.
    fn unwritten(&self, steps: &[Step], inputs: &Inputs) -> Vec<String> {
        let fields = inputs.named().filter(|field| !steps.iter().any(|step| self.uses_field(step, field)));
        let mut unwritten: Vec<String> = fields.map(str::to_owned).collect();
        if inputs.has_password() && !steps.iter().any(Step::uses_password) {
            unwritten.push("password".to_owned());
        }
        unwritten
    }
}

/// The error for a task that failed after a procedure that it had called may have committed a part of it.
fn partial(error: &Error) -> Error {
    let message = format!(
        "{}; a stored procedure that it calls may have committed a part of the changes, which are not rolled back",
        error.message()
    );
    Error::new(error.code(), message)
        .with_effect(Effect::Unknown)
        .with_retry(error.retry())
        .with_subject(error.subject())
}

/// Whether the statements that use the password have changed no row, as far as the database counts them.
fn sets_no_password(steps: &[Step], rows: &[u64]) -> bool {
    let mut setting = steps.iter().zip(rows).filter(|(step, _)| step.uses_password()).peekable();
    setting.peek().is_some() && setting.all(|(step, rows)| step.statement.counts && *rows == 0)
}

/// The hash formats that the steps use.
fn schemes(steps: &[Step]) -> BTreeSet<Scheme> {
    let slots = steps.iter().flat_map(|step| &step.statement.slots);
    let schemes = slots.filter_map(|slot| match slot.parameter {
        Parameter::PasswordHash(scheme) => Some(scheme),
        _ => None,
    });
    schemes.collect()
}
