//! One page of a listing, and what a sync would make of it.

use bridgehead_sdk::{Cursor, Description, Error, Record, RejectedRecord, ResourceType};

use super::Hand;
use crate::sync::export;
use crate::target::Priority;

/// A record, and what is wrong with it, if anything is.
#[derive(Debug)]
pub struct Judged {
    /// The record.
    pub record: Record,
    /// The field and the rule that it breaks.
    pub problem: Option<String>,
}

/// One page of a listing.
#[derive(Debug)]
pub struct ListedPage {
    /// The records.
    pub records: Vec<Judged>,
    /// Those that the connector could not read.
    pub rejected: Vec<RejectedRecord>,
    /// Where the next page begins.
    pub next: Option<Cursor>,
    /// How many there are, as far as the target says so.
    pub total: Option<u64>,
    /// What shows that the listing is at its end; `None` on a page in the middle, or if nothing does.
    pub evidence: Option<&'static str>,
}

impl Hand {
    /// Lists a page. References are not looked up: they may be on pages that were not requested.
    pub async fn list(
        &self,
        description: &Description,
        of: &ResourceType,
        cursor: Option<&Cursor>,
    ) -> Result<ListedPage, Error> {
        let target = &self.app.target;
        let answer = target.list(of, cursor, self.tasks.timeout, Priority::Task).await;
        let page = answer.map_err(|error| target.without_secrets(&error))?;
        let judge = |record: Record| {
            let problem = export::problem_of(&record, of, &description.resource_types);
            let problem = problem.map(|problem| self.app.redactor.redact(&problem).into_owned());
            Judged { record, problem }
        };
        Ok(ListedPage {
            evidence: page.evidence.filter(|_| page.next.is_none()).map(bridgehead_sdk::Evidence::as_str),
            records: page.records.into_iter().map(judge).collect(),
            rejected: page.rejected,
            next: page.next,
            total: page.total,
        })
    }
}
