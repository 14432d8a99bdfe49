//! One child process: starts it, initializes it, sends requests, ends it. Nothing here restarts it.

use std::ffi::OsString;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bridgehead_sdk::{Description, ProcessRegistry, Protection, is_secret_name};
use serde_json::Value;
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::{debug, info};

use crate::failure::{CallError, Death};
use crate::pending::{Held, Pending, Reply};
use crate::protocol::request_line;
use crate::session::ProcessSession;
use crate::settings::{Environment, Launch, secret_lines};
use crate::spawn::{must_be_executable, spawn};

/// The variables that every process inherits. It does not get the daemon's other variables, which include the Bridge
/// key.
const INHERITED: [&str; 3] = ["PATH", "HOME", "LANG"];

/// How long the process may take to respond to `shutdown`.
const SHUTDOWN: Duration = Duration::from_secs(5);

/// How long a process may take to end once its input is closed.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How long to wait for a process that was killed: the kernel may keep one that waits for disk I/O.
const KILLED: Duration = Duration::from_secs(5);

/// The state of a process.
#[derive(Clone)]
pub(crate) enum Phase {
    /// It has not responded to `initialize` yet.
    Starting,
    /// It has responded to `initialize`.
    Ready(Arc<Description>),
    /// It has ended, at this time.
    Dead(Arc<Death>, Instant),
}

/// What callers and the session share.
pub(crate) struct Shared {
    pub(crate) app: String,
    pub(crate) pending: Arc<Pending>,
    pub(crate) phase: watch::Sender<Phase>,
    /// Whether it has responded to a call other than `initialize`.
    pub(crate) healthy: AtomicBool,
    /// Closes the input of the process: no more requests follow.
    pub(crate) stopping: CancellationToken,
    /// Kills the process.
    pub(crate) kill: CancellationToken,
}

impl Shared {
    /// Records that the process has ended. Only the first reason is kept.
    pub(crate) fn die(&self, death: Death) {
        let death = Arc::new(death);
        // The phase is set before the calls fail: a caller that gets the error of a lost call must find the process
        // dead.
        self.phase.send_if_modified(|phase| {
            let alive = !matches!(phase, Phase::Dead(..));
            if alive {
                *phase = Phase::Dead(Arc::clone(&death), Instant::now());
            }
            alive
        });
        self.pending.fail_all(&death);
    }
}

/// A request to be written to the process.
pub(crate) struct Outgoing {
    pub(crate) id: u64,
    pub(crate) line: Vec<u8>,
}

/// One call of a connector.
pub(crate) struct Request {
    /// The method's name.
    pub(crate) method: &'static str,
    /// Its parameters; a password may be among them.
    pub(crate) params: Value,
    /// A description of the call for messages: "create_account for ext-1".
    pub(crate) what: String,
    /// Keeps the secrets in the parameters known to the redactor.
    pub(crate) protection: Option<Arc<Protection>>,
}

/// One child process, and the task that serves it. Dropping it kills the process.
pub(crate) struct Session {
    shared: Arc<Shared>,
    outgoing: mpsc::Sender<Outgoing>,
    _attendant: AbortOnDropHandle<()>,
}

impl Session {
    /// Starts a process. [`ready`](Self::ready) waits until it can be used.
    pub(crate) fn start(launch: &Arc<Launch>) -> Result<Self, Death> {
        let not_started = |source| Death::NotStarted { program: launch.program.clone(), source };
        let (command, protection) = command(launch).map_err(not_started)?;
        let mut child = spawn(command).map_err(not_started)?;
        info!(target: "bridgehead::exec", app = %launch.app, pid = child.id(), "connector process started");
        let streams = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let process = Process::new(child, launch.processes.clone());
        let (Some(stdin), Some(stdout), Some(stderr)) = streams else {
            return Err(not_started(std::io::Error::other("its standard streams are not available")));
        };
        let shared = Arc::new(Shared {
            app: launch.app.clone(),
            pending: Arc::new(Pending::new(launch.app.clone(), launch.hang_timeout)),
            phase: watch::Sender::new(Phase::Starting),
            healthy: AtomicBool::new(false),
            stopping: CancellationToken::new(),
            kill: CancellationToken::new(),
        });
        let (outgoing, requests) = mpsc::channel(launch.max_in_flight);
        let attendant = ProcessSession::new(
            Arc::clone(launch),
            Arc::clone(&shared),
            process,
            (stdin, stdout, stderr),
            requests,
        );
        let attendant = tokio::spawn(async move {
            attendant.run().await;
            drop(protection);
        });
        Ok(Self { shared, outgoing, _attendant: AbortOnDropHandle::new(attendant) })
    }

