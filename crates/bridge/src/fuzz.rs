//! Parses possible responses of the Bridge without a network. For fuzz targets only; not part of the library's interface.

use std::time::Duration;

use bridgehead_sdk::{ResourceType, TaskId};
use url::Url;

use super::answer::{Answer, meaning};
use super::next::LoopDetector;
use super::{
    ApiKey, App, AppId, Call, Error, Operation, Progress, Pushed, SyncId, Task, TaskPage, TaskStatus, read,
};

fn app_id() -> AppId {
    AppId::new(uuid::Uuid::from_u128(1))
}

fn answer(operation: Operation, body: &[u8]) -> (Call, Answer) {
    let call = Call::new(operation, app_id());
    (call.clone(), Answer::new(call, 200, body.to_vec()))
}

/// The response to a request for pending tasks at `page`.
pub fn task_page(body: &[u8], page: &Url) -> Result<TaskPage, Error> {
    let (call, answer) = answer(Operation::ListTasks, body);
    read::task_page(answer, &call, page, LoopDetector::from(page), &TaskStatus::Pending)
}

/// The response to a request for one task.
pub fn task(body: &[u8], wanted: &TaskId) -> Result<Task, Error> {
    let (call, answer) = answer(Operation::ReadTask, body);
    read::task(answer, &call, wanted)
}

/// The response to a report.
pub fn reported(body: &[u8], task: &TaskId) -> Result<(), Error> {
    let (call, answer) = answer(Operation::Report, body);
    read::reported(answer, &call, task)
}

/// The response to the start of a sync.
pub fn session(body: &[u8]) -> Result<SyncId, Error> {
    let (call, answer) = answer(Operation::StartSync, body);
    read::session(answer, &call)
}

/// The response to a progress request.
pub fn progress(body: &[u8]) -> Result<Progress, Error> {
    let (call, answer) = answer(Operation::Progress, body);
    read::progress(answer, &call)
}

/// The response to a page of records.
pub fn pushed(body: &[u8]) -> Result<Pushed, Error> {
    read::pushed(answer(Operation::Push, body).1)
}

/// The response to `complete` and `abandon`.
pub fn acknowledged(body: &[u8]) -> Result<(), Error> {
    answer(Operation::Complete, body).1.acknowledged()
}

/// The response to the creation of an app.
pub fn app(body: &[u8]) -> Result<App, Error> {
    let (call, answer) = answer(Operation::CreateApp, body);
    read::app(answer, &call)
}

/// One page of the list of apps.
pub fn apps(body: &[u8], page: &Url) -> Result<Vec<App>, Error> {
    let (call, answer) = answer(Operation::ListApps, body);
    read::list(answer, &call, page, LoopDetector::from(page)).map(|(listing, _)| read::apps(listing.items))
}

/// One page of the list of resource types.
pub fn resource_types(body: &[u8], page: &Url) -> Result<Vec<ResourceType>, Error> {
    let (call, answer) = answer(Operation::ListResourceTypes, body);
    let (listing, _) = read::list(answer, &call, page, LoopDetector::from(page))?;
    Ok(read::resource_types(&listing.items).into_iter().filter_map(super::resource::Listed::known).collect())
}

/// The error for a rejection of any call.
pub fn refusal(
    operation: Operation,
    status: u16,
    wait: Option<Duration>,
    body: &[u8],
    key: &ApiKey,
) -> Error {
    meaning(&Call::new(operation, app_id()), status, wait, body, key)
}
