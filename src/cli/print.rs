//! The only place that writes directly to standard output and standard error; all other output is the log. Characters that move a
//! terminal's cursor or reverse its text are escaped.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::journald;
use bridgehead_sdk::{Redactor, is_invisible};

/// The first error of standard output. After that, nothing more is written to it.
static REFUSED: Mutex<Option<io::Error>> = Mutex::new(None);

/// Prints one or more lines, wrapped to the width of the terminal, if there is one.
pub(crate) fn line(text: impl std::fmt::Display) {
    let text = wrapped(&lines(&text.to_string()), width(io::stdout()));
    write(|out| writeln!(out, "{text}"));
}

/// Prints a command to copy, on a line of its own that is never wrapped: the part before a line break would run as a command of its own.
pub(crate) fn command(text: impl std::fmt::Display) {
    let text = lines(&text.to_string());
    write(|out| writeln!(out, "  {text}"));
}

/// The number of columns of a terminal; `None` if it is not one.
pub(super) fn width(of: impl AsFd) -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(of).ok()?;
    Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
}

/// Wraps each line between words, indented like its beginning. The terminal would break it anywhere, and an id or a command that is broken
/// over two lines cannot be copied.
pub(super) fn wrapped(text: &str, width: Option<usize>) -> String {
    let indent = |line: &str| line.chars().take_while(|one| *one == ' ').count();
    let fold = |line| folded(line, width, indent(line));
    text.split('\n').map(fold).collect::<Vec<_>>().join("\n")
}

/// Wraps a line between words. A word that is longer than a line is not split, and neither is a command in backticks.
pub(super) fn folded(line: &str, width: Option<usize>, indent: usize) -> String {
    let Some(width) = width.filter(|width| line.chars().count() > *width) else { return line.to_owned() };
    let mut text = String::new();
    let mut used = 0;
    for word in words(line) {
        let needed = word.trim_end().chars().count();
        if used > indent && needed > 0 && used + needed > width {
            text.truncate(text.trim_end().len());
            text.push('\n');
            text.push_str(&" ".repeat(indent));
            used = indent;
        }
        text.push_str(word);
        used += word.chars().count();
    }
    text
}

/// The parts between which a line may be wrapped, each with the spaces after it.
fn words(line: &str) -> impl Iterator<Item = &str> {
    let mut is_command = false;
    line.split_inclusive(move |one: char| {
        is_command ^= one == '`';
        one == ' ' && !is_command
    })
}

/// An external string in which characters that control a terminal, reorder text or hide something are escaped.
pub(crate) fn visible(text: &str) -> String {
    bridgehead_sdk::visible(text).into_owned()
}

/// Prints text unchanged.
pub(crate) fn raw(bytes: &[u8]) {
    write(|out| out.write_all(bytes));
}

/// Prints JSON, indented.
pub(crate) fn json(value: &impl serde::Serialize) {
    match serde_json::to_string_pretty(value) {
        Ok(text) => write(|out| writeln!(out, "{}", escaped(&text))),
        Err(error) => complain(format!("the output cannot be written as JSON: {error}")),
    }
}

/// Prints JSON on one line, immediately.
pub(crate) fn json_line(value: &serde_json::Value) {
    let text = value.to_string();
    write(|out| writeln!(out, "{}", escaped(&text)).and_then(|()| out.flush()));
}

/// Prints one or more lines to standard error.
pub(crate) fn complain(text: impl std::fmt::Display) {
    let text = wrapped(&lines(&text.to_string()), width(io::stderr()));
    drop(writeln!(std::io::stderr().lock(), "{text}"));
}

/// Prints why a command failed: for systemd's journal, each line as an error.
pub(crate) fn fail(text: &str) {
    let before = if journald::is_stderr() { journald::prefix(tracing::Level::ERROR) } else { "" };
    // It may quote a target or a program, and is printed where no redactor is known.
    let text = Redactor::new().recognizing().redact(text).into_owned();
    let text = wrapped(&lines(&text), width(io::stderr()));
    let text: Vec<String> = text.split('\n').map(|line| format!("{before}{line}")).collect();
    drop(writeln!(std::io::stderr().lock(), "{}", text.join("\n")));
}