    /// Waits until the process has described itself.
    pub(crate) async fn ready(&self) -> Result<Arc<Description>, CallError> {
        match self.phase(|phase| !matches!(phase, Phase::Starting)).await {
            Some(Phase::Ready(description)) => Ok(description),
            Some(Phase::Dead(death, _)) => Err(self.not_running(death)),
            Some(Phase::Starting) | None => Err(self.not_running(Arc::new(Death::Unattended))),
        }
    }

    /// Sends a request to the process. Dropping the future gives the call up: a request that was not written yet is not
    /// sent, and one that was sent must be answered within `hang_timeout`, or the process is replaced.
    pub(crate) async fn call(
        &self,
        request: Request,
        permit: Option<tokio::sync::OwnedSemaphorePermit>,
    ) -> Reply {
        let Ok(slot) = self.outgoing.reserve().await else {
            // Nothing is written from now on; the reason is known when the process has ended.
            let death = match self.phase(|phase| matches!(phase, Phase::Dead(..))).await {
                Some(Phase::Dead(death, _)) => death,
                _ => Arc::new(Death::Unattended),
            };
            return Err(self.not_running(death));
        };
        let waiter =
            self.shared.pending.add(Held { what: request.what, permit, protection: request.protection })?;
        let line = request_line(waiter.id(), request.method, &request.params);
        slot.send(Outgoing { id: waiter.id(), line });
        waiter.reply().await
    }

    /// Why and when the process ended, and whether it was healthy; `None` while it runs.
    pub(crate) fn death(&self) -> Option<(Arc<Death>, Instant, bool)> {
        match &*self.shared.phase.borrow() {
            Phase::Dead(death, at) => {
                Some((Arc::clone(death), *at, self.shared.healthy.load(Ordering::Relaxed)))
            }
            _ => None,
        }
    }

    /// Asks the process to end, closes its input, and kills it if it still runs.
    pub(crate) async fn shutdown(&self) {
        let deadline = Instant::now() + SHUTDOWN;
        if matches!(&*self.shared.phase.borrow(), Phase::Ready(_)) {
            let request = Request {
                method: "shutdown",
                params: Value::Object(serde_json::Map::new()),
                what: "shutdown".to_owned(),
                protection: None,
            };
            if timeout_at(deadline, self.call(request, None)).await.is_err() {
                debug!(target: "bridgehead::exec", app = %self.shared.app, "the connector process did not respond to shutdown");
            }
        }
        self.shared.stopping.cancel();
        let dead = |phase: &Phase| matches!(phase, Phase::Dead(..));
        let deadline = deadline.max(Instant::now() + LAST_WORDS);
        if timeout_at(deadline, self.phase(dead)).await.is_err() {
            self.shared.kill.cancel();
            if timeout(KILLED, self.phase(dead)).await.is_err() {
                debug!(target: "bridgehead::exec", app = %self.shared.app, "the connector process did not exit");
            }
        }
    }

    async fn phase(&self, wanted: impl FnMut(&Phase) -> bool) -> Option<Phase> {
        let mut phases = self.shared.phase.subscribe();
        let found = phases.wait_for(wanted).await;
        found.ok().map(|phase| phase.clone())
    }

    fn not_running(&self, death: Arc<Death>) -> CallError {
        CallError::NotRunning { app: self.shared.app.clone(), death, again_in: None }
    }
}

