//! A target on loopback: accounts, teams and seats in memory, asked in lines of JSON.
//!
//! A request is one line. So is an answer, but for a listing, which is a line for each record and one that ends it.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Bound;
use std::sync::{Arc, Mutex};

use bridgehead_sdk::{AccountRecord, AccountStatus, Memberships, Ref};
use serde_json::{Map, Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

use crate::defects::Defect;

/// The credential that may do everything.
pub(crate) const MASTER: &str = "master-token-41f7";
/// One that may read.
pub(crate) const READER: &str = "reader-token-41f7";

const PAGE: usize = 300;
pub(crate) const TEAMS: [&str; 2] = ["t1", "t2"];
pub(crate) const SEATS: [&str; 1] = ["s1"];

#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    serving: AbortHandle,
}

#[derive(Debug)]
struct Target {
    accounts: BTreeMap<String, AccountRecord>,
    created: usize,
    /// The page that was asked for last.
    asked: String,
    defect: Option<Defect>,
}

impl Server {
    pub(crate) async fn start(accounts: usize, defect: Option<Defect>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut target =
            Target { accounts: BTreeMap::new(), created: accounts, asked: String::new(), defect };
        for number in 0..accounts {
            let mut account = AccountRecord::new(format!("a{number:06}"));
            account.username = Some(format!("user-{number}"));
            account.email = Some(format!("user-{number}@example.org"));
            if number == 0 && defect == Some(Defect::AccountWithoutName) {
                (account.username, account.email) = (None, None);
            }
            if number == 0 && defect == Some(Defect::UnlistedTeam) {
                account.memberships.0.insert("team".into(), vec![Ref::new("t9")]);
            }
            target.accounts.insert(account.id.to_string(), account);
        }
        let target = Arc::new(Mutex::new(target));
        let serving = tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                tokio::spawn(serve(connection, Arc::clone(&target)));
            }
        });
        Self { address, serving: serving.abort_handle() }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(connection: TcpStream, target: Arc<Mutex<Target>>) {
    let (reader, mut writer) = connection.into_split();
    let mut lines = BufReader::new(reader).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let request: Value = serde_json::from_str(&line).unwrap();
        let answer = target.lock().unwrap().answer(&request);
        // Line by line, as a target that reads its table while it answers.
        for line in answer {
            if writer.write_all(format!("{line}\n").as_bytes()).await.is_err() {
                return;
            }
        }
    }
}

impl Target {
    fn has(&self, defect: Defect) -> bool {
        self.defect == Some(defect)
    }

    fn answer(&mut self, request: &Value) -> Vec<Value> {
        let op = request["op"].as_str().unwrap();
        let reads = matches!(op, "check" | "list" | "find");
        match request["token"].as_str() {
            Some(MASTER) => {}
            Some(READER) if reads => {}
            Some(READER) => return vec![json!({ "error": "forbidden" })],
            _ => return vec![json!({ "error": "credential" })],
        }
        if op == "list" {
            return self
                .list(request["type"].as_str().unwrap(), request["after"].as_str().unwrap_or_default());
        }
        let done = match op {
            "check" => Ok(json!({})),
            "find" => Ok(json!({ "account": self.find(request).map(|id| self.shown(&id)) })),
            _ => self.execute(op, request),
        };
        vec![done.unwrap_or_else(|error| json!({ "error": error }))]
    }

    fn shown(&self, id: &str) -> Value {
        serde_json::to_value(&self.accounts[id]).unwrap()
    }

    fn list(&mut self, of: &str, after: &str) -> Vec<Value> {
        let size = if self.has(Defect::PageWithoutBound) { usize::MAX } else { PAGE };
        // One more than fits says whether another page is behind it.
        let most = size.saturating_add(2);
        let entities = |ids: &[&str]| {
            let rest = ids.iter().filter(|id| **id > after);
            rest.map(|id| json!({ "id": id, "name": format!("The {id}") })).collect()
        };
        let mut page: Vec<Value> = match of {
            "team" => entities(&TEAMS),
            "seat" => entities(&SEATS),
            _ => {
                let rest = self.accounts.range::<str, _>((Bound::Excluded(after), Bound::Unbounded));
                let hides = self.has(Defect::ListHidesTheSuspended);
                let listed = rest.filter(|(_, one)| !hides || one.status != AccountStatus::Suspended);
                listed.take(most).map(|(id, _)| self.shown(id)).collect()
            }
        };
        let count = page.len();
        if count == PAGE && self.has(Defect::FullPageIsLost) {
            return vec![json!({ "next": null })];
        }
        let more = if self.has(Defect::LastOfManyIsLost) { count > PAGE + 1 } else { count > size };
        page.truncate(size);
        if !after.is_empty() && self.asked == after && self.has(Defect::PageIsAnotherTheSecondTime) {
            page.remove(0);
        }
        after.clone_into(&mut self.asked);
        let next = page.last().filter(|_| more).map(|last| last["id"].clone());
        let next =
            if after.is_empty() || !self.has(Defect::CursorRepeats) { next } else { Some(json!(after)) };
        page.push(json!({ "next": next }));
        page
    }

