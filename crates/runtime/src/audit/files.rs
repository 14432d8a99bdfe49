//! The files of the log: their names, and the last entries in them.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::entry::{Entry, LONGEST};

/// The name of a log file.
pub(super) fn name(number: u64) -> String {
    format!("audit-{number:08}.jsonl")
}

fn number(name: &str) -> Option<u64> {
    let digits = name.strip_prefix("audit-")?.strip_suffix(".jsonl")?;
    (digits.len() >= 8 && digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| digits.parse().ok())?
}

/// The log files of a folder with their numbers, oldest first.
pub(super) fn list(folder: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut files = Vec::new();
    for found in std::fs::read_dir(folder)? {
        let found = found?;
        if let Some(number) = found.file_name().to_str().and_then(number) {
            files.push((number, found.path()));
        }
    }
    files.sort_unstable();
    Ok(files)
}

/// The last entry of a log file, and any damage after it.
#[derive(Debug, Default)]
pub(super) struct End {
    /// The last intact entry, if there is one near the end.
    pub(super) last: Option<Entry>,
    /// The length of the file up to the end of its last complete line.
    pub(super) whole: u64,
    /// The bytes after that: a truncated line.
    pub(super) torn: Vec<u8>,
    /// Whether there are damaged lines near the end that no later entry reports.
    pub(super) is_damaged: bool,
}

/// The action of entries that report damage.
pub(super) const REPAIR: &str = "repair";

/// How many bytes at the end of a file are read: several entries of the maximum length.
const LOOKED_AT: u64 = 8 * LONGEST as u64;

/// Reads the end of a file.
pub(super) fn end(path: &Path) -> io::Result<End> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let from = length.saturating_sub(LOOKED_AT);
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(LOOKED_AT).read_to_end(&mut bytes)?;
    let lines_end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let torn = bytes.split_off(lines_end);
    let mut end = End { whole: length - torn.len() as u64, torn, ..End::default() };
    let mut lines = bytes.split(|byte| *byte == b'\n').collect::<Vec<_>>();
    lines.pop();
    // The first line may begin before the part that is read.
    let begin = usize::from(from > 0).min(lines.len());
    for line in lines[begin..].iter().rev() {
        match Entry::open(line) {
            // What was damaged before it has been reported.
            Ok(entry) if entry.action == REPAIR => {
                end.last.get_or_insert(entry);
                break;
            }
            Ok(entry) => drop(end.last.get_or_insert(entry)),
            Err(_) => end.is_damaged = true,
        }
    }
    Ok(end)
}