/// The command with its environment, which is read only here; secrets in it are protected.
fn command(launch: &Launch) -> std::io::Result<(Command, Protection)> {
    let directory = launch.directory()?;
    let program = launch.executable(&directory);
    let variables = environment(&launch.environment, |name| std::env::var_os(name));
    let mut words =
        launch.processes.as_ref().map(|processes| processes.launcher()).unwrap_or_default().into_iter();
    let mut command = match words.next() {
        Some(launcher) => {
            let path = variables.iter().rfind(|(name, _)| name == "PATH").map(|(_, path)| path.as_os_str());
            must_be_executable(&program, path)?;
            let mut command = Command::new(launcher);
            command.args(words).arg(program);
            command
        }
        None => Command::new(program),
    };
    command
        .args(&launch.arguments)
        .current_dir(&directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .env_clear();
    // A separate process group: it can be killed together with the processes it started, and a Ctrl-C on the daemon's
    // terminal, after which the daemon still finishes its tasks cleanly, does not reach it.
    #[cfg(unix)]
    command.process_group(0);
    let secrets: Vec<String> = variables
        .iter()
        .filter(|(name, _)| is_secret_name(name))
        .map(|(_, value)| value.to_string_lossy().into_owned())
        .collect();
    let lines: Vec<&str> = secrets.iter().flat_map(|secret| secret_lines(secret)).collect();
    let protection = launch.redactor.protect(secrets.iter().map(String::as_str).chain(lines));
    command.envs(variables);
    Ok((command, protection))
}

fn environment(settings: &Environment, daemon: impl Fn(&str) -> Option<OsString>) -> Vec<(String, OsString)> {
    let inherit = |name: &str| Some((name.to_owned(), daemon(name)?));
    let mut variables: Vec<_> = INHERITED.into_iter().filter_map(inherit).collect();
    match settings {
        Environment::Inherit(names) => variables.extend(names.iter().filter_map(|name| inherit(name))),
        Environment::Set(values) => {
            variables.extend(values.iter().map(|(name, value)| (name.clone(), OsString::from(value))));
        }
    }
    variables
}

/// A child process with its process group, which includes the processes that it started: when the child ends, is killed
/// or is dropped, all of them end.
pub(crate) struct Process {
    child: Child,
    /// The id of its group, as long as there may be a process to kill.
    group: Option<u32>,
    processes: Option<Arc<dyn ProcessRegistry>>,
}

impl Process {
    fn new(child: Child, processes: Option<Arc<dyn ProcessRegistry>>) -> Self {
        if let (Some(processes), Some(pid)) = (&processes, child.id()) {
            processes.started(pid);
        }
        Self { group: child.id(), child, processes }
    }

    /// Waits until it exits. Cancel safe.
    pub(crate) async fn ended(&mut self) -> std::io::Result<ExitStatus> {
        let status = self.child.wait().await;
        // Immediately: as soon as the last process of the group has ended, its id may be reused.
        self.kill_group();
        status
    }

    /// Kills it, and waits until it has ended. Does nothing if it has already ended.
    pub(crate) async fn kill(&mut self) {
        self.kill_group();
        if self.child.id().is_none() {
            return;
        }
        match timeout(KILLED, self.child.kill()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                debug!(target: "bridgehead::exec", %error, "the connector process could not be killed");
            }
            Err(_) => {
                debug!(target: "bridgehead::exec", "the connector process was killed but has not exited yet");
            }
        }
    }

    /// Kills the remaining processes of the group, once.
    fn kill_group(&mut self) {
        let Some(group) = self.group.take() else {
            return;
        };
        kill_members(group);
        if let Some(processes) = &self.processes {
            processes.ended(group);
        }
    }
}

fn kill_members(group: u32) {
    #[cfg(unix)]
    if let Some(group) = i32::try_from(group).ok().and_then(rustix::process::Pid::from_raw)
        && let Err(error) = rustix::process::kill_process_group(group, rustix::process::Signal::KILL)
        // No process is left: the usual case.
        && error != rustix::io::Errno::SRCH
    {
        debug!(target: "bridgehead::exec", %error, "the connector's process group could not be killed");
    }
    #[cfg(not(unix))]
    let _: u32 = group;
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill_group();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(settings: &Environment) -> Vec<String> {
        let daemon =
            |name: &str| (name != "MISSING").then(|| OsString::from(format!("{name} of the daemon")));
        environment(settings, daemon)
            .into_iter()
            .map(|(name, value)| format!("{name}={}", value.to_string_lossy()))
            .collect()
    }

    #[test]
    fn process_inherits_default_and_listed_variables() {
        let inherited = names(&Environment::Inherit(vec!["TZ".into(), "MISSING".into()]));
        assert_eq!(
            inherited,
            [
                "PATH=PATH of the daemon",
                "HOME=HOME of the daemon",
                "LANG=LANG of the daemon",
                "TZ=TZ of the daemon"
            ]
        );
    }

    #[test]
    fn env_table_can_override_default_variables() {
        let set = names(&Environment::Set([("LANG".to_owned(), "C".to_owned())].into()));
        assert_eq!(set.last().map(String::as_str), Some("LANG=C"));
    }
}
