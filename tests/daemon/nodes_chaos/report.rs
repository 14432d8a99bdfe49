//! The figures of a run, and what it leaves if a promise was broken.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::owners;
use super::plan::{Fault, Plan};
use super::run::Outcome;

/// The figures, for `tests/chaos/run`.
pub(super) fn figures(plan: &Plan, outcome: &Outcome) -> Value {
    let of = |faults: &[Fault]| outcome.disturbances.iter().filter(|one| faults.contains(&one.fault)).count();
    let takeovers = owners::takeovers(&outcome.samples, &outcome.disturbances);
    json!({
        "seed": plan.seed,
        "tasks": plan.wishes().len(),
        "kills": of(&[Fault::Kill]),
        "stops": of(&[Fault::Stop]),
        "suspensions": of(&[Fault::Suspend]),
        "database_held": of(&[Fault::HoldDatabase]),
        "database_cut": of(&[Fault::CutDatabase]),
        "database_full": of(&[Fault::FillDatabase]),
        "bridge_faults": of(&[Fault::HoldBridge, Fault::CutBridge]),
        "restarts": plan.restarts(false),
        "crashes": plan.restarts(true),
        "clock_steps": plan.clock_steps(),
        "skipped": outcome.skipped,
        "syncs": outcome.syncs,
        "settled_after": outcome.settled_after.as_secs_f64(),
        "violations": outcome.violations.len(),
        "takeovers": owners::figures(&takeovers),
        "ownerless": owners::ownerless(&outcome.samples),
    })
}

/// Writes logs, ledgers and the plan into a folder of `CHAOS_KEEP`, if it is set. Returns where they are, or the ends of the logs.
pub(super) fn keep(plan: &Plan, outcome: &Outcome) -> String {
    let Some(folder) = std::env::var_os("CHAOS_KEEP").map(PathBuf::from) else {
        let end = |text: &str| {
            let lines: Vec<&str> = text.lines().collect();
            lines[lines.len().saturating_sub(200)..].join("\n")
        };
        let parts: Vec<String> =
            outcome.files.iter().map(|(name, text)| format!("--- {name}\n{}\n", end(text))).collect();
        return parts.concat();
    };
    let folder = folder.join(format!("nodes-{}", plan.seed));
    std::fs::create_dir_all(&folder).expect("a folder");
    let plan = ("plan.txt".to_owned(), plan.to_string());
    let violations = ("violations.txt".to_owned(), outcome.violations.join("\n"));
    for (name, text) in outcome.files.iter().chain([&plan, &violations]) {
        std::fs::write(folder.join(name), text).expect("a file");
    }
    format!("logs and ledgers are in {}", folder.display())
}
