//! The tasks of an app, indexed so that the cost of a page does not depend on the number of tasks, even with a hundred thousand of them.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::clock::later;
use crate::paging::Window;
use crate::refusal::Refusal;
use crate::schema;
use crate::settings::TaskOrder;

/// The allowed codes of a failed task, from the Error Reference.
const CODES: [&str; 7] = [
    "ACCOUNT_NOT_FOUND",
    "ACCOUNT_ALREADY_EXISTS",
    "LICENSE_EXHAUSTED",
    "PERMISSION_DENIED",
    "RATE_LIMITED",
    "TIMEOUT",
    "INTERNAL_ERROR",
];
/// The names of the task states in the API.
pub(crate) const STATUSES: [&str; 4] = ["pending", "scheduled", "completed", "failed"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Pending,
    Scheduled,
    Completed,
    Failed,
}

impl Status {
    const ALL: [Self; 4] = [Self::Pending, Self::Scheduled, Self::Completed, Self::Failed];

    fn as_str(self) -> &'static str {
        STATUSES[self as usize]
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == name)
    }
}

/// A task that is about to be added.
pub(crate) struct Draft {
    /// The task in the wire format.
    wire: Value,
    id: String,
    created_at: Timestamp,
    status: Status,
    execute_after: Option<Timestamp>,
    is_raw: bool,
}

/// Creates a complete task from the control plane's input. With `"raw": true` nothing is completed or checked: the rest of the object, or
/// the value of `task`, is stored unchanged.
pub(crate) fn draft(given: Value, now: Timestamp) -> Result<Draft, String> {
    match given {
        Value::Object(mut fields) if fields.get("raw") == Some(&Value::Bool(true)) => {
            fields.shift_remove("raw");
            let wire = match fields.shift_remove("task") {
                Some(task) if fields.is_empty() => task,
                Some(task) => {
                    fields.insert("task".to_owned(), task);
                    Value::Object(fields)
                }
                None => Value::Object(fields),
            };
            Ok(Draft::raw(wire, now))
        }
        Value::Object(mut fields) => {
            fields.shift_remove("raw");
            Draft::complete(fields, now)
        }
        _ => {
            Err("a task is a JSON object; to put in something else, send {\"raw\": true, \"task\": …}"
                .to_owned())
        }
    }
}

impl Draft {
    /// A task that is stored unchanged. If it has no string as its id, an internal id is generated.
    pub(crate) fn raw(wire: Value, now: Timestamp) -> Self {
        let text = |name: &str| wire.get(name).and_then(Value::as_str);
        let time = |name: &str| text(name).and_then(|text| text.parse::<Timestamp>().ok());
        Self {
            id: text("id").map_or_else(|| Uuid::new_v4().to_string(), str::to_owned),
            created_at: time("created_at").unwrap_or(now),
            status: text("status").and_then(Status::from_name).unwrap_or(Status::Pending),
            execute_after: time("execute_after"),
            is_raw: true,
            wire,
        }
    }

    fn complete(mut given: Map<String, Value>, now: Timestamp) -> Result<Self, String> {
        let seconds = match given.shift_remove("execute_after_seconds") {
            None | Some(Value::Null) => None,
            Some(value) => Some(
                value
                    .as_f64()
                    .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
                    .ok_or("execute_after_seconds: must be a number of seconds from now, not negative")?,
            ),
        };
        let execute_after = match seconds {
            Some(seconds) => Some(later(now, seconds)),
            None => take_time(&mut given, "execute_after")?,
        };
        let created_at = take_time(&mut given, "created_at")?.unwrap_or(now);
        let status = match given.shift_remove("status") {
            None | Some(Value::Null) if execute_after.is_some_and(|at| at > now) => Status::Scheduled,
            None | Some(Value::Null) => Status::Pending,
            Some(value) => value
                .as_str()
                .and_then(Status::from_name)
                .ok_or_else(|| format!("status: {}", schema::not_one_of(&STATUSES)))?,
        };
        let id = match given.shift_remove("id") {
            None | Some(Value::Null) => Uuid::new_v4().to_string(),
            Some(Value::String(id)) if !id.is_empty() => id,
            Some(_) => return Err("id: must be text; to put in something else, add \"raw\": true".to_owned()),
        };
        let mut payload = json!({"account": null, "memberships": null, "changes": null});
        match given.shift_remove("payload") {
            None => {}
            Some(Value::Object(fields)) => {
                for (name, value) in fields {
                    payload[name] = value;
                }
            }
            Some(_) => {
                return Err(
                    "payload: must be an object; to put in something else, add \"raw\": true".to_owned()
                );
            }
        }
        let mut wire = Map::new();
        wire.insert("id".to_owned(), id.as_str().into());
        for (name, default) in [("action", "create_account"), ("resource_type", "account")] {
            let value = given.shift_remove(name).unwrap_or_else(|| default.into());
            wire.insert(name.to_owned(), value);
        }
        wire.insert("status".to_owned(), status.as_str().into());
        wire.insert("execute_after".to_owned(), execute_after.map(|at| at.to_string()).into());
        wire.insert("created_at".to_owned(), created_at.to_string().into());
        wire.insert("payload".to_owned(), payload);
        wire.extend(given);
        Ok(Self { wire: Value::Object(wire), id, created_at, status, execute_after, is_raw: false })
    }
}

