//! Checks whether `bind_dn` is allowed to read the attributes that the settings name.
//!
//! An unreadable attribute looks like one that no entry has. LDAP has no request for permissions that every server supports; but a
//! condition on an attribute that must not be searched is neither true nor false, so an entry matches neither the condition nor its
//! opposite. Samba responds as if no entry had the attribute, so the memberships that groups and accounts show are also compared (see
//! `witness`).

use bridgehead_sdk::Error;
use ldap3::Scope;

use crate::directory::{Directory, equals};
use crate::entry::Entry;
use crate::failure::Failure;
use crate::report::About;
use crate::session::{Search, Session};
use crate::settings::MembershipSource;
use crate::witness::{self, Hidden, Witness};

/// The visibility of an attribute in a part of the directory.
#[derive(Debug)]
enum Shown {
    /// An entry has it, and it is readable; or there is no entry that could have it.
    Fine,
    /// It can be searched, but no entry has it.
    Nobody,
    /// It cannot be read or searched.
    Hidden,
}

/// A part of the directory: the accounts, the groups of a type, or one entry.
#[derive(Clone, Copy)]
pub(crate) struct Part<'a> {
    pub(crate) base: &'a str,
    pub(crate) scope: Scope,
    pub(crate) filter: &'a str,
}

/// Checks that the fields of accounts are readable.
pub(crate) async fn fields(directory: &Directory, session: &Session) -> Result<(), Error> {
    let layout = directory.layout();
    let accounts = &layout.accounts;
    let part = Part { base: &accounts.base, scope: accounts.scope, filter: &accounts.filter };
    let id = [("id_attribute".to_owned(), layout.id.name.as_str())];
    let fields = accounts.attributes.iter();
    let fields =
        fields.map(|(field, attribute)| (format!("accounts.attributes.{field}"), attribute.as_str()));
    // If the server does not know the attribute, no entry can have it.
    let schema = directory.schema();
    let suspends = layout.suspension.as_ref().map(|of| ("suspend.method".to_owned(), of.attribute()));
    let suspends = suspends.filter(|(_, attribute)| !schema.is_known() || schema.has(attribute));
    for (key, attribute) in id.into_iter().chain(fields).chain(suspends) {
        if matches!(look(directory, session, part, attribute).await?, Shown::Hidden) {
            return Err(hidden(directory, &key, attribute, &format!("the accounts below {}", part.base)));
        }
    }
    Ok(())
}

/// Checks that memberships are readable: an account with invisible groups would appear to be in none.
pub(crate) async fn memberships(directory: &Directory, session: &Session) -> Result<(), Error> {
    let layout = directory.layout();
    for of in &layout.groups {
        let part = Part { base: &of.base, scope: Scope::Subtree, filter: &of.filter };
        for (key, attribute) in [("member_attribute", &of.member), ("name_attribute", &of.name)] {
            if matches!(look(directory, session, part, attribute).await?, Shown::Hidden) {
                let key = format!("{}.{key}", of.key);
                return Err(hidden(directory, &key, attribute, &format!("the groups below {}", part.base)));
            }
        }
    }
    if layout.groups.is_empty() {
        return Ok(());
    }
    if layout.source == MembershipSource::Members {
        return match witness::of_accounts(directory, session).await? {
            None => Ok(()),
            Some(Hidden { key, member, group, account }) => Err(directory.reporter.wrong(format!(
                "{key}: {account} is in {group} (according to {}), but {group} does not show {member}; \
                 grant {} permission to read it",
                layout.member_of, directory.reporter.bind_dn
            ))),
        };
    }
    let accounts = &layout.accounts;
    let part = Part { base: &accounts.base, scope: accounts.scope, filter: &accounts.filter };
    let shown = look(directory, session, part, &layout.member_of).await?;
    // An attribute that is computed when it is read (OpenLDAP's overlay `dynlist`) is shown but cannot be searched; a member shows which
    // case it is.
    match (witness::of_groups(directory, session).await?, shown) {
        (Witness::Shows, _) | (Witness::Nobody, Shown::Fine | Shown::Nobody) => Ok(()),
        (Witness::ShowsNot { group, member }, Shown::Fine) => Err(directory.reporter.wrong(format!(
            "memberships.attribute: {group} has the member {member}, which does not show {of} like others \
             do; grant {bind_dn} permission to read it there, or set memberships.read_from = \"members\"; \
             or the server did not maintain that attribute when the member was added: regenerate it",
            of = layout.member_of,
            bind_dn = directory.reporter.bind_dn
        ))),
        (Witness::ShowsNot { group, member }, Shown::Nobody) => Err(directory.reporter.wrong(format!(
            "memberships.read_from: {group} has the member {member}, but no account shows {}; the server no \
             longer maintains that attribute (the overlay or plug-in is missing): restore it, or set \
             read_from = \"members\"",
            layout.member_of
        ))),
        _ => {
            let place = format!("the accounts below {}", part.base);
            Err(hidden(directory, "memberships.attribute", &layout.member_of, &place))
        }
    }
}

fn hidden(directory: &Directory, key: &str, attribute: &str, place: &str) -> Error {
    let bind_dn = &directory.reporter.bind_dn;
    directory
        .reporter
        .wrong(format!("{key}: {bind_dn} is not allowed to read {attribute} of {place}; grant it permission"))
}

async fn look(
    directory: &Directory,
    session: &Session,
    part: Part<'_>,
    attribute: &str,
) -> Result<Shown, Error> {
    let found = first(directory, session, part, &format!("({attribute}=*)"), attribute).await?;
    match found {
        Found::Entry(entry) if entry.values(attribute).is_empty() => return Ok(Shown::Hidden),
        Found::Entry(_) | Found::Undecided => return Ok(Shown::Fine),
        Found::Nothing => {}
    }
    match first(directory, session, part, &format!("(!({attribute}=*))"), "1.1").await? {
        Found::Entry(_) => return Ok(Shown::Nobody),
        Found::Undecided => return Ok(Shown::Fine),
        Found::Nothing => {}
    }
    Ok(match first(directory, session, part, "", "1.1").await? {
        Found::Entry(_) => Shown::Hidden,
        Found::Nothing | Found::Undecided => Shown::Fine,
    })
}

/// The result of a search for one entry.
pub(crate) enum Found {
    Entry(Box<Entry>),
    Nothing,
    /// The server gave up the search, or does not support it.
    Undecided,
}

/// The first entry of a part that matches a condition, with one attribute.
pub(crate) async fn first(
    directory: &Directory,
    session: &Session,
    part: Part<'_>,
    condition: &str,
    attribute: &str,
) -> Result<Found, Error> {
    let filter = format!("(&{}{condition})", part.filter);
    let attributes = [attribute];
    let search =
        Search { base: part.base, scope: part.scope, filter: &filter, attributes: &attributes, limit: 1 };
    match session.probe(&search).await {
        Ok(found) => {
            Ok(found.into_iter().next().map_or(Found::Nothing, |entry| Found::Entry(Box::new(entry))))
        }
        Err(Failure::Refused(refusal)) if refusal.code == 32 => Ok(Found::Nothing),
        Err(failure) if failure.code().is_some() => Ok(Found::Undecided),
        Err(failure) => Err(directory.report(failure, About::Reading("the permissions of bind_dn"))),
    }
}

/// An identifier that no entry has; a search for it shows whether the whole part can be searched.
pub(crate) fn nobody(attribute: &str) -> String {
    equals(attribute, "00000000-0000-4000-8000-000000000000")
}
