//! The suite.

use super::{Bench, Check, Outcome, Report, Situation};

/// Makes every check, one after another.
pub async fn run(bench: &dyn Bench) -> Report {
    let mut report = Report::default();
    let outcome = match bench.connect(Situation::Working).await {
        Ok(connector) => match connector.check().await {
            Ok(()) => Outcome::Passed,
            Err(error) => Outcome::Failed(error.to_string()),
        },
        Err(skip) => Outcome::Skipped(skip.to_string()),
    };
    report.checks.push(Check { name: "check", rule: "A target that works passes `check()`.", outcome });
    report
}
