//! Asks on a terminal, or reads standard input line by line.

use std::io::{BufRead, IsTerminal, Write};
use std::sync::{Mutex, PoisonError};

use bridgehead_sdk::{Question, async_trait};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use super::super::failure::{Exit, Failure};
use super::super::print;
use super::drive::{Asker, Reply};

/// The answers that undo the last one.
const BACK: [&str; 2] = ["<", "back"];
/// The column at which the meaning of a choice begins.
const MEANING: usize = 20;
/// The maximum number of choices that are shown.
const SHOWN: usize = 40;

/// The terminal settings before a secret is typed.
static SHOWING: Mutex<Option<Termios>> = Mutex::new(None);

/// A user who types lines.
#[derive(Debug)]
pub(super) struct Lines {
    is_first: bool,
}

impl Lines {
    pub(super) fn new() -> Self {
        Self { is_first: true }
    }
}

#[async_trait]
impl Asker for Lines {
    async fn ask(&mut self, question: &Question, before: Option<&str>) -> Result<Reply, Failure> {
        if std::mem::take(&mut self.is_first) {
            self.say("Press Enter to accept the answer in [brackets]. Type < to go back to the previous question.\n");
        }
        self.say(&prompt(question, before));
        let is_secret = question.is_secret;
        let read = tokio::task::spawn_blocking(move || read(is_secret)).await;
        let line = match read {
            Ok(Ok(Some(line))) => line,
            Ok(Ok(None)) => return Ok(Reply::End),
            Ok(Err(error)) => {
                let message = format!("standard input cannot be read: {error}");
                return Err(Failure::new(Exit::Failed, message));
            }
            Err(error) => {
                return Err(Failure::new(Exit::Failed, format!("reading standard input failed: {error}")));
            }
        };
        let is_back = BACK.contains(&line.trim());
        Ok(if is_back { Reply::Back } else { Reply::Line(line.trim_end_matches(['\n', '\r']).to_owned()) })
    }

    fn say(&mut self, text: &str) {
        let is_prompt = text.ends_with(": ");
        let width = print::width(std::io::stderr());
        let shown = text.split('\n').map(|line| print::folded(&print::visible(line), width, indent(line)));
        let shown: Vec<String> = shown.collect();
        let mut out = std::io::stderr().lock();
        // If the question cannot be written, it cannot be answered either.
        write!(out, "{}{}", shown.join("\n"), if is_prompt { "" } else { "\n" })
            .and_then(|()| out.flush())
            .ok();
    }
}

/// Where the next lines of a long one begin: those of a choice below its meaning.
fn indent(line: &str) -> usize {
    let spaces = line.chars().take_while(|one| *one == ' ').count();
    let is_choice = line.trim_start().starts_with(|one: char| one.is_ascii_digit());
    if spaces > 0 && is_choice { MEANING } else { spaces }
}

fn prompt(question: &Question, before: Option<&str>) -> String {
    let mut text = String::new();
    for (number, (value, meaning)) in question.choices.iter().take(SHOWN).enumerate() {
        text.push_str(format!("  {:>2}  {value:<12}  {meaning}", number + 1).trim_end());
        text.push('\n');
    }
    if question.choices.len() > SHOWN {
        text = format!("{text}      and {} more; type the name\n", question.choices.len() - SHOWN);
    }
    text.push_str(&question.text);
    if question.is_secret {
        text.push_str("\n  (hidden while you type, and stored in a separate file; or env:NAME, file:PATH, credential:NAME)");
    }
    match before.or(question.default.as_deref()) {
        Some(usual) => text = format!("{text} [{usual}]"),
        None if question.is_optional => text.push_str(" [none]"),
        None => {}
    }
    text + ": "
}

/// Reads a line; `None` at the end of the input.
fn read(is_secret: bool) -> std::io::Result<Option<String>> {
    let input = std::io::stdin();
    if is_secret && input.is_terminal() {
        hide();
    }
    let mut line = Zeroizing::new(String::new());
    let read = input.lock().read_line(&mut line);
    if is_secret && input.is_terminal() {
        restore();
        writeln!(std::io::stderr().lock()).ok();
    }
    Ok((read? > 0).then(|| line.to_string()))
}

/// Disables the echo of typed characters.
fn hide() {
    let Ok(showing) = tcgetattr(std::io::stdin()) else { return };
    let mut hiding = showing.clone();
    hiding.local_modes.remove(LocalModes::ECHO);
    if tcsetattr(std::io::stdin(), OptionalActions::Flush, &hiding).is_ok() {
        *SHOWING.lock().unwrap_or_else(PoisonError::into_inner) = Some(showing);
    }
}

/// Restores the terminal settings, even if the command is interrupted while a secret is typed.
pub(super) fn restore() {
    if let Some(showing) = SHOWING.lock().unwrap_or_else(PoisonError::into_inner).take() {
        tcsetattr(std::io::stdin(), OptionalActions::Now, &showing).ok();
    }
}
