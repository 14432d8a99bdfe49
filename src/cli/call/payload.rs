//! The payload of a task for a manual operation: from flags, a file, or both.

use std::io::{IsTerminal, Read};
use std::path::Path;

use bridgehead_sdk::{Action, Redactor, is_secret_name};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::super::args::{Call, CallOperation};
use super::super::failure::{Exit, Failure};

/// The name for standard input.
const STDIN: &str = "-";

/// The action of an operation that changes the target.
pub(super) fn action(operation: CallOperation) -> Option<Action> {
    Some(match operation {
        CallOperation::Create => Action::CreateAccount,
        CallOperation::Update => Action::UpdateAccount,
        CallOperation::Delete => Action::DeleteAccount,
        CallOperation::Suspend => Action::SuspendAccount,
        CallOperation::Unsuspend => Action::UnsuspendAccount,
        CallOperation::ResetPassword => Action::ResetPassword,
        CallOperation::Describe | CallOperation::Check | CallOperation::List | CallOperation::Find => {
            return None;
        }
    })
}

/// Rejects flags that do not apply to the operation, so that they are not silently ignored.
pub(super) fn refuse_strangers(options: &Call) -> Result<(), Failure> {
    let operation = options.operation;
    let takes_account = action(operation).is_some() || operation == CallOperation::Find;
    let takes_fields = matches!(operation, CallOperation::Create | CallOperation::Update);
    let takes_password = matches!(operation, CallOperation::Create | CallOperation::ResetPassword);
    let lists = operation == CallOperation::List;
    let given = [
        ("--id", options.id.is_some(), takes_account),
        ("--username", options.username.is_some(), takes_account),
        ("--email", options.email.is_some(), takes_account),
        ("--payload", options.payload.is_some(), takes_account),
        ("--set", !options.set.is_empty(), takes_fields),
        ("--set-json", !options.set_json.is_empty(), takes_fields),
        ("--member", !options.member.is_empty(), takes_fields),
        ("--password-file", options.password_file.is_some(), takes_password),
        ("--cursor", options.cursor.is_some(), lists),
        ("a resource type", options.resource_type.is_some(), lists),
        ("--pages", options.pages != 1, lists),
    ];
    match given.into_iter().find(|(_, is_given, is_taken)| *is_given && !is_taken) {
        Some((flag, ..)) => Err(usage(format!("{flag} cannot be used with this operation"))),
        None => Ok(()),
    }
}

/// Builds the payload. Every secret in it is registered with the redactor.
pub(super) fn gather(options: &Call, redactor: &Redactor) -> Result<Value, Failure> {
    let is_stdin = |path: &Option<std::path::PathBuf>| path.as_deref() == Some(Path::new(STDIN));
    if is_stdin(&options.payload) && is_stdin(&options.password_file) {
        return Err(usage("--payload and --password-file cannot both read standard input"));
    }
    let mut payload = match &options.payload {
        None => Map::new(),
        Some(path) => {
            let text = read(path, "--payload")?;
            // The parser's own message may quote the input.
            let parsed = serde_json::from_str(&text).map_err(|error| {
                usage(format!("--payload: line {}, column {}: not valid JSON", error.line(), error.column()))
            })?;
            let Value::Object(fields) = parsed else {
                return Err(usage("--payload must be a JSON object, like the payload of a task"));
            };
            fields
        }
    };
    let names = [("id", &options.id), ("username", &options.username), ("email", &options.email)];
    for (name, value) in names {
        if let Some(value) = value {
            part(&mut payload, "account")?.insert(name.to_owned(), Value::from(value.as_str()));
        }
    }
    let place = if options.operation == CallOperation::Update { "changes" } else { "account" };
    for (flag, texts, is_json) in [("--set", &options.set, false), ("--set-json", &options.set_json, true)] {
        for text in texts {
            let (field, value) = field(flag, text, is_json)?;
            part(&mut payload, place)?.insert(field, value);
        }
    }
    for member in &options.member {
        let (slug, id) = member
            .split_once(':')
            .filter(|(slug, id)| !slug.is_empty() && !id.is_empty())
            .ok_or_else(|| usage("--member must be a resource type and an id, such as team:t1"))?;
        let of = part(&mut payload, "memberships")?.entry(slug).or_insert_with(|| Value::Array(Vec::new()));
        match of {
            Value::Array(refs) => refs.push(id.into()),
            _ => return Err(usage(format!("--member: memberships.{slug} of the payload is not a list"))),
        }
    }
    if let Some(path) = &options.password_file {
        let text = read(path, "--password-file")?;
        let password = text.strip_suffix('\n').unwrap_or(&text);
        let password = password.strip_suffix('\r').unwrap_or(password);
        if password.is_empty() {
            return Err(usage("--password-file: the file does not contain a password"));
        }
        part(&mut payload, "account")?.insert("password".to_owned(), password.into());
    }
    let payload = Value::Object(payload);
    if let Ok(read) = serde_json::from_value::<bridgehead_sdk::Payload>(payload.clone()) {
        redactor.protect_for_good(read.secrets().iter().map(|secret| secret.as_str()));
    }
    Ok(payload)
}

/// A part of the payload, which is created on first use.
fn part<'a>(payload: &'a mut Map<String, Value>, name: &str) -> Result<&'a mut Map<String, Value>, Failure> {
    let part = payload.entry(name).or_insert(Value::Null);
    if part.is_null() {
        *part = Value::Object(Map::new());
    }
    part.as_object_mut().ok_or_else(|| {
        usage(format!("{name} of the payload is not an object, so flags cannot be applied to it"))
    })
}

fn field(flag: &str, text: &str, is_json: bool) -> Result<(String, Value), Failure> {
    let (name, value) = text
        .split_once('=')
        .filter(|(name, _)| !name.is_empty())
        .ok_or_else(|| usage(format!("{flag} must be a field and its value, such as display_name=Ann")))?;
    if is_secret_name(name) {
        return Err(usage(format!(
            "{flag}: {name} is a secret, and every user of this machine can read a command line; use \
             --password-file, or --payload with a file"
        )));
    }
    let value = if is_json {
        serde_json::from_str(value)
            .map_err(|_| usage(format!("{flag}: the value of {name} is not valid JSON")))?
    } else {
        Value::from(value)
    };
    Ok((name.to_owned(), value))
}

fn read(path: &Path, flag: &str) -> Result<Zeroizing<String>, Failure> {
    let mut text = Zeroizing::new(String::new());
    let done = if path == Path::new(STDIN) {
        if std::io::stdin().is_terminal() {
            return Err(usage(format!(
                "{flag}: input typed into a terminal is visible; use a file or a pipe"
            )));
        }
        std::io::stdin().lock().read_to_string(&mut text)
    } else {
        std::fs::File::open(path).and_then(|mut file| file.read_to_string(&mut text))
    };
    done.map_err(|error| {
        Failure::new(Exit::Failed, format!("{flag}: {} cannot be read: {error}", path.display()))
    })?;
    Ok(text)
}

pub(super) fn usage(message: impl Into<String>) -> Failure {
    Failure::new(Exit::Usage, message)
}
