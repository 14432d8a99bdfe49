//! Checks that run after everything else.

use crate::finding::{Verdict, ensure, failed, skipped};
use crate::kit::Kit;
use crate::rule::Rule;
use bridgehead_sdk::Action;

/// The check that removes every account that the kit has created.
pub(crate) const CLEAN_UP: &str = "clean-up";

pub(crate) const RULES: [Rule; 4] = [
    Rule::reads(
        "secrets-out-of-errors",
        "No error contains a secret: not its message, not its Debug output, not its causes.",
        |kit| Box::pin(std::future::ready(none(&kit.watch.leaks().errors))),
    ),
    Rule::reads("secrets-out-of-records", "No record contains a secret.", |kit| {
        Box::pin(std::future::ready(none(&kit.watch.leaks().records)))
    }),
    Rule::reads("secrets-out-of-answers", "No result, cursor or description contains a secret.", |kit| {
        Box::pin(std::future::ready(none(&kit.watch.leaks().answers)))
    }),
    Rule::changes(
        CLEAN_UP,
        "Everything that the kit created can be removed again.",
        &[Action::CreateAccount],
        |kit| Box::pin(clean_up(kit)),
    ),
];

fn none(leaks: &std::collections::BTreeSet<String>) -> Verdict {
    let calls: Vec<&str> = leaks.iter().map(String::as_str).collect();
    ensure(calls.is_empty(), || format!("{} exposed a secret", calls.join(", ")))
}

async fn clean_up(kit: &Kit<'_>) -> Verdict {
    let left = kit.sweep().await;
    kit.leave(left.clone());
    if left.is_empty() {
        return Ok(());
    }
    let left = left.join("; ");
    if kit.offers(Action::DeleteAccount) { failed(left) } else { skipped(left) }
}
