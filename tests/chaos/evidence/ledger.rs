//! The target's ledger: the calls it received, the changes it made, and its contents at any time.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

/// One line of the ledger.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    /// Nanoseconds since 1970, taken while the ledger was locked.
    pub(crate) at: i128,
    pub(crate) raw: Value,
}

impl Event {
    fn text(&self, name: &str) -> Option<&str> {
        self.raw.get(name).and_then(Value::as_str)
    }

    pub(crate) fn kind(&self) -> &str {
        self.text("kind").unwrap_or_default()
    }

    pub(crate) fn task(&self) -> Option<&str> {
        self.text("task")
    }

    pub(crate) fn call(&self) -> Option<&str> {
        self.text("call")
    }

    /// The injected fault.
    pub(crate) fn fault(&self) -> Option<&str> {
        self.text("fault")
    }

    /// The account it changed.
    pub(crate) fn id(&self) -> Option<&str> {
        self.text("id")
    }

    /// Whether it changed the account with this name.
    pub(crate) fn is_about(&self, username: &str) -> bool {
        self.kind() == "applied" && self.raw["record"]["username"] == username
    }
}

/// A call that changes the target, with its times.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) task: String,
    pub(crate) account: String,
    pub(crate) received: i128,
    pub(crate) applied: Option<i128>,
    pub(crate) answered: Option<i128>,
}

impl Call {
    /// The time of its last event.
    pub(crate) fn last_seen(&self) -> i128 {
        self.answered.max(self.applied).unwrap_or(self.received)
    }
}

/// The whole ledger.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) events: Vec<Event>,
}

impl Ledger {
    pub(crate) fn read(folder: &Path) -> Self {
        let text = std::fs::read_to_string(folder.join("ledger.jsonl")).unwrap_or_default();
        let events = text.lines().map(|line| {
            let raw: Value = serde_json::from_str(line).expect("a line of the target's ledger is JSON");
            Event { at: raw["at"].as_i64().expect("a time").into(), raw }
        });
        Self { events: events.collect() }
    }

    pub(crate) fn of_kind<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Event> + 'a {
        self.events.iter().filter(move |event| event.kind() == kind)
    }

    /// The changes that a task made.
    pub(crate) fn applied_by<'a>(&'a self, task: &'a str) -> impl Iterator<Item = &'a Event> + 'a {
        self.of_kind("applied").filter(move |event| event.task() == Some(task))
    }

    /// The records of a type at the end; not for accounts.
    pub(crate) fn entities(&self, slug: &str) -> BTreeMap<String, Value> {
        let of_slug = self.of_kind("entity").filter(|event| event.raw["slug"] == slug);
        of_slug.map(|event| (event.raw["record"]["id"].to_string(), event.raw["record"].clone())).collect()
    }

    /// The accounts at a point in time.
    pub(crate) fn accounts_at(&self, moment: i128) -> BTreeMap<String, Value> {
        let mut accounts = BTreeMap::new();
        for event in self.of_kind("applied").take_while(|event| event.at <= moment) {
            let id = event.id().expect("an id").to_owned();
            match &event.raw["record"] {
                Value::Null => accounts.remove(&id),
                record => accounts.insert(id, record.clone()),
            };
        }
        accounts
    }

    /// Whether a listing of a type falsely claimed to be complete between two points in time.
    pub(crate) fn listed_less(&self, slug: &str, from: i128, to: i128) -> bool {
        let listings = self.of_kind("listing").filter(|event| (from..=to).contains(&event.at));
        let mut lies = listings.filter(|event| matches!(event.fault(), Some("shrunk" | "empty")));
        lies.any(|event| event.text("slug") == Some(slug))
    }

    /// Whether a listing between two points in time misrepresented accounts: as inactive, or without their groups.
    pub(crate) fn listed_otherwise(&self, from: i128, to: i128) -> bool {
        let mut listings = self.of_kind("listing").filter(|event| (from..=to).contains(&event.at));
        listings.any(|event| matches!(event.fault(), Some("asleep" | "alone")))
    }

    /// The states that an account was changed to between two points in time, in order; without removals.
    pub(crate) fn states_of(&self, id: &str, from: i128, to: i128) -> impl Iterator<Item = &Value> {
        let changes = self.of_kind("applied").filter(move |event| (from..=to).contains(&event.at));
        let changes = changes.filter(move |event| event.id() == Some(id));
        changes.map(|event| &event.raw["record"]).filter(|record| !record.is_null())
    }

    /// The accounts with a name at a point in time: at most one, unless something was done twice.
    pub(crate) fn account_at(&self, username: &str, moment: i128) -> Vec<Value> {
        let all = self.accounts_at(moment);
        all.into_values().filter(|account| account["username"] == username).collect()
    }

    /// The fingerprint of the last password set for an account by that time.
    pub(crate) fn password_at(&self, id: &str, moment: i128) -> Option<String> {
        self.of_kind("applied")
            .take_while(|event| event.at <= moment)
            .filter(|event| event.id() == Some(id))
            .filter_map(|event| event.raw["password"].as_str())
            .last()
            .map(str::to_owned)
    }

    /// Every call that changes the target, in the order of arrival.
    pub(crate) fn calls(&self) -> Vec<Call> {
        let mut calls: Vec<(String, Call)> = Vec::new();
        let mut index: BTreeMap<String, usize> = BTreeMap::new();
        for event in &self.events {
            let Some(name) = event.call() else { continue };
            match event.kind() {
                "received" => {
                    index.insert(name.to_owned(), calls.len());
                    let call = Call {
                        task: event.task().unwrap_or_default().to_owned(),
                        account: event.text("account").unwrap_or_default().to_owned(),
                        received: event.at,
                        applied: None,
                        answered: None,
                    };
                    calls.push((name.to_owned(), call));
                }
                kind => {
                    if let Some((_, call)) = index.get(name).and_then(|index| calls.get_mut(*index)) {
                        match kind {
                            "applied" => call.applied = Some(event.at),
                            _ => call.answered = Some(event.at),
                        }
                    }
                }
            }
        }
        calls.into_iter().map(|(_, call)| call).collect()
    }
}
