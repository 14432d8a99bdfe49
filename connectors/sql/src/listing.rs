//! Lists records page by page.

use std::collections::HashSet;

use bridgehead_sdk::{Cursor, Error, Evidence, Page, Record, RejectedRecord, ResourceKind};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::driver::{Row, Transaction};
use crate::fault::{Doing, Fault};
use crate::find::Memberships;
use crate::plan::{Listing, Type};
use crate::pool::Lease;
use crate::proof;
use crate::rows;
use crate::settings::{Engine, Fields, IdType, Paging};
use crate::snapshots::Snapshot;
use crate::target::Database;
use crate::value::as_text;

/// The maximum number of rows of a listing without pages.
const MOST_ROWS: usize = 10_000;

/// Why a listing cannot continue.
pub(crate) enum Stop {
    /// The database reports an error, or the statement is wrong.
    Fault(Fault),
    /// The data changed in a way that makes the earlier pages inconsistent. The listing starts over.
    Shifted(String),
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// The start of a page: the contents of a cursor.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Start {
    /// The number of rows on earlier pages.
    pub(crate) rows: u64,
    /// The identifier of the last row, exactly as the database returned it; absent if it had none.
    #[serde(default)]
    pub(crate) last: Option<Value>,
    /// The number of rows when the listing started.
    #[serde(default)]
    pub(crate) total: Option<u64>,
    /// The name of the database snapshot that the listing reads, if one is kept.
    #[serde(default)]
    pub(crate) snapshot: Option<String>,
}

/// A resource type to list.
#[derive(Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub(crate) slug: &'a str,
    pub(crate) fields: &'a Fields,
    pub(crate) id_type: IdType,
    pub(crate) listing: &'a Listing,
    /// The type of groups or licenses; `None` for accounts.
    other: Option<&'a Type>,
}

impl Subject<'_> {
    pub(crate) fn is_of_accounts(&self) -> bool {
        self.other.is_none()
    }
}

