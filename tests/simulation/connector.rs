//! The connector of one process, in front of the target that outlives it. It is faulty on purpose.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bridgehead_sdk::{
    Account, AccountRecord, Action, Code, Completion, Connector, Context, Cursor, Description, Effect, Error,
    Evidence, ExposeSecret, Operation, Page, Record, ResourceType, Retry, SecretString, Subject, async_trait,
};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use serde_json::Value;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use crate::life::Life;
use crate::several::leases::Claim;
use crate::target::{Target, label};
use crate::world::Dice;

/// A token that must never appear anywhere.
pub(crate) const TOKEN: &str = "token-that-must-never-leak-0815";

/// A call in progress when its process dies is applied up to this long after it was received.
pub(crate) const REACH: Duration = Duration::from_millis(1200);

/// The connector's process: when it dies, every call in progress ends without a response.
#[derive(Debug, Default)]
pub(crate) struct Process {
    deaths: AtomicU64,
    died: Notify,
}

impl Process {
    pub(crate) fn die(&self) {
        self.deaths.fetch_add(1, Ordering::Relaxed);
        self.died.notify_waiters();
    }

    fn deaths(&self) -> u64 {
        self.deaths.load(Ordering::Relaxed)
    }

    async fn death(&self) {
        self.died.notified().await;
    }
}

pub(crate) struct Bad {
    pub(crate) life: Arc<Life>,
    pub(crate) target: Arc<Target>,
    pub(crate) process: Arc<Process>,
    pub(crate) dice: Dice,
    pub(crate) seed: u64,
    pub(crate) reach: Duration,
    /// The app as its node owns it, if several nodes share the state.
    pub(crate) claim: Option<Claim>,
}

fn share(rules: &Value, name: &str) -> f64 {
    rules[name].as_f64().unwrap_or_default()
}

fn kind_of(rng: &mut StdRng, rules: &Value, chance: &str, kinds: &str) -> Option<String> {
    let kinds: Vec<&str> = rules[kinds].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let kind = kinds.choose(rng).copied();
    kind.filter(|_| rng.random_bool(share(rules, chance))).map(str::to_owned)
}

fn seconds(value: f64) -> Duration {
    Duration::from_secs_f64(value)
}

fn down(what: &str) -> Error {
    Error::timeout(format!("HR is unreachable: {what}"))
        .with_effect(Effect::NotApplied)
        .with_subject(Subject::Connection)
        .with_retry(Retry::Backoff)
}

fn not_made() -> Error {
    Error::rate_limited("the process was suspended before the call").with_effect(Effect::NotApplied)
}

fn died() -> Error {
    Error::new(Code::InternalError, "the connector's process has ended")
        .with_effect(Effect::Unknown)
        .with_retry(Retry::Backoff)
}

impl Bad {
    /// Faults of a call that only reads.
    async fn disturb(&self, what: &str) -> Result<(), Error> {
        let rules = self.target.behaviour();
        if !self.dice.chance(share(&rules, "read")) {
            return Ok(());
        }
        match self.dice.below(11) {
            0..4 => {
                let most = rules["delay"].as_f64().unwrap_or(0.3);
                tokio::time::sleep(seconds(most * self.dice.unit())).await;
                Ok(())
            }
            4 | 5 => {
                let wait = Duration::from_millis(if self.dice.chance(0.5) { 100 } else { 500 });
                Err(Error::rate_limited(format!("HR allows less than that: {what}"))
                    .with_retry(Retry::After(wait)))
            }
            6 => Err(Error::timeout(format!("HR did not answer: {what}"))),
            7 => Err(down(what)),
            8 => {
                let retry = if self.dice.chance(0.5) { Retry::Never } else { Retry::Backoff };
                Err(Error::internal(format!("HR is broken: {what}")).with_retry(retry))
            }
            9 => {
                self.process.die();
                Err(died())
            }
            _ => std::future::pending().await,
        }
    }

    /// A call to the target as an event of this process; it ends when the connector's process dies.
    async fn reading<T>(
        &self,
        what: String,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let number = self.life.before(&what).await;
        tokio::time::sleep(Duration::from_millis(self.dice.up_to(3))).await;
        let answer = tokio::select! {
            biased;
            answer = call => answer,
            () = self.process.death() => Err(died()),
        };
        self.life.after(number).await;
        answer
    }
}

#[async_trait]
impl Connector for Bad {
    async fn describe(&self) -> Result<Description, Error> {
        let types = [
            ResourceType::group("team", "Team"),
            ResourceType::license("seat", "Seat"),
            ResourceType::account("account", "Account"),
        ];
        Ok(Description::new("simulation", "1.0")
            .with_actions(Action::ALL.iter().copied())
            .with_resource_types(types))
    }

