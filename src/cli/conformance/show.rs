//! The report, for people and as JSON.

use bridgehead_sdk::Redactor;
use bridgehead_sdk::conformance::{Check, Outcome, Report};
use serde_json::{Value, json};

use super::super::args::Global;
use super::super::print;

/// Lines are no longer than this.
const WIDTH: usize = 80;
/// Where the text behind a result begins.
const INDENT: usize = 9;

/// Prints the report.
pub(super) fn report(global: &Global, name: &str, redactor: &Redactor, read_only: bool, report: &Report) {
    let count =
        |wanted: fn(&Outcome) -> bool| report.checks.iter().filter(|check| wanted(&check.outcome)).count();
    let passed = count(|outcome| *outcome == Outcome::Passed);
    let failed = count(|outcome| matches!(outcome, Outcome::Failed(_)));
    let skipped = count(|outcome| matches!(outcome, Outcome::Skipped(_)));
    if global.json {
        let checks = serde_json::to_value(&report.checks).unwrap_or(Value::Null);
        let mut told = json!({
            "app": name, "read_only": read_only, "passed": passed, "failed": failed, "skipped": skipped, "checks": checks,
        });
        redactor.redact_json(&mut told);
        print::json(&told);
        return;
    }
    for line in lines(&report.checks) {
        print::line(redactor.redact(&line));
    }
    print::line(format!(
        "\n{passed} passed, {failed} failed, {skipped} skipped.{}",
        if skipped > 0 { " What was skipped is not proven." } else { "" }
    ));
}

/// What passed and what failed in its order, then what was skipped, by the reason.
fn lines(checks: &[Check]) -> Vec<String> {
    let mut lines = Vec::new();
    let mut skipped: Vec<(&str, Vec<&str>)> = Vec::new();
    for Check { name, rule, outcome } in checks {
        match outcome {
            Outcome::Passed => lines.push(format!("ok       {name}")),
            Outcome::Failed(why) => {
                lines.push(format!("failed   {name}"));
                lines.extend(wrapped(why));
                lines.extend(wrapped(&format!("Rule: {rule}")));
            }
            Outcome::Skipped(why) => match skipped.iter_mut().find(|(known, _)| known == why) {
                Some((_, names)) => names.push(name),
                None => skipped.push((why, vec![name])),
            },
        }
    }
    for (why, names) in skipped {
        let mut named = wrapped(&names.join(", "));
        if let Some(first) = named.first_mut() {
            first.replace_range(..INDENT, "skipped  ");
        }
        lines.extend(named);
        lines.extend(wrapped(&format!("because {why}")));
    }
    lines
}

/// A text in lines that fit. A word that is longer than a line stands alone.
fn wrapped(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for paragraph in text.lines() {
        let mut line = " ".repeat(INDENT);
        let mut empty = true;
        for word in paragraph.split_whitespace() {
            if !empty && line.chars().count() + 1 + word.chars().count() > WIDTH {
                lines.push(std::mem::replace(&mut line, " ".repeat(INDENT)));
                empty = true;
            }
            if !empty {
                line.push(' ');
            }
            // What a target says must not move the terminal's cursor.
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
        Check {
            name,
            rule: "An account that is created twice is ACCOUNT_ALREADY_EXISTS, and stays what it was.",
            outcome,
        }
    }

    #[test]
    fn what_failed_says_why_and_what_was_skipped_stands_together() {
        let why = "no key says which credential may read and not change, so that nobody knows whether it is told apart";
        let checks = [
            check("describe", Outcome::Passed),
            check("duplicate-create", Outcome::Failed("create_account: expected ACCOUNT_ALREADY_EXISTS, not applied, retry never, subject account; got INTERNAL_ERROR".into())),
            check("refused-permission", Outcome::Skipped(why.into())),
            check("silent-target", Outcome::Skipped("another reason".into())),
            check("bad-credential", Outcome::Skipped(why.into())),
        ];
        let lines = lines(&checks);
        assert!(lines.iter().all(|line| line.chars().count() <= WIDTH), "{lines:#?}");
        insta::assert_snapshot!(lines.join("\n"), @r#"
        ok       describe
        failed   duplicate-create
                 create_account: expected ACCOUNT_ALREADY_EXISTS, not applied, retry
                 never, subject account; got INTERNAL_ERROR
                 Rule: An account that is created twice is ACCOUNT_ALREADY_EXISTS, and
                 stays what it was.
        skipped  refused-permission, bad-credential
                 because no key says which credential may read and not change, so that
                 nobody knows whether it is told apart
        skipped  silent-target
                 because another reason
        "#);
    }

    #[test]
    fn a_word_without_end_does_not_hang_anybody() {
        let word = "é".repeat(200);
        assert_eq!(wrapped(&format!("a {word} b")).len(), 3);
        assert_eq!(wrapped(""), Vec::<String>::new());
    }
}
