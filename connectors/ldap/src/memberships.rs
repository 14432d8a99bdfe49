//! Which groups an account is in.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use bridgehead_sdk::{Error, Memberships, Ref, ResourceKind};

use crate::directory::{Directory, equals};
use crate::entry::Entry;
use crate::failure::Failure;
use crate::layout::GroupLayout;
use crate::name::Name;
use crate::report::About;
use crate::session::{Search, Session};
use crate::settings::MembershipSource;

/// How many answers are kept for later accounts of a listing, of each kind; beyond that, all are forgotten.
const KEPT: usize = 20_000;

/// A group of one of the types.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    /// Which type, as its position in the layout.
    pub(crate) of: usize,
    pub(crate) id: String,
    pub(crate) dn: String,
}

/// Finds out what groups an account is in, and remembers about groups what it was told.
#[derive(Debug, Default)]
pub(crate) struct Resolver {
    /// By folded name: the groups that an entry is. None if it is no group, several if types overlap.
    groups: Mutex<HashMap<String, Arc<[Group]>>>,
    /// By folded name: the groups that a group is in.
    parents: Mutex<HashMap<String, Arc<[Group]>>>,
}

/// Names that are the same fold to the same text.
pub(crate) fn folded(dn: &str) -> String {
    Name::parse(dn).map_or_else(|_| dn.to_lowercase(), |name| name.folded())
}

impl Resolver {
    /// The groups of an account, by slug, in the form of a record: memberships and assignments.
    pub(crate) async fn of(
        &self,
        directory: &Directory,
        session: &Session,
        entry: &Entry,
    ) -> Result<(Memberships, Memberships), Error> {
        let direct = match directory.layout.source {
            MembershipSource::Members => direct(directory, session, entry).await?,
            MembershipSource::MemberOf => self.named_by(directory, session, entry).await?,
        };
        let all =
            if directory.layout.nested { self.closure(directory, session, direct).await? } else { direct };
        let (mut memberships, mut assignments) = (Memberships::default(), Memberships::default());
        for group in all {
            let of = &directory.layout.groups[group.of].resource_type;
            let held = if of.kind == ResourceKind::License { &mut assignments } else { &mut memberships };
            held.0.entry(of.slug.clone()).or_default().push(Ref::new(group.id));
        }
        for refs in memberships.0.values_mut().chain(assignments.0.values_mut()) {
            refs.sort();
            refs.dedup();
        }
        Ok((memberships, assignments))
    }

    /// These groups, and all that they are in, however deep. A group that is in itself is met once.
    pub(crate) async fn closure(
        &self,
        directory: &Directory,
        session: &Session,
        direct: Vec<Group>,
    ) -> Result<Vec<Group>, Error> {
        let mut met: HashSet<(usize, String)> = HashSet::new();
        let mut all = Vec::new();
        let mut queue: VecDeque<Group> = direct.into();
        while let Some(group) = queue.pop_front() {
            let name = folded(&group.dn);
            if met.insert((group.of, name.clone())) {
                queue.extend(self.parents(directory, session, &group.dn, name).await?.iter().cloned());
                all.push(group);
            }
        }
        Ok(all)
    }

    /// The groups that an attribute of the account names.
    async fn named_by(
        &self,
        directory: &Directory,
        session: &Session,
        entry: &Entry,
    ) -> Result<Vec<Group>, Error> {
        let mut groups = Vec::new();
        for dn in entry.texts(&directory.layout.member_of) {
            let Some(dn) = dn else {
                let message = format!(
                    "{}: {} of {} is no text",
                    directory.system(),
                    directory.layout.member_of,
                    entry.dn
                );
                return Err(Error::internal(message));
            };
            groups.extend(self.groups_at(directory, session, dn).await?.iter().cloned());
        }
        Ok(groups)
    }

