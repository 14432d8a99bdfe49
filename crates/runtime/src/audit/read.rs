//! Reads the log, for operators and their tools.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use bridgehead_sdk::is_same_name;
use jiff::Timestamp;

use super::entry::Entry;
use super::files;

/// Selects the entries to read.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only entries of this app.
    pub app: Option<String>,
    /// Only entries of this task.
    pub task: Option<String>,
    /// Only entries of this account, case-insensitively.
    pub account: Option<String>,
    /// Only entries from this time on.
    pub since: Option<Timestamp>,
}

impl Filter {
    fn matches(&self, entry: &Entry) -> bool {
        let is = |wanted: &Option<String>, found: &Option<String>| match wanted {
            None => true,
            Some(wanted) => found.as_ref().is_some_and(|found| is_same_name(found, wanted)),
        };
        is(&self.app, &entry.app)
            && is(&self.task, &entry.task)
            && is(&self.account, &entry.account)
            && self.since.is_none_or(|since| entry.at >= since)
    }
}

/// Why the log cannot be read. The operator must fix the folder, or run `audit verify`.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The operating system reported an error.
    #[error("the audit log cannot be read: {0}")]
    Io(#[from] io::Error),
    /// A line is not an entry, or was changed.
    #[error("{file} line {line}: {why}; `bridgehead audit verify` says more")]
    Damaged {
        /// The file.
        file: String,
        /// The line number, starting at 1.
        line: u64,
        /// What is wrong.
        why: String,
    },
}

/// Reads entries, oldest first, until `take` returns false. An incomplete last line is skipped: the daemon may be writing it.
pub fn read(folder: &Path, filter: &Filter, mut take: impl FnMut(Entry) -> bool) -> Result<(), ReadError> {
    for (number, path) in files::list(folder)? {
        let file = match File::open(path) {
            Ok(file) => file,
            // The file was removed by retention in the meantime.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error.into()),
        };
        let mut lines = BufReader::new(file);
        let mut bytes = Vec::new();
        for line in 1.. {
            bytes.clear();
            if lines.read_until(b'\n', &mut bytes)? == 0 {
                break;
            }
            let Some(text) = bytes.strip_suffix(b"\n") else { break };
            let entry = Entry::open(text).map_err(|why| ReadError::Damaged {
                file: files::name(number),
                line,
                why,
            })?;
            if filter.matches(&entry) && !take(entry) {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// The newest matching entry in the newest two files, so that the time does not grow with the age of the log.
pub fn newest(folder: &Path, is_wanted: impl Fn(&Entry) -> bool) -> Result<Option<Entry>, ReadError> {
    for (_, path) in files::list(folder)?.into_iter().rev().take(2) {
        let mut found = None;
        for line in BufReader::new(File::open(path)?).split(b'\n') {
            // Damaged lines are reported by `verify`.
            if let Ok(entry) = Entry::open(&line?)
                && is_wanted(&entry)
            {
                found = Some(entry);
            }
        }
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

/// Formats a string as a CSV cell that a spreadsheet does not interpret as a formula.
pub fn csv_cell(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csv_cells_are_never_formulas() {
        assert_eq!(csv_cell("=HYPERLINK(1)"), "'=HYPERLINK(1)");
        assert_eq!(
            (csv_cell("@ann"), csv_cell("ann@example.org"), csv_cell("")),
            ("'@ann".into(), "ann@example.org".into(), String::new())
        );
    }
}
