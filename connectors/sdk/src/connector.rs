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
///
/// ```
/// use bridgehead_sdk::{Action, Description, ResourceType};
///
/// let description = Description::new("jira", "1.2.0")
///     .with_actions([Action::CreateAccount, Action::DeleteAccount])
///     .with_resource_types([ResourceType::group("team", "Team"), ResourceType::account("account", "Account")])
///     .with_unverifiable(["display_name"]);
/// assert_eq!(description.actions.len(), 2);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Description {
    /// The connector's name, such as `jira`.
    pub name: String,
    /// The connector's version.
    pub version: String,
    /// The actions it can execute. A task that asks for another is failed without calling the connector.
    pub actions: BTreeSet<Action>,
    /// The resource types it can list, accounts among them. Groups and licenses are listed before accounts.
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
#[non_exhaustive]
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
///
/// `Debug` shows the names of the fields, never their values.
///
/// ```
/// use bridgehead_sdk::Completion;
///
/// let completion = Completion::created("u1").with("mailbox", "ann@example.org");
/// assert_eq!(completion.result["account_id"], "u1");
/// assert_eq!(format!("{completion:?}"), r#"Completion { result: ["account_id", "mailbox"] }"#);
/// ```
#[derive(Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Completion {
    /// Goes to Iden as the task's `result`. Put in no secret that Iden has not asked for.
    pub result: Map<String, Value>,
}

impl Description {
    /// A connector of this name and version that can do nothing yet.
    pub fn new(name: impl Into<String>, version: impl Into<String>) -> Self {
        Self { name: name.into(), version: version.into(), ..Self::default() }
    }

    /// Adds actions that it can execute.
    pub fn with_actions(mut self, actions: impl IntoIterator<Item = Action>) -> Self {
        self.actions.extend(actions);
        self
    }

    /// Adds resource types that it can list.
    pub fn with_resource_types(mut self, types: impl IntoIterator<Item = ResourceType>) -> Self {
        self.resource_types.extend(types);
        self
    }

    /// Adds fields that the target takes and cannot show.
    pub fn with_unverifiable<N: Into<String>>(mut self, fields: impl IntoIterator<Item = N>) -> Self {
        self.unverifiable.extend(fields.into_iter().map(Into::into));
        self
    }

    /// Adds sentences for the operator.
    pub fn with_warnings<W: Into<String>>(mut self, warnings: impl IntoIterator<Item = W>) -> Self {
        self.warnings.extend(warnings.into_iter().map(Into::into));
        self
    }
}

impl Context {
    /// The first attempt at a task.
    pub fn first(task_id: impl Into<TaskId>, timeout: Duration) -> Self {
        Self { task_id: task_id.into(), attempt: 1, may_have_applied: false, timeout }
    }

    /// Says which attempt it is, from 1. What the earlier ones did is another matter:
    /// [`with_may_have_applied`](Self::with_may_have_applied).
    pub fn with_attempt(self, attempt: u32) -> Self {
        Self { attempt, ..self }
    }

    /// Says whether an earlier attempt may have been applied. If it may, this is the second one at least.
    pub fn with_may_have_applied(self, may_have_applied: bool) -> Self {
        let attempt = if may_have_applied { self.attempt.max(2) } else { self.attempt };
        Self { attempt, may_have_applied, ..self }
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

/// Done, with a result that is ready.
impl From<Map<String, Value>> for Completion {
    fn from(result: Map<String, Value>) -> Self {
        Self { result }
    }
}

impl std::fmt::Debug for Completion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Completion").field("result", &self.result.keys().collect::<Vec<_>>()).finish()
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
/// | retry backoff or after, not applied | retries, until `give_up_after`; then reports the last code |
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
///     self.get(account.label()).await.map_err(|error| Error::unreachable("HR does not answer").with_source(error))
/// }
/// # }
/// ```
///
/// # How to write one
/// Put [`#[async_trait]`](crate::async_trait) on the implementation: without it, the compiler complains of lifetimes. The crate of that name
/// is not needed.
///
/// # A complete connector
/// The [front page](crate#a-complete-connector) has one, and the folder `examples/` of the crate two more.
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
    /// `account` has one, else by user name, else by email, without regard to the case of the last two.
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
