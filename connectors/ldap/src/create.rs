//! Making an account.
//!
//! The order is such that an attempt that broke off anywhere can be followed by another:
//! 1. the groups that the task wants are looked up: one that is missing is found before anything is there;
//! 2. the entry is made whole in one step, its password with it (how, see `staging`);
//! 3. it is put into its groups. A repeated attempt that finds the entry as it would make it does this too, before it says
//!    that the account exists.
//!
//! If the server refuses a group for good, the entry that was just made is taken away again.

use bridgehead_sdk::{AccountStatus, Completion, Context, CreateAccount, Effect, Error, Retry, Subject};
use secrecy::{ExposeSecret as _, SecretString};

use crate::directory::{Directory, equals};
use crate::draft::Draft;
use crate::entry::Entry;
use crate::failure::Failure;
use crate::groups;
use crate::memberships::folded;
use crate::name::Rdn;
use crate::password;
use crate::records;
use crate::report::About;
use crate::session::{Change, Search, Session};
use crate::settings::PasswordMethod;
use crate::staging;

/// The values of an entry that is to be added.
type Attributes = Vec<(String, Vec<Vec<u8>>)>;

/// Makes an account.
pub(crate) async fn create(
    directory: &Directory,
    context: &Context,
    create: &CreateAccount,
) -> Result<Completion, Error> {
    let account = &create.account;
    let label = account.label();
    let _protection = directory.redactor.protect(create.password.iter().map(SecretString::expose_secret));
    let lease = directory.lease(About::Account(label)).await?;
    let wanted = groups::look_up(directory, &lease, create.memberships.as_ref()).await?;
    let mut draft = Draft::new(directory, account)?;
    let dn = dn_of(directory, &draft.rdn);
    let taken = taken(directory, &lease, create).await?;
    if let Some(other) = taken.first() {
        // Only a repeated attempt may take what is there for its own work, and only if it would have made the same. It sees
        // to the groups that may be missing; the runtime then looks, and finds the account as it is wanted.
        if context.may_have_applied && taken.len() == 1 && is_as_drafted(other, &draft, &dn) {
            let mut applied = false;
            let settled = groups::settle(directory, &lease, other, &wanted, false, &mut applied).await;
            settled.map_err(|error| if applied { error.effect(Effect::Unknown) } else { error })?;
        }
        return Err(already_exists(directory, create, other));
    }
    if create.password.is_some() && directory.layout.password == PasswordMethod::None {
        draft.unmapped.push("password".to_owned());
    }
    make(directory, &lease, context, create, &draft, &dn).await?;
    let entry = match read(directory, &lease, &dn).await {
        Ok(Some(entry)) => entry,
        Ok(None) => {
            let message = format!(
                "{}: User {label} was created as {dn}, and cannot be found there; may bind_dn read it, and does it fit \
                 accounts.filter?",
                directory.system()
            );
            return Err(Error::internal(message).effect(Effect::Unknown));
        }
        Err(error) => return Err(error.effect(Effect::Unknown)),
    };
    if let Err(error) = groups::settle(directory, &lease, &entry, &wanted, false, &mut false).await {
        return Err(undo(directory, &lease, &entry, error).await);
    }
    completion(directory, &entry, draft.unmapped)
}

fn completion(directory: &Directory, entry: &Entry, unmapped: Vec<String>) -> Result<Completion, Error> {
    let id = records::identifier(&directory.layout, entry).map_err(|rejected| {
        let message = format!("{}: {} was created, and {rejected}", directory.system(), entry.dn);
        Error::internal(message).effect(Effect::Unknown)
    })?;
    let completion = Completion::created(id);
    Ok(if unmapped.is_empty() { completion } else { completion.with("fields_without_attribute", unmapped) })
}

fn dn_of(directory: &Directory, rdn: &Rdn) -> String {
    format!("{rdn},{}", directory.layout.create.base)
}

/// The accounts that have the identifier, the user name or the e-mail address already.
async fn taken(
    directory: &Directory,
    session: &Session,
    create: &CreateAccount,
) -> Result<Vec<Entry>, Error> {
    let account = &create.account;
    let mut conditions: Vec<String> =
        account.id.iter().filter_map(|id| directory.layout.id.filter(id.as_str())).collect();
    for (field, value) in [("username", &account.username), ("email", &account.email)] {
        if let (Some(attribute), Some(value)) = (directory.layout.attribute(field), value) {
            conditions.push(equals(attribute, value));
        }
    }
    if conditions.is_empty() {
        return Ok(Vec::new());
    }
    directory.find_all(session, &format!("(|{})", conditions.concat())).await
}

