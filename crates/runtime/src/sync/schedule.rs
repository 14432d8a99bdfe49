//! Decides when an app is synced.

use std::sync::Arc;
use std::time::Duration;

use croner::Cron;
use croner::parser::{CronParser, Seconds};
use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;

use super::resync::Series;
use super::{Options, Summary, SyncResult};
use crate::app::AppContext;
use bridgehead_config::Schedule;
use bridgehead_store::{self as journal, RunResult};

/// The maximum number of missing records that are logged per type.
const LOGGED: usize = 20;

/// Runs syncs on schedule until `stop`.
///
/// Cancel: `stop` ends the wait immediately; a running sync is abandoned cleanly, including its session, and recorded. Dropping this aborts
/// a sync: records that it had pushed stay in Iden, and the next start begins a new sync immediately. Error: a sync returns none, and its
/// outcome decides when the next one follows. Panic: the supervisor restarts this after a delay. The interrupted sync has no recorded run,
/// so a new one starts immediately, and its session cancels the old one.
pub(crate) async fn run(app: Arc<AppContext>, stop: CancellationToken) {
    let schedule = &app.settings.sync.schedule;
    let mut due = first(&app).await;
    let mut series = Series::default();
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = until(&app, due) => {}
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            _ = app.operator.pausing.wait() => {}
        }
        let began = app.shared.clock.now();
        let summary = Box::pin(super::run(&app, Options::default(), &stop)).await;
        log(&app, &summary);
        if stop.is_cancelled() {
            return;
        }
        let (now, regular) = (app.shared.clock.now(), next(schedule, began));
        let after = series.after(summary.follow_up, schedule, &app.shared.rng);
        if after.alarm {
            tracing::error!(app = %app.name, alarm = "cleanup_failed",
                "Iden's cleanup has failed after {} syncs in a row: stale records are still active there; \
                 contact Iden support, and check the next regular sync at {regular}",
                Series::CLEAN_UPS + 1);
        }
        due = after.wait.map_or(regular, |wait| {
            let soon = now.saturating_add(signed(wait)).unwrap_or(regular);
            // A scheduled time that passed during a failed sync must not shorten its delay.
            if regular > now { regular.min(soon) } else { soon }
        });
    }
}

/// When the first sync is due.
pub(super) async fn first(app: &AppContext) -> Timestamp {
    let now = app.shared.clock.now();
    match app.fence.was_inherited(app).await {
        Ok(false) => {}
        // The session that cancels it may also have cancelled a cleanup, or that sync.
        Ok(true) => return now,
        Err(error) => {
            tracing::error!(app = %app.name, %error, "the last sync cannot be looked up; syncing now");
            return now;
        }
    }
    // A reload is not a start: a continuing app keeps its schedule.
    if app.settings.sync.on_start && !app.lifecycle.continues {
        return now;
    }
    match catch_up(app).await {
        Ok(Some(due)) => due,
        Ok(None) => now,
        Err(error) => {
            tracing::error!(app = %app.name, %error, "the last sync cannot be looked up; syncing now");
            now
        }
    }
}

/// The next scheduled time after the last sync; `None` if it did not finish, so that a sync is due now.
async fn catch_up(app: &AppContext) -> Result<Option<Timestamp>, journal::Error> {
    if app.snapshots.was_interrupted(&app.key).await? {
        tracing::warn!(app = %app.name, "the last sync was interrupted; starting over");
        return Ok(None);
    }
    let last = app.snapshots.runs(&app.key, 1).await?;
    let settled = last.first().filter(|run| matches!(run.result, RunResult::Completed | RunResult::Held));
    Ok(settled.map(|run| next(&app.settings.sync.schedule, run.started_at)))
}

/// Sleeps until a time of day, checking regularly whether the clock was set. Setting back a clock that was ahead does not extend the wait
/// beyond the schedule.
async fn until(app: &AppContext, mut due: Timestamp) {
    loop {
        let now = app.shared.clock.now();
        due = no_later(&app.settings.sync.schedule, due, now);
        app.status.sync_due(due);
        let left = Duration::try_from(due.duration_since(now)).unwrap_or_default();
        if left.is_zero() {
            return;
        }
        tokio::time::sleep(left.min(Duration::from_mins(1))).await;
    }
}