    async fn check(&self) -> Result<(), Error> {
        self.reading("check".into(), self.disturb("check")).await
    }

    async fn list(&self, of: &ResourceType, cursor: Option<&Cursor>) -> Result<Page, Error> {
        let cursor = cursor.map(Cursor::as_str).unwrap_or_default();
        self.reading(format!("list {} {cursor}", of.slug), async {
            self.disturb("list").await?;
            let rules = self.target.behaviour();
            let mut rng = StdRng::seed_from_u64(self.dice.number());
            let kind = kind_of(&mut rng, &rules, "listing", "list");
            let (records, next, fault) = self.target.page(of.slug.as_str(), cursor, kind.as_deref());
            match fault.as_deref() {
                Some("cut") => {
                    return Err(Error::incomplete_listing("HR's answer has neither an end nor a next page"));
                }
                Some("short") => return Err(Error::timeout("HR stopped in the middle of a page")),
                _ => {}
            }
            let mut page = Page::default();
            for value in records {
                match Record::from_json(of.kind, value) {
                    Ok(record) => page.records.push(record),
                    Err(rejected) => page.rejected.push(rejected),
                }
            }
            Ok(page.ending(next.map(Cursor::new), Evidence::EndOfCursor))
        })
        .await
    }

    async fn find_account(&self, account: &Account) -> Result<Option<AccountRecord>, Error> {
        self.reading(format!("find {}", account.label()), async {
            self.disturb("find").await?;
            let wanted = serde_json::to_value(account).map_err(|error| Error::internal(error.to_string()))?;
            let found = self.target.look_up(&wanted);
            Ok(found.map(|record| serde_json::from_value(record).expect("a record of the target")))
        })
        .await
    }

    async fn execute(&self, context: &Context, operation: &Operation) -> Result<Completion, Error> {
        let (action, task) = (operation.action().as_str(), context.task_id.as_str().to_owned());
        let was_suspended = self.life.is_suspended();
        let number = self.life.before(&format!("{action} {}", operation.account().label())).await;
        // Only its calls are suspended, not its timers. A process that is really suspended has not come this far, and checks its lease once it
        // runs again.
        if was_suspended && self.claim.as_ref().is_some_and(|claim| !claim.may_start()) {
            return Err(not_made());
        }
        let call = Call {
            name: self.target.number(),
            action,
            task,
            attempt: context.attempt,
            payload: serde_json::to_value(operation.payload()).expect("a payload"),
            password: password_of(operation).map(|password| password.expose_secret().to_owned()),
            target: Arc::clone(&self.target),
            process: Arc::clone(&self.process),
            life: Arc::clone(&self.life),
            deaths: self.process.deaths(),
            reach: self.reach,
            claim: self.claim.clone(),
        };
        let rng = StdRng::seed_from_u64(hash(&format!("{}/{}/{}", self.seed, call.task, call.attempt)));
        let (tell, told) = oneshot::channel();
        // Runs in a separate task: the target continues even if the caller no longer waits.
        tokio::spawn(async move { drop(tell.send(call.run(rng).await)) });
        let answer = tokio::select! {
            biased;
            // Without a response, the connector's process has died.
            answer = told => match answer { Ok(Some(answer)) => answer, Ok(None) | Err(_) => Err(died()) },
            () = self.process.death() => Err(died()),
        };
        self.life.after(number).await;
        answer
    }
}

fn password_of(operation: &Operation) -> Option<&SecretString> {
    match operation {
        Operation::CreateAccount(create) => create.password.as_ref(),
        Operation::UpdateAccount(update) => update.password.as_ref(),
        Operation::ResetPassword(reset) => reset.password.as_ref(),
        _ => None,
    }
}

/// A call that changes the target.
struct Call {
    name: String,
    action: &'static str,
    task: String,
    attempt: u32,
    payload: Value,
    password: Option<String>,
    target: Arc<Target>,
    process: Arc<Process>,
    life: Arc<Life>,
    /// The number of times the connector had died when the call was made.
    deaths: u64,
    reach: Duration,
    claim: Option<Claim>,
}

