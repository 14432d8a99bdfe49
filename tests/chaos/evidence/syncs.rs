//! How syncs changed Iden's records, according to the sandbox's ledger.

use std::collections::{BTreeMap, BTreeSet};

use bridgehead::sandbox::Entry;
use serde_json::Value;

use super::ledger::Ledger;
use super::{Evidence, Violation, rules};

/// The maximum difference between the clocks of the sandbox and of the target, in nanoseconds.
const SKEW: i128 = 250_000_000;

/// `min_records` of the configuration: the removal guard exempts types with fewer known records.
const EXEMPT: usize = 10;

/// `max_removals` and `max_removal_percent` of the configuration: a listing that claims to be complete and lacks no more records than this
/// cannot be distinguished from an accurate one.
const UNNOTICED: (usize, usize) = (60, 25);

/// The records pushed in one session: by resource type, by id.
type Pushed = BTreeMap<String, BTreeMap<String, Value>>;

/// The ids of reported accounts.
type Told = BTreeSet<String>;

/// What the sandbox's ledger shows of all sessions.
#[derive(Debug, Default)]
pub(crate) struct Syncs {
    pub(crate) started: usize,
    pub(crate) completed: usize,
    pub(crate) abandoned: usize,
    /// Records that `complete` correctly set inactive: they had been removed.
    pub(crate) removed: usize,
    /// Records that `complete` set inactive because the target falsely claimed that its listing was complete, within the guard's limits.
    pub(crate) unnoticed: usize,
    pub(crate) violations: Vec<Violation>,
}

/// Replays the ledger, and checks every `complete` against the true state at that time.
pub(crate) fn replay(evidence: &Evidence<'_>) -> Syncs {
    let mut syncs = Syncs::default();
    let mut known = Pushed::new();
    let mut sessions: BTreeMap<String, Pushed> = BTreeMap::new();
    let mut cancelled: BTreeSet<String> = BTreeSet::new();
    // Accounts whose creation was reported since the last `complete`: Iden knows them from the report.
    let mut told = Told::new();
    let mut began = 0;
    for entry in evidence.sandbox.ledger().into_iter().filter(|entry| entry.app_id == Some(evidence.app)) {
        let Some((session, rest)) = session_of(&entry) else {
            if entry.handled == Some(201) && entry.path.ends_with("/sync/") {
                syncs.started += 1;
                began = entry.time.as_nanosecond() - SKEW;
                // A new session cancels the others, and Iden discards what they have pushed.
                cancelled.extend(std::mem::take(&mut sessions).into_keys());
            }
            told.extend(created(evidence, &entry));
            continue;
        };
        // Requests of a cancelled session that arrive late have no effect, whatever the response.
        if cancelled.contains(session) {
            continue;
        }
        match (entry.method.as_str(), rest, entry.handled) {
            ("PUT", slug, Some(200)) => {
                let pushed =
                    sessions.entry(session.to_owned()).or_default().entry(slug.to_owned()).or_default();
                let records = entry.body.as_ref().and_then(|body| body["records"].as_array()).cloned();
                for record in records.into_iter().flatten() {
                    pushed.insert(record["id"].as_str().unwrap_or_default().to_owned(), record);
                }
            }
            ("POST", "abandon", Some(204)) => {
                syncs.abandoned += 1;
                for (slug, records) in sessions.remove(session).unwrap_or_default() {
                    known.entry(slug).or_default().extend(records);
                }
            }
            ("POST", "complete", Some(202)) => {
                syncs.completed += 1;
                let pushed = sessions.remove(session).unwrap_or_default();
                complete(evidence.ledger, &entry, began, &pushed, (&known, &told), &mut syncs);
                known = pushed;
                told.clear();
            }
            _ => {}
        }
    }
    syncs
}

/// The account whose creation this request reports.
fn created(evidence: &Evidence<'_>, entry: &Entry) -> Option<String> {
    let task = entry.task_id.as_deref().filter(|_| entry.method == "PATCH" && entry.handled == Some(200))?;
    let body = entry.body.as_ref().filter(|body| body["status"] == "completed")?;
    evidence.wishes.iter().find(|wish| wish.id == task && wish.action == "create_account")?;
    body["result"]["account_id"].as_str().map(str::to_owned)
}

/// The session in a path, and the rest of the path.
fn session_of(entry: &Entry) -> Option<(&str, &str)> {
    entry.path.split_once("/sync/")?.1.trim_end_matches('/').split_once('/')
}

