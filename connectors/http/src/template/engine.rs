//! minijinja, configured so that nothing is written by accident.

use std::sync::{Arc, LazyLock};

use minijinja::value::{Object, ValueKind};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Output, State, UndefinedBehavior, Value};

use bridgehead_sdk::exact;

use super::Reason;

/// The maximum number of steps of one template. A loop over some thousands of groups is far below it.
const FUEL: u64 = 1_000_000;

/// The shared engine. It contains rules, but no templates.
pub(super) static ENGINE: LazyLock<Environment<'static>> = LazyLock::new(engine);

fn engine() -> Environment<'static> {
    let mut engine = Environment::new();
    engine.set_undefined_behavior(UndefinedBehavior::Strict);
    engine.set_fuel(Some(FUEL));
    // Escaping depends on where a string is used, not on the template: see `Path` and `Tree`.
    engine.set_auto_escape_callback(|_| AutoEscape::None);
    engine.set_formatter(write);
    for name in ["safe", "escape", "e", "pprint"] {
        engine.remove_filter(name);
    }
    for name in ["safe", "escaped"] {
        engine.remove_test(name);
    }
    engine.add_filter("prefixed", |text: &str, prefix: &str| format!("{prefix}{text}"));
    engine.add_filter("unprefixed", |text: &str, prefix: &str| {
        text.strip_prefix(prefix).unwrap_or(text).to_owned()
    });
    engine.remove_global("debug");
    engine.add_global("omit", Value::from_object(Omit));
    engine
}

/// The marker for "leave this field out".
#[derive(Debug)]
struct Omit;

impl Object for Omit {
    fn is_true(self: &Arc<Self>) -> bool {
        false
    }
}

/// Whether a value means that its field is left out.
pub(crate) fn is_omitted(value: &Value) -> bool {
    value.downcast_object_ref::<Omit>().is_some()
}

/// Writes a value as a string. A value without an obvious string form is an error: `none` in a URL is not a name.
fn write(output: &mut Output<'_>, _: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    let text = plain(value).map_err(|reason| {
        // The reason is passed as the source, so that minijinja's messages need not be parsed.
        Error::new(ErrorKind::InvalidOperation, "a value cannot be written").with_source(reason)
    })?;
    output.write_str(&text).map_err(|_| Error::from(ErrorKind::WriteFailure))
}

/// A value as a string.
pub(super) fn plain(value: &Value) -> Result<String, Reason> {
    match value.kind() {
        ValueKind::String => Ok(exact::digits(&value.to_string()).into_owned()),
        ValueKind::Number | ValueKind::Bool => Ok(value.to_string()),
        ValueKind::Undefined => Err(Reason::Missing(Vec::new())),
        ValueKind::None => Err(Reason::Nothing),
        _ if is_omitted(value) => Err(Reason::Omitted),
        _ => Err(Reason::NoText),
    }
}

/// Names that every template may use.
pub(super) fn globals() -> impl Iterator<Item = String> {
    ENGINE.globals().map(|(name, _)| name.to_owned())
}

/// The value that leaves out a field.
pub(crate) fn omitted() -> Value {
    Value::from_object(Omit)
}
