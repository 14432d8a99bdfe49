//! The only place that writes to standard output and standard error by itself; the rest is the log. What moves a terminal's
//! cursor or turns its text around is written out.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::Write;

use bridgehead_sdk::{is_invisible, visible};

/// Prints a line, or several. A reader that has gone away (`| head`) is no failure.
pub(crate) fn line(text: impl std::fmt::Display) {
    drop(writeln!(std::io::stdout().lock(), "{}", lines(&text.to_string())));
}

/// Prints text as it is.
pub(crate) fn raw(bytes: &[u8]) {
    let mut out = std::io::stdout().lock();
    drop(out.write_all(bytes).and_then(|()| out.flush()));
}

/// Prints JSON, indented.
pub(crate) fn json(value: &impl serde::Serialize) {
    match serde_json::to_string_pretty(value) {
        Ok(text) => drop(writeln!(std::io::stdout().lock(), "{}", escaped(&text))),
        Err(error) => complain(format!("the answer cannot be written as JSON: {error}")),
    }
}

/// Prints a line to standard error, or several.
pub(crate) fn complain(text: impl std::fmt::Display) {
    drop(writeln!(std::io::stderr().lock(), "{}", lines(&text.to_string())));
}

/// The text with invisible characters written out, line by line.
fn lines(text: &str) -> String {
    text.split('\n').map(visible).collect::<Vec<_>>().join("\n")
}

/// JSON in which invisible characters stand as escapes, line breaks between its parts excepted.
pub(super) fn escaped(json: &str) -> Cow<'_, str> {
    let is_raw = |one: char| one != '\n' && is_invisible(one);
    if !json.contains(is_raw) {
        return Cow::Borrowed(json);
    }
    let mut text = String::with_capacity(json.len() + 16);
    for character in json.chars() {
        if is_raw(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                // Writing to a text cannot fail.
                write!(text, "\\u{unit:04x}").ok();
            }
        } else {
            text.push(character);
        }
    }
    Cow::Owned(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_stay_lines_and_nothing_else_moves_a_terminal() {
        assert_eq!(lines("a\u{1b}[2J\rb\n\u{202e}c"), "a\\u{1b}[2J\\rb\n\\u{202e}c");
    }

    #[test]
    fn json_stays_the_same_json() {
        let value = serde_json::json!({"a": "x\u{7f}\u{9b}\u{202e}\u{e0001}\n", "b": [1]});
        let text = serde_json::to_string_pretty(&value).unwrap();
        let shown = escaped(&text);
        assert!(!shown.contains(|one: char| one != '\n' && is_invisible(one)), "{shown}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
    }
}
