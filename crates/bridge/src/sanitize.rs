//! Makes strings from the network safe for logs and terminals.

use serde_json::Value;

use super::ApiKey;

/// The maximum length of a string from the server, in characters.
const LONGEST: usize = 500;

/// The replacement for an error response without details.
pub(super) const NONE: &str = "(no details given)";

/// Returns the string on one line, shortened, without control characters, without characters that reorder or hide text, and without HTML.
pub(super) fn clean(text: &str) -> String {
    let start: String = text.trim_start().chars().take(2 * LONGEST).collect();
    let lower = start.to_ascii_lowercase();
    if start.starts_with('<')
        || ["<html", "<!doctype", "<body", "<script"].iter().any(|tag| lower.contains(tag))
    {
        return "(an HTML page)".to_owned();
    }
    let visible: String = start
        .chars()
        .map(|c| if c.is_control() || c.is_whitespace() { ' ' } else { c })
        .filter(|c| !is_deceptive(*c))
        .collect();
    let words = visible.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    match words.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &words[..end]),
        None => words,
    }
}

/// Characters that have zero width or change the text direction.
fn is_deceptive(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// The message of an error body: `detail` as a string or a list of findings, or messages per field. `None` if the body is not a JSON
/// object, and so does not come from the Bridge.
pub(super) fn of_body(body: &[u8], key: &ApiKey) -> Option<String> {
    let Ok(Value::Object(fields)) = serde_json::from_slice(body) else {
        return None;
    };
    let told = match fields.get("detail") {
        Some(detail) => told(detail),
        None => fields
            .iter()
            .filter_map(|(name, value)| told(value).map(|told| format!("{name}: {told}")))
            .reduce(|all, one| format!("{all}; {one}")),
    };
    // Redacted before cleaning, which could split the key, and after it, as cleaning could join its parts.
    let cleaned = key.redact(&clean(&key.redact(&told.unwrap_or_default())));
    Some(if cleaned.is_empty() { NONE.to_owned() } else { cleaned })
}

fn told(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Array(items) => items.iter().filter_map(told).reduce(|all, one| format!("{all}; {one}")),
        // A finding of a schema check: location and message. The value found there is left out: it is personal data.
        Value::Object(finding) => {
            let message = finding.get("msg").and_then(Value::as_str)?;
            let place: Vec<String> = finding
                .get("loc")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .map(|step| step.as_str().map_or_else(|| step.to_string(), str::to_owned))
                .collect();
            Some(if place.is_empty() {
                message.to_owned()
            } else {
                format!("{}: {message}", place.join("."))
            })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(body: &str) -> Option<String> {
        of_body(body.as_bytes(), &ApiKey::new("s3cret-key").unwrap())
    }

    #[test]
    fn documented_error_detail_is_read() {
        assert_eq!(of(r#"{"detail": "Field required"}"#).unwrap(), "Field required");
    }

    #[test]
    fn validation_errors_name_field_and_rule_but_no_value() {
        let body = r#"{"detail": [{"loc": ["body", "records", 3, "email"], "msg": "Field required", "input": "ann"},
                                  {"msg": "too long"}]}"#;
        assert_eq!(of(body).unwrap(), "body.records.3.email: Field required; too long");
        assert_eq!(of(r#"{"name": ["This field is required."]}"#).unwrap(), "name: This field is required.");
    }

    #[test]
    fn bodies_not_from_the_bridge_are_not_quoted() {
        assert_eq!(of("<html><b>502</b></html>"), None);
        assert_eq!(of(""), None);
        assert_eq!(of("[1]"), None);
        assert_eq!(of("{}").unwrap(), NONE);
        assert_eq!(of(r#"{"detail": null}"#).unwrap(), NONE);
        assert_eq!(of(r#"{"detail": " <!DOCTYPE html><p>x"}"#).unwrap(), "(an HTML page)");
        assert_eq!(of(r#"{"detail": "oops <html>x</html>"}"#).unwrap(), "(an HTML page)");
    }

    #[test]
    fn error_detail_is_one_bounded_line() {
        let long = of(&format!(r#"{{"detail": "{}"}}"#, "ä".repeat(100_000))).unwrap();
        assert_eq!(long.chars().count(), LONGEST + 1);
        assert_eq!(of(r#"{"detail": "a\n\tb\u001b[31mc\u202ed\u0000 "}"#).unwrap(), "a b [31mcd");
    }

    #[test]
    fn api_key_in_an_error_detail_is_redacted() {
        assert_eq!(of(r#"{"detail": "Invalid key s3cret-key"}"#).unwrap(), "Invalid key [redacted]");
        assert_eq!(of(r#"{"detail": "Invalid key s3cret\u200b-key"}"#).unwrap(), "Invalid key [redacted]");
    }
}
