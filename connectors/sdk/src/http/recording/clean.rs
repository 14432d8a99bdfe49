//! Removes secrets and volatile headers from what is written to the file.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::HeaderMap;
use serde_json::Value;

use crate::{REDACTED, Redactor, is_secret_name};

/// Headers that change with every response and that no connector uses. `Date` is one of them: with it, a
/// `Retry-After` in seconds and one as a date would differ on replay.
const PASSING: [&str; 8] = [
    "connection",
    "content-encoding",
    "content-length",
    "date",
    "keep-alive",
    "server",
    "transfer-encoding",
    "via",
];

/// Removes secrets from what is recorded.
pub(super) struct Cleaner<'a>(&'a Redactor);

impl<'a> Cleaner<'a> {
    pub(super) fn new(redactor: &'a Redactor) -> Self {
        Self(redactor)
    }

    /// Learns the credentials of a request, so that they are also removed from a response that repeats them.
    pub(super) fn learn(&self, headers: &HeaderMap) {
        for (name, value) in headers {
            if !value.is_sensitive() && !is_secret_name(name.as_str()) {
                continue;
            }
            let Ok(text) = value.to_str() else { continue };
            let credential = text.split_once(' ').map_or(text, |(_, credential)| credential);
            self.0.protect_for_good([credential]);
            let basic = text.strip_prefix("Basic ").and_then(|text| STANDARD.decode(text).ok());
            if let Some(password) = basic.as_deref().and_then(password_of) {
                self.0.protect_for_good([password]);
            }
        }
    }

    /// A header of a response; `None` if it is not recorded.
    pub(super) fn header(&self, name: &str, value: &str) -> Option<String> {
        if PASSING.contains(&name) || name.eq_ignore_ascii_case("set-cookie") {
            return None;
        }
        Some(if is_secret_name(name) { REDACTED.to_owned() } else { self.text(value) })
    }

    /// A query parameter or a form field.
    pub(super) fn pair(&self, name: &str, value: &str) -> (String, String) {
        let value = if is_secret_name(name) { REDACTED.to_owned() } else { self.text(value) };
        (self.text(name), value)
    }

    pub(super) fn text(&self, text: &str) -> String {
        self.0.redact(text).into_owned()
    }

    /// A JSON value without known secrets, and without the values of names that indicate a secret.
    pub(super) fn json(&self, mut value: Value) -> Value {
        self.0.hide_secrets(&mut value);
        value
    }
}

fn password_of(pair: &[u8]) -> Option<&str> {
    let (_, password) = std::str::from_utf8(pair).ok()?.split_once(':')?;
    Some(password)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_under_secret_names_are_hidden_with_shape_preserved() {
        let redactor = Redactor::new();
        let cleaned = Cleaner::new(&redactor).json(json!({
            "userName": "ann", "password": "x", "tokens": [{"value": 5, "id": "a"}], "otp": null, "mfa": true,
            "password_changed_at": "2026-01-01",
        }));
        let wanted = json!({
            "userName": "ann", "password": REDACTED, "tokens": [{"value": REDACTED, "id": REDACTED}], "otp": null, "mfa": true,
            "password_changed_at": "2026-01-01",
        });
        assert_eq!(cleaned, wanted);
    }
}