impl Database {
    /// All resource types that can be listed.
    pub(crate) fn subjects(&self) -> impl Iterator<Item = Subject<'_>> {
        let accounts = &self.plan.accounts;
        let accounts = Subject {
            slug: accounts.resource_type.slug.as_str(),
            fields: &accounts.fields,
            id_type: accounts.id_type,
            listing: &accounts.listing,
            other: None,
        };
        let types = self.plan.types.iter().map(|one| Subject {
            slug: one.resource_type.slug.as_str(),
            fields: &one.fields,
            id_type: one.id_type,
            listing: &one.listing,
            other: Some(one),
        });
        types.chain([accounts])
    }

    /// One page of a resource type.
    pub(crate) async fn page(&self, slug: &str, cursor: Option<&Cursor>) -> Result<Page, Error> {
        let doing = Doing::Listing(slug);
        let incomplete =
            |why: &str| Error::incomplete_listing(self.verdicts.message(doing, why)).with_retry(proof::RETRY);
        let Some(subject) = self.subjects().find(|subject| subject.slug == slug) else {
            return Err(incomplete("the configuration does not contain this resource type"));
        };
        let start = match cursor.map(|cursor| serde_json::from_str::<Start>(cursor.as_str())) {
            None => Start::default(),
            Some(Ok(start))
                if start.snapshot.is_some() == self.keeps(subject)
                    && subject.listing.paging != Paging::None =>
            {
                start
            }
            Some(_) => return Err(incomplete("the cursor does not belong to this connector")),
        };
        let page = match (&start.snapshot, cursor) {
            (Some(name), Some(cursor)) => match self.snapshots.ended(slug, cursor) {
                Some(page) => Ok(page),
                None => self.page_behind(subject, &start, (name, cursor)).await,
            },
            _ => self.page_alone(subject, start).await,
        };
        page.map_err(|stop| match stop {
            Stop::Fault(fault) => self.verdicts.of(&fault, doing),
            Stop::Shifted(why) => incomplete(&why),
        })
    }

    /// A page that continues in the transaction of the previous one.
    async fn page_behind(
        &self,
        subject: Subject<'_>,
        start: &Start,
        (name, cursor): (&str, &Cursor),
    ) -> Result<Page, Stop> {
        let Some(mut snapshot) = self.snapshots.take(name, subject.slug) else {
            return Err(Stop::Shifted(
                "the snapshot of the database that it started with is no longer available: it was started \
                 before the daemon was restarted, or paused for too long; starting over"
                    .to_owned(),
            ));
        };
        let page = self.read(&mut snapshot.lease, subject, start).await;
        if let Ok(page) = &page
            && page.next.is_none()
        {
            self.snapshots.end(subject.slug, cursor, page);
        }
        self.leave(snapshot, page).await
    }

    /// Keeps a transaction for the next page, or ends it after the last one.
    async fn leave(&self, snapshot: Snapshot, page: Result<Page, Stop>) -> Result<Page, Stop> {
        match &page {
            Ok(page) if page.next.is_some() => self.snapshots.keep(snapshot),
            _ => snapshot.lease.finish().await,
        }
        page
    }

    /// A page with its own transaction: the first one, and every page of SQLite, where a listing must not block writers while it pauses.
    async fn page_alone(&self, subject: Subject<'_>, start: Start) -> Result<Page, Stop> {
        let mut start = start;
        self.snapshots.prune();
        let keeps = self.keeps(subject);
        let mut lease = if keeps { self.pool.beside().await? } else { self.pool.acquire().await? };
        lease.begin(Transaction::Listing).await?;
        if !keeps {
            let page = self.read_counted(&mut lease, subject, &mut start).await;
            lease.finish().await;
            return page;
        }
        let mut snapshot = self.snapshots.begin(subject.slug, lease);
        start.snapshot = Some(snapshot.name.clone());
        let page = self.read_counted(&mut snapshot.lease, subject, &mut start).await;
        self.leave(snapshot, page).await
    }

    async fn read_counted(
        &self,
        lease: &mut Lease,
        subject: Subject<'_>,
        start: &mut Start,
    ) -> Result<Page, Stop> {
        if start.total.is_none() && self.is_one_state(subject) {
            start.total = Some(self.total(lease, subject).await?);
        }
        self.read(lease, subject, start).await
    }

    /// Whether all pages of a listing share one transaction.
    fn keeps(&self, subject: Subject<'_>) -> bool {
        self.plan.engine != Engine::Sqlite && subject.listing.paging != Paging::None
    }

    /// Whether all pages show the same state, or must be checked as if they did: then the rows of the whole listing are counted. Otherwise,
    /// each page is counted by itself.
    fn is_one_state(&self, subject: Subject<'_>) -> bool {
        self.plan.engine != Engine::Sqlite || subject.listing.paging != Paging::Key
    }

    async fn read(&self, lease: &mut Lease, subject: Subject<'_>, start: &Start) -> Result<Page, Stop> {
        let listing = subject.listing;
        let key = listing.statement.key.as_str();
        let overlap = u64::from(listing.paging == Paging::Offset && start.rows > 0);
        let limit = u64::from(listing.page_size) + overlap;
        let values = self.listing_values(subject, start, limit, start.rows - overlap)?;
        let mut rows = lease.run(&listing.statement, values).await?.rows;
        if overlap == 1 {
            let first = rows.first().map(|row| subject.id_cell(row)).transpose()?;
            if first.filter(|id| !id.is_null()) != start.last.as_ref() {
                return Err(Stop::Shifted(
                    "rows were added or removed while it was read by offset; starting over".to_owned(),
                ));
            }
            rows.remove(0);
        }
        let ids = rows.iter().map(|row| subject.id_cell(row).cloned()).collect::<Result<Vec<_>, _>>()?;
        let next = next(subject, start, &ids).map_err(Stop::Shifted)?;
        self.prove(lease, subject, start, (&ids, next.as_ref())).await?;
        let members = if subject.other.is_none() && !rows.is_empty() {
            self.members(lease, &rows).await?
        } else {
            Memberships::default()
        };
        let evidence = match (listing.paging, start.snapshot.is_some()) {
            (Paging::None, _) | (_, true) => Evidence::Atomic,
            (Paging::Key, false) => Evidence::EndOfCursor,
            (Paging::Offset, false) => Evidence::TotalMet,
        };
        // Without a snapshot, the last page reports how many rows were returned. The runtime compares this with the number of distinct
        // records, which detects a record that was returned twice in place of another.
        let given = next.is_none().then_some(start.rows + rows.len() as u64);
        let next = next.map(|next| next.cursor()).transpose()?;
        let mut page = Page::default().ending(next, evidence).with_total(start.total.or(given));
        for (index, row) in rows.iter().enumerate() {
            let read = match subject.other {
                Some(one) => entity(one, row, key)?,
                None => self.account(row, key, &members)?.map(Record::from),
            };
            match read {
                Ok(record) => page.records.push(record),
                Err(mut rejected) => {
                    let place = start.rows + index as u64 + 1;
                    rejected.id.get_or_insert_with(|| format!("row {place} of {}", subject.slug));
                    page.rejected.push(rejected);
                }
            }
        }
        Ok(page)
    }

    /// Checks that no record is missing, as far as this page shows it.
    async fn prove(
        &self,
        lease: &mut Lease,
        subject: Subject<'_>,
        start: &Start,
        (ids, next): (&[Value], Option<&Start>),
    ) -> Result<(), Stop> {
        let statement = &subject.listing.statement;
        if start.rows == 0 {
            let ids: Vec<Option<String>> = ids.iter().map(as_text).collect();
            self.check_beginning(lease, subject, &ids).await?;
        }
        let rows = ids.len() as u64;
        let Some(total) = start.total else {
            return self.check_page(lease, subject, (start, rows, next)).await;
        };
        // Without a snapshot, the number of rows must not have changed.
        if start.snapshot.is_none() && start.rows > 0 {
            let now = self.total(lease, subject).await?;
            if now != total {
                return Err(Stop::Shifted(
                    "rows were added or removed while it was read; starting over".to_owned(),
                ));
            }
        }
        if next.is_none() && start.rows + rows != total {
            return Err(proof::missing(statement, start.rows + rows, total));
        }
        Ok(())
    }
}