fn take_time(fields: &mut Map<String, Value>, name: &str) -> Result<Option<Timestamp>, String> {
    match fields.shift_remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => value
            .as_str()
            .and_then(|text| text.parse().ok())
            .map(Some)
            .ok_or_else(|| format!("{name}: must be a time such as 2026-01-31T12:00:00Z")),
    }
}

struct Task {
    wire: Value,
    id: String,
    created_at: Timestamp,
    status: Status,
    execute_after: Option<Timestamp>,
    result: Value,
    error: Value,
}

/// Tasks with equal `created_at` are in the order in which they were added.
type Place = (Timestamp, u64);

/// All tasks of an app.
#[derive(Default)]
pub(crate) struct TaskBoard {
    tasks: HashMap<u64, Task>,
    put_in: u64,
    /// More than one only for raw tasks.
    by_id: HashMap<String, Vec<u64>>,
    all: BTreeSet<Place>,
    by_status: [BTreeSet<Place>; 4],
    /// Scheduled tasks, ordered by the time at which they fall due.
    due: BTreeSet<Place>,
}

impl TaskBoard {
    /// Adds a task and returns its id. A task with an existing id replaces the old one, unless it is raw.
    pub(crate) fn add(&mut self, draft: Draft) -> String {
        if !draft.is_raw {
            for number in self.by_id.remove(&draft.id).unwrap_or_default() {
                self.remove(number);
            }
        }
        self.put_in += 1;
        let number = self.put_in;
        let place = (draft.created_at, number);
        self.all.insert(place);
        self.by_status[draft.status as usize].insert(place);
        if let (Status::Scheduled, Some(at)) = (draft.status, draft.execute_after) {
            self.due.insert((at, number));
        }
        self.by_id.entry(draft.id.clone()).or_default().push(number);
        let id = draft.id.clone();
        self.tasks.insert(
            number,
            Task {
                wire: draft.wire,
                id: draft.id,
                created_at: draft.created_at,
                status: draft.status,
                execute_after: draft.execute_after,
                result: Value::Null,
                error: Value::Null,
            },
        );
        id
    }

    fn remove(&mut self, number: u64) {
        if let Some(task) = self.tasks.remove(&number) {
            let place = (task.created_at, number);
            self.all.remove(&place);
            self.by_status[task.status as usize].remove(&place);
            if let Some(at) = task.execute_after {
                self.due.remove(&(at, number));
            }
        }
    }

    /// Makes scheduled tasks pending when their time has come.
    pub(crate) fn settle(&mut self, now: Timestamp) {
        while let Some(&(at, number)) = self.due.first() {
            if at > now {
                break;
            }
            self.due.pop_first();
            self.become_status(number, Status::Pending);
        }
    }

    fn become_status(&mut self, number: u64, status: Status) {
        let Some(task) = self.tasks.get_mut(&number) else {
            return;
        };
        let place = (task.created_at, number);
        self.by_status[task.status as usize].remove(&place);
        self.by_status[status as usize].insert(place);
        task.status = status;
        if let Some(shown) = task.wire.get_mut("status") {
            *shown = status.as_str().into();
        }
    }

    /// The page of a list in the wire format, and the length of the list.
    pub(crate) fn page(
        &self,
        status: Option<Status>,
        order: TaskOrder,
        window: Window,
    ) -> (usize, Vec<Value>) {
        let places = status.map_or(&self.all, |status| &self.by_status[status as usize]);
        let cut = match order {
            TaskOrder::OldestFirst => window.cut(places.iter()),
            TaskOrder::NewestFirst => window.cut(places.iter().rev()),
        };
        let page = cut
            .into_iter()
            .filter_map(|(_, number)| self.tasks.get(number))
            .map(|task| task.wire.clone())
            .collect();
        (places.len(), page)
    }

