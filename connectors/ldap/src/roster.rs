//! All memberships, read once for a listing of accounts: all groups with their members, instead of the groups of every account.
//!
//! Groups contain names, and a name becomes invalid when its entry is renamed or moved. So the names of all accounts are read before the
//! groups. An account that still has the same name when its page is read also had it while the groups were read, so its groups are those
//! that contain the name. Any other account, renamed or new, is in doubt: its groups are looked up individually, as for a task (see
//! `memberships`).
//!
//! With nested groups, the names of the groups are read before and after their members; if one was renamed in between, everything is read
//! again.
//!
//! A group that cannot be read completely is an error. Memory use is that of a page of groups, of the largest group, and of the groups'
//! identifiers; large data about accounts is moved to a file (see `index`).

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::sync::Arc;

use bridgehead_sdk::{Error, Retry};

use crate::directory::Directory;
use crate::entry::Entry;
use crate::failure::Failure;
use crate::index::Index;
use crate::layout::{GroupLayout, Layout};
use crate::memberships::{id_of, member_values};
use crate::name::{self, Name};
use crate::report::About;
use crate::schema::Schema;
use crate::session::{Search, Session};

/// How many pairs of account and group are kept in memory: five megabytes.
const MOST: usize = 1 << 18;

/// The target number of members of all groups of a page.
const MEMBERS: usize = 20_000;

/// The number of groups on the first page.
const FIRST: u16 = 10;

/// How often everything is read again if groups are renamed in the meantime.
const ROUNDS: usize = 4;

/// Marks an account that had this name before the groups were read, instead of a group.
const NAME: u32 = u32::MAX;

/// The members of all groups.
#[derive(Debug)]
pub(crate) struct Roster {
    view: Arc<View>,
    secret: [RandomState; 2],
    index: Index,
    groups: Vec<Known>,
    /// The groups that a group is in, as far as they were requested.
    parents: HashMap<u32, Vec<u32>>,
    next: Step,
    round: usize,
    /// The number of groups on the next page.
    size: u16,
    /// The names of the groups before and after: identifier and name.
    before: HashMap<u128, u128>,
    after: HashMap<u128, u128>,
}

/// What is read next; the number is the index of a type of groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Accounts,
    Before(usize),
    Members(usize),
    After(usize),
    End,
}

/// A group of one of the types.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) of: usize,
    /// `None` if the group cannot be identified: it must not have members then.
    pub(crate) id: Option<String>,
    dn: String,
    key: u128,
}

/// The result for an account.
#[derive(Debug)]
pub(crate) enum Answer {
    /// It is in these groups: type and identifier.
    In(Vec<(usize, String)>),
    /// It was renamed, or is new.
    InDoubt,
}

impl Roster {
    /// An empty roster.
    pub(crate) fn new(directory: &Directory) -> Self {
        Self::begin(Arc::new(View { layout: directory.layout().clone(), schema: directory.schema() }))
    }

    fn begin(view: Arc<View>) -> Self {
        Self {
            view,
            secret: [RandomState::new(), RandomState::new()],
            index: Index::new(MOST),
            groups: Vec::new(),
            parents: HashMap::new(),
            next: Step::Accounts,
            round: 1,
            size: FIRST,
            before: HashMap::new(),
            after: HashMap::new(),
        }
    }

    /// Whether everything has been read.
    pub(crate) fn is_whole(&self) -> bool {
        self.next == Step::End
    }

    /// Reads the next page from a position, which is empty at the beginning.
    pub(crate) async fn read(
        mut self,
        directory: &Directory,
        session: &Session,
        cookie: Vec<u8>,
    ) -> Result<(Self, Vec<u8>), Error> {
        let layout = directory.layout();
        let (id, accounts) = (layout.id.name.as_str(), &layout.accounts);
        let of = match self.next {
            Step::Before(of) | Step::Members(of) | Step::After(of) => layout.groups.get(of),
            Step::Accounts | Step::End => None,
        };
        let mut attributes = vec![id];
        match (self.next, of) {
            (Step::Members(_), Some(of)) => attributes.push(&of.member),
            (Step::Accounts, _) => attributes.extend(layout.attribute("username")),
            _ => {}
        }
        let search = match of {
            Some(of) => Search {
                base: &of.base,
                scope: ldap3::Scope::Subtree,
                filter: &of.filter,
                attributes: &attributes,
                limit: 0,
            },
            None => Search {
                base: &accounts.base,
                scope: accounts.scope,
                filter: &accounts.filter,
                attributes: &attributes,
                limit: 0,
            },
        };
        let most = directory.page_size;
        let size = if matches!(self.next, Step::Members(_)) { self.size.min(most) } else { most };
        let slug = of.map_or(accounts.resource_type.slug.as_str(), GroupLayout::slug);
        let read = session.page(&search, size, cookie).await;
        let (entries, cookie) = read.map_err(|failure| match failure {
            Failure::Refused(refusal) if refusal.code == 32 => {
                let key = of.map_or_else(|| "accounts.base".to_owned(), |of| format!("{}.base", of.key));
                directory.reporter.base_missing(search.base, &key, Some(&refusal))
            }
            // This is not an error of tasks, whose accounts may be on this server.
            failure @ Failure::Reference(_) => {
                let error = directory.report(failure, About::Reading(slug));
                Error::incomplete_listing(error.message()).with_source(error)
            }
            failure => directory.report(failure, About::Reading(slug)),
        })?;
        if let Step::Members(_) = self.next {
            let members: usize =
                entries.iter().map(|entry| of.map_or(0, |of| entry.values(&of.member).len())).sum();
            let next = entries.len() * MEMBERS / members.max(1);
            self.size = u16::try_from(next).unwrap_or(u16::MAX).clamp(1, directory.page_size);
        }
        let mut this = aside(directory, move || self.take(entries)).await?;
        if cookie.is_empty() {
            this.advance(directory)?;
        }
        Ok((this, cookie))
    }

