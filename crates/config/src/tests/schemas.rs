//! The JSON schema, and that it agrees with the reader.

use serde_json::{Value, json};

use super::support::{APP, BRIDGE, connectors, layered};
use crate::keys::{Keys, Kind};
use crate::schema;
use crate::tree::join;

/// The paths of all keys that a schema knows, with `acme-hr` as the app.
pub(super) fn leaves(keys: Keys<'_>, path: &str, found: &mut Vec<String>) {
    match keys.kind() {
        // Its keys are unknown.
        Kind::Free if keys.names().is_empty() => found.push(path.to_owned()),
        Kind::Map => leaves(keys.child("acme-hr").unwrap(), &join(path, "acme-hr"), found),
        Kind::Table | Kind::Free => {
            for name in keys.names() {
                leaves(keys.child(name).unwrap(), &join(path, name), found);
            }
        }
        _ => found.push(path.to_owned()),
    }
}

#[test]
fn every_schema_key_is_read() {
    let schema = schema(&connectors());
    let mut paths = Vec::new();
    leaves(Keys::of(&schema), "", &mut paths);
    assert!(paths.len() > 50, "{paths:?}");
    for path in paths {
        // No key accepts a list of lists; reading one is an error.
        let variable = format!("BRIDGEHEAD__{}", path.replace('.', "__").replace('-', "_").to_uppercase());
        let errors = layered(&[&format!("{BRIDGE}{APP}")], &[(&variable, "[[[]]]")]).unwrap_err();
        let named = errors.iter().any(|error| error.key().is_some_and(|key| key.starts_with(&path)));
        assert!(named, "{path} is not read: {errors}");
    }
}

#[test]
fn every_key_has_the_texts_for_its_errors() {
    fn look(keys: Keys<'_>, path: &str, wordless: &mut Vec<String>) {
        let text = matches!(keys.json_type(), "string" | "array") && keys.words().is_empty();
        // The error message itself describes the format of a UUID.
        if keys.kind() == Kind::Leaf && text && keys.example().is_none() && path != "apps.all.app_id" {
            wordless.push(format!("{path} has no example"));
        }
        let required: Vec<&str> = keys.required().collect();
        for name in keys.names() {
            let (Some(child), path) = (keys.child(name), join(path, name)) else { continue };
            let missed = required.contains(&name) && child.kind() != Kind::Table;
            if missed && child.when_missing().is_none() {
                wordless.push(format!("{path} does not say what to write when it is missing"));
            }
            look(child, &path, wordless);
        }
        if keys.kind() == Kind::Map {
            look(keys.child("all").unwrap(), &join(path, "all"), wordless);
        }
    }
    let known = super::super::schema::description(&connectors());
    let mut wordless = Vec::new();
    look(Keys::of(&known), "", &mut wordless);
    assert_eq!(wordless, Vec::<String>::new());
    let published = schema(&connectors()).to_string();
    assert!(!published.contains("x-missing"), "what is for errors alone is not published");
}

#[test]
fn schema_includes_connectors_defaults_and_bounds() {
    let schema = schema(&connectors());
    let app = &schema["properties"]["apps"]["additionalProperties"]["properties"];
    assert_eq!(app["connector"]["enum"], json!(["exec", "file"]));
    assert_eq!(app["tasks"]["properties"]["poll_interval"]["default"], "10s");
    assert_eq!(app["tasks"]["properties"]["concurrency"]["maximum"], 1024);
    assert_eq!(app["sync"]["properties"]["guard"]["properties"]["max_removals"]["default"], 100);
    assert_eq!(schema["properties"]["bridge"]["required"], json!(["base_url", "api_key"]));
    assert_eq!(schema["properties"]["bridge"]["additionalProperties"], false);
    assert_eq!(schema["properties"]["bridge"]["properties"]["refs"]["enum"], json!(["id", "object"]));
    assert_eq!(schema["properties"]["bridge"]["properties"]["refs"]["default"], "id");
    assert!(!schema.to_string().contains(r#""null""#), "TOML has no null: {schema:#}");
}

#[test]
fn target_schema_depends_on_the_connector() {
    let schema = schema(&connectors());
    let conditions = schema["properties"]["apps"]["additionalProperties"]["allOf"].as_array().unwrap();
    assert_eq!(
        conditions[1],
        json!({
            "if": { "properties": { "connector": { "const": "file" } }, "required": ["connector"] },
            "then": { "properties": { "target": { "$ref": "#/$defs/target.file" } } },
        })
    );
    assert_eq!(conditions[0]["then"]["required"], json!(["target"]), "exec needs its command");
    let file = &schema["$defs"]["target.file"];
    assert_eq!(file["properties"]["rate_limit"]["required"], json!(["per_second", "burst"]));
    assert_eq!(file["properties"]["path"]["anyOf"][1]["$ref"], "#/$defs/secret");
    assert_eq!(file["properties"]["password"]["$ref"], "#/$defs/secret", "never plain text");
    assert_eq!(schema["$defs"]["target.file.Pool"]["required"], json!(["size"]));
}

#[test]
fn every_schema_reference_resolves() {
    fn follow(value: &Value, root: &Value, count: &mut usize) {
        match value {
            Value::Object(fields) => {
                if let Some(Value::String(pointer)) = fields.get("$ref") {
                    *count += 1;
                    assert!(root.pointer(pointer.trim_start_matches('#')).is_some(), "{pointer}");
                }
                fields.values().for_each(|value| follow(value, root, count));
            }
            Value::Array(items) => items.iter().for_each(|value| follow(value, root, count)),
            _ => {}
        }
    }
    let schema = schema(&connectors());
    let mut count = 0;
    follow(&schema, &schema, &mut count);
    assert!(count > 5, "{schema:#}");
}
