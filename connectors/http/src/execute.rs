//! Executes an action.

use std::collections::BTreeMap;

use bridgehead_sdk::{
    Account, AccountStatus, Action, Code, Completion, Context, Effect, Error, Memberships, Operation, Retry,
    Subject, UpdateAccount, exact,
};
use minijinja::Value;
use minijinja::value::Serde;
use secrecy::ExposeSecret;
use serde_json::Map;

use crate::accounts::{Accounts, Found};
use crate::actions::{Plan, Step};
use crate::entities::Entities;
use crate::members::{self, Doubt};
use crate::rules::{About, in_spite_of_success};
use crate::target::{Ask, Target};
use crate::template::{Fault, Vars};

/// One operation, and everything that is needed to execute it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Execution<'a> {
    pub(crate) target: &'a Target,
    pub(crate) accounts: &'a Accounts,
    pub(crate) entities: &'a [Entities],
    pub(crate) plan: &'a Plan,
    pub(crate) operation: &'a Operation,
    /// Begins the message of an error, such as "User ann cannot be created".
    pub(crate) what: &'a str,
}

/// The progress of an action.
#[derive(Debug, Default)]
struct Progress<'a> {
    /// A request that changes the target has succeeded.
    changed: bool,
    /// The steps that have made a request.
    made: Vec<&'a Step>,
    saved: BTreeMap<String, Value>,
}

/// The beginning of an error message.
pub(crate) fn what(operation: &Operation) -> String {
    let verb = match operation.action() {
        Action::CreateAccount => "created",
        Action::UpdateAccount => "updated",
        Action::DeleteAccount => "deleted",
        Action::SuspendAccount => "suspended",
        Action::UnsuspendAccount => "unsuspended",
        Action::ResetPassword => "given a new password",
        // Unreachable: actions of later versions have no plan.
        _ => "changed",
    };
    format!("User {} cannot be {verb}", operation.account().label())
}

impl<'a> Execution<'a> {
    /// Looks up the account first, then makes the requests in order.
    pub(crate) async fn run(&self, context: &Context) -> Result<Completion, Error> {
        let account = self.operation.account();
        let current = self.look(account).await?;
        let mut vars = self.target.vars.with("account", self.wanted_account());
        let attempt = [
            ("id", Value::from(context.task_id.as_str())),
            ("attempt", Value::from(context.attempt)),
            ("may_have_applied", Value::from(context.may_have_applied)),
        ];
        vars.set("task", Value::from_pairs(attempt));
        if let Some(found) = &current {
            vars.set("current", current_account(found));
        }
        self.add_password(&mut vars)?;
        if let Operation::UpdateAccount(update) = self.operation {
            if let Some(name) = update.no_text() {
                return Err(Error::internal(format!("{}: changes.{name} must be a text", self.what)));
            }
            let changes = changes_of(update);
            self.check_changes(&changes, current.as_ref())?;
            vars.set("changes", Value::from(Serde(&changes)));
        }
        let wanted = match self.operation {
            Operation::CreateAccount(create) => Some(create.memberships.as_ref()),
            Operation::UpdateAccount(update) => Some(update.memberships.as_ref()),
            _ => None,
        };
        if let Some(wanted) = wanted {
            vars.set("memberships", self.memberships(wanted, current.as_ref()).await?);
        }
        let mut progress = Progress::default();
        for step in &self.plan.steps {
            self.step(step, &vars, &mut progress).await?;
        }
        self.check_made(current.as_ref(), &progress)?;
        self.conclude(&vars, &progress)
    }

    /// The account in its current state. An account to create must not exist; any other must.
    async fn look(&self, account: &Account) -> Result<Option<Found>, Error> {
        let system = &self.target.system;
        if matches!(self.operation, Operation::CreateAccount(_)) {
            return match self.accounts.find_taken(self.target, account).await? {
                None => Ok(None),
                Some(found) => Err(Error::account_already_exists(format!(
                    "User {} already exists in {system}, as {}",
                    account.label(),
                    found.record.id
                ))),
            };
        }
        let needs_memberships = matches!(self.operation, Operation::UpdateAccount(update) if update.memberships.is_some())
            || ["memberships", "assignments"].iter().any(|of| self.plan.sends_field("current", of));
        let found = if needs_memberships {
            self.accounts.find(self.target, account).await?
        } else {
            self.accounts.find_alone(self.target, account).await?
        };
        found.map(Some).ok_or_else(|| {
            Error::account_not_found(format!("User {} not found in {system}", account.label()))
        })
    }

