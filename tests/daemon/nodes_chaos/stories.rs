//! The tasks of a plan: for each account, a few that make sense in their order, and how the target handles the first call of each.

use std::fmt;

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use serde_json::{Value, json};

use super::plan::APPS;

/// How long an attempt may take, in seconds: longer than a lease.
pub(super) const TIMEOUT: u64 = 5;
/// How long after its start a call may have an effect, in seconds: it may have been sent to the target just before the deadline, and the
/// target may work on it for as long again.
pub(super) const WITHIN: f64 = 9.7;
/// How long a late call takes, in seconds. A node that has taken an app over and does not wait for the calls of the node before repeats
/// them earlier.
const LATE: f64 = 9.3;
/// How many accounts the target of an app has at the start.
pub(super) const PEOPLE: usize = 60;

/// What the target does with the first call of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    Normal,
    /// It takes this many milliseconds, less than the deadline.
    Slow(u64),
    /// It is applied after its deadline.
    Late,
    /// It is applied, and never answered.
    Unanswered,
    /// It is neither applied nor answered.
    Lost,
}

/// A task, and how its first call is handled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wish {
    pub(super) id: String,
    pub(super) app: usize,
    pub(super) account: String,
    pub(super) action: &'static str,
    pub(super) call: Call,
    /// The new last name of an update, or the new password of a reset.
    pub(super) value: String,
}

impl Wish {
    /// The task in the form that the sandbox takes.
    pub(super) fn task(&self) -> Value {
        let mut account = json!({ "username": self.account });
        let mut changes = Value::Null;
        match self.action {
            "create_account" => account["email"] = format!("{}@example.org", self.account).into(),
            "update_account" => changes = json!({ "last_name": self.value }),
            "reset_password" => changes = json!({ "new_password": self.value }),
            _ => {}
        }
        json!({"id": self.id, "action": self.action, "payload": {"account": account, "changes": changes}})
    }

    /// The rule for the target, if its first call is special.
    pub(super) fn rule(&self) -> Option<Value> {
        let rule = match self.call {
            Call::Normal => return None,
            #[expect(clippy::cast_precision_loss, reason = "a few thousand milliseconds")]
            Call::Slow(milliseconds) => json!({ "delay": milliseconds as f64 / 1000.0 }),
            Call::Late => json!({ "delay": LATE }),
            Call::Unanswered => json!({"apply": true, "hang_until": "never"}),
            Call::Lost => json!({ "until": "never" }),
        };
        let mut which = json!({"account": self.account, "method": self.action, "attempt": 1});
        if let (Some(which), Some(rule)) = (which.as_object_mut(), rule.as_object()) {
            which.extend(rule.clone());
        }
        Some(which)
    }
}

impl fmt::Display for Wish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "app {}: {} {} {:?} ({})", self.app, self.action, self.account, self.call, self.id)
    }
}

/// The username of an account that exists from the start.
pub(super) fn person(number: usize) -> String {
    format!("person-{number:02}")
}

/// Knows which accounts have tasks already: each has one story.
pub(super) struct Stories {
    made: usize,
    used: [usize; APPS],
}

impl Stories {
    pub(super) fn new() -> Self {
        Self { made: 0, used: [0; APPS] }
    }

    /// The tasks of one account, new or existing.
    pub(super) fn tell(&mut self, random: &mut StdRng, app: usize) -> Vec<Wish> {
        let is_new = random.random_bool(0.5) || self.used[app] == PEOPLE;
        let mut actions = Vec::new();
        if is_new {
            actions.push("create_account");
        }
        if random.random_bool(0.5) {
            actions.push("update_account");
        }
        if random.random_bool(0.4) {
            actions.push("suspend_account");
            if random.random_bool(0.6) {
                actions.push("unsuspend_account");
            }
        }
        if random.random_bool(0.3) || actions.is_empty() {
            actions.push("reset_password");
        }
        if random.random_bool(0.2) {
            actions.push("delete_account");
        }
        let account = if is_new { self.new_account() } else { self.person(app) };
        // At most one call of an account hangs or is late, because the others wait for it.
        let grave = random.random_bool(0.4).then(|| random.random_range(0..actions.len()));
        let mut story = Vec::new();
        for (number, action) in actions.into_iter().enumerate() {
            let call = if grave == Some(number) {
                *[Call::Late, Call::Unanswered, Call::Lost].choose(random).expect("a call")
            } else if random.random_bool(0.4) {
                Call::Slow(random.random_range(200..3500))
            } else {
                Call::Normal
            };
            story.push(Self::wish(random, app, &account, action, call));
        }
        story
    }

    /// One change of an existing account that the target would make twice.
    pub(super) fn change(&mut self, random: &mut StdRng, app: usize, call: Call) -> Wish {
        let action =
            *["update_account", "suspend_account", "reset_password"].choose(random).expect("an action");
        if self.used[app] == PEOPLE {
            let account = self.new_account();
            return Self::wish(random, app, &account, "create_account", call);
        }
        let account = self.person(app);
        Self::wish(random, app, &account, action, call)
    }

    fn new_account(&mut self) -> String {
        self.made += 1;
        format!("new-{:03}", self.made)
    }

    fn person(&mut self, app: usize) -> String {
        self.used[app] += 1;
        person(self.used[app] - 1)
    }

    fn wish(random: &mut StdRng, app: usize, account: &str, action: &'static str, call: Call) -> Wish {
        let id = uuid::Builder::from_random_bytes(random.random()).into_uuid().to_string();
        let value = format!("Value-{:016x}", random.random::<u64>());
        Wish { id, app, account: account.to_owned(), action, call, value }
    }
}
