//! The contract between the runtime and a connector.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Map, Value};

use crate::{
    Account, AccountId, AccountRecord, Action, Cursor, Error, Operation, Page, ResourceType, TaskId,
};

/// What a connector is and can do. This is a declaration: the runtime never requests an action, and never lists a
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
    /// The actions that it supports. A task that requests another action fails without calling the connector.
    pub actions: BTreeSet<Action>,
    /// The resource types that it can list, including accounts. Groups and licenses are listed before accounts.
    pub resource_types: Vec<ResourceType>,
    /// What the target accepts but cannot show, so that reading back never proves it: names of account fields such as
    /// `display_name`, `status`, or `memberships.team` for the references of one type. Passwords are never shown and
    /// need not be listed. The runtime completes a task that changes such a field without verifying it, reports "not
    /// verified", lists the fields in `bridgehead check` and counts them in the metrics.
    pub unverifiable: BTreeSet<String>,
    /// Warnings for the operator about a working connector, each a sentence that names the key to change. `bridgehead
    /// check` shows them.
    pub warnings: Vec<String>,
}

/// Additional information about an operation.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Context {
    /// The task's id in Iden. Use it as an idempotency key for targets that support one.
    pub task_id: TaskId,
    /// The number of this attempt, from 1. Only for logs: it says nothing about what earlier attempts did, because they
    /// may have failed before they reached the target.
    pub attempt: u32,
    /// Whether an earlier attempt of this task may have been applied, completely or in part: its response was lost, it
    /// timed out, or the daemon was killed. Only if this is `true` can a change found in the target be the task's own
    /// work. If it is `false`, an existing account existed before this task.
    pub may_have_applied: bool,
    /// How long the attempt may take. After that, the call is dropped, and counts as a `TIMEOUT` with an unknown
    /// effect.
    pub timeout: Duration,
}

/// What a connector returns when an operation is done.
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
    /// Reported to Iden as the task's `result`. Do not include secrets that Iden has not requested.
    pub result: Map<String, Value>,
}

impl Description {
    /// A connector with this name and version and no capabilities yet.
    pub fn new(name: impl Into<String>, version: impl Into<String>) -> Self {
        Self { name: name.into(), version: version.into(), ..Self::default() }
    }

    /// Adds supported actions.
    pub fn with_actions(mut self, actions: impl IntoIterator<Item = Action>) -> Self {
        self.actions.extend(actions);
        self
    }

    /// Adds resource types that it can list.
    pub fn with_resource_types(mut self, types: impl IntoIterator<Item = ResourceType>) -> Self {
        self.resource_types.extend(types);
        self
    }

    /// Adds fields that the target accepts but cannot show.
    pub fn with_unverifiable<N: Into<String>>(mut self, fields: impl IntoIterator<Item = N>) -> Self {
        self.unverifiable.extend(fields.into_iter().map(Into::into));
        self
    }

    /// Adds warnings for the operator.
    pub fn with_warnings<W: Into<String>>(mut self, warnings: impl IntoIterator<Item = W>) -> Self {
        self.warnings.extend(warnings.into_iter().map(Into::into));
        self
    }
}

impl Context {
    /// The first attempt of a task.
    pub fn first(task_id: impl Into<TaskId>, timeout: Duration) -> Self {
        Self { task_id: task_id.into(), attempt: 1, may_have_applied: false, timeout }
    }

    /// Sets the number of the attempt, from 1. What the earlier attempts did is set separately:
    /// [`with_may_have_applied`](Self::with_may_have_applied).
    pub fn with_attempt(self, attempt: u32) -> Self {
        Self { attempt, ..self }
    }

    /// Sets whether an earlier attempt may have been applied. If so, this is at least the second attempt.
    pub fn with_may_have_applied(self, may_have_applied: bool) -> Self {
        let attempt = if may_have_applied { self.attempt.max(2) } else { self.attempt };
        Self { attempt, may_have_applied, ..self }
    }
}

impl Completion {
    /// The operation succeeded; the result is empty.
    pub fn done() -> Self {
        Self::default()
    }

    /// The operation created an account with this identifier, which is reported to Iden as `account_id`.
    pub fn created(id: impl Into<AccountId>) -> Self {
        Self::default().with("account_id", id.into().into_string())
    }

    /// Adds a field to the result.
    pub fn with(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.result.insert(name.into(), value.into());
        self
    }
}

