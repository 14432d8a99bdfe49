//! Creates an account.
//!
//! The order of the steps allows another attempt to continue wherever one was interrupted:
//! 1. The groups of the task are looked up, so that a missing one is found before anything is created.
//! 2. The complete entry, including its password, is created in one step (see `staging`).
//! 3. The entry is added to its groups. An attempt after one that may have been applied does this too if the entry equals in every part
//!    what it would create; only then does it report that the account exists.
//! 4. Only then is the entry checked as an account, because it may need its groups to match `accounts.filter`.
//!
//! An entry that is not an account, or that cannot be added to its groups, is removed again (see `undo`).

use std::sync::Arc;

use bridgehead_sdk::{AccountStatus, Completion, Context, CreateAccount, Effect, Error, Retry, is_same_name};
use secrecy::{ExposeSecret as _, SecretString};

use crate::directory::{Directory, named};
use crate::duplicates;
use crate::entry::Entry;
use crate::failure::Failure;
use crate::groups;
use crate::lock;
use crate::memberships::folded;
use crate::name::Rdn;
use crate::new_entry::NewEntry;
use crate::password;
use crate::pool::Lease;
use crate::records;
use crate::report::About;
use crate::session::{Change, Search, Session};
use crate::settings::PasswordMethod;
use crate::staging::{self, Staging, Step};
use crate::template::Template;
use crate::undo::undo;

/// The values of an entry to add.
pub(crate) type Attributes = Vec<(String, Vec<Vec<u8>>)>;

/// Creates an account.
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
    let mut draft = NewEntry::new(directory, account)?;
    let dn = dn_of(directory, &draft.rdn);
    // The name does not seem to be taken: this must be certain.
    directory.must_be_settled()?;
    if context.may_have_applied && create.password.is_some() {
        staging::clear(directory, &lease, &staged_dn(directory, context), label).await?;
    }
    let taken = taken(directory, &lease, create).await?;
    let own = if context.may_have_applied { own_work(directory, &lease, &draft, &dn).await? } else { None };
    if let Some(other) =
        taken.iter().find(|other| own.as_ref().is_none_or(|own| folded(&own.dn) != folded(&other.dn)))
    {
        return Err(already_exists(directory, create, other));
    }
    if let Some(own) = own {
        let mut applied = false;
        let settled = groups::settle(directory, &lease, &own, &wanted, false, &mut applied).await;
        settled.map_err(|error| if applied { error.with_effect(Effect::Unknown) } else { error })?;
        return Err(match read(directory, &lease, &dn, &directory.layout().accounts.filter).await? {
            Some(own) => already_exists(directory, create, &own),
            None => undo(directory, &lease, &own, no_account(directory, label, &dn)).await,
        });
    }
    if create.password.is_some() && directory.layout().password == PasswordMethod::None {
        draft.unmapped.push("password".to_owned());
    }
    let lease = make(directory, lease, context, create, &draft, &dn).await?;
    let entry = settled(directory, &lease, create, &wanted, &dn).await?;
    match completion(directory, &entry, draft.unmapped) {
        Ok(completion) => Ok(completion),
        Err(error) => Err(undo(directory, &lease, &entry, error).await),
    }
}

/// Adds a new entry to its groups, and checks that it is an account then, and suspended if required. Otherwise the entry is removed.
async fn settled(
    directory: &Directory,
    session: &Session,
    create: &CreateAccount,
    wanted: &groups::Wanted,
    dn: &str,
) -> Result<Entry, Error> {
    let label = create.account.label();
    let made = match read(directory, session, dn, "(objectClass=*)").await {
        Ok(Some(made)) => made,
        Ok(None) => {
            return Err(undo(directory, session, &Entry::named(dn), no_account(directory, label, dn)).await);
        }
        Err(error) => return Err(undo(directory, session, &Entry::named(dn), error).await),
    };
    if let Err(error) = groups::settle(directory, session, &made, wanted, false, &mut false).await {
        return Err(undo(directory, session, &made, error).await);
    }
    let filter = &directory.layout().accounts.filter;
    let entry = match read(directory, session, dn, filter).await {
        Ok(Some(entry)) => entry,
        Ok(None) => return Err(undo(directory, session, &made, no_account(directory, label, dn)).await),
        Err(error) => return Err(undo(directory, session, &made, error).await),
    };
    if is_suspended(create)
        && let Err(error) = lock::must_hold(directory, session, dn, None, label).await
    {
        return Err(undo(directory, session, &made, error).await);
    }
    Ok(entry)
}

