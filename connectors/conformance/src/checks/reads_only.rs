//! Checks that reading changes nothing in the target.

use crate::finding::{Verdict, failed};
use crate::kit::Kit;
use crate::relay::Seen;
use crate::tasks::{about, identity};
use bridgehead_sdk::Action;

pub(super) async fn reading_changes_nothing(kit: &Kit<'_>) -> Verdict {
    let http = kit.http().await?;
    let probe = &http.probe;
    let nobody = identity(&kit.test_target.account(&kit.name()));
    let mut reading = Vec::new();
    for of in &kit.description.resource_types {
        http.relay.pass();
        probe.list(of, None).await?.ok();
        reading.push((format!("list {}", of.slug), http.relay.seen()));
    }
    http.relay.pass();
    probe.find(&nobody).await?.ok();
    reading.push(("find_account".to_owned(), http.relay.seen()));
    http.relay.pass();
    probe.check().await?.ok();
    let checking = http.relay.seen();
    let line = |seen: &Seen| format!("{} {}", seen.method, seen.path);
    for (call, seen) in reading.iter().chain([&("check".to_owned(), checking.clone())]) {
        // A connector may send a directory a change of a missing entry to see whether it accepts changes.
        let is_done = |seen: &Seen| http.relay.is_http() || seen.status.unwrap_or(0) == 0;
        if let Some(change) = seen.iter().find(|seen| seen.changes() && is_done(seen)) {
            return failed(format!("{call} sends {}", line(change)));
        }
    }
    if kit.test_target.read_only() || !kit.offers(Action::CreateAccount) {
        return Ok(());
    }
    // Whether a POST changes anything is only known from its other uses.
    http.relay.pass();
    let fields = kit.test_target.account(&kit.name());
    probe.execute(1, &about(Action::CreateAccount, &fields)?).await?.ok();
    let creating = http.relay.seen();
    let reads: Vec<String> = reading.iter().flat_map(|(_, seen)| seen).map(line).collect();
    let change = checking.iter().find(|seen| {
        let line_of = line(seen);
        seen.method == "POST"
            && creating.iter().any(|other| line(other) == line_of)
            && !reads.contains(&line_of)
    });
    match change {
        Some(change) => failed(format!("check sends {}, like create_account", line(change))),
        None => Ok(()),
    }
}
