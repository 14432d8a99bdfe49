//! `bridgehead run`: the daemon.

use std::sync::Arc;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::args::Global;
use super::context::Context;
use super::failure::{Failure, Outcome};
use super::place::{Place, State};
use super::reload::{Reloader, Reloading};
use super::service;
use super::serving::Serving;
use super::signals::{Hangup, Hangups, Others, Told};
use super::telemetry::{self, Traces};
use super::{audit, logging};
use crate::admin::Operator;
use crate::control;
use bridgehead_config::Connectors;
use bridgehead_runtime::{RuntimeBuilder, actions, first_names, report_to_other_nodes};
use bridgehead_store as journal;
use bridgehead_store::Sqlite;
use bridgehead_store::lease::Leases;
use bridgehead_store::postgres::Postgres;

/// How often to check the state folder, in case there are no tasks.
const LOOK: Duration = Duration::from_secs(5);
/// How long a daemon that cannot start waits at first. A database that is restarted or fails over is back within seconds, and until then
/// apps may have no node.
const SOON: Duration = Duration::from_millis(500);
/// How long it waits at most.
const LATER: Duration = Duration::from_secs(10);

pub(crate) async fn run(global: &Global, connectors: &Connectors) -> Outcome {
    // First of all: a signal during the start must not prevent a clean shutdown.
    let stop = CancellationToken::new();
    let (hangups, others) = (Hangups::listen()?, Others::listen()?);
    let told = Told::listen_but_to_hangups()?;
    let hangup = Arc::new(Notify::new());
    let handled = handle(told, hangups, others, stop.clone(), Arc::clone(&hangup));
    let _signals = AbortOnDropHandle::new(tokio::spawn(handled));
    let reloader = Reloader::load(global, connectors)?;
    let context = reloader.context();
    let (traces, spans) = Traces::start(context)?;
    logging::start_with(&context.config.log, &context.redactor, spans);
    let warnings = context.config.warnings(&context.environment).into_iter();
    for warning in warnings.chain(telemetry::warning(&context.environment)) {
        tracing::warn!("{warning}");
    }
    let apps = context.apps(&[], connectors)?;
    let about = control::Current::new(reloader.about()?);
    let reloading = Reloading::new();
    let Some(Opened { journal, leases }) = open_journal(context, &stop).await? else {
        tracing::info!("bridgehead stopped before it could open its state");
        return Ok(());
    };
    if let Err(failure) = context.end_orphans().await {
        close(journal, true).await;
        return Err(failure);
    }
    let listener = match Serving::bind(context.config.admin.as_ref()).await {
        Ok(listener) => listener,
        Err(error) => {
            close(journal, true).await;
            return Err(error.into());
        }
    };
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        apps = first_names(apps.keys()),
        "bridgehead is starting"
    );

    let audit = audit::start(context);
    audit.record_command(audit::started(context, &about.get().configuration));
    let mut runtime = RuntimeBuilder::new(
        apps,
        reloader.bridge(),
        Arc::clone(&journal) as Arc<_>,
        Arc::clone(&journal) as Arc<_>,
        context.redactor.clone(),
        context.config.runtime.shutdown_grace,
    )
    .with_history(Arc::clone(&journal) as Arc<_>);
    runtime.audit = audit.clone();
    runtime.leases = leases;
    let runtime = runtime.build();
    let auditing = AbortOnDropHandle::new(tokio::spawn(audit::keep_on_disk(audit.clone())));
    let state = AbortOnDropHandle::new(tokio::spawn(service::tell_state(runtime.observer())));
    let watchdog = AbortOnDropHandle::new(tokio::spawn(service::feed_watchdog(runtime.observer())));
    let watch = AbortOnDropHandle::new(tokio::spawn(watch_state(Arc::clone(&journal))));
    let runtime = Arc::new(runtime);
    let operator = Operator::new(Arc::clone(&runtime), about.clone(), &stop);
    let serving = Serving::start(listener, &runtime.observer(), reloader.page(), operator);
    let folder = context.config.state.path.clone();
    let control =
        control::Server::start(&folder, Arc::clone(&runtime), about.clone(), reloading.asking(), &stop);
    let remote = tokio::spawn(actions::serve(Arc::clone(&runtime), stop.clone()));
    let reporting = tokio::spawn(report_to_other_nodes(Arc::clone(&runtime), stop.clone()));
    let reloads = reloader.start(hangup, reloading, Arc::clone(&runtime), about, stop.clone());
    let is_over = runtime.run(stop).await;
    // A reload that has started finishes, and notices that the daemon is stopping.
    drop(reloads.await);
    if let Some(control) = control {
        control.close().await;
    }
    // All of these hold the journal.
    drop(remote.await);
    drop(reporting.await);
    serving.end().await;
    end(state).await;
    end(watchdog).await;
    end(watch).await;
    end(auditing).await;
    drop(runtime);
    audit.record_command(audit::stopped());
    close(journal, is_over).await;
    traces.end().await;
    tracing::info!("bridgehead has stopped");
    Ok(())
}

