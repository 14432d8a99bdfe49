//! Parses a `target` table as a connector's settings, with errors that name the key.

mod reader;

use serde::de::DeserializeOwned;
use serde_json::Value;

use self::reader::Reader;

/// What is wrong with an app's `target` table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{message}", if key.is_empty() { String::new() } else { format!("{key}: ") })]
#[non_exhaustive]
pub struct SettingsError {
    /// The path of the key inside `target`, such as `pool.size`; empty for the table itself.
    pub key: String,
    /// What is wrong, and what would be right. Never includes a value, which may be a secret.
    pub message: String,
}

impl SettingsError {
    /// An error about one key.
    pub fn new(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self { key: key.into(), message: message.into() }
    }
}

/// Parses a `target` table as `T`. An unknown key is an error that suggests the nearest key of `T`'s schema.
pub(crate) fn parse<T: DeserializeOwned + schemars::JsonSchema>(target: Value) -> Result<T, SettingsError> {
    let schema = schemars::schema_for!(T);
    check_keys(&target, schema.as_value(), schema.as_value(), &mut Vec::new())?;
    serde_path_to_error::deserialize(Reader(target)).map_err(|error| {
        let key = error.path().to_string();
        let key = if key == "." { String::new() } else { key };
        SettingsError::new(key, error.into_inner().to_string())
    })
}

