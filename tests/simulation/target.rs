//! A target system with a ledger, and all its faults: `tests/chaos/target.py`, without the process.
//!
//! That file explains the keys of a behavior and the kinds of faults.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bridgehead::sandbox::Sandbox;
use serde_json::{Value, json};

use crate::evidence::ledger::{Event, Ledger};

/// The target.
pub(crate) struct Target {
    state: Mutex<State>,
    sandbox: Arc<Sandbox>,
}

struct State {
    ledger: Ledger,
    accounts: BTreeMap<String, Value>,
    created: BTreeMap<String, i128>,
    entities: BTreeMap<String, BTreeMap<String, Value>>,
    behaviour: Value,
    made: usize,
    /// The fault that applies to all accounts of a listing.
    mood: Option<String>,
    calls: u64,
}

impl Target {
    pub(crate) fn new(sandbox: Arc<Sandbox>, lines: Vec<Value>) -> Self {
        let mut state = State {
            ledger: Ledger::default(),
            accounts: BTreeMap::new(),
            created: BTreeMap::new(),
            entities: BTreeMap::new(),
            behaviour: json!({}),
            made: 0,
            mood: None,
            calls: 0,
        };
        for line in lines {
            state.take(0, line);
        }
        Self { state: Mutex::new(state), sandbox }
    }

    fn now(&self) -> i128 {
        self.sandbox.now().as_nanosecond()
    }

    fn write(&self, line: Value) {
        let now = self.now();
        self.state.lock().unwrap().take(now, line);
    }

    pub(crate) fn behave(&self, behaviour: Value) {
        self.state.lock().unwrap().behaviour = behaviour;
    }

    pub(crate) fn behaviour(&self) -> Value {
        self.state.lock().unwrap().behaviour.clone()
    }

    /// All events so far.
    pub(crate) fn ledger(&self) -> Ledger {
        Ledger { events: self.state.lock().unwrap().ledger.events.clone() }
    }

    /// A new number for a call that changes the target.
    pub(crate) fn number(&self) -> String {
        let mut state = self.state.lock().unwrap();
        state.calls += 1;
        format!("c-{}", state.calls)
    }

    pub(crate) fn received(
        &self,
        call: &str,
        task: &str,
        attempt: u32,
        action: &str,
        account: &str,
        fault: Option<&str>,
    ) {
        self.write(json!({
            "kind": "received", "call": call, "task": task, "attempt": attempt, "action": action, "fault": fault,
            "account": account,
        }));
    }

    pub(crate) fn answered(&self, call: &str, how: &str) {
        self.write(json!({"kind": "answered", "call": call, "how": how}));
    }

    /// The account that these fields identify.
    pub(crate) fn find(&self, account: &Value) -> Option<Value> {
        self.state.lock().unwrap().find(account)
    }

    /// The account as a look-up shows it: a newly created account may not be found yet.
    pub(crate) fn look_up(&self, account: &Value) -> Option<Value> {
        let now = self.now();
        let state = self.state.lock().unwrap();
        let found = state.find(account)?;
        let id = found["id"].as_str().unwrap_or_default();
        let part = f64::from(id.bytes().map(u32::from).sum::<u32>() % 100) / 100.0;
        let lag = Duration::from_secs_f64(state.behaviour["lag"].as_f64().unwrap_or_default() * part);
        let since = state.created.get(id).copied().unwrap_or_default();
        (now >= since + i128::try_from(lag.as_nanos()).unwrap_or_default()).then_some(found)
    }

    /// Makes one change. Errors consist of a code and a message.
    pub(crate) fn apply(
        &self,
        call: &str,
        task: &str,
        attempt: u32,
        action: &str,
        payload: &Value,
        password: Option<&str>,
    ) -> Result<Value, (&'static str, String)> {
        let now = self.now();
        let mut state = self.state.lock().unwrap();
        let account = &payload["account"];
        let mut result = json!({});
        let found = if action == "create_account" {
            state.made += 1;
            let mut made = json!({"id": format!("n-{:05}", state.made), "status": "active"});
            for name in ["username", "email", "first_name", "last_name", "display_name"] {
                if let Some(value) = account.get(name).filter(|value| !value.is_null()) {
                    made[name] = value.clone();
                }
            }
            result["account_id"] = made["id"].clone();
            made
        } else {
            state
                .find(account)
                .ok_or_else(|| ("ACCOUNT_NOT_FOUND", format!("User {} not found in HR", label(account))))?
        };
        let made_up = format!("temporary-{call}-5f2c9");
        let password = match password {
            None if action == "reset_password" => {
                result["temporary_password"] = json!(made_up);
                Some(made_up.as_str())
            }
            given => given,
        };
        let id = found["id"].clone();
        let record = changed(action, payload, found);
        state.take(
            now,
            json!({
                "kind": "applied", "call": call, "task": task, "attempt": attempt, "action": action, "id": id,
                "record": record, "password": password.map(fingerprint),
            }),
        );
        Ok(result)
    }

