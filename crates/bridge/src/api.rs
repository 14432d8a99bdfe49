//! The interface of the Bridge API.

use async_trait::async_trait;
use bridgehead_sdk::{ResourceType, Slug, TaskId};

use super::{
    App, AppId, ClockReading, Error, NewApp, NextPage, Precondition, Progress, Pushed, Refs, Registration,
    Report, SyncId, Task, TaskPage, TaskQuery, WireRecord,
};

/// The calls of the Bridge API.
///
/// Every call may be made at any time, from any task, and concurrently with any other. Dropping a call in progress leaves its effect
/// unknown. [`Error::effect`] says whether a failed call may have had an effect.
///
/// The client repeats *reads, and writes that are idempotent* (register, rename, push), a few times if the failure is temporary. It repeats
/// *other calls* only if they certainly had no effect. It never repeats a report: its caller has a loop without a limit.
#[async_trait]
pub trait Api: Send + Sync + 'static {
    /// Creates an app.
    async fn create_app(&self, app: &NewApp) -> Result<App, Error>;

    /// Lists all apps that the key can access. An unreadable app is skipped and logged.
    async fn list_apps(&self) -> Result<Vec<App>, Error>;

    /// Finds an app in the list of all apps, which was requested after this call; `None` if it is not listed. Iden has no call for a single
    /// app, so calls at the same time may share the list.
    async fn find_app(&self, app: AppId) -> Result<Option<App>, Error> {
        Ok(self.list_apps().await?.into_iter().find(|listed| listed.id == app))
    }

    /// Lists all resource types of an app. A type of an unknown kind is skipped and logged.
    async fn list_resource_types(&self, app: AppId) -> Result<Vec<ResourceType>, Error>;

    /// Registers a resource type. If it already exists, that is fine if its kind is the same, and [`Error::Conflict`] if it is different
    /// (Error Reference, "I'm getting 409 on resource type creation").
    async fn register_resource_type(
        &self,
        app: AppId,
        resource_type: &ResourceType,
    ) -> Result<Registration, Error>;

    /// Renames a resource type.
    async fn rename_resource_type(&self, app: AppId, slug: &Slug, name: &str) -> Result<(), Error>;

    /// Starts a sync session. **This cancels the previous session and discards its records.**
    async fn start_sync(&self, app: AppId) -> Result<SyncId, Error>;

    /// Pushes a page of at most 100 records of one type, written with [`refs`](Self::refs). One invalid record makes Iden
    /// reject the whole page.
    async fn push(
        &self,
        app: AppId,
        sync: &SyncId,
        slug: &Slug,
        records: &[WireRecord],
    ) -> Result<Pushed, Error>;

    /// Reads the progress of a session.
    async fn progress(&self, app: AppId, sync: &SyncId) -> Result<Progress, Error>;

    /// Completes a session. **Iden then removes every record that was not pushed.**
    ///
    /// The precondition is checked immediately before the request is sent. If it does not hold, the error is [`Error::Invalid`].
    async fn complete(&self, app: AppId, sync: &SyncId, only_if: &Precondition) -> Result<(), Error>;

    /// Ends a session without removing anything.
    async fn abandon(&self, app: AppId, sync: &SyncId) -> Result<(), Error>;

    /// Reads the first page of tasks. Pages shift while tasks complete, so a task that is missing from them may still exist.
    async fn tasks(&self, app: AppId, query: &TaskQuery) -> Result<TaskPage, Error>;

    /// Reads the page that follows a previous page.
    async fn next_tasks(&self, app: AppId, next: &NextPage) -> Result<TaskPage, Error>;

    /// Reads one task.
    async fn task(&self, app: AppId, task: &TaskId) -> Result<Task, Error>;

    /// Reports the outcome of a task. [`Error::Conflict`] means that the task was already resolved: log it and continue. A response that is
    /// not the Bridge's own is [`Error::Malformed`], or [`Error::NotFound`] with `from_bridge` unset: report again, because nothing shows
    /// that Iden received the report.
    async fn report(&self, app: AppId, task: &TaskId, report: &Report) -> Result<(), Error>;

    /// The form of references in the records that are pushed.
    fn refs(&self) -> Refs {
        Refs::default()
    }

    /// The difference between this machine's clock and the Bridge's, from the last response. `None` if no response had a date.
    fn clock(&self) -> Option<ClockReading> {
        None
    }
}

/// Object safety is part of the contract: the runtime holds an `Arc<dyn Api>`.
const _: fn(&dyn Api) = |_| {};
