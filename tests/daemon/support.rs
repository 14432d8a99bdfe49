//! What every test of the binary needs: a sandbox, a folder, a configuration, processes.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bridgehead::sandbox::{Options, Sandbox};
use uuid::Uuid;

/// The API key of every test's daemon; no output may ever show it.
pub(crate) const KEY: &str = "key-that-must-never-leak-4711";

/// The time limit for any wait. Generous, because machines can be slow, and a test continues as soon as its condition is met.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// A sandbox with one app, and a folder for the configuration, state and target.
pub(crate) struct World {
    pub(crate) sandbox: Sandbox,
    pub(crate) app: Uuid,
    folder: tempfile::TempDir,
}

impl World {
    /// Waits until the task list has been read several times more: whatever those readings were to start has started.
    pub(crate) async fn polled(&self) {
        let polls = || {
            let is_poll = |entry: &&bridgehead::sandbox::Entry| {
                entry.method == "GET" && entry.path.ends_with("/tasks/")
            };
            self.sandbox.ledger().iter().filter(is_poll).count()
        };
        let before = polls();
        eventually("the task list is read again", || polls() >= before + 3).await;
    }

    pub(crate) async fn new() -> Self {
        let options = Options { api_key: KEY.into(), ..Options::default() };
        let sandbox = Sandbox::start(options).await.expect("a sandbox on a free port");
        let app = Uuid::new_v4();
        sandbox.add_app(app, "HR");
        let folder = tempfile::tempdir().expect("a temporary folder");
        Self { sandbox, app, folder }
    }

    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        std::fs::write(path, text).expect("a file");
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).expect("a file")
    }

    /// Writes the configuration of one app, `hr`; `app` is the TOML after its `app_id`.
    pub(crate) fn configure(&self, app: &str) {
        let text = format!(
            "[bridge]\nbase_url = \"{}\"\napi_key = {{ env = \"IDEN_API_KEY\" }}\n\n[state]\npath = \"state\"\n\n\
             [apps.hr]\napp_id = \"{}\"\n{app}",
            self.sandbox.base_url(),
            self.app
        );
        self.write("bridgehead.toml", &text);
    }

    /// The binary with this test's configuration.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bridgehead"));
        command
            .arg("--config")
            .arg(self.path("bridgehead.toml"))
            .args(arguments)
            .env_remove("NOTIFY_SOCKET")
            .env("IDEN_API_KEY", KEY)
            .stdin(Stdio::null());
        command
    }

    /// Runs a command to completion.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Output {
        let mut command = self.command(arguments);
        tokio::task::spawn_blocking(move || command.output().expect("the binary runs"))
            .await
            .expect("it was waited for")
    }

    /// Starts `bridgehead run`.
    pub(crate) fn start(&self) -> Daemon {
        self.start_with(&[])
    }

    /// The same with additional environment variables.
    pub(crate) fn start_with(&self, variables: &[(&str, &str)]) -> Daemon {
        let mut command = self.command(&["run"]);
        command.envs(variables.iter().copied());
        Self::started(command)
    }

    /// Starts a command that runs the daemon.
    pub(crate) fn started(mut command: Command) -> Daemon {
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts");
        let log = Arc::new(Mutex::new(String::new()));
        let (out, err) = (child.stdout.take(), child.stderr.take());
        collect(out.expect("piped"), Arc::clone(&log));
        collect(err.expect("piped"), Arc::clone(&log));
        Daemon { child, log }
    }

    /// The task as the sandbox has it now.
    pub(crate) fn task(&self, id: &str) -> serde_json::Value {
        let tasks = self.sandbox.tasks(self.app);
        tasks.into_iter().find(|task| task["id"] == id).expect("a task of this id")
    }

    /// The number of tasks with this status.
    pub(crate) fn tasks_that_are(&self, status: &str) -> usize {
        self.sandbox.stats(self.app).and_then(|stats| stats.tasks.get(status).copied()).unwrap_or_default()
    }

    /// Waits until no task is pending.
    pub(crate) async fn drained(&self) {
        eventually("no task is pending", || self.tasks_that_are("pending") == 0).await;
    }

    /// All bytes of all files below a folder of this world.
    pub(crate) fn bytes_below(&self, name: &str) -> Vec<u8> {
        fn collect(path: &Path, into: &mut Vec<u8>) {
            if path.is_dir() {
                for entry in std::fs::read_dir(path).expect("a folder").flatten() {
                    collect(&entry.path(), into);
                }
            } else if let Ok(mut bytes) = std::fs::read(path) {
                into.append(&mut bytes);
            }
        }
        let mut bytes = Vec::new();
        collect(&self.path(name), &mut bytes);
        bytes
    }
}

