//! Decides what may leave the machine: numbers, times, codes, words that the configuration's schema knows, and the structure around them.

use std::collections::{BTreeMap, BTreeSet};

use bridgehead_sdk::Redactor;
use bridgehead_store::RunReason;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};
use url::Url;

/// The replacement for a string.
const LEFT_OUT: &str = "[left out]";
/// Keys of documents whose values are words or ids of bridgehead and Iden.
const WORDS: [&str; 15] = [
    "action",
    "app_id",
    "code",
    "connector",
    "contact",
    "digest",
    "hash",
    "kind",
    "level",
    "phase",
    "result",
    "state",
    "task",
    "trigger",
    "version",
];
/// Keys of the configuration, outside of targets, whose values contain nothing about people.
const SETTINGS: [&str; 6] = ["app_id", "connector", "cron", "level", "listen", "timezone"];

/// Cleans documents. Everything that is not known to be harmless is left out.
pub(super) struct Cleaner {
    redactor: Redactor,
    /// The names of the keys in the configuration's schema.
    keys: BTreeSet<String>,
    /// The values that the schema lists.
    values: BTreeSet<String>,
}

impl Cleaner {
    pub(super) fn new(schema: &Value, redactor: &Redactor) -> Self {
        let mut known = Self { redactor: redactor.clone(), keys: BTreeSet::new(), values: BTreeSet::new() };
        known.learn(schema);
        known
    }

    fn learn(&mut self, schema: &Value) {
        match schema {
            Value::Object(fields) => {
                for (name, field) in fields {
                    match (name.as_str(), field) {
                        ("properties", Value::Object(properties)) => {
                            self.keys.extend(properties.keys().cloned());
                        }
                        ("enum", Value::Array(values)) => {
                            self.values.extend(values.iter().filter_map(Value::as_str).map(str::to_owned));
                        }
                        ("const", Value::String(value)) => {
                            self.values.insert(value.clone());
                        }
                        _ => {}
                    }
                    self.learn(field);
                }
            }
            Value::Array(items) => items.iter().for_each(|item| self.learn(item)),
            _ => {}
        }
    }

    /// A document of bridgehead, such as the status. Its keys are bridgehead's, or names of apps and resource types.
    pub(super) fn document(&self, mut value: Value) -> Value {
        self.visit(&mut value, "", &|key, text| {
            let is_time = text.parse::<Timestamp>().is_ok() || text.parse::<SignedDuration>().is_ok();
            is_time || (WORDS.contains(&key) && is_word(text)) || (key == "reason" && is_reason(text))
        });
        value
    }

    /// The configuration, with Iden and targets reduced to their addresses.
    pub(super) fn configuration(&self, mut value: Value) -> Value {
        if let Some(root) = value.as_object_mut() {
            for (section, content) in root.iter_mut() {
                if section == "apps" {
                    for app in content.as_object_mut().into_iter().flat_map(Map::values_mut) {
                        self.section(app);
                    }
                    self.names(content, &|name| is_word(name));
                } else {
                    self.section(content);
                }
            }
        }
        self.names(&mut value, &|name| self.keys.contains(name));
        value
    }

    /// A table of the configuration. In a target, keys and values can be anything.
    fn section(&self, value: &mut Value) {
        let is_known = |key: &str, text: &str| {
            text.parse::<SignedDuration>().is_ok()
                || self.values.contains(text)
                || (SETTINGS.contains(&key) && is_word(text))
        };
        let Some(table) = value.as_object_mut() else { return self.visit(value, "", &is_known) };
        for (name, field) in table.iter_mut() {
            if name == "target" {
                self.target(field);
            } else if let Value::Object(_) | Value::Array(_) = field {
                self.section(field);
            } else {
                self.visit(field, name, &is_known);
            }
        }
        self.names(value, &|name| self.keys.contains(name));
    }

    fn target(&self, value: &mut Value) {
        match value {
            Value::Object(table) => {
                table.values_mut().for_each(|field| self.target(field));
                self.names(value, &|name| self.keys.contains(name));
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.target(item)),
            Value::String(text) if text.parse::<SignedDuration>().is_err() && !self.values.contains(text) => {
                *text = address(text).unwrap_or_else(|| LEFT_OUT.to_owned());
            }
            _ => {}
        }
    }