    fn wanted_account(&self) -> Value {
        let account = self.operation.account();
        with_label(serde_json::to_value(account).unwrap_or_default(), account.label())
    }

    /// Adds the password that Iden has chosen, and fails if no step sends it.
    fn add_password(&self, vars: &mut Vars) -> Result<(), Error> {
        let (password, status) = match self.operation {
            Operation::CreateAccount(create) => (create.password.as_ref(), create.account.status),
            Operation::ResetPassword(reset) => (reset.password.as_ref(), None),
            _ => return Ok(()),
        };
        let action = self.operation.action();
        let unused = |variable: &str| {
            Error::internal(format!(
                "{}: the task sets `{variable}`, but no step of {action} uses it",
                self.what
            ))
        };
        if status.is_some_and(|status| status != AccountStatus::Active)
            && !self.plan.sends_field("account", "status")
        {
            return Err(unused("account.status"));
        }
        let Some(password) = password else { return Ok(()) };
        if action == Action::ResetPassword && !self.plan.sends_any("password") {
            return Err(unused("password"));
        }
        vars.set("password", password.expose_secret());
        Ok(())
    }

    /// Fails if no step makes a requested change: it would be reported as made.
    fn check_changes(
        &self,
        changes: &Map<String, serde_json::Value>,
        current: Option<&Found>,
    ) -> Result<(), Error> {
        match self.unmade(changes, current).find(|name| !self.plan.sends_field("changes", name)) {
            None => Ok(()),
            Some(name) => Err(Error::internal(format!(
                "{}: the configuration does not define how to change {name} in {}; use `changes.{name}` in \
                 a step of update_account, or add it to its `ignore`",
                self.what, self.target.system
            ))),
        }
    }

