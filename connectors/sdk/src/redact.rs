//! Keeping secrets out of what is logged and reported.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

/// What stands where a secret was.
pub const REDACTED: &str = "[redacted]";

/// Texts shorter than this are not looked for: replacing every "a" would hide the message, not the secret.
const SHORTEST: usize = 4;

/// Secrets that protections have let go of are still looked for until this many others came after them: a
/// child's last words about a task may arrive after the task has ended.
const LINGER: usize = 1024;

/// Replaces known secrets in texts that leave the daemon: log lines, error messages, results.
///
/// Types that redact themselves are the first line of defence; this is the second, for texts that come from
/// elsewhere, such as a child process that prints the password it was given. Clones share what they know.
#[derive(Clone, Default)]
pub struct Redactor(Arc<RwLock<Known>>);

#[derive(Default)]
struct Known {
    /// Each text to look for, and how many protections hold it.
    texts: HashMap<String, usize>,
    /// Texts that no protection holds any more, oldest first.
    lingering: std::collections::VecDeque<String>,
}

impl Redactor {
    /// A redactor that knows no secret yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Looks for these secrets from now on, for as long as the result lives and a while longer.
    #[must_use = "the secrets are looked for as long as this lives"]
    pub fn protect<S: AsRef<str>>(&self, secrets: impl IntoIterator<Item = S>) -> Protection {
        let mut texts: Vec<String> = Vec::new();
        for secret in secrets {
            for form in forms(secret.as_ref()) {
                if form.len() >= SHORTEST && !texts.contains(&form) {
                    texts.push(form);
                }
            }
        }
        if !texts.is_empty() {
            let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
            for text in &texts {
                *known.texts.entry(text.clone()).or_default() += 1;
            }
        }
        Protection { redactor: self.clone(), texts }
    }

    /// Looks for these secrets for as long as the daemon runs.
    pub fn protect_for_good<S: AsRef<str>>(&self, secrets: impl IntoIterator<Item = S>) {
        std::mem::forget(self.protect(secrets));
    }

    /// The text with every known secret replaced by [`REDACTED`].
    pub fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let mut found: Vec<&String> =
            known.texts.keys().filter(|secret| text.contains(secret.as_str())).collect();
        if found.is_empty() {
            return Cow::Borrowed(text);
        }
        // The longest first: one secret may be the beginning of another.
        found.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        let mut redacted = text.to_owned();
        for secret in found {
            redacted = redacted.replace(secret.as_str(), REDACTED);
        }
        Cow::Owned(redacted)
    }

    /// Replaces known secrets in every text of a JSON value, names of fields included.
    pub fn redact_json(&self, value: &mut serde_json::Value) {
        use serde_json::Value;
        match value {
            Value::String(text) => {
                if let Cow::Owned(redacted) = self.redact(text) {
                    *text = redacted;
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.redact_json(item)),
            Value::Object(fields) => {
                let dirty: Vec<String> = fields
                    .keys()
                    .filter(|name| matches!(self.redact(name), Cow::Owned(_)))
                    .cloned()
                    .collect();
                for name in dirty {
                    if let Some(item) = fields.shift_remove(&name) {
                        fields.insert(self.redact(&name).into_owned(), item);
                    }
                }
                fields.values_mut().for_each(|item| self.redact_json(item));
            }
            _ => {}
        }
    }

    fn release(&self, texts: &[String]) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for text in texts {
            if let Some(holders) = known.texts.get_mut(text) {
                *holders = holders.saturating_sub(1);
                if *holders == 0 {
                    known.lingering.push_back(text.clone());
                }
            }
        }
        while known.lingering.len() > LINGER {
            if let Some(text) = known.lingering.pop_front()
                && known.texts.get(&text) == Some(&0)
                && !known.lingering.contains(&text)
            {
                known.texts.remove(&text);
            }
        }
    }
}

