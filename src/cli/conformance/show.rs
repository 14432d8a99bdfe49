//! The report, for people, as JSON and as JUnit XML.

use std::path::Path;

use bridgehead_conformance::{Check, Outcome, Report};
use bridgehead_sdk::Redactor;
use quick_junit::{NonSuccessKind, TestCase, TestCaseStatus, TestSuite};
use serde_json::{Value, json};

use super::super::failure::{Exit, Failure, Outcome as Done};
use super::super::print;
use bridgehead_config::Conformance;

/// The maximum length of lines.
const WIDTH: usize = 80;
/// The column at which the text of a result starts.
const INDENT: usize = 9;

/// The result of a check in one word.
pub(super) fn word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Passed => "ok",
        Outcome::Failed(_) => "failed",
        Outcome::Skipped(_) => "skipped",
    }
}

/// One result as JSON.
pub(super) fn result(app: &str, redactor: &Redactor, check: &Check) -> Value {
    let mut told = serde_json::to_value(check).unwrap_or(Value::Null);
    if let Some(fields) = told.as_object_mut() {
        fields.insert("event".to_owned(), "check".into());
        fields.insert("app".to_owned(), app.into());
    }
    redactor.redact_json(&mut told);
    told
}

/// The number of results of each kind.
pub(super) struct Counts {
    pub(super) passed: usize,
    pub(super) failed: usize,
    pub(super) skipped: usize,
    /// The skipped checks that are not accepted.
    pub(super) unproven: usize,
}

impl Counts {
    pub(super) fn of(report: &Report, conformance: &Conformance) -> Self {
        let (failed, skipped) = (report.failed().len(), report.skipped());
        Self {
            passed: report.checks.len() - failed - skipped.len(),
            failed,
            unproven: skipped.iter().filter(|name| !conformance.accepts(name)).count(),
            skipped: skipped.len(),
        }
    }

    /// The result of the command.
    pub(super) fn outcome(&self) -> Done {
        match self {
            Self { failed: 1.., .. } | Self { passed: 0, .. } => Err(Failure::silent(Exit::Failed)),
            Self { unproven: 1.., .. } => Err(Failure::silent(Exit::Unproven)),
            _ => Ok(()),
        }
    }
}

/// The last line of JSON, which summarizes the lines before.
pub(super) fn summary(
    app: &str,
    redactor: &Redactor,
    read_only: bool,
    report: &Report,
    counts: &Counts,
) -> Value {
    let Counts { passed, failed, skipped, unproven } = counts;
    let mut told = json!({
        "event": "summary", "app": app, "read_only": read_only, "passed": passed, "failed": failed, "skipped": skipped,
        "skipped_not_accepted": unproven, "left": report.left,
    });
    redactor.redact_json(&mut told);
    told
}

/// Prints the report for people.
pub(super) fn report(app: &str, redactor: &Redactor, report: &Report, counts: &Counts) {
    for line in lines(report) {
        print::line(redactor.redact(&line));
    }
    let Counts { passed, failed, skipped, unproven } = counts;
    print::line(format!("\n{passed} passed, {failed} failed, {skipped} skipped."));
    if *unproven > 0 {
        let advice = format!(
            "Skipped checks prove nothing. Each reason names the missing key of [apps.{app}.conformance]; \
             set accept_skipped there for the checks that you can do without."
        );
        wrapped(&advice, 0).into_iter().for_each(print::line);
    }
}

/// Writes the results as JUnit XML.
pub(super) fn junit(app: &str, redactor: &Redactor, report: &Report, to: &Path) -> Result<(), Failure> {
    let mut suite = TestSuite::new(format!("conformance of {app}"));
    for check in &report.checks {
        let status = match &check.outcome {
            Outcome::Passed => TestCaseStatus::success(),
            Outcome::Failed(why) => {
                let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
                status.set_message(redactor.redact(why)).set_description(check.rule);
                status
            }
            Outcome::Skipped(why) => {
                let mut status = TestCaseStatus::skipped();
                status.set_message(redactor.redact(why));
                status
            }
        };
        let mut case = TestCase::new(check.name, status);
        case.set_classname(format!("bridgehead.conformance.{app}")).set_time(check.took);
        suite.add_test_case(case);
    }
    let mut whole = quick_junit::Report::new("bridgehead");
    whole.add_test_suite(suite);
    let unwritable = |why: &dyn std::fmt::Display| {
        Failure::new(Exit::Output, format!("{} cannot be written: {why}", to.display()))
    };
    let text = whole.to_string().map_err(|error| unwritable(&error))?;
    std::fs::write(to, text).map_err(|error| unwritable(&error))
}