    /// The changes that the account does not show yet, and that are not ignored.
    fn unmade<'c>(
        &self,
        changes: &'c Map<String, serde_json::Value>,
        current: Option<&Found>,
    ) -> impl Iterator<Item = &'c str> + use<'c, '_, 'a> {
        let current = current.and_then(|found| serde_json::to_value(&found.record).ok()).unwrap_or_default();
        let unmade = changes.iter().filter(move |(name, value)| {
            let is_so = current.get(name.as_str()).unwrap_or(&serde_json::Value::Null) == *value;
            let elsewhere = matches!(name.as_str(), "memberships" | "assignments");
            !(elsewhere || is_so || self.plan.ignores(name))
        });
        unmade.map(|(name, _)| name.as_str())
    }

    /// The wanted memberships, and which of them to add and remove. Groups to add must exist.
    async fn memberships(
        &self,
        wanted: Option<&Memberships>,
        current: Option<&Found>,
    ) -> Result<Value, Error> {
        let nobody = Memberships::default();
        let wanted = wanted.unwrap_or(&nobody);
        let known = |slug: &str| self.entities.iter().find(|one| one.resource_type.slug.as_str() == slug);
        if let Some(slug) = wanted.0.keys().find(|slug| known(slug.as_str()).is_none()) {
            let message = format!(
                "{}: {} has no groups or licenses of the type '{slug}'",
                self.what, self.target.system
            );
            return Err(Error::group_not_found(message));
        }
        let mut all: BTreeMap<String, Value> = BTreeMap::new();
        for entities in self.entities {
            let slug = entities.resource_type.slug.as_str();
            let ids =
                |refs: &[bridgehead_sdk::Ref]| refs.iter().map(|r| r.id.clone()).collect::<Vec<String>>();
            let now = current.map(|found| {
                let mut now = ids(found.record.memberships.of(slug));
                now.extend(ids(found.record.assignments.of(slug)));
                now
            });
            let now = now.unwrap_or_default();
            let named = wanted.0.contains_key(slug);
            let wanted = if named { ids(wanted.of(slug)) } else { now.clone() };
            let added: Vec<String> = wanted.iter().filter(|id| !now.contains(id)).cloned().collect();
            let removed: Vec<String> = now.iter().filter(|id| !wanted.contains(id)).cloned().collect();
            if named && let Some(doubt) = current.and_then(|found| found.doubts.get(slug)) {
                self.settle(doubt, slug, added.is_empty()).await?;
            }
            let changes = !added.is_empty() || !removed.is_empty();
            if changes && !self.plan.sends_field("memberships", slug) {
                return Err(Error::internal(format!(
                    "{}: the configuration does not define how to change {slug} in {}; use \
                     `memberships.{slug}` in a step",
                    self.what, self.target.system
                ))
                .with_subject(Subject::Group));
            }
            entities.require(self.target, self.accounts, &added, self.what).await?;
            let lists = [("wanted", wanted), ("added", added), ("removed", removed)];
            all.insert(slug.to_owned(), Value::from_pairs(lists));
        }
        Ok(Value::from_pairs(all))
    }

    /// Decides whether an account that appears to be in no group really is in none: if no group shows any members, the account may be in
    /// all of them.
    async fn settle(&self, doubt: &Doubt, slug: &str, joins_none: bool) -> Result<(), Error> {
        match doubt {
            Doubt::Bare if joins_none => Err(Error::internal(format!(
                "{}: no group of the type {slug} in {} shows any members, so the groups of the account are \
                 unknown; check the `members` of {slug}",
                self.what, self.target.system
            ))
            .with_subject(Subject::Group)),
            Doubt::Bare => Ok(()),
            Doubt::Member(member) => {
                let member = Account::by_id(member.as_str());
                match self.accounts.find_alone(self.target, &member).await? {
                    Some(_) => Ok(()),
                    None => Err(members::strangers(self.what, slug)),
                }
            }
        }
    }

    /// Verifies an error that reports the account as missing, although it was found a moment ago.
    async fn is_gone(&self, error: Error, vars: &Vars) -> Error {
        let id = vars.get("current").and_then(|current| current.get_attr("id").ok());
        let Some(id) = id.and_then(|id| id.as_str().map(str::to_owned)) else { return error };
        if error.code() != Code::AccountNotFound || error.subject() != Subject::Account {
            return error;
        }
        let account = Account::by_id(id.as_str());
        match self.accounts.find_alone(self.target, &account).await {
            // It disappeared after the look-up: another client removed it, or this request did despite its response.
            Ok(None) if self.operation.action() == Action::DeleteAccount => {
                error.with_effect(Effect::Unknown)
            }
            Ok(None) => error,
            Ok(Some(_)) => Error::internal(format!(
                "{}: {} responds as if {id} did not exist, but finds it when it is looked up; correct the \
                 path of the step",
                self.what, self.target.system
            ))
            .with_retry(Retry::Backoff),
            Err(error) => error,
        }
    }

    async fn step(&self, step: &'a Step, vars: &Vars, progress: &mut Progress<'a>) -> Result<(), Error> {
        let vars = vars.with("saved", Value::from_pairs(progress.saved.clone()));
        let cannot_be_made = |fault: Fault| Error::internal(format!("{}: {fault}", self.what));
        if let Some(when) = &step.when
            && !when.truth(&vars).map_err(|fault| progress.taint(cannot_be_made(fault)))?
        {
            return Ok(());
        }
        let items = step.for_each.as_ref().map(|for_each| for_each.list(&vars)).transpose();
        let Some(items) = items.map_err(|fault| progress.taint(cannot_be_made(fault)))? else {
            let about = if self.operation.action() == Action::CreateAccount {
                // Requests after the one that created the account find it in place.
                About::New { replaces: step.request.replaces() && !progress.changed }
            } else {
                About::Account
            };
            return self.request(step, &vars, about, progress).await;
        };
        for item in items {
            self.request(step, &vars.with("item", item), About::Item, progress).await?;
        }
        Ok(())
    }

    async fn request(
        &self,
        step: &'a Step,
        vars: &Vars,
        about: About,
        progress: &mut Progress<'a>,
    ) -> Result<(), Error> {
        let ask = Ask { request: &step.request, vars, what: self.what, about };
        let of_step = |progress: &Progress<'_>, error: Error| {
            progress.taint(if step.changes { error } else { error.with_effect(Effect::NotApplied) })
        };
        let reply = match self.target.ask(ask).await {
            Ok(reply) => reply,
            Err(error) => {
                let error = self.is_gone(error, vars).await;
                // The membership existed at the look-up, so this request may have removed it despite its response.
                let is_removal = matches!(about, About::Item) && step.request.deletes();
                let error = if is_removal && error.subject() == Subject::Group {
                    error.with_effect(Effect::Unknown)
                } else {
                    error
                };
                return Err(of_step(progress, error));
            }
        };
        if step.changes
            && let Some(sign) = step.request.faults_of(&reply)
        {
            return Err(of_step(progress, in_spite_of_success(self.what, &reply, &sign)));
        }
        progress.changed |= step.changes;
        progress.made.push(step);
        if step.save.is_empty() {
            return Ok(());
        }
        let of_answer = reply.vars(vars);
        for (name, expression) in &step.save {
            let value = expression.value(&of_answer);
            let value = value.map_err(|fault| of_step(progress, reply.fault(self.what, &fault)))?;
            progress.saved.insert(name.clone(), value);
        }
        Ok(())
    }

    /// Whether the target shows a field, so that it is read back.
    fn is_shown(&self, name: &str) -> bool {
        match name {
            "id" => true,
            "status" => self.accounts.mapping.has_status(),
            name => self.accounts.mapping.has(name),
        }
    }

    /// Fails if what cannot be seen in the target was not sent, because every step for it was skipped: a password, and a changed field that
    /// the target does not show. Everything else is read back.
    fn check_made(&self, current: Option<&Found>, progress: &Progress<'_>) -> Result<(), Error> {
        let skipped = |what: &str| {
            let action = self.operation.action();
            let message = format!(
                "{}: no step of {action} that {what} was run, because of its `when` or `for_each`; correct them",
                self.what
            );
            Err(progress.taint(Error::internal(message)))
        };
        match self.operation {
            Operation::ResetPassword(reset) => {
                let sets =
                    |step: &&Step| step.changes && (reset.password.is_none() || step.sends_any("password"));
                if progress.made.iter().any(sets) { Ok(()) } else { skipped("sets the password") }
            }
            Operation::UpdateAccount(update) => {
                let changes = changes_of(update);
                let unsent = self.unmade(&changes, current).find(|name| {
                    !self.is_shown(name)
                        && !progress.made.iter().any(|step| step.sends_field("changes", name))
                });
                unsent.map_or(Ok(()), |name| skipped(&format!("sends changes.{name}")))
            }
            Operation::CreateAccount(create) => {
                let has_sent_password = progress.made.iter().any(|step| step.sends_any("password"));
                if create.password.is_some() && self.plan.sends_any("password") && !has_sent_password {
                    return skipped("sets the password");
                }
                let fields = serde_json::to_value(&create.account).unwrap_or_default();
                let fields = fields.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
                // A field that no step uses is one that the target cannot store.
                let unsent = fields.map(|(name, _)| name.as_str()).find(|name| {
                    !matches!(*name, "memberships" | "assignments" | "password" | "new_password")
                        && !self.is_shown(name)
                        && self.plan.sends_field("account", name)
                        && !progress.made.iter().any(|step| step.sends_field("account", name))
                });
                unsent.map_or(Ok(()), |name| skipped(&format!("sends account.{name}")))
            }
            _ => Ok(()),
        }
    }

    fn conclude(&self, vars: &Vars, progress: &Progress<'_>) -> Result<Completion, Error> {
        let vars = vars.with("saved", Value::from_pairs(progress.saved.clone()));
        let unclear = |fault: Fault| progress.taint(Error::internal(format!("{}: {fault}", self.what)));
        let mut completion = Completion::done();
        if let Some(account_id) = &self.plan.account_id {
            let id = account_id.text(&vars).map_err(unclear)?;
            if id.is_empty() {
                return Err(unclear(account_id.not_a("an identifier")));
            }
            completion = Completion::created(id);
        }
        for (name, expression) in &self.plan.result {
            let value = expression.value(&vars).map_err(unclear)?;
            let value = serde_json::to_value(&value).map_err(|_| unclear(expression.not_a("JSON")))?;
            completion = completion.with(name.clone(), exact::plain(value));
        }
        Ok(completion)
    }
}