    /// What groups there are under a name.
    async fn groups_at(
        &self,
        directory: &Directory,
        session: &Session,
        dn: &str,
    ) -> Result<Arc<[Group]>, Error> {
        let key = folded(dn);
        if let Some(known) = get(&self.groups, &key) {
            return Ok(known);
        }
        let mut groups = Vec::new();
        let name = Name::parse(dn).ok();
        for (of, layout) in directory.layout.groups.iter().enumerate() {
            if name.as_ref().is_some_and(|name| name.is_within(&layout.base_name)) {
                let place = Place { base: dn, scope: ldap3::Scope::Base };
                match groups_in(directory, session, of, &place, &layout.filter).await {
                    Ok(found) => groups.extend(found),
                    // It was deleted meanwhile.
                    Err(Failure::Refused(refusal)) if refusal.code == 32 => {}
                    Err(failure) => return Err(directory.report(failure, About::Reading("groups"))),
                }
            }
        }
        Ok(keep(&self.groups, key, groups))
    }

    async fn parents(
        &self,
        directory: &Directory,
        session: &Session,
        dn: &str,
        key: String,
    ) -> Result<Arc<[Group]>, Error> {
        if let Some(known) = get(&self.parents, &key) {
            return Ok(known);
        }
        let mut parents = Vec::new();
        for (of, layout) in directory.layout.groups.iter().enumerate().filter(|(_, of)| !of.by_username) {
            parents.extend(naming(directory, session, of, &equals(&layout.member, dn)).await?);
        }
        Ok(keep(&self.parents, key, parents))
    }
}

fn get(map: &Mutex<HashMap<String, Arc<[Group]>>>, key: &str) -> Option<Arc<[Group]>> {
    map.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
}

fn keep(map: &Mutex<HashMap<String, Arc<[Group]>>>, key: String, groups: Vec<Group>) -> Arc<[Group]> {
    let groups: Arc<[Group]> = groups.into();
    let mut map = map.lock().unwrap_or_else(PoisonError::into_inner);
    if map.len() >= KEPT {
        map.clear();
    }
    map.insert(key, Arc::clone(&groups));
    groups
}

/// The groups, of every type, that name an account themselves.
pub(crate) async fn direct(
    directory: &Directory,
    session: &Session,
    entry: &Entry,
) -> Result<Vec<Group>, Error> {
    let mut groups = Vec::new();
    for (of, layout) in directory.layout.groups.iter().enumerate() {
        if let Some(value) = member_value(directory, layout, entry) {
            groups.extend(naming(directory, session, of, &equals(&layout.member, &value)).await?);
        }
    }
    Ok(groups)
}

/// What stands for an account among the members of a group; `None` if nothing can.
pub(crate) fn member_value(directory: &Directory, layout: &GroupLayout, entry: &Entry) -> Option<String> {
    if !layout.by_username {
        return Some(entry.dn.clone());
    }
    let username = entry.main_value(directory.layout.attribute("username")?)?;
    String::from_utf8(username.to_vec()).ok()
}

/// The groups of one type that fit a condition.
pub(crate) async fn naming(
    directory: &Directory,
    session: &Session,
    of: usize,
    condition: &str,
) -> Result<Vec<Group>, Error> {
    let layout = &directory.layout.groups[of];
    let filter = format!("(&{}{condition})", layout.filter);
    let place = Place { base: &layout.base, scope: ldap3::Scope::Subtree };
    groups_in(directory, session, of, &place, &filter).await.map_err(|failure| match failure {
        Failure::Refused(refusal) if refusal.code == 32 => {
            let key = format!("the base of the type '{}'", layout.slug());
            directory.reporter.base_missing(&layout.base, &key, Some(&refusal))
        }
        failure => directory.report(failure, About::Reading(layout.slug())),
    })
}

struct Place<'a> {
    base: &'a str,
    scope: ldap3::Scope,
}

async fn groups_in(
    directory: &Directory,
    session: &Session,
    of: usize,
    place: &Place<'_>,
    filter: &str,
) -> Result<Vec<Group>, Failure> {
    let id = &directory.layout.id;
    let attributes = [id.name.as_str()];
    let search = Search { base: place.base, scope: place.scope, filter, attributes: &attributes, limit: 0 };
    let found = session.search(&search).await?;
    let group = |entry: Entry| {
        let id = entry.values(&id.name).first().and_then(|value| id.text(value));
        // A membership that cannot be named would be lost without a word.
        let id = id.ok_or(Failure::Garbled("a group without its id_attribute (may bind_dn read it?)"))?;
        Ok(Group { of, id, dn: entry.dn })
    };
    found.into_iter().map(group).collect()
}
