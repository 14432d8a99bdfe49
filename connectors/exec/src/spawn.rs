//! Starts processes so that they end with the daemon, however the daemon ends.

use std::io;
use std::path::Path;
use std::sync::{Mutex, PoisonError, mpsc};

use tokio::process::{Child, Command};

type Job = Box<dyn FnOnce() + Send>;

/// The thread on which processes are started.
static STARTER: Mutex<Option<mpsc::Sender<Job>>> = Mutex::new(None);

/// Starts a process on a thread that never ends: the operating system ends a process together with the *thread* that started it, and idle
/// threads of the runtime may end.
pub(crate) fn spawn(mut command: Command) -> io::Result<Child> {
    let runtime = tokio::runtime::Handle::current();
    let (answer, answered) = mpsc::sync_channel(1);
    run(Box::new(move || {
        let _entered = runtime.enter();
        // The caller waits, so this cannot fail.
        drop(answer.send(command.spawn()));
    }))?;
    answered.recv().map_err(io::Error::other)?
}

fn run(job: Job) -> io::Result<()> {
    let mut starter = STARTER.lock().unwrap_or_else(PoisonError::into_inner);
    if starter.is_none() {
        let (jobs, todo) = mpsc::channel::<Job>();
        let thread = std::thread::Builder::new().name("exec-starter".to_owned());
        drop(thread.spawn(move || todo.into_iter().for_each(|job| job()))?);
        *starter = Some(jobs);
    }
    let jobs =
        starter.as_ref().ok_or_else(|| io::Error::other("there is no thread to start processes from"))?;
    jobs.send(job).map_err(|_| io::Error::other("the thread that starts processes has stopped"))
}

/// Fails in the same way as starting the program, if it does not exist or is not executable: with a launcher, that
/// would look like a program that exits immediately. `path` is the `PATH` in which the program is searched for.
#[cfg(unix)]
pub(crate) fn must_be_executable(program: &Path, path: Option<&std::ffi::OsStr>) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;

    let look = |file: &Path| -> io::Result<()> {
        let found = std::fs::metadata(file)?;
        if found.is_file() && found.permissions().mode() & 0o111 != 0 {
            Ok(())
        } else {
            Err(io::ErrorKind::PermissionDenied.into())
        }
    };
    if program.as_os_str().as_encoded_bytes().contains(&b'/') {
        return look(program);
    }
    let Some(path) = path else { return Ok(()) };
    let mut failed = None;
    for folder in std::env::split_paths(path) {
        match look(&folder.join(program)) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => failed = Some(error),
            Err(_) => {}
        }
    }
    Err(failed.unwrap_or_else(|| rustix::io::Errno::NOENT.into()))
}

#[cfg(not(unix))]
pub(crate) fn must_be_executable(_: &Path, _: Option<&std::ffi::OsStr>) -> io::Result<()> {
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use std::ffi::OsStr;

    use super::*;

    #[test]
    fn unstartable_program_is_detected_before_spawn() {
        let folder = tempfile::tempdir().unwrap();
        let plain = folder.path().join("plain");
        std::fs::write(&plain, "").unwrap();
        let kind = |program: &Path, path: Option<&str>| {
            must_be_executable(program, path.map(OsStr::new)).map_err(|error| error.kind())
        };
        let path = folder.path().to_str();
        assert_eq!(kind(&plain, None), Err(io::ErrorKind::PermissionDenied));
        assert_eq!(kind(Path::new("plain"), path), Err(io::ErrorKind::PermissionDenied));
        assert_eq!(kind(Path::new("nowhere"), path), Err(io::ErrorKind::NotFound));
        assert_eq!(kind(Path::new("/nowhere"), None), Err(io::ErrorKind::NotFound));
        assert_eq!(kind(Path::new("sh"), Some("/nowhere:/bin")), Ok(()));
    }

    #[tokio::test]
    async fn processes_are_spawned_on_a_dedicated_thread() {
        for _ in 0..2 {
            let mut child = spawn(Command::new("true")).unwrap();
            assert!(child.wait().await.unwrap().success());
        }
        assert_eq!(spawn(Command::new("/nowhere")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
