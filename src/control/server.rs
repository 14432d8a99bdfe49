//! The daemon's side of the connection.

use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::codec::{Framed, LinesCodec};
use tokio_util::sync::CancellationToken;

use super::looking;
use super::peer;
use super::protocol::{LONGEST, socket};
use super::{Ask, Asking, Current, Event, LogLevel, Request};
use crate::cli::log_levels;
use bridgehead_runtime::Runtime;
use bridgehead_runtime::actions::{self, Actions};
use bridgehead_runtime::audit::Actor;
use bridgehead_runtime::sync::{Consent, Options};
use bridgehead_store as journal;

/// How long a command may take to send its request.
const PATIENCE: Duration = Duration::from_secs(10);
/// The minimum interval between two progress events of a sync.
const PACE: Duration = Duration::from_millis(100);
/// The maximum number of concurrent commands; more wait.
const MOST: usize = 32;
/// How often to check that the socket is still there.
const LOOK_AFTER: Duration = Duration::from_secs(2);
/// How long to wait at shutdown until commands have received the end of their requests.
const FAREWELL: Duration = Duration::from_secs(5);

/// Listens for commands until it is closed.
#[derive(Debug)]
pub(crate) struct Server {
    path: PathBuf,
    stop: CancellationToken,
    accepting: JoinHandle<()>,
}

impl Server {
    /// Listens in the state folder, on which the process must hold the lock. A daemon that cannot listen continues without the socket; the
    /// log says why, and what does not work then.
    pub(crate) fn start(
        folder: &Path,
        runtime: Arc<Runtime>,
        about: Current,
        reloads: Asking,
        stop: &CancellationToken,
    ) -> Option<Self> {
        let path = socket(folder);
        match bind(&path) {
            Ok(listener) => {
                let stop = stop.child_token();
                let accepting = tokio::spawn(accept(
                    listener,
                    path.clone(),
                    Daemon { runtime, about, reloads },
                    stop.clone(),
                ));
                Some(Self { path, stop, accepting })
            }
            Err(error) => {
                tracing::warn!(
                    socket = %path.display(), %error,
                    "commands cannot reach this daemon; `bridgehead sync` and `bridgehead tasks \
                     release|retry` work only while it is stopped, and other commands need their own \
                     credentials. The path of the socket must be shorter than 108 bytes: if that is the \
                     cause, stop the daemon, move the state folder with its contents to a shorter path, and \
                     set state.path to that path"
                );
                None
            }
        }
    }

    /// Shuts down cleanly: running requests of commands are stopped, and the commands are notified.
    pub(crate) async fn close(mut self) {
        drop(std::fs::remove_file(&self.path));
        self.stop.cancel();
        if tokio::time::timeout(FAREWELL, &mut self.accepting).await.is_err() {
            self.accepting.abort();
        }
        // It may have been restored at the same moment.
        drop(std::fs::remove_file(&self.path));
    }
}

