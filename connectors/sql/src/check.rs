//! Checks a configuration against the database before it is used.

use bridgehead_sdk::{Error, Retry, Subject as About};

use crate::driver::Row;
use crate::fault::{Doing, Fault};
use crate::listing::{Stop, Subject};
use crate::plan::{Members, Statement};
use crate::pool::Lease;
use crate::settings::{Fields, Paging};
use crate::target::Database;

impl Database {
    /// Lets the server parse every statement, and checks that each returns the columns that are read from it. Each error names the key to
    /// change.
    pub(crate) async fn look_through(&self, lease: &mut Lease) -> Result<(), Error> {
        for statement in self.plan.statements() {
            let columns =
                lease.prepare(statement).await.map_err(|fault| self.wrong(&fault, &statement.key))?;
            let Some(fields) = self.fields_of(statement) else { continue };
            for (field, at) in fields {
                // The columns of some statements are unknown until they are run.
                if let Some((_, kind)) =
                    columns.iter().find(|(name, kind)| *name == at.column && is_without_form(kind))
                {
                    let why = format!(
                        "{key} returns {column}, which holds {field}, as {kind}, which has no JSON form; \
                         cast it to text",
                        key = statement.key,
                        column = at.column
                    );
                    return Err(self.misfit(&why));
                }
                if !columns.is_empty() && !columns.iter().any(|(name, _)| *name == at.column) {
                    let why = format!(
                        "{key} returns no column {column}, which holds {field}; name the column with AS, or \
                         correct the fields",
                        key = statement.key,
                        column = at.column
                    );
                    return Err(self.misfit(&why));
                }
            }
        }
        self.look_through_catalogue(lease).await?;
        for subject in self.subjects() {
            let first = self.check_first_page(lease, subject).await.map_err(|stop| match stop {
                Stop::Fault(fault) => self.wrong(&fault, &subject.listing.statement.key),
                Stop::Shifted(why) => self.misfit(&why),
            })?;
            if let Some(row) = first.filter(|_| subject.is_of_accounts()) {
                for one in &self.plan.types {
                    let Some(Members::Statement { statement, .. }) = &one.members else { continue };
                    let read = self.members_of(lease, one, std::slice::from_ref(&row)).await;
                    read.map_err(|fault| self.wrong(&fault, &statement.key))?;
                }
                self.check_letters(lease, &row).await?;
            }
        }
        Ok(())
    }

    /// Checks that a listing starts with the first record, and returns that record.
    async fn check_first_page(&self, lease: &mut Lease, subject: Subject<'_>) -> Result<Option<Row>, Stop> {
        if subject.listing.paging == Paging::None {
            return Ok(None);
        }
        let statement = &subject.listing.statement;
        let values = self.listing_values(subject, &crate::listing::Start::default(), 1, 0)?;
        let answer = lease.run(statement, values).await?;
        let ids = answer.rows.iter().map(|row| subject.id_of(row)).collect::<Result<Vec<_>, _>>()?;
        self.check_beginning(lease, subject, &ids).await?;
        Ok(answer.rows.into_iter().next())
    }

    /// The fields that are read from the rows of a statement.
    fn fields_of(&self, statement: &Statement) -> Option<&Fields> {
        let accounts = &self.plan.accounts;
        let finders = [Some(&accounts.by_id), accounts.by_username.as_ref(), accounts.by_email.as_ref()];
        let is_it = |other: &Statement| other.key == statement.key;
        if is_it(&accounts.listing.statement) || finders.into_iter().flatten().any(is_it) {
            return Some(&accounts.fields);
        }
        self.plan.types.iter().find(|one| is_it(&one.listing.statement)).map(|one| &one.fields)
    }

    pub(crate) fn misfit(&self, why: &str) -> Error {
        let message = self.verdicts.message(Doing::Checking, why);
        Error::internal(message).with_retry(Retry::Backoff).with_subject(About::Connection)
    }

    pub(crate) fn wrong(&self, fault: &Fault, key: &str) -> Error {
        let error = self.verdicts.of(fault, Doing::Checking);
        Error::new(error.code(), format!("{} ({key})", error.message()))
            .with_effect(error.effect())
            .with_retry(error.retry())
            .with_subject(error.subject())
    }
}

/// Whether values of a type cannot be read; types have the server's names.
fn is_without_form(kind: &str) -> bool {
    const NONE: [&str; 9] =
        ["GEOMETRY", "POINT", "LINE", "LSEG", "BOX", "PATH", "POLYGON", "CIRCLE", "INTERVAL"];
    let kind = kind.to_ascii_uppercase();
    let element = kind.trim_end_matches("[]");
    NONE.contains(&element) || element.ends_with("RANGE")
}