fn collect(mut from: impl Read + Send + 'static, into: Arc<Mutex<String>>) {
    std::thread::spawn(move || {
        let mut chunk = [0; 4096];
        while let Ok(read @ 1..) = from.read(&mut chunk) {
            into.lock().expect("the log").push_str(&String::from_utf8_lossy(&chunk[..read]));
        }
    });
}

/// A running `bridgehead run`. Killed when dropped.
pub(crate) struct Daemon {
    child: Child,
    log: Arc<Mutex<String>>,
}

impl Daemon {
    /// Its output so far.
    pub(crate) fn log(&self) -> String {
        self.log.lock().expect("the log").clone()
    }

    /// Waits until its output contains this.
    pub(crate) async fn says(&self, text: &str) {
        eventually(&format!("the daemon says {text:?}"), || self.log().contains(text)).await;
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal to this process's id alone, once its signal handlers are installed.
    pub(crate) async fn signal(&self, name: &str) {
        self.heeds_signals().await;
        let status = Command::new("kill").arg(format!("-{name}")).arg(self.pid().to_string()).status();
        assert!(status.expect("kill runs").success(), "the daemon is gone: {}", self.log());
    }

    /// Waits until SIGTERM is caught. A process that was only just started dies of the signal, whatever its code does.
    async fn heeds_signals(&self) {
        const SIGTERM: u64 = 1 << (15 - 1);
        let status = format!("/proc/{}/status", self.pid());
        eventually("the daemon catches SIGTERM", || {
            let status = std::fs::read_to_string(&status).unwrap_or_default();
            let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
            let caught = caught.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
            // A process that has ended has no mask; the caller that waits for it reports this.
            caught.is_none_or(|mask| mask & SIGTERM != 0)
        })
        .await;
    }

    /// Kills it immediately, as a crash would.
    pub(crate) fn kill(mut self) -> String {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it ends");
        self.log()
    }

    /// The exit status, if it has ended.
    pub(crate) fn exit_status(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("it can be waited for")
    }

    /// Waits for its end, and returns the exit status.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        let mut status = None;
        eventually("the daemon ends", || {
            status = self.exit_status();
            status.is_some()
        })
        .await;
        status.expect("it has ended")
    }

    /// Waits for the end of one that was told to stop; it must end in order. Returns its log.
    pub(crate) async fn has_stopped(mut self) -> String {
        let status = self.ended().await;
        assert!(status.success(), "{status}: {}", self.log());
        self.log()
    }

    /// Stops it with SIGTERM; it must shut down cleanly. Returns its log.
    pub(crate) async fn stop(mut self) -> String {
        self.signal("TERM").await;
        let status = self.ended().await;
        assert!(status.success(), "{status}: {}", self.log());
        self.log()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        if std::thread::panicking() {
            eprintln!("--- the daemon's log\n{}", self.log());
        }
    }
}

/// Polls until a condition is met. Unlike a line in the log, it can take any amount of work, on a machine of any speed.
pub(crate) async fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + PATIENCE * 4;
    while !is_so() {
        assert!(tokio::time::Instant::now() < deadline, "this did not happen in time: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