/// Whether the output is still read: not after `| head` has exited.
pub(crate) fn is_read() -> bool {
    refused().is_none()
}

/// Flushes buffered output, and returns the error if not everything could be printed. A reader that has exited is not an error.
pub(crate) fn finish() -> Option<io::Error> {
    write(Write::flush);
    refused().take().filter(|error| error.kind() != ErrorKind::BrokenPipe)
}

/// A list as JSON, printed element by element, so that it can be of any length.
#[derive(Debug, Default)]
pub(crate) struct JsonList {
    has_begun: bool,
}

impl JsonList {
    pub(crate) fn add(&mut self, element: &impl serde::Serialize) {
        match serde_json::to_string_pretty(element) {
            Ok(text) => {
                let before = if self.has_begun { ",\n  " } else { "[\n  " };
                self.has_begun = true;
                let text = escaped(&text).replace('\n', "\n  ");
                write(|out| write!(out, "{before}{text}"));
            }
            Err(error) => complain(format!("an element cannot be written as JSON: {error}")),
        }
    }

    pub(crate) fn end(self) {
        line(if self.has_begun { "\n]" } else { "[]" });
    }
}

/// Escapes invisible characters in the text, line by line.
fn lines(text: &str) -> String {
    text.split('\n').map(visible).collect::<Vec<_>>().join("\n")
}

/// JSON with escaped invisible characters, except for line breaks between its parts.
pub(super) fn escaped(json: &str) -> Cow<'_, str> {
    let is_raw = |one: char| one != '\n' && is_invisible(one);
    if !json.contains(is_raw) {
        return Cow::Borrowed(json);
    }
    let mut text = String::with_capacity(json.len() + 16);
    for character in json.chars() {
        if is_raw(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                // Writing to a string cannot fail.
                write!(text, "\\u{unit:04x}").ok();
            }
        } else {
            text.push(character);
        }
    }
    Cow::Owned(text)
}

fn write(what: impl FnOnce(&mut io::StdoutLock<'static>) -> io::Result<()>) {
    let mut refused = refused();
    if refused.is_none()
        && let Err(error) = what(&mut io::stdout().lock())
    {
        *refused = Some(error);
    }
}

fn refused() -> MutexGuard<'static, Option<io::Error>> {
    REFUSED.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_breaks_are_kept_and_control_characters_escaped() {
        assert_eq!(lines("a\u{1b}[2J\rb\n\u{202e}c"), "a\\u{1b}[2J\\rb\n\\u{202e}c");
    }

    #[test]
    fn long_lines_wrap_between_words_and_keep_their_indentation() {
        let line =
            "  the next sync is held, and nothing is removed, until somebody allows exactly what was shown";
        let shown = wrapped(&format!("{line}\n\nshort"), Some(80));
        assert_eq!(
            shown,
            "  the next sync is held, and nothing is removed, until somebody allows exactly\n  what was shown\n\nshort"
        );
        let command = "until you allow it: `bridgehead sync directory --allow-removals`, once";
        assert_eq!(
            folded(command, Some(40), 2),
            "until you allow it:\n  `bridgehead sync directory --allow-removals`,\n  once"
        );
        assert_eq!(wrapped(line, None), line, "programs get it as it is");
        assert_eq!(folded("a bb ccc", Some(4), 1), "a bb\n ccc");
        assert_eq!(folded("unbreakable", Some(4), 0), "unbreakable");
    }

    #[test]
    fn escaped_json_is_equivalent() {
        let value = serde_json::json!({"a": "x\u{7f}\u{9b}\u{202e}\u{e0001}\n", "b": [1]});
        let text = serde_json::to_string_pretty(&value).unwrap();
        let shown = escaped(&text);
        assert!(!shown.contains(|one: char| one != '\n' && is_invisible(one)), "{shown}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
    }
}
