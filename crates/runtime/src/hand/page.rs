//! One page of a listing, validated as in a sync.

use bridgehead_sdk::{Cursor, Description, Error, Record, RejectedRecord, ResourceType};

use super::Hand;
use crate::sync::export;
use crate::target::Priority;

/// A record, and its validation error, if any.
#[derive(Debug)]
pub struct Judged {
    /// The record.
    pub record: Record,
    /// The field and the violated rule.
    pub problem: Option<String>,
}

/// One page of a listing.
#[derive(Debug)]
pub struct ListedPage {
    /// The records.
    pub records: Vec<Judged>,
    /// Records that the connector could not read.
    pub rejected: Vec<RejectedRecord>,
    /// The cursor of the next page.
    pub next: Option<Cursor>,
    /// The total number, if the target reports it.
    pub total: Option<u64>,
    /// The evidence that the listing is complete; `None` on earlier pages, or if there is none.
    pub evidence: Option<&'static str>,
}

impl Hand {
    /// Lists one page. References are not validated: they may refer to pages that were not requested.
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
            let problem = problem.map(|problem| self.app.shared.redactor.redact(&problem).into_owned());
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
