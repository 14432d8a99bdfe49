//! The results of the kit.

use std::time::Duration;

use serde::Serialize;

/// The result of one check.
// Exhaustive on purpose: a catch-all arm that treated an unknown outcome as passed would claim a proof that does not
// exist.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "result", content = "why")]
pub enum Outcome {
    /// The connector keeps the contract.
    Passed,
    /// The connector violates the contract: what was expected and what happened.
    Failed(String),
    /// The check did not run, and why. A skipped check proves nothing.
    Skipped(String),
}

/// The result of one check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Check {
    /// Its name, which does not change between versions, such as `duplicate-create`.
    pub name: &'static str,
    /// The rule of the contract, as a sentence.
    pub rule: &'static str,
    /// The result.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// How long it took; in JSON as `seconds`.
    #[serde(rename = "seconds", serialize_with = "seconds")]
    pub took: Duration,
}

impl Check {
    /// A check and its result, for tests of code that shows reports.
    pub fn new(name: &'static str, rule: &'static str, outcome: Outcome, took: Duration) -> Self {
        Self { name, rule, outcome, took }
    }
}

/// Seconds, with three decimal places.
fn seconds<S: serde::Serializer>(took: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((took.as_secs_f64() * 1_000.0).round() / 1_000.0)
}

/// The results of all checks, in the order in which they ran.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// The checks.
    pub checks: Vec<Check>,
    /// The accounts that the kit has created and did not remove, or may not have removed, each with the reason.
    pub left: Vec<String>,
}

impl Report {
    /// A report of these checks, for tests of code that shows reports; [`run`](super::run()) returns the real one.
    pub fn new(checks: Vec<Check>) -> Self {
        Self { checks, left: Vec::new() }
    }

    /// The names of the checks that failed.
    pub fn failed(&self) -> Vec<&'static str> {
        let failed = self.checks.iter().filter(|check| matches!(check.outcome, Outcome::Failed(_)));
        failed.map(|check| check.name).collect()
    }

    /// The names of the checks that were skipped.
    pub fn skipped(&self) -> Vec<&'static str> {
        let skipped = self.checks.iter().filter(|check| matches!(check.outcome, Outcome::Skipped(_)));
        skipped.map(|check| check.name).collect()
    }

    /// The checks that took longest, with their duration.
    fn slowest(&self) -> String {
        let mut checks: Vec<&Check> = self.checks.iter().collect();
        checks.sort_by_key(|check| std::cmp::Reverse(check.took));
        let slowest = checks.iter().take(8);
        let told: Vec<String> =
            slowest.map(|check| format!("{} {:.1} s", check.name, check.took.as_secs_f64())).collect();
        told.join(", ")
    }

    /// For a test: panics with the whole report unless every check passed, except for those in `accepted`, which may be skipped. This
    /// detects a check that is skipped unintentionally.
    ///
    /// # Panics
    /// If a check failed, or was skipped and is not accepted, or nothing was checked.
    pub fn assert_proven(&self, accepted: &[&str]) {
        let skipped: Vec<&str> = self.skipped().into_iter().filter(|name| !accepted.contains(name)).collect();
        assert!(skipped.is_empty(), "skipped and not accepted: {}\n{self}", skipped.join(", "));
        self.assert_passed();
    }

    /// For a test: panics with the whole report unless every check passed or was skipped, and at least one passed. If
    /// the test passes, the report is printed, and visible if the test runner shows the output of tests: skipped checks
    /// prove nothing.
    ///
    /// # Panics
    ///
    /// If a check failed, or nothing was checked.
    #[expect(clippy::print_stdout, reason = "for tests, whose output the test runner captures")]
    pub fn assert_passed(&self) {
        let passed = self.checks.iter().filter(|check| check.outcome == Outcome::Passed).count();
        println!("{self}\n{passed} passed, {} failed, {} skipped", self.failed().len(), self.skipped().len());
        println!("slowest: {}", self.slowest());
        assert!(self.failed().is_empty() && passed > 0, "{self}");
    }
}

