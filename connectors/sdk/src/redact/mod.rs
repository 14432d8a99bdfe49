//! Keeps secrets out of logs and reports.

mod escapes;
mod forms;
mod known;
mod likely;
mod names;

use std::borrow::Cow;
use std::sync::{Arc, PoisonError, RwLock};

use known::Known;

pub use names::is_secret_name;

/// The replacement for a secret.
pub const REDACTED: &str = "[redacted]";

/// Shorter strings are not searched for: replacing every "a" would hide the message, not the secret.
const SHORTEST: usize = 4;

/// Secrets that no protection holds any longer are still searched for until this many others have followed: a child
/// process may write about a task after the task has ended.
const LINGER: usize = 1024;

/// Replaces known secrets in strings that leave the daemon: log lines, error messages, results.
///
/// Types that redact themselves are the first line of defence; this is the second, for strings from elsewhere, such as
/// the output of a child process that prints the password it was given. Clones share their secrets.
///
/// A secret is found as it is, and in the encodings that targets and libraries use: the escapes of JSON, URLs, forms, HTML and LDAP, of all
/// its characters or of some; base64, also as part of a longer string, such as `user:password`; hexadecimal digits; and UTF-16 and Latin-1,
/// also within base64 and hexadecimal digits. A truncated secret is found if enough of it is left. A secret that is hashed, encrypted,
/// compressed, reversed or split is not found.
///
/// A redactor knows its secrets and nothing else, so that a test notices every other text that a connector gives away. What leaves the
/// daemon passes a [`recognizing`](Self::recognizing) one, which also replaces what looks like a secret.
///
/// A secret that no protection holds any longer is kept only as a digest: the redactor recognizes it, but cannot reveal it. If it
/// recognizes only a part of such a secret, it also replaces the rest of the word.
///
/// ```
/// use bridgehead_sdk::Redactor;
///
/// let redactor = Redactor::new();
/// let held = redactor.protect(["hunter2-the-token"]);
/// assert_eq!(redactor.redact("401: hunter2-the-token is not known"), "401: [redacted] is not known");
/// # drop(held);
/// ```
#[derive(Clone, Default)]
pub struct Redactor {
    known: Arc<RwLock<Known>>,
    /// Whether it also replaces what looks like a secret.
    is_recognizing: bool,
}

impl Redactor {
    /// A redactor without any secrets yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same redactor for text that leaves the daemon: it also replaces what looks like a secret although nobody has declared it one,
    /// because a target or a program may quote secrets of its own. These are the passwords in URLs, the values of names that
    /// [indicate a secret](is_secret_name), credentials in headers, private keys, and tokens that their issuers mark.
    ///
    /// ```
    /// use bridgehead_sdk::Redactor;
    ///
    /// let redactor = Redactor::new().recognizing();
    /// assert_eq!(redactor.redact("postgres://hr:hunter2@db/hr refused"), "postgres://hr:[redacted]@db/hr refused");
    /// assert_eq!(redactor.redact("401: token expired"), "401: token expired");
    /// ```
    pub fn recognizing(&self) -> Self {
        Self { is_recognizing: true, ..self.clone() }
    }

    /// The same redactor, which replaces only the secrets that it was given.
    pub fn exact(&self) -> Self {
        Self { is_recognizing: false, ..self.clone() }
    }

    /// Searches for these secrets from now on, for as long as the returned [`Protection`] lives and a while longer.
    #[must_use = "the secrets are redacted as long as this lives"]
    pub fn protect<S: AsRef<str>>(&self, secrets: impl IntoIterator<Item = S>) -> Protection {
        let mut held: Vec<u64> = Vec::new();
        for secret in secrets {
            let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
            held.extend(known.hold(secret.as_ref()));
        }
        Protection { redactor: self.clone(), held }
    }

    /// Searches for these secrets for as long as the daemon runs.
    pub fn protect_for_good<S: AsRef<str>>(&self, secrets: impl IntoIterator<Item = S>) {
        std::mem::forget(self.protect(secrets));
    }