fn bind(path: &Path) -> io::Result<UnixListener> {
    match std::fs::symlink_metadata(path) {
        // A stale socket of a killed daemon: this process holds the lock, so no other daemon listens on it.
        Ok(found) if found.file_type().is_socket() => std::fs::remove_file(path)?,
        Ok(_) => {
            return Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                "its name is taken by something that is not a socket",
            ));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let listener = UnixListener::bind(path)?;
    // Until here, the mode 0700 of the folder keeps other users out.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Listens again if somebody has removed the socket, such as a program that cleans up: commands would say that no daemon is running.
fn restored(path: &Path) -> Option<UnixListener> {
    let is_gone = std::fs::symlink_metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
    // Without the folder, the state is gone, which has its own alarm.
    if !is_gone || !path.parent().is_some_and(Path::is_dir) {
        return None;
    }
    match bind(path) {
        Ok(listener) => {
            tracing::warn!(socket = %path.display(), "the control socket was removed by another program; listening on a new one");
            Some(listener)
        }
        Err(error) => {
            tracing::debug!(socket = %path.display(), %error, "the control socket was removed and cannot be created again");
            None
        }
    }
}

async fn accept(mut listener: UnixListener, path: PathBuf, daemon: Daemon, stop: CancellationToken) {
    let mut commands = JoinSet::new();
    let mut look_after = tokio::time::interval(LOOK_AFTER);
    look_after.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            _ = look_after.tick() => {
                if let Some(again) = restored(&path) {
                    listener = again;
                }
            }
            Some(ended) = commands.join_next() => {
                if let Err(error) = ended {
                    tracing::error!(%error, "the daemon panicked while handling an operator's command");
                }
            }
            accepted = listener.accept(), if commands.len() < MOST => match accepted {
                Ok((stream, _)) if is_trusted(&stream) => {
                    commands.spawn(serve(stream, daemon.clone(), stop.clone()));
                }
                Ok(_) => tracing::warn!("a user other than the owner of the state folder tried to use the \
                                         control socket"),
                Err(error) => {
                    tracing::warn!(%error, "the control socket cannot accept a connection");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
    }
    drop(listener);
    while commands.join_next().await.is_some() {}
}

/// Whether the peer is this process's user or root.
fn is_trusted(stream: &UnixStream) -> bool {
    let own = rustix::process::geteuid().as_raw();
    stream.peer_cred().is_ok_and(|peer| may_ask(own, peer.uid()))
}

fn may_ask(own: u32, peer: u32) -> bool {
    peer == own || peer == 0
}

/// What requests have access to.
#[derive(Clone)]
struct Daemon {
    runtime: Arc<Runtime>,
    about: Current,
    reloads: Asking,
}

pub(super) type Lines = Framed<UnixStream, LinesCodec>;

async fn serve(stream: UnixStream, daemon: Daemon, stop: CancellationToken) {
    // The operating system identifies the peer, not the command.
    let actor = peer::actor(&stream);
    let mut lines = Framed::new(stream, LinesCodec::new_with_max_length(LONGEST));
    let line = tokio::select! {
        () = stop.cancelled() => return,
        line = tokio::time::timeout(PATIENCE, lines.next()) => line,
    };
    let Ok(Some(Ok(line))) = line else { return };
    let last = match serde_json::from_str(&line) {
        Ok(request) => Box::pin(answer(&mut lines, &daemon, &actor, request, &stop)).await,
        Err(_) => failed(
            format!(
                "the running daemon (bridgehead {}) does not know this command; if a different version has \
                 been installed since, restart the daemon",
                env!("CARGO_PKG_VERSION")
            ),
            false,
        ),
    };
    tell(&mut lines, &last).await;
}

/// Sends an event, and returns whether the peer is still connected.
pub(super) async fn tell(lines: &mut Lines, event: &Event) -> bool {
    match serde_json::to_string(event) {
        Ok(line) => lines.send(line).await.is_ok(),
        Err(_) => false,
    }
}

pub(super) fn failed(message: String, temporary: bool) -> Event {
    Event::Failed { message, temporary }
}

/// The last event of a request, possibly after others.
async fn answer(
    lines: &mut Lines,
    daemon: &Daemon,
    actor: &Actor,
    request: Request,
    stop: &CancellationToken,
) -> Event {
    let runtime = &*daemon.runtime;
    let actions = Actions::new(Arc::clone(&daemon.runtime));
    match request {
        Request::Identity
        | Request::Status
        | Request::Apps
        | Request::Check { .. }
        | Request::AuditHead
        | Request::Show { .. }
        | Request::Tasks { .. } => looking::answer(lines, runtime, &daemon.about.get(), request, stop).await,
        Request::Held { app } => done(&app, runtime.held(&app).map(Ok)),
        Request::Rejected { app } => {
            let aside = runtime.put_aside(&app).await;
            done(&app, aside)
        }
        Request::Release { app, tasks, expect } => acted(actions.release(actor, &app, &tasks, expect).await),
        Request::Retry { app, tasks, expect } => acted(actions.retry(actor, &app, &tasks, expect).await),
        Request::Resolve { app, task, resolution } => {
            acted(actions.resolve(actor, &app, &task, &resolution).await)
        }
        Request::Pause { app, reason } => acted(actions.pause(actor, &app, reason.as_deref()).await),
        Request::Resume { app } => acted(actions.resume(actor, &app).await),
        Request::CancelSync { app } => acted(actions.cancel_sync(actor, &app).await),
        Request::LogLevel { app, level, seconds } => log_level(runtime, actor, &app, level, seconds),
        Request::Reload { apply } => reload(daemon, actor, apply).await,
        Request::Sync { app, allow_removals, consent, dry_run } => {
            let allow_removals = consent.or_else(|| allow_removals.then_some(Consent::Shown));
            sync(lines, runtime, &actions, actor, &app, Options { dry_run, allow_removals }, stop).await
        }
    }
}

pub(super) fn done<T: serde::Serialize>(app: &str, result: Option<Result<T, journal::Error>>) -> Event {
    match result {
        None => unknown_app(app),
        Some(Err(error)) => failed(error.to_string(), false),
        Some(Ok(answer)) => match serde_json::to_value(answer) {
            Ok(answer) => Event::Done { answer },
            Err(error) => failed(format!("the response cannot be written as JSON: {error}"), false),
        },
    }
}

/// The result of an action.
fn acted<T: serde::Serialize>(result: Result<T, actions::Error>) -> Event {
    match result.map(serde_json::to_value) {
        Err(error) => failed(error.to_string(), false),
        Ok(Ok(answer)) => Event::Done { answer },
        Ok(Err(error)) => failed(format!("the answer cannot be written as JSON: {error}"), false),
    }
}

pub(super) fn unknown_app(app: &str) -> Event {
    failed(
        format!(
            "the running daemon has no app '{app}'; if it was added to the configuration, run `bridgehead reload`"
        ),
        false,
    )
}

fn log_level(runtime: &Runtime, actor: &Actor, app: &str, level: Option<LogLevel>, seconds: u64) -> Event {
    if !runtime.status().contains_key(app) {
        return unknown_app(app);
    }
    let changed = log_levels::change(app, level.map(LogLevel::filter), Duration::from_secs(seconds));
    let name = level.map_or_else(|| "default".to_owned(), |level| level.to_string());
    runtime.audit().record_command(bridgehead_runtime::audit::Event {
        actor: Some(actor.clone()),
        app: Some(app.to_owned()),
        action: "log_level".to_owned(),
        decision: Some("order".to_owned()),
        evidence: match &changed {
            Ok(()) => serde_json::json!({ "level": name, "for_seconds": level.map(|_| seconds) }),
            Err(why) => serde_json::json!({ "level": name, "refused": why }),
        },
        outcome: Some(if changed.is_ok() { "done" } else { "refused" }.to_owned()),
        ..bridgehead_runtime::audit::Event::default()
    });
    match changed {
        Ok(()) => looking::given(&()),
        Err(why) => failed(why, false),
    }
}

/// The daemon finishes a reload that has started, even if the command disconnects.
async fn reload(daemon: &Daemon, actor: &Actor, apply: bool) -> Event {
    let (answer, answered) = oneshot::channel();
    let stopping =
        || failed("the daemon is stopping; its next start takes the configuration as it is".to_owned(), true);
    if daemon.reloads.send(Ask { apply, actor: actor.clone(), answer }).await.is_err() {
        return stopping();
    }
    match answered.await {
        Ok(reloaded) => looking::given(&reloaded),
        Err(_) => stopping(),
    }
}

async fn sync(
    lines: &mut Lines,
    runtime: &Runtime,
    actions: &Actions,
    actor: &Actor,
    app: &str,
    options: Options,
    stop: &CancellationToken,
) -> Event {
    let Some(status) = runtime.status().remove(app) else {
        return done::<()>(app, None);
    };
    if let Err(error) = actions.may_sync(app, options) {
        return failed(error.to_string(), false);
    }
    let allowed = options.allow_removals.map(|consent| consent.to_string());
    tracing::info!(
        app,
        dry_run = options.dry_run,
        allow_removals = allowed.as_deref(),
        "sync requested by the operator"
    );
    let stop = stop.child_token();
    let mut updates = status.sync();
    if !updates.borrow_and_update().phase.is_empty() {
        tell(lines, &Event::Waiting).await;
    }
    tell(lines, &Event::Begun { expected: runtime.expected(app).await }).await;
    let mut run = Box::pin(actions.sync(actor, app, options, &stop));
    let mut pace = tokio::time::interval(PACE);
    let summary = loop {
        tokio::select! {
            summary = &mut run => break summary,
            _ = pace.tick() => {
                if updates.has_changed().unwrap_or(false) {
                    let progress = updates.borrow_and_update().clone();
                    tell(lines, &Event::Progress { progress }).await;
                }
            }
            // The command has disconnected or asks to stop: the sync is abandoned, as without a daemon.
            line = lines.next(), if !stop.is_cancelled() => {
                if !matches!(line, Some(Ok(_))) {
                    stop.cancel();
                }
            }
        }
    };
    if let Ok(summary) = &summary {
        tracing::info!(
            app,
            result = summary.result.as_str(),
            "the sync requested by the operator has ended: {}",
            summary.detail
        );
    }
    acted(summary)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_state_folder_owner_and_root_may_connect() {
        assert!(may_ask(1000, 1000) && may_ask(1000, 0) && may_ask(0, 0));
        assert!(!may_ask(1000, 1001) && !may_ask(0, 1000));
    }
}
