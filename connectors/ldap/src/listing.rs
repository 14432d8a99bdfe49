//! Listing page by page, with paged results (RFC 2696).
//!
//! The position in such a search is a cookie that is only valid on its own connection, once, and for a while. So a
//! listing has its own connection, which is kept from page to page and found by the cursor. The last page is kept too:
//! requesting it again needs no server. A position is lost when the connection is closed, or the server has forgotten
//! the cookie; continuing elsewhere could skip accounts, and so could reading from the start again to find the place,
//! because no order is guaranteed. Such a listing is incomplete, and says so; the sync is abandoned and starts over.
//!
//! If groups name their members, the groups are read before the first page of accounts (see `roster`). A call reads for
//! a while; the pages that it returns until the end are empty.
//!
//! Memory use is that of a page for each listing, and a few are kept.

use std::collections::VecDeque;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bridgehead_sdk::{Cursor, Error, Evidence, Page, Record, RejectedRecord};
use tokio::time::Instant;

use crate::directory::Directory;
use crate::entry::Entry;
use crate::failure::Failure;
use crate::memberships::{self, Resolver};
use crate::records;
use crate::report::About;
use crate::rights;
use crate::roster::{Answer, Roster};
use crate::session::{Search, Session};
use crate::settings::MembershipSource;
use crate::staging;

/// How many listings are kept open.
const HELD: usize = 8;

/// How many pages of accounts and groups a call reads before it returns an empty page. A fixed number makes repeated calls return the same.
const AT_A_CALL: usize = 16;

/// The maximum time for this, well below the time limit that the runtime sets for a call.
const WHILE: Duration = Duration::from_secs(15);

/// The running listings.
#[derive(Debug)]
pub(crate) struct Listings {
    held: Mutex<VecDeque<Listing>>,
    /// Distinguishes the cursors of this process from those of an earlier one.
    nonce: u64,
    started: AtomicU64,
}

#[derive(Debug)]
struct Listing {
    number: u64,
    slug: String,
    /// `None` once the end is reached.
    position: Option<Position>,
    /// The number of pages read so far.
    pages: u64,
    last: Page,
    resolver: Resolver,
    /// All memberships, if they are read from the groups.
    roster: Option<Roster>,
}

#[derive(Debug)]
struct Position {
    session: Session,
    cookie: Vec<u8>,
}

impl Listings {
    pub(crate) fn new() -> Self {
        Self {
            held: Mutex::default(),
            nonce: RandomState::new().build_hasher().finish(),
            started: AtomicU64::new(0),
        }
    }

    /// Drops all listings, and closes their connections.
    pub(crate) fn close(&self) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Reads one page.
    pub(crate) async fn page(
        &self,
        directory: &Directory,
        slug: &str,
        cursor: Option<&Cursor>,
    ) -> Result<Page, Error> {
        let mut listing = match cursor {
            None => self.start(directory, slug).await?,
            Some(cursor) => {
                let (listing, page) = self.resume(directory, slug, cursor)?;
                if page + 1 == listing.pages {
                    let last = listing.last.clone();
                    self.keep(listing);
                    return Ok(last);
                }
                listing
            }
        };
        let lost = |message: &str| {
            Error::incomplete_listing(format!(
                "{message}; the listing of {slug} cannot continue, and starts over with the next sync"
            ))
        };
        let is_first = listing.pages == 0;
        let position = listing.position.take().ok_or_else(|| lost("the listing has already ended"))?;
        // While the page is read, no one else holds the listing, so a dropped or failed call closes its connection.
        match listing.read(directory, position).await {
            Ok(()) => {}
            Err(error) if is_first => return Err(error),
            Err(error) => return Err(lost(error.message()).with_source(error)),
        }
        let next = listing
            .position
            .is_some()
            .then(|| Cursor::new(format!("{:x}-{}-{}", self.nonce, listing.number, listing.pages)));
        listing.last = std::mem::take(&mut listing.last).ending(next, Evidence::EndOfCursor);
        let page = listing.last.clone();
        self.keep(listing);
        Ok(page)
    }

    async fn start(&self, directory: &Directory, slug: &str) -> Result<Listing, Error> {
        let opened = Session::open(&directory.endpoint).await;
        let session = opened.map_err(|failure| directory.report(failure, About::Reading(slug)))?;
        directory.must_be_settled()?;
        directory.learn(&session, true).await?;
        let layout = directory.layout();
        let mut roster = None;
        if slug == layout.accounts.resource_type.slug.as_str() {
            // If groups became unreadable, the listing would show no memberships.
            rights::memberships(directory, &session).await?;
            let is_needed = layout.source == MembershipSource::Members && !layout.groups.is_empty();
            roster = is_needed.then(|| Roster::new(directory));
        }
        Ok(Listing {
            number: self.started.fetch_add(1, Ordering::Relaxed),
            slug: slug.to_owned(),
            position: Some(Position { session, cookie: Vec::new() }),
            pages: 0,
            last: Page::default(),
            resolver: Resolver::default(),
            roster,
        })
    }

    fn resume(&self, directory: &Directory, slug: &str, cursor: &Cursor) -> Result<(Listing, u64), Error> {
        let system = directory.system();
        let lost = |why: &str| {
            Error::incomplete_listing(format!(
                "{system}: the listing of {slug} cannot continue: {why}; it starts over with the next sync"
            ))
        };
        let mut parts = cursor.as_str().split('-');
        let nonce = parts.next().and_then(|part| u64::from_str_radix(part, 16).ok());
        let mut number = || parts.next().and_then(|part| part.parse::<u64>().ok());
        let (Some(nonce), Some(listing), Some(page)) = (nonce, number(), number()) else {
            return Err(lost("its cursor does not belong to this connector"));
        };
        if nonce != self.nonce {
            return Err(lost("it was started before bridgehead was restarted"));
        }
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let is_it = |one: &Listing| {
            // The next page, or the last one again.
            one.number == listing && one.slug == slug && (page == one.pages || page + 1 == one.pages)
        };
        let position = held.iter().position(is_it);
        let found = position.and_then(|position| held.remove(position));
        let why = "its connection was closed or has moved on, and the server keeps the position per \
                   connection";
        found.map(|listing| (listing, page)).ok_or_else(|| lost(why))
    }

