//! Processes that are stopped with the test that started them.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, WaitIdStatus, kill_process, kill_process_group, waitid,
};

/// The startup timeout: no working server needs longer, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(180);

/// How long a server may take to stop before it is killed.
const GRACE: Duration = Duration::from_secs(10);

/// Ends the process group `$1` when standard input closes, which happens whenever the test's process ends, for any reason.
const GUARD: &str = r#"while read -r line; do :; done
kill -s TERM -- "-$1" && kill -s CONT -- "-$1" && sleep 2 && kill -s KILL -- "-$1""#;

/// A server in a separate process group. When this is dropped, the server is asked to stop, and killed after ten seconds together with its
/// child processes. The same happens if the test's process is killed.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    guard: Child,
    asked_by: Signal,
    log: PathBuf,
}

impl Process {
    /// Starts a command, which must stay in the foreground; its output is appended to a file `NAME.log` in `folder`.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn start(name: &str, folder: &Path, command: &mut Command) -> Self {
        let log = folder.join(format!("{name}.log"));
        let output = File::options().create(true).append(true).open(&log);
        let output = output.expect("the folder can be written to");
        let errors = output.try_clone().expect("a file can be shared");
        let child = command.stdin(Stdio::null()).stdout(output).stderr(errors).process_group(0).spawn();
        let child = child.unwrap_or_else(|error| panic!("{name} cannot be started: {error}"));
        let mut guard = Command::new("/bin/sh");
        guard.args(["-c", GUARD, "guard", &child.id().to_string()]);
        // A separate group, because killing a test kills the test's whole group.
        guard.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        let guard = guard.spawn().expect("a shell can be started");
        Self { name: name.to_owned(), child, guard, asked_by: Signal::TERM, log }
    }

    /// Stops it with SIGINT instead of SIGTERM, on which PostgreSQL waits for its clients.
    pub fn ended_by_interrupt(mut self) -> Self {
        self.asked_by = Signal::INT;
        self
    }

    /// Waits until the server is ready.
    ///
    /// # Panics
    /// With its log, if it ends instead or takes longer than three minutes.
    pub async fn ready(self, mut is_ready: impl FnMut() -> bool) -> Self {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            if is_ready() {
                return self;
            }
            if let Some(status) = self.ended() {
                let code =
                    status.exit_status().map_or_else(|| "a signal".to_owned(), |code| code.to_string());
                panic!("{} has ended with {code}:\n{}", self.name, self.log());
            }
            assert!(tokio::time::Instant::now() < deadline, "{} does not start:\n{}", self.name, self.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Its output so far.
    pub fn log(&self) -> String {
        let bytes = std::fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Its process id, which is also the id of its group.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Stops its execution: connections stay open without responses, like a server that hangs.
    ///
    /// # Panics
    /// If it has ended.
    pub fn pause(&self) {
        kill_process_group(self.pid(), Signal::STOP).expect("the server runs");
        // Its threads stop one after the other, and one of them may still respond until then.
        let tasks = format!("/proc/{}/task", self.pid().as_raw_nonzero());
        let is_stopped =
            |stat: &str| stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('T'));
        for _ in 0..500 {
            let all = std::fs::read_dir(&tasks).into_iter().flatten().flatten();
            let stats = all.filter_map(|task| std::fs::read_to_string(task.path().join("stat")).ok());
            if stats.into_iter().all(|stat| is_stopped(&stat)) {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }

    /// Continues its execution after [`Process::pause`].
    ///
    /// # Panics
    /// If it has ended.
    pub fn resume(&self) {
        kill_process_group(self.pid(), Signal::CONT).expect("the server runs");
    }

    /// Makes it end at once with SIGQUIT, without any orderly end. PostgreSQL calls this an immediate shutdown: its next start recovers as
    /// after a crash.
    pub fn quit(mut self) {
        self.asked_by = Signal::QUIT;
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// How it ended, if it did. This does not reap it: no other process can get its id until this is dropped.
    fn ended(&self) -> Option<WaitIdStatus> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        waitid(WaitId::Pid(self.pid()), options).expect("a child can be asked")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Kill the guard first, or it would see its input close and signal an id that may belong to another process by then. Errors below
        // mean that the process has already ended, which is the goal.
        drop(self.guard.kill());
        drop(self.guard.wait());
        kill_process(self.pid(), self.asked_by).ok();
        kill_process_group(self.pid(), Signal::CONT).ok();
        let pause = Duration::from_millis(10);
        let mut waited = Duration::ZERO;
        while self.ended().is_none() && waited < GRACE {
            std::thread::sleep(pause);
            waited += pause;
        }
        kill_process_group(self.pid(), Signal::KILL).ok();
        drop(self.child.wait());
    }
}

/// The path of a program that a test requires.
///
/// # Panics
/// If it is not installed; the message says how to install it.
pub fn require(program: &str, package: &str) -> PathBuf {
    let places = std::env::var_os("PATH").unwrap_or_default();
    let places =
        std::env::split_paths(&places).chain(["/usr/sbin", "/usr/local/sbin", "/sbin"].map(PathBuf::from));
    let found = places.map(|place| place.join(program)).find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("{program} is not installed (package {package}); run tests/install"))
}

/// Runs a command to its end and returns its output.
///
/// # Panics
/// With its output, if it fails.
pub fn run(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("{command:?} cannot be started: {error}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{command:?}: {}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}