fn is_as_drafted(entry: &Entry, draft: &Draft, dn: &str) -> bool {
    folded(&entry.dn) == folded(dn)
        && draft.attributes.iter().all(|(attribute, values)| {
            // What was not asked for says nothing.
            let held = entry.values(attribute);
            held.is_empty() || values.iter().all(|value| held.iter().any(|held| held == value.as_bytes()))
        })
}

fn already_exists(directory: &Directory, create: &CreateAccount, other: &Entry) -> Error {
    let account = &create.account;
    let holds = |field: &str, value: &Option<String>| {
        let attribute = directory.layout.attribute(field)?;
        let value = value.as_ref()?.to_lowercase();
        let same = other.texts(attribute).flatten().any(|held| held.to_lowercase() == value);
        same.then_some(())
    };
    let what = if holds("username", &account.username).is_some() {
        "the user name"
    } else if holds("email", &account.email).is_some() {
        "the e-mail address"
    } else {
        "the id"
    };
    Error::account_already_exists(format!(
        "User {}: {what} is taken in {} by {}",
        account.label(),
        directory.system(),
        other.dn
    ))
}

/// Makes the entry, whole, in one step.
async fn make(
    directory: &Directory,
    session: &Session,
    context: &Context,
    create: &CreateAccount,
    draft: &Draft,
    dn: &str,
) -> Result<(), Error> {
    let layout = &directory.layout;
    let label = create.account.label();
    let mut attributes: Attributes = vec![(
        "objectClass".to_owned(),
        layout.create.object_classes.iter().map(|class| class.clone().into_bytes()).collect(),
    )];
    for (attribute, values) in &draft.attributes {
        attributes.push((attribute.clone(), values.iter().map(|value| value.clone().into_bytes()).collect()));
    }
    let suspended = create.account.status.is_some_and(|status| status != AccountStatus::Active);
    let lock = match &layout.suspension {
        Some(suspension) => suspension.at_first(suspended),
        None if suspended => {
            let message = format!(
                "{}: User {label} is to be created suspended, and suspend.method says that there is no such thing",
                directory.system()
            );
            return Err(Error::internal(message));
        }
        None => None,
    };
    match (layout.password, &create.password) {
        (PasswordMethod::ExtendedOperation, Some(password)) => {
            let staged = Staged { directory, session, context, label, rdn: &draft.rdn, dn };
            staged.make(create, attributes, lock, password).await
        }
        (method, password) => {
            attributes.extend(lock.map(|(attribute, value)| (attribute, vec![value.into_bytes()])));
            if method == PasswordMethod::UnicodePwd {
                // Active Directory lets nobody in without a password, and an account without one cannot be active.
                let password = password.clone().unwrap_or_else(password::random);
                let value = password::unicode(password.expose_secret());
                attributes.push((password::UNICODE_PWD.to_owned(), vec![value]));
            }
            match session.add(dn, attributes).await {
                Ok(()) => Ok(()),
                Err(failure) => Err(not_added(directory, session, failure, create, dn).await),
            }
        }
    }
}

/// An entry that is made under a name of its own, until it is whole.
struct Staged<'a> {
    directory: &'a Directory,
    session: &'a Session,
    context: &'a Context,
    label: &'a str,
    /// The name it is to have.
    rdn: &'a Rdn,
    dn: &'a str,
}