    /// A task in the wire format.
    pub(crate) fn get(&self, id: &str) -> Result<Value, Refusal> {
        self.find(id).map(|task| task.wire.clone())
    }

    /// All tasks with `result` and `error`, ordered by `created_at`; optionally only those with one status.
    pub(crate) fn with_outcomes(&self, status: Option<Status>) -> impl Iterator<Item = Value> + '_ {
        status
            .map_or(&self.all, |status| &self.by_status[status as usize])
            .iter()
            .filter_map(|(_, number)| self.tasks.get(number))
            .map(|task| {
                let mut shown = task.wire.clone();
                if let Value::Object(fields) = &mut shown {
                    fields.insert("result".to_owned(), task.result.clone());
                    fields.insert("error".to_owned(), task.error.clone());
                }
                shown
            })
    }

    /// The number of tasks with a status, or of all tasks.
    pub(crate) fn count(&self, status: Option<Status>) -> usize {
        status.map_or(&self.all, |status| &self.by_status[status as usize]).len()
    }

    /// The number of tasks in each state, in the order of [`STATUSES`].
    pub(crate) fn counts(&self) -> [usize; 4] {
        self.by_status.each_ref().map(BTreeSet::len)
    }

    /// Applies a report and returns the updated task.
    pub(crate) fn report(&mut self, id: &str, body: &[u8]) -> Result<Value, Refusal> {
        let status = self.find(id)?.status;
        let outcome = Outcome::read(body)?;
        match status {
            Status::Pending => {}
            Status::Completed | Status::Failed => {
                return Err(Refusal::conflict(format!(
                    "Task is already in '{}' state and cannot be updated.",
                    status.as_str()
                )));
            }
            Status::Scheduled => {
                return Err(Refusal::bad_request(
                    "Task is in 'scheduled' state and cannot be updated before it is pending.",
                ));
            }
        }
        for number in self.by_id.get(id).cloned().unwrap_or_default() {
            self.become_status(number, outcome.status);
            if let Some(task) = self.tasks.get_mut(&number) {
                task.result = outcome.result.clone();
                task.error = outcome.error.clone();
            }
        }
        self.get(id)
    }

    /// The response of [`report`](Self::report) without its effect.
    pub(crate) fn pretend(&self, id: &str, body: &[u8]) -> Result<Value, Refusal> {
        let mut task = self.get(id)?;
        task["status"] = Outcome::read(body)?.status.as_str().into();
        Ok(task)
    }

    fn find(&self, id: &str) -> Result<&Task, Refusal> {
        self.by_id
            .get(id)
            .and_then(|numbers| numbers.first())
            .and_then(|number| self.tasks.get(number))
            .filter(|task| task.id == id)
            .ok_or_else(|| Refusal::not_found("Task not found."))
    }
}

/// The content of a report: `{"status", "result"?, "error"?}`.
struct Outcome {
    status: Status,
    result: Value,
    error: Value,
}

impl Outcome {
    fn read(body: &[u8]) -> Result<Self, Refusal> {
        let fields = schema::object(body)?;
        let status = match schema::one_of(schema::required(&fields, "status")?, &["completed", "failed"])? {
            "completed" => Status::Completed,
            _ => Status::Failed,
        };
        let result = fields.get("result").cloned().unwrap_or_default();
        if !(result.is_null() || result.is_object()) {
            return Err(Refusal::bad_request("Input should be a valid dictionary"));
        }
        let error = fields.get("error").cloned().unwrap_or_default();
        match (&error, status) {
            (Value::Null, Status::Failed) => {
                return Err(Refusal::bad_request("Value error, 'error' is required when status is 'failed'"));
            }
            (Value::Null, _) => {}
            (Value::Object(_), Status::Completed) => {
                return Err(Refusal::bad_request(
                    "Value error, 'error' must be null when status is 'completed'",
                ));
            }
            (Value::Object(error), _) => {
                schema::one_of(schema::required(error, "code")?, &CODES)?;
                schema::text(schema::required(error, "message")?)?;
            }
            _ => return Err(Refusal::bad_request("Input should be a valid dictionary")),
        }
        Ok(Self { status, result, error })
    }
}