/// A secret as it may stand in a text: as it is, and as JSON writes it.
fn forms(secret: &str) -> Vec<String> {
    let quoted = serde_json::Value::from(secret).to_string();
    let escaped = quoted.trim_matches('"').to_owned();
    if escaped == secret { vec![escaped] } else { vec![secret.to_owned(), escaped] }
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner).texts.len();
        f.debug_struct("Redactor").field("known", &known).finish()
    }
}

/// Keeps secrets known to a [`Redactor`] while it lives.
pub struct Protection {
    redactor: Redactor,
    texts: Vec<String>,
}

impl Drop for Protection {
    fn drop(&mut self) {
        self.redactor.release(&self.texts);
    }
}

impl std::fmt::Debug for Protection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Protection").field("texts", &self.texts.len()).finish_non_exhaustive()
    }
}

/// Whether the name of a field speaks of a secret: `password`, `client_secret`, `api_key`…
pub fn is_secret_name(name: &str) -> bool {
    const WORDS: [&str; 9] = [
        "password",
        "passwd",
        "passphrase",
        "secret",
        "token",
        "credential",
        "api_key",
        "apikey",
        "private_key",
    ];
    const WHOLE: [&str; 4] = ["pin", "pwd", "authorization", "cookie"];
    /// `token_url` says where, `password_column` what it is called: neither is the secret itself.
    const ABOUT: [&str; 7] = ["_url", "_uri", "_endpoint", "_file", "_path", "_column", "_field"];
    let name = name.to_lowercase().replace('-', "_");
    // What is done, and not what it is done with: statements and requests stand under the names of actions.
    if name == crate::Action::ResetPassword.as_str() {
        return false;
    }
    let speaks = WORDS.iter().any(|word| name.contains(word)) || WHOLE.contains(&name.as_str());
    speaks && !ABOUT.iter().any(|about| name.ends_with(about))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_protected_secret_never_passes() {
        let redactor = Redactor::new();
        let _protection = redactor.protect(["hunter2", "hunter2-longer", "quo\"te\\d"]);
        assert_eq!(redactor.redact("with hunter2-longer and hunter2"), "with [redacted] and [redacted]");
        assert_eq!(redactor.redact(r#"{"p":"quo\"te\\d"}"#), r#"{"p":"[redacted]"}"#);
        assert_eq!(redactor.redact("nothing here"), "nothing here");
    }

    #[test]
    fn short_texts_are_left_alone() {
        let redactor = Redactor::new();
        redactor.protect_for_good(["", "abc"]);
        assert_eq!(redactor.redact("abc"), "abc");
    }

    #[test]
    fn a_secret_lingers_after_its_protection_has_ended() {
        let redactor = Redactor::new();
        drop(redactor.protect(["hunter2"]));
        assert_eq!(redactor.redact("hunter2"), REDACTED);
        for n in 0..=LINGER {
            drop(redactor.protect([format!("other-{n}")]));
        }
        assert_eq!(redactor.redact("hunter2"), "hunter2");
    }

    #[test]
    fn a_secret_that_two_hold_stays_known() {
        let redactor = Redactor::new();
        let _held = redactor.protect(["hunter2"]);
        drop(redactor.protect(["hunter2"]));
        for n in 0..=LINGER {
            drop(redactor.protect([format!("other-{n}")]));
        }
        assert_eq!(redactor.redact("hunter2"), REDACTED);
    }

    #[test]
    fn json_is_redacted_at_any_depth() {
        let redactor = Redactor::new();
        redactor.protect_for_good(["hunter2"]);
        let mut value = json!({"a": ["x hunter2"], "hunter2": 1});
        redactor.redact_json(&mut value);
        assert_eq!(value, json!({"a": ["x [redacted]"], "[redacted]": 1}));
    }

    #[test]
    fn names_of_secrets_are_recognised() {
        assert!(
            ["password", "newPassword", "client-secret", "API_KEY", "pin", "Authorization"]
                .into_iter()
                .all(is_secret_name)
        );
        assert!(
            !["email", "pinned", "username", "token_url", "password-column", "reset_password"]
                .into_iter()
                .any(is_secret_name)
        );
    }
}
