//! The files of the log: how they are named, and what stands at their ends.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::entry::{Entry, LONGEST};

/// The name of a file of the log.
pub(super) fn name(number: u64) -> String {
    format!("audit-{number:08}.jsonl")
}

fn number(name: &str) -> Option<u64> {
    let digits = name.strip_prefix("audit-")?.strip_suffix(".jsonl")?;
    (digits.len() >= 8 && digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| digits.parse().ok())?
}

/// The files of a folder by their number, oldest first.
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

/// What stands at the end of a file.
#[derive(Debug, Default)]
pub(super) struct End {
    /// The last entry that is whole and unchanged, where one is near the end.
    pub(super) last: Option<Entry>,
    /// How long the file is up to the end of its last line.
    pub(super) whole: u64,
    /// What stands behind that: a line that was cut off.
    pub(super) torn: Vec<u8>,
    /// Whether lines behind the last entry that is unchanged are not.
    pub(super) is_damaged: bool,
}

/// How much of the end of a file is looked at: several entries of the greatest length.
const LOOKED_AT: u64 = 8 * LONGEST as u64;

/// Looks at the end of a file.
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
    for line in lines.into_iter().rev() {
        if let Ok(entry) = Entry::open(line) {
            end.last = Some(entry);
            break;
        }
        end.is_damaged = true;
    }
    Ok(end)
}