    /// The text with every secret replaced by [`REDACTED`].
    pub fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut found = self.find(text);
        if found.is_empty() {
            return Cow::Borrowed(text);
        }
        found.sort_unstable();
        let mut redacted = String::with_capacity(text.len());
        let mut end = 0;
        for (start, found_end) in found {
            if start >= end {
                redacted.push_str(text.get(end..start).unwrap_or_default());
                redacted.push_str(REDACTED);
            }
            end = end.max(found_end);
        }
        redacted.push_str(text.get(end..).unwrap_or_default());
        Cow::Owned(redacted)
    }

    /// The positions of secrets, in any order; they may overlap.
    fn find(&self, text: &str) -> Vec<(usize, usize)> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let mut found = Vec::new();
        if known.len() == 0 && !self.is_recognizing {
            return found;
        }
        let mut add = |start: usize, end: usize| {
            let start = (0..=start).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
            let end = (end..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
            found.push((start, end));
        };
        known.find(text.as_bytes(), |start, end| add(before_escape(text, start), end));
        if self.is_recognizing {
            likely::find(text.as_bytes(), &mut add);
        }
        escapes::layers(text.as_bytes(), |layers| {
            let Some(last) = layers.last() else { return };
            let mut add_decoded = |start: usize, end: usize| {
                let place =
                    layers.iter().rev().fold((start, end), |(start, end), layer| layer.source(start, end));
                add(place.0, place.1);
            };
            known.find(&last.bytes, &mut add_decoded);
            if self.is_recognizing {
                likely::find(&last.bytes, &mut add_decoded);
            }
        });
        found
    }

    /// Replaces known secrets in a JSON value, like [`redact_json`](Self::redact_json), and every string and number
    /// below a name that [indicates a secret](is_secret_name). The structure is preserved: `null` and booleans reveal
    /// nothing.
    pub fn hide_secrets(&self, value: &mut serde_json::Value) {
        hide_below_secret_names(value, false);
        self.redact_json(value);
    }

    /// Replaces secrets in every string of a JSON value, including the names of fields, as [`redact`](Self::redact) does.
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
                for (name, item) in fields {
                    match item {
                        Value::String(text) if self.is_recognizing && likely::is_secret_field(name, text) => {
                            REDACTED.clone_into(text);
                        }
                        item => self.redact_json(item),
                    }
                }
            }
            _ => {}
        }
    }
}

/// The start of the escape that the secret is part of, if there is one: half an escape would make the surrounding text
/// unreadable.
fn before_escape(text: &str, start: usize) -> usize {
    let escapes = text.as_bytes().iter().take(start).rev().take_while(|byte| **byte == b'\\').count();
    start - escapes % 2
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner).len();
        f.debug_struct("Redactor")
            .field("known", &known)
            .field("is_recognizing", &self.is_recognizing)
            .finish()
    }
}

/// Keeps secrets known to a [`Redactor`] while it lives.
pub struct Protection {
    redactor: Redactor,
    /// The ids that the redactor assigned to the secrets.
    held: Vec<u64>,
}

impl Drop for Protection {
    fn drop(&mut self) {
        let mut known = self.redactor.known.write().unwrap_or_else(PoisonError::into_inner);
        for id in &self.held {
            known.release(*id);
        }
    }
}

impl std::fmt::Debug for Protection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Protection").field("held", &self.held.len()).finish_non_exhaustive()
    }
}

