//! Questions for a connector without discovery: the required keys of its schema.

use bridgehead_sdk::{Discovered, Draft, Factory, Question, Section, is_secret_name};
use serde_json::Value;

/// The questions of a connector.
pub(super) fn questions(factory: &dyn Factory) -> Vec<Question> {
    match factory.discovery() {
        Some(discovery) => discovery.questions(),
        None => required(&factory.schema()).map(|(key, of)| question(&key, &of)).collect(),
    }
}

/// The settings from the answers.
pub(super) fn discover(schema: &Value, draft: &Draft) -> Discovered {
    let mut section = Section::root();
    for (key, of) in required(schema) {
        let value = if let Some(reference) = draft.reference(&key) {
            reference
        } else {
            let text = draft.text(&key).unwrap_or_default();
            let is_text = of["type"] == "string";
            let read = serde_json::from_str(text).ok().filter(|_| !is_text);
            read.unwrap_or_else(|| Value::from(text))
        };
        section = section.with(key, value, description(&of));
    }
    Discovered::target([section])
}

/// The required keys that can be answered in one line.
fn required(schema: &Value) -> impl Iterator<Item = (String, Value)> + '_ {
    let keys = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    keys.map(|key| (key.to_owned(), schema["properties"][key].clone()))
}

fn question(key: &str, of: &Value) -> Question {
    let text = match description(of) {
        text if text.is_empty() => format!("The target's key '{key}'"),
        text => text,
    };
    let question = if is_secret_name(key) { Question::secret(key, text) } else { Question::text(key, text) };
    let choices = of["enum"].as_array().into_iter().flatten().filter_map(Value::as_str);
    question.with_choices(choices.map(|value| (value, "")))
}

/// The first sentence of the schema's description.
fn description(of: &Value) -> String {
    let text = of["description"].as_str().unwrap_or_default().replace('\n', " ");
    text.split_once(". ").map_or(text.clone(), |(first, _)| first.to_owned()).trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use bridgehead_sdk::Setup;
    use serde_json::json;

    use super::*;

    #[test]
    fn required_schema_keys_are_asked_and_written() {
        let schema = json!({ "required": ["url", "token", "size"], "properties": {
            "url": { "type": "string", "description": "Where it is. And more." },
            "token": { "type": "string" },
            "size": { "type": "integer" },
            "other": { "type": "string" },
        }});
        let asked: Vec<Question> = required(&schema).map(|(key, of)| question(&key, &of)).collect();
        let told: Vec<(&str, bool)> = asked.iter().map(|one| (one.text.as_str(), one.is_secret)).collect();
        assert_eq!(told[0], ("Where it is", false));
        assert!(told[1].1 && !told[2].1);
        let reference = json!({ "env": "TOKEN" });
        let draft = Draft::new(Setup::new("hr", serde_json::Map::new()))
            .with_text("url", "7")
            .with_text("size", "7")
            .with_secret("token", reference.clone(), "hunter2".to_owned().into());
        let sections = discover(&schema, &draft).sections;
        let values: Vec<&Value> = sections[0].settings.iter().map(|setting| &setting.value).collect();
        assert_eq!(values, [&json!("7"), &reference, &json!(7)]);
    }
}
