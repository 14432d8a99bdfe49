//! Everything an operation needs to know about the accounts, in one scan from the first row to the last.
//!
//! The scan always continues to the end, even if the account was found early: only then is it certain that the file is complete, that no
//! second row is the same account, and that a name is not taken.

use std::collections::HashMap;
use std::sync::Arc;

use bridgehead_sdk::{Account, AccountRecord, folded};

use crate::error::Error;
use crate::layout::TypeFile;
use crate::records;
use crate::rows::Row;
use crate::schema::Cells;
use crate::table::{Snapshot, Table};

/// What to search for.
#[derive(Debug, Default)]
pub(crate) struct Question<'a> {
    /// The account to find.
    pub(crate) account: Option<&'a Account>,
    /// Names that may already be taken.
    pub(crate) names: Names,
    /// The types of licenses whose holders are counted.
    pub(crate) licenses: Vec<&'a TypeFile>,
}

/// Names that must be unique among accounts, in lower case.
#[derive(Debug, Default)]
pub(crate) struct Names {
    pub(crate) id: Option<String>,
    pub(crate) username: Option<String>,
    pub(crate) email: Option<String>,
}

/// The result of a scan.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    /// The row of the account.
    pub(crate) found: Option<Found>,
    /// The line of another row that matches the account as well.
    pub(crate) again: Option<u64>,
    /// The first row of another account that has one of the names.
    pub(crate) taken: Option<Taken>,
    /// The line of a row that cannot be read and contains one of the names.
    pub(crate) unreadable: Option<u64>,
    /// The number of holders of each license, by the slug of its type.
    pub(crate) holders: HashMap<String, HashMap<String, u64>>,
    /// The line break of the last row; empty if the file ends before.
    pub(crate) last_line_break: &'static str,
}

/// The row of an account.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) line: u64,
    pub(crate) line_break: &'static str,
    pub(crate) cells: Cells,
    /// Its content, without the line break.
    pub(crate) bytes: Vec<u8>,
}

/// A name that is taken by another account.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) field: &'static str,
    pub(crate) by: String,
}

impl Names {
    fn taken_by(&self, row: &AccountRecord) -> Option<&'static str> {
        let same = |mine: &Option<String>, theirs: Option<&str>| match (mine, theirs) {
            (Some(mine), Some(theirs)) => *mine == folded(theirs),
            _ => false,
        };
        if same(&self.id, Some(row.id.as_str())) {
            Some("id")
        } else if same(&self.username, row.username.as_deref()) {
            Some("username")
        } else if same(&self.email, row.email.as_deref()) {
            Some("email")
        } else {
            None
        }
    }
}

impl Question<'_> {
    /// Scans the accounts.
    pub(crate) fn ask(&self, snapshot: &Arc<Snapshot>) -> Result<Survey, Error> {
        let texts = self.texts();
        let schema = &snapshot.schema;
        let mut table = Table::start(snapshot.clone());
        let mut survey = Survey { last_line_break: snapshot.first_line_break, ..Survey::default() };
        let mut row = Row::default();
        while let Some(cells) = table.next(&mut row)? {
            survey.last_line_break = row.line_break;
            let read = cells.and_then(|cells| Ok((records::identity(schema, &cells)?, cells)));
            let Ok((identity, cells)) = read else {
                if survey.unreadable.is_none() && schema.mentions(&row.bytes, &texts, &mut table.splitter) {
                    survey.unreadable = Some(row.line);
                }
                continue;
            };
            for license in &self.licenses {
                let counts = survey.holders.entry(license.slug().to_owned()).or_default();
                for held in schema.refs(&cells, license.slug()).unwrap_or_default() {
                    *counts.entry(held.id).or_default() += 1;
                }
            }
            if self.account.is_some_and(|account| account.is_same_as(&identity)) {
                if survey.found.is_some() {
                    survey.again = Some(row.line);
                    continue;
                }
                survey.found = Some(Found {
                    start: row.start,
                    end: row.end,
                    line: row.line,
                    line_break: row.line_break,
                    cells,
                    bytes: row.bytes.clone(),
                });
            } else if survey.taken.is_none()
                && let Some(field) = self.names.taken_by(&identity)
            {
                survey.taken = Some(Taken { field, by: identity.id.into_string() });
            }
        }
        if table.ends_open() {
            survey.last_line_break = "";
        }
        // The observed data is consistent only if no program has written to the file since.
        snapshot.verify()?;
        Ok(survey)
    }

    /// The strings of which a relevant row would contain one, even if it cannot be parsed.
    fn texts(&self) -> Vec<String> {
        let account = self.account.map(|account| {
            let id = account.id.as_ref().map(|id| folded(id.as_str()));
            let lower = |text: &Option<String>| text.as_deref().map(folded);
            [id, lower(&account.username), lower(&account.email)]
        });
        let names = [&self.names.id, &self.names.username, &self.names.email].map(Clone::clone);
        account.into_iter().flatten().chain(names).flatten().collect()
    }
}
