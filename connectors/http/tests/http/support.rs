//! Builds connectors from recipes and tables.

use std::sync::Arc;
use std::time::Duration;

use bridgehead_sdk::{
    Account, Action, Completion, Connector, Context, Error, Operation, Record, RejectedRecord, ResourceType,
    SettingsError, Setup,
};
use serde_json::{Map, Value};

/// The `target` table of the only app of an example in `config/examples`, with each secret replaced by `secret`.
pub(crate) fn recipe(name: &str, secret: &str) -> Map<String, Value> {
    let path = format!("{}/../../config/examples/{name}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    let file: Value = toml::from_str(&text).unwrap();
    let app = file["apps"].as_object().unwrap().values().next().unwrap();
    let mut target = app["target"].clone();
    fill_in(&mut target, secret);
    target.as_object().unwrap().clone()
}

fn fill_in(value: &mut Value, secret: &str) {
    match value {
        Value::Object(fields) if fields.len() == 1 && fields.contains_key("env") => *value = secret.into(),
        Value::Object(fields) => fields.values_mut().for_each(|field| fill_in(field, secret)),
        Value::Array(items) => items.iter_mut().for_each(|item| fill_in(item, secret)),
        _ => {}
    }
}

/// A connector with this `target` table.
pub(crate) fn build(target: &Map<String, Value>) -> Result<Arc<dyn Connector>, SettingsError> {
    bridgehead_http::factory().build(Setup::new("app", target.clone()))
}

/// Sets the value at a path such as `create_account.steps.0.path`; `null` removes it.
pub(crate) fn set(target: &mut Map<String, Value>, path: &str, value: Value) {
    let mut whole = Value::Object(std::mem::take(target));
    let mut place = &mut whole;
    let names: Vec<&str> = path.split('.').collect();
    let (last, parents) = names.split_last().unwrap();
    for name in parents {
        place = match place {
            Value::Array(items) => &mut items[name.parse::<usize>().unwrap()],
            other => &mut other[*name],
        };
    }
    match place {
        Value::Array(items) if *last == "+" => items.push(value),
        Value::Array(items) => items[last.parse::<usize>().unwrap()] = value,
        other if value.is_null() => {
            other.as_object_mut().unwrap().remove(*last);
        }
        other => other[*last] = value,
    }
    target.extend(whole.as_object().unwrap().clone());
}

/// Names such as `user-00007`.
pub(crate) fn names(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("user-{number:05}")).collect()
}

/// Executes the action of a task.
pub(crate) async fn execute(
    connector: &Arc<dyn Connector>,
    action: Action,
    payload: Value,
) -> Result<Completion, Error> {
    let context = Context::first("task-1", Duration::from_secs(60));
    let operation = Operation::parse(action, serde_json::from_value(payload).unwrap()).unwrap();
    connector.execute(&context, &operation).await
}

/// An account as a task identifies it.
pub(crate) fn account(fields: Value) -> Account {
    serde_json::from_value(fields).unwrap()
}

/// Reads a listing to its end: the identifiers, the rejected records, and the number of pages.
pub(crate) async fn list(
    connector: &Arc<dyn Connector>,
    of: &ResourceType,
) -> Result<(Vec<String>, Vec<RejectedRecord>, usize), Error> {
    let (mut ids, mut rejected, mut cursor, mut pages) = (Vec::new(), Vec::new(), None, 0);
    loop {
        let page = connector.list(of, cursor.as_ref()).await?;
        pages += 1;
        assert!(pages < 1000, "the listing finds no end");
        ids.extend(page.records.iter().map(Record::id).map(str::to_owned));
        rejected.extend(page.rejected);
        match page.next {
            Some(next) => cursor = Some(next),
            None => return Ok((ids, rejected, pages)),
        }
    }
}

/// The resource type of the accounts.
pub(crate) fn accounts() -> ResourceType {
    ResourceType::account("account", "Account")
}