impl Staged<'_> {
    async fn make(
        &self,
        create: &CreateAccount,
        mut attributes: Attributes,
        lock: Option<(String, String)>,
        password: &SecretString,
    ) -> Result<(), Error> {
        let Self { directory, session, label, .. } = *self;
        let attribute = &directory.layout.create.rdn;
        let name = staging::value(&self.context.task_id);
        for (_, values) in attributes.iter_mut().filter(|(of, _)| of.eq_ignore_ascii_case(attribute)) {
            *values = vec![name.clone().into_bytes()];
        }
        let staged = dn_of(directory, &Rdn::new(attribute, &name));
        if self.context.may_have_applied {
            // What an earlier attempt left behind.
            match session.delete(&staged).await {
                Err(failure) if failure.code() != Some(32) => {
                    return Err(directory.report(failure, About::Account(label)));
                }
                _ => {}
            }
        }
        if let Err(failure) = session.add(&staged, attributes).await {
            return Err(not_added(directory, session, failure, create, &staged).await);
        }
        let entry = Entry { dn: staged.clone(), attributes: Vec::new() };
        if let Err(failure) = session.set_password(&staged, password.expose_secret()).await {
            let error = password::refused(directory, session, failure, &entry, label).await;
            return Err(self.discard(&staged, error).await);
        }
        if let Some((attribute, value)) = lock {
            // After the password: setting it would take the lock away.
            let locked = session.modify(&staged, vec![Change::replace(&attribute, [value])]).await;
            if let Err(failure) = locked {
                let error = directory.report(failure, About::Account(label));
                return Err(self.discard(&staged, error).await);
            }
        }
        if let Err(failure) = session.rename(&staged, &self.rdn.to_string()).await {
            let error = not_added(directory, session, failure, create, self.dn).await;
            return Err(self.discard(&staged, error).await);
        }
        Ok(())
    }

    /// Takes the half-made entry away, if the server still answers. If not, the next attempt does; it is nobody's account in
    /// either case.
    async fn discard(&self, staged: &str, error: Error) -> Error {
        if let Err(failure) = self.session.delete(staged).await {
            tracing::warn!(
                app = %self.directory.system(), dn = staged,
                "a half-made account could not be taken away: {failure}; another attempt will"
            );
        }
        error
    }
}

/// The error for an entry that was not added.
async fn not_added(
    directory: &Directory,
    session: &Session,
    failure: Failure,
    create: &CreateAccount,
    dn: &str,
) -> Error {
    let label = create.account.label();
    match &failure {
        Failure::Refused(refusal) if refusal.code == 32 => {
            let base = &directory.layout.create.base;
            directory.reporter.base_missing(base, "create.base", Some(refusal)).source(failure)
        }
        // A rule of the server against duplicates answers 19, as any other rule does; Active Directory 68 for the user name
        // as well.
        Failure::Refused(refusal) if matches!(refusal.code, 19 | 68) => {
            match taken(directory, session, create).await {
                Ok(others) if !others.is_empty() => {
                    already_exists(directory, create, &others[0]).source(failure)
                }
                _ if refusal.code == 68 => Error::account_already_exists(format!(
                    "User {label}: the name {dn} is taken in {} by another entry ({refusal})",
                    directory.system()
                ))
                .source(failure),
                _ => directory.report(failure, About::Account(label)),
            }
        }
        _ => directory.report(failure, About::Account(label)),
    }
}

async fn read(directory: &Directory, session: &Session, dn: &str) -> Result<Option<Entry>, Error> {
    let attributes = directory.layout.account_attributes();
    let search = Search {
        base: dn,
        scope: ldap3::Scope::Base,
        filter: &directory.layout.accounts.filter,
        attributes: &attributes,
        limit: 1,
    };
    match session.search(&search).await {
        Ok(mut found) => Ok(found.pop()),
        Err(failure) if failure.code() == Some(32) => Ok(None),
        Err(failure) => Err(directory.report(failure, About::Reading("the new account"))),
    }
}

/// Takes away what this call has made, since it cannot be what the task wants. If it may still become that, it stays: the next
/// attempt goes on with it.
async fn undo(directory: &Directory, session: &Session, entry: &Entry, error: Error) -> Error {
    let is_final = error.retry_policy() == Retry::Never
        && error.effect_on_target() == Effect::NotApplied
        && error.about() != Subject::Connection;
    if !is_final {
        return error.effect(Effect::Unknown);
    }
    let left = groups::leave_all(directory, session, entry).await.is_ok();
    if left && session.delete(&entry.dn).await.is_ok() {
        return error;
    }
    let message = format!(
        "{}; {} was created and could not be taken away again: delete it, or put it into its groups",
        error.message(),
        entry.dn
    );
    Error::new(error.code(), message)
        .effect(Effect::Unknown)
        .retry(error.retry_policy())
        .subject(error.about())
        .source(error)
}