    fn find(&self, request: &Value) -> Option<String> {
        let (by, value) = (request["by"].as_str().unwrap(), request["value"].as_str().unwrap());
        let destructive = request["op"] == "delete_account";
        let by_pattern =
            self.has(Defect::LookUpByPattern) || (destructive && self.has(Defect::DeleteByPattern));
        let is = |held: &str| {
            if by_pattern && let Some(begin) = value.strip_suffix('*') {
                return held.starts_with(begin);
            }
            let exact = by == "id" || (by == "email" && self.has(Defect::EmailByCase));
            if exact { held == value } else { held.to_lowercase() == value.to_lowercase() }
        };
        let found = self.accounts.values().find(|account| match by {
            "id" => is(account.id.as_str()),
            "email" if self.has(Defect::EmailFindsNobody) && request["op"] == "find" => false,
            "email" => account.email.as_deref().is_some_and(is),
            _ => account.username.as_deref().is_some_and(is),
        });
        found.map(|account| account.id.to_string())
    }

    fn execute(&mut self, op: &str, request: &Value) -> Result<Value, String> {
        let wanted = Memberships::from_json("memberships", request["memberships"].clone()).unwrap();
        if op == "create_account" {
            let account = request["account"].as_object().unwrap();
            return self.create(account, wanted).map(|id| json!({ "id": id }));
        }
        let Some(id) = self.find(request) else {
            if op == "suspend_account" && self.has(Defect::SuspendingNobodySucceeds)
                || op == "delete_account" && self.has(Defect::DeletingNobodySucceeds)
            {
                return Ok(json!({}));
            }
            return Err("missing".to_owned());
        };
        if op == "delete_account" {
            self.accounts.remove(&id);
            return Ok(json!({}));
        }
        let mut account = self.accounts[&id].clone();
        match op {
            "suspend_account"
                if account.status == AccountStatus::Suspended && self.has(Defect::SuspendingTwiceFails) =>
            {
                return Err("is suspended already".to_owned());
            }
            "suspend_account" => account.status = AccountStatus::Suspended,
            "unsuspend_account" if self.has(Defect::UnsuspendIsIgnored) => {}
            "unsuspend_account" => account.status = AccountStatus::Active,
            "update_account" => {
                let empty = request["changes"] == json!({}) && wanted.0.is_empty();
                if empty && self.has(Defect::EmptyUpdateIsAnError) {
                    return Err("nothing to change".to_owned());
                }
                self.change(&mut account, request["changes"].as_object().unwrap());
                self.assign(&mut account, wanted)?;
            }
            _ => {}
        }
        self.accounts.insert(id, account);
        Ok(json!({}))
    }

    fn create(&mut self, fields: &Map<String, Value>, wanted: Memberships) -> Result<String, String> {
        for by in ["username", "email"] {
            if let Some(value) = fields.get(by)
                && self.find(&json!({ "op": "find", "by": by, "value": value })).is_some()
            {
                return Err("duplicate".to_owned());
            }
        }
        if fields.contains_key("bhk_later") && self.has(Defect::UnknownFieldIsAnError) {
            return Err("unknown field bhk_later".to_owned());
        }
        let id = format!("a{:06}", self.created);
        let mut account = AccountRecord::new(id.as_str());
        self.change(&mut account, fields);
        let held = (account.memberships.clone(), account.assignments.clone());
        if let Err(error) = self.assign(&mut account, wanted) {
            if self.has(Defect::HalfDoneOnMissingTeam) {
                self.accounts.insert(id, account);
            }
            return Err(error);
        }
        self.created += 1;
        if self.has(Defect::TeamOnCreateIsIgnored) {
            (account.memberships, account.assignments) = held;
        }
        self.accounts.insert(id.clone(), account);
        Ok(id)
    }

    fn change(&self, account: &mut AccountRecord, changes: &Map<String, Value>) {
        if changes.contains_key("display_name") && self.has(Defect::UpdateClearsTheRest) {
            account.last_name = None;
        }
        for (name, value) in changes {
            let text = value.as_str().map(|text| {
                let length = if self.has(Defect::TextIsCutAt64) { 64 } else { usize::MAX };
                text.chars().take(length).collect::<String>()
            });
            match name.as_str() {
                "username" => account.username = text,
                "email" => account.email = text,
                "first_name" => account.first_name = text,
                "last_name" => account.last_name = text,
                "display_name" => account.display_name = text,
                "password" if !self.has(Defect::PasswordInRecord) => {}
                other => {
                    account.extra.insert(other.to_owned(), value.clone());
                }
            }
        }
    }

    fn assign(&self, account: &mut AccountRecord, wanted: Memberships) -> Result<(), String> {
        for (slug, refs) in wanted.0 {
            let (known, error, held): (&[&str], _, _) = match slug.as_str() {
                "team" => (&TEAMS, "no team", &mut account.memberships.0),
                _ => (&SEATS, "no seat", &mut account.assignments.0),
            };
            if refs.iter().any(|one| !known.contains(&one.id.as_str())) {
                return Err(error.to_owned());
            }
            if refs.is_empty() && self.has(Defect::RemovalIsIgnored) {
                continue;
            }
            held.insert(slug, refs);
        }
        Ok(())
    }
}
