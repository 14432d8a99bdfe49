//! Runs the kit against every mistake, and checks that the documentation says which check finds it.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use bridgehead_conformance::{self as conformance, TestTarget};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::mistakes::{ALL, Listed};
use crate::test_target::ReferenceTestTarget;

/// The number of concurrent runs: each mostly waits for its target.
const AT_ONCE: usize = 4;

/// Runs the kit against one mistake; the error says how the result differs from the table.
async fn try_one(listed: Listed) -> Result<(), String> {
    let Listed { mistake, checks, .. } = listed;
    let Some(finder) = checks.last() else { return Ok(()) };
    let test_target = ReferenceTestTarget::new(Some(mistake)).await;
    let report = conformance::run_only(&test_target, checks).await;
    let printed = report.to_string();
    if test_target.secrets().iter().any(|secret| printed.contains(secret.as_str())) {
        return Err(format!("{mistake:?}: the report holds a secret"));
    }
    if report.failed().contains(finder) {
        return Ok(());
    }
    let everything = if std::env::var_os("EVERYTHING").is_some() {
        format!(
            "\nall checks: {:?}",
            conformance::run(&ReferenceTestTarget::new(Some(mistake)).await).await.failed()
        )
    } else {
        String::new()
    };
    Err(format!("{mistake:?} is not found by {finder}:\n{printed}{everything}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_kit_finds_every_mistake_by_the_check_that_the_documentation_names() {
    assert!(ALL.len() >= 100, "{} mistakes", ALL.len());
    let found = ALL.iter().filter(|listed| listed.unfound.is_none()).count();
    assert!(found * 100 >= ALL.len() * 95, "{found} of {} are found", ALL.len());
    let gate = Arc::new(Semaphore::new(AT_ONCE));
    let mut runs = JoinSet::new();
    let only = std::env::var("MISTAKE").ok();
    for listed in ALL {
        assert_eq!(listed.unfound.is_some(), listed.checks.is_empty(), "{:?}", listed.mistake);
        if only.as_ref().is_some_and(|only| *only != format!("{:?}", listed.mistake)) {
            continue;
        }
        let gate = Arc::clone(&gate);
        runs.spawn(async move {
            let _permit = gate.acquire_owned().await;
            try_one(*listed).await
        });
    }
    let outcomes = runs.join_all().await;
    let wrong: Vec<String> = outcomes.into_iter().filter_map(Result::err).collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), ALL.len(), wrong.join("\n\n"));
}

/// Checks that no check finds the mistakes that are listed as not found: otherwise the table would be outdated.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn mistakes_documented_as_undetected_are_undetected() {
    let mut runs = JoinSet::new();
    for listed in ALL.iter().filter(|listed| listed.unfound.is_some()) {
        runs.spawn(async move {
            // None of these mistakes concerns paging.
            let test_target =
                ReferenceTestTarget { fills: false, ..ReferenceTestTarget::new(Some(listed.mistake)).await };
            (listed.mistake, conformance::run(&test_target).await)
        });
    }
    for (mistake, report) in runs.join_all().await {
        assert!(report.failed().is_empty(), "{mistake:?} is found:\n{report}");
    }
}

fn page() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/conformance.md")
}

const BEGIN: &str = "<!-- mistakes -->\n";
const END: &str = "<!-- /mistakes -->\n";

fn table() -> String {
    let found = ALL.iter().filter(|listed| listed.unfound.is_none()).count();
    let mut table = format!("{} mistakes, of which the kit finds {found}.\n", ALL.len());
    let mut class = "";
    for listed in ALL {
        if listed.class != class {
            class = listed.class;
            write!(table, "\n### {class}\n\n| mistake | found by |\n|---|---|\n").unwrap();
        }
        let by = match (listed.checks.last(), listed.unfound) {
            (Some(check), _) => format!("`{check}`"),
            (None, reason) => format!("nothing: {}", reason.unwrap_or_default()),
        };
        writeln!(table, "| {} | {by} |", listed.sentence).unwrap();
    }
    table
}

#[test]
fn documentation_lists_every_mistake() {
    let written = std::fs::read_to_string(page()).unwrap();
    let (before, rest) = written.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let wanted = format!("{before}{BEGIN}{}{END}{after}", table());
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(page(), &wanted).unwrap();
    }
    assert!(
        written == wanted || std::env::var_os("UPDATE").is_some(),
        "docs/conformance.md is out of date: run this test with UPDATE=1"
    );
}
