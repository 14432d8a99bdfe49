//! Discovery for `bridgehead init`: starts the connector program, and reads what it can do.

use bridgehead_sdk::{Discovered, Discovery, Draft, Error, Question, Section, async_trait, is_secret_name};
use serde_json::{Map, Value, json};

const COMMAND: &str = "command";
const SETTINGS: &str = "settings";
const ENVIRONMENT: &str = "inherit";

/// Discovery by starting the program.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Start;

#[async_trait]
impl Discovery for Start {
    fn questions(&self) -> Vec<Question> {
        vec![
            Question::text(COMMAND, "The program with its arguments, such as: python3 hr.py. It starts in the folder of the configuration")
                .with_check(|text| {
                    let words = shlex::split(text).ok_or("has an unclosed quote")?;
                    if words.is_empty() { Err("must name a program".to_owned()) } else { Ok(()) }
                }),
            Question::text(SETTINGS, "Settings to pass to the program, as JSON; refer to secrets, as in {\"token\": {\"env\": \"HR_TOKEN\"}}")
                .optional()
                .with_check(|text| match serde_json::from_str(text) {
                    Ok(Value::Object(settings)) => no_secret(&settings),
                    _ => Err("must be a JSON object, such as {\"path\": \"hr.json\"}".to_owned()),
                }),
            Question::text(ENVIRONMENT, "Environment variables to pass on in addition to PATH, HOME and LANG, separated by spaces").optional(),
        ]
    }

    async fn discover(&self, draft: &Draft) -> Result<Discovered, Error> {
        let command = shlex::split(draft.text(COMMAND).unwrap_or_default()).unwrap_or_default();
        let settings: Option<Map<String, Value>> =
            draft.text(SETTINGS).and_then(|text| serde_json::from_str(text).ok());
        let inherited: Vec<&str> = draft.text(ENVIRONMENT).unwrap_or_default().split_whitespace().collect();
        let mut target = Map::new();
        target.insert(COMMAND.to_owned(), json!(command));
        let mut root =
            Section::root().with(COMMAND, json!(command), "runs without a shell, in the folder of this file");
        if !inherited.is_empty() {
            target.insert("env".to_owned(), json!(inherited));
            root = root.with(
                "env",
                json!(inherited),
                "environment variables that are passed on in addition to PATH, HOME and LANG",
            );
        }
        let mut sections = Vec::new();
        if let Some(settings) = settings {
            target.insert(SETTINGS.to_owned(), resolved(&Value::Object(settings.clone()), draft)?);
            let mut section = Section::table(SETTINGS)
                .with_comment("Settings that are passed to the program when it starts.");
            for (key, value) in settings {
                section = section.with(key, value, "");
            }
            sections.push(section);
        } else {
            root = root.with(
                SETTINGS,
                Value::Null,
                "Settings that are passed to the program when it starts: settings = { token = { env = \"HR_TOKEN\" } }",
            );
        }
        sections.insert(0, root);
        let connector = draft.build(&*crate::connector::plain_factory(), target);
        let connector = connector.map_err(|error| Error::internal(error.to_string()))?;
        let described = connector.describe().await;
        connector.shutdown().await;
        // Named, so that `init` goes back to the question about it. What the program wrote to standard error may contain a secret, so it is
        // not repeated here.
        let description = described.map_err(|error| {
            let shown = draft.text(COMMAND).unwrap_or_default();
            let message = format!(
                "{COMMAND}: {}. To see what it prints, run in the folder of the configuration: {shown}",
                error.message()
            );
            Error::internal(message).with_source(error)
        })?;
        let types: Vec<&str> = description.resource_types.iter().map(|of| of.slug.as_str()).collect();
        let actions: Vec<&str> = description.actions.iter().map(|action| action.as_str()).collect();
        let mut found = Discovered::target(sections)
            .with_seen(format!(
                "{} {}, with the types {}",
                description.name,
                description.version,
                types.join(", ")
            ))
            .with_seen(format!(
                "actions: {}",
                if actions.is_empty() { "none".to_owned() } else { actions.join(", ") }
            ));
        found.warnings.extend(description.warnings);
        Ok(found)
    }
}

/// Checks that the settings contain no secrets, only references to them.
fn no_secret(settings: &Map<String, Value>) -> Result<(), String> {
    for (key, value) in settings {
        match value {
            Value::String(_) if is_secret_name(key) => {
                let name = key.to_uppercase().replace(|one: char| !one.is_ascii_alphanumeric(), "_");
                return Err(format!(
                    "'{key}' is a secret; refer to it, as in {{\"{key}\": {{\"env\": \"{name}\"}}}}"
                ));
            }
            Value::Object(below) if reference(below).is_none() => no_secret(below)?,
            _ => {}
        }
    }
    Ok(())
}

/// The location of a secret, if the table is a reference to one.
fn reference(table: &Map<String, Value>) -> Option<(&str, &str)> {
    let mut entries = table.iter();
    let (kind, place) = entries.next().filter(|_| entries.next().is_none())?;
    matches!(kind.as_str(), "env" | "file" | "credential").then_some((kind.as_str(), place.as_str()?))
}

/// The settings with the secrets filled in, for this one start. The daemon resolves the references itself.
fn resolved(value: &Value, draft: &Draft) -> Result<Value, Error> {
    let Value::Object(table) = value else { return Ok(value.clone()) };
    let Some((kind, place)) = reference(table) else {
        let fields = table.iter().map(|(key, value)| Ok((key.clone(), resolved(value, draft)?)));
        return Ok(Value::Object(fields.collect::<Result<_, Error>>()?));
    };
    let read = match kind {
        "env" => std::env::var(place).ok(),
        "file" => std::fs::read_to_string(draft.setup.resolve(place)).ok(),
        _ => None,
    };
    let secret = read.ok_or_else(|| {
        Error::internal(format!(
            "settings: the secret of {{ {kind} = \"{place}\" }} cannot be read; make it available to this command"
        ))
    })?;
    let secret = secret.trim_end_matches(['\n', '\r']);
    draft.setup.redactor.protect_for_good([secret]);
    Ok(Value::from(secret))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_in_settings_must_be_references() {
        let check = |value: Value| no_secret(value.as_object().unwrap());
        assert!(check(json!({ "path": "hr.json", "token": { "env": "HR_TOKEN" } })).is_ok());
        let told = check(json!({ "login": { "password": "hunter2" } })).unwrap_err();
        assert!(told.contains("'password' is a secret") && !told.contains("hunter2"), "{told}");
    }

    #[tokio::test]
    async fn program_that_does_not_start_is_asked_for_again() {
        let folder = tempfile::tempdir().unwrap();
        let setup = bridgehead_sdk::Setup::new("hr", Map::new()).with_base(folder.path());
        for command in ["sh -c 'exit 2'", "./missing"] {
            let draft = Draft::new(setup.clone()).with_text(COMMAND, command);
            let error = Start.discover(&draft).await.unwrap_err();
            let error = error.message();
            assert!(error.starts_with("command: the connector process of hr "), "{error}");
            assert!(
                error.ends_with(&format!("run in the folder of the configuration: {command}")),
                "{error}"
            );
        }
    }
}
