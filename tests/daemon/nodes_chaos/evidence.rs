//! Reads the ledger of a target, and checks the calls in it.

use std::collections::BTreeMap;

use serde_json::Value;

use super::stories::Wish;
use crate::target::{ACTIONS, whole_lines};

/// An entry of the ledger about a call that changes something.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    event: String,
    task: String,
    attempt: u64,
    account: String,
    pid: u64,
    /// The time, in nanoseconds.
    at: u64,
    may_have_applied: bool,
}

/// A call: its place in the ledger from its start to the last sign of life.
#[derive(Clone, Debug)]
pub(super) struct Call {
    task: String,
    attempt: u64,
    account: String,
    pid: u64,
    first: usize,
    last: usize,
    /// When it changed the target, in nanoseconds.
    applied: Option<u64>,
    may_have_applied: bool,
}

impl Call {
    /// When it changed the target, if it did so for this task.
    pub(super) fn applied_for(&self, task: &str) -> Option<u64> {
        self.applied.filter(|_| self.task == task)
    }
}

/// The entries about changes, in order.
pub(super) fn entries(ledger: &str) -> Vec<Entry> {
    let changes =
        whole_lines(ledger).filter(|line| line["method"].as_str().is_some_and(|m| ACTIONS.contains(&m)));
    let entry = |line: Value| {
        let text = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
        let number = |name: &str| line[name].as_u64().unwrap_or_default();
        Entry {
            event: text("event"),
            task: text("task"),
            attempt: number("attempt"),
            account: text("account"),
            pid: number("pid"),
            at: number("at"),
            may_have_applied: line["may_have_applied"] == true,
        }
    };
    changes.map(entry).collect()
}

/// The calls, in the order of their start. Two nodes may make calls with the same task and number: the process tells them apart.
pub(super) fn calls(entries: &[Entry]) -> Vec<Call> {
    let mut calls: Vec<Call> = Vec::new();
    for (place, entry) in entries.iter().enumerate() {
        if entry.event == "start" {
            calls.push(Call {
                task: entry.task.clone(),
                attempt: entry.attempt,
                account: entry.account.clone(),
                pid: entry.pid,
                first: place,
                last: place,
                applied: None,
                may_have_applied: entry.may_have_applied,
            });
            continue;
        }
        let is_same = |call: &&mut Call| {
            (&call.task, call.attempt, call.pid) == (&entry.task, entry.attempt, entry.pid)
        };
        if let Some(call) = calls.iter_mut().rev().find(is_same) {
            call.last = place;
            if entry.event == "applied" {
                call.applied = Some(entry.at);
            }
        }
    }
    calls
}

/// What is wrong with the calls of the tasks of one app, which `wishes` has in the order of their creation.
pub(super) fn violations(calls: &[Call], wishes: &[&Wish]) -> Vec<String> {
    let mut wrong = overlaps(calls);
    let mut before: BTreeMap<&str, (usize, &Wish)> = BTreeMap::new();
    for wish in wishes {
        let own: Vec<&Call> = calls.iter().filter(|call| call.task == wish.id).collect();
        let applied: Vec<&&Call> = own.iter().filter(|call| call.applied.is_some()).collect();
        // A target does not show a password, so a reset may be repeated once its effect is unknown. The target is told.
        let is_told =
            wish.action == "reset_password" && applied.iter().skip(1).all(|call| call.may_have_applied);
        if applied.is_empty() || applied.len() > 1 && !is_told {
            wrong.push(format!("a task is applied once: {wish}: applied {} times", applied.len()));
        }
        if let (Some(first), Some((last, other))) = (own.first(), before.get(wish.account.as_str()))
            && first.first < *last
        {
            wrong.push(format!("calls keep the order of an account: {wish} began before {other} was over"));
        }
        if let Some(last) = own.iter().map(|call| call.last).max() {
            before.insert(&wish.account, (last, wish));
        }
    }
    wrong
}

/// Calls of one account that were under way at the same time.
fn overlaps(calls: &[Call]) -> Vec<String> {
    let mut wrong = Vec::new();
    for (number, call) in calls.iter().enumerate() {
        let later = calls[number + 1..].iter().filter(|other| other.account == call.account);
        for other in later.filter(|other| other.first < call.last) {
            let of =
                |call: &Call| format!("attempt {} of {} in process {}", call.attempt, call.task, call.pid);
            wrong.push(format!(
                "calls of one account never overlap: {}: {} was under way when {} began",
                call.account,
                of(call),
                of(other)
            ));
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ledger(entries: &[(&str, &str, u64, u64)]) -> String {
        let line = |(event, task, attempt, pid): &(&str, &str, u64, u64)| {
            let line = json!({"event": event, "method": "update_account", "task": task, "attempt": attempt,
                "account": "ann", "pid": pid, "at": 1});
            format!("{line}\n")
        };
        entries.iter().map(line).collect()
    }

    fn found(entries_of: &[(&str, &str, u64, u64)]) -> usize {
        overlaps(&calls(&entries(&ledger(entries_of)))).len()
    }

    #[test]
    fn two_processes_that_call_at_the_same_time_are_found_even_with_the_same_number() {
        assert_eq!(
            found(&[("start", "t", 1, 7), ("start", "t", 1, 8), ("applied", "t", 1, 8), ("end", "t", 1, 7)]),
            1
        );
        assert_eq!(found(&[("start", "t", 1, 7), ("start", "u", 1, 7), ("applied", "t", 1, 7)]), 1);
    }

    #[test]
    fn calls_one_after_the_other_are_right_and_so_is_one_that_never_shows_again() {
        assert_eq!(
            found(&[("start", "t", 1, 7), ("end", "t", 1, 7), ("start", "t", 2, 8), ("end", "t", 2, 8)]),
            0
        );
        assert_eq!(found(&[("start", "t", 1, 7), ("start", "t", 2, 8), ("applied", "t", 2, 8)]), 0);
    }
}
