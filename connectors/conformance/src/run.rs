//! Runs the suite.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::checks::{CLEAN_UP, all};
use super::finding::{Finding, Verdict, failed, parts, skipped};
use super::kit::Kit;
use super::probe::Probe;
use super::rule::Rule;
use super::watch::Watch;
use super::{Check, Outcome, Report, Situation, TestTarget};

/// How long a stopped run may take to remove what it has created.
const SETTLED: Duration = Duration::from_secs(30);

/// Runs every check, one after another, and removes everything that the checks have created.
///
/// It ends however the connector behaves: each call has a deadline, each check and the whole run have a time limit, and a panic inside the
/// connector is a failed check.
pub async fn run(test_target: &dyn TestTarget) -> Report {
    Run::of(test_target).report().await
}

/// Runs only the checks with these names, in the same way as [`run`]; `describe` always runs.
pub async fn run_only(test_target: &dyn TestTarget, names: &[&str]) -> Report {
    Run::of(test_target).only(names.iter().copied()).report().await
}

/// Every check, including `describe`, in the order in which they run.
pub fn checks() -> Vec<Listed> {
    let rules = std::iter::once(describe()).chain(all());
    rules.map(|rule| Listed { name: rule.name, rule: rule.sentence, changes: rule.changes }).collect()
}

/// An available check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Listed {
    /// Its name.
    pub name: &'static str,
    /// The rule of the contract, as a sentence.
    pub rule: &'static str,
    /// Whether it changes the target.
    pub changes: bool,
}

/// Is notified of the progress of a run.
pub trait Observer: Send + Sync {
    /// A check starts: number `number` of `of`, from 1.
    fn begins(&self, check: &'static str, number: usize, of: usize) {
        let _: (&str, usize, usize) = (check, number, of);
    }

    /// A check has ended.
    fn ends(&self, check: &Check) {
        let _: &Check = check;
    }
}

/// Ignores all notifications.
struct Deaf;

impl Observer for Deaf {}

/// A configurable run of the kit.
pub struct Run<'a> {
    test_target: &'a dyn TestTarget,
    rules: Vec<Rule>,
    observer: &'a dyn Observer,
    stop: Pin<Box<dyn Future<Output = ()> + Send + 'a>>,
}

impl std::fmt::Debug for Run<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Run").field("checks", &self.rules.len()).finish_non_exhaustive()
    }
}

impl<'a> Run<'a> {
    /// A run of all checks.
    pub fn of(test_target: &'a dyn TestTarget) -> Self {
        Self { test_target, rules: all(), observer: &Deaf, stop: Box::pin(std::future::pending()) }
    }

    /// Runs only the checks with these names; `describe` always runs, and unknown names are ignored.
    pub fn only<'n>(mut self, names: impl IntoIterator<Item = &'n str>) -> Self {
        let names: Vec<&str> = names.into_iter().collect();
        self.rules.retain(|rule| names.contains(&rule.name));
        self
    }

    /// Notifies an observer when each check begins and ends.
    pub fn observed_by(self, observer: &'a dyn Observer) -> Self {
        Self { observer, ..self }
    }

    /// Stops the run when this future completes: the running check is dropped, the other checks are skipped, and removing what was created
    /// may take up to half a minute.
    pub fn until(self, stop: impl Future<Output = ()> + Send + 'a) -> Self {
        Self { stop: Box::pin(stop), ..self }
    }

    /// Runs the checks.
    pub async fn report(mut self) -> Report {
        let watch = Arc::new(Watch::default());
        watch.keep_secret(self.test_target.secrets());
        let mut told = Told { observer: self.observer, of: self.rules.len() + 1, report: Report::default() };
        told.begins("describe");
        let started = Instant::now();
        let first = tokio::select! {
            biased;
            () = &mut self.stop => skipped(STOPPED),
            first = begin(self.test_target, &watch) => first,
        };
        let (working, description) = match first {
            Ok(first) => first,
            Err(finding) => {
                let why = finding.why().to_owned();
                told.ends(describe().check(Err(finding.or_failed()), &watch, started.elapsed()));
                for rule in &self.rules {
                    told.begins(rule.name);
                    told.ends(rule.check(skipped(why.clone()), &watch, Duration::ZERO));
                }
                return told.report;
            }
        };
        told.ends(describe().check(Ok(()), &watch, started.elapsed()));
        let kit = Kit::new(self.test_target, Arc::clone(&watch), working, description);
        let ended_early = self.make_all(&kit, &mut told).await;
        let swept = !ended_early && self.rules.iter().any(|rule| rule.name == CLEAN_UP);
        if !swept {
            let left = kit.settle(SETTLED).await;
            kit.leave(left);
        }
        told.report.left = kit.left_behind().iter().map(|left| watch.printable(left)).collect();
        told.report
    }

    /// Runs every check; returns whether it was stopped before the last one.
    async fn make_all(&mut self, kit: &Kit<'_>, told: &mut Told<'_>) -> bool {
        let whole = Limit::begin(kit, self.test_target.run_limit());
        let mut over: Option<String> = None;
        for rule in &self.rules {
            told.begins(rule.name);
            let began = Instant::now();
            let verdict = if let Some(why) = over.clone().or_else(|| rule.left_out(kit)) {
                skipped(why)
            } else {
                tokio::select! {
                    biased;
                    () = &mut self.stop => {
                        over = Some(STOPPED.to_owned());
                        skipped(STOPPED)
                    }
                    made = whole.bound(make(kit, rule)) => made.unwrap_or_else(|| {
                        let why = format!("the kit took longer than {} s in total", whole.longest.as_secs());
                        over = Some(why.clone());
                        skipped(why)
                    }),
                }
            };
            told.ends(rule.check(verdict, &kit.watch, began.elapsed()));
        }
        over.is_some()
    }
}

