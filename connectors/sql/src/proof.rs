//! Proves that a listing is complete: no record is missing because of a wrong order, comparison or start value.
//!
//! With paging by key, a page starts after the last identifier of the previous page. This is only complete if the database orders and
//! compares identifiers in the same way, and if the first page starts before all records. Neither is visible in the statement, so the rows
//! are counted in the state that is read.

use bridgehead_sdk::Retry;
use serde_json::Value;

use crate::driver::{Answer, Row};
use crate::fault::{Fault, Kind};
use crate::listing::{Start, Stop, Subject};
use crate::plan::{Parameter, Statement};
use crate::pool::Lease;
use crate::rows;
use crate::settings::{Engine, IdType, Paging};
use crate::target::Database;
use crate::value::{Bound, as_text};

/// More rows than any listing has, in the range of every integer type.
const ALL: u64 = i32::MAX as u64;

const NIL: &str = "00000000-0000-0000-0000-000000000000";

impl Database {
    /// The number of rows of the whole listing in the state that the transaction sees: from the operator's own statement, or by counting
    /// the rows of the listing.
    pub(crate) async fn total(&self, lease: &mut Lease, subject: Subject<'_>) -> Result<u64, Stop> {
        let listing = subject.listing;
        if let Some(count) = &listing.count {
            let values =
                self.values(count, |_| Value::Null).map_err(|misfit| Stop::Shifted(misfit.to_string()))?;
            return Ok(single(&count.key, &lease.run(count, values).await?)?);
        }
        self.rows_behind(lease, subject, &Start::default()).await
    }

    /// The number of rows after a position.
    pub(crate) async fn rows_behind(
        &self,
        lease: &mut Lease,
        subject: Subject<'_>,
        start: &Start,
    ) -> Result<u64, Stop> {
        let statement = &subject.listing.statement;
        let values = self.listing_values(subject, start, ALL, 0)?;
        match lease.run_as(&statement.counting, values).await {
            Ok(answer) => Ok(single(&statement.key, &answer)?),
            Err(Fault::ServerMessage(told)) if told.kind == Kind::Value || told.kind == Kind::Statement => {
                Err(Stop::Shifted(format!(
                    "the rows of {} cannot be counted, so it is unknown whether it returns all of them: set \
                     {} to a statement that counts them [{told}]",
                    statement.key,
                    count_key(statement)
                )))
            }
            Err(fault) => Err(fault.into()),
        }
    }

    /// Checks that no record precedes the first page: `COALESCE(:after, 0)` excludes records with a negative number.
    pub(crate) async fn check_beginning(
        &self,
        lease: &mut Lease,
        subject: Subject<'_>,
        ids: &[Option<String>],
    ) -> Result<(), Stop> {
        if subject.listing.paging != Paging::Key {
            return Ok(());
        }
        let marks = match subject.id_type {
            IdType::Integer => vec![Value::from(i64::MIN), Value::from(i32::MIN)],
            IdType::Uuid => vec![Value::from(NIL)],
            // Values that are not strings have special comparison rules, so all of these are only tried if the first page is empty.
            IdType::Text if ids.is_empty() => {
                [Value::from(i64::MIN)].into_iter().chain(["", "0", NIL].map(Value::from)).collect()
            }
            // Numbers sort before all strings in SQLite, and MySQL converts strings to 0.
            IdType::Text if self.plan.engine != Engine::Postgresql => vec![Value::from(i64::MIN)],
            IdType::Text => Vec::new(),
        };
        let statement = &subject.listing.statement;
        for mark in marks {
            let mark_is_number = mark.is_number();
            let start = Start { last: Some(mark), ..Start::default() };
            let Ok(values) = self.listing_values(subject, &start, 1, 0) else { continue };
            // A value that the statement casts to a narrower type proves nothing.
            let Ok(answer) = lease.attempt(&statement.sql, values).await? else { continue };
            let Some(first) = answer.rows.first() else { continue };
            let Some(id) = subject.id_of(first)? else { continue };
            let is_number = subject.id_cell(first)?.is_number();
            // Comparing a string with a number has special rules.
            if mark_is_number && subject.id_type == IdType::Text && !is_number {
                continue;
            }
            if !ids.contains(&Some(id.clone())) {
                return Err(Stop::Shifted(format!(
                    "the first page of {} leaves out the identifier {id}, and maybe others: {}",
                    statement.key,
                    if is_number {
                        "start it with COALESCE(:after, -9223372036854775808), or exclude such records with \
                         a separate condition"
                    } else {
                        "make it start with all records where :after is NULL, and correct id_type"
                    }
                )));
            }
        }
        Ok(())
    }

    /// Checks that the next page, which starts after the last identifier of this one, skips no record: the number of rows after the
    /// previous page must be that of this page plus those after it.
    pub(crate) async fn check_page(
        &self,
        lease: &mut Lease,
        subject: Subject<'_>,
        (before, rows, behind): (&Start, u64, Option<&Start>),
    ) -> Result<(), Stop> {
        let all = self.rows_behind(lease, subject, before).await?;
        let rest = match behind {
            Some(behind) => self.rows_behind(lease, subject, behind).await?,
            None => 0,
        };
        if all == rest + rows {
            return Ok(());
        }
        Err(missing(&subject.listing.statement, rows, all.saturating_sub(rest)))
    }

    /// The parameter values of a listing's statement.
    pub(crate) fn listing_values(
        &self,
        subject: Subject<'_>,
        start: &Start,
        limit: u64,
        offset: u64,
    ) -> Result<Vec<Bound>, Stop> {
        let statement = &subject.listing.statement;
        let values = self.values(statement, |parameter| match parameter {
            Parameter::After => start.last.clone().unwrap_or_default(),
            Parameter::Limit => Value::from(limit),
            Parameter::Offset => Value::from(offset),
            _ => Value::Null,
        });
        values.map_err(|misfit| {
            Stop::Shifted(format!("the last identifier of {} {misfit}: correct id_type", statement.key))
        })
    }
}

impl Subject<'_> {
    /// The identifier of a row, as the database returned it.
    pub(crate) fn id_cell<'r>(&self, row: &'r Row) -> Result<&'r Value, Fault> {
        let column = self.fields.get("id").map_or("id", |field| field.column.as_str());
        rows::cell(row, column, &self.listing.statement.key)
    }

    /// The identifier of a row as a string.
    pub(crate) fn id_of(&self, row: &Row) -> Result<Option<String>, Fault> {
        self.id_cell(row).map(as_text)
    }
}

/// The error for a listing that returned fewer or more rows than exist.
pub(crate) fn missing(statement: &Statement, rows: u64, total: u64) -> Stop {
    Stop::Shifted(format!(
        "{key} returns {rows} rows page by page, but there are {total}, so records would be missing: order \
         by the identifier and compare it in the same way (with the same collation, such as COLLATE \"C\" \
         or utf8mb4_bin), return each once, or correct {count}",
        key = statement.key,
        count = count_key(statement)
    ))
}

fn count_key(statement: &Statement) -> String {
    format!("{}.count", statement.key.trim_end_matches(".list"))
}

fn single(key: &str, answer: &Answer) -> Result<u64, Fault> {
    let number = match answer.rows.as_slice() {
        [row] if row.len() == 1 => row.values().next().and_then(as_text),
        _ => None,
    };
    number.and_then(|number| number.parse().ok()).ok_or_else(|| {
        Fault::Unreadable(format!("{key} must return one row with one column, a whole number, but does not"))
    })
}

/// The retry of an unproven listing: the next sync starts over.
pub(crate) const RETRY: Retry = Retry::Never;
