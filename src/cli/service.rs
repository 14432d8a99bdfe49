//! What systemd is told: when the daemon is ready, how it is, and that it lives.

use std::time::Duration;

use sd_notify::NotifyState;

use crate::admin::words;
use crate::runtime::{Level, Observer, Overview};

/// So long at most until systemd is told that the daemon is ready; it gives up on one that does not say so in 90 seconds.
/// Whether Iden answers is not for it to fix.
const READY_WITHIN: Duration = Duration::from_secs(30);
/// How often it is looked whether the state has changed.
const PACE: Duration = Duration::from_secs(3);
/// systemd shows one line, and cuts a long one.
const LONGEST: usize = 300;

/// Tells systemd that the daemon is ready, and from then on how it is whenever that changes.
pub(crate) async fn tell_state(observer: Observer) {
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

/// Tells systemd that the daemon lives, as long as its loops do; when they don't, systemd starts it again.
pub(crate) async fn feed_watchdog(observer: Observer) {
    let Some(every) = sd_notify::watchdog_enabled() else {
        return;
    };
    let mut beat = tokio::time::interval(every / 3);
    loop {
        beat.tick().await;
        match observer.health() {
            Ok(()) => drop(sd_notify::notify(&[NotifyState::Watchdog])),
            Err(ailment) => tracing::error!("not notifying the systemd watchdog: {ailment}"),
        }
    }
}

/// The state of the daemon, in a line: what needs action, then the state of the contact with Iden.
fn state(overview: &Overview) -> String {
    let alarms = overview.apps.iter().flat_map(|(name, app)| {
        let alarms = app.alarms.iter().filter(|alarm| alarm.level == Level::Alarm);
        alarms.map(move |alarm| format!("{name}: {}", words::title(alarm.kind).to_lowercase()))
    });
    let alarms: Vec<String> = alarms.collect();
    let daemon = overview.daemon.clone().unwrap_or_default();
    let mut parts = Vec::new();
    parts.extend(daemon.unhealthy);
    if !alarms.is_empty() {
        parts.push(format!("action required: {}", alarms.join(", ")));
    }
    parts.push(daemon.readiness);
    // A line break would start the next of several messages.
    let line: String = parts.join("; ").chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    line.chars().take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::{Alarm, AlarmKind, AppOverview, DaemonOverview};

    #[test]
    fn what_needs_somebody_comes_first_and_in_one_line() {
        let readiness = "the Bridge is currently unavailable for hr (line\nbreak)".to_owned();
        let daemon = DaemonOverview { readiness, ..DaemonOverview::default() };
        let alarm =
            |kind, level| Alarm { kind, level, since: None, message: String::new(), advice: String::new() };
        let alarms =
            vec![alarm(AlarmKind::AccessRefused, Level::Alarm), alarm(AlarmKind::SyncFails, Level::Notice)];
        let app = AppOverview { alarms, ..AppOverview::default() };
        let at = jiff::Timestamp::UNIX_EPOCH;
        let overview = Overview { at, daemon: Some(daemon), apps: [("hr".to_owned(), app)].into() };
        assert_eq!(
            state(&overview),
            "action required: hr: access refused; the Bridge is currently unavailable for hr (line break)"
        );
    }
}