/// Limits the due time to the schedule as of now: a later time was calculated with a wrong clock.
fn no_later(schedule: &Schedule, due: Timestamp, now: Timestamp) -> Timestamp {
    due.min(next(schedule, now))
}

/// The first scheduled time after `from`.
fn next(schedule: &Schedule, from: Timestamp) -> Timestamp {
    let in_a_day = || from.saturating_add(SignedDuration::from_hours(24)).unwrap_or(Timestamp::MAX);
    match schedule {
        Schedule::Every(every) => from.saturating_add(signed(*every)).unwrap_or(Timestamp::MAX),
        Schedule::Cron { expression, timezone } => {
            let cron: Option<Cron> =
                CronParser::builder().seconds(Seconds::Disallowed).build().parse(expression).ok();
            let zoned = from.to_zoned(timezone.clone());
            // The expression was validated with the configuration; a day is only the fallback.
            cron.and_then(|cron| cron.find_next_occurrence(&zoned, false).ok())
                .map_or_else(in_a_day, |next| next.timestamp())
        }
    }
}

fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}

fn log(app: &AppContext, summary: &Summary) {
    let invalid = summary.invalid_count;
    if summary.is_success() {
        let types: Vec<String> =
            summary.resource_types.iter().map(|(slug, figures)| format!("{slug}: {figures}")).collect();
        tracing::info!(app = %app.name, invalid, types = types.join("; "), "sync {}: {}", summary.result, summary.detail);
    } else {
        let first =
            |ids: &[String]| ids.iter().take(LOGGED).map(String::as_str).collect::<Vec<_>>().join(", ");
        let removals: Vec<String> =
            summary.removals.iter().map(|(slug, ids)| format!("{slug}: {}", first(ids))).collect();
        let removals = removals.join("; ");
        if summary.result == SyncResult::Held {
            // The reason was logged with its alarm when the sync was held.
            tracing::warn!(app = %app.name, invalid, removals, "sync held, nothing was removed");
        } else {
            tracing::error!(app = %app.name, invalid, removals, "sync {}: {}", summary.result, summary.detail);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn interval_counts_from_the_start_of_the_last_sync() {
        let every = Schedule::Every(Duration::from_hours(6));
        assert_eq!(next(&every, at("2026-01-01T00:00:00Z")), at("2026-01-01T06:00:00Z"));
    }

    #[test]
    fn clock_set_back_does_not_postpone_the_next_sync() {
        let now = at("2026-01-01T12:00:00Z");
        let every = Schedule::Every(Duration::from_hours(6));
        let due = next(&every, at("2028-01-01T00:00:00Z"));
        assert_eq!(no_later(&every, due, now), at("2026-01-01T18:00:00Z"));
        assert_eq!(
            no_later(&every, at("2026-01-01T13:00:00Z"), now),
            at("2026-01-01T13:00:00Z"),
            "as it was"
        );
        let utc = jiff::tz::TimeZone::UTC;
        let nightly = Schedule::Cron { expression: "0 3 * * *".into(), timezone: utc };
        let due = next(&nightly, at("2028-01-01T00:00:00Z"));
        assert_eq!(no_later(&nightly, due, now), at("2026-01-02T03:00:00Z"));
        assert_eq!(
            no_later(&nightly, at("2026-01-01T12:00:30Z"), now),
            at("2026-01-01T12:00:30Z"),
            "a retry"
        );
    }

    #[test]
    fn cron_keeps_local_time_across_dst_changes() {
        let paris = jiff::tz::TimeZone::get("Europe/Paris").unwrap();
        let nightly = Schedule::Cron { expression: "0 3 * * *".into(), timezone: paris };
        assert_eq!(
            next(&nightly, at("2026-03-28T12:00:00Z")),
            at("2026-03-29T01:00:00Z"),
            "summer time began at 2"
        );
        assert_eq!(next(&nightly, at("2026-10-24T12:00:00Z")), at("2026-10-25T02:00:00Z"), "and ended at 3");
    }
}
