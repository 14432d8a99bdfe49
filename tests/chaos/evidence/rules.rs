//! Rules that must hold for every task once everything has settled.

use std::collections::{BTreeMap, BTreeSet};

use bridgehead::sandbox::Report;
use serde_json::Value;

use super::ledger::Call;
use super::people::Wish;
use super::{Evidence, Violation};

/// Phrases in a failure's message that say it is unknown whether the target made the change.
const DOUBT: [&str; 3] = ["unknown whether", "could not be read back", "may have"];

/// Checks every rule about tasks against the evidence.
pub(crate) fn tasks(evidence: &Evidence<'_>) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut complain = |rule, task: Option<&str>, what: String| {
        violations.push(Violation { rule, task: task.map(str::to_owned), what });
    };
    let mut reported = BTreeMap::new();
    for wish in evidence.wishes {
        let reports = evidence.sandbox.reports(&wish.id);
        let effective: Vec<&Report> = reports.iter().filter(|report| report.took_effect()).collect();
        match effective.as_slice() {
            [] => complain("a task is never lost", Some(&wish.id), "nothing was ever reported".into()),
            [report] => {
                // Iden may have received a report before and forgotten it: what counts is the order in which reports were sent.
                let told = reports.iter().map(|report| report.sequence).min().unwrap_or(report.sequence);
                let forgotten =
                    reports.iter().any(|report| report.handled.is_none() && report.status == Some(200));
                let sequence = if forgotten { told } else { report.sequence };
                reported.insert(wish.id.as_str(), Report { sequence, ..(*report).clone() });
            }
            many => {
                complain("a task ends once", Some(&wish.id), format!("{} reports took effect", many.len()));
            }
        }
        // A connector's additions to a result may be secrets, so they are not kept for a report that must be repeated because Iden forgot
        // the first. A lost journal does not know of a report that was not accepted.
        let bodies: BTreeSet<String> = reports
            .iter()
            .filter(|report| !report.body.is_null())
            .map(|report| {
                let mut body = report.body.clone();
                if let Some(result) = body.get_mut("result").and_then(Value::as_object_mut) {
                    result.retain(|name, _| name == "account_id");
                    if result.is_empty() {
                        body["result"] = Value::Null;
                    }
                }
                if body["result"].is_null()
                    && let Some(fields) = body.as_object_mut()
                {
                    fields.remove("result");
                }
                body.to_string()
            })
            .collect();
        if bodies.len() > 1 && !evidence.state_was_damaged {
            complain("a report never changes", Some(&wish.id), format!("{bodies:?}"));
        }
    }
    let calls = evidence.ledger.calls();
    for wish in evidence.wishes {
        let Some(report) = reported.get(wish.id.as_str()) else { continue };
        // Tasks of one account wait for the report of the previous task, so the state of the target at the first call of the next task is
        // the result of this one. Only the target's clock counts: others may differ.
        let later = evidence.wishes.iter().skip_while(|other| other.id != wish.id).skip(1);
        let later: BTreeSet<&str> =
            later.filter(|other| other.username == wish.username).map(|other| other.id.as_str()).collect();
        // After a lost journal, a task may be executed again, after later ones.
        let over = calls.iter().filter(|call| call.task == wish.id).map(Call::last_seen).max();
        let over = over.filter(|_| evidence.state_was_damaged).unwrap_or(i128::MIN);
        let next = calls
            .iter()
            .filter(|call| later.contains(call.task.as_str()) && call.received > over)
            .map(|call| call.received)
            .min();
        for (rule, what) in outcome(evidence, wish, report, next.unwrap_or(i128::MAX)) {
            complain(rule, Some(&wish.id), what);
        }
    }
    for (rule, task, what) in order(evidence, &reported) {
        complain(rule, Some(&task), what);
    }
    for (task, what) in overlaps(evidence) {
        complain("calls of one account never overlap", Some(&task), what);
    }
    violations
}

/// Checks one task: its report must match what was done, at this time.
fn outcome(evidence: &Evidence<'_>, wish: &Wish, report: &Report, at: i128) -> Vec<(&'static str, String)> {
    let mut wrong = Vec::new();
    let applied = evidence.ledger.applied_by(&wish.id).count();
    let is_create = wish.action == "create_account";
    if is_create && applied > 1 {
        wrong.push(("a create is applied once", format!("it was applied {applied} times")));
    }
    if report.body["status"] == "completed" {
        if is_create && applied == 0 {
            wrong.push(("a completed create was applied", "it never was".into()));
        }
        if wish.action == "delete_account" && applied == 0 {
            wrong.push(("a completed deletion was applied", "nobody was deleted".into()));
        }
        if let Some(why) = missing(evidence, wish, report, at) {
            wrong.push(("completed means that it is so", why));
        }
    } else {
        let message = report.body["error"]["message"].as_str().unwrap_or_default();
        let is_in_doubt = DOUBT.iter().any(|doubt| message.contains(doubt));
        // An old copy of the whole state has no record of the attempt that created or removed the account.
        let code = &report.body["error"]["code"];
        let is_forgotten = evidence.state_was_replaced
            && (is_create && code == "ACCOUNT_ALREADY_EXISTS"
                || wish.action == "delete_account" && code == "ACCOUNT_NOT_FOUND");
        if applied > 0 && !is_in_doubt && !is_forgotten {
            wrong.push(("failed means not applied, or says that it is not known", message.to_owned()));
        }
    }
    wrong
}

