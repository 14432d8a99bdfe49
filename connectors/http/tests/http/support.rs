//! Connectors from recipes and tables.

use std::sync::Arc;

use bridgehead_sdk::{Connector, SettingsError, Setup};
use serde_json::{Map, Value};

/// The `target` table of the only app of an example in `config/examples`, with each secret replaced by this text.
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

/// A connector of a `target` table.
pub(crate) fn build(target: &Map<String, Value>) -> Result<Arc<dyn Connector>, SettingsError> {
    bridgehead_http::factory().build(Setup::new("app", target.clone()))
}

/// Names such as `user-00007`.
pub(crate) fn names(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("user-{number:05}")).collect()
}