/// The operation succeeded, with this complete result.
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
/// - Operations on the same account are executed one at a time, in the order in which Iden created them. Operations on
///   different accounts, listings and lookups run concurrently, so all methods take `&self` and must be safe to call
///   concurrently.
/// - Every call has a deadline. At the deadline the future is dropped, so no `.await` may leave the target in a state
///   that only the rest of the call would repair.
/// - An intent is durable before [`execute`](Self::execute) is called, and its outcome before it is reported to Iden.
///   When an operation is repeated, [`Context::may_have_applied`] says whether an earlier attempt may have had an
///   effect; if so, [`find_account`](Self::find_account) was called first.
/// - A success is verified: [`find_account`](Self::find_account) is called before and after a change, and `completed`
///   is reported to Iden only if the account is in the requested state (`tasks.verify`).
/// - A panic fails only the task that was being executed.
///
/// # What a connector promises
/// - It never retries, never sleeps to wait for the target, and never spawns a loop: the [`Error`] says whether a retry
///   can succeed, and the runtime decides when. Nested retries multiply.
/// - It reports [`Effect::NotApplied`](crate::Effect::NotApplied) only when that is certain.
/// - It does not assume that an existing account is its own work just because the attempt is not the first:
///   [`Context::may_have_applied`] is the evidence, [`Context::attempt`] is not.
/// - It ends a listing only with [`Evidence`](crate::Evidence), and names what the target cannot show in
///   [`Description::unverifiable`].
/// - It never returns "does not exist" when the lookup itself failed. `Ok(None)` and an empty last page are statements
///   about the target: an account that is missing from them is removed. If the connector does not know, it returns an
///   [`Error`].
/// - No error, record or result contains a secret.
///
/// # What each error leads to
/// | the error says | the runtime |
/// |---|---|
/// | effect unknown | calls `find_account`; completed if the account is in the requested state, otherwise as below |
/// | retry never | reports the code and message immediately |
/// | retry backoff or after, not applied | retries, until `give_up_after`; then reports the last code |
/// | subject connection | holds the app's tasks, calls [`check`](Self::check) until it succeeds, fails the tasks after `hold_for` |
/// | `ACCOUNT_ALREADY_EXISTS` on create | calls `find_account`; completed if an earlier attempt may have created it, or every identifying field is shown and equal and no password was to be set; otherwise reported |
/// | `ACCOUNT_NOT_FOUND` on delete | completed if an earlier attempt may have removed an account that was seen before it; otherwise reported |
///
/// # Wrong, then right
/// A lookup that treats every failure as "does not exist" turns an outage of the target into a mass deprovisioning:
///
/// ```no_run
/// # use bridgehead_sdk::*;
/// # struct Hr; impl Hr { async fn get(&self, _: &str) -> Result<Option<AccountRecord>, std::io::Error> { Ok(None) }
/// async fn find_wrong(&self, account: &Account) -> Result<Option<AccountRecord>, Error> {
///     Ok(self.get(account.label()).await.unwrap_or(None)) // an outage looks like a missing account
/// }
///
/// async fn find_right(&self, account: &Account) -> Result<Option<AccountRecord>, Error> {
///     self.get(account.label()).await.map_err(|error| Error::unreachable("HR does not answer").with_source(error))
/// }
/// # }
/// ```
///
/// # How to write one
/// Put [`#[async_trait]`](crate::async_trait) on the implementation: without it, the compiler reports lifetime errors. You do not need to
/// depend on the `async_trait` crate.
///
/// # A complete connector
/// The [front page](crate#a-complete-connector) has one, and the crate's `examples/` folder has two more.
#[async_trait]
pub trait Connector: Send + Sync + 'static {
    /// Describes this connector and its capabilities. Called at startup, and again after the target was unreachable; it
    /// may call the target. The result may differ between calls only if the target was changed.
    async fn describe(&self) -> Result<Description, Error>;

    /// Checks that the target is reachable and accepts the connector's credential. Must be cheap and change nothing.
    /// Called by `bridgehead check`, and as the probe of a target that was unreachable.
    async fn check(&self) -> Result<(), Error>;

    /// Returns one page of the records of a resource type that [`describe`](Self::describe) names; `cursor` is `None`
    /// for the first page, then the `next` of the previous page. May be called again with the same cursor after an
    /// error, and a listing may be left unfinished. The pages of one listing are requested one after another.
    ///
    /// A record that is added or removed during the listing may be in it or not; a record that exists the whole time
    /// must be in it. The connector chooses the page size; a few hundred records is a good size, and bounds memory use.
    /// A cursor that this connector never returned is an error: not an end, and not a new start.
    async fn list(&self, resource_type: &ResourceType, cursor: Option<&Cursor>) -> Result<Page, Error>;

    /// Returns the account as it is in the target now; `None` only if it certainly does not exist. Looks it up by
    /// identifier if `account` has one, otherwise by user name, otherwise by email, ignoring case for the last two.
    ///
    /// Called for verification after a call with an unknown effect, and before a sync completes, for accounts that
    /// tasks changed during the sync.
    async fn find_account(&self, account: &Account) -> Result<Option<AccountRecord>, Error>;

    /// Executes one operation, and returns when the target has confirmed it.
    ///
    /// Called only for actions that [`describe`](Self::describe) names. A request for the state that an account is
    /// already in (suspending a suspended account) is a success. An account that does not exist is `ACCOUNT_NOT_FOUND`,
    /// also on delete: the runtime knows whether an earlier attempt removed it.
    async fn execute(&self, context: &Context, operation: &Operation) -> Result<Completion, Error>;

    /// Called when the daemon stops or the app is restarted; no other call follows. Release what must be released
    /// cleanly. This call has a deadline too.
    async fn shutdown(&self) {}
}

/// The trait must stay usable as `dyn Connector`.
const _: fn(&dyn Connector) = |_| {};
