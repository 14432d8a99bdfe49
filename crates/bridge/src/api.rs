//! What the Bridge offers.

use async_trait::async_trait;
use bridgehead_sdk::{Record, ResourceType, Slug, TaskId};

use super::{
    App, AppId, ClockReading, Error, NewApp, NextPage, Progress, Pushed, Registration, Report, SyncId, Task,
    TaskPage, TaskQuery,
};

/// The calls of the Bridge API.
///
/// Every call may be made at any time, from anywhere, at the same time as any other. Dropping a running call leaves its
/// effect unknown. [`Error::effect`] says whether a failed call may still have had an effect.
///
/// *Reads, and writes that may be repeated* (register, rename, push) are repeated a few times by the client if the
/// failure is temporary. *Others* are repeated only if it is certain that nothing happened; a report never is: its
/// caller has a loop without a limit.
#[async_trait]
pub trait Api: Send + Sync + 'static {
    /// Makes an app.
    async fn create_app(&self, app: &NewApp) -> Result<App, Error>;

    /// All apps that the key can reach. One that cannot be read is left out, and logged.
    async fn list_apps(&self) -> Result<Vec<App>, Error>;

    /// All resource types of an app. One of a kind that this version does not know is left out, and logged.
    async fn list_resource_types(&self, app: AppId) -> Result<Vec<ResourceType>, Error>;

    /// Registers a resource type. That it exists already is fine if it is of the same kind, and
    /// [`Error::Conflict`] if it is of another (Error Reference, "I'm getting 409 on resource type
    /// creation").
    async fn register_resource_type(
        &self,
        app: AppId,
        resource_type: &ResourceType,
    ) -> Result<Registration, Error>;

    /// Gives a resource type another name.
    async fn rename_resource_type(&self, app: AppId, slug: &Slug, name: &str) -> Result<(), Error>;

    /// Starts a sync session. **It cancels the one before, and what that had pushed is discarded.**
    async fn start_sync(&self, app: AppId) -> Result<SyncId, Error>;

    /// Pushes a page of at most 100 records of one type. One bad record refuses the whole page.
    async fn push(&self, app: AppId, sync: &SyncId, slug: &Slug, records: &[Record])
    -> Result<Pushed, Error>;

    /// How far a session is.
    async fn progress(&self, app: AppId, sync: &SyncId) -> Result<Progress, Error>;

    /// Completes a session. **A cleanup then removes every record that was not pushed.**
    async fn complete(&self, app: AppId, sync: &SyncId) -> Result<(), Error>;

    /// Ends a session without removing anything.
    async fn abandon(&self, app: AppId, sync: &SyncId) -> Result<(), Error>;

    /// The first page of tasks. Pages shift while tasks complete: that a task is not listed does not say it
    /// is gone.
    async fn tasks(&self, app: AppId, query: &TaskQuery) -> Result<TaskPage, Error>;

    /// The page that a page before led to.
    async fn next_tasks(&self, app: AppId, next: &NextPage) -> Result<TaskPage, Error>;

    /// One task.
    async fn task(&self, app: AppId, task: &TaskId) -> Result<Task, Error>;

    /// Reports the outcome of a task. [`Error::Conflict`] means that it was resolved before: log it, and move
    /// on. An answer that is not the Bridge's own is [`Error::Malformed`], or [`Error::NotFound`] with
    /// `from_bridge` unset: then report again, for nothing shows that Iden heard of it.
    async fn report(&self, app: AppId, task: &TaskId, report: &Report) -> Result<(), Error>;

    /// How far this machine's clock is from the Bridge's, as its last response has shown. `None` if no response had a date.
    fn clock(&self) -> Option<ClockReading> {
        None
    }
}

/// Object safety is part of the contract: the runtime holds an `Arc<dyn Api>`.
const _: fn(&dyn Api) = |_| {};