/// Replaces strings and numbers; `null` and booleans reveal nothing, and a connector may use them.
fn hide_below_secret_names(value: &mut serde_json::Value, is_secret: bool) {
    match value {
        serde_json::Value::Object(fields) => {
            for (name, field) in fields {
                hide_below_secret_names(field, is_secret || is_secret_name(name));
            }
        }
        serde_json::Value::Array(items) => {
            for item in items {
                hide_below_secret_names(item, is_secret);
            }
        }
        serde_json::Value::String(_) | serde_json::Value::Number(_) if is_secret => *value = REDACTED.into(),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn protected_secret_is_redacted() {
        let redactor = Redactor::new();
        let _protection = redactor.protect(["hunter2", "hunter2-longer", "quo\"te\\d"]);
        assert_eq!(redactor.redact("with hunter2-longer and hunter2"), "with [redacted] and [redacted]");
        assert_eq!(redactor.redact(r#"{"p":"quo\"te\\d"}"#), r#"{"p":"[redacted]"}"#);
        assert_eq!(redactor.redact("nothing here"), "nothing here");
    }

    #[test]
    fn short_secrets_are_not_redacted() {
        let redactor = Redactor::new();
        redactor.protect_for_good(["", "abc"]);
        assert_eq!(redactor.redact("abc"), "abc");
    }

    #[test]
    fn secret_stays_redacted_for_a_while_after_protection_ends() {
        let redactor = Redactor::new();
        drop(redactor.protect(["hunter2"]));
        assert_eq!(redactor.redact("hunter2"), REDACTED);
        for n in 0..=LINGER {
            drop(redactor.protect([format!("other-{n}")]));
        }
        assert_eq!(redactor.redact("hunter2"), "hunter2");
    }

    #[test]
    fn secret_protected_twice_stays_redacted_while_held() {
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

    /// A secret with characters that every encoding escapes.
    const TRICKY: &str = "pä\"ß/w\\rd+€ 🦀&1";

    fn hides(text: &str, secret: &str) -> String {
        let redactor = Redactor::new();
        let held = redactor.protect([secret]);
        let shown = redactor.redact(text).into_owned();
        drop(held);
        let digested = redactor.redact(text).into_owned();
        assert_eq!(
            without_words_behind(&shown),
            without_words_behind(&digested),
            "a secret that lingers is found too"
        );
        assert!(digested.len() <= shown.len(), "{shown} -> {digested}");
        shown
    }

    /// The text without the rest of each word that contains a secret: if a digest matches a part of a secret, it does not show where that
    /// part ends.
    fn without_words_behind(text: &str) -> String {
        let mut pieces = text.split(REDACTED);
        let first = pieces.next().unwrap_or_default().to_owned();
        let rest = pieces.map(|piece| piece.trim_start_matches(|next| !" \t\r\n\"'<>,;\\".contains(next)));
        rest.fold(first, |all, piece| all + REDACTED + piece)
    }

    #[test]
    fn secret_is_redacted_in_common_encodings() {
        for text in [
            r#"{"p":"p\u00e4\"\u00DF/w\\rd+\u20ac \uD83E\udd80&1"}"#,
            r#"{"p":"\u0070\u00e4\u0022\u00df\/\u0077\u005c\u0072\u0064\u002b\u20ac\u0020\ud83e\udd80\u00261"}"#,
            r#"{"body":"{\"p\":\"p\\u00e4\\\"\\u00df/w\\\\rd+\\u20ac \\ud83e\\udd80&1\"}"}"#,
            "GET /?p=p%C3%A4%22%C3%9F%2Fw%5Crd%2B%E2%82%AC%20%F0%9F%A6%80%261 HTTP/1.1",
            "p=p%c3%a4%22%c3%9f/w%5crd%2b%e2%82%ac+%f0%9f%a6%80%261",
            "p=p%25C3%25A4%2522%25C3%259F%252Fw%255Crd%252B%25E2%2582%25AC%2520%25F0%259F%25A6%2580%25261",
            "<b>p&auml;&quot;&szlig;/w\\rd+&euro; &#x1F980;&amp;1</b>",
            "<b>p&#228;&#34;&#223;/w&#92;rd&#43;&#8364; &#129408;&#38;1</b>",
            r"(userPassword=p\c3\a4\22\c3\9f\2fw\5crd\2b\e2\82\ac\20\f0\9f\a6\80\261)",
        ] {
            let shown = hides(text, TRICKY);
            assert_eq!(shown.matches(REDACTED).count(), 1, "{text} -> {shown}");
            let rest = shown.replace("userPassword", "");
            assert!(!rest.contains("rd") && !rest.contains("80") && !rest.contains("261"), "{shown}");
        }
    }

    #[test]
    fn secret_is_redacted_in_base64_and_hex_at_any_offset() {
        // Each was encoded by another program: `printf | base64`, `xxd`, `iconv -t UTF-16LE`.
        for (text, shown) in [
            ("Authorization: Basic aHVudGVyMjI=", "Authorization: Basic [redacted]"),
            ("Basic YTpodW50ZXIyMg==", "Basic YT[redacted]"),
            ("Basic YW46aHVudGVyMjI=", "Basic YW46[redacted]"),
            ("Basic YW5uOmh1bnRlcjIy.", "Basic YW5uO[redacted]."),
            ("unicodePwd:: IgBoAHUAbgB0AGUAcgAyADIAIgA=", "unicodePwd:: Ig[redacted]AIgA="),
            ("x'68756e7465723232'", "x'[redacted]'"),
            ("68756E7465723232", "[redacted]"),
            ("0x680075006e00740065007200320032003f", "0x[redacted]003f"),
        ] {
            assert_eq!(hides(text, "hunter22"), shown, "{text}");
        }
        // p?>~ä: the two base64 alphabets differ.
        assert_eq!(hides("cD8-fsOkcD8-fsOk!", "p?>~äp?>~ä"), "[redacted]!");
        assert_eq!(hides("cD8+fsOkcD8+fsOk!", "p?>~äp?>~ä"), "[redacted]!");
        assert_eq!(hides(r"w:\/cD8+fsOkcD8+fsOk", "p?>~äp?>~ä"), r"w:\/[redacted]");
        // As Latin-1, which old programs use in a Basic header.
        assert_eq!(hides("cORzc3dvcmQ=", "pässword"), "[redacted]");
        assert_eq!(hides("p%E4ssword", "pässword"), "[redacted]");
    }

    #[test]
    fn truncated_secret_is_redacted_if_long_enough() {
        let secret = "sk-live-0123456789abcdefghij";
        assert_eq!(hides("'sk-live-0123456' is no key", secret), "'sk-live-0123456' is no key");
        assert_eq!(hides("'sk-live-0123456789ab' is no key", secret), "'[redacted]' is no key");
        assert_eq!(Redactor::new().redact("sk-live-0123"), "sk-live-0123");
        let redactor = Redactor::new();
        redactor.protect_for_good([secret]);
        assert_eq!(redactor.redact("sk-live-0… is no key"), "[redacted]… is no key");
        assert_eq!(redactor.redact("sk-liv… is no key"), "sk-liv… is no key");
        // A password that starts with the name of the account.
        redactor.protect_for_good(["ada.lovelace-of-london-1815"]);
        assert_eq!(redactor.redact("ada.lovelace-of-london"), "ada.lovelace-of-london");
        assert_eq!(redactor.redact("User ada.lovelace not found"), "User ada.lovelace not found");
    }

    #[test]
    fn ordinary_text_is_unchanged() {
        let redactor = Redactor::new();
        redactor.protect_for_good(["1234", "abcd", "hunter2", "Tr0ub4dor&3", TRICKY]);
        for text in [
            r"C:\new\table\u00e4",
            "100% of 12345 + 1",
            "a&b; &lt;p&gt;",
            "YWJj ZGVm",
            "31 32 33 34",
            "2026-01-02T03:04:05+00:00",
        ] {
            let shown = redactor.redact(text);
            assert!(matches!(shown, Cow::Borrowed(_)) || text.contains("1234"), "{text} -> {shown}");
        }
    }

    #[test]
    fn released_secret_text_is_not_kept() {
        let redactor = Redactor::new();
        drop(redactor.protect(["hunter22-hunter22-hunter22"]));
        assert!(redactor.known.read().unwrap().holds_no_text());
        let held = redactor.protect(["hunter22-hunter22-hunter22"]);
        assert!(!redactor.known.read().unwrap().holds_no_text());
        drop(held);
        assert!(redactor.known.read().unwrap().holds_no_text());
    }

    #[test]
    fn reprotected_secret_is_redacted_while_held() {
        let redactor = Redactor::new();
        drop(redactor.protect(["hunter2"]));
        let _held = redactor.protect(["hunter2"]);
        for n in 0..=LINGER {
            drop(redactor.protect([format!("other-{n}")]));
        }
        assert_eq!(redactor.redact("hunter2"), REDACTED);
    }

    proptest! {
        #[test]
        fn exactly_the_secret_is_redacted(
            before in "[ a-z]{0,5}", secret in "[A-Z0-9&%+/äß🦀]{4,12}", behind in "[ a-z]{0,5}", json: bool
        ) {
            let escaped = serde_json::Value::from(secret.as_str()).to_string();
            let text = if json { escaped.trim_matches('"').replace("ä", "\\u00E4") } else { secret.clone() };
            let shown = hides(&format!("{before}{text}{behind}"), &secret);
            prop_assert_eq!(shown, format!("{before}{REDACTED}{behind}"));
        }

        #[test]
        fn arbitrary_text_does_not_panic(text in "\\PC{0,60}", secrets in proptest::collection::vec("\\PC{0,12}", 0..4)) {
            let redactor = Redactor::new();
            redactor.protect_for_good(secrets);
            drop(redactor.redact(&text));
        }
    }
}
