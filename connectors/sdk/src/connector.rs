//! The contract between the runtime and a connector.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Map, Value};

use crate::{
    Account, AccountId, AccountRecord, Action, Cursor, Error, Operation, Page, ResourceType, TaskId,
};

/// What a connector is and can do. It is a declaration: the runtime never calls for an action, and never lists a
/// resource type, that is not named here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Description {
    /// The connector's name, such as `jira`.
    pub name: String,
    /// The connector's version.
    pub version: String,
    /// The actions it can execute. A task that asks for another is failed without calling the connector.
    pub actions: BTreeSet<Action>,
    /// The resource types it can list, accounts among them. Groups and licences are listed before accounts.
    pub resource_types: Vec<ResourceType>,
    /// What the target takes but cannot show, so that reading back never proves it: names of account fields such as
    /// `display_name`, `status`, or `memberships.team` for the references of one type. A password is never shown and need
    /// not be named. The runtime completes a task that changes such a field without seeing it, says "not verified", lists
    /// the fields in `bridgehead check` and counts them in the metrics.
    pub unverifiable: BTreeSet<String>,
    /// What an operator should look at though everything works, each a sentence that names the key to change.
    /// `bridgehead check` shows them.
    pub warnings: Vec<String>,
}

/// What goes with an operation.
#[derive(Clone, Debug)]
pub struct Context {
    /// The task, as Iden names it. Good as an idempotency key for targets that know such a thing.
    pub task_id: TaskId,
    /// Which attempt this is, from 1. For logs only: it says nothing about what earlier attempts did, since they may have
    /// failed before they reached the target.
    pub attempt: u32,
    /// Whether an earlier attempt at this task may have been applied, completely or in part: its answer was lost, it ran
    /// out of time, or the daemon died meanwhile. Only then may what is found in the target be taken for this task's own
    /// work. When `false`, an account that exists was there before this task.
    pub may_have_applied: bool,
    /// How long the attempt may take. Then the call is dropped, and counts as a `TIMEOUT` of unknown effect.
    pub timeout: Duration,
}

/// What a connector answers when an operation has been carried out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Completion {
    /// Goes to Iden as the task's `result`. Put in no secret that Iden has not asked for.
    pub result: Map<String, Value>,
}

impl Context {
    /// The first attempt at a task.
    pub fn first(task_id: impl Into<TaskId>, timeout: Duration) -> Self {
        Self { task_id: task_id.into(), attempt: 1, may_have_applied: false, timeout }
    }

    /// A later attempt, none of the earlier ones of which was applied.
    pub fn attempt(self, attempt: u32) -> Self {
        Self { attempt, ..self }
    }

    /// A later attempt, an earlier one of which may have been applied.
    pub fn may_have_applied(self) -> Self {
        Self { attempt: self.attempt.max(2), may_have_applied: true, ..self }
    }
}

impl Completion {
    /// Done; there is nothing to add.
    pub fn done() -> Self {
        Self::default()
    }

    /// An account was created under this identifier, which goes to Iden as `account_id`.
    pub fn created(id: impl Into<AccountId>) -> Self {
        Self::default().with("account_id", id.into().into_string())
    }

    /// Adds a field to the result.
    pub fn with(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.result.insert(name.into(), value.into());
        self
    }
}

