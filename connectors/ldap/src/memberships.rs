//! Determines which groups an account is in.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use bridgehead_sdk::{Error, Memberships, Ref, ResourceKind};
use futures::{StreamExt as _, TryStreamExt as _};

use crate::directory::{Directory, equals};
use crate::entry::Entry;
use crate::escape;
use crate::failure::Failure;
use crate::layout::{GroupLayout, Layout};
use crate::name::Name;
use crate::report::About;
use crate::session::{Search, Session};
use crate::settings::{MembershipSource, Profile};

/// The maximum number of cached results of each kind for later accounts of a listing; when it is exceeded, all are dropped.
const KEPT: usize = 20_000;

/// A group of one of the types.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    /// The index of its type in the layout.
    pub(crate) of: usize,
    pub(crate) id: String,
    pub(crate) dn: String,
    /// The values that represent the account among the members, as written there. Empty if no account was searched for.
    pub(crate) values: Vec<String>,
}

/// The groups of an account by slug, in the form of a record: memberships and assignments.
pub(crate) type Held = (Memberships, Memberships);

/// How often an account is read again if it is renamed while its groups are looked up.
const ROUNDS: usize = 4;

/// How many accounts have their groups looked up at the same time.
const AT_ONCE: usize = 16;

/// How many accounts one request reads again.
const BY_ID: usize = 50;

/// Determines the groups of accounts, and caches what it learns about groups.
#[derive(Debug, Default)]
pub(crate) struct Resolver {
    /// By folded name: the groups at that name. Empty if the entry is not a group, several if types overlap.
    groups: Mutex<HashMap<String, Arc<[Group]>>>,
    /// By folded name: the groups that a group is in.
    parents: Mutex<HashMap<String, Arc<[Group]>>>,
}

/// Equal names fold to the same string.
pub(crate) fn folded(dn: &str) -> String {
    Name::parse(dn).map_or_else(|_| dn.to_lowercase(), |name| name.folded())
}

impl Resolver {
    /// The groups of accounts, each with its current entry. An account that no longer exists is left out.
    ///
    /// Groups contain names, and a name is invalid once another client has renamed or moved its entry. So the accounts
    /// are read again afterwards, by identifier: one that was renamed in the meantime is looked up again, and one that
    /// is renamed repeatedly is an error, never an account without groups.
    pub(crate) async fn of_all(
        &self,
        directory: &Directory,
        session: &Session,
        entries: Vec<Entry>,
    ) -> Result<Vec<(Entry, Held)>, Error> {
        let mut done: Vec<Option<(Entry, Held)>> = entries.iter().map(|_| None).collect();
        // With the earlier names of each entry.
        let mut open: Vec<(usize, Entry, Vec<String>)> =
            entries.into_iter().enumerate().map(|(place, entry)| (place, entry, Vec::new())).collect();
        for _ in 0..ROUNDS {
            let looked: Vec<_> = futures::stream::iter(open)
                .map(|(place, entry, before)| async move {
                    let groups = self.of_one(directory, session, &entry, &before).await?;
                    Ok::<_, Error>((place, entry, before, groups))
                })
                .buffered(AT_ONCE)
                .try_collect()
                .await?;
            let depends = depends_on_names(directory);
            let is_open = |groups: &Option<Vec<Group>>| depends || groups.is_none();
            let asked = looked.iter().filter(|(_, _, _, groups)| is_open(groups));
            let ids: Vec<String> =
                asked.filter_map(|(_, entry, ..)| id_of(directory.layout(), entry)).collect();
            let names = by_id(directory, session, &ids, &[&directory.layout().id.name]).await?;
            let mut again = Vec::new();
            for (place, entry, mut before, groups) in looked {
                let id = id_of(directory.layout(), &entry).filter(|_| is_open(&groups));
                match (id, groups) {
                    // An entry without an identifier cannot be requested again; its record reports the missing identifier.
                    (None, groups) => {
                        done[place] = Some((entry, held(directory, groups.unwrap_or_default())));
                    }
                    (Some(id), groups) => match (names.get(&id), groups) {
                        (Some(now), Some(groups)) if folded(&now.dn) == folded(&entry.dn) => {
                            done[place] = Some((entry, held(directory, groups)));
                        }
                        (Some(_), _) => {
                            before.push(entry.dn);
                            again.push((place, id, before));
                        }
                        // It no longer exists, or is no longer an account.
                        (None, _) => {}
                    },
                }
            }
            let ids: Vec<String> = again.iter().map(|(_, id, _)| id.clone()).collect();
            let mut current =
                by_id(directory, session, &ids, &directory.layout().account_attributes()).await?;
            let renamed = again
                .into_iter()
                .filter_map(|(place, id, before)| Some((place, current.remove(&id)?, before)));
            open = renamed.collect();
            if open.is_empty() {
                return Ok(done.into_iter().flatten().collect());
            }
        }
        let names = open.iter().take(3).map(|(_, entry, _)| entry.dn.as_str()).collect::<Vec<_>>().join(", ");
        Err(Error::incomplete_listing(format!(
            "{}: the groups of {names} cannot be determined: they, or a group that they name ({}), were \
             renamed or do not exist; if a group was deleted, remove its name from that attribute",
            directory.system(),
            directory.layout().member_of
        ))
        .with_retry(bridgehead_sdk::Retry::Backoff))
    }