/// The changes of an update, with the password wherever the task has it.
fn changes_of(update: &UpdateAccount) -> Map<String, serde_json::Value> {
    let mut changes = update.changes.clone();
    if let Some(password) = &update.password
        && !["password", "new_password"].iter().any(|name| changes.contains_key(*name))
    {
        changes.insert("password".to_owned(), password.expose_secret().into());
    }
    changes
}

impl Progress<'_> {
    /// Once something was changed, a later failure cannot mean "nothing changed": the runtime has to read back.
    fn taint(&self, error: Error) -> Error {
        if self.changed { error.with_effect(Effect::Unknown) } else { error }
    }
}

/// The account as the target has it: its fields, and the raw record under `record`.
pub(crate) fn current_account(found: &Found) -> Value {
    let fields =
        with_label(serde_json::to_value(&found.record).unwrap_or_default(), found.record.id.as_str());
    let fields = fields.try_iter().into_iter().flatten().filter_map(|name| {
        let value = fields.get_item(&name).ok()?;
        Some((name, value))
    });
    Value::from_pairs(fields.chain([(Value::from("record"), found.raw.clone())]))
}

/// The fields of an account, with a label to display.
pub(crate) fn with_label(mut fields: serde_json::Value, label: &str) -> Value {
    if let Some(fields) = fields.as_object_mut() {
        fields.insert("label".to_owned(), label.into());
    }
    Value::from(Serde(fields))
}
