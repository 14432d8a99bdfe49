//! What the kit found.

use serde::Serialize;

/// What came of one check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "result", content = "why")]
pub enum Outcome {
    /// The connector does what the contract says.
    Passed,
    /// It does not; what was expected and what came.
    Failed(String),
    /// It was not tried, and why. What was skipped is not proven.
    Skipped(String),
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Its name, which stays the same from version to version, such as `duplicate-create`.
    pub name: &'static str,
    /// What the contract says, as a sentence.
    pub rule: &'static str,
    /// What came of it.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// All checks, in the order in which they were made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The checks.
    pub checks: Vec<Check>,
}

impl Report {
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

    /// For a test: panics with the whole report unless every check passed or was skipped, and at least one passed.
    ///
    /// # Panics
    /// If a check failed, or nothing was checked.
    pub fn assert_passed(&self) {
        let passed = self.checks.iter().filter(|check| check.outcome == Outcome::Passed).count();
        assert!(self.failed().is_empty() && passed > 0, "{self}");
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for Check { name, rule, outcome } in &self.checks {
            match outcome {
                Outcome::Passed => writeln!(f, "ok       {name}")?,
                Outcome::Failed(why) => writeln!(f, "failed   {name}: {why}\n         rule: {rule}")?,
                Outcome::Skipped(why) => writeln!(f, "skipped  {name}: {why}")?,
            }
        }
        Ok(())
    }
}
