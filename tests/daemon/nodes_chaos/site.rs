//! One app of the run: its target, its tasks, and its records in Iden.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};
use uuid::Uuid;

use super::evidence::{self, Call};
use super::stories::{PEOPLE, TIMEOUT, WITHIN, Wish, person};
use crate::support::World;
use crate::target::whole_lines;

pub(super) struct Site {
    pub(super) name: &'static str,
    pub(super) app: Uuid,
    /// Records that Iden was seen to have removed, and when, in nanoseconds.
    pub(super) removed: BTreeMap<String, u64>,
}

impl Site {
    /// Makes the target, with the rules for the calls of these tasks.
    pub(super) fn new(world: &World, name: &'static str, wishes: &[&Wish]) -> Self {
        let app = Uuid::new_v4();
        world.sandbox.add_app(app, name);
        let mut accounts = String::new();
        for number in 0..PEOPLE {
            let name = person(number);
            let email = format!("{name}@example.org");
            let account = json!({"id": name, "username": name, "email": email, "last_name": "Person", "status": "active"});
            // Writing to a string cannot fail.
            writeln!(accounts, "{account}").ok();
        }
        world.write(&format!("target-{name}/accounts.jsonl"), &accounts);
        let rules: Vec<Value> = wishes.iter().filter_map(|wish| wish.rule()).collect();
        world.write(&format!("target-{name}/rules.json"), &Value::from(rules).to_string());
        Self { name, app, removed: BTreeMap::new() }
    }

    /// Its part of the configuration.
    pub(super) fn configuration(&self, world: &World) -> String {
        let (name, app) = (self.name, self.app);
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/daemon/connectors/target.py");
        let folder = world.path(format!("target-{name}"));
        let folder = folder.display();
        // The guard holds nothing, so that it hides no wrong removal.
        format!(
            "[apps.{name}]\napp_id = \"{app}\"\nconnector = \"exec\"\n\
             [apps.{name}.sync]\nevery = \"3s\"\nguard = {{ max_removal_percent = 100, max_deactivation_percent = 100 }}\n\
             [apps.{name}.tasks]\npoll_interval = \"100ms\"\ntimeout = \"{TIMEOUT}s\"\ngive_up_after = \"120s\"\nconcurrency = 16\n\
             [apps.{name}.target]\ncommand = [\"python3\", \"-S\", {script:?}]\nmax_in_flight = 64\nhang_timeout = \"60s\"\n\
             settings = {{ folder = '{folder}', within = {WITHIN} }}\n"
        )
    }

    pub(super) fn ledger(&self, world: &World) -> String {
        std::fs::read_to_string(world.path(format!("target-{}/ledger.jsonl", self.name))).unwrap_or_default()
    }

    /// Notes which records Iden has removed.
    pub(super) fn look_for_removals(&mut self, world: &World) {
        for record in world.sandbox.records(self.app, "account") {
            if record["active"] == false
                && let Some(id) = record["id"].as_str()
            {
                self.removed.entry(id.to_owned()).or_insert_with(now);
            }
        }
    }

    /// The current accounts of the target.
    pub(super) fn accounts(&self, world: &World) -> BTreeMap<String, Value> {
        let mut accounts = BTreeMap::new();
        let initial = world.read(&format!("target-{}/accounts.jsonl", self.name));
        let ledger = self.ledger(world);
        let changed = whole_lines(&ledger).filter_map(|line| line["records"].as_array().cloned()).flatten();
        for record in whole_lines(&initial).chain(changed) {
            let id = record["id"].as_str().unwrap_or_default().to_owned();
            if record.get("deleted").is_some() {
                accounts.remove(&id);
            } else {
                accounts.insert(id, record);
            }
        }
        accounts
    }

    /// What is wrong with its tasks, its accounts and its records; `is_synced` says whether a last sync has completed.
    pub(super) fn violations(&self, world: &World, wishes: &[&Wish], is_synced: bool) -> Vec<String> {
        let calls = evidence::calls(&evidence::entries(&self.ledger(world)));
        let mut wrong = evidence::violations(&calls, wishes);
        wrong.extend(self.wrong_reports(world, wishes));
        let accounts = self.accounts(world);
        wrong.extend(wrong_accounts(&accounts, wishes));
        wrong.extend(self.wrong_removals(&accounts, &calls, wishes));
        if is_synced {
            wrong.extend(self.wrong_records(world, &accounts));
        } else {
            wrong.push("a sync completes in the end: none did".to_owned());
        }
        wrong.into_iter().map(|text| format!("{text} (app {})", self.name)).collect()
    }

