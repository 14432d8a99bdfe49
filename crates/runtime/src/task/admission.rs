//! Rejects tasks that must not reach a connector: unreadable, not supported by it, or forbidden by the operator.

use bridgehead_sdk::{Account, AccountRecord, Action, Code, Description, Operation, Payload};
use serde::Deserialize;
use serde_json::Value;

use crate::app::AppContext;
use crate::task::attempts::Failure;
use bridgehead_bridge::{TOO_LARGE, Task, UNREADABLE};
use bridgehead_config::Protect;

/// Runs all checks on a task that need no access to the target.
pub(super) fn admit(app: &AppContext, description: &Description, task: &Task) -> Result<Operation, Failure> {
    let system = &app.name;
    if task.payload.as_str() == Some(TOO_LARGE) {
        return Err(Failure::new(
            Code::InternalError,
            format!("the task for {system} is larger than bridgehead can read; split it into smaller tasks"),
        ));
    }
    let action: Action = task.action.parse().map_err(|error| {
        Failure::new(
            Code::InternalError,
            format!(
                "{system}: {error}; this version of bridgehead may be too \
                                                   old for it"
            ),
        )
    })?;
    if let Some(allowed) = &app.settings.protect.actions
        && !allowed.contains(&action)
    {
        return Err(Failure::new(
            Code::PermissionDenied,
            format!("{action} is not allowed in {system}: apps.{system}.protect.actions does not name it"),
        ));
    }
    if !description.actions.contains(&action) {
        return Err(Failure::new(
            Code::InternalError,
            format!("the connector '{}' of {system} does not offer {action}", description.name),
        ));
    }
    let operation = read_payload(&task.payload)
        .and_then(|payload| Operation::parse(action, payload).map_err(|error| error.to_string()))
        .map_err(|why| {
            Failure::new(Code::InternalError, format!("{action} in {system}: malformed payload: {why}"))
        })?;
    refuse_protected(app, names_of_task(&operation))?;
    Ok(operation)
}

fn read_payload(payload: &Value) -> Result<Payload, String> {
    match payload {
        Value::Null => Ok(Payload::default()),
        // Serde's own message would quote the invalid value.
        Value::Object(_) => Payload::deserialize(payload).map_err(|_| "it cannot be read".to_owned()),
        Value::String(text) if text == UNREADABLE => {
            Err("it is nested too deeply, or not valid JSON".to_owned())
        }
        Value::Array(_) => Err("payload must be an object, not a list".to_owned()),
        _ => Err("payload must be an object".to_owned()),
    }
}

/// Rejects an account that is protected under any of its names in the target.
pub(super) fn admit_record(app: &AppContext, record: &AccountRecord) -> Result<(), Failure> {
    let names = [Some(record.id.as_str()), record.username.as_deref(), record.email.as_deref()];
    refuse_protected(app, names.into_iter().flatten().map(str::to_owned))
}

/// Whether any patterns are configured, so that an account's other names have to be looked up.
pub(super) fn has_patterns(protect: &Protect) -> bool {
    !protect.accounts.is_empty()
}

fn refuse_protected(app: &AppContext, names: impl IntoIterator<Item = String>) -> Result<(), Failure> {
    for name in names {
        if let Some(pattern) = app.settings.protect.accounts.iter().find(|pattern| pattern.matches(&name)) {
            let system = &app.name;
            return Err(Failure::new(
                Code::PermissionDenied,
                format!(
                    "{name} is protected in {system}: it matches '{pattern}' of apps.{system}.protect.accounts"
                ),
            ));
        }
    }
    Ok(())
}

/// The names by which a task refers to its account, and the names it would give it.
fn names_of_task(operation: &Operation) -> Vec<String> {
    let Account { id, username, email, .. } = operation.account();
    let mut names: Vec<String> = [id.as_ref().map(ToString::to_string), username.clone(), email.clone()]
        .into_iter()
        .flatten()
        .collect();
    if let Operation::UpdateAccount(update) = operation {
        let renamed =
            ["id", "username", "email"].into_iter().filter_map(|field| update.changes.get(field)?.as_str());
        names.extend(renamed.map(str::to_owned));
    }
    names
}
