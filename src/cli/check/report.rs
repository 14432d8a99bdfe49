//! Prints findings as they arrive.

use super::super::failure::{Exit, Failure, Outcome};
use super::super::{print, table};
use bridgehead_runtime::inspection::{Finding, Verdict};

/// The indentation of all lines of a finding except the first.
const INDENT: &str = "         ";

/// Wraps a line to the width of the terminal, below its label.
fn folded(line: &str, width: Option<usize>) -> String {
    print::folded(line, width, INDENT.len())
}

/// The output format of findings.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Text,
    Json,
    Silent,
}

/// The findings so far.
pub(super) struct Report {
    form: Form,
    findings: Vec<Finding>,
}

impl Report {
    pub(super) fn new(json: bool) -> Self {
        Self { form: if json { Form::Json } else { Form::Text }, findings: Vec::new() }
    }

    /// A report that prints nothing.
    pub(super) fn silent() -> Self {
        Self { form: Form::Silent, findings: Vec::new() }
    }

    pub(super) fn findings(self) -> Vec<Finding> {
        self.findings
    }

    pub(super) fn add(&mut self, finding: Finding) {
        if self.form == Form::Text {
            let Finding { result, what, found, advice } = &finding;
            let width = table::terminal_width();
            let told = print::visible(&format!("{:8} {what}: {found}", result.as_str()));
            print::line(folded(&told, width));
            if let Some(advice) = advice {
                print::line(folded(&format!("{INDENT}{}", print::visible(advice)), width));
            }
        }
        self.findings.push(finding);
    }

    /// Ends the command: with `exit` if any check failed.
    pub(super) fn end(self, exit: Exit) -> Outcome {
        if self.form == Form::Json {
            print::json(&self.findings);
        }
        let failed = self.findings.iter().any(|finding| finding.result == Verdict::Failed);
        if failed { Err(Failure::silent(exit)) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_wrap_at_80_columns_without_splitting_words() {
        let url = "https://an-address-that-is-rather-long.example.org/org/acme/api/v1/bridge/apps/and-more";
        let line =
            format!("failed   Bridge: no response came from {url} within the time that is allowed for one");
        let text = folded(&line, Some(80));
        assert!(text.contains(url), "{text}");
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines.len() > 2 && lines[1..].iter().all(|line| line.starts_with(INDENT)), "{text}");
        assert!(lines.iter().all(|line| line.chars().count() <= 80 || line.trim() == url), "{text}");
        assert_eq!(text.split_whitespace().collect::<Vec<_>>(), line.split_whitespace().collect::<Vec<_>>());
        assert_eq!(folded(&line, None), line);
    }
}
