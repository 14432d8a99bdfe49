//! The six actions.

use std::collections::BTreeSet;

use bridgehead_sdk::{
    Account, AccountStatus, Code, Completion, Context, CreateAccount, Effect, Error, Memberships, Operation,
    Ref, ResetPassword, Retry, Subject, UpdateAccount,
};
use secrecy::ExposeSecret;
use serde_json::Value;

use crate::application::Application;
use crate::change::Change;
use crate::client::{Made, Refusal};
use crate::errors::{Asked, half_done};
use crate::mapping::{Wanted, agrees, blank};
use crate::path::Path;
use crate::settings::Deletion;
use crate::standing::Standing;
use crate::wire::{Fields, field, id, truth};

/// The key in a task's result that lists fields that could not be stored.
const NOT_KEPT: &str = "fields_without_attribute";

/// The maximum number of groups without visible members from which a user is removed as a precaution.
const MOST_UNSEEN: usize = 200;

/// The requested groups of an account.
struct WantedGroups<'a> {
    /// `None` if the task does not mention groups.
    refs: Option<&'a [Ref]>,
}

/// The groups that a user joins and leaves, and those that it may be in.
#[derive(Debug, Default)]
struct Moves {
    join: Vec<String>,
    leave: Vec<String>,
    perhaps: Vec<String>,
}

