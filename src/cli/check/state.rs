//! Checks whether `run` can use the state folder. The checks create, change and lock nothing.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use jiff::SignedDuration;
use rustix::fs::{Access, access, statvfs};

use super::super::context::Context;
use crate::control::{self, Identity};
use bridgehead_runtime::inspection::{Finding, Verdict};
use bridgehead_runtime::{Clock, SystemClock};
use bridgehead_store::{AppKey, Sqlite, TASKS_FILE, TaskJournal};

const WHAT: &str = "state.path";
/// With less free space than this, a warning is shown.
const ROOM: u64 = 256 * 1024 * 1024;
/// An older backup is of little use.
const OLD_BACKUP: SignedDuration = SignedDuration::from_hours(7 * 24);
/// The maximum length of a socket's path.
const LONGEST_SOCKET: usize = 107;
/// The permissions of group and others.
const OTHERS: u32 = 0o077;
/// For a folder: every user may create files in it, as in `/tmp`.
const STICKY: u32 = 0o1000;

pub(super) async fn check(context: &Context, daemon: Option<&Identity>) -> Vec<Finding> {
    let folder = &context.config.state.path;
    let mut findings = vec![usable(folder, daemon)];
    if findings[0].result != Verdict::Failed {
        findings.extend(room(folder));
        if context.config.state.url.is_none() {
            findings.extend(readable(context).await);
            findings.extend(backup(folder));
        }
    }
    if control::socket(folder).as_os_str().len() > LONGEST_SOCKET {
        findings.push(
            Finding::warning(
                WHAT,
                "the path is too long for the daemon's control socket, so commands cannot reach the daemon",
            )
            .advising("Choose a path shorter than 95 bytes."),
        );
    }
    findings
}

fn usable(folder: &Path, daemon: Option<&Identity>) -> Finding {
    let shown = folder.display();
    let found = match std::fs::metadata(folder) {
        Ok(found) => found,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return creatable(folder),
        Err(error) => {
            return Finding::failed(WHAT, format!("{shown} cannot be examined: {error}"))
                .advising("Run this as the daemon's user, or as root.");
        }
    };
    if !found.is_dir() {
        return Finding::failed(WHAT, format!("{shown} is not a folder"))
            .advising("Set state.path to a folder.");
    }
    if let Some(daemon) = daemon {
        return Finding::ok(
            WHAT,
            format!("{shown} is in use by the running daemon (process {})", daemon.pid),
        );
    }
    let (owner, user) = (found.uid(), rustix::process::geteuid().as_raw());
    if owner != user && user != 0 {
        return Finding::failed(WHAT, format!("{shown} belongs to user {owner}, and this is user {user}"))
            .advising("Run bridgehead as the owner of the folder, or set state.path to a different folder.");
    }
    if let Err(error) = access(folder, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK) {
        return Finding::failed(WHAT, format!("{shown} cannot be written: {error}"))
            .advising(match error {
                rustix::io::Errno::ROFS => {
                    "The file system is mounted read-only: mount it for writing, or set state.path to another folder."
                }
                _ => "Give the daemon's user read, write and execute permission on it.",
            });
    }
    if let Some(process) = holder(&folder.join("lock")) {
        return Finding::failed(
            WHAT,
            format!(
                "{shown} is in use by another bridgehead (process {process}) that does not respond on \
                     its control socket"
            ),
        )
        .advising(
            "It is a command such as `bridgehead sync`, or a daemon that is starting or stopping: \
                   check again later.",
        );
    }
    let mode = found.mode() & 0o7777;
    if mode & OTHERS != 0 {
        let is_foreign = mode & STICKY != 0 || !is_ours(folder);
        return if is_foreign {
            Finding::failed(
                WHAT,
                format!(
                    "{shown} is accessible to other users (mode {mode:04o}) and contains files that are not \
                     bridgehead's"
                ),
            )
            .advising("Give bridgehead its own folder, with mode 0700.")
        } else {
            Finding::warning(
                WHAT,
                format!(
                    "{shown} is accessible to other users (mode {mode:04o}); `run` \
                                            restricts it"
                ),
            )
            .advising(format!("Run `chmod 700 {shown}`."))
        };
    }
    if owner == user {
        Finding::ok(WHAT, format!("{shown} is usable: it belongs to this user, with mode {mode:04o}"))
    } else {
        Finding::ok(WHAT, format!("{shown} belongs to user {owner}; the daemon must run as that user"))
    }
}

fn creatable(folder: &Path) -> Finding {
    let above = folder.ancestors().skip(1).find(|path| path.exists());
    let above =
        above.filter(|path| !path.as_os_str().is_empty()).map_or_else(|| PathBuf::from("."), Path::to_owned);
    let shown = folder.display();
    match access(&above, Access::WRITE_OK | Access::EXEC_OK) {
        Ok(()) => Finding::ok(WHAT, format!("{shown} does not exist yet; the daemon creates it")),
        Err(error) => Finding::failed(
            WHAT,
            format!("{shown} does not exist, and cannot be created in {}: {error}", above.display()),
        )
        .advising(
            "Create it, with mode 0700, for the user that runs bridgehead, or set state.path to \
                   another folder.",
        ),
    }
}

