//! Asks for confirmation on a terminal.

use std::io::{BufRead, IsTerminal, Write};

use super::print;

/// Whether there is a terminal for questions.
pub(crate) fn is_possible() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// Asks, and returns whether exactly this word was typed.
pub(crate) fn by_typing(question: &str, wanted: &str) -> bool {
    let question = print::wrapped(question, print::width(std::io::stderr()));
    let mut out = std::io::stderr().lock();
    let asked = write!(out, "{question}").and_then(|()| out.flush());
    let mut line = String::new();
    asked.and_then(|()| std::io::stdin().lock().read_line(&mut line)).is_ok() && line.trim() == wanted
}
