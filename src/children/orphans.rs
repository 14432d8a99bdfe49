//! Ends programs that an earlier process left behind.

use std::path::Path;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process_group};

use super::proc::{self, Identity};
use super::record::{self, Record};

/// The interval and number of checks whether a killed process is gone: a process that waits for a disk may take some time.
const PAUSE: Duration = Duration::from_millis(10);
const LOOKS: u32 = 500;

/// A program of an earlier process is still running and cannot be ended. It may change the target, so no task must be executed. The
/// operator must end it.
#[derive(Debug, thiserror::Error)]
#[error(
    "process {pid}, a connector program left behind by an earlier bridgehead, is still running and cannot \
     be stopped{why}; it may still change the target. Stop it (`kill -KILL -- -{pid}`), then start again"
)]
pub(crate) struct Orphan {
    pid: u32,
    why: String,
}

/// Ends the programs that earlier processes recorded as running. Blocks until they have ended. Must be called before any task is executed.
pub(crate) fn end_orphans(folder: &Path) -> Result<(), Orphan> {
    let boot = proc::boot();
    for path in record::files(folder) {
        let record = match record::read(&path) {
            Ok(record) => record,
            Err(error) => {
                tracing::warn!(file = %path.display(), %error,
                    "this file lists the connector programs that an earlier process started, and cannot be \
                     read; make sure that none of them is still running, then remove the file");
                continue;
            }
        };
        if is_alive(&record.owner) {
            continue;
        }
        if is_of_this_boot(&record, &boot) {
            for child in &record.children {
                end(child)?;
            }
        }
        if let Err(error) = std::fs::remove_file(&path) {
            tracing::warn!(file = %path.display(), %error, "this file is no longer needed and cannot be removed");
        }
    }
    Ok(())
}

fn is_alive(owner: &Identity) -> bool {
    match proc::look(owner.pid) {
        Some(seen) => seen.identity.start == owner.start && !seen.has_ended,
        // It may exist but be hidden (`ProtectProc=`).
        None => pid(owner.pid).is_some_and(|pid| rustix::process::test_kill_process(pid) != Err(Errno::SRCH)),
    }
}

fn is_of_this_boot(record: &Record, boot: &str) -> bool {
    record.boot.is_empty() || boot.is_empty() || record.boot == boot
}

/// Ends a program and the processes it started (its group), and waits until they are gone.
fn end(child: &Identity) -> Result<(), Orphan> {
    if remaining(child) == 0 {
        return Ok(());
    }
    tracing::warn!(pid = child.pid, "stopping a connector program left behind by an earlier bridgehead");
    let failed = |why: String| Orphan { pid: child.pid, why };
    let group = pid(child.pid).ok_or_else(|| failed(String::new()))?;
    match kill_process_group(group, Signal::KILL) {
        Ok(()) | Err(Errno::SRCH) => {}
        Err(error) => return Err(failed(format!(": {error}"))),
    }
    for _ in 0..LOOKS {
        if remaining(child) == 0 {
            return Ok(());
        }
        std::thread::sleep(PAUSE);
    }
    Err(failed(String::new()))
}

/// How many processes of its group are left. If the id was reused for another group since, they do not count: the leader's start time
/// reveals that, and the id is not reused while members of the group are left.
fn remaining(child: &Identity) -> usize {
    if proc::look(child.pid).is_some_and(|leader| leader.identity.start != child.start) {
        return 0;
    }
    let is_of_it =
        |seen: &&proc::Seen| seen.identity.session == child.session && seen.identity.start >= child.start;
    proc::group(child.pid).iter().filter(is_of_it).count()
}

fn pid(number: u32) -> Option<Pid> {
    Pid::from_raw(i32::try_from(number).ok()?)
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::os::unix::process::CommandExt;
    use std::process::{Child, Command, Stdio};

    use super::*;

    /// A program that ignores SIGTERM and has started another one.
    fn program() -> Child {
        let mut command = Command::new("sh");
        command
            .args(["-c", "trap '' TERM; sleep 600 & echo; sleep 600"])
            .process_group(0)
            .stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = [0];
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut line).unwrap();
        child
    }

    fn write(folder: &Path, owner: Identity, child: Identity) {
        let record = Record { boot: proc::boot(), owner, children: vec![child] };
        std::fs::write(folder.join("children-1.json"), serde_json::to_vec(&record).unwrap()).unwrap();
    }

    fn gone() -> Identity {
        Identity { pid: std::process::id(), start: 1, session: 1 }
    }

    #[test]
    fn orphans_of_a_dead_process_are_killed_with_descendants() {
        let folder = tempfile::tempdir().unwrap();
        let mut child = program();
        let identity = proc::look(child.id()).unwrap().identity;
        assert!(proc::group(child.id()).len() >= 2);
        write(folder.path(), gone(), identity);
        end_orphans(folder.path()).unwrap();
        assert!(proc::group(child.id()).is_empty());
        assert!(record::files(folder.path()).is_empty());
        child.wait().unwrap();
    }

    #[test]
    fn grandchild_is_killed_even_if_the_program_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let mut child = program();
        let identity = proc::look(child.id()).unwrap().identity;
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(remaining(&identity) > 0);
        write(folder.path(), gone(), identity);
        end_orphans(folder.path()).unwrap();
        assert_eq!(remaining(&identity), 0);
    }

    #[test]
    fn children_of_live_processes_and_strangers_are_not_killed() {
        let folder = tempfile::tempdir().unwrap();
        let mut child = program();
        let identity = proc::look(child.id()).unwrap().identity;
        write(folder.path(), proc::look(std::process::id()).unwrap().identity, identity);
        end_orphans(folder.path()).unwrap();
        assert!(remaining(&identity) > 0 && !record::files(folder.path()).is_empty(), "its owner lives");
        write(folder.path(), gone(), Identity { start: identity.start - 1, ..identity });
        end_orphans(folder.path()).unwrap();
        assert!(remaining(&identity) > 0, "the number was given to another");
        kill_process_group(pid(child.id()).unwrap(), Signal::KILL).unwrap();
        child.wait().unwrap();
    }
}