    fn wrong_reports(&self, world: &World, wishes: &[&Wish]) -> Vec<String> {
        let tasks = world.sandbox.tasks(self.app);
        let mut wrong = Vec::new();
        for wish in wishes {
            let task = tasks.iter().find(|task| task["id"] == *wish.id).cloned().unwrap_or_default();
            if task["status"] != "completed" {
                wrong.push(format!("a task is never lost: {wish}: {} {}", task["status"], task["error"]));
            }
            let reports = world.sandbox.reports(&wish.id);
            let effective = reports.iter().filter(|report| report.took_effect()).count();
            if effective != 1 {
                wrong.push(format!("a task ends once: {wish}: {effective} reports took effect"));
            }
            let other = reports.iter().find(|report| report.body["status"] == "failed");
            if let Some(report) = other {
                wrong.push(format!("a report never changes: {wish}: {}", report.body));
            }
        }
        wrong
    }

    fn wrong_removals(
        &self,
        accounts: &BTreeMap<String, Value>,
        calls: &[Call],
        wishes: &[&Wish],
    ) -> Vec<String> {
        let mut wrong = Vec::new();
        for (id, seen) in &self.removed {
            // No account is created a second time.
            let deletes = |wish: &&&Wish| wish.action == "delete_account" && wish.account == *id;
            let deletion = wishes.iter().find(deletes);
            let at = deletion.and_then(|wish| calls.iter().find_map(|call| call.applied_for(&wish.id)));
            if accounts.contains_key(id) || at.is_none_or(|at| at > *seen) {
                wrong.push(format!("a sync removes nobody who is there: {id}"));
            }
        }
        wrong
    }

    fn wrong_records(&self, world: &World, accounts: &BTreeMap<String, Value>) -> Vec<String> {
        let records = world.sandbox.records(self.app, "account");
        let active = records.iter().filter(|record| record["active"] == true);
        let shown: BTreeMap<&str, &Value> =
            active.filter_map(|record| Some((record["id"].as_str()?, record))).collect();
        let mut wrong = Vec::new();
        for (id, account) in accounts {
            match shown.get(id.as_str()) {
                None => wrong.push(format!("Iden knows everybody in the end: {id} is missing")),
                Some(record) if record["status"] != account["status"] => {
                    wrong.push(format!("Iden's records are right in the end: {record}, and not {account}"));
                }
                Some(_) => {}
            }
        }
        let more = shown.keys().filter(|id| !accounts.contains_key(**id));
        wrong.extend(more.map(|id| format!("Iden's records are right in the end: {id} is gone")));
        wrong
    }
}

/// How the accounts differ from what the tasks, one after the other, make of them.
fn wrong_accounts(accounts: &BTreeMap<String, Value>, wishes: &[&Wish]) -> Vec<String> {
    let mut wanted: BTreeMap<&str, Option<Value>> = BTreeMap::new();
    for wish in wishes {
        let known = wanted.entry(&wish.account).or_insert_with(|| Some(json!({"status": "active"})));
        match (wish.action, known.as_mut()) {
            ("delete_account", _) => *known = None,
            ("update_account", Some(account)) => account["last_name"] = wish.value.clone().into(),
            ("suspend_account", Some(account)) => account["status"] = "suspended".into(),
            ("unsuspend_account", Some(account)) => account["status"] = "active".into(),
            _ => {}
        }
    }
    let mut wrong = Vec::new();
    for (name, wanted) in wanted {
        let found = accounts.get(name);
        let is_right = match (&wanted, found) {
            (None, None) => true,
            (Some(wanted), Some(found)) => wanted
                .as_object()
                .is_some_and(|fields| fields.iter().all(|(field, value)| found[field.as_str()] == *value)),
            _ => false,
        };
        if !is_right {
            wrong.push(format!("completed means that it is so: {name} is {found:?}, and not {wanted:?}"));
        }
    }
    wrong
}

/// The time in nanoseconds, by the clock that the target uses.
fn now() -> u64 {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