    /// The groups of one account; `None` if an entry that it names does not exist.
    async fn of_one(
        &self,
        directory: &Directory,
        session: &Session,
        entry: &Entry,
        before: &[String],
    ) -> Result<Option<Vec<Group>>, Error> {
        if entry.garbled {
            return Ok(Some(Vec::new()));
        }
        let direct = match directory.layout().source {
            MembershipSource::Members => {
                let mut groups = direct(directory, session, entry).await?;
                // A plug-in may update the groups shortly after a rename.
                for name in before.iter().filter(|name| folded(name) != folded(&entry.dn)) {
                    let earlier = Entry { dn: name.clone(), ..entry.clone() };
                    for group in direct_by_name(directory, session, &earlier).await? {
                        if !groups.iter().any(|known| known.is_same(&group)) {
                            groups.push(group);
                        }
                    }
                }
                groups
            }
            MembershipSource::MemberOf => match self.named_by(directory, session, entry).await? {
                Some(groups) => groups,
                None => return Ok(None),
            },
        };
        if directory.layout().nested {
            return self.closure(directory, session, direct).await.map(Some);
        }
        Ok(Some(direct))
    }

    /// These groups, and all groups that they are in, at any depth. Cycles are followed only once.
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
                queue.extend(self.parents(directory, session, &group, name).await?.iter().cloned());
                all.push(group);
            }
        }
        Ok(all)
    }

    /// The groups that an attribute of the account names; `None` if one of the names does not exist.
    async fn named_by(
        &self,
        directory: &Directory,
        session: &Session,
        entry: &Entry,
    ) -> Result<Option<Vec<Group>>, Error> {
        let mut groups = Vec::new();
        for dn in entry.texts(&directory.layout().member_of) {
            let Some(dn) = dn else {
                let message = format!(
                    "{}: {} of {} is not text",
                    directory.system(),
                    directory.layout().member_of,
                    entry.dn
                );
                return Err(Error::internal(message));
            };
            match self.groups_at(directory, session, dn).await? {
                Some(at) => groups.extend(at.iter().cloned()),
                None => return Ok(None),
            }
        }
        Ok(Some(groups))
    }

    /// The groups at a name; `None` if there is no entry.
    async fn groups_at(
        &self,
        directory: &Directory,
        session: &Session,
        dn: &str,
    ) -> Result<Option<Arc<[Group]>>, Error> {
        let key = folded(dn);
        if let Some(known) = get(&self.groups, &key) {
            return Ok(Some(known));
        }
        let mut groups = Vec::new();
        let name = Name::parse(dn).ok();
        for (of, layout) in directory.layout().groups.iter().enumerate() {
            if name.as_ref().is_some_and(|name| name.is_within(&layout.base_name)) {
                let place = Place { base: dn, scope: ldap3::Scope::Base };
                match groups_in(directory, session, of, &place, &layout.filter, &[]).await {
                    Ok(found) => groups.extend(found),
                    Err(Failure::Refused(refusal)) if refusal.code == 32 => return Ok(None),
                    Err(failure) => return Err(directory.report(failure, About::Reading("groups"))),
                }
            }
        }
        Ok(Some(keep(&self.groups, key, groups)))
    }

    /// The groups that contain a group.
    async fn parents(
        &self,
        directory: &Directory,
        session: &Session,
        group: &Group,
        key: String,
    ) -> Result<Arc<[Group]>, Error> {
        if let Some(known) = get(&self.parents, &key) {
            return Ok(known);
        }
        let mut dn = group.dn.clone();
        for _ in 0..ROUNDS {
            let mut parents = Vec::new();
            for (of, layout) in directory.layout().groups.iter().enumerate().filter(|(_, of)| !of.by_username)
            {
                parents.extend(naming(directory, session, of, &equals(&layout.member, &dn), &[]).await?);
            }
            // Like an account, the group may have been renamed in the meantime.
            let current = match directory.layout().id.filter(&group.id) {
                Some(condition) => {
                    naming(directory, session, group.of, &condition, &[]).await?.into_iter().next()
                }
                None => None,
            };
            match current {
                Some(current) if folded(&current.dn) != folded(&dn) => dn = current.dn,
                _ => return Ok(keep(&self.parents, key, parents)),
            }
        }
        Err(Error::incomplete_listing(format!(
            "{}: the groups of {} cannot be determined: it is renamed repeatedly",
            directory.system(),
            group.dn
        )))
    }
}

