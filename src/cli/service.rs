//! Notifies systemd of the daemon's readiness, status and liveness.

use std::time::Duration;

use sd_notify::NotifyState;

use crate::admin::summary;
use bridgehead_runtime::{Level, StatusReport, StatusReporter, Unhealthy};

/// The latest time at which readiness is reported; systemd gives up after 90 seconds without it. Restarting the daemon would not make Iden
/// respond.
const READY_WITHIN: Duration = Duration::from_secs(30);
/// How often to check for changes of the status.
const PACE: Duration = Duration::from_secs(3);
/// systemd shows one line, and truncates a long one.
const LONGEST: usize = 300;

/// Notifies systemd when the daemon is ready, and after that whenever its status changes.
pub(crate) async fn tell_state(observer: StatusReporter) {
    let ready = observer.readiness().reached(READY_WITHIN).await;
    tracing::info!("ready: {ready}");
    let mut told = state(&observer.overview().await);
    drop(sd_notify::notify(&[NotifyState::Ready, NotifyState::Status(&told)]));
    if std::env::var_os("NOTIFY_SOCKET").is_none() {
        return;
    }
    let mut pace = tokio::time::interval(PACE);
    loop {
        pace.tick().await;
        let now = state(&observer.overview().await);
        if now != told {
            drop(sd_notify::notify(&[NotifyState::Status(&now)]));
            told = now;
        }
    }
}

/// Notifies systemd of the end of a reload, with the daemon's status.
pub(crate) async fn tell_reloaded(observer: &StatusReporter) {
    if std::env::var_os("NOTIFY_SOCKET").is_none() {
        return;
    }
    let told = state(&observer.overview().await);
    drop(sd_notify::notify(&[NotifyState::Ready, NotifyState::Status(&told)]));
}

/// Notifies systemd that the daemon is alive while its loops are; otherwise, systemd restarts it.
pub(crate) async fn feed_watchdog(observer: StatusReporter) {
    let Some(every) = sd_notify::watchdog_enabled() else {
        return;
    };
    feed(every, || observer.health(), || drop(sd_notify::notify(&[NotifyState::Watchdog]))).await;
}

/// Three times within systemd's timeout, so that a delayed notification does no harm.
async fn feed(every: Duration, health: impl Fn() -> Result<(), Unhealthy>, tell: impl Fn()) {
    let mut beat = tokio::time::interval(every / 3);
    loop {
        beat.tick().await;
        match health() {
            Ok(()) => tell(),
            Err(ailment) => tracing::error!("not notifying the systemd watchdog: {ailment}"),
        }
    }
}

/// The status of the daemon in one line: what needs action, then the connection to Iden.
fn state(overview: &StatusReport) -> String {
    let alarms = overview.apps.iter().flat_map(|(name, app)| {
        let alarms = app.alarms.iter().filter(|alarm| alarm.level == Level::Alarm);
        alarms.map(move |alarm| format!("{name}: {}", summary::title(alarm.kind).to_lowercase()))
    });
    let alarms: Vec<String> = alarms.collect();
    let daemon = overview.daemon.clone().unwrap_or_default();
    let mut parts = Vec::new();
    parts.extend(daemon.unhealthy);
    if !alarms.is_empty() {
        parts.push(format!("action required: {}", alarms.join(", ")));
    }
    parts.extend(daemon.last_reload.filter(|reload| !reload.applied).map(|reload| reload.message));
    parts.push(daemon.readiness);
    // A line break would start a separate message.
    let line: String = parts.join("; ").chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    line.chars().take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use bridgehead_runtime::{Alarm, AlarmKind, AppOverview, DaemonOverview};

    #[test]
    fn service_status_shows_alarms_first_on_one_line() {
        let readiness = "the Bridge is currently unavailable for hr (line\nbreak)".to_owned();
        let daemon = DaemonOverview { readiness, ..DaemonOverview::default() };
        let alarm =
            |kind, level| Alarm { kind, level, since: None, message: String::new(), advice: String::new() };
        let alarms =
            vec![alarm(AlarmKind::AccessRefused, Level::Alarm), alarm(AlarmKind::SyncFails, Level::Notice)];
        let app = AppOverview { alarms, ..AppOverview::default() };
        let at = jiff::Timestamp::UNIX_EPOCH;
        let overview = StatusReport { at, daemon: Some(daemon), apps: [("hr".to_owned(), app)].into() };
        assert_eq!(
            state(&overview),
            "action required: hr: access refused; the Bridge is currently unavailable for hr (line break)"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn watchdog_is_fed_only_while_healthy() {
        let (ails, fed) = (Cell::new(false), Cell::new(0));
        let health = || {
            if ails.get() { Err(Unhealthy::Silent(Duration::from_secs(10))) } else { Ok(()) }
        };
        let feeding = feed(Duration::from_mins(1), health, || fed.set(fed.get() + 1));
        let watched = async {
            tokio::time::sleep(Duration::from_secs(59)).await;
            assert_eq!(fed.get(), 3, "three times before systemd's patience ends");
            ails.set(true);
            tokio::time::sleep(Duration::from_hours(1)).await;
            assert_eq!(fed.get(), 3, "nothing tells that it lives");
            ails.set(false);
            tokio::time::sleep(Duration::from_secs(20)).await;
            assert_eq!(fed.get(), 4);
        };
        tokio::select! {
            () = feeding => {}
            () = watched => {}
        }
    }
}
