//! Converts JSON-RPC errors into errors of the SDK.

use std::time::Duration;

use bridgehead_sdk::{Code, Effect, Error, Redactor, Retry, Subject, is_invisible};
use serde_json::{Map, Value};
use tracing::warn;

use crate::protocol::{ErrorObject, METHOD_NOT_FOUND};

/// The maximum length of a message that is passed on, in characters.
const MESSAGE: usize = 500;

/// The maximum length of an external name or label in a message, in characters.
pub(crate) const LABEL: usize = 100;

/// The longest wait that a connector can request.
const LONGEST_WAIT: Duration = Duration::from_hours(24);

/// Converts a JSON-RPC error; missing parts get the defaults of [`Error::new`] for the code. `method` and `app` name
/// the call in the message if the error has no message.
pub(crate) fn from_object(error: &ErrorObject, app: &str, method: &str, redactor: &Redactor) -> Error {
    let said = text(&error.message, MESSAGE, redactor).trim_start().to_owned();
    let code_name = error.data.get("code");
    if error.code == METHOD_NOT_FOUND && code_name.is_none() {
        return Error::internal(format!("the connector process of {app} does not offer {method}"));
    }
    let (code, message) = match code_name.map(|name| (name, name.as_str().and_then(|name| name.parse().ok())))
    {
        Some((_, Some(code))) => (code, said),
        Some((name, None)) => {
            let name = text(name.as_str().unwrap_or("not a string"), LABEL, redactor);
            let message =
                format!("{said} (the connector process of {app} returned the unknown error code '{name}')");
            (Code::InternalError, message)
        }
        None => (Code::InternalError, said),
    };
    let message = if message.is_empty() {
        format!("{method} failed in the connector process of {app} without a reason; check the daemon's log")
    } else {
        message
    };
    let mut converted = Error::new(code, message);
    if let Some(effect) = effect(&error.data) {
        converted = converted.with_effect(effect);
    }
    if error.data.get("retry_after").is_some_and(|after| !after.is_null() && wait(after).is_none()) {
        warn!(
            target: "bridgehead::exec", %app, %method,
            "the connector process returned a 'retry_after' that is not a number of seconds; ignoring it"
        );
    }
    if let Some(retry) = retry(&error.data) {
        converted = converted.with_retry(retry);
    }
    if let Some(subject) = subject(&error.data) {
        converted = converted.with_subject(subject);
    }
    converted
}

/// External text in a form that can be shown: without known secrets and control characters, and truncated.
pub(crate) fn text(raw: &str, longest: usize, redactor: &Redactor) -> String {
    // Redacted before it is truncated: the first half of a secret would not be recognized.
    let redacted = redactor.redact(raw);
    let mut clean = String::new();
    for (count, character) in redacted.trim_end().chars().enumerate() {
        if count == longest {
            clean.push('…');
            break;
        }
        clean.push(if is_invisible(character) { ' ' } else { character });
    }
    clean.truncate(clean.trim_end().len());
    clean
}

/// A value other than the two known ones still shows that the connector is not certain.
fn effect(data: &Map<String, Value>) -> Option<Effect> {
    match data.get("effect") {
        None | Some(Value::Null) => None,
        Some(value) if value.as_str() == Some("not_applied") => Some(Effect::NotApplied),
        Some(_) => Some(Effect::Unknown),
    }
}

fn retry(data: &Map<String, Value>) -> Option<Retry> {
    let said = data.get("retry").and_then(Value::as_str);
    if said == Some("never") {
        return Some(Retry::Never);
    }
    match data.get("retry_after").and_then(wait) {
        Some(wait) => Some(Retry::After(wait)),
        None if said == Some("backoff") => Some(Retry::Backoff),
        None => None,
    }
}

/// A number, or a number as a string: many programs pass on the `Retry-After` header unchanged.
fn wait(value: &Value) -> Option<Duration> {
    let seconds = value.as_f64().or_else(|| value.as_str()?.trim().parse().ok())?;
    let capped = Some(seconds).filter(|seconds| *seconds >= 0.0)?.min(LONGEST_WAIT.as_secs_f64());
    Some(Duration::try_from_secs_f64(capped).unwrap_or(LONGEST_WAIT))
}