fn is_ours(folder: &Path) -> bool {
    let has_state = [TASKS_FILE, "lock"].iter().any(|name| folder.join(name).exists());
    has_state || std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none())
}

/// The process that holds the lock, from the kernel's list: trying to lock it could keep a daemon from starting.
fn holder(lock: &Path) -> Option<u32> {
    let found = std::fs::metadata(lock).ok()?;
    let locks = std::fs::read_to_string("/proc/locks").ok()?;
    let inode = found.ino().to_string();
    locks.lines().filter(|line| line.contains("FLOCK")).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [.., process, file, _, _] = *fields else { return None };
        let device_and_inode: Vec<&str> = file.split(':').collect();
        let [major, minor, of] = *device_and_inode else { return None };
        let device =
            rustix::fs::makedev(u32::from_str_radix(major, 16).ok()?, u32::from_str_radix(minor, 16).ok()?);
        // On some file systems the device differs from that of the file; the inode is sufficient.
        let is_it =
            of == inode && (device == found.dev() || locks.matches(&format!(":{inode} ")).count() == 1);
        is_it.then(|| process.parse().ok()).flatten()
    })
}

fn room(folder: &Path) -> Option<Finding> {
    let existing = folder.ancestors().find(|path| path.exists())?;
    let space = statvfs(existing).ok()?;
    let free = space.f_bavail.saturating_mul(space.f_frsize);
    let shown = folder.display();
    let mib = free / (1024 * 1024);
    // Some file systems do not count inodes: they report none at all.
    if space.f_files > 0 && space.f_favail == 0 {
        return Some(
            Finding::failed(WHAT, format!("no inodes left on the disk of {shown}, so no file can be created"))
                .advising("Remove files that are not needed (`df -i` shows the numbers): no task is executed until then."),
        );
    }
    if free == 0 {
        Some(
            Finding::failed(WHAT, format!("no space left on the disk of {shown}"))
                .advising("Free some space: no task is executed until then."),
        )
    } else if free < ROOM {
        Some(
            Finding::warning(WHAT, format!("only {mib} MiB are left on the disk of {shown}"))
                .advising("Free some space: while the disk is full, no task is executed."),
        )
    } else {
        Some(Finding::ok(WHAT, format!("{} are free on the disk of {shown}", size(mib))))
    }
}

fn size(mib: u64) -> String {
    if mib < 10 * 1024 { format!("{mib} MiB") } else { format!("{} GiB", mib / 1024) }
}

/// The age of the last backup; a state without one is not an error.
fn backup(folder: &Path) -> Option<Finding> {
    const WHAT: &str = "backup";
    folder.join(TASKS_FILE).exists().then_some(())?;
    let advice = "Run `bridgehead state backup DIR` regularly, also while the daemon runs.";
    let Some(at) = bridgehead_store::last_backup(folder) else {
        let found = "no backup of the state folder was made with `bridgehead state backup`";
        return Some(Finding::ok(WHAT, found).advising(advice));
    };
    let age = SystemClock.now().duration_since(at);
    let days = age.as_hours() / 24;
    let found = format!("the last backup of the state folder was made at {at}");
    Some(if age > OLD_BACKUP {
        Finding::warning(WHAT, format!("{found}, {days} days ago")).advising(advice)
    } else {
        Finding::ok(WHAT, found)
    })
}

/// Whether the journal can be read in its current state.
async fn readable(context: &Context) -> Option<Finding> {
    let failed = |error: bridgehead_store::Error| Some(Finding::failed(WHAT, error.to_string()));
    let state = match Sqlite::read_only(&context.config.state.path).await {
        Ok(state) => state?,
        Err(error) => return failed(error),
    };
    let mut found = None;
    for app in context.config.apps.values() {
        if let Err(error) = state.counts(&AppKey::from(app.app_id)).await {
            found = failed(error);
            break;
        }
    }
    state.close().await;
    found
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn check_does_not_create_a_missing_folder() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("a/b");
        let found = usable(&folder, None);
        assert_eq!(found.result, Verdict::Ok, "{found:?}");
        assert!(found.found.contains("does not exist yet") && !folder.exists());
    }

    #[test]
    fn file_or_folder_with_foreign_files_is_refused() {
        let parent = tempfile::tempdir().unwrap();
        let file = parent.path().join("file");
        std::fs::write(&file, "x").unwrap();
        assert_eq!(usable(&file, None).result, Verdict::Failed);
        std::fs::set_permissions(parent.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let found = usable(parent.path(), None);
        assert!(
            found.result == Verdict::Failed && found.found.contains("files that are not bridgehead's"),
            "{found:?}"
        );
    }

    #[test]
    fn process_holding_the_lock_is_named() {
        let parent = tempfile::tempdir().unwrap();
        let lock = parent.path().join("lock");
        let file = std::fs::File::create(&lock).unwrap();
        assert_eq!(holder(&lock), None);
        file.lock().unwrap();
        // If the kernel does not list locks, the result is unknown.
        assert!(holder(&lock).is_none_or(|process| process == std::process::id()), "{:?}", holder(&lock));
    }
}