fn held(directory: &Directory, groups: Vec<Group>) -> Held {
    by_slug(directory.layout(), groups.into_iter().map(|group| (group.of, group.id)))
}

/// Converts groups with their types to the form of a record: memberships and assignments.
pub(crate) fn by_slug(layout: &Layout, groups: impl IntoIterator<Item = (usize, String)>) -> Held {
    let (mut memberships, mut assignments) = Held::default();
    for (of, id) in groups {
        let of = &layout.groups[of].resource_type;
        let held = if of.kind == ResourceKind::License { &mut assignments } else { &mut memberships };
        held.0.entry(of.slug.clone()).or_default().push(Ref::new(id));
    }
    for refs in memberships.0.values_mut().chain(assignments.0.values_mut()) {
        refs.sort();
        refs.dedup();
    }
    (memberships, assignments)
}

impl Group {
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.of == other.of && folded(&self.dn) == folded(&other.dn)
    }
}

pub(crate) fn id_of(layout: &Layout, entry: &Entry) -> Option<String> {
    let id = &layout.id;
    entry.values(&id.name).first().and_then(|value| id.text(value))
}

/// Whether the groups of an account are found by its distinguished name.
fn depends_on_names(directory: &Directory) -> bool {
    let layout = directory.layout();
    layout.source == MembershipSource::Members && layout.groups.iter().any(|of| !of.by_username)
}