    /// Removes the strings that `is_known` rejects; it gets each with its key.
    fn visit(&self, value: &mut Value, key: &str, is_known: &dyn Fn(&str, &str) -> bool) {
        match value {
            Value::Object(fields) => {
                fields.iter_mut().for_each(|(name, field)| self.visit(field, name, is_known));
                self.names(value, &|name| is_word(name) && !name.contains(' '));
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.visit(item, key, is_known)),
            Value::String(text) if !text.is_empty() && !is_known(key, text) => {
                *text = address(text).unwrap_or_else(|| LEFT_OUT.to_owned());
            }
            _ => {}
        }
    }

    /// Replaces unknown keys with numbers.
    fn names(&self, value: &mut Value, is_known: &dyn Fn(&str) -> bool) {
        let Some(fields) = value.as_object_mut() else { return };
        let mut cleaned = Map::new();
        for (index, (name, field)) in std::mem::take(fields).into_iter().enumerate() {
            let is_harmless = is_known(&name) || name.starts_with("[key ");
            let name = if is_harmless { name } else { format!("[key {}]", index + 1) };
            cleaned.insert(self.redactor.redact(&name).into_owned(), field);
        }
        *fields = cleaned;
    }

    /// The path of a key, as far as it is in the schema.
    pub(super) fn path(&self, path: &str) -> String {
        let known = |name: &str| if self.keys.contains(name) { name.to_owned() } else { LEFT_OUT.to_owned() };
        path.split('.').map(known).collect::<Vec<_>>().join(".")
    }

    /// Lines of metrics: only bridgehead's own, and only those whose labels are words or ids.
    pub(super) fn metrics(&self, text: &str) -> String {
        let mut kept = String::new();
        for line in text.lines() {
            let name = line.strip_prefix("# HELP ").or_else(|| line.strip_prefix("# TYPE ")).unwrap_or(line);
            if name.starts_with("bridgehead_") && labels(line).is_none_or(|mut labels| labels.all(is_word)) {
                kept.push_str(line);
                kept.push('\n');
            }
        }
        self.last(&kept)
    }

    /// The fields of a journal entry that bridgehead has written: the source location, and words.
    pub(super) fn entry(entry: &Map<String, Value>) -> Map<String, Value> {
        const FIELDS: [(&str, &str); 9] = [
            ("__REALTIME_TIMESTAMP", "microseconds"),
            ("PRIORITY", "priority"),
            ("CODE_FILE", "file"),
            ("CODE_LINE", "line"),
            ("BRIDGEHEAD_APP", "app"),
            ("BRIDGEHEAD_TASK", "task"),
            ("BRIDGEHEAD_ACTION", "action"),
            ("BRIDGEHEAD_CODE", "code"),
            ("BRIDGEHEAD_ATTEMPT", "attempt"),
        ];
        let kept = FIELDS.iter().filter_map(|(field, name)| {
            let text = entry.get(*field)?.as_str().filter(|text| is_word(text))?;
            Some(((*name).to_owned(), Value::from(text)))
        });
        kept.collect()
    }

    /// The final check of a string before it is written: it contains no secret that this command could read, whatever was overlooked
    /// before.
    pub(super) fn last(&self, text: &str) -> String {
        self.redactor.redact(text).into_owned()
    }
}

/// Whether a string is a word or an id, and cannot be an email address or a sentence.
fn is_word(text: &str) -> bool {
    let fits = |one: char| one.is_ascii_alphanumeric() || "_.:/+*,=-[]\" ".contains(one);
    text.len() <= 80 && text.chars().all(fits) && text.split(' ').count() <= 5
}

fn is_reason(text: &str) -> bool {
    serde_json::from_value::<RunReason>(Value::from(text)).is_ok_and(|reason| reason.as_str() == text)
}

/// The address in a URL: without user, password, path and query.
fn address(text: &str) -> Option<String> {
    let url = Url::parse(text).ok().filter(|url| url.has_host() && text.contains("://"))?;
    let host = url.host_str().filter(|host| !host.is_empty() && host.chars().all(|one| one != '@'))?;
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    Some(format!("{}://{host}{port}/{LEFT_OUT}", url.scheme()))
}

