//! The JSON schema of the whole file, for editors and for `bridgehead config schema`.

use std::sync::LazyLock;

use bridgehead_sdk::is_secret_name;
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::keys::MISSING;
use super::target::RATE_LIMIT;
use super::{Config, Connectors, RateLimit, Secret};

/// The JSON schema (draft 2020-12) of the whole file, with the target of each connector.
///
/// Where a connector expects a string, a reference to a secret is allowed; a key whose name indicates a secret requires a reference.
pub fn schema(connectors: &Connectors) -> Value {
    let mut schema = document();
    let mut definitions = Map::new();
    definitions.insert("secret".to_owned(), part(generate::<Secret>()));
    let rate_limit = part(generate::<RateLimit>());
    let mut targets = Vec::new();
    for (name, factory) in connectors {
        let definition = format!("target.{name}");
        let pointer = format!("#/$defs/{}", definition.replace('~', "~0").replace('/', "~1"));
        let mut target = part(factory.schema());
        drop_null(&mut target);
        let needed = target.get("required").and_then(Value::as_array).is_some_and(|keys| !keys.is_empty());
        let own = target.as_object_mut().and_then(|target| target.remove("$defs"));
        admit_references(&mut target, &pointer);
        if let Some(fields) = target.as_object_mut() {
            let properties = fields.entry("properties").or_insert_with(|| json!({}));
            if let Some(properties) = properties.as_object_mut() {
                properties.insert(RATE_LIMIT.to_owned(), rate_limit.clone());
            }
        }
        for (inner, mut schema) in own.into_iter().filter_map(into_object).flatten() {
            admit_references(&mut schema, &pointer);
            definitions.insert(format!("{definition}.{inner}"), schema);
        }
        definitions.insert(definition, target);
        let mut then = json!({ "properties": { "target": { "$ref": pointer } } });
        if needed && let Some(then) = then.as_object_mut() {
            then.insert("required".to_owned(), json!(["target"]));
        }
        let chosen = json!({ "properties": { "connector": { "const": name } }, "required": ["connector"] });
        targets.push(json!({ "if": chosen, "then": then }));
    }
    if let Some(app) =
        schema.pointer_mut("/properties/apps/additionalProperties").and_then(Value::as_object_mut)
    {
        if let Some(connector) =
            app.get_mut("properties").and_then(|properties| properties.get_mut("connector"))
        {
            connector["enum"] = connectors.keys().map(String::as_str).collect();
        }
        app.insert("allOf".to_owned(), Value::Array(targets));
    }
    if let Some(schema) = schema.as_object_mut() {
        schema.insert("$defs".to_owned(), Value::Object(definitions));
    }
    schema
}

/// The schema of the file without connectors.
pub(super) fn document() -> Value {
    generate::<Config>()
}

/// The internal description of the file: the schema with its extensions, and the names of the connectors.
pub(super) fn description(connectors: &Connectors) -> Value {
    static CONFIG: LazyLock<Value> = LazyLock::new(described::<Config>);
    let mut description = CONFIG.clone();
    if let Some(connector) =
        description.pointer_mut("/properties/apps/additionalProperties/properties/connector")
    {
        connector["enum"] = connectors.keys().map(String::as_str).collect();
    }
    description
}

fn described<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let mut schema = settings.into_generator().into_root_schema_for::<T>().to_value();
    drop_null(&mut schema);
    schema
}

fn generate<T: JsonSchema>() -> Value {
    let mut schema = described::<T>();
    publish(&mut schema);
    schema
}

/// Removes what is for internal use only: hints for missing keys, and defaults of whole tables, which repeat those of their keys.
fn publish(schema: &mut Value) {
    let Some(fields) = schema.as_object_mut() else {
        return;
    };
    let is_table = |value: &Value| value.is_null() || value.is_object();
    fields.retain(|name, value| name != MISSING && (name != "default" || !is_table(value)));
    for keyword in ["items", "additionalProperties"] {
        fields.get_mut(keyword).into_iter().for_each(publish);
    }
    let properties = fields.get_mut("properties").and_then(Value::as_object_mut);
    properties.into_iter().flat_map(Map::values_mut).for_each(publish);
}

/// Embeds a schema in another one: the draft is declared only at the top level.
fn part(mut schema: Value) -> Value {
    if let Some(fields) = schema.as_object_mut() {
        fields.remove("$schema");
    }
    schema
}

fn into_object(value: Value) -> Option<Map<String, Value>> {
    match value {
        Value::Object(fields) => Some(fields),
        _ => None,
    }
}

/// TOML has no `null`: an optional key is left out instead.
fn drop_null(schema: &mut Value) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(drop_null),
        Value::Object(fields) => {
            fields.values_mut().for_each(drop_null);
            if let Some(Value::Array(types)) = fields.get_mut("type") {
                types.retain(|one| one != "null");
                if let [only] = types.as_slice() {
                    let only = only.clone();
                    fields.insert("type".to_owned(), only);
                }
            }
            if let Some(Value::Array(values)) = fields.get_mut("enum") {
                values.retain(|value| !value.is_null());
            }
            if let Some(Value::Array(alternatives)) = fields.get_mut("anyOf") {
                alternatives.retain(|one| one.get("type") != Some(&Value::from("null")));
                if let [Value::Object(only)] = alternatives.as_slice() {
                    let only = only.clone();
                    fields.remove("anyOf");
                    for (name, value) in only {
                        // The description of the key takes precedence over the description of its type.
                        fields.entry(name).or_insert(value);
                    }
                }
            }
        }
        _ => {}
    }
}

/// Processes a connector's schema: strings may be references to secrets, and references to its root become references to `pointer`.
fn admit_references(schema: &mut Value, pointer: &str) {
    let Some(fields) = schema.as_object_mut() else {
        return;
    };
    if let Some(Value::String(reference)) = fields.get_mut("$ref") {
        *reference = match reference.strip_prefix("#/$defs/") {
            Some(inner) => format!("{pointer}.{inner}"),
            None => pointer.to_owned(),
        };
    }
    for keyword in ["items", "additionalProperties"] {
        if let Some(inner) = fields.get_mut(keyword) {
            admit(inner, pointer, false);
        }
    }
    for keyword in ["anyOf", "oneOf", "allOf", "prefixItems"] {
        for inner in fields.get_mut(keyword).and_then(Value::as_array_mut).into_iter().flatten() {
            admit(inner, pointer, false);
        }
    }
    for keyword in ["properties", "patternProperties"] {
        let properties = fields.get_mut(keyword).and_then(Value::as_object_mut);
        for (name, inner) in properties.into_iter().flat_map(|properties| properties.iter_mut()) {
            admit(inner, pointer, is_secret_name(name));
        }
    }
}

fn admit(schema: &mut Value, pointer: &str, secret: bool) {
    let text = match schema.get("type") {
        Some(Value::String(one)) => one == "string",
        Some(Value::Array(types)) => types.iter().any(|one| one == "string"),
        _ => false,
    };
    // A constant distinguishes alternatives; hiding it would hide which one is selected.
    if !text || schema.get("const").is_some() {
        admit_references(schema, pointer);
        return;
    }
    let description = schema.get("description").cloned();
    let reference = json!({ "$ref": "#/$defs/secret" });
    let mut admitted = if secret { reference } else { json!({ "anyOf": [schema.take(), reference] }) };
    if let Some(description) = description {
        admitted["description"] = description;
    }
    *schema = admitted;
}
