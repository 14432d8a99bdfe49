//! Local data of a process that uses the database: the lock on a folder, and which processes held it before.
//!
//! The process that holds the lock knows that all earlier processes of this folder have ended. So it does not have to wait for their
//! leases, and their unfinished work is handled as after any crash on this machine. The file is trusted only if the machine has not been
//! restarted since: a copy of the folder on another machine proves nothing about the first one.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::Path;

use super::super::Error;
use super::super::sqlite::files::{self, Guest, TASKS};
use super::super::sqlite::lock::Lock;
use super::super::sqlite::witness;
use super::position::Left;

/// The file with the processes that have used the database from this folder, the latest one last.
const FILE: &str = "node";
/// The maximum number of earlier processes that are kept.
const KEPT: usize = 32;
/// The maximum size of the file in bytes that is read.
const LONGEST: u64 = 16 * 1024;

/// The lock on the folder, held while the state is open.
#[derive(Debug)]
pub(super) struct Local {
    _lock: Lock,
    /// Earlier processes of this folder, all of which have ended.
    pub(super) ended: Vec<String>,
    /// What the last of them has confirmed, until it was compared with the database.
    pub(super) left: Option<Left>,
}

impl Local {
    /// Takes the lock, and records that this process uses the database now. [`Error::Unmoved`] if the folder has its own state.
    pub(super) fn take(folder: &Path, guest: Guest, process: &str) -> Result<Option<Self>, Error> {
        let guest = match guest {
            // A command that needs existing state does not create the folder.
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
        let file = lock.folder.open_private(witness::OF_DATABASE)?;
        let found = witness::read(&file).map_err(failed)?;
        lock.folder.directory.sync_all().map_err(failed)?;
        Ok(Some(Self { _lock: lock, ended, left: Some(Left { file, found }) }))
    }
}

/// The boot id: it changes with each start of the machine, and no two machines share one.
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
        // As on another machine, or after a restart of this one.
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
