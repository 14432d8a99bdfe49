//! What can be told of a configuration by the database, before anything is asked of it.

use bridgehead_sdk::{Error, Retry, Subject as About};

use crate::fault::{Doing, Fault};
use crate::listing::{Stop, Subject};
use crate::plan::Statement;
use crate::pool::Lease;
use crate::settings::{Fields, Paging};
use crate::target::Database;

impl Database {
    /// Lets the server look at every statement, and looks whether each gives the columns that are read from it. Each error names the
    /// key to change.
    pub(crate) async fn look_through(&self, lease: &mut Lease) -> Result<(), Error> {
        for statement in self.plan.statements() {
            let columns =
                lease.prepare(statement).await.map_err(|fault| self.wrong(&fault, &statement.key))?;
            let Some(fields) = self.fields_of(statement) else { continue };
            for (field, at) in fields {
                // Some statements are not told what they give until they are run.
                if !columns.is_empty() && !columns.iter().any(|(name, _)| *name == at.column) {
                    let why = format!(
                        "{key} gives no column {column}, which is to hold {field}; name the column with AS, or correct the fields",
                        key = statement.key,
                        column = at.column
                    );
                    return Err(self.misfit(&why));
                }
            }
        }
        for subject in self.subjects() {
            self.check_first_page(lease, subject).await.map_err(|stop| match stop {
                Stop::Fault(fault) => self.wrong(&fault, &subject.listing.statement.key),
                Stop::Shifted(why) => self.misfit(&why),
            })?;
        }
        Ok(())
    }

    /// Whether a listing begins with the first record.
    async fn check_first_page(&self, lease: &mut Lease, subject: Subject<'_>) -> Result<(), Stop> {
        if subject.listing.paging != Paging::Key {
            return Ok(());
        }
        let statement = &subject.listing.statement;
        let values = self.listing_values(subject, &crate::listing::Start::default(), 1, 0)?;
        let answer = lease.run(statement, values).await?;
        let ids = answer.rows.iter().map(|row| subject.id_of(row)).collect::<Result<Vec<_>, _>>()?;
        self.check_beginning(lease, subject, &ids).await
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

    fn misfit(&self, why: &str) -> Error {
        let message = self.verdicts.message(Doing::Checking, why);
        Error::internal(message).retry(Retry::Backoff).subject(About::Connection)
    }

    fn wrong(&self, fault: &Fault, key: &str) -> Error {
        let error = self.verdicts.of(fault, Doing::Checking);
        Error::new(error.code(), format!("{} ({key})", error.message()))
            .effect(error.effect_on_target())
            .retry(error.retry_policy())
            .subject(error.about())
    }
}