/// The current entries of accounts, by identifier.
async fn by_id(
    directory: &Directory,
    session: &Session,
    ids: &[String],
    attributes: &[&str],
) -> Result<HashMap<String, Entry>, Error> {
    let layout = directory.layout();
    let mut now = HashMap::new();
    for ids in ids.chunks(BY_ID) {
        let conditions: String = ids.iter().filter_map(|id| layout.id.filter(id)).collect();
        let filter = format!("(&{}(|{conditions}))", layout.accounts.filter);
        let search = Search {
            base: &layout.accounts.base,
            scope: layout.accounts.scope,
            filter: &filter,
            attributes,
            limit: 0,
        };
        let found = session.search(&search).await;
        let found =
            found.map_err(|failure| directory.report(failure, About::Reading("the accounts again")))?;
        now.extend(found.into_iter().filter_map(|entry| Some((id_of(directory.layout(), &entry)?, entry))));
    }
    Ok(now)
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

/// The groups of every type that directly contain an account.
pub(crate) async fn direct(
    directory: &Directory,
    session: &Session,
    entry: &Entry,
) -> Result<Vec<Group>, Error> {
    direct_of(directory, session, entry, |_| true).await
}

/// The groups that contain an account's distinguished name.
async fn direct_by_name(
    directory: &Directory,
    session: &Session,
    entry: &Entry,
) -> Result<Vec<Group>, Error> {
    direct_of(directory, session, entry, |of| !of.by_username).await
}

async fn direct_of(
    directory: &Directory,
    session: &Session,
    entry: &Entry,
    which: impl Fn(&GroupLayout) -> bool,
) -> Result<Vec<Group>, Error> {
    let mut groups = Vec::new();
    for (of, layout) in directory.layout().groups.iter().enumerate().filter(|(_, of)| which(of)) {
        let members = member_values(directory.layout(), layout, entry);
        let conditions: String = members.iter().map(|value| is_member(directory, layout, value)).collect();
        if !conditions.is_empty() {
            groups.extend(naming(directory, session, of, &format!("(|{conditions})"), &members).await?);
        }
    }
    Ok(groups)
}

/// The condition that a group has a member. User names are compared ignoring case everywhere, although `memberUid` itself is
/// case-sensitive.
fn is_member(directory: &Directory, layout: &GroupLayout, value: &str) -> String {
    let ignores_case = directory.layout().profile == Profile::ActiveDirectory;
    if layout.by_username && value.is_ascii() && !ignores_case {
        let value = escape::filter_value(value.as_bytes());
        return format!("({}:caseIgnoreIA5Match:={value})", layout.member);
    }
    equals(&layout.member, value)
}

/// The values that represent an account among the members of a group; if it has several user names, all of them. The first is the one to
/// add.
pub(crate) fn member_values(layout: &Layout, of: &GroupLayout, entry: &Entry) -> Vec<String> {
    if !of.by_username {
        return vec![entry.dn.clone()];
    }
    let Some(attribute) = layout.attribute("username") else { return Vec::new() };
    let main = entry.main_value(attribute).and_then(|value| std::str::from_utf8(value).ok());
    let others = entry.texts(attribute).flatten().filter(|value| Some(*value) != main);
    main.into_iter().chain(others).map(str::to_owned).collect()
}

/// The groups of one type that match a condition, with the spelling of these members in them.
pub(crate) async fn naming(
    directory: &Directory,
    session: &Session,
    of: usize,
    condition: &str,
    members: &[String],
) -> Result<Vec<Group>, Error> {
    let layout = &directory.layout().groups[of];
    let filter = format!("(&{}{condition})", layout.filter);
    let place = Place { base: &layout.base, scope: ldap3::Scope::Subtree };
    groups_in(directory, session, of, &place, &filter, members).await.map_err(|failure| match failure {
        Failure::Refused(refusal) if refusal.code == 32 => {
            let key = format!("{}.base", layout.key);
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
    members: &[String],
) -> Result<Vec<Group>, Failure> {
    let id = &directory.layout().id;
    let layout = &directory.layout().groups[of];
    // A user name must be removed from the group with its exact spelling.
    let reads_members = layout.by_username && !members.is_empty();
    let mut attributes = vec![id.name.as_str()];
    attributes.extend(reads_members.then_some(layout.member.as_str()));
    let search = Search { base: place.base, scope: place.scope, filter, attributes: &attributes, limit: 0 };
    let found = session.search(&search).await?;
    let group = |entry: Entry| {
        let id = entry.values(&id.name).first().and_then(|value| id.text(value));
        // A membership without an identifier would silently be lost.
        let id = id.ok_or(Failure::Garbled(
            "a group without its id_attribute (is bind_dn allowed to read \
                                            it?)",
        ))?;
        if entry.garbled {
            return Err(Failure::Garbled("a group whose name is not UTF-8 text"));
        }
        let held = entry.texts(&layout.member).flatten();
        let is_one = |held: &&str| members.iter().any(|member| member.to_lowercase() == held.to_lowercase());
        let written: Vec<String> = held.filter(is_one).map(str::to_owned).collect();
        let values = if written.is_empty() { members.to_vec() } else { written };
        Ok(Group { of, id, dn: entry.dn, values })
    };
    found.into_iter().map(group).collect()
}