fn subject(data: &Map<String, Value>) -> Option<Subject> {
    match data.get("subject").and_then(Value::as_str)? {
        "account" => Some(Subject::Account),
        "group" => Some(Subject::Group),
        "license" => Some(Subject::License),
        "connection" => Some(Subject::Connection),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn object(code: i64, message: &str, data: Value) -> ErrorObject {
        let data = match data {
            Value::Object(data) => data,
            _ => Map::new(),
        };
        ErrorObject { code, message: message.to_owned(), data }
    }

    fn convert(data: Value) -> Error {
        from_object(&object(-32000, "it went wrong", data), "acme-hr", "create_account", &Redactor::new())
    }

    #[test]
    fn every_error_code_has_its_default_attributes() {
        for code in Code::ALL {
            let error = convert(json!({ "code": code.as_str() }));
            let usual = Error::new(code, "");
            assert_eq!(error.code(), code);
            assert_eq!(error.effect(), usual.effect(), "{code}");
            assert_eq!(error.retry(), usual.retry(), "{code}");
            assert_eq!(error.subject(), usual.subject(), "{code}");
            assert_eq!(error.message(), "it went wrong");
        }
    }

    #[test]
    fn error_attributes_can_be_overridden() {
        let error = convert(json!({
            "code": "ACCOUNT_NOT_FOUND", "effect": "unknown", "retry": "backoff", "subject": "connection"
        }));
        assert_eq!(error.effect(), Effect::Unknown);
        assert_eq!(error.retry(), Retry::Backoff);
        assert_eq!(error.subject(), Subject::Connection);
        for (name, subject) in
            [("account", Subject::Account), ("group", Subject::Group), ("license", Subject::License)]
        {
            assert_eq!(convert(json!({"code": "INTERNAL_ERROR", "subject": name})).subject(), subject);
        }
        let error = convert(json!({"code": "TIMEOUT", "effect": "not_applied", "retry": "never"}));
        assert_eq!((error.effect(), error.retry()), (Effect::NotApplied, Retry::Never));
    }

    #[test]
    fn invalid_effect_counts_as_unknown() {
        for effect in [json!("none"), json!(false), json!(["not_applied"])] {
            let error = convert(json!({"code": "ACCOUNT_NOT_FOUND", "effect": effect}));
            assert_eq!(error.effect(), Effect::Unknown, "{effect}");
        }
    }

    #[test]
    fn retry_after_is_capped_and_never_takes_precedence() {
        let retry = |data| convert(data).retry();
        assert_eq!(
            retry(json!({"code": "RATE_LIMITED", "retry_after": 1.5})),
            Retry::After(Duration::from_millis(1500))
        );
        assert_eq!(retry(json!({"code": "RATE_LIMITED", "retry_after": 0})), Retry::After(Duration::ZERO));
        assert_eq!(retry(json!({"code": "RATE_LIMITED", "retry_after": 1e300})), Retry::After(LONGEST_WAIT));
        assert_eq!(
            retry(json!({"code": "RATE_LIMITED", "retry_after": " 1.5 "})),
            Retry::After(Duration::from_millis(1500))
        );
        for wrong in [json!(-1), json!("soon"), json!("-1"), json!("NaN"), json!(null), json!([3])] {
            assert_eq!(retry(json!({"code": "RATE_LIMITED", "retry_after": wrong})), Retry::Backoff);
        }
        assert_eq!(retry(json!({"code": "RATE_LIMITED", "retry_after": 3, "retry": "never"})), Retry::Never);
    }

    #[test]
    fn unknown_code_becomes_an_internal_error_naming_it() {
        let error = convert(json!({"code": "QUOTA_EXCEEDED"}));
        assert_eq!((error.code(), error.effect()), (Code::InternalError, Effect::Unknown));
        assert!(
            error.message().contains("it went wrong") && error.message().contains("'QUOTA_EXCEEDED'"),
            "{error}"
        );
    }

    #[test]
    fn error_without_data_has_unknown_effect() {
        let error = convert(Value::Null);
        assert_eq!((error.code(), error.effect()), (Code::InternalError, Effect::Unknown));
    }

    #[test]
    fn missing_method_is_not_applied_and_not_retried() {
        let error = from_object(
            &object(METHOD_NOT_FOUND, "Method not found", Value::Null),
            "acme-hr",
            "find_account",
            &Redactor::new(),
        );
        assert_eq!(error.message(), "the connector process of acme-hr does not offer find_account");
        assert_eq!((error.effect(), error.retry()), (Effect::NotApplied, Retry::Never));
    }

    #[test]
    fn empty_message_is_replaced_by_the_failed_method() {
        let error = from_object(&object(1, " \u{0}", Value::Null), "acme-hr", "check", &Redactor::new());
        assert!(error.message().starts_with("check failed in the connector process of acme-hr"), "{error}");
    }

    #[test]
    fn secrets_are_redacted_in_messages_and_codes() {
        let redactor = Redactor::new();
        redactor.protect_for_good(["hunter2"]);
        let long = format!("{}hunter2", "x".repeat(MESSAGE - 3));
        for message in ["the password hunter2 is weak", long.as_str()] {
            let error =
                from_object(&object(1, message, json!({"code": "hunter2"})), "hr", "check", &redactor);
            assert!(!error.message().contains("hun"), "{error}");
        }
    }

    #[test]
    fn error_message_is_one_bounded_line() {
        let clean = text(&format!("a\nb\u{1b}[31m\u{202e}{}", "é".repeat(1000)), MESSAGE, &Redactor::new());
        assert!(clean.starts_with("a b [31m é"), "{clean}");
        assert_eq!(clean.chars().count(), MESSAGE + 1);
    }

    proptest! {
        #[test]
        fn arbitrary_retry_after_and_message_do_not_panic(seconds: f64, message: String) {
            let data = json!({"code": "RATE_LIMITED", "retry_after": seconds});
            drop(from_object(&object(1, &message, data), "hr", "check", &Redactor::new()));
        }
    }
}
