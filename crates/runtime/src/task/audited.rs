//! The audit log entries of a task.

use std::time::Duration;

use bridgehead_sdk::TaskId;
use serde_json::{Value, json};

use super::attempts::AttemptContext;
use crate::app::AppContext;
use crate::audit::Event;
use crate::inspection::{account_of, report_name};
use bridgehead_bridge::Task;
use bridgehead_store::{Outcome, PriorAccount, ReportResult};

/// The evidence for an outcome.
#[derive(Debug)]
pub(super) struct Audited {
    decision: &'static str,
    evidence: Value,
}

impl Audited {
    /// The task did not reach the connector.
    pub(super) fn refused() -> Self {
        Self { decision: "refuse", evidence: json!({ "attempts": 0 }) }
    }

    /// Attempts were made.
    pub(super) fn of(context: &AttemptContext<'_>) -> Self {
        let before = match context.intent.prior {
            PriorAccount::Unknown => "not known",
            PriorAccount::Absent => "absent",
            PriorAccount::Seen { .. } => "there",
        };
        // Only the names of fields: their values do not belong in the audit log.
        let seen = context.seen.as_ref();
        let evidence = json!({
            "attempts": context.intent.attempt,
            "account_before": before,
            "read_back": seen.is_some(),
            "not_shown": seen.map(|seen| seen.not_shown.as_slice()),
            "differs": seen.map(|seen| seen.differing.len()),
            "in_doubt": context.in_doubt,
            "may_have_applied": context.may_have_applied,
        });
        Self { decision: "execute", evidence }
    }

    /// How many attempts were made.
    pub(super) fn attempts(&self) -> u64 {
        self.evidence["attempts"].as_u64().unwrap_or_default()
    }

    /// Records the outcome, which is durable in the journal.
    pub(super) fn record(mut self, app: &AppContext, task: &Task, outcome: &Outcome, took: Duration) {
        let (word, code) = match outcome {
            Outcome::Completed { .. } => ("completed", None),
            Outcome::Failed { code, message } => {
                self.evidence["reason"] = message.as_str().into();
                ("failed", Some(code.to_string()))
            }
        };
        app.shared.audit.record(Event {
            app: Some(app.name.clone()),
            task: Some(task.id.to_string()),
            account: account_of(task),
            action: task.action.chars().take(100).collect(),
            decision: Some(self.decision.to_owned()),
            evidence: self.evidence,
            outcome: Some(word.to_owned()),
            code,
            duration_ms: u64::try_from(took.as_millis()).ok(),
            ..Event::default()
        });
    }
}

/// Records Iden's response to a report.
pub(super) fn reported(app: &AppContext, task: &TaskId, outcome: &Outcome, ended: &ReportResult) {
    let (word, code) = match outcome {
        Outcome::Completed { .. } => ("completed", None),
        Outcome::Failed { code, .. } => ("failed", Some(code.to_string())),
    };
    let detail = match ended {
        ReportResult::Rejected { detail } => Some(detail.as_str()),
        _ => None,
    };
    app.shared.audit.record(Event {
        app: Some(app.name.clone()),
        task: Some(task.to_string()),
        action: "report".to_owned(),
        decision: Some(word.to_owned()),
        evidence: json!({ "detail": detail }),
        outcome: Some(report_name(ended).to_owned()),
        code,
        ..Event::default()
    });
}
