//! Runs the kit against every mistake, and checks that the documentation says which check finds it.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use bridgehead_conformance::{self as conformance, TestTarget};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::mistakes::{ALL, Listed};
use crate::test_target::ExecTestTarget;

/// The number of concurrent runs: each mostly waits for its process.
const AT_ONCE: usize = 4;

/// The source of the program.
const PROGRAM: &str = include_str!("connector.py");

/// Runs the kit against one mistake; the error says how the result differs from the table.
async fn try_one(listed: Listed) -> Result<(), String> {
    let Listed { name, checks, .. } = listed;
    let Some(finder) = checks.last() else { return Ok(()) };
    let test_target = ExecTestTarget::new(vec![listed]).await;
    let report = conformance::run_only(&test_target, checks).await;
    let printed = report.to_string();
    if test_target.secrets().iter().any(|secret| printed.contains(secret.as_str())) {
        return Err(format!("{name}: the report holds a secret"));
    }
    if report.failed().contains(finder) {
        return Ok(());
    }
    let everything = if std::env::var_os("EVERYTHING").is_some() {
        format!(
            "\nall checks: {:?}",
            conformance::run(&ExecTestTarget::new(vec![listed]).await).await.failed()
        )
    } else {
        String::new()
    };
    Err(format!("{name} is not found by {finder}:\n{printed}{everything}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_exec_the_kit_finds_every_mistake_by_the_check_that_the_documentation_names() {
    assert!(ALL.len() >= 100, "{} mistakes", ALL.len());
    let found = ALL.iter().filter(|listed| listed.unfound.is_none()).count();
    assert!(found * 100 >= ALL.len() * 90, "{found} of {} are found", ALL.len());
    let gate = Arc::new(Semaphore::new(AT_ONCE));
    let mut runs = JoinSet::new();
    let only = std::env::var("MISTAKE").ok();
    for listed in ALL {
        assert_eq!(listed.unfound.is_some(), listed.checks.is_empty(), "{}", listed.name);
        if only.as_ref().is_some_and(|only| only != listed.name) {
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

/// Checks that no check finds the mistakes that are listed as not found: otherwise the table would be outdated. The program makes all of
/// them in one run; none of them hides another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mistakes_documented_as_undetected_over_exec_are_undetected() {
    let unfound: Vec<Listed> = ALL.iter().copied().filter(|listed| listed.unfound.is_some()).collect();
    let report = conformance::run(&ExecTestTarget::new(unfound).await).await;
    assert!(report.failed().is_empty(), "{report}");
    assert_eq!(report.skipped(), ["undeclared-actions"], "{report}");
}

/// A name that the program does not know would have no effect.
#[test]
fn program_implements_every_listed_mistake() {
    let named = |name: &str| {
        let by_status = name.starts_with("Page") && PROGRAM.contains("f\"Page{status}IsAnEnd\"");
        PROGRAM.contains(&format!("\"{name}\"")) || PROGRAM.contains(&format!("{name}=")) || by_status
    };
    let unknown: Vec<&str> = ALL.iter().map(|listed| listed.name).filter(|name| !named(name)).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

fn page() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/conformance.md")
}

// Different from the markers of the table that the kit's own test writes, so that neither test changes the other's
// table.
const BEGIN: &str = "<!-- mistakes behind exec -->\n";
const END: &str = "<!-- /mistakes behind exec -->\n";

fn table() -> String {
    let found = ALL.iter().filter(|listed| listed.unfound.is_none()).count();
    let mut table = format!("{} mistakes, of which the kit finds {found}.\n", ALL.len());
    table.push_str("\n| area | mistake | found by |\n|---|---|---|\n");
    for listed in ALL {
        let by = match (listed.checks.last(), listed.unfound) {
            (Some(check), _) => format!("`{check}`"),
            (None, reason) => format!("nothing: {}", reason.unwrap_or_default()),
        };
        writeln!(table, "| {} | {} | {by} |", listed.class, listed.sentence).unwrap();
    }
    table
}

#[test]
fn documentation_lists_every_mistake_over_exec() {
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