fn is_suspended(create: &CreateAccount) -> bool {
    create.account.status.is_some_and(|status| status != AccountStatus::Active)
}

fn no_account(directory: &Directory, label: &str, dn: &str) -> Error {
    Error::internal(format!(
        "{}: User {label} would be {dn}, which would not count as an account: it does not match \
         accounts.filter with the groups of the task, or bind_dn is not allowed to read it",
        directory.system()
    ))
}

/// The entry that an earlier attempt at the task created: it has the name that the task gives it, and equals in every part what the task
/// creates. A part that is not shown counts as a difference.
async fn own_work(
    directory: &Directory,
    session: &Session,
    draft: &NewEntry,
    dn: &str,
) -> Result<Option<Entry>, Error> {
    let found = read(directory, session, dn, "(objectClass=*)").await?;
    Ok(found.filter(|entry| is_as_drafted(directory, entry, draft)))
}

fn completion(directory: &Directory, entry: &Entry, unmapped: Vec<String>) -> Result<Completion, Error> {
    let id = records::identifier(directory.layout(), entry).map_err(|rejected| {
        Error::internal(format!("{}: {} was created, but {rejected}", directory.system(), entry.dn))
    })?;
    let completion = Completion::created(id);
    Ok(if unmapped.is_empty() { completion } else { completion.with("fields_without_attribute", unmapped) })
}

/// The temporary name of a task's entry during its creation.
fn staged_dn(directory: &Directory, context: &Context) -> String {
    let rdn = Rdn::new(&directory.layout().create.rdn, &staging::value(&context.task_id));
    dn_of(directory, &rdn)
}

fn dn_of(directory: &Directory, rdn: &Rdn) -> String {
    format!("{rdn},{}", directory.layout().create.base)
}

/// The accounts that already have the identifier, the user name or the email address.
async fn taken(
    directory: &Directory,
    session: &Session,
    create: &CreateAccount,
) -> Result<Vec<Entry>, Error> {
    let account = &create.account;
    let mut conditions: Vec<String> =
        account.id.iter().filter_map(|id| directory.layout().id.filter(id.as_str())).collect();
    for (field, value) in [("username", &account.username), ("email", &account.email)] {
        if let (Some(attribute), Some(value)) = (directory.layout().attribute(field), value) {
            conditions.push(named(attribute, value));
        }
    }
    if conditions.is_empty() {
        return Ok(Vec::new());
    }
    directory.find_all(session, &format!("(|{})", conditions.concat())).await
}

fn is_as_drafted(directory: &Directory, entry: &Entry, draft: &NewEntry) -> bool {
    let made = &directory.layout().create.attributes;
    draft.attributes.iter().all(|(attribute, values)| {
        // A constant may be a placeholder for a value that the server chooses: a number (-1), an identifier (autogenerate).
        if made.get(attribute).is_some_and(Template::is_constant) {
            return !entry.values(attribute).is_empty();
        }
        let (held, rule) = (entry.values(attribute), directory.rule(attribute));
        values.iter().all(|value| held.iter().any(|held| rule.same(held, value.as_bytes())))
    })
}

fn already_exists(directory: &Directory, create: &CreateAccount, other: &Entry) -> Error {
    let account = &create.account;
    let holds = |field: &str, value: &Option<String>| {
        let attribute = directory.layout().attribute(field)?;
        let value = value.as_ref()?;
        let same = other.texts(attribute).flatten().any(|held| is_same_name(held, value));
        same.then_some(())
    };
    let what = if holds("username", &account.username).is_some() {
        "the user name"
    } else if holds("email", &account.email).is_some() {
        "the email address"
    } else if account.id.is_some() {
        "the id"
    } else {
        "a name that must be unique"
    };
    Error::account_already_exists(format!(
        "User {}: {what} is already taken in {} by {}",
        account.label(),
        directory.system(),
        other.dn
    ))
}