    /// The groups of the accounts of a page.
    pub(crate) async fn of_page(
        mut self,
        directory: &Directory,
        entries: Vec<Entry>,
    ) -> Result<(Self, Vec<(Entry, Answer)>), Error> {
        let (this, answers) = aside(directory, move || {
            let answers: io::Result<Vec<_>> =
                entries.into_iter().map(|entry| Ok((self.answer(&entry)?, entry))).collect();
            Ok((self, answers?))
        })
        .await?;
        let mut told = Vec::with_capacity(answers.len());
        for (found, entry) in answers {
            let Some(groups) = found else {
                told.push((entry, Answer::InDoubt));
                continue;
            };
            let mut held = Vec::with_capacity(groups.len());
            for number in groups {
                let Some(known) = usize::try_from(number).ok().and_then(|number| this.groups.get(number))
                else {
                    continue;
                };
                // A membership without an identifier would silently be lost.
                let id = known.id.clone().ok_or_else(|| {
                    Error::incomplete_listing(format!(
                        "{}: {} is a member of {}, which cannot be identified: its name is not UTF-8 text, \
                         or bind_dn is not allowed to read its id_attribute",
                        directory.system(),
                        entry.dn,
                        known.dn
                    ))
                })?;
                held.push((known.of, id));
            }
            told.push((entry, Answer::In(held)));
        }
        Ok((this, told))
    }

    fn advance(&mut self, directory: &Directory) -> Result<(), Error> {
        let types = directory.layout().groups.len();
        let nested = directory.layout().nested;
        self.next = match self.next {
            Step::Accounts if nested => Step::Before(0),
            Step::Before(of) if of + 1 < types => Step::Before(of + 1),
            Step::Accounts | Step::Before(_) => Step::Members(0),
            Step::Members(of) if of + 1 < types => Step::Members(of + 1),
            Step::Members(_) if nested => Step::After(0),
            Step::After(of) if of + 1 < types => Step::After(of + 1),
            Step::Members(_) | Step::After(_) | Step::End => Step::End,
        };
        if self.next != Step::End {
            return Ok(());
        }
        if let Some(group) = self.renamed() {
            if self.round == ROUNDS {
                let message = format!(
                    "{}: the groups of {group} cannot be determined: it, or another group, is renamed \
                     repeatedly",
                    directory.system()
                );
                return Err(Error::incomplete_listing(message).with_retry(Retry::Backoff));
            }
            *self = Self { round: self.round + 1, ..Self::begin(Arc::clone(&self.view)) };
            return Ok(());
        }
        self.index.close();
        (self.before, self.after) = (HashMap::new(), HashMap::new());
        Ok(())
    }

    /// A group that had another name before its members were read, or has one afterwards.
    fn renamed(&self) -> Option<&str> {
        let differs = |names: &HashMap<u128, u128>, known: &Known| {
            let id = known.id.as_ref().and_then(|id| names.get(&self.id_key(known.of, id)));
            id.is_some_and(|key| *key != known.key)
        };
        let moved = |(id, key): (&u128, &u128)| self.after.get(id).is_some_and(|after| after != key);
        let between = self.before.iter().any(moved).then_some("a group");
        let found =
            self.groups.iter().find(|known| differs(&self.before, known) || differs(&self.after, known));
        found.map(|known| known.dn.as_str()).or(between)
    }

    /// Stores the entries of a page.
    fn take(mut self, entries: Vec<Entry>) -> io::Result<Self> {
        let view = Arc::clone(&self.view);
        for entry in entries {
            let id = id_of(&view.layout, &entry);
            match self.next {
                Step::Accounts => {
                    if let Some(id) = id {
                        let key = self.name_key(&view, &entry, &id);
                        self.index.add(key, NAME)?;
                    }
                }
                Step::Before(of) | Step::After(of) => {
                    let Some(id) = id else { continue };
                    let (id, key) = (self.id_key(of, &id), self.key("dn", &view.folded(&entry.dn)));
                    let names =
                        if matches!(self.next, Step::Before(_)) { &mut self.before } else { &mut self.after };
                    names.insert(id, key);
                }
                Step::Members(of) => self.members(&view, of, &entry, id)?,
                Step::End => {}
            }
        }
        Ok(self)
    }

