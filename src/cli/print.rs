//! The only place that writes to standard output and standard error by itself; the rest is the log.

use std::io::Write;

/// Prints a line. A reader that has gone away (`| head`) is no failure.
pub(crate) fn line(text: impl std::fmt::Display) {
    drop(writeln!(std::io::stdout().lock(), "{text}"));
}

/// Prints text as it is.
pub(crate) fn raw(bytes: &[u8]) {
    let mut out = std::io::stdout().lock();
    drop(out.write_all(bytes).and_then(|()| out.flush()));
}

/// Prints JSON, indented.
pub(crate) fn json(value: &impl serde::Serialize) {
    match serde_json::to_string_pretty(value) {
        Ok(text) => line(text),
        Err(error) => complain(format!("the answer cannot be written as JSON: {error}")),
    }
}

/// Prints a line to standard error.
pub(crate) fn complain(text: impl std::fmt::Display) {
    drop(writeln!(std::io::stderr().lock(), "{text}"));
}
