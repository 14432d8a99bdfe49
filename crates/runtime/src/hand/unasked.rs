//! A Bridge that is never called: manual operations do not concern Iden.

use async_trait::async_trait;
use bridgehead_sdk::{ResourceType, Slug, TaskId};

use bridgehead_bridge::{
    Api, App, AppId, Call, Error, NewApp, NextPage, Operation, Precondition, Progress, Pushed, Registration,
    Report, SyncId, Task, TaskPage, TaskQuery, WireRecord,
};

/// Refuses every call, before anything is sent.
#[derive(Debug)]
pub(super) struct Unasked;

fn refused<T>(operation: Operation, app: Option<AppId>) -> Result<T, Error> {
    let what = "a manual operation does not contact Iden".to_owned();
    Err(Error::Invalid { call: Call::new(operation, app), what })
}

#[async_trait]
impl Api for Unasked {
    async fn create_app(&self, _: &NewApp) -> Result<App, Error> {
        refused(Operation::CreateApp, None)
    }

    async fn list_apps(&self) -> Result<Vec<App>, Error> {
        refused(Operation::ListApps, None)
    }

    async fn list_resource_types(&self, app: AppId) -> Result<Vec<ResourceType>, Error> {
        refused(Operation::ListResourceTypes, Some(app))
    }

    async fn register_resource_type(&self, app: AppId, _: &ResourceType) -> Result<Registration, Error> {
        refused(Operation::RegisterResourceType, Some(app))
    }

    async fn rename_resource_type(&self, app: AppId, _: &Slug, _: &str) -> Result<(), Error> {
        refused(Operation::RenameResourceType, Some(app))
    }

    async fn start_sync(&self, app: AppId) -> Result<SyncId, Error> {
        refused(Operation::StartSync, Some(app))
    }

    async fn push(&self, app: AppId, _: &SyncId, _: &Slug, _: &[WireRecord]) -> Result<Pushed, Error> {
        refused(Operation::Push, Some(app))
    }

    async fn progress(&self, app: AppId, _: &SyncId) -> Result<Progress, Error> {
        refused(Operation::Progress, Some(app))
    }

    async fn complete(&self, app: AppId, _: &SyncId, _: &Precondition) -> Result<(), Error> {
        refused(Operation::Complete, Some(app))
    }

    async fn abandon(&self, app: AppId, _: &SyncId) -> Result<(), Error> {
        refused(Operation::Abandon, Some(app))
    }

    async fn tasks(&self, app: AppId, _: &TaskQuery) -> Result<TaskPage, Error> {
        refused(Operation::ListTasks, Some(app))
    }

    async fn next_tasks(&self, app: AppId, _: &NextPage) -> Result<TaskPage, Error> {
        refused(Operation::ListTasks, Some(app))
    }

    async fn task(&self, app: AppId, _: &TaskId) -> Result<Task, Error> {
        refused(Operation::ReadTask, Some(app))
    }

    async fn report(&self, app: AppId, _: &TaskId, _: &Report) -> Result<(), Error> {
        refused(Operation::Report, Some(app))
    }
}