/// How the target differs from what a completed task reported, if it does.
fn missing(evidence: &Evidence<'_>, wish: &Wish, report: &Report, at: i128) -> Option<String> {
    let found = evidence.ledger.account_at(&wish.username, at);
    let account = match (wish.action, found.as_slice()) {
        ("delete_account", []) => return None,
        ("delete_account", _) => return Some("it is still there".into()),
        (_, [account]) => account,
        (_, many) => return Some(format!("{} accounts have its name", many.len())),
    };
    let id = account["id"].as_str().unwrap_or_default();
    match wish.action {
        "create_account" if report.body["result"]["account_id"] != id => {
            return Some(format!("its id is {id}, and not what was reported"));
        }
        "suspend_account" if account["status"] != "suspended" => return Some(format!("it is {account}")),
        "unsuspend_account" if account["status"] != "active" => return Some(format!("it is {account}")),
        "update_account" if account["last_name"] != wish.changes["last_name"] => {
            return Some(format!("it is {account}"));
        }
        "reset_password" if evidence.ledger.applied_by(&wish.id).next().is_none() => {
            return Some("the password was never set".into());
        }
        _ => {}
    }
    if let Some(password) = &wish.password
        && evidence.ledger.password_at(id, at) != Some(fingerprint(password))
    {
        return Some("its password is another one".into());
    }
    let teams = &wish.memberships["team"];
    (!teams.is_null() && *teams != account["memberships"]["team"]).then(|| format!("its teams: {account}"))
}

/// Checks that the tasks of one account are executed and reported in the order of their creation.
fn order(evidence: &Evidence<'_>, reported: &BTreeMap<&str, Report>) -> Vec<(&'static str, String, String)> {
    let mut wrong = Vec::new();
    let mut of_account: BTreeMap<&str, Vec<&Wish>> = BTreeMap::new();
    for wish in evidence.wishes {
        of_account.entry(&wish.username).or_default().push(wish);
    }
    let calls = evidence.ledger.calls();
    for (account, wishes) in of_account {
        let (mut last_report, mut last_call) = ((0, ""), (0, ""));
        for wish in wishes {
            if let Some(report) = reported.get(wish.id.as_str()) {
                if report.sequence < last_report.0 {
                    let what = format!("{} of {account} was reported before {}", wish.id, last_report.1);
                    wrong.push(("reports keep the order of an account", wish.id.clone(), what));
                }
                last_report = (report.sequence, &wish.id);
            }
            let of_task: Vec<_> = calls.iter().filter(|call| call.task == wish.id).collect();
            if let Some(first) = of_task.iter().map(|call| call.received).min()
                && first < last_call.0
            {
                let what = format!("{} of {account} began before {} was over", wish.id, last_call.1);
                wrong.push(("calls keep the order of an account", wish.id.clone(), what));
            }
            // A lost journal has no record that a task was done, and a password cannot be verified: that task is executed again, after
            // tasks that were done since.
            let seen = of_task.iter().map(|call| call.last_seen());
            let over = if evidence.state_was_damaged { seen.min() } else { seen.max() };
            if let Some(last) = over {
                last_call = (last, &wish.id);
            }
        }
    }
    wrong
}

/// Finds overlapping calls. A call is in progress from its arrival until its last event.
fn overlaps(evidence: &Evidence<'_>) -> Vec<(String, String)> {
    let mut of_account: BTreeMap<String, Vec<Call>> = BTreeMap::new();
    for call in evidence.ledger.calls() {
        of_account.entry(call.account.clone()).or_default().push(call);
    }
    let mut wrong = Vec::new();
    for (account, calls) in of_account {
        for (n, call) in calls.iter().enumerate() {
            if let Some(next) = calls[n + 1..].iter().find(|next| next.received < call.last_seen()) {
                let by = (call.last_seen() - next.received) / 1_000_000;
                let what = format!(
                    "a call of {} for {account} was still under way {by} ms after one of {} began",
                    call.task, next.task
                );
                wrong.push((call.task.clone(), what));
            }
        }
    }
    wrong
}

/// The same hash that the target writes: FNV-1a.
fn fingerprint(password: &str) -> String {
    let fold = |value: u64, byte: u8| (value ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    format!("{:016x}", password.bytes().fold(0xcbf2_9ce4_8422_2325, fold))
}

/// Whether two records agree, ignoring fields that only Iden has.
pub(crate) fn same(theirs: &Value, truth: &Value) -> bool {
    let fields = truth.as_object().into_iter().flatten();
    fields.filter(|(_, value)| !value.is_null()).all(|(name, value)| {
        let found = &theirs[name.as_str()];
        found == value || (is_empty(value) && is_empty(found))
    })
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(fields) => fields.values().all(is_empty),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}
