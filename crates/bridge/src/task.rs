//! Tasks, parsed leniently: one malformed task must never hide the others.

use bridgehead_sdk::TaskId;
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use super::{NextPage, TaskStatus, endpoint};

/// A task from the Bridge.
///
/// `Debug` shows neither the payload nor the values of unknown fields: they may contain a password.
#[derive(Clone, PartialEq)]
pub struct Task {
    /// Its identifier. A UUID always has the same spelling, however Iden writes it.
    pub id: TaskId,
    /// The identifier as Iden wrote it, if its spelling is different: Iden's URLs use this one.
    pub spelling: Option<String>,
    /// The requested action; empty if it is missing or not a string.
    pub action: String,
    /// The slug of its resource type.
    pub resource_type: Option<String>,
    /// Its state.
    pub status: TaskStatus,
    /// The earliest time of execution.
    pub execute_after: Option<Timestamp>,
    /// When it was created.
    pub created_at: Option<Timestamp>,
    /// The account, memberships and changes; `null` if there is no payload.
    pub payload: Value,
    /// All other fields, unchanged. A field from above that could not be parsed is here too, under its own name.
    pub extra: Map<String, Value>,
}

/// The replacement for a payload that is too large to read.
pub const TOO_LARGE: &str = "(too large to read)";

/// Which tasks to list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskQuery {
    /// Tasks in this state.
    pub status: TaskStatus,
    /// The maximum number of tasks on a page.
    pub limit: u32,
}

/// A page of tasks.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskPage {
    /// The readable tasks.
    pub tasks: Vec<Task>,
    /// What is wrong with the first hundred unreadable tasks, without values.
    pub unreadable: Vec<String>,
    /// The number of tasks on all pages, if the Bridge returns it.
    pub count: Option<u64>,
    /// The page after this one.
    pub next: Option<NextPage>,
}

impl Task {
    /// Creates a pending task that is too large to read, so that only its id is known.
    pub fn too_large(id: &str) -> Result<Self, String> {
        let fields = Map::from_iter([("id".to_owned(), id.into()), ("payload".to_owned(), TOO_LARGE.into())]);
        Self::from_json(Value::Object(fields), &TaskStatus::Pending)
    }

    /// Parses a task. Fails only if there is no usable `id`; the error contains no values.
    pub fn from_json(value: Value, asked_for: &TaskStatus) -> Result<Self, String> {
        let Value::Object(mut fields) = value else {
            return Err("a task is not an object".to_owned());
        };
        let id = match fields.shift_remove("id") {
            Some(Value::String(id)) if endpoint::is_segment(&id) => id,
            Some(Value::Number(id)) if !id.is_f64() => id.to_string(),
            None | Some(Value::Null) => return Err("a task has no id".to_owned()),
            Some(_) => return Err("a task has an invalid id".to_owned()),
        };
        let canonical = uuid::Uuid::try_parse(&id).ok().map(|uuid| uuid.to_string());
        let (id, spelling) = match canonical {
            Some(canonical) if canonical != id => (canonical, Some(id)),
            _ => (id, None),
        };
        let action = take(&mut fields, "action", |value| value.as_str().map(str::to_owned));
        let status = take(&mut fields, "status", |value| value.as_str().map(TaskStatus::from_name));
        Ok(Self {
            id: TaskId::new(id),
            spelling,
            action: action.unwrap_or_default(),
            resource_type: take(&mut fields, "resource_type", |value| value.as_str().map(str::to_owned)),
            status: status.unwrap_or_else(|| asked_for.clone()),
            execute_after: take(&mut fields, "execute_after", time),
            created_at: take(&mut fields, "created_at", time),
            payload: fields.shift_remove("payload").unwrap_or_default(),
            extra: fields,
        })
    }
}

/// Removes and returns a field if it is readable; `null` counts as absent.
fn take<T>(fields: &mut Map<String, Value>, name: &str, read: impl Fn(&Value) -> Option<T>) -> Option<T> {
    let value = fields.get(name)?;
    let read = read(value);
    if read.is_some() || value.is_null() {
        fields.shift_remove(name);
    }
    read
}

/// A time with an offset; without one, it is UTC.
pub(super) fn time(value: &Value) -> Option<Timestamp> {
    let text = value.as_str()?;
    text.parse().ok().or_else(|| {
        let civil: jiff::civil::DateTime = text.parse().ok()?;
        civil.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
    })
}

impl Serialize for Task {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = Map::new();
        fields.insert("id".to_owned(), self.id.as_str().into());
        fields.insert("action".to_owned(), self.action.as_str().into());
        fields.insert("resource_type".to_owned(), self.resource_type.clone().into());
        fields.insert("status".to_owned(), self.status.as_str().into());
        fields.insert("execute_after".to_owned(), self.execute_after.map(|time| time.to_string()).into());
        fields.insert("created_at".to_owned(), self.created_at.map(|time| time.to_string()).into());
        fields.insert("payload".to_owned(), self.payload.clone());
        fields.extend(self.extra.clone());
        fields.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Task {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_json(Value::deserialize(deserializer)?, &TaskStatus::Pending)
            .map_err(serde::de::Error::custom)
    }
}