fn complete(
    ledger: &Ledger,
    entry: &Entry,
    began: i128,
    pushed: &Pushed,
    (known, told): (&Pushed, &Told),
    syncs: &mut Syncs,
) {
    // The clocks of the sandbox and the target differ: an error counts only if it holds both shortly before and shortly after.
    let (from, to) = (entry.time.as_nanosecond() - SKEW, entry.time.as_nanosecond() + SKEW);
    let mut complain = |rule, what| syncs.violations.push(Violation { rule, task: None, what });
    let (truth, after) = (ledger.accounts_at(from), ledger.accounts_at(to));
    let session = entry.path.rsplit('/').nth(2).unwrap_or_default();
    let none = BTreeMap::new();
    for (slug, records) in known {
        let mut ids: BTreeSet<&String> = records.keys().collect();
        if slug == "account" {
            if ids.len() < EXEMPT {
                continue;
            }
            ids.extend(told);
        }
        let pushed = pushed.get(slug).unwrap_or(&none);
        let mut missed = Vec::new();
        for id in ids.iter().copied().filter(|id| !pushed.contains_key(*id)) {
            let is_there = if slug == "account" {
                truth.contains_key(id) && after.contains_key(id)
            } else {
                ledger.entities(slug).contains_key(&format!("\"{id}\""))
            };
            if is_there {
                missed.push(id);
            } else if records.contains_key(id) {
                syncs.removed += 1;
            }
        }
        let (most, percent) = UNNOTICED;
        let all = ids.iter().copied().chain(pushed.keys()).collect::<BTreeSet<_>>().len();
        let within_limits = missed.len() <= most && missed.len() * 100 <= all * percent;
        if within_limits && ledger.listed_less(slug, began, to) {
            syncs.unnoticed += missed.len();
            continue;
        }
        for id in missed {
            let what = format!("completing {session} removed {slug} {id}, which was there");
            complain("a sync removes nobody who is there", what);
        }
    }
    let mut set_back = Vec::new();
    let accounts = pushed.get("account").unwrap_or(&none);
    let mut complain = |rule, what| syncs.violations.push(Violation { rule, task: None, what });
    for (id, record) in accounts {
        if is_unsettled(ledger, id, to) {
            continue;
        }
        let mut meanwhile = ledger.states_of(id, from, to);
        match (truth.get(id), after.get(id)) {
            (Some(truth), Some(after))
                if !rules::same(record, truth)
                    && !rules::same(record, after)
                    && !meanwhile.any(|state| rules::same(record, state)) =>
            {
                let is_news = known.get("account").and_then(|known| known.get(id)).is_some_and(|known| {
                    ["status", "memberships", "assignments"].iter().any(|part| known[*part] != record[*part])
                });
                let what = format!("completing {session} set {id} back to {record}; it was {truth}");
                set_back.push((is_news, what));
            }
            // The account may have been created and removed in between.
            (None, None) if record["status"] != "inactive" && meanwhile.next().is_none() => {
                let what = format!("completing {session} keeps {id}, which was gone");
                complain("a sync keeps nobody who is gone", what);
            }
            _ => {}
        }
    }
    // A listing that misrepresents fewer accounts than the removal guard's limits cannot be distinguished from an accurate one. Neither can
    // one that is the first to list these accounts, or that lists them as the previous listing did.
    if ledger.listed_otherwise(began, to) {
        let news = set_back.iter().filter(|(is_news, _)| *is_news).count();
        let is_within_limits = news * 100 <= accounts.len() * UNNOTICED.1;
        let before = set_back.len();
        set_back.retain(|(is_news, _)| *is_news && !is_within_limits);
        syncs.unnoticed += before - set_back.len();
    }
    let rule = "a sync sets nothing back";
    let violations = set_back.into_iter().map(|(_, what)| Violation { rule, task: None, what });
    syncs.violations.extend(violations);
}

/// Whether the last change of an account came from a call that was never answered or finished past its deadline: only the target knew when
/// it happened.
fn is_unsettled(ledger: &Ledger, id: &str, at: i128) -> bool {
    let last =
        ledger.of_kind("applied").take_while(|event| event.at <= at).filter(|event| event.id() == Some(id));
    let Some(call) = last.last().and_then(|event| event.call()) else { return false };
    let is_late =
        ledger.of_kind("received").any(|event| event.call() == Some(call) && event.fault() == Some("late"));
    is_late || !ledger.of_kind("answered").any(|event| event.call() == Some(call))
}

/// Checks that Iden's records match the target's after a final sync without faults.
pub(crate) fn equal(evidence: &Evidence<'_>) -> Vec<Violation> {
    let mut violations = Vec::new();
    let accounts = evidence.ledger.accounts_at(i128::MAX);
    let truths = [
        ("account", accounts.into_values().collect::<Vec<_>>()),
        ("team", evidence.ledger.entities("team").into_values().collect()),
        ("seat", evidence.ledger.entities("seat").into_values().collect()),
    ];
    for (slug, truths) in truths {
        let records = evidence.sandbox.records(evidence.app, slug);
        let active: BTreeMap<&str, &Value> = records
            .iter()
            .filter(|record| record["active"] == true)
            .filter_map(|record| Some((record["id"].as_str()?, record)))
            .collect();
        let mut complain = |what| {
            violations.push(Violation { rule: "after a clean sync Iden knows the truth", task: None, what });
        };
        for truth in &truths {
            match active.get(truth["id"].as_str().unwrap_or_default()) {
                None => complain(format!("{slug} {truth} is missing")),
                Some(record) if !rules::same(record, truth) => {
                    complain(format!("{slug} {record} should be {truth}"));
                }
                Some(_) => {}
            }
        }
        for id in active.keys().filter(|id| !truths.iter().any(|truth| truth["id"] == **id)) {
            complain(format!("{slug} {id} is active and should not be"));
        }
    }
    violations
}