/// Runs one check within its time limit, and removes what it has created, whatever its result.
async fn make(kit: &Kit<'_>, rule: &Rule) -> Verdict {
    let limit = Limit::begin(kit, kit.test_target.check_limit());
    let verdict = limit.bound(rule.make(kit)).await;
    // Cleaning up has its own time limit, even if the check has used up its time.
    let rest = Limit::begin(kit, kit.test_target.check_limit());
    let cleaned = rest.bound(kit.clean_up()).await;
    match (verdict, cleaned) {
        (None, _) => failed(limit.exceeded()),
        (Some(Ok(())), None) => {
            failed(format!("what it created was not removed within {} s", rest.longest.as_secs()))
        }
        (Some(verdict), _) => verdict,
    }
}

const STOPPED: &str = "the kit was stopped";

/// The report, and the observer that is notified as it grows.
struct Told<'a> {
    observer: &'a dyn Observer,
    of: usize,
    report: Report,
}

impl Told<'_> {
    fn begins(&self, check: &'static str) {
        self.observer.begins(check, self.report.checks.len() + 1, self.of);
    }

    fn ends(&mut self, check: Check) {
        self.observer.ends(&check);
        self.report.checks.push(check);
    }
}

/// A time limit that does not count waiting required by the target or the operator.
struct Limit<'k> {
    kit: &'k Kit<'k>,
    longest: Duration,
    began: Instant,
    waited: Duration,
}

impl<'k> Limit<'k> {
    fn begin(kit: &'k Kit<'k>, longest: Duration) -> Self {
        Self { kit, longest, began: Instant::now(), waited: kit.waited() }
    }

    fn left(&self) -> Duration {
        let waited = self.kit.waited().saturating_sub(self.waited);
        (self.longest + waited).saturating_sub(self.began.elapsed())
    }

    /// The result of `work`; `None` if it did not end in time, and was dropped.
    async fn bound<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = std::pin::pin!(work);
        loop {
            let left = self.left();
            if left.is_zero() {
                return None;
            }
            if let Ok(done) = tokio::time::timeout(left, &mut work).await {
                return Some(done);
            }
        }
    }

    fn exceeded(&self) -> String {
        format!(
            "no end within {} s. For a target that is this slow, raise check_timeout in the app's table conformance, or \
             TestTarget::check_limit in a test",
            self.longest.as_secs()
        )
    }
}

fn describe() -> Rule {
    Rule::reads("describe", "A connector of a working target describes itself and its capabilities.", |_| {
        Box::pin(std::future::ready(Ok(())))
    })
}

async fn begin(
    test_target: &dyn TestTarget,
    watch: &Arc<Watch>,
) -> Verdict<(Probe, bridgehead_sdk::Description)> {
    let connector = test_target.connect(Situation::Working).await?;
    let probe = Probe::new(connector, Arc::clone(watch), test_target.deadline());
    match probe.describe().await? {
        Ok(description) => Ok((probe, description)),
        Err(error) => Err(Finding::Failed(format!("describe: {}", parts(&error)))),
    }
}

impl Rule {
    /// The check for the report. Secrets are removed from all strings of the connector.
    fn check(&self, verdict: Verdict, watch: &Watch, took: Duration) -> Check {
        let outcome = match verdict {
            Ok(()) => Outcome::Passed,
            Err(Finding::Failed(why) | Finding::Late(why)) => Outcome::Failed(watch.printable(&why)),
            Err(Finding::Skipped(why)) => Outcome::Skipped(watch.printable(&why)),
        };
        Check { name: self.name, rule: self.sentence, outcome, took }
    }
}
