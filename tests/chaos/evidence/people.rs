//! The accounts in the target, and the tasks that Iden creates for them. Everything is derived from the seed.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use serde_json::{Value, json};

/// The number of accounts, and how many may be changed or deleted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    /// The accounts that the target has at the start.
    pub(crate) people: usize,
    /// How many of them get tasks; the others must simply never be removed.
    pub(crate) busy: usize,
    /// The maximum number of deletions, so that the removal guard never has a reason to hold an accurate listing.
    pub(crate) deletions: usize,
}

impl Size {
    /// For the real binary, which runs for seconds.
    pub(crate) const LARGE: Self = Self { people: 300, busy: 40, deletions: 25 };
    /// For the simulation, which runs for milliseconds.
    #[allow(dead_code, reason = "for the simulation alone")]
    pub(crate) const SMALL: Self = Self { people: 40, busy: 6, deletions: 5 };
}

/// A task, and what must be true once it is completed.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    pub(crate) id: String,
    pub(crate) action: &'static str,
    pub(crate) username: String,
    pub(crate) account: Value,
    pub(crate) memberships: Value,
    pub(crate) changes: Value,
    /// The password it sets.
    pub(crate) password: Option<String>,
}

impl Wish {
    /// The task in the form that the sandbox takes.
    pub(crate) fn task(&self) -> Value {
        json!({
            "id": self.id,
            "action": self.action,
            "payload": {"account": self.account, "memberships": self.memberships, "changes": self.changes},
        })
    }
}

/// Creates tasks.
pub(crate) struct Iden {
    /// The username, and the id if Iden knows it.
    accounts: Vec<(String, Option<String>)>,
    made: usize,
    deletions: usize,
    size: Size,
}

impl Iden {
    pub(crate) fn new(size: Size) -> Self {
        let apart = size.people / size.busy;
        let accounts = (0..size.busy).map(|n| (name(n * apart), Some(id(n * apart)))).collect();
        Self { accounts, made: 0, deletions: 0, size }
    }

    /// A task of a random action.
    pub(crate) fn wish(&mut self, rng: &mut StdRng) -> Wish {
        match rng.random_range(0..100) {
            0..30 => self.create(rng),
            30..55 => self.on_account("update_account", rng),
            55..70 => self.on_account("suspend_account", rng),
            70..83 => self.on_account("unsuspend_account", rng),
            83..91 => self.on_account("reset_password", rng),
            // For an account that never existed: whatever goes wrong, nothing may be deleted.
            91..94 => {
                let username = format!("nobody-{}", rng.random_range(0..100));
                let account = json!({"username": username});
                Wish { username, account, ..self.on_account("delete_account", rng) }
            }
            _ if self.deletions < self.size.deletions => {
                self.deletions += 1;
                self.on_account("delete_account", rng)
            }
            _ => self.create(rng),
        }
    }

    pub(crate) fn create(&mut self, rng: &mut StdRng) -> Wish {
        self.made += 1;
        let username = format!("new-{:04}", self.made);
        self.accounts.push((username.clone(), None));
        let password = rng.random_bool(0.5).then(|| password(rng));
        let mut account = json!({
            "username": username, "email": format!("{username}@example.org"),
            "first_name": "New", "last_name": format!("Person {}", self.made),
        });
        if let Some(password) = &password {
            account["password"] = json!(password);
        }
        let memberships = if rng.random_bool(0.5) { memberships(rng) } else { Value::Null };
        Wish {
            id: uuid(rng),
            action: "create_account",
            username,
            account,
            memberships,
            changes: Value::Null,
            password,
        }
    }

    /// A task about an account that exists, existed before, or will exist if its creation succeeds. Some accounts are chosen repeatedly, so
    /// that the lanes have tasks to keep in order.
    pub(crate) fn on_account(&mut self, action: &'static str, rng: &mut StdRng) -> Wish {
        let often = &self.accounts[self.accounts.len().saturating_sub(8)..];
        let pool = if rng.random_bool(0.5) { often } else { &self.accounts };
        let (username, id) = pool.choose(rng).expect("somebody").clone();
        let mut account = json!({"username": username});
        if rng.random_bool(0.7)
            && let Some(id) = id
        {
            account["id"] = json!(id);
        }
        if rng.random_bool(0.3) {
            account["email"] = json!(format!("{username}@example.org"));
        }
        let (mut wanted, mut changes, mut secret) = (Value::Null, Value::Null, None);
        match action {
            "update_account" => {
                changes = json!({"last_name": format!("Renamed {}", rng.random::<u32>())});
                if rng.random_bool(0.4) {
                    wanted = memberships(rng);
                }
            }
            // Without a password, the target generates one and returns it once, in the result.
            "reset_password" if rng.random_bool(0.7) => {
                let new = password(rng);
                changes = json!({"new_password": new});
                secret = Some(new);
            }
            _ => {}
        }
        Wish { id: uuid(rng), action, username, account, memberships: wanted, changes, password: secret }
    }
}

/// The initial entries of the target's ledger: all existing accounts, teams and seats.
pub(crate) fn settled(size: Size) -> Vec<Value> {
    let mut lines = Vec::new();
    let mut add = |line: Value| lines.push(line);
    for n in 0..12 {
        let record = json!({"id": format!("t-{n:02}"), "name": format!("Team {n}")});
        add(json!({"kind": "entity", "at": 0, "slug": "team", "record": record}));
    }
    for n in 0..3 {
        let record = json!({"id": format!("s-{n}"), "name": format!("Seat {n}")});
        add(json!({"kind": "entity", "at": 0, "slug": "seat", "record": record}));
    }
    for n in 0..size.people {
        let username = name(n);
        let record = json!({
            "id": id(n), "username": username, "email": format!("{username}@example.org"),
            "last_name": "Person", "status": "active",
            "memberships": {"team": [format!("t-{:02}", n % 12)]}, "assignments": {"seat": [format!("s-{}", n % 3)]},
        });
        add(json!({"kind": "applied", "at": 0, "id": id(n), "record": record}));
    }
    lines
}

/// Writes the initial entries of the target's ledger.
#[allow(dead_code, reason = "the simulation keeps its ledger in memory")]
pub(crate) fn settle(folder: &Path, size: Size) {
    std::fs::create_dir_all(folder).expect("a folder");
    let mut lines = String::new();
    for line in settled(size) {
        writeln!(lines, "{line}").expect("a string takes everything");
    }
    let mut file = std::fs::File::create(folder.join("ledger.jsonl")).expect("a ledger");
    file.write_all(lines.as_bytes()).expect("a ledger");
    file.sync_all().expect("a ledger on the disk");
}

fn id(n: usize) -> String {
    format!("p-{n:04}")
}

fn name(n: usize) -> String {
    format!("person-{n:04}")
}

fn memberships(rng: &mut StdRng) -> Value {
    let mut teams: Vec<usize> = (0..rng.random_range(0..4)).map(|_| rng.random_range(0..12)).collect();
    teams.sort_unstable();
    teams.dedup();
    json!({"team": teams.iter().map(|n| format!("t-{n:02}")).collect::<Vec<_>>()})
}

fn password(rng: &mut StdRng) -> String {
    format!("Secret-{:016x}", rng.random::<u64>())
}

pub(crate) fn uuid(rng: &mut StdRng) -> String {
    uuid::Builder::from_random_bytes(rng.random()).into_uuid().to_string()
}