impl Call {
    /// Returns the response, or `None` if the call ends without one.
    async fn run(self, mut rng: StdRng) -> Option<Result<Completion, Error>> {
        let rules = self.target.behaviour();
        let deaths = self.deaths;
        let kind = kind_of(&mut rng, &rules, "write", "write_kinds");
        let kind = kind.as_deref();
        let lingers = rng.random_bool(share(&rules, "linger"));
        let work = rules["work"][1].as_f64().unwrap_or_default() * rng.random::<f64>();
        let account = &self.payload["account"];
        let who = account["username"].as_str().map_or_else(|| label(account), str::to_owned);
        self.target.received(&self.name, &self.task, self.attempt, self.action, &who, kind);
        let answer = self.work(kind, lingers, work, &rules, &mut rng).await;
        // An answer to a process that has died meanwhile reaches no one.
        // Nor does one to a process that is suspended or has lost the app get to those who need to know.
        let is_owner = self.claim.as_ref().is_none_or(Claim::is_owner) && !self.life.is_suspended();
        let is_heard = is_owner && !self.life.is_over() && self.process.deaths() == deaths;
        if let Some(answer) = answer.as_ref().filter(|_| is_heard) {
            let how = answer.as_ref().err().map_or("ok", |error| error.code().as_str());
            self.target.answered(&self.name, how);
        }
        answer
    }

    async fn work(
        &self,
        kind: Option<&str>,
        lingers: bool,
        work: f64,
        rules: &Value,
        rng: &mut StdRng,
    ) -> Option<Result<Completion, Error>> {
        let received = Instant::now();
        let account = &self.payload["account"];
        match kind {
            Some("refused") => return Some(Err(self.failure(rng, Effect::NotApplied))),
            Some("unknown") => return Some(Err(self.failure(rng, Effect::Unknown))),
            Some("down") => return Some(Err(down(self.action))),
            Some("die" | "hang") => return self.last_words(kind).await,
            // Reports success without doing anything. For a password or a missing account, this could not be detected.
            Some("idle")
                if self.password.is_none()
                    && self.action != "reset_password"
                    && (self.action != "delete_account" || self.target.find(account).is_some()) =>
            {
                let done = Completion::done();
                return Some(Ok(if self.action == "create_account" {
                    done.with("account_id", "n-none")
                } else {
                    done
                }));
            }
            _ => {}
        }
        let late = kind == Some("late");
        let wait = match kind {
            Some("late") => share(rules, "timeout") + 0.3,
            Some("slow") => work + rng.random::<f64>() * rules["delay"].as_f64().unwrap_or(0.3),
            _ => work,
        };
        tokio::time::sleep(seconds(wait)).await;
        // What was applied late must be shown by the time when nothing of the call is expected any more.
        let reach = self.reach.saturating_sub(seconds(rules["lag"].as_f64().unwrap_or_default()));
        let is_alone = self.life.is_over() || self.process.deaths() != self.deaths;
        if is_alone && !((lingers || late) && received.elapsed() < reach) {
            return None;
        }
        let password = self.password.as_deref();
        let applied =
            self.target.apply(&self.name, &self.task, self.attempt, self.action, &self.payload, password);
        match kind {
            Some("applied_unknown") => return Some(Err(self.failure(rng, Effect::Unknown))),
            Some("applied_die" | "applied_hang" | "applied_garbage") => return self.last_words(kind).await,
            Some("applied_wrong") => return Some(Err(died())),
            _ => {}
        }
        Some(match applied {
            Ok(result) => {
                let result = result.as_object().cloned().unwrap_or_default();
                Ok(result.into_iter().fold(Completion::done(), |done, (name, value)| done.with(name, value)))
            }
            Err((_, message)) => Err(Error::account_not_found(message)),
        })
    }

    /// Ends a call that is never answered.
    async fn last_words(&self, kind: Option<&str>) -> Option<Result<Completion, Error>> {
        match kind {
            Some("die" | "applied_die" | "applied_garbage") => {
                self.process.die();
                None
            }
            _ => std::future::pending().await,
        }
    }

    /// A failure with any code. For a deletion, `ACCOUNT_NOT_FOUND` is a valid result, so it must be true.
    fn failure(&self, rng: &mut StdRng, effect: Effect) -> Error {
        let codes = if self.action == "delete_account" { &Code::ALL[1..] } else { &Code::ALL[..] };
        let code = *codes.choose(rng).expect("a code");
        let retry = if rng.random_bool(1.0 / 3.0) { Retry::Never } else { Retry::Backoff };
        let mut message = format!("HR says {code} of {}", label(&self.payload["account"]));
        // The connector leaks what it was given.
        if rng.random_bool(0.2) {
            let sent = self.password.as_deref().unwrap_or("nothing");
            message = format!("{message}; sent {sent} with {TOKEN}");
        }
        Error::new(code, message).with_effect(effect).with_retry(retry)
    }
}

/// A hash that is the same in every process.
pub(crate) fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |value, byte| {
        (value ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