    /// The records of a type after a cursor as a page, the next cursor, and the injected fault.
    pub(crate) fn page(
        &self,
        slug: &str,
        cursor: &str,
        kind: Option<&str>,
    ) -> (Vec<Value>, Option<String>, Option<String>) {
        let now = self.now();
        let mut state = self.state.lock().unwrap();
        let after = cursor.trim_end_matches('!');
        let all = if slug == "account" {
            state.accounts.clone()
        } else {
            state.entities.get(slug).cloned().unwrap_or_default()
        };
        let rest: Vec<Value> =
            all.into_iter().filter(|(id, _)| id.as_str() > after).map(|(_, record)| record).collect();
        let mut next =
            (rest.len() > PAGE).then(|| rest[PAGE - 1]["id"].as_str().unwrap_or_default().to_owned());
        let mut page: Vec<Value> = rest.into_iter().take(PAGE).collect();
        let mut kind = kind.map(str::to_owned);
        if slug == "account" {
            // Applies to the whole of a listing or not at all: a part cannot be distinguished from an accurate listing.
            let of_all = kind.take_if(|kind| matches!(kind.as_str(), "asleep" | "alone"));
            if cursor.is_empty() {
                state.mood = of_all;
            }
            kind = state.mood.clone().or(kind);
        }
        match kind.as_deref() {
            Some("repeat") if !cursor.is_empty() => next = Some(cursor.to_owned()),
            // On the first page, so that most records are missing: fewer could not be distinguished from an accurate listing.
            Some("shrunk") if slug == "account" && cursor.is_empty() => next = None,
            Some("shrunk") if slug == "team" => page.truncate(page.len() / 2),
            Some("asleep") if slug == "account" => {
                for record in &mut page {
                    record["status"] = json!("inactive");
                }
            }
            Some("alone") if slug == "account" => {
                for record in &mut page {
                    record["memberships"] = json!({});
                    record["assignments"] = json!({});
                }
            }
            Some("empty") if slug != "seat" && cursor.is_empty() => (page, next) = (Vec::new(), None),
            Some("bad") if !page.is_empty() => {
                page.push(json!({"id": format!("bad-{}", now % 1000), "email": 7}));
            }
            Some("cut" | "short") => {}
            _ => kind = None,
        }
        if let Some(kind) = &kind {
            state.take(now, json!({"kind": "listing", "fault": kind, "slug": slug, "cursor": cursor}));
        }
        (page, next, kind)
    }
}

/// Small, so that a listing has several pages.
pub(crate) const PAGE: usize = 10;

impl State {
    fn take(&mut self, at: i128, line: Value) {
        let id = line["id"].as_str().unwrap_or_default().to_owned();
        match line["kind"].as_str() {
            Some("entity") => {
                let (slug, record) = (line["slug"].as_str().unwrap_or_default(), &line["record"]);
                let of = self.entities.entry(slug.to_owned()).or_default();
                of.insert(record["id"].as_str().unwrap_or_default().to_owned(), record.clone());
            }
            Some("applied") if line["record"].is_null() => {
                self.accounts.remove(&id);
            }
            Some("applied") if self.accounts.insert(id.clone(), line["record"].clone()).is_none() => {
                self.created.insert(id, at);
            }
            _ => {}
        }
        self.ledger.events.push(Event { at, raw: line });
    }

    fn find(&self, account: &Value) -> Option<Value> {
        let name = ["id", "username", "email"].into_iter().find(|name| account[*name].is_string())?;
        self.accounts.values().find(|known| known[name] == account[name]).cloned()
    }
}

/// The account as the task changes it; null if it is deleted.
fn changed(action: &str, payload: &Value, mut record: Value) -> Value {
    match action {
        "delete_account" => return Value::Null,
        "suspend_account" => record["status"] = json!("suspended"),
        "unsuspend_account" => record["status"] = json!("active"),
        _ => {}
    }
    for (name, value) in payload["changes"].as_object().into_iter().flatten() {
        if !name.contains("password") {
            record[name] = value.clone();
        }
    }
    for (slug, refs) in payload["memberships"].as_object().into_iter().flatten() {
        let kind = if slug == "seat" { "assignments" } else { "memberships" };
        let ids = refs
            .as_array()
            .into_iter()
            .flatten()
            .map(|of| if of.is_object() { of["id"].clone() } else { of.clone() });
        if !record[kind].is_object() {
            record[kind] = json!({});
        }
        record[kind][slug] = ids.collect();
    }
    record
}

pub(crate) fn label(account: &Value) -> String {
    let name = ["id", "username", "email"].into_iter().find_map(|name| account[name].as_str());
    name.unwrap_or("somebody").to_owned()
}

/// FNV-1a: the ledger shows which password was set without containing it.
fn fingerprint(password: &str) -> String {
    let fold = |value: u64, byte: u8| (value ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    format!("{:016x}", password.bytes().fold(0xcbf2_9ce4_8422_2325, fold))
}