impl std::fmt::Debug for Task {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Task")
            .field("id", &self.id)
            .field("action", &self.action)
            .field("resource_type", &self.resource_type)
            .field("status", &self.status)
            .field("execute_after", &self.execute_after)
            .field("created_at", &self.created_at)
            .field("extra", &self.extra.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn read(value: Value) -> Result<Task, String> {
        Task::from_json(value, &TaskStatus::Scheduled)
    }

    #[test]
    fn documented_task_round_trips() {
        let value = json!({
            "id": "t1", "action": "create_account", "resource_type": "account", "status": "pending",
            "execute_after": null, "created_at": "2026-01-02T03:04:05Z",
            "payload": {"account": {"id": "u1"}, "memberships": null, "changes": null},
            "requested_by": {"name": "Ann"}, "priority": 3
        });
        let task = read(value.clone()).unwrap();
        assert_eq!(task.status, TaskStatus::Pending);
        assert_eq!(task.created_at.unwrap().to_string(), "2026-01-02T03:04:05Z");
        assert_eq!(serde_json::to_value(task).unwrap(), value);
    }

    #[test]
    fn numbers_in_a_payload_keep_their_precision() {
        for text in ["18446744.837095518", "48.85837009999999", "1.7976931348623157e308", "5e-324"] {
            let body = format!(r#"{{"id": "t", "payload": {{"x": {text}}}}}"#);
            let read = read(serde_json::from_str(&body).unwrap()).unwrap();
            let again: Task = serde_json::from_str(&serde_json::to_string(&read).unwrap()).unwrap();
            assert_eq!(read, again);
            assert_eq!(read.payload["x"].as_f64(), text.parse().ok(), "{text}");
        }
    }

    #[test]
    fn fields_of_wrong_type_are_preserved() {
        let value =
            json!({"id": 7, "action": 1, "status": [], "created_at": "yesterday", "resource_type": {}});
        let task = read(value).unwrap();
        assert_eq!((task.id.as_str(), task.action.as_str()), ("7", ""));
        assert_eq!((task.status.clone(), task.created_at), (TaskStatus::Scheduled, None));
        let written = serde_json::to_value(task).unwrap();
        assert_eq!((&written["action"], &written["created_at"]), (&json!(1), &json!("yesterday")));
    }

    #[test]
    fn timestamp_without_offset_is_utc() {
        let task = read(json!({"id": "t", "created_at": "2026-01-02T03:04:05.5"})).unwrap();
        assert_eq!(task.created_at.unwrap().to_string(), "2026-01-02T03:04:05.5Z");
        let task = read(json!({"id": "t", "created_at": "2026-01-02T03:04:05+02:00"})).unwrap();
        assert_eq!(task.created_at.unwrap().to_string(), "2026-01-02T01:04:05Z");
    }

    #[test]
    fn only_a_missing_or_invalid_id_makes_a_task_unreadable() {
        for odd in [
            json!(null),
            json!([]),
            json!({}),
            json!({"id": ""}),
            json!({"id": null}),
            json!({"id": 1.5}),
            json!({"id": ".."}),
            json!({"id": "a\nb"}),
            json!({"id": ["secret"]}),
        ] {
            let told = read(odd.clone()).unwrap_err();
            assert!(told.starts_with("a task") && !told.contains("secret"), "{odd}: {told}");
        }
    }

    #[test]
    fn debug_hides_payload_values() {
        let task =
            read(json!({"id": "t", "payload": {"account": {"password": "hunter2"}}, "pin": "9876"})).unwrap();
        let shown = format!("{task:?}");
        assert!(!shown.contains("hunter2") && !shown.contains("9876"), "{shown}");
    }

    #[test]
    fn undocumented_status_is_preserved() {
        let task = read(json!({"id": "t", "status": "paused"})).unwrap();
        assert_eq!(task.status, TaskStatus::Other("paused".to_owned()));
        assert!(!task.status.is_terminal());
        assert!(TaskStatus::from_name("FAILED").is_terminal());
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".{0,8}".prop_map(Value::from)
        ];
        leaf.prop_recursive(3, 16, 4, |inner| {
            let name = prop_oneof![
                Just("id"),
                Just("action"),
                Just("status"),
                Just("payload"),
                Just("created_at"),
                Just("x")
            ]
            .prop_map(str::to_owned);
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::hash_map(name, inner, 0..6)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_parsed_task_round_trips(value in any_json()) {
            if let Ok(task) = read(value) {
                let again = read(serde_json::to_value(&task).unwrap()).unwrap();
                prop_assert_eq!(again, task);
            }
        }
    }
}
