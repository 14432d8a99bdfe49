//! Memberships that only the groups show: the members of each group are requested before the accounts are listed.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use bridgehead_sdk::{
    AccountRecord, Error, Memberships, Ref, ResourceKind, Retry, SettingsError, comparable_id,
};
use minijinja::Value;

use crate::pages::{ListOf, Pages};
use crate::settings::MembersSettings;
use crate::target::Target;
use crate::template::{Expression, Scope};

/// How to request the members of a group.
#[derive(Debug)]
pub(crate) struct MembersOf {
    pages: Pages,
    account: Expression,
}

/// The members of each group and the holders of each license, as one listing has read them.
#[derive(Debug, Default)]
pub(crate) struct Index(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    of: HashMap<String, Groups>,
    /// The types that have members, and below those with at least one member that is a listed account.
    filled: BTreeSet<usize>,
    matched: BTreeSet<usize>,
    asked: bool,
}

/// The groups of one account, each with the index of its type.
type Groups = BTreeSet<(usize, Arc<str>)>;

impl MembersOf {
    /// Checks the request at `key`. If there is only one group, the request need not name it.
    pub(crate) fn new(
        key: &str,
        settings: &MembersSettings,
        is_single: bool,
        base: &Scope,
    ) -> Result<Self, SettingsError> {
        let scope = base.clone().any("group");
        let list = ListOf {
            request: settings.request(),
            records: settings.records.as_deref(),
            paging: settings.paging.as_ref(),
            allow: &settings.allow,
        };
        let pages = Pages::new(key, list, &scope)?;
        if !is_single && !pages.request().uses().contains("group") {
            let message = "the request does not use {{ group }}, so it would be the same for every group";
            return Err(SettingsError::new(format!("{key}.path"), message));
        }
        let account = settings.account.as_deref().unwrap_or("record.id");
        let account = Expression::new(&format!("{key}.account"), account, &base.clone().any("record"))?;
        Ok(Self { pages, account })
    }

    /// The identifiers of the accounts in a group.
    pub(crate) async fn of(&self, target: &Target, slug: &str, group: &str) -> Result<Vec<String>, Error> {
        let what = format!("The members of {slug} {group} cannot be listed");
        let read = |record: &Value| {
            self.account.text(&target.vars.with("record", record.clone())).ok().filter(|id| !id.is_empty())
        };
        let vars = target.vars.with("group", group);
        let members = self.pages.all(target, &vars, &what, read).await.map_err(|error| {
            // The group may have been removed since it was listed; the next listing shows it.
            if error.retry() == Retry::Never { error.with_retry(Retry::Backoff) } else { error }
        })?;
        let ids: Option<Vec<String>> = members.iter().map(read).collect();
        // Skipping an unreadable member would lose a membership.
        ids.ok_or_else(|| {
            Error::incomplete_listing(format!(
                "{what}: '{}' gives no identifier for one of the members",
                self.account.key()
            ))
        })
    }
}

/// Why an account that appears to be in no group of a type may still be in one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Doubt {
    /// No group shows any members.
    Bare,
    /// Groups have members, for example this one.
    Member(String),
}

/// The error for groups whose members are not accounts.
pub(crate) fn strangers(what: &str, slug: &str) -> Error {
    Error::incomplete_listing(format!(
        "{what}: the groups of the type {slug} have members, but none of them is the identifier of an \
         account, so no account would have a membership; correct `members.account` of {slug}, or \
         `accounts.record.id`"
    ))
}

impl Index {
    /// Stores the members of a group of a type.
    pub(crate) fn add(&self, of: usize, group: &str, members: Vec<String>) {
        let group: Arc<str> = group.into();
        let mut index = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for member in members {
            index.filled.insert(of);
            index.of.entry(comparable_id(&member).into_owned()).or_default().insert((of, Arc::clone(&group)));
        }
    }

    /// The groups of one type that an account is in.
    pub(crate) fn groups(&self, account: &str, of: usize) -> Vec<Ref> {
        let mut index = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let groups = index.of.get(&*comparable_id(account)).into_iter().flatten();
        let groups = groups.filter(|(known, _)| *known == of).map(|(_, group)| Ref::new(&**group));
        let groups: Vec<Ref> = groups.collect();
        index.asked = true;
        if !groups.is_empty() {
            index.matched.insert(of);
        }
        groups
    }

    /// A type whose groups have members, none of which is a listed account.
    pub(crate) fn strangers(&self) -> Option<usize> {
        let index = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        index.filled.difference(&index.matched).next().copied().filter(|_| index.asked)
    }
}

/// Stores the groups or licenses of one type in a record.
pub(crate) fn set(record: &mut AccountRecord, kind: ResourceKind, slug: &str, refs: Vec<Ref>) {
    let Memberships(all) = match kind {
        ResourceKind::License => &mut record.assignments,
        _ => &mut record.memberships,
    };
    all.insert(slug.into(), refs);
}