/// Skipped checks by reason; then passed and failed checks in their order; then the accounts that are left.
fn lines(report: &Report) -> Vec<String> {
    let mut made = Vec::new();
    let mut skipped: Vec<(&str, Vec<&str>)> = Vec::new();
    for Check { name, rule, outcome, .. } in &report.checks {
        match outcome {
            Outcome::Passed => made.push(format!("ok       {name}")),
            Outcome::Failed(why) => {
                made.push(format!("failed   {name}"));
                made.extend(wrapped(why, INDENT));
                made.extend(wrapped(&format!("Rule: {rule}"), INDENT));
            }
            Outcome::Skipped(why) => match skipped.iter_mut().find(|(known, _)| known == why) {
                Some((_, names)) => names.push(name),
                None => skipped.push((why, vec![name])),
            },
        }
    }
    let mut lines = Vec::new();
    for (why, names) in skipped {
        lines.extend(labelled("skipped  ", &names.join(", ")));
        lines.extend(wrapped(&format!("because {why}"), INDENT));
    }
    lines.extend(made);
    lines.extend(report.left.iter().flat_map(|left| labelled("left     ", left)));
    lines
}

/// Wraps a text, with a label before the first line.
fn labelled(label: &str, text: &str) -> Vec<String> {
    let mut lines = wrapped(text, INDENT);
    if let Some(first) = lines.first_mut() {
        first.replace_range(..INDENT, label);
    }
    lines
}

/// Wraps a text. A word that is longer than a line gets a separate line.
pub(super) fn wrapped(text: &str, indent: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for paragraph in text.lines() {
        let mut line = " ".repeat(indent);
        let mut empty = true;
        for word in paragraph.split_whitespace() {
            if !empty && line.chars().count() + 1 + word.chars().count() > WIDTH {
                lines.push(std::mem::replace(&mut line, " ".repeat(indent)));
                empty = true;
            }
            if !empty {
                line.push(' ');
            }
            // Text from the target must not move the terminal's cursor.
            line.extend(word.chars().map(|one| if one.is_control() { '\u{fffd}' } else { one }));
            empty = false;
        }
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &'static str, outcome: Outcome) -> Check {
        let rule = "An account that is created twice is ACCOUNT_ALREADY_EXISTS, and stays what it was.";
        Check::new(name, rule, outcome, std::time::Duration::from_millis(1_500))
    }

    #[test]
    fn failures_show_reasons_and_skips_are_grouped() {
        let why = "no key configures a read-only credential, so it is unknown whether it is distinguished";
        let checks = [
            check("describe", Outcome::Passed),
            check("duplicate-create", Outcome::Failed("create_account: expected ACCOUNT_ALREADY_EXISTS, not applied, retry never, subject account; got INTERNAL_ERROR".into())),
            check("refused-permission", Outcome::Skipped(why.into())),
            check("silent-target", Outcome::Skipped("another reason".into())),
            check("bad-credential", Outcome::Skipped(why.into())),
        ];
        let mut report = Report::new(checks.into());
        report.left = vec!["bhk-x4k2p-07 is left, suspended: the connector does not delete".to_owned()];
        let lines = lines(&report);
        assert!(lines.iter().all(|line| line.chars().count() <= WIDTH), "{lines:#?}");
        insta::assert_snapshot!(lines.join("\n"), @r"
        skipped  refused-permission, bad-credential
                 because no key configures a read-only credential, so it is unknown
                 whether it is distinguished
        skipped  silent-target
                 because another reason
        ok       describe
        failed   duplicate-create
                 create_account: expected ACCOUNT_ALREADY_EXISTS, not applied, retry
                 never, subject account; got INTERNAL_ERROR
                 Rule: An account that is created twice is ACCOUNT_ALREADY_EXISTS, and
                 stays what it was.
        left     bhk-x4k2p-07 is left, suspended: the connector does not delete
        ");
    }

    #[test]
    fn overlong_word_is_wrapped() {
        let word = "é".repeat(200);
        assert_eq!(wrapped(&format!("a {word} b"), INDENT).len(), 3);
        assert_eq!(wrapped("", INDENT), Vec::<String>::new());
    }
}