/// Creates the complete entry in one step. Returns the connection.
async fn make(
    directory: &Directory,
    lease: Lease,
    context: &Context,
    create: &CreateAccount,
    draft: &NewEntry,
    dn: &str,
) -> Result<Lease, Error> {
    let layout = directory.layout();
    let label = create.account.label();
    let mut attributes: Attributes = vec![(
        "objectClass".to_owned(),
        layout.create.object_classes.iter().map(|class| class.clone().into_bytes()).collect(),
    )];
    for (attribute, values) in &draft.attributes {
        attributes.push((attribute.clone(), values.iter().map(|value| value.clone().into_bytes()).collect()));
    }
    let suspended = is_suspended(create);
    let lock = match &layout.suspension {
        Some(suspension) => suspension.at_first(suspended),
        None if suspended => {
            let message = format!(
                "{}: User {label} cannot be created suspended, because suspend.method disables suspension",
                directory.system()
            );
            return Err(Error::internal(message));
        }
        None => None,
    };
    match (layout.password, &create.password) {
        (PasswordMethod::ExtendedOperation, Some(password)) => {
            let name = staging::value(&context.task_id);
            for (_, values) in
                attributes.iter_mut().filter(|(of, _)| of.eq_ignore_ascii_case(&layout.create.rdn))
            {
                *values = vec![name.clone().into_bytes()];
            }
            let staging = Staging {
                endpoint: Arc::clone(&directory.endpoint),
                dn: staged_dn(directory, context),
                attributes,
                password: password.clone(),
                lock: lock.map(|(attribute, value)| Change::replace(&attribute, [value])),
                rdn: draft.rdn.to_string(),
            };
            make_staged(directory, lease, create, staging, dn).await
        }
        (method, password) => {
            attributes.extend(lock.map(|(attribute, value)| (attribute, vec![value.into_bytes()])));
            if method == PasswordMethod::UnicodePwd {
                // In Active Directory, an account without a password cannot log in and cannot be active.
                let password = password.clone().unwrap_or_else(password::random);
                let value = password::unicode(password.expose_secret());
                attributes.push((password::UNICODE_PWD.to_owned(), vec![value]));
            }
            match lease.add(dn, attributes).await {
                Ok(()) => Ok(lease),
                Err(failure) => Err(not_added(directory, &lease, failure, create, dn).await),
            }
        }
    }
}

/// Creates the entry under a temporary name, until it is complete.
async fn make_staged(
    directory: &Directory,
    lease: Lease,
    create: &CreateAccount,
    staging: Staging,
    dn: &str,
) -> Result<Lease, Error> {
    let label = create.account.label();
    let staged = staging.dn.clone();
    let broke_off = |error: tokio::task::JoinError| {
        let message = format!("{}: creating User {label} was interrupted", directory.system());
        Error::internal(message).with_effect(Effect::Unknown).with_source(error)
    };
    let (lease, made) = staging.make(lease).await.map_err(broke_off)?;
    let Err(mut broken) = made else { return Ok(lease) };
    let (step, failure) = (broken.step, std::mem::replace(&mut broken.failure, Failure::NotSent));
    let error = match step {
        Step::Add => not_added(directory, &lease, failure, create, &staged).await,
        Step::Rename => not_added(directory, &lease, failure, create, dn).await,
        Step::Password | Step::Lock if failure.code() == Some(32) => {
            let message = format!("{}: {staged} was removed while it was being created", directory.system());
            Error::internal(message).with_retry(Retry::Backoff).with_source(failure)
        }
        Step::Password => password::refused(directory, &lease, failure, &Entry::named(&staged), label).await,
        Step::Lock => directory.explain(&lease, failure, About::Account(label)).await,
    };
    Err(broken.told(&staged, error))
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
            let base = &directory.layout().create.base;
            directory.reporter.base_missing(base, "create.base", Some(refusal)).with_source(failure)
        }
        // The server reports 19 for duplicates as for any other rule; Active Directory reports 68 for the user name as well.
        Failure::Refused(refusal) if matches!(refusal.code, 19 | 68) => {
            let account = &create.account;
            let others = match taken(directory, session, create).await {
                Ok(others) if !others.is_empty() => others,
                _ => {
                    duplicates::elsewhere(directory, session, &duplicates::of_account(directory, account))
                        .await
                }
            };
            match others.iter().find(|other| folded(&other.dn) != folded(dn)) {
                Some(other) => already_exists(directory, create, other).with_source(failure),
                None if refusal.code == 68 => Error::account_already_exists(format!(
                    "User {label}: the name {dn} is already taken in {} by another entry ({refusal})",
                    directory.system()
                ))
                .with_source(failure),
                None => directory.report(failure, About::Account(label)),
            }
        }
        _ => directory.explain(session, failure, About::Account(label)).await,
    }
}

async fn read(
    directory: &Directory,
    session: &Session,
    dn: &str,
    filter: &str,
) -> Result<Option<Entry>, Error> {
    let attributes = directory.layout().account_attributes();
    let search = Search { base: dn, scope: ldap3::Scope::Base, filter, attributes: &attributes, limit: 1 };
    match session.search(&search).await {
        Ok(mut found) => Ok(found.pop()),
        Err(failure) if failure.code() == Some(32) => Ok(None),
        Err(failure) => Err(directory.report(failure, About::Reading("the new account"))),
    }
}
