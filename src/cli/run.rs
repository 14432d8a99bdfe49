//! `bridgehead run`: the daemon.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use sd_notify::NotifyState;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::args::Global;
use super::context::Context;
use super::failure::{Failure, Outcome};
use super::logging;
use super::serving::Serving;
use super::signals::Told;
use crate::config::Connectors;
use crate::control;
use crate::journal::{self, Journal, Sqlite};
use crate::runtime::{Assembly, Observer, Readiness};

/// Tasks that ended longer ago are forgotten. A list that is so stale as to show one again is not to be expected.
const KEEP_ENDED: SignedDuration = SignedDuration::from_hours(30 * 24);
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
    let bridge = Arc::new(context.bridge()?);
    let Some(journal) = open_journal(&context, &stop).await? else {
        tracing::info!("bridgehead has stopped before it could open its state");
        return Ok(());
    };
    let journal = Arc::new(journal);
    let listener = match Serving::bind(context.config.admin.as_ref()).await {
        Ok(listener) => listener,
        Err(error) => {
            close(journal).await;
            return Err(error.into());
        }
    };
    tracing::info!(version = env!("CARGO_PKG_VERSION"), apps = ?apps.keys().collect::<Vec<_>>(), "bridgehead starts");

    let runtime = Assembly::new(
        apps,
        bridge,
        Arc::clone(&journal) as Arc<_>,
        Arc::clone(&journal) as Arc<_>,
        context.redactor.clone(),
        context.config.runtime.shutdown_grace,
    )
    .build();
    let _ready = AbortOnDropHandle::new(tokio::spawn(tell_readiness(runtime.observer().readiness())));
    let watchdog = AbortOnDropHandle::new(tokio::spawn(feed_watchdog(runtime.observer())));
    let housekeeping = AbortOnDropHandle::new(tokio::spawn(keep_house(Arc::clone(&journal))));
    let serving = Serving::start(listener, &runtime.observer());
    let runtime = Arc::new(runtime);
    let control = control::Server::start(&context.config.state.path, Arc::clone(&runtime), &stop);
    runtime.run(stop).await;
    if let Some(control) = control {
        control.close().await;
    }
    // All of these hold the journal.
    serving.end().await;
    end(watchdog).await;
    end(housekeeping).await;
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

async fn tell_readiness(readiness: Readiness) {
    let ready = readiness.reached().await;
    tracing::info!("ready: {ready}");
    drop(sd_notify::notify(&[NotifyState::Ready, NotifyState::Status(&ready.to_string())]));
}

/// Tells systemd that the daemon lives, as long as its loops do; when they don't, systemd starts it again.
async fn feed_watchdog(observer: Observer) {
    let Some(every) = sd_notify::watchdog_enabled() else {
        return;
    };
    let mut beat = tokio::time::interval(every / 3);
    loop {
        beat.tick().await;
        match observer.health() {
            Ok(()) => drop(sd_notify::notify(&[NotifyState::Watchdog])),
            Err(ailment) => tracing::error!("the watchdog is not fed: {ailment}"),
        }
    }
}

/// Looks after the state while nothing else does: notices that it is gone even if no task comes, and forgets what is old.
async fn keep_house(journal: Arc<Sqlite>) {
    let mut clock = HouseClock::start(Timestamp::now());
    let mut look = tokio::time::interval(LOOK);
    // Not at the start: until the clock of a machine that was just switched on is set, everything may seem to be old.
    let mut often =
        tokio::time::interval_at(Instant::now() + Duration::from_hours(1), Duration::from_hours(6));
    loop {
        tokio::select! {
            _ = look.tick() => {
                // What is gone for good is logged once, by whoever finds it.
                if let Err(error) = journal.verify().await {
                    tracing::debug!(%error, "the state folder is not as it should be");
                }
            }
            _ = often.tick() => {
                let Ok(before) = clock.now(Timestamp::now()).checked_sub(KEEP_ENDED) else {
                    continue;
                };
                match journal.prune(before).await {
                    Ok(0) => {}
                    Ok(count) => tracing::debug!(count, "forgot tasks that ended long ago"),
                    Err(error) => tracing::warn!(%error, "old tasks could not be removed from the journal"),
                }
            }
        }
    }
}

/// The time of day, but never further from the start than the process has been running: a clock that is set forward makes
/// nothing old. What it would have aged is forgotten after the next start.
struct HouseClock {
    began: Instant,
    began_at: Timestamp,
}

impl HouseClock {
    fn start(now: Timestamp) -> Self {
        Self { began: Instant::now(), began_at: now }
    }

    fn now(&mut self, wall: Timestamp) -> Timestamp {
        let ran = SignedDuration::try_from(self.began.elapsed()).unwrap_or(SignedDuration::MAX);
        let steady = self.began_at.saturating_add(ran).unwrap_or(Timestamp::MAX);
        if wall < steady {
            // It was set back; from here on it counts from there.
            *self = Self::start(wall);
        }
        wall.min(steady)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_is_set_forward_makes_nothing_old() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let mut clock = HouseClock::start(at(1_000_000));
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(clock.now(at(1_000_060)), at(1_000_060));
        assert_eq!(clock.now(at(99_000_000)), at(1_000_060), "two years ahead");
        assert_eq!(clock.now(at(900_000)), at(900_000), "it was ahead all the time");
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(clock.now(at(1_000_070)), at(900_010));
    }
}
