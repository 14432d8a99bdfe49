//! Listing records page by page.

use std::collections::HashSet;

use bridgehead_sdk::{Cursor, Error, Evidence, Page, Record, RejectedRecord, ResourceKind, Retry};
use serde_json::Value;

use crate::driver::Row;
use crate::fault::{Doing, Fault};
use crate::find::Memberships;
use crate::plan::{Listing, Parameter, Type};
use crate::pool::Lease;
use crate::rows;
use crate::settings::{Fields, IdType, Paging};
use crate::target::Database;
use crate::value::as_text;

/// The most rows that a listing without pages may have.
const MOST_ROWS: usize = 10_000;

/// Why a listing cannot go on.
enum Stop {
    /// The database says so, or the statement is wrong.
    Fault(Fault),
    /// What was read so far and what there is now do not fit together. It is read again from the beginning.
    Shifted(String),
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// Where a page begins.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Start {
    /// How many rows were read before.
    rows: u64,
    /// The identifier of the last one; empty when it had none.
    last: Option<String>,
}

/// What is listed.
#[derive(Clone, Copy)]
struct Subject<'a> {
    slug: &'a str,
    fields: &'a Fields,
    id_type: IdType,
    listing: &'a Listing,
}

impl Database {
    /// One page of a resource type.
    pub(crate) async fn page(&self, slug: &str, cursor: Option<&Cursor>) -> Result<Page, Error> {
        let doing = Doing::Listing(slug);
        let accounts = &self.plan.accounts;
        let other = self.plan.types.iter().find(|one| one.resource_type.slug.as_str() == slug);
        let subject = match other {
            Some(one) => Subject { slug, fields: &one.fields, id_type: one.id_type, listing: &one.listing },
            None if slug == accounts.resource_type.slug.as_str() => Subject {
                slug,
                fields: &accounts.fields,
                id_type: accounts.id_type,
                listing: &accounts.listing,
            },
            None => {
                let why = "there is no such resource type in the configuration";
                return Err(Error::incomplete_listing(self.verdicts.message(doing, why)));
            }
        };
        let start = match cursor.map(|cursor| Start::parse(cursor.as_str())) {
            None => Start { rows: 0, last: None },
            Some(Some(start)) if subject.listing.paging != Paging::None => start,
            Some(_) => {
                let why = "the cursor is none of this connector";
                return Err(Error::incomplete_listing(self.verdicts.message(doing, why)));
            }
        };
        let mut lease = self.pool.acquire().await.map_err(|fault| self.verdicts.of(&fault, doing))?;
        let page = self.read(&mut lease, subject, other, &start).await;
        lease.release();
        page.map_err(|stop| match stop {
            Stop::Fault(fault) => self.verdicts.of(&fault, doing),
            Stop::Shifted(why) => {
                Error::incomplete_listing(self.verdicts.message(doing, &why)).retry(Retry::Never)
            }
        })
    }

    async fn read(
        &self,
        lease: &mut Lease<'_>,
        subject: Subject<'_>,
        other: Option<&Type>,
        start: &Start,
    ) -> Result<Page, Stop> {
        let listing = subject.listing;
        let overlap = u64::from(listing.paging == Paging::Offset && start.rows > 0);
        let values = self.values(&listing.statement, |parameter| match parameter {
            Parameter::After => start.last.clone().map_or(Value::Null, Value::from),
            Parameter::Limit => Value::from(u64::from(listing.page_size) + overlap),
            Parameter::Offset => Value::from(start.rows - overlap),
            _ => Value::Null,
        });
        let values = values.map_err(|misfit| {
            let column = &listing.statement.key;
            Stop::Shifted(format!("the last identifier of {column} {misfit}: correct id_type"))
        })?;
        let mut rows = lease.run(&listing.statement, values).await?.rows;
        let key = listing.statement.key.as_str();
        let id_column = subject.fields.get("id").map_or("id", |field| field.column.as_str());
        let id_of = |row: &Row| rows::cell(row, id_column, key).map(as_text);
        if overlap == 1 {
            let first = rows.first().map(&id_of).transpose()?;
            if first.map(Option::unwrap_or_default) != start.last {
                return Err(Stop::Shifted(
                    "rows came or went while it was read by offset; it is read again".to_owned(),
                ));
            }
            rows.remove(0);
        }
        let ids = rows.iter().map(id_of).collect::<Result<Vec<_>, _>>()?;
        let next = next(subject, start, &ids).map_err(Stop::Shifted)?;
        let members = if other.is_none() && !rows.is_empty() {
            self.members(lease, &rows).await?
        } else {
            Memberships::default()
        };
        let mut page = Page::default().ending(next.map(|next| next.cursor()), Evidence::EndOfCursor);
        for (index, row) in rows.iter().enumerate() {
            let read = match other {
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
}

fn entity(one: &Type, row: &Row, key: &str) -> Result<Result<Record, RejectedRecord>, Fault> {
    let kind = match one.resource_type.kind {
        ResourceKind::Account => ResourceKind::Group,
        kind => kind,
    };
    Ok(rows::fields(&one.fields, row, key)?.and_then(|record| Record::from_json(kind, Value::Object(record))))
}

/// Where the page behind this one begins. Only a page without a row is the end: fewer rows than were asked for say nothing, as
/// a condition may stand around the LIMIT.
fn next(subject: Subject<'_>, start: &Start, ids: &[Option<String>]) -> Result<Option<Start>, String> {
    let Subject { listing, .. } = subject;
    let mut seen: HashSet<&str> = start.last.as_deref().into_iter().collect();
    let twice = ids.iter().flatten().find(|id| !seen.insert(id.as_str()));
    if let Some(id) = twice {
        return Err(format!(
            "the identifier {id} comes more than once; {} must give each record once, in the order of its identifiers",
            listing.statement.key
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
    if listing.paging == Paging::Offset {
        let rows = start.rows + ids.len() as u64;
        return Ok(Some(Start { rows, last: ids.last().cloned().map(Option::unwrap_or_default) }));
    }
    if subject.id_type == IdType::Integer {
        let numbers = start.last.iter().chain(ids.iter().flatten()).map(|id| id.parse::<i64>());
        let numbers = numbers
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| "an identifier is no whole number; correct id_type")?;
        if !numbers.is_sorted() {
            return Err(format!(
                "{} gives identifiers that do not ascend; order it by them",
                listing.statement.key
            ));
        }
    }
    // Rows without an identifier come first or last, as the database has it; none of them is what a page can begin behind.
    match ids.iter().flatten().next_back() {
        Some(last) => Ok(Some(Start { rows: start.rows + ids.len() as u64, last: Some(last.clone()) })),
        None => Err("a whole page of rows has no identifier, so that nobody knows where the next one begins"
            .to_owned()),
    }
}

impl Start {
    fn cursor(&self) -> Cursor {
        Cursor::new(format!("{}:{}", self.rows, self.last.as_deref().unwrap_or_default()))
    }

    fn parse(cursor: &str) -> Option<Self> {
        let (rows, last) = cursor.split_once(':')?;
        Some(Self { rows: rows.parse().ok()?, last: Some(last.to_owned()) })
    }
}