/// One target system.
///
/// # What the runtime promises
/// - Operations of the same account come one at a time, in the order in which Iden created them. Operations of
///   different accounts, listings and look-ups run at the same time, so `&self` must bear that.
/// - Every call has a deadline. At the deadline the future is dropped: keep nothing half done across an `.await`
///   that only the rest of the call would repair.
/// - An intent is durable before [`execute`](Self::execute) is called, and its outcome before Iden hears of it. When an
///   operation comes again, [`Context::may_have_applied`] says whether an earlier attempt may have had an effect; if it
///   may, [`find_account`](Self::find_account) was asked first.
/// - A success is verified: [`find_account`](Self::find_account) is asked before and after a change, and Iden hears
///   `completed` only when the account shows what the task wanted (`tasks.verify`).
/// - A panic costs the task that was being executed, and nothing else.
///
/// # What a connector promises
/// - It never retries, never sleeps to wait for better times, and spawns no loop: the [`Error`] says whether to try
///   again, and the runtime decides when. Retries that nest multiply.
/// - It says [`Effect::NotApplied`](crate::Effect::NotApplied) only when that is certain.
/// - It never takes an account for its own work because the attempt is not the first:
///   [`Context::may_have_applied`] is the evidence, [`Context::attempt`] is not.
/// - It ends a listing only with [`Evidence`](crate::Evidence), and names what the target cannot show in
///   [`Description::unverifiable`].
/// - It never answers "nothing there" when it could not look. `Ok(None)` and an empty last page are statements
///   about the target; whoever is missing from them loses an account. Not knowing is an [`Error`].
/// - No error, record or result holds a secret.
///
/// # What each error leads to
/// | the error says | the runtime |
/// |---|---|
/// | effect unknown | asks `find_account`; in the wanted state means completed, else as below |
/// | retry never | reports the code and message at once |
/// | retry backoff or after, not applied | tries again, until `give_up_after`; then reports the last code |
/// | subject connection | holds the app's tasks, probes with [`check`](Self::check), fails them past `hold_for` |
/// | `ACCOUNT_ALREADY_EXISTS` on create | asks `find_account`; completed if an earlier attempt may have created it, or every identifying field is shown and equal and no password was to be set; else reported |
/// | `ACCOUNT_NOT_FOUND` on delete | completed if an earlier attempt may have removed an account that was seen before it; else reported |
///
/// # Wrong, then right
/// A look-up that takes every failure for "not there" turns an outage of the target into a mass deprovisioning:
///
/// ```no_run
/// # use bridgehead_sdk::*;
/// # struct Hr; impl Hr { async fn get(&self, _: &str) -> Result<Option<AccountRecord>, std::io::Error> { Ok(None) }
/// async fn find_wrong(&self, account: &Account) -> Result<Option<AccountRecord>, Error> {
///     Ok(self.get(account.label()).await.unwrap_or(None)) // an outage reads as "nobody there"
/// }
///
/// async fn find_right(&self, account: &Account) -> Result<Option<AccountRecord>, Error> {
///     self.get(account.label()).await.map_err(|error| Error::unreachable("HR does not answer").source(error))
/// }
/// # }
/// ```
///
/// # A complete connector
/// A target that is a map in memory, with one resource type and three of the six actions:
///
/// ```
/// use std::collections::BTreeMap;
/// use std::sync::{Arc, Mutex};
///
/// use bridgehead_sdk::*;
///
/// /// The keys that `target` may have in the configuration.
/// #[derive(serde::Deserialize, schemars::JsonSchema)]
/// #[serde(deny_unknown_fields)]
/// # #[schemars(crate = "bridgehead_sdk::schemars")]
/// struct Settings {
///     /// How many accounts fit.
///     seats: usize,
/// }
///
/// struct Memory {
///     system: String,
///     seats: usize,
///     accounts: Mutex<BTreeMap<String, AccountRecord>>,
/// }
///
/// impl Memory {
///     /// What the daemon's registry is given: `.connector("memory", Memory::factory())`.
///     fn factory() -> Arc<dyn Factory> {
///         factory(|settings: Settings, setup| {
///             if settings.seats == 0 {
///                 return Err(SettingsError::new("seats", "must be at least 1"));
///             }
///             Ok(Memory { system: setup.app, seats: settings.seats, accounts: Mutex::default() })
///         })
///     }
///
///     fn missing(&self, account: &Account) -> Error {
///         Error::account_not_found(format!("User {} not found in {}", account.label(), self.system))
///     }
/// }
///
/// #[async_trait]
/// impl Connector for Memory {
///     async fn describe(&self) -> Result<Description, Error> {
///         Ok(Description {
///             name: "memory".into(),
///             version: env!("CARGO_PKG_VERSION").into(),
///             actions: [Action::CreateAccount, Action::DeleteAccount, Action::SuspendAccount].into(),
///             resource_types: vec![ResourceType::account("account", "Account")],
///             ..Description::default()
///         })
///     }
///
///     async fn check(&self) -> Result<(), Error> {
///         Ok(()) // a real connector asks its target something cheap that needs its credential
///     }
///
///     async fn list(&self, _: &ResourceType, cursor: Option<&Cursor>) -> Result<Page, Error> {
///         // The cursor is the last identifier of the page before: a listing by key neither skips nor repeats
///         // a record when others come and go meanwhile. One that was never given here is an error.
///         let after = cursor.map_or(Some(""), |cursor| cursor.as_str().strip_prefix("after "));
///         let after = after.ok_or_else(|| Error::incomplete_listing("this cursor was never given"))?;
///         let accounts = self.accounts.lock().unwrap();
///         let mut rest = accounts.values().filter(|account| account.id.as_str() > after).cloned();
///         let records: Vec<Record> = rest.by_ref().take(100).map(Record::from).collect();
///         let next = rest.next().and(records.last()).map(|last| Cursor::new(format!("after {}", last.id())));
///         // The end is what the target itself says; here it is one map that holds everything.
///         Ok(Page { records, ..Page::default() }.ending(next, Evidence::EndOfCursor))
///     }
///
///     async fn find_account(&self, account: &Account) -> Result<Option<AccountRecord>, Error> {
///         let accounts = self.accounts.lock().unwrap();
///         Ok(accounts.values().find(|known| account.is_same_as(known)).cloned())
///     }
///
///     async fn execute(&self, _: &Context, operation: &Operation) -> Result<Completion, Error> {
///         let mut accounts = self.accounts.lock().unwrap();
///         let known = accounts.values().find(|known| operation.account().is_same_as(known));
///         let known = known.map(|known| known.id.to_string());
///         match operation {
///             Operation::CreateAccount(create) => {
///                 let name = create.account.label().to_owned();
///                 if known.is_some() {
///                     let message = format!("User {name} exists in {} already", self.system);
///                     return Err(Error::account_already_exists(message));
///                 }
///                 if accounts.len() >= self.seats {
///                     let message = format!("{} has no seat left for {name}", self.system);
///                     return Err(Error::license_exhausted(message));
///                 }
///                 let mut record = AccountRecord::new(name.clone());
///                 record.email = create.account.email.clone();
///                 record.username = create.account.username.clone();
///                 accounts.insert(name.clone(), record);
///                 Ok(Completion::created(name))
///             }
///             Operation::DeleteAccount(delete) => {
///                 let id = known.ok_or_else(|| self.missing(&delete.account))?;
///                 accounts.remove(&id);
///                 Ok(Completion::done())
///             }
///             Operation::SuspendAccount(suspend) => {
///                 let id = known.ok_or_else(|| self.missing(&suspend.account))?;
///                 accounts.get_mut(&id).unwrap().status = AccountStatus::Suspended;
///                 Ok(Completion::done())
///             }
///             other => Err(Error::unsupported(other.action())),
///         }
///     }
/// }
///
/// # fn main() {
/// let target = serde_json::json!({ "seats": 1 }).as_object().unwrap().clone();
/// let setup = Setup::new("Memory", target);
/// let memory = Memory::factory().build(setup).unwrap();
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let context = Context::first("t1", std::time::Duration::from_secs(60));
/// let create = |name: &str| {
///     let payload = serde_json::from_value(serde_json::json!({ "account": { "username": name } })).unwrap();
///     Operation::parse(Action::CreateAccount, payload).unwrap()
/// };
/// let completion = memory.execute(&context, &create("ann")).await.unwrap();
/// assert_eq!(completion, Completion::created("ann"));
/// let error = memory.execute(&context, &create("bob")).await.unwrap_err();
/// assert_eq!(error.code(), Code::LicenseExhausted);
/// # });
/// # }
/// ```
#[async_trait]
pub trait Connector: Send + Sync + 'static {
    /// What this connector is and can do. Called at start, and again after the target was unreachable; it may ask the
    /// target. The answer may differ between calls only if the target was changed.
    async fn describe(&self) -> Result<Description, Error>;

    /// Whether the target can be reached and accepts the connector's credential. It changes nothing, is cheap, and is
    /// called by `bridgehead check` and as the probe of a target that was unreachable.
    async fn check(&self) -> Result<(), Error>;

    /// One page of the records of a resource type that [`describe`](Self::describe) names; `cursor` is `None` for the
    /// first page, then what the last page gave as `next`. May be called again with the same cursor after an error, and
    /// a listing may be left unfinished. Pages of one listing are asked for one after another.
    ///
    /// A record that comes or goes while the listing is under way may be in it or not; one that is there all the time
    /// must be. Page size is the connector's choice; some hundreds is good, and memory is bounded by it. A cursor that this
    /// connector never gave is an error: not an end, and not another beginning.
    async fn list(&self, resource_type: &ResourceType, cursor: Option<&Cursor>) -> Result<Page, Error>;

    /// The account as the target holds it now; `None` if it is certain that there is none. Looks by identifier where
    /// `account` has one, else by user name, else by e-mail, without regard to the case of the last two.
    ///
    /// Called to read back after a call whose effect is not known, and before a sync is completed, for accounts that
    /// tasks touched meanwhile.
    async fn find_account(&self, account: &Account) -> Result<Option<AccountRecord>, Error>;

    /// Carries out one operation, and answers when the target has confirmed it.
    ///
    /// Only actions that [`describe`](Self::describe) names are asked for. Asking for the state an account is in already
    /// (suspending a suspended one) is a success. An account that is not there is `ACCOUNT_NOT_FOUND`, also on delete: the
    /// runtime knows whether an earlier attempt removed it.
    async fn execute(&self, context: &Context, operation: &Operation) -> Result<Completion, Error>;

    /// The daemon is stopping, or the app is being restarted; nothing is called afterwards. Close what should be closed
    /// in order; there is a deadline here too.
    async fn shutdown(&self) {}
}

/// The trait must stay usable as `dyn Connector`.
const _: fn(&dyn Connector) = |_| {};