fn check_keys(
    value: &Value,
    schema: &Value,
    root: &Value,
    path: &mut Vec<String>,
) -> Result<(), SettingsError> {
    let schema = resolve(schema, root);
    match value {
        Value::Object(fields) => {
            let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
                return Ok(());
            };
            let open = schema.get("additionalProperties").is_some_and(|more| *more != Value::Bool(false));
            for (name, item) in fields {
                path.push(name.clone());
                match properties.get(name) {
                    Some(inner) => check_keys(item, inner, root, path)?,
                    None if open => {}
                    None => {
                        let known = properties.keys().map(String::as_str);
                        return Err(SettingsError::new(path.join("."), unknown_key(name, known)));
                    }
                }
                path.pop();
            }
            Ok(())
        }
        Value::Array(items) => {
            let Some(inner) = schema.get("items") else {
                return Ok(());
            };
            for (index, item) in items.iter().enumerate() {
                path.push(index.to_string());
                check_keys(item, inner, root, path)?;
                path.pop();
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Follows `$ref`, and the only alternative of an optional value that is not `null`.
fn resolve<'a>(schema: &'a Value, root: &'a Value) -> &'a Value {
    if let Some(pointer) = schema.get("$ref").and_then(Value::as_str) {
        return root.pointer(pointer.trim_start_matches('#')).map_or(schema, |found| resolve(found, root));
    }
    if let Some(Value::Array(alternatives)) = schema.get("anyOf") {
        let mut real = alternatives.iter().filter(|one| one.get("type") != Some(&Value::from("null")));
        if let (Some(only), None) = (real.next(), real.next()) {
            return resolve(only, root);
        }
    }
    schema
}

fn unknown_key<'a>(name: &str, known: impl Iterator<Item = &'a str> + Clone) -> String {
    match nearest(name, known.clone()) {
        Some(near) => format!("unknown key; did you mean '{near}'?"),
        None => format!("unknown key; known keys are {}", known.collect::<Vec<_>>().join(", ")),
    }
}

/// The candidate that was most likely intended, if one is similar enough.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_lowercase().replace('-', "_");
    candidates
        .into_iter()
        .map(|candidate| {
            (
                strsim::normalized_damerau_levenshtein(&name, &candidate.to_lowercase().replace('-', "_")),
                candidate,
            )
        })
        .filter(|(similarity, _)| *similarity >= 0.5)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct Settings {
        path: String,
        pool: Option<Pool>,
    }

    #[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct Pool {
        size: u32,
    }

    #[test]
    fn valid_settings_are_parsed() {
        let settings: Settings = parse(json!({"path": "people", "pool": {"size": 4}})).unwrap();
        assert_eq!((settings.path.as_str(), settings.pool.unwrap().size), ("people", 4));
    }

    #[test]
    fn unknown_key_suggests_the_nearest_key() {
        let error = parse::<Settings>(json!({"pth": "people"})).unwrap_err();
        assert_eq!(error.to_string(), "pth: unknown key; did you mean 'path'?");
        let error = parse::<Settings>(json!({"path": "people", "pool": {"sise": 4}})).unwrap_err();
        assert_eq!(error.to_string(), "pool.sise: unknown key; did you mean 'size'?");
        let error = parse::<Settings>(json!({"path": "people", "zzz": 4})).unwrap_err();
        assert_eq!(error.to_string(), "zzz: unknown key; known keys are path, pool");
    }

    #[test]
    fn wrong_type_names_the_key_but_not_the_value() {
        let error = parse::<Settings>(json!({"path": "people", "pool": {"size": "hunter2"}})).unwrap_err();
        assert_eq!(error.to_string(), "pool.size: must be u32");
    }

    /// Settings with every type of value.
    #[derive(Debug, PartialEq, serde::Deserialize, schemars::JsonSchema)]
    struct Everything {
        flag: bool,
        small: u8,
        below: i64,
        share: f64,
        letter: char,
        text: String,
        maybe: Option<u32>,
        name: Name,
        list: Vec<Mode>,
        pair: (u8, String),
        by_name: std::collections::BTreeMap<Name, u32>,
        more: serde_json::Value,
        one_of: Either,
        port: std::num::NonZeroU16,
        #[serde(flatten)]
        rest: Rest,
    }

    #[derive(Debug, PartialEq, Eq, PartialOrd, Ord, serde::Deserialize, schemars::JsonSchema)]
    struct Name(String);

    #[derive(Debug, PartialEq, serde::Deserialize, schemars::JsonSchema)]
    #[serde(rename_all = "snake_case")]
    enum Mode {
        Off,
        Every(u32),
        Both(u8, u8),
        At { hour: u8 },
    }

    #[derive(Debug, PartialEq, serde::Deserialize, schemars::JsonSchema)]
    #[serde(untagged)]
    enum Either {
        Number(u32),
        Words(Vec<String>),
    }

    #[derive(Debug, PartialEq, serde::Deserialize, schemars::JsonSchema)]
    #[serde(tag = "type")]
    enum Rest {
        One { size: u32 },
    }

    fn everything() -> Value {
        json!({
            "flag": true, "small": 255, "below": -3, "share": 0.5, "letter": "x", "text": "t", "maybe": null, "name": "n",
            "list": ["off", {"every": 5}, {"both": [1, 2]}, {"at": {"hour": 3}}], "pair": [1, "b"], "by_name": {"a": 1, "b": 2},
            "more": {"any": [1, null, "x"]}, "one_of": ["w"], "port": 80, "type": "One", "size": 7,
        })
    }

    fn read(value: Value) -> Result<Everything, String> {
        serde_path_to_error::deserialize(Reader(value)).map_err(|error| error.to_string())
    }

    #[test]
    fn parsing_agrees_with_serde_json() {
        let with = |name: &str, value: Value| {
            let mut all = everything();
            all[name] = value;
            all
        };
        let values = [
            json!(true),
            json!(0),
            json!(-1),
            json!(256),
            json!(u64::MAX),
            json!(1.5),
            json!("x"),
            json!("long"),
            json!(null),
            json!([]),
            json!([1]),
            json!([1, "b"]),
            json!([1, "b", 2]),
            json!({}),
            json!({"a": 1}),
            json!("off"),
            json!(["on"]),
            json!(["off", "off"]),
            json!([{"every": 1}]),
            json!([{"every": 1, "at": 2}]),
            json!([{"off": null}]),
            json!([{"both": [1]}]),
            json!([{"both": [1, 2, 3]}]),
            json!([{"at": {"hour": "x"}}]),
            json!(["every"]),
            json!("One"),
        ];
        let mut good = 0;
        for name in everything().as_object().unwrap().keys() {
            for value in &values {
                let settings = with(name, value.clone());
                let theirs: Result<Everything, _> = serde_json::from_value(settings.clone());
                let ours = read(settings);
                assert_eq!(ours.as_ref().ok(), theirs.as_ref().ok(), "{name} = {value}: {ours:?} {theirs:?}");
                good += usize::from(theirs.is_ok());
            }
        }
        assert!(good > 30, "{good}");
        assert!(read(everything()).is_ok());
    }

    #[test]
    fn type_errors_never_contain_the_value() {
        for (name, value) in [
            ("flag", json!("hunter2")),
            ("small", json!("hunter2")),
            ("small", json!(77_777)),
            ("share", json!("hunter2")),
            ("letter", json!("hunter2")),
            ("text", json!(77_777)),
            ("list", json!("hunter2")),
            ("pair", json!("hunter2")),
            ("pair", json!([1, 77_777])),
            ("by_name", json!({"a": "hunter2"})),
            ("one_of", json!("hunter2")),
            ("port", json!("hunter2")),
            ("list", json!([{"at": {"hour": "hunter2"}}])),
            ("list", json!([{"hunter2": 1, "b": 2}])),
        ] {
            let mut all = everything();
            all[name] = value;
            let error = read(all).unwrap_err();
            assert!(!error.contains("hunter2") && !error.contains("77777"), "{error}");
        }
    }

    #[test]
    fn missing_key_is_named() {
        let error = parse::<Settings>(json!({})).unwrap_err();
        assert!(error.to_string().contains("missing field `path`"), "{error}");
    }
}
