//! The suite.

use std::sync::Arc;

use super::checks;
use super::finding::{Finding, Verdict, parts};
use super::kit::Kit;
use super::probe::Probe;
use super::rule::Rule;
use super::watch::Watch;
use super::{Bench, Check, Outcome, Report, Situation};

/// Makes every check, one after another, and removes whatever the checks have made.
///
/// It ends however the connector behaves: each call has a deadline, and a panic inside the connector is a failed check.
pub async fn run(bench: &dyn Bench) -> Report {
    run_checks(bench, &checks::all()).await
}

/// Makes only the checks of these names, as [`run`] does all of them; `describe` is always made.
pub async fn run_only(bench: &dyn Bench, names: &[&str]) -> Report {
    let mut rules = checks::all();
    rules.retain(|rule| names.contains(&rule.name));
    run_checks(bench, &rules).await
}

async fn run_checks(bench: &dyn Bench, rules: &[Rule]) -> Report {
    let watch = Arc::new(Watch::default());
    watch.keep_secret(bench.secrets());
    let mut report = Report::default();
    let begun = begin(bench, &watch).await;
    let kit = match &begun {
        Ok((working, description)) => {
            let kit = Kit::new(bench, Arc::clone(&watch), working.clone(), description.clone());
            report.checks.push(describe().check(Ok(()), &watch));
            kit
        }
        Err(finding) => {
            let (why, failure) = match finding {
                Finding::Failed(why) | Finding::Late(why) => (why.clone(), Finding::Failed(why.clone())),
                Finding::Skipped(why) => (why.clone(), Finding::Skipped(why.clone())),
            };
            report.checks.push(describe().check(Err(failure), &watch));
            let skipped = |rule: &Rule| rule.check(Err(Finding::Skipped(why.clone())), &watch);
            report.checks.extend(rules.iter().map(skipped));
            return report;
        }
    };
    for rule in rules {
        let verdict = match rule.left_out(&kit) {
            Some(why) => Err(Finding::Skipped(why)),
            None => rule.make(&kit).await,
        };
        report.checks.push(rule.check(verdict, &watch));
        kit.clean_up().await;
    }
    report
}

fn describe() -> Rule {
    Rule::reads("describe", "A connector of a target that works says what it is and can do.", |_| {
        Box::pin(std::future::ready(Ok(())))
    })
}

async fn begin(bench: &dyn Bench, watch: &Arc<Watch>) -> Verdict<(Probe, crate::Description)> {
    let connector = bench.connect(Situation::Working).await?;
    let probe = Probe::new(connector, Arc::clone(watch), bench.deadline());
    match probe.describe().await? {
        Ok(description) => Ok((probe, description)),
        Err(error) => Err(Finding::Failed(format!("describe: {}", parts(&error)))),
    }
}

impl Rule {
    /// What the report says of it. No text of the connector gets there with a secret in it.
    fn check(&self, verdict: Verdict, watch: &Watch) -> Check {
        let outcome = match verdict {
            Ok(()) => Outcome::Passed,
            Err(Finding::Failed(why) | Finding::Late(why)) => Outcome::Failed(watch.printable(&why)),
            Err(Finding::Skipped(why)) => Outcome::Skipped(watch.printable(&why)),
        };
        Check { name: self.name, rule: self.sentence, outcome }
    }
}
