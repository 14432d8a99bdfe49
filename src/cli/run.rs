//! `bridgehead run`: the daemon.

use std::sync::Arc;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::args::Global;
use super::context::{self, Context};
use super::failure::{Failure, Outcome};
use super::service;
use super::serving::Serving;
use super::signals::Told;
use super::{check, logging};
use crate::admin::Operator;
use crate::control;
use bridgehead_config::Connectors;
use bridgehead_runtime::RuntimeBuilder;
use bridgehead_store::{self as journal, Sqlite, TaskJournal};

/// How often the state folder is looked at, for the case that no task comes.
const LOOK: Duration = Duration::from_secs(5);
/// How long a daemon that cannot start waits for room on its disk.
const FULL: Duration = Duration::from_secs(10);

pub(crate) async fn run(global: &Global, connectors: &Connectors) -> Outcome {
    // First of all: a signal that comes while the daemon starts must not end it out of order.
    let stop = CancellationToken::new();
    let _signals = AbortOnDropHandle::new(tokio::spawn(heed(Told::listen()?, stop.clone())));
    let context = Context::load(global, connectors)?;
    logging::start(&context.config.log, &context.redactor);
    for warning in context.config.warnings(&context.environment) {
        tracing::warn!("{warning}");
    }
    let apps = context.apps(&[], connectors)?;
    let bridge = context.bridge()?;
    let about = control::About {
        configuration: context::fingerprint(global, connectors),
        base_url: context.config.bridge.base_url.clone(),
        bridge: Arc::new(bridge.clone()),
        network: check::network(&context, &context.network()?),
    };
    let Some(journal) = open_journal(&context, &stop).await? else {
        tracing::info!("bridgehead has stopped before it could open its state");
        return Ok(());
    };
    let journal = Arc::new(journal);
    if let Err(failure) = context.end_orphans().await {
        close(journal).await;
        return Err(failure);
    }
    let token = match context.page_token() {
        Ok(token) => token,
        Err(failure) => {
            close(journal).await;
            return Err(failure);
        }
    };
    let listener = match Serving::bind(context.config.admin.as_ref()).await {
        Ok(listener) => listener,
        Err(error) => {
            close(journal).await;
            return Err(error.into());
        }
    };
    tracing::info!(version = env!("CARGO_PKG_VERSION"), apps = ?apps.keys().collect::<Vec<_>>(), "bridgehead starts");

    let runtime = RuntimeBuilder::new(
        apps,
        Arc::new(bridge.without_retries()),
        Arc::clone(&journal) as Arc<_>,
        Arc::clone(&journal) as Arc<_>,
        context.redactor.clone(),
        context.config.runtime.shutdown_grace,
    )
    .with_history(Arc::clone(&journal) as Arc<_>)
    .build();
    let state = AbortOnDropHandle::new(tokio::spawn(service::tell_state(runtime.observer())));
    let watchdog = AbortOnDropHandle::new(tokio::spawn(service::feed_watchdog(runtime.observer())));
    let watch = AbortOnDropHandle::new(tokio::spawn(watch_state(Arc::clone(&journal))));
    let runtime = Arc::new(runtime);
    let operator = Operator::new(Arc::clone(&runtime), Arc::clone(&about.bridge), &stop);
    let serving = Serving::start(listener, &runtime.observer(), token, operator);
    let control = control::Server::start(&context.config.state.path, Arc::clone(&runtime), about, &stop);
    runtime.run(stop).await;
    if let Some(control) = control {
        control.close().await;
    }
    // All of these hold the journal.
    serving.end().await;
    end(state).await;
    end(watchdog).await;
    end(watch).await;
    drop(runtime);
    close(journal).await;
    tracing::info!("bridgehead has stopped");
    Ok(())
}

/// Opens the state. A full disk is waited for: a daemon that gave up would be left alone by systemd after a few tries, and
/// nobody would start it when there is room again. `None` if it is told to stop meanwhile.
async fn open_journal(context: &Context, stop: &CancellationToken) -> Result<Option<Sqlite>, Failure> {
    loop {
        let error = match try_open_journal(context).await? {
            Ok(journal) => return Ok(Some(journal)),
            Err(error @ journal::Error::Full { .. }) => error,
            Err(error) => return Err(error.into()),
        };
        tracing::error!(wait = ?FULL, "the daemon cannot start: {error}; trying again");
        let grace = u32::try_from((FULL * 3).as_micros()).unwrap_or(u32::MAX);
        drop(sd_notify::notify(&[
            NotifyState::ExtendTimeoutUsec(grace),
            NotifyState::Status(&error.to_string()),
        ]));
        tokio::select! {
            () = stop.cancelled() => return Ok(None),
            () = tokio::time::sleep(FULL) => {}
        }
    }
}

async fn try_open_journal(context: &Context) -> Result<Result<Sqlite, journal::Error>, Failure> {
    let folder = &context.config.state.path;
    #[cfg(debug_assertions)]
    if let Some(observer) = super::crash::observer(&context.environment)? {
        return Ok(Sqlite::open_observed(folder, observer).await);
    }
    Ok(Sqlite::open(folder).await)
}

/// Cuts a loop off, and returns when it is gone.
async fn end(running: AbortOnDropHandle<()>) {
    running.abort();
    // It was cancelled, which is what an error would say.
    drop(running.await);
}

/// Somebody may still hold the journal; everything written is durable all the same.
async fn close(journal: Arc<Sqlite>) {
    if let Ok(journal) = Arc::try_unwrap(journal) {
        journal.close().await;
    }
}

/// The first signal stops in order; a second one at once.
async fn heed(mut told: Told, stop: CancellationToken) {
    loop {
        told.wait().await;
        if stop.is_cancelled() {
            tracing::warn!("told to stop a second time; stopping at once, the journal knows where to go on");
            leave_now();
        }
        tracing::info!("told to stop; what runs may finish");
        drop(sd_notify::notify(&[NotifyState::Stopping]));
        stop.cancel();
    }
}

#[expect(clippy::exit, reason = "a second signal means now; the journal makes that safe")]
fn leave_now() {
    std::process::exit(1);
}

/// Notices that the state folder is gone even if no task comes. What is gone for good is logged once, by whoever finds it.
async fn watch_state(journal: Arc<Sqlite>) {
    let mut look = tokio::time::interval(LOOK);
    loop {
        look.tick().await;
        if let Err(error) = journal.verify().await {
            tracing::debug!(%error, "the state folder is not as it should be");
        }
    }
}
