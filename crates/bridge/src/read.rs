//! Parses each kind of response. Pure functions: the client passes them real responses, and the fuzz targets possible ones.

use bridgehead_sdk::TaskId;
use serde_json::{Map, Value};
use url::Url;

use super::answer::Answer;
use super::listing::Listing;
use super::next::LoopDetector;
use super::resource::Listed;
use super::{App, Call, Error, NextPage, Progress, Pushed, SyncId, Task, TaskPage, TaskStatus, endpoint};

/// A page of a list; `page` is the URL of the request, `trail` detects loops in the links that led to it.
pub(super) fn list(
    answer: Answer,
    call: &Call,
    page: &Url,
    trail: LoopDetector,
) -> Result<(Listing, Option<NextPage>), Error> {
    let mut listing = Listing::from_json(call, answer.json()?)?;
    let next = listing.next.take().map(|link| NextPage::from_link(call, page, trail, &link)).transpose()?;
    Ok((listing, next))
}

/// The maximum number of unreadable items to report per page.
const COMPLAINTS: usize = 100;

/// A page of tasks; an unreadable task does not affect the others.
pub(super) fn task_page(
    answer: Answer,
    call: &Call,
    page: &Url,
    trail: LoopDetector,
    asked_for: &TaskStatus,
) -> Result<TaskPage, Error> {
    let (listing, next) = list(answer, call, page, trail)?;
    let mut page = TaskPage { tasks: Vec::new(), unreadable: Vec::new(), count: listing.count, next };
    for item in listing.items {
        match Task::from_json(item, asked_for) {
            Ok(task) => page.tasks.push(task),
            // They are similar, and a response may contain millions of them.
            Err(what) if page.unreadable.len() < COMPLAINTS => page.unreadable.push(what),
            Err(_) => {}
        }
    }
    Ok(page)
}

/// The requested task. A different task in the response would be executed in its place.
pub(super) fn task(answer: Answer, call: &Call, wanted: &TaskId) -> Result<Task, Error> {
    let task =
        Task::from_json(answer.json()?, &TaskStatus::Pending).map_err(|what| Error::malformed(call, what))?;
    if is_same(task.id.as_str(), wanted) {
        Ok(task)
    } else {
        Err(Error::malformed(call, "a different task from the one requested"))
    }
}

/// Whether Iden received a report: the response is the task, as documented, or at least has a final state. Any other response may come from
/// a proxy, and the outcome would be lost; if Iden did receive it, repeating the report returns 409.
pub(super) fn reported(answer: Answer, call: &Call, task: &TaskId) -> Result<(), Error> {
    let fields = answer.object()?;
    let is_this_one = match fields.get("id") {
        None | Some(Value::Null) => None,
        Some(Value::String(id)) => Some(is_same(id, task)),
        Some(id) => Some(is_same(&id.to_string(), task)),
    };
    let status = match fields.get("status") {
        None | Some(Value::Null) => None,
        Some(Value::String(status)) => Some(TaskStatus::from_name(status)),
        Some(_) => return Err(Error::malformed(call, "a task whose status is not a string")),
    };
    match (is_this_one, status) {
        (Some(false), _) => Err(Error::malformed(call, "a different task from the one reported")),
        (_, Some(TaskStatus::Pending | TaskStatus::Scheduled)) => {
            Err(Error::malformed(call, "a task that is still pending"))
        }
        (Some(true), _) | (None, Some(TaskStatus::Completed | TaskStatus::Failed)) => Ok(()),
        (None, _) => Err(Error::malformed(call, "something that is not a task")),
    }
}

/// UUIDs are not case-sensitive.
fn is_same(id: &str, wanted: &TaskId) -> bool {
    id.eq_ignore_ascii_case(wanted.as_str())
}

/// The identifier of a new sync session.
pub(super) fn session(answer: Answer, call: &Call) -> Result<SyncId, Error> {
    let id = match answer.object()?.get("sync_id") {
        Some(Value::String(id)) if endpoint::is_segment(id) => id.clone(),
        Some(Value::Number(id)) if !id.is_f64() => id.to_string(),
        _ => return Err(Error::malformed(call, "a sync session without a sync_id")),
    };
    Ok(SyncId::new(id))
}

/// The progress of a session.
pub(super) fn progress(answer: Answer, call: &Call) -> Result<Progress, Error> {
    Progress::from_json(&answer.object()?).map_err(|what| Error::malformed(call, what))
}

/// The result of pushing a page of records.
pub(super) fn pushed(answer: Answer) -> Result<Pushed, Error> {
    let repeated = answer.repeated;
    answer.object().map(|fields: Map<String, Value>| Pushed::from_json(&fields, repeated))
}

/// A new app.
pub(super) fn app(answer: Answer, call: &Call) -> Result<App, Error> {
    App::from_json(answer.object()?.into()).map_err(|what| Error::malformed(call, what))
}

/// Apps from a list; unreadable ones are skipped and logged.
pub(super) fn apps(items: Vec<Value>) -> Vec<App> {
    let readable = items.into_iter().filter_map(|item| {
        App::from_json(item).inspect_err(|what| tracing::warn!(%what, "skipping an app in the list")).ok()
    });
    readable.collect()
}

/// Resource types from a list; those without a slug are skipped and logged.
pub(super) fn resource_types(items: &[Value]) -> Vec<Listed> {
    let listed = items.iter().filter_map(|item| {
        let listed = Listed::from_json(item);
        if listed.is_none() {
            tracing::warn!("skipping a resource type without a slug");
        }
        listed
    });
    listed.collect()
}