impl Application<'_> {
    pub(crate) async fn execute(
        &self,
        context: &Context,
        operation: &Operation,
    ) -> Result<Completion, Error> {
        match operation {
            Operation::CreateAccount(create) => self.create(context, create).await,
            Operation::UpdateAccount(update) => self.update(update).await,
            Operation::DeleteAccount(delete) => self.remove(&delete.account).await,
            Operation::SuspendAccount(suspend) => self.set_active(&suspend.account, false).await,
            Operation::UnsuspendAccount(unsuspend) => self.set_active(&unsuspend.account, true).await,
            Operation::ResetPassword(reset) => self.reset_password(reset).await,
            other => Err(Error::unsupported(other.action())),
        }
    }

    async fn create(&self, context: &Context, create: &CreateAccount) -> Result<Completion, Error> {
        let account = &create.account;
        let label = account.label();
        let mut wanted = self.mapping.wanted_at_first(account);
        self.leave_out_what_has_no_place(&mut wanted);
        let mut user = blank();
        for (path, value) in wanted.fields {
            path.set(&mut user, value);
        }
        user.insert("active".to_owned(), (!is_suspended(account)).into());
        // Nothing is created before it is certain that every group and license exists.
        let groups = self.apply_memberships(create.memberships.as_ref(), &mut user)?;
        let refs = ids(groups.refs.unwrap_or_default());
        self.require_groups(&refs).await?;
        if let Some(own) = self.exists(context, account, &refs).await? {
            return self.finish_create(own, account, &refs, wanted.unknown).await;
        }
        if let Some(password) = &create.password {
            user.insert("password".to_owned(), password.expose_secret().into());
        }
        let what = format!("User {label} cannot be created");
        let own = match self.scim.post(self.users(), &user, &what).await? {
            Made::As(own) => own,
            Made::At(own) => self.find_made(Some(&own), account).await?,
            Made::Somewhere => self.find_made(None, account).await?,
        };
        self.finish_create(own, account, &refs, wanted.unknown).await
    }

    /// Looks up the account first, because some applications respond to the creation of an existing user by changing it. Returns the
    /// identifier of an account that an earlier attempt created but did not finish.
    async fn exists(
        &self,
        context: &Context,
        account: &Account,
        groups: &[&str],
    ) -> Result<Option<String>, Error> {
        let Some(user) = self.find_by_login(account).await? else { return Ok(None) };
        let record = self.mapping.record(&user).map_err(|fault| self.unreadable(&fault))?;
        if context.may_have_applied && agrees(account, &record) {
            let is_still_active = is_suspended(account) && record.status == AccountStatus::Active;
            let memberships =
                if groups.is_empty() { Memberships::default() } else { self.memberships_of(&user).await? };
            let current = ids(memberships.of(&self.settings.groups.slug));
            if is_still_active || groups.iter().any(|group| !current.contains(group)) {
                return Ok(Some(record.id.into_string()));
            }
        }
        let (label, system) = (account.label(), self.system());
        let message = format!("User {label} already exists in {system}, as {}", record.id);
        Err(Error::account_already_exists(message))
    }

    /// The user that has the user name or email of a new account.
    async fn find_by_login(&self, account: &Account) -> Result<Option<Fields>, Error> {
        let mut by_login = account.clone();
        by_login.id = None;
        if by_login.username.is_none() && by_login.email.is_none() {
            return Ok(None);
        }
        let found = self.find(&by_login).await?;
        if found.is_none()
            && by_login.username.is_none()
            && let (Some(email), Some(path)) = (&by_login.email, self.mapping.path("username"))
        {
            // The email address will also be its user name.
            return self.find_by(path, email).await;
        }
        Ok(found)
    }

    /// The newly created user, if the response does not identify it. No user had its name before.
    async fn find_made(&self, located: Option<&str>, account: &Account) -> Result<String, Error> {
        if let Some(own) = located
            && self.scim.get(self.users(), own, &[]).await.map_err(half_done)?.is_some()
        {
            return Ok(own.to_owned());
        }
        let found = self.find_by_login(account).await.map_err(half_done)?;
        found.as_ref().and_then(id).ok_or_else(|| {
            let message = format!(
                "User {} cannot be created: {} responded without an id, and no user with that name is found",
                account.label(),
                self.system()
            );
            Error::internal(message).with_effect(Effect::Unknown).with_retry(Retry::Backoff)
        })
    }

    async fn finish_create(
        &self,
        own: String,
        account: &Account,
        groups: &[&str],
        not_kept: Vec<String>,
    ) -> Result<Completion, Error> {
        let label = account.label();
        if is_suspended(account) {
            self.deactivate_new(&own, label).await.map_err(half_done)?;
        }
        for group in groups {
            self.set_member(group, (&own, label), true).await.map_err(half_done)?;
        }
        let completion = Completion::created(own);
        Ok(if not_kept.is_empty() { completion } else { completion.with(NOT_KEPT, not_kept) })
    }

    /// Deactivates a new user, if the application has ignored `active` in its creation: nobody may be able to log in with an account that
    /// was to be created suspended.
    async fn deactivate_new(&self, own: &str, label: &str) -> Result<(), Error> {
        let user = self.fresh(own, label).await?;
        if is_active(&user) == Some(false) {
            return Ok(());
        }
        self.change(own, label, self.style().activation(&user, false), &user, "deactivated").await
    }

    async fn update(&self, update: &UpdateAccount) -> Result<Completion, Error> {
        let label = update.account.label();
        let wanted = self.wanted_changes(update)?;
        let password = update.password.clone();
        if password.is_some() && !self.features.change_password {
            return Err(self.no_passwords());
        }
        let (own, found) = self.require(&update.account).await?;
        let groups = self.apply_memberships(update.memberships.as_ref(), &mut found.clone())?;
        let moves = match groups.refs {
            Some(refs) => self.difference(&update.account, &found, refs).await?,
            None => Moves::default(),
        };
        let Moves { join, leave, perhaps } = moves;
        self.require_groups(&join.iter().map(String::as_str).collect::<Vec<_>>()).await?;
        // Read last, right before writing: a complete write must include the latest changes of other clients.
        let is_current = update.account.id.is_some() && update.memberships.is_none();
        let before = if is_current { found } else { self.fresh(&own, label).await? };
        let mut after = before.clone();
        let mut touched: Vec<Path> = Vec::new();
        for (path, value) in wanted.fields {
            path.set(&mut after, value);
            touched.push(path);
        }
        self.apply_memberships(update.memberships.as_ref(), &mut after)?;
        touched.extend(self.mapping.license_attributes().cloned());

        let mut is_changed = false;
        if let Some(change) = self.style().user(&before, &after, &touched) {
            self.change(&own, label, change, &before, "changed").await?;
            is_changed = true;
        }
        let wants_active = update.changes.get("status").and_then(Value::as_str);
        if let Some(status) = wants_active.and_then(AccountStatus::from_name) {
            let active = status == AccountStatus::Active;
            // A user who does not show the attribute may be suspended.
            if is_active(&before) != Some(active) {
                self.change_fresh(&own, label, is_changed, &before, |user| {
                    self.style().activation(user, active)
                })
                .await?;
                is_changed = true;
            }
        }
        if let Some(password) = password {
            let password = password.expose_secret();
            self.change_fresh(&own, label, is_changed, &before, |user| self.style().password(user, password))
                .await?;
            is_changed = true;
        }
        for (group, is_member) in join.iter().map(|id| (id, true)).chain(leave.iter().map(|id| (id, false))) {
            let set = self.set_member(group, (&own, label), is_member).await;
            set.map_err(|error| if is_changed { half_done(error) } else { error })?;
            is_changed = true;
        }
        self.leave_unseen(&perhaps, (&own, label), !join.is_empty())
            .await
            .map_err(|error| if is_changed { half_done(error) } else { error })?;
        Ok(Completion::done())
    }

    /// Removes a user from groups that do not show their members. If joining other groups has shown that members are visible after all, the
    /// user is in none of these groups.
    async fn leave_unseen(
        &self,
        groups: &[String],
        (own, label): (&str, &str),
        has_joined: bool,
    ) -> Result<(), Error> {
        if groups.is_empty() {
            return Ok(());
        }
        if has_joined {
            let user = self.fresh(own, label).await?;
            if self.standing(&user).await?.unseen.is_empty() {
                return Ok(());
            }
        }
        if groups.len() > MOST_UNSEEN {
            let message = format!(
                "{}: none of its {} groups shows any members, so the groups of User {label} are unknown; \
                 make the application show them, or set groups.enabled = false",
                self.system(),
                groups.len()
            );
            return Err(Error::internal(message).with_subject(Subject::Group));
        }
        let mut is_changed = false;
        for group in groups {
            let set = self.set_member(group, (own, label), false).await;
            set.map_err(|error| if is_changed { half_done(error) } else { error })?;
            is_changed = true;
        }
        Ok(())
    }

    /// A change that follows another one of the same task, so that the earlier state is outdated.
    async fn change_fresh(
        &self,
        own: &str,
        label: &str,
        is_changed: bool,
        before: &Fields,
        change: impl Fn(&Fields) -> Change,
    ) -> Result<(), Error> {
        if !is_changed {
            return self.change(own, label, change(before), before, "changed").await;
        }
        let read = self.scim.get(self.users(), own, &[]).await.map_err(half_done)?;
        let now = read.unwrap_or_else(|| before.clone());
        self.change(own, label, change(&now), &now, "changed").await.map_err(half_done)
    }

    async fn remove(&self, account: &Account) -> Result<Completion, Error> {
        if self.settings.delete == Deletion::Deactivate {
            return self.set_active(account, false).await;
        }
        let (own, _) = self.require(account).await?;
        let what = format!("User {} cannot be deleted", account.label());
        match self.scim.delete(self.users(), &own, &what).await {
            Ok(()) => Ok(Completion::done()),
            Err(refusal) => {
                let is_gone = refusal.is_gone;
                let error = self.looked_again(&own, &what, refusal).await;
                // It disappeared after the look-up: another client removed it, or this request did despite its response.
                let is_gone = is_gone && error.code() == Code::AccountNotFound;
                Err(if is_gone { error.with_effect(Effect::Unknown) } else { error })
            }
        }
    }

    /// The error for a refused change. A 404 means that the user does not exist, although it did a moment ago, so it is looked up again.
    async fn looked_again(&self, own: &str, what: &str, refusal: Refusal) -> Error {
        if !refusal.is_gone {
            return refusal.error;
        }
        match self.scim.get(self.users(), own, &[]).await {
            Ok(None) => refusal.error,
            Ok(Some(_)) => Error::internal(format!(
                "{what}: {} responds with 404 to the change, but finds {own} when it is looked up; check \
                 the permissions of its credential, and what it supports (capabilities)",
                self.system()
            ))
            .with_effect(Effect::Unknown)
            .with_retry(Retry::Backoff),
            Err(error) => error.with_effect(Effect::Unknown),
        }
    }

    /// The user of an account in the form to write back: a search may show only a part of it.
    async fn require_to_write(&self, account: &Account, whole: bool) -> Result<(String, Fields), Error> {
        let (own, found) = self.require(account).await?;
        if account.id.is_some() || !whole {
            return Ok((own, found));
        }
        let user = self.fresh(&own, account.label()).await?;
        Ok((own, user))
    }

    async fn set_active(&self, account: &Account, active: bool) -> Result<Completion, Error> {
        let (own, before) = self.require_to_write(account, !self.style().patch).await?;
        let done = if active { "activated" } else { "deactivated" };
        let change = self.style().activation(&before, active);
        self.change(&own, account.label(), change, &before, done).await?;
        Ok(Completion::done())
    }

    async fn reset_password(&self, reset: &ResetPassword) -> Result<Completion, Error> {
        let label = reset.account.label();
        if !self.features.change_password {
            return Err(self.no_passwords());
        }
        let Some(password) = &reset.password else {
            return Err(Error::internal(format!(
                "The task contains no password for User {label}, and {} does not generate one",
                self.system()
            )));
        };
        let (own, before) = self.require_to_write(&reset.account, self.style().replaces()).await?;
        let change = self.style().password(&before, password.expose_secret());
        self.change(&own, label, change, &before, "given a new password").await?;
        Ok(Completion::done())
    }

    async fn change(
        &self,
        own: &str,
        label: &str,
        change: Change,
        before: &Fields,
        done: &str,
    ) -> Result<(), Error> {
        let what = format!("User {label} cannot be {done}");
        let Change { method, body } = change;
        let place = (self.users(), own);
        match self.scim.change(method, place, &body, self.version(before), (&what, Asked::Change)).await {
            Ok(()) => Ok(()),
            Err(refusal) => Err(self.looked_again(own, &what, refusal).await),
        }
    }

    /// The changes of an update. A field without a path is an error; otherwise Iden would assume that it was changed.
    fn wanted_changes(&self, update: &UpdateAccount) -> Result<Wanted, Error> {
        let label = update.account.label();
        let refuse = |field: &str, why: &str| {
            Error::internal(format!("User {label} cannot be changed in {}: {field} {why}", self.system()))
        };
        if update.changes.contains_key("id") || update.changes.contains_key("account_id") {
            return Err(refuse("id", "is chosen by the application and never changes"));
        }
        if let Some(status) = update.changes.get("status")
            && !status.is_null()
            && status.as_str().and_then(AccountStatus::from_name).is_none()
        {
            return Err(refuse("status", "must be active, inactive or suspended"));
        }
        let changes = update.changes.iter().map(|(name, value)| (name.as_str(), value.clone()));
        let mut wanted = self.mapping.wanted(changes);
        self.leave_out_what_has_no_place(&mut wanted);
        if let Some(unknown) = wanted.unknown.first() {
            return Err(refuse(unknown, "has no attribute; add one under target.attributes"));
        }
        if let Some(name) = update.no_text() {
            return Err(refuse(name, "must be a text"));
        }
        for name in ["username", "email"] {
            let is_cleared = update.changes.get(name).is_some_and(|value| value.is_null() || value == "");
            let is_user_name = self.mapping.path(name).is_some_and(|path| path.to_string() == "userName");
            if is_cleared && is_user_name {
                return Err(refuse(name, "cannot be cleared: every SCIM user has a userName"));
            }
        }
        for (_, value) in &mut wanted.fields {
            // An empty string means unassigned like `null`, and would not be a valid address.
            if value == "" {
                *value = Value::Null;
            }
        }
        Ok(wanted)
    }

    fn leave_out_what_has_no_place(&self, wanted: &mut Wanted) {
        let Some(attributes) = &self.features.attributes else { return };
        let (fields, unplaced): (Vec<_>, Vec<_>) = std::mem::take(&mut wanted.fields)
            .into_iter()
            .partition(|(path, _)| attributes.fault(path).is_none());
        wanted.fields = fields;
        wanted.unknown.extend(unplaced.into_iter().map(|(path, _)| self.mapping.name_of(&path)));
    }

    /// Sets the licenses of the user, and returns the requested groups.
    fn apply_memberships<'m>(
        &self,
        wanted: Option<&'m Memberships>,
        user: &mut Fields,
    ) -> Result<WantedGroups<'m>, Error> {
        let mut groups = WantedGroups { refs: None };
        for (slug, refs) in wanted.into_iter().flat_map(|wanted| &wanted.0) {
            if self.features.groups.is_some() && *slug.as_str() == self.settings.groups.slug {
                groups.refs = Some(refs);
                continue;
            }
            let assigned = self.mapping.assign(user, slug.as_str(), refs).map_err(|missing| {
                let message = format!(
                    "The license {} of the type '{slug}' is not one of those listed in target.licenses for \
                     {}",
                    missing.id,
                    self.system()
                );
                Error::internal(message).with_subject(Subject::License)
            })?;
            if !assigned {
                let message = format!("{}: unknown type '{slug}' of groups or licenses", self.system());
                return Err(Error::group_not_found(message));
            }
        }
        Ok(groups)
    }

    /// The groups that a user must join and leave.
    async fn difference(&self, account: &Account, user: &Fields, wanted: &[Ref]) -> Result<Moves, Error> {
        self.memberships_can_be_read()?;
        // The result of a search may lack the user's groups.
        let fresh = match (&account.id, id(user)) {
            (None, Some(own)) => Some(self.fresh(&own, account.label()).await?),
            _ => None,
        };
        let Standing { memberships, unseen } = self.standing(fresh.as_ref().unwrap_or(user)).await?;
        let current: BTreeSet<&str> = ids(memberships.of(&self.settings.groups.slug)).into_iter().collect();
        let wanted: BTreeSet<&str> = ids(wanted).into_iter().collect();
        let owned = |ids: Vec<&&str>| ids.into_iter().map(|id| (*id).to_owned()).collect();
        Ok(Moves {
            join: owned(wanted.difference(&current).collect()),
            leave: owned(current.difference(&wanted).collect()),
            perhaps: unseen.iter().filter(|group| !wanted.contains(group.as_str())).cloned().collect(),
        })
    }

    fn no_passwords(&self) -> Error {
        Error::internal(format!(
            "{} says that passwords cannot be set; set capabilities.change_password = true if they can",
            self.system()
        ))
    }
}

/// Whether a new account must not be active.
fn is_suspended(account: &Account) -> bool {
    account.status.is_some_and(|status| status != AccountStatus::Active)
}

/// Whether a user is active; `None` if the user does not show it.
fn is_active(user: &Fields) -> Option<bool> {
    field(user, "active").and_then(truth)
}

fn ids(refs: &[Ref]) -> Vec<&str> {
    refs.iter().map(|one| one.id.as_str()).collect()
}
