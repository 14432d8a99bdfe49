//! What a process that uses the database keeps on its own machine: the lock on a folder, and who held it before.
//!
//! The process that holds the lock knows that every earlier process of this folder has ended. So the lease of such a process need not be
//! waited for, and what it had under way is as after any crash of this machine. The file is believed only if the machine has not
//! been restarted since: a copy of the folder on another machine proves nothing about the first one.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::Path;

use super::super::Error;
use super::super::sqlite::files::{self, Guest, TASKS};
use super::super::sqlite::lock::Lock;

/// The file with the processes that have used the database from here, the last one last.
const FILE: &str = "node";
/// So many earlier processes are kept.
const KEPT: usize = 32;
/// No file is longer.
const LONGEST: u64 = 16 * 1024;

/// The lock on the folder, for as long as the state is open.
#[derive(Debug)]
pub(super) struct Local {
    _lock: Lock,
    /// Processes of this folder that have ended.
    pub(super) ended: Vec<String>,
}

impl Local {
    /// Takes the lock, and writes down that this process uses the database now. [`Error::Unmoved`] if the folder has state of its own.
    pub(super) fn take(folder: &Path, guest: Guest, process: &str) -> Result<Option<Self>, Error> {
        let guest = match guest {
            // A visitor makes no folder.
            Guest::Visitor if !folder.exists() => return Ok(None),
            Guest::Visitor => Guest::Helper,
            other => other,
        };
        let Some(opened) = files::prepare(folder, guest)? else { return Ok(None) };
        let lock = Lock::take(opened)?;
        let has_state = folder.join(TASKS).symlink_metadata().is_ok_and(|found| found.len() > 0);
        if has_state {
            return Err(Error::Unmoved { folder: folder.to_owned() });
        }
        let failed = |error| Error::from_io(folder, error);
        let mut file = lock.folder.open_private(FILE)?;
        let boot = boot();
        let ended = read(&mut file, &boot).map_err(failed)?;
        write(&mut file, &boot, &ended, process).map_err(failed)?;
        lock.folder.directory.sync_all().map_err(failed)?;
        Ok(Some(Self { _lock: lock, ended }))
    }
}

/// Changes with each start of the machine, and is no other machine's.
fn boot() -> String {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    id.trim().to_owned()
}

fn read(file: &mut File, boot: &str) -> io::Result<Vec<String>> {
    let mut text = String::new();
    file.take(LONGEST).read_to_string(&mut text)?;
    let mut lines = text.lines();
    if boot.is_empty() || lines.next() != Some(boot) {
        return Ok(Vec::new());
    }
    Ok(lines.filter(|line| !line.is_empty()).map(str::to_owned).collect())
}

fn write(file: &mut File, boot: &str, ended: &[String], process: &str) -> io::Result<()> {
    let kept = &ended[ended.len().saturating_sub(KEPT)..];
    let lines: Vec<&str> =
        std::iter::once(boot).chain(kept.iter().map(String::as_str)).chain([process]).collect();
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", lines.join("\n"))?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(folder: &Path, process: &str) -> Vec<String> {
        Local::take(folder, Guest::Owner, process).unwrap().unwrap().ended
    }

    #[test]
    fn the_process_that_has_the_folder_knows_which_had_it_before_on_this_machine() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(ended(folder.path(), "a"), Vec::<String>::new());
        let held = Local::take(folder.path(), Guest::Owner, "b").unwrap().unwrap();
        assert_eq!(held.ended, ["a"]);
        let second = Local::take(folder.path(), Guest::Owner, "c").unwrap_err();
        assert!(matches!(second, Error::Locked { .. }), "{second}");
        drop(held);
        assert_eq!(ended(folder.path(), "c"), ["a", "b"]);
        for number in 0..100 {
            ended(folder.path(), &number.to_string());
        }
        assert_eq!(ended(folder.path(), "last").last().map(String::as_str), Some("99"));
        // A copy on another machine, or after another start.
        let text = std::fs::read_to_string(folder.path().join(FILE)).unwrap();
        let (_, rest) = text.split_once('\n').unwrap();
        std::fs::write(folder.path().join(FILE), format!("another-boot\n{rest}")).unwrap();
        assert_eq!(ended(folder.path(), "d"), Vec::<String>::new());
    }

    #[test]
    fn a_folder_with_state_of_its_own_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(TASKS), "x").unwrap();
        let error = Local::take(folder.path(), Guest::Owner, "a").unwrap_err();
        assert!(error.to_string().contains("state migrate"), "{error}");
    }

    #[test]
    fn a_visitor_makes_no_folder() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("state");
        assert!(Local::take(&folder, Guest::Visitor, "a").unwrap().is_none());
        assert!(!folder.exists());
    }
}