    fn keep(&self, listing: Listing) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        while held.len() >= HELD {
            let ended = held.iter().position(|one| one.position.is_none()).unwrap_or(0);
            held.remove(ended);
        }
        held.push_back(listing);
    }
}

impl Listing {
    /// Reads the page at a position, and advances to the next.
    async fn read(&mut self, directory: &Directory, position: Position) -> Result<(), Error> {
        let layout = directory.layout();
        let Position { session, mut cookie } = position;
        let began = Instant::now();
        let mut read = 0;
        while let Some(roster) = self.roster.take_if(|roster| !roster.is_whole()) {
            let (roster, further) = roster.read(directory, &session, cookie).await?;
            cookie = further;
            let is_over = roster.is_whole();
            self.roster = Some(roster);
            read += 1;
            if !is_over && (read == AT_A_CALL || began.elapsed() > WHILE) {
                self.last = Page::default();
                self.pages += 1;
                self.position = Some(Position { session, cookie });
                return Ok(());
            }
        }
        let (page, cookie) = if self.slug == layout.accounts.resource_type.slug.as_str() {
            let accounts = &layout.accounts;
            let attributes = layout.account_attributes();
            let search = Search {
                base: &accounts.base,
                scope: accounts.scope,
                filter: &accounts.filter,
                attributes: &attributes,
                limit: 0,
            };
            let (entries, cookie) = self.entries(directory, &session, &search, cookie).await?;
            (self.accounts(directory, &session, entries).await?, cookie)
        } else {
            let of = layout.groups.iter().find(|of| of.slug() == self.slug);
            let of = of.ok_or_else(|| {
                Error::internal(format!("{}: unknown type '{}'", directory.system(), self.slug))
            })?;
            let attributes = [layout.id.name.as_str(), &of.name];
            let search = Search {
                base: &of.base,
                scope: ldap3::Scope::Subtree,
                filter: &of.filter,
                attributes: &attributes,
                limit: 0,
            };
            let (entries, cookie) = self.entries(directory, &session, &search, cookie).await?;
            let records = entries.iter().map(|entry| records::group(layout, of, entry));
            (page_of(records), cookie)
        };
        self.last = page;
        self.pages += 1;
        self.position = (!cookie.is_empty()).then_some(Position { session, cookie });
        Ok(())
    }

    async fn entries(
        &self,
        directory: &Directory,
        session: &Session,
        search: &Search<'_>,
        cookie: Vec<u8>,
    ) -> Result<(Vec<Entry>, Vec<u8>), Error> {
        let page = session.page(search, directory.page_size, cookie).await;
        page.map_err(|failure| match failure {
            Failure::Refused(refusal) if refusal.code == 32 => {
                let of = directory.layout().groups.iter().find(|of| of.slug() == self.slug);
                let key = of.map_or_else(|| "accounts.base".to_owned(), |of| format!("{}.base", of.key));
                directory.reporter.base_missing(search.base, &key, Some(&refusal))
            }
            // This is not an error of tasks, whose accounts may be on this server.
            failure @ Failure::Reference(_) => {
                let error = directory.report(failure, About::Reading(&self.slug));
                Error::incomplete_listing(error.message()).with_source(error)
            }
            failure => directory.report(failure, About::Reading(&self.slug)),
        })
    }

    async fn accounts(
        &mut self,
        directory: &Directory,
        session: &Session,
        entries: Vec<Entry>,
    ) -> Result<Page, Error> {
        let (staged, entries): (Vec<_>, Vec<_>) = entries.into_iter().partition(staging::is_staged);
        for entry in staged {
            tracing::warn!(
                app = %directory.system(), dn = %entry.dn,
                "a task left a half-created account behind; if no task is running, delete the entry"
            );
        }
        let accounts = self.groups(directory, session, entries).await?.into_iter();
        Ok(page_of(
            accounts
                .map(|(entry, held)| records::account(directory.layout(), &entry, held).map(Record::from)),
        ))
    }

    /// The groups of accounts, each with its current entry.
    async fn groups(
        &mut self,
        directory: &Directory,
        session: &Session,
        entries: Vec<Entry>,
    ) -> Result<Vec<(Entry, memberships::Held)>, Error> {
        let Some(roster) = self.roster.take() else {
            return self.resolver.of_all(directory, session, entries).await;
        };
        let (roster, answers) = roster.of_page(directory, entries).await?;
        self.roster = Some(roster);
        let mut done = Vec::with_capacity(answers.len());
        let mut in_doubt = Vec::new();
        for (entry, answer) in answers {
            match answer {
                Answer::In(groups) => {
                    let held = memberships::by_slug(directory.layout(), groups);
                    done.push((entry, held));
                }
                Answer::InDoubt => in_doubt.push(entry),
            }
        }
        if !in_doubt.is_empty() {
            done.append(&mut self.resolver.of_all(directory, session, in_doubt).await?);
        }
        Ok(done)
    }
}

fn page_of(records: impl Iterator<Item = Result<Record, RejectedRecord>>) -> Page {
    let mut page = Page::default();
    for record in records {
        match record {
            Ok(record) => page.records.push(record),
            Err(rejected) => page.rejected.push(rejected),
        }
    }
    page
}
