//! Records running programs in the state folder: one file for each process of bridgehead that has started programs.

use std::ffi::OsString;
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use bridgehead_sdk::ProcessRegistry;
use serde::{Deserialize, Serialize};

use super::launcher;
use super::proc::{self, Identity};

/// Prefix and suffix of the file names; the process id is between them.
const PREFIX: &str = "children-";
const SUFFIX: &str = ".json";

/// The content of such a file.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Record {
    /// The identifier of the boot; empty if it is hidden.
    pub(super) boot: String,
    /// The process of bridgehead.
    pub(super) owner: Identity,
    /// The programs that it has started and that have not ended yet. Each leads a process group.
    pub(super) children: Vec<Identity>,
}

/// The programs that this process has started.
#[derive(Debug, Default)]
pub(super) struct Registry {
    enabled: AtomicBool,
    folder: OnceLock<PathBuf>,
    running: Mutex<Vec<Identity>>,
}

impl Registry {
    pub(super) fn enable(&self) {
        self.enabled.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_enabled(&self) -> bool {
        self.enabled.load(Ordering::Relaxed)
    }

    /// A process has one configuration, and so one folder: only the first call has an effect.
    pub(super) fn keep_in(&self, folder: &Path) {
        drop(self.folder.set(folder.to_owned()));
    }

    fn running(&self) -> MutexGuard<'_, Vec<Identity>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, running: &[Identity]) {
        // A folder that does not exist, belongs to another user or was never opened as state must not be written to.
        let Some(folder) = self.folder.get().filter(|folder| is_ours(folder)) else { return };
        let Some(owner) = proc::look(std::process::id()) else { return };
        let record = Record { boot: proc::boot(), owner: owner.identity, children: running.to_vec() };
        if let Err(error) = put(folder, &record) {
            tracing::warn!(folder = %folder.display(), %error,
                "the running connector programs cannot be recorded; if bridgehead is killed, processes that \
                 they started may keep running");
        }
    }
}

impl ProcessRegistry for Registry {
    fn launcher(&self) -> Vec<OsString> {
        launcher::words()
    }

    fn started(&self, pid: u32) {
        let Some(seen) = proc::look(pid) else { return };
        let mut running = self.running();
        running.push(seen.identity);
        self.write(&running);
    }

    fn ended(&self, pid: u32) {
        let mut running = self.running();
        let before = running.len();
        running.retain(|child| child.pid != pid);
        if running.len() != before {
            self.write(&running);
        }
    }
}

/// The files of a folder, in any order.
pub(super) fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let is_one = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name.starts_with(PREFIX) && name.ends_with(SUFFIX))
    };
    entries.map(|entry| entry.path()).filter(is_one).collect()
}

pub(super) fn read(path: &Path) -> io::Result<Record> {
    Ok(serde_json::from_slice(&std::fs::read(path)?)?)
}

/// Whether the folder belongs to this process's user and is closed to others, as the state creates it when it is first opened. Before that,
/// one of our files would make it look like the folder of another program.
fn is_ours(folder: &Path) -> bool {
    std::fs::symlink_metadata(folder).is_ok_and(|found| {
        found.is_dir()
            && found.uid() == rustix::process::geteuid().as_raw()
            && found.mode().trailing_zeros() >= 6
    })
}

/// Replaces the file atomically, or removes it if nothing runs. It survives a power failure.
fn put(folder: &Path, record: &Record) -> io::Result<()> {
    let path = folder.join(format!("{PREFIX}{}{SUFFIX}", record.owner.pid));
    if record.children.is_empty() {
        return match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        };
    }
    let beside = path.with_extension("new");
    drop(std::fs::remove_file(&beside));
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
    file.write_all(&serde_json::to_vec(record)?)?;
    file.sync_all()?;
    std::fs::rename(&beside, &path)?;
    std::fs::File::open(folder)?.sync_all()
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// As the state creates it: closed to others.
    fn closed() -> tempfile::TempDir {
        let mode = std::fs::Permissions::from_mode(0o700);
        tempfile::Builder::new().permissions(mode).tempdir().unwrap()
    }

    #[test]
    fn children_are_recorded_until_they_end() {
        let folder = closed();
        let registry = Registry::default();
        registry.keep_in(folder.path());
        registry.started(std::process::id());
        let [file] = files(folder.path()).try_into().unwrap();
        let record = read(&file).unwrap();
        assert_eq!(record.children, [record.owner]);
        registry.ended(1);
        assert!(file.exists());
        registry.ended(std::process::id());
        assert!(std::fs::read_dir(folder.path()).unwrap().next().is_none());
    }

    #[test]
    fn missing_folder_is_not_created() {
        let folder = tempfile::tempdir().unwrap();
        let registry = Registry::default();
        registry.keep_in(&folder.path().join("state"));
        registry.started(std::process::id());
        assert!(std::fs::read_dir(folder.path()).unwrap().next().is_none());
    }
}