/// The maximum length of a report's lines, so that it can be read on any terminal.
const WIDTH: usize = 80;

/// The indentation of the text of a check and of its continuation lines.
const INDENT: usize = 9;

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Skipped checks come first, because they are easily overlooked.
        let (skipped, made): (Vec<&Check>, Vec<&Check>) =
            self.checks.iter().partition(|check| matches!(check.outcome, Outcome::Skipped(_)));
        for Check { name, rule, outcome, .. } in skipped.into_iter().chain(made) {
            match outcome {
                Outcome::Passed => writeln!(f, "ok       {name}")?,
                Outcome::Failed(why) => {
                    wrapped(f, "failed   ", &format!("{name}: {why}"))?;
                    wrapped(f, "         ", &format!("Rule: {rule}"))?;
                }
                Outcome::Skipped(why) => wrapped(f, "skipped  ", &format!("{name}: {why}"))?,
            }
        }
        for left in &self.left {
            wrapped(f, "left     ", left)?;
        }
        let (failed, skipped) = (self.failed().len(), self.skipped().len());
        let passed = self.checks.len() - failed - skipped;
        write!(f, "{passed} passed, {failed} failed, {skipped} skipped")
    }
}

/// Wraps a text into lines of maximum length, all but the first indented.
fn wrapped(f: &mut std::fmt::Formatter<'_>, first: &str, text: &str) -> std::fmt::Result {
    let mut line = first.to_owned();
    let mut begun = false;
    for word in text.split_whitespace() {
        if begun && line.chars().count() + 1 + word.chars().count() > WIDTH {
            writeln!(f, "{line}")?;
            line = " ".repeat(INDENT);
            begun = false;
        }
        if begun {
            line.push(' ');
        }
        line.extend(word.chars().map(|one| if one.is_control() { '\u{fffd}' } else { one }));
        begun = true;
    }
    writeln!(f, "{line}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(outcome: Outcome) -> Report {
        let rule = "Somebody who is gone is not found.";
        let took = Duration::from_micros(1_234_567);
        Report { checks: vec![Check { name: "delete-again", rule, outcome, took }], left: Vec::new() }
    }

    #[test]
    fn report_fits_80_columns_and_lists_unproven_checks() {
        let why = "expected ACCOUNT_NOT_FOUND, not applied; got TIMEOUT, effect unknown: ".repeat(4);
        let failed = report(Outcome::Failed(why)).to_string();
        assert!(failed.lines().all(|line| line.chars().count() <= 80), "{failed}");
        assert!(failed.starts_with("failed   delete-again: expected"), "{failed}");
        assert!(failed.contains("\n         Rule: Somebody"), "{failed}");
        let skipped = report(Outcome::Skipped("nobody is deleted".into())).to_string();
        assert_eq!(skipped, "skipped  delete-again: nobody is deleted\n0 passed, 0 failed, 1 skipped");
    }

    #[test]
    fn report_serializes_to_plain_json() {
        let passed = serde_json::to_value(report(Outcome::Passed)).unwrap();
        let rule = "Somebody who is gone is not found.";
        let check =
            serde_json::json!({ "name": "delete-again", "rule": rule, "result": "passed", "seconds": 1.235 });
        assert_eq!(passed, serde_json::json!({ "checks": [check], "left": [] }));
        let failed = serde_json::to_value(report(Outcome::Failed("it hung".into()))).unwrap();
        assert_eq!(failed["checks"][0]["result"], "failed");
        assert_eq!(failed["checks"][0]["why"], "it hung");
    }

    #[test]
    #[should_panic(expected = "0 passed, 0 failed, 1 skipped")]
    fn report_with_only_skipped_checks_does_not_pass() {
        report(Outcome::Skipped("the target is not there".into())).assert_passed();
    }
}
