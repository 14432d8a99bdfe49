//! The findings, printed as they come.

use super::super::failure::{Exit, Failure, Outcome};
use super::super::print;
use bridgehead_runtime::inspection::{Finding, Verdict};

/// What was found so far.
pub(super) struct Report {
    json: bool,
    findings: Vec<Finding>,
}

impl Report {
    pub(super) fn new(json: bool) -> Self {
        Self { json, findings: Vec::new() }
    }

    pub(super) fn add(&mut self, finding: Finding) {
        if !self.json {
            let Finding { result, what, found, advice } = &finding;
            print::line(print::visible(&format!("{:8} {what}: {found}", result.as_str())));
            if let Some(advice) = advice {
                print::line(format!("         {}", print::visible(advice)));
            }
        }
        self.findings.push(finding);
    }

    /// The end of the command: `exit` if anything failed.
    pub(super) fn end(self, exit: Exit) -> Outcome {
        if self.json {
            print::json(&self.findings);
        }
        let failed = self.findings.iter().any(|finding| finding.result == Verdict::Failed);
        if failed { Err(Failure::silent(exit)) } else { Ok(()) }
    }
}
