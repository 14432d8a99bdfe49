//! The file `witness`: the positions of both databases, recorded outside of them.
//!
//! A database that was replaced by an old copy, or has lost its write-ahead log, looks intact. It is detected because a witness has
//! recorded a later position. The file is a single line, overwritten in place after each commit without waiting for the disk: after a power
//! failure it may be behind, which proves nothing; it is never ahead of durable data.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use bridgehead_resilience::{Clock, SystemClock};
use jiff::Timestamp;
use xxhash_rust::xxh3::xxh3_64;

use super::time;

/// The name of the file.
pub(crate) const FILE: &str = "witness";
/// The name of the same file for state in PostgreSQL, of which a folder has only the witness.
#[cfg(feature = "postgres")]
pub(crate) const OF_DATABASE: &str = "database-witness";

const FORMAT: &str = "bridgehead-witness 1";
/// The maximum length of a line in any version.
const LONGEST: u64 = 512;

/// One of the two databases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Database {
    Tasks,
    Snapshots,
}

/// The position of a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) identity: String,
    pub(crate) commits: i64,
}

/// The contents of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Marks {
    pub(crate) tasks: Mark,
    pub(crate) listings: Mark,
    /// When it was written.
    pub(crate) at: Timestamp,
}

/// The result of reading the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// It does not exist, or was never written to.
    Nothing,
    /// bridgehead did not write this content.
    Damaged,
    Marks(Marks),
}

/// The file, kept open.
#[derive(Debug)]
pub(crate) struct Witness {
    file: File,
    marks: Mutex<Marks>,
    has_complained: AtomicBool,
}

/// Reads what an earlier process has written.
pub(crate) fn read(file: &File) -> io::Result<Found> {
    let mut text = Vec::new();
    file.take(LONGEST).read_to_end(&mut text)?;
    if text.is_empty() {
        return Ok(Found::Nothing);
    }
    let line = text.split(|byte| *byte == b'\n').next().and_then(|line| std::str::from_utf8(line).ok());
    Ok(line.and_then(parse).map_or(Found::Damaged, Found::Marks))
}

impl Witness {
    /// Writes the first line of this process. It is on disk when this returns.
    pub(crate) fn begin(file: File, marks: Marks) -> io::Result<Self> {
        // Remove the rest of a longer line from another version.
        file.set_len(line(&marks).len() as u64)?;
        file.write_all_at(line(&marks).as_bytes(), 0)?;
        file.sync_all()?;
        Ok(Self { file, marks: Mutex::new(marks), has_complained: AtomicBool::new(false) })
    }

    /// The journal's position.
    pub(crate) fn tasks(&self) -> i64 {
        self.marks.lock().unwrap_or_else(PoisonError::into_inner).tasks.commits
    }

    /// Records a database's new position. If the line cannot be written, the witness stays behind, which does no harm.
    pub(crate) fn note(&self, database: Database, commits: i64) {
        let mut marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
        let mark = match database {
            Database::Tasks => &mut marks.tasks,
            Database::Snapshots => &mut marks.listings,
        };
        mark.commits = mark.commits.max(commits);
        marks.at = SystemClock.now();
        if let Err(error) = self.file.write_all_at(line(&marks).as_bytes(), 0)
            && !self.has_complained.swap(true, Ordering::Relaxed)
        {
            tracing::warn!(%error, "the file 'witness' in the state folder cannot be written; retrying with \
                                    each commit");
        }
    }

    /// Syncs the file: recorded positions are on disk when this returns.
    pub(crate) fn sync(&self) {
        if let Err(error) = self.file.sync_data() {
            tracing::warn!(%error, "the file 'witness' in the state folder cannot be written to the disk");
        }
    }
}

fn line(marks: &Marks) -> String {
    let Marks { tasks, listings, at } = marks;
    let text = format!(
        "{FORMAT} {} {:020} {} {:020} {:020}",
        tasks.identity,
        tasks.commits,
        listings.identity,
        listings.commits,
        time::to_column(*at)
    );
    format!("{text} {:016x}\n", xxh3_64(text.as_bytes()))
}

fn parse(line: &str) -> Option<Marks> {
    let (text, sum) = line.rsplit_once(' ')?;
    if u64::from_str_radix(sum, 16).ok()? != xxh3_64(text.as_bytes()) {
        return None;
    }
    let mut fields = text.strip_prefix(FORMAT)?.split_whitespace();
    let mut mark = || {
        let identity = fields.next()?.to_owned();
        Some(Mark { identity, commits: fields.next()?.parse().ok()? })
    };
    let (tasks, listings) = (mark()?, mark()?);
    let at = Timestamp::from_microsecond(fields.next()?.parse().ok()?).ok()?;
    Some(Marks { tasks, listings, at })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn marks(tasks: i64) -> Marks {
        let mark = |identity: &str, commits| Mark { identity: identity.to_owned(), commits };
        let at = Timestamp::from_second(1_700_000_000).unwrap();
        Marks { tasks: mark("t", tasks), listings: mark("l", 3), at }
    }

    #[test]
    fn witness_is_read_by_the_next_process() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        let open =
            || File::options().read(true).write(true).create(true).truncate(false).open(&path).unwrap();
        assert_eq!(read(&open()).unwrap(), Found::Nothing);
        let witness = Witness::begin(open(), marks(1)).unwrap();
        assert_eq!(read(&open()).unwrap(), Found::Marks(marks(1)));
        witness.note(Database::Tasks, 1_000_000);
        witness.note(Database::Tasks, 7);
        witness.note(Database::Snapshots, 4);
        match read(&open()).unwrap() {
            Found::Marks(found) => {
                assert_eq!(
                    (found.tasks.commits, found.listings.commits),
                    (1_000_000, 4),
                    "it never goes back"
                );
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn altered_witness_line_is_damaged() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(line(&marks(12)).replace("00012", "00013").as_bytes()).unwrap();
        std::io::Seek::rewind(&mut file).unwrap();
        assert_eq!(read(&file).unwrap(), Found::Damaged);
    }
}