/// The values of the labels in a line of metrics; `None` if it has none.
fn labels(line: &str) -> Option<impl Iterator<Item = &str>> {
    let (_, rest) = line.split_once('{').filter(|_| !line.starts_with('#'))?;
    let (labels, _) = rest.rsplit_once('}')?;
    Some(
        labels
            .split("\",")
            .map(|label| label.split_once("=\"").map_or(label, |(_, value)| value.trim_end_matches('"'))),
    )
}

/// Times, counts and codes of an app's history, as JSON.
pub(super) fn sums(hours: &[bridgehead_store::Hour]) -> Value {
    let mut failed: BTreeMap<&str, u64> = BTreeMap::new();
    for (code, count) in hours.iter().flat_map(|hour| &hour.failed) {
        *failed.entry(code).or_default() += count;
    }
    serde_json::json!({
        "hours_with_activity": hours.len(),
        "completed": hours.iter().map(|hour| hour.completed).sum::<u64>(),
        "retried": hours.iter().map(|hour| hour.retried).sum::<u64>(),
        "failed": failed,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn cleaner() -> Cleaner {
        let schema = json!({"properties": {
            "bridge": {"properties": {"base_url": {}, "api_key": {"properties": {"env": {}}}}},
            "apps": {"additionalProperties": {"properties": {"protect": {"properties": {"accounts": {}}}, "target": {}, "connector": {}}}},
            "base_url": {}, "start_tls": {"enum": ["always", "never"]},
        }});
        Cleaner::new(&schema, &Redactor::new())
    }

    #[test]
    fn only_configuration_values_known_to_the_schema_are_kept() {
        let shown = cleaner().configuration(json!({
            "bridge": {"base_url": "https://ann:hunter2@iden.example.org/org/acme", "api_key": {"env": "hunter2"}},
            "apps": {"hr": {
                "connector": "ldap",
                "protect": {"accounts": ["ann", "svc-*"]},
                "target": {"base_url": "ldaps://ann@dir.example.org:636/x", "start_tls": "always", "ann": {"ann": "ann"}, "pages": 5},
            }},
        }));
        assert_eq!(
            shown,
            json!({
                "bridge": {"base_url": "https://iden.example.org/[left out]", "api_key": {"env": LEFT_OUT}},
                "apps": {"hr": {
                    "connector": "ldap",
                    "protect": {"accounts": [LEFT_OUT, LEFT_OUT]},
                    "target": {"base_url": "ldaps://dir.example.org:636/[left out]", "start_tls": "always", "[key 3]": {"[key 1]": LEFT_OUT}, "[key 4]": 5},
                }},
            })
        );
    }

    #[test]
    fn document_keeps_counts_and_drops_free_text() {
        let shown = cleaner().document(json!({
            "alarms": [{"kind": "stuck", "message": "ann@example.org is stuck", "since": "2026-01-01T00:00:00Z"}],
            "attempts": [{"task": "t1", "attempts": 3, "code": "RATE_LIMITED", "reason": "ann"}],
            "last": {"reason": "not_proven"}, "unreadable": ["ann"], "by": {"ann@example.org": 1},
        }));
        assert_eq!(
            shown,
            json!({
                "alarms": [{"kind": "stuck", "message": LEFT_OUT, "since": "2026-01-01T00:00:00Z"}],
                "attempts": [{"task": "t1", "attempts": 3, "code": "RATE_LIMITED", "reason": LEFT_OUT}],
                "last": {"reason": "not_proven"}, "unreadable": [LEFT_OUT], "by": {"[key 1]": 1},
            })
        );
    }

    #[test]
    fn foreign_metrics_and_unsafe_labels_are_dropped() {
        let text = "# HELP bridgehead_x Help.\nbridgehead_x{app=\"hr\",code=\"TIMEOUT\"} 1\n\
                    bridgehead_x{app=\"ann@example.org\"} 1\nother 5\nbridgehead_y 2\n";
        let kept = "# HELP bridgehead_x Help.\nbridgehead_x{app=\"hr\",code=\"TIMEOUT\"} 1\nbridgehead_y 2\n";
        assert_eq!(cleaner().metrics(text), kept);
    }
}