    fn members(&mut self, view: &View, of: usize, entry: &Entry, id: Option<String>) -> io::Result<()> {
        let layout = &view.layout.groups[of];
        let number = u32::try_from(self.groups.len()).map_err(io::Error::other)?;
        let id = id.filter(|_| !entry.garbled);
        let key = self.key("dn", &view.folded(&entry.dn));
        self.groups.push(Known { of, id, dn: entry.dn.clone(), key });
        // A name that is not valid UTF-8 matches no account: an account with such a name is an invalid record.
        for member in entry.texts(&layout.member).flatten() {
            let key = if layout.by_username {
                self.key("user", &member.to_lowercase())
            } else {
                self.key("dn", &view.folded(member))
            };
            self.index.add(key, number)?;
        }
        Ok(())
    }

    /// The groups of one account; `None` if they may be incomplete.
    fn answer(&mut self, entry: &Entry) -> io::Result<Option<Vec<u32>>> {
        let view = Arc::clone(&self.view);
        if entry.garbled {
            return Ok(Some(Vec::new()));
        }
        if let Some(id) = id_of(&view.layout, entry)
            && self.index.get(self.name_key(&view, entry, &id))? != [NAME]
        {
            return Ok(None);
        }
        let mut groups = Vec::new();
        if view.layout.groups.iter().any(|of| !of.by_username) {
            groups.extend(self.index.get(self.key("dn", &view.folded(&entry.dn)))?);
        }
        for name in view.user_names(entry) {
            groups.extend(self.index.get(self.key("user", &name))?);
        }
        if view.layout.nested {
            groups = self.closure(groups)?;
        }
        groups.sort_unstable();
        groups.dedup();
        Ok(Some(groups))
    }

    /// These groups, and all groups that they are in, at any depth.
    fn closure(&mut self, direct: Vec<u32>) -> io::Result<Vec<u32>> {
        let mut met: HashSet<u32> = HashSet::new();
        let mut open = direct;
        while let Some(group) = open.pop() {
            if !met.insert(group) {
                continue;
            }
            if !self.parents.contains_key(&group) {
                let known = usize::try_from(group).ok().and_then(|group| self.groups.get(group));
                let parents = known.map_or_else(|| Ok(Vec::new()), |known| self.index.get(known.key))?;
                self.parents.insert(group, parents);
            }
            open.extend(self.parents.get(&group).into_iter().flatten());
        }
        Ok(met.into_iter().collect())
    }

    /// A key for an account that covers all names by which groups contain it.
    fn name_key(&self, view: &View, entry: &Entry, id: &str) -> u128 {
        let mut names = vec![id.to_lowercase(), view.folded(&entry.dn)];
        let mut user_names = view.user_names(entry);
        user_names.sort();
        names.append(&mut user_names);
        self.hash(&("name", names))
    }

    fn id_key(&self, of: usize, id: &str) -> u128 {
        self.hash(&("id", of, id.to_lowercase()))
    }

    fn key(&self, kind: &str, name: &str) -> u128 {
        self.hash(&(kind, name))
    }

    fn hash(&self, of: &impl std::hash::Hash) -> u128 {
        let [high, low] = &self.secret;
        (u128::from(high.hash_one(of)) << 64) | u128::from(low.hash_one(of))
    }
}

/// What is needed to compare names.
#[derive(Debug)]
struct View {
    layout: Layout,
    schema: Schema,
}

impl View {
    /// A string that is equal for equal names, whichever names the server uses for the attributes in them.
    fn folded(&self, dn: &str) -> String {
        let name_of = |attribute: &str| {
            let standard = name::standard_name(attribute);
            if name::names_entries(&standard) {
                standard
            } else {
                self.schema.canonical(attribute).to_lowercase()
            }
        };
        Name::parse(dn).map_or_else(|_| dn.to_lowercase(), |name| name.folded_by(&name_of))
    }

    /// The user names by which groups contain an account.
    fn user_names(&self, entry: &Entry) -> Vec<String> {
        let of = self.layout.groups.iter().find(|of| of.by_username);
        let names = of.map(|of| member_values(&self.layout, of, entry)).unwrap_or_default();
        names.into_iter().map(|name| name.to_lowercase()).collect()
    }
}

/// Runs work that may block on a disk in a separate thread.
async fn aside<T: Send + 'static>(
    directory: &Directory,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, Error> {
    let failed = |why: String| {
        Error::incomplete_listing(format!(
            "{}: the group data does not fit into the temporary folder {}: {why}; free space there, or set \
             TMPDIR",
            directory.system(),
            std::env::temp_dir().display()
        ))
    };
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| failed(error.to_string()))?.map_err(|error| failed(error.to_string()))
}