fn entity(one: &Type, row: &Row, key: &str) -> Result<Result<Record, RejectedRecord>, Fault> {
    let kind = match one.resource_type.kind {
        ResourceKind::Account => ResourceKind::Group,
        kind => kind,
    };
    Ok(rows::fields(&one.fields, row, key)?.and_then(|record| Record::from_json(kind, Value::Object(record))))
}

/// The start of the next page. Only an empty page is the end: a page with fewer rows than requested proves nothing, because a condition may
/// be applied outside of the LIMIT.
fn next(subject: Subject<'_>, start: &Start, ids: &[Value]) -> Result<Option<Start>, String> {
    let Subject { listing, .. } = subject;
    let key = &listing.statement.key;
    let texts: Vec<Option<String>> = ids.iter().map(as_text).collect();
    let last = start.last.as_ref().and_then(as_text);
    let mut seen: HashSet<&str> = last.as_deref().into_iter().collect();
    let twice = texts.iter().flatten().find(|id| !seen.insert(id.as_str()));
    if let Some(id) = twice {
        return Err(format!(
            "the identifier {id} occurs more than once; {key} must return each record once, ordered by \
             identifier"
        ));
    }
    if listing.paging == Paging::None {
        if ids.len() > MOST_ROWS {
            return Err(format!(
                "it has more than {MOST_ROWS} rows; read it page by page (paging = \"key\")"
            ));
        }
        return Ok(None);
    }
    if ids.is_empty() {
        return Ok(None);
    }
    let behind = |last: Option<Value>| Start { rows: start.rows + ids.len() as u64, last, ..start.clone() };
    if listing.paging == Paging::Offset {
        return Ok(Some(behind(ids.last().filter(|id| !id.is_null()).cloned())));
    }
    if subject.id_type == IdType::Integer {
        let numbers = last.iter().chain(texts.iter().flatten()).map(|id| id.parse::<i64>());
        let numbers = numbers
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| "an identifier is not a whole number; correct id_type")?;
        if !numbers.is_sorted() {
            return Err(format!("{key} returns identifiers that are not in ascending order; order by them"));
        }
    }
    // Rows without an identifier come first or last, depending on the database; a page cannot start after one of them.
    match ids.iter().rev().find(|id| as_text(id).is_some()) {
        Some(last) => Ok(Some(behind(Some(last.clone())))),
        None => {
            Err("a whole page of rows has no identifier, so the start of the next page is unknown".to_owned())
        }
    }
}

impl Start {
    fn cursor(&self) -> Result<Cursor, Fault> {
        let written = serde_json::to_string(self);
        written
            .map(Cursor::new)
            .map_err(|error| Fault::Unreadable(format!("the cursor cannot be written: {error}")))
    }
}
