//! Processes that end with the test that started them.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, WaitIdStatus, kill_process, kill_process_group, waitid,
};

/// No server that works needs longer to start, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(180);

/// How long a server may take to end of its own accord, before it is killed.
const GRACE: Duration = Duration::from_secs(10);

/// Ends the process group `$1` when standard input closes, which it does when the test's process is gone, however it went.
const GUARD: &str = r#"while read -r line; do :; done
kill -s TERM -- "-$1" && kill -s CONT -- "-$1" && sleep 2 && kill -s KILL -- "-$1""#;

/// A server, in a process group of its own. When this is dropped, it is asked to end, and after ten seconds it is killed;
/// what it started is killed with it. If the test's process is killed, the same happens.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    guard: Child,
    asked_by: Signal,
    log: PathBuf,
}

impl Process {
    /// Starts a command, which must stay in the foreground; what it writes is added to a file `NAME.log` in `folder`.
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
        // A group of its own, since whoever kills the test kills the test's group.
        guard.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        let guard = guard.spawn().expect("a shell can be started");
        Self { name: name.to_owned(), child, guard, asked_by: Signal::TERM, log }
    }

    /// Asks it to end by SIGINT rather than by SIGTERM: PostgreSQL waits for its clients at the latter.
    pub fn ended_by_interrupt(mut self) -> Self {
        self.asked_by = Signal::INT;
        self
    }

    /// Waits until it is ready.
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

    /// What it has written so far.
    pub fn log(&self) -> String {
        let bytes = std::fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Its process id, which is the id of its group too.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Halts it: connections stay open and nothing is answered, as with a server that hangs.
    ///
    /// # Panics
    /// If it has ended.
    pub fn pause(&self) {
        kill_process_group(self.pid(), Signal::STOP).expect("the server runs");
        // Each of its threads stops a moment later, and one of them may answer until then.
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

    /// Lets it go on after [`Process::pause`].
    ///
    /// # Panics
    /// If it has ended.
    pub fn resume(&self) {
        kill_process_group(self.pid(), Signal::CONT).expect("the server runs");
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// How it has ended, if it has. It is not reaped by asking: its id belongs to no other process until this is dropped.
    fn ended(&self) -> Option<WaitIdStatus> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        waitid(WaitId::Pid(self.pid()), options).expect("a child can be asked")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // First the guard, or it would see its input close and signal an id that may be somebody else's by then. What fails
        // below does so because what it is about has ended already, which is what is wanted.
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

/// Where a program is that a test cannot do without.
///
/// # Panics
/// If it is not installed; the message says how to fix that.
pub fn require(program: &str, package: &str) -> PathBuf {
    let places = std::env::var_os("PATH").unwrap_or_default();
    let places =
        std::env::split_paths(&places).chain(["/usr/sbin", "/usr/local/sbin", "/sbin"].map(PathBuf::from));
    let found = places.map(|place| place.join(program)).find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("{program} is not installed (package {package}); run tests/install"))
}

/// Runs a command to its end and gives what it printed.
///
/// # Panics
/// With what it wrote, if it fails.
pub fn run(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("{command:?} cannot be started: {error}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{command:?}: {}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}
