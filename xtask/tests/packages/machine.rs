//! A copy of this machine for test installations, with or without systemd.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::made::said;

/// The timeout for all operations. Generous, because machines are sometimes slow.
const PATIENCE: Duration = Duration::from_mins(2);

/// A running copy.
#[derive(Debug)]
pub(crate) struct Machine {
    child: Child,
    /// The id of its first process on this machine.
    first: String,
    folder: tempfile::TempDir,
}

impl Machine {
    /// A copy on which nothing runs: no systemd.
    pub(crate) fn idle() -> Self {
        Self::start(&["sleep", "infinity"])
    }

    /// A copy that systemd has booted.
    pub(crate) fn booted() -> Self {
        let machine = Self::start(&["/lib/systemd/systemd", "--unit=basic.target", "--show-status=no"]);
        eventually("systemd has booted", || {
            let output = machine.output("systemctl is-system-running");
            let state = String::from_utf8_lossy(&output.stdout).into_owned();
            (matches!(state.trim(), "running" | "degraded"), said(&output))
        });
        machine
    }

    fn start(command: &[&str]) -> Self {
        let user = crate::made::run(Command::new("id").arg("-u"));
        assert_eq!(user.trim(), "0", "only root can make a copy of this machine to install packages on");
        let folder = tempfile::tempdir().expect("a folder");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/packages/machine.sh");
        let log = fs::File::create(folder.path().with_extension("log")).expect("a file");
        let child = Command::new("unshare")
            .args(["--pid", "--mount", "--uts", "--ipc", "--cgroup", "--fork", "--kill-child", "sh"])
            .arg(script)
            .arg(folder.path())
            .args(command)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file"))
            .stderr(log)
            .spawn()
            .expect("unshare is there");
        let children = format!("/proc/{0}/task/{0}/children", child.id());
        let mut machine = Self { child, first: String::new(), folder };
        eventually("the copy of this machine is ready", || {
            let first = fs::read_to_string(&children).unwrap_or_default();
            first.trim().clone_into(&mut machine.first);
            let is_ready = fs::exists(format!("/proc/{}/root/ready", machine.first)).unwrap_or(false);
            (is_ready && !machine.first.is_empty(), machine.log())
        });
        machine
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().with_extension("log")).unwrap_or_default()
    }

    /// Runs a shell command there as root.
    pub(crate) fn output(&self, line: &str) -> Output {
        let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        Command::new("nsenter")
            .args([
                "--target",
                &self.first,
                "--mount",
                "--pid",
                "--uts",
                "--ipc",
                "--cgroup",
                "--root",
                "--wd",
            ])
            .args(["env", "-i", path, "LC_ALL=C", "HOME=/root", "DEBIAN_FRONTEND=noninteractive"])
            .args(["sh", "-c", line])
            .stdin(Stdio::null())
            .output()
            .expect("nsenter is there")
    }

    /// Runs a shell command that must succeed, and returns its output.
    pub(crate) fn run(&self, line: &str) -> String {
        let output = self.output(line);
        assert!(output.status.success(), "{line}: {}: {}\n{}", output.status, said(&output), self.journal());
        said(&output)
    }

    /// The same without leading and trailing whitespace.
    pub(crate) fn say(&self, line: &str) -> String {
        self.run(line).trim().to_owned()
    }

    /// Waits until a shell command prints this.
    pub(crate) fn until(&self, line: &str, wanted: &str) {
        eventually(&format!("`{line}` prints {wanted:?}"), || {
            let output = self.output(line);
            let is_so = String::from_utf8_lossy(&output.stdout).trim() == wanted;
            let seen = if is_so { String::new() } else { format!("{}{}", said(&output), self.journal()) };
            (is_so, seen)
        });
    }

    /// The path of a file there, as seen from this machine.
    pub(crate) fn path(&self, absolute: &str) -> PathBuf {
        Path::new(&format!("/proc/{}/root", self.first)).join(absolute.trim_start_matches('/'))
    }

    pub(crate) fn has(&self, absolute: &str) -> bool {
        self.path(absolute).symlink_metadata().is_ok()
    }

    pub(crate) fn write(&self, absolute: &str, text: &str) {
        let path = self.path(absolute);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder there");
        fs::write(path, text).expect("a file there");
    }

    /// Copies a file there, into /root.
    pub(crate) fn bring(&self, file: &Path) -> String {
        let there = Path::new("/root").join(file.file_name().expect("a name"));
        let there = there.to_str().expect("text").to_owned();
        fs::copy(file, self.path(&there)).expect("a copy");
        there
    }

    /// The last log messages of the service, for failures.
    fn journal(&self) -> String {
        let output = self.output("journalctl --no-pager --lines=30 --unit='bridgehead*' 2>/dev/null");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // Its first process ends with its parent, and all other processes end with the first.
        drop(self.child.kill());
        drop(self.child.wait());
        drop(fs::remove_file(self.folder.path().with_extension("log")));
    }
}

/// Waits until a condition holds; on timeout, prints the last observation.
pub(crate) fn eventually(what: &str, mut look: impl FnMut() -> (bool, String)) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let (is_so, seen) = look();
        if is_so {
            return;
        }
        assert!(Instant::now() < deadline, "this did not happen in time: {what}:\n{seen}");
        std::thread::sleep(Duration::from_millis(100));
    }
}
