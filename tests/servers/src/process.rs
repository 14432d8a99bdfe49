//! Processes that end with the test that started them.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// No server that works needs longer to start, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(180);

/// A server. It is ended, by its process id, when this is dropped.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a command; what it writes goes to a file `NAME.log` in `folder`.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn start(name: &str, folder: &Path, command: &mut Command) -> Self {
        let log = folder.join(format!("{name}.log"));
        let output = File::create(&log).expect("the folder can be written to");
        let errors = output.try_clone().expect("a file can be shared");
        let child = command.stdin(Stdio::null()).stdout(output).stderr(errors).spawn();
        let child = child.unwrap_or_else(|error| panic!("{name} cannot be started: {error}"));
        Self { name: name.to_owned(), child, log }
    }

    /// Waits until it is ready.
    ///
    /// # Panics
    /// With its log, if it ends instead or takes longer than three minutes.
    pub async fn ready(mut self, mut is_ready: impl FnMut() -> bool) -> Self {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            if is_ready() {
                return self;
            }
            let ended = self.child.try_wait().expect("a child can be asked");
            if let Some(status) = ended {
                panic!("{} has ended with {status}:\n{}", self.name, self.log());
            }
            assert!(tokio::time::Instant::now() < deadline, "{} does not start:\n{}", self.name, self.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// What it has written so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Where a program is that a test cannot do without.
///
/// # Panics
/// If it is not installed; the message says how to mend that.
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