/// Opens the state. Waits while the disk is full, while another node owns the state, and while the database cannot be reached: systemd
/// would give up after a few restarts, even if the cause were gone later. `None` if the daemon is asked to stop meanwhile.
async fn open_journal(context: &Context, stop: &CancellationToken) -> Result<Option<Opened>, Failure> {
    let place = context.place()?;
    let mut wait = SOON;
    loop {
        let tried = tokio::select! {
            () = stop.cancelled() => return Ok(None),
            tried = try_open_journal(context, &place) => tried?,
        };
        let error = match tried {
            Ok(opened) => return Ok(Some(opened)),
            Err(error) if error.may_pass() => error,
            Err(error) => return Err(error.into()),
        };
        let now = error.passes_in().unwrap_or(wait).min(LATER);
        wait = (wait * 2).min(LATER);
        tracing::error!(wait = ?now, "the daemon cannot start: {error}; retrying");
        let grace = u32::try_from((LATER * 3).as_micros()).unwrap_or(u32::MAX);
        drop(sd_notify::notify(&[
            NotifyState::ExtendTimeoutUsec(grace),
            NotifyState::Status(&context.redactor.redact(&error.to_string())),
        ]));
        tokio::select! {
            () = stop.cancelled() => return Ok(None),
            () = tokio::time::sleep(now) => {}
        }
    }
}

/// The state, and this node's leases if several nodes share it.
struct Opened {
    journal: State,
    leases: Option<Arc<dyn Leases>>,
}

impl From<Sqlite> for Opened {
    fn from(state: Sqlite) -> Self {
        Self { journal: Arc::new(state), leases: None }
    }
}

impl From<Postgres> for Opened {
    fn from(state: Postgres) -> Self {
        Self { journal: Arc::new(state.clone()), leases: Some(Arc::new(state)) }
    }
}

#[cfg_attr(
    not(debug_assertions),
    expect(unused_variables, reason = "only debug builds read a switch from the environment")
)]
async fn try_open_journal(
    context: &Context,
    place: &Place,
) -> Result<Result<Opened, journal::Error>, Failure> {
    let folder = match place {
        Place::Folder(folder) => folder,
        Place::Database(settings) => {
            return Ok(Postgres::join(settings).await.map(Opened::from));
        }
    };
    #[cfg(debug_assertions)]
    if let Some(observer) = super::crash::observer(&context.environment)? {
        return Ok(Sqlite::open_observed(folder, observer).await.map(Opened::from));
    }
    Ok(Sqlite::open(folder).await.map(Opened::from))
}

/// Aborts a loop, and returns when it has ended.
async fn end(running: AbortOnDropHandle<()>) {
    running.abort();
    // It was cancelled; that is what an error means here.
    drop(running.await);
}

/// The journal may still be in use; everything written is durable anyway.
async fn close(journal: State, is_over: bool) {
    if Arc::strong_count(&journal) == 1 {
        journal.shut(is_over).await;
    }
}

/// The first signal shuts down cleanly; a second one stops immediately. SIGHUP stops the daemon only if its terminal was closed; otherwise
/// it requests a reload.
async fn handle(
    mut told: Told,
    mut hangups: Hangups,
    mut others: Others,
    stop: CancellationToken,
    reload: Arc<Notify>,
) {
    loop {
        tokio::select! {
            biased;
            () = told.wait() => {}
            signal = others.next() => {
                tracing::warn!(
                    "{signal} received and ignored; SIGHUP or `bridgehead reload` reloads the configuration, SIGTERM stops the daemon"
                );
                continue;
            }
            hangup = hangups.next() => match hangup {
                Hangup::Closed => {}
                Hangup::Reload => {
                    // Several in a row result in one reload.
                    reload.notify_one();
                    continue;
                }
            }
        }
        if stop.is_cancelled() {
            tracing::warn!("second stop signal received; stopping immediately, the journal allows resuming");
            leave_now();
        }
        tracing::info!("stop signal received; waiting for running work to finish");
        drop(sd_notify::notify(&[NotifyState::Stopping]));
        stop.cancel();
    }
}

#[expect(clippy::exit, reason = "a second signal stops immediately; the journal makes that safe")]
fn leave_now() {
    std::process::exit(1);
}

/// Detects that the state folder was removed even if there are no tasks. The code that detects it logs it once.
async fn watch_state(journal: State) {
    let mut look = tokio::time::interval(LOOK);
    loop {
        look.tick().await;
        if let Err(error) = journal.verify().await {
            tracing::debug!(%error, "the state has a problem");
        }
    }
}
