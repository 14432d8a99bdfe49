//! Reading the log for people and their tools.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use jiff::Timestamp;

use super::entry::Entry;
use super::files;

/// Which entries are read.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Of this app.
    pub app: Option<String>,
    /// Of this task.
    pub task: Option<String>,
    /// Of this account; upper and lower case are the same.
    pub account: Option<String>,
    /// Not older.
    pub since: Option<Timestamp>,
}

impl Filter {
    fn matches(&self, entry: &Entry) -> bool {
        let is = |wanted: &Option<String>, found: &Option<String>| match wanted {
            None => true,
            Some(wanted) => found.as_ref().is_some_and(|found| found.to_lowercase() == wanted.to_lowercase()),
        };
        is(&self.app, &entry.app)
            && is(&self.task, &entry.task)
            && is(&self.account, &entry.account)
            && self.since.is_none_or(|since| entry.at >= since)
    }
}

/// Why the log cannot be read. The operator fixes the folder, or looks with `audit verify`.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The operating system refuses.
    #[error("the audit log cannot be read: {0}")]
    Io(#[from] io::Error),
    /// A line is no entry, or was changed.
    #[error("{file} line {line}: {why}; `bridgehead audit verify` says more")]
    Damaged {
        /// The file.
        file: String,
        /// The line, from 1.
        line: u64,
        /// What is wrong.
        why: String,
    },
}

/// Reads entries, oldest first, until `take` has had enough. A last line that is not whole yet is skipped: the daemon may be
/// writing it.
pub fn read(folder: &Path, filter: &Filter, mut take: impl FnMut(Entry) -> bool) -> Result<(), ReadError> {
    for (number, path) in files::list(folder)? {
        let file = match File::open(path) {
            Ok(file) => file,
            // Retention has removed it since.
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

/// The newest entry that is wanted, in the newest two files: nothing here takes longer the older a log is.
pub fn newest(folder: &Path, is_wanted: impl Fn(&Entry) -> bool) -> Result<Option<Entry>, ReadError> {
    for (_, path) in files::list(folder)?.into_iter().rev().take(2) {
        let mut found = None;
        for line in BufReader::new(File::open(path)?).split(b'\n') {
            // What is damaged is for `verify` to tell of.
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

/// A text as a cell of a CSV file: a spreadsheet must not take it for a formula.
pub fn csv_cell(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_is_a_formula() {
        assert_eq!(csv_cell("=HYPERLINK(1)"), "'=HYPERLINK(1)");
        assert_eq!(
            (csv_cell("@ann"), csv_cell("ann@example.org"), csv_cell("")),
            ("'@ann".into(), "ann@example.org".into(), String::new())
        );
    }
}
