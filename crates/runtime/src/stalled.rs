//! Finds activities that should have made progress but have not, for any reason. Pure.
//!
//! A known cause already has an alarm, and one alarm is enough: a refused key, an unreachable target, a state folder that cannot be
//! written.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::alarm::POLLING;
use super::policies;
use super::report::{Alarm, AlarmKind, AppOverview, Level, TaskAttempts};

/// A response from Iden that takes longer than this raises a notice.
const SLOW: SignedDuration = SignedDuration::from_secs(30);
/// This many attempts at one task raise a notice.
const REPEATED: u32 = 3;
/// This many attempts need an operator.
const TOO_MANY: u32 = 5;
/// The sync schedule is checked once a minute, so a sync that is late by this much is not running.
const LATE: SignedDuration = SignedDuration::from_mins(5);
/// How long a sync may make no progress while it waits for Iden: a call is repeated for fifteen minutes, a cleanup is watched for thirty
/// minutes.
const PATIENCE: Duration = Duration::from_mins(45);

/// All alarms about activities without progress.
pub(super) fn all(name: &str, app: &AppOverview, now: Timestamp) -> Vec<Alarm> {
    let alarms = [
        polling(app, now),
        retrying(name, app, now),
        stalled(app, now),
        reports(app, now),
        sync(name, app, now),
    ];
    alarms.into_iter().chain([unreadable(app)]).flatten().collect()
}

/// The task list is not read, and no error is known.
fn polling(app: &AppOverview, now: Timestamp) -> Option<Alarm> {
    if app.access_refused.is_some() || app.tasks.failing.is_some() {
        return None;
    }
    let since = app.tasks.silent_since?;
    let lasts = now.duration_since(since);
    if lasts < SLOW {
        return None;
    }
    Some(Alarm {
        kind: AlarmKind::PollingFails,
        level: if lasts >= POLLING { Level::Alarm } else { Level::Notice },
        since: Some(since),
        message: "tasks cannot be fetched: Iden has not responded yet".into(),
        advice: "Check the network between this host and bridge.base_url; something may accept requests \
                 without responding."
            .into(),
    })
}

fn retrying(name: &str, app: &AppOverview, now: Timestamp) -> Option<Alarm> {
    if app.held.is_some() || app.state_unwritable.is_some() || app.access_refused.is_some() {
        return None;
    }
    let half = app.limits.give_up_after / 2;
    let level = |task: &TaskAttempts| {
        let is_long = task.tried_at.is_some_and(|tried| lasts(tried, now) >= half) && half > Duration::ZERO;
        match task.attempts {
            attempts if attempts >= TOO_MANY || is_long => Some(Level::Alarm),
            attempts if attempts >= REPEATED => Some(Level::Notice),
            _ => None,
        }
    };
    let undone = app.tasks.attempts.iter().filter(|task| task.decided_at.is_none());
    let tried: Vec<(Level, &TaskAttempts)> = undone.filter_map(|task| Some((level(task)?, task))).collect();
    let (level, worst) = tried.iter().max_by_key(|(level, task)| (*level, task.attempts))?;
    let others = match tried.len() {
        1 => String::new(),
        2 => ", and another one is being retried".to_owned(),
        more => format!(", and {} others are being retried", more - 1),
    };
    let because = match (worst.code, &worst.reason) {
        (Some(code), Some(reason)) => format!(": {code}, {reason}"),
        (None, Some(reason)) => format!(": {reason}"),
        (Some(code), None) => format!(": {code}"),
        (None, None) => String::new(),
    };
    let patience = SignedDuration::try_from(app.limits.give_up_after).unwrap_or(SignedDuration::MAX);
    Some(Alarm {
        kind: AlarmKind::TaskRetrying,
        level: *level,
        since: Some(worst.tried_at.unwrap_or(worst.since)),
        message: format!(
            "task {} ({}) is not done after {} {}{because}{others}",
            worst.task,
            worst.action,
            worst.attempts,
            if worst.attempts == 1 { "attempt" } else { "attempts" },
        ),
        advice: format!(
            "Check the target, and run `bridgehead check {name}`. The task is retried until \
             apps.{name}.tasks.give_up_after ({patience:#}) has passed, then reported as failed."
        ),
    })
}

fn stalled(app: &AppOverview, now: Timestamp) -> Option<Alarm> {
    if app.held.is_some()
        || app.state_unwritable.is_some()
        || app.access_refused.is_some()
        || app.tasks.failing.is_some()
    {
        return None;
    }
    let since = app.tasks.still_since?;
    // The maximum time for a call and the wait before it.
    let limit = app.limits.timeout.saturating_mul(2) + policies::TARGET.cap * 2;
    if lasts(since, now) < limit {
        return None;
    }
    Some(Alarm {
        kind: AlarmKind::TasksStalled,
        level: Level::Alarm,
        since: Some(since),
        message: "tasks are in progress, but none of them makes progress".into(),
        advice: "Check the log from that time. If it shows nothing, restart the daemon: a restart loses \
                 nothing. Report this with the log."
            .into(),
    })
}

fn reports(app: &AppOverview, now: Timestamp) -> Option<Alarm> {
    // Whatever keeps the list from being read also keeps reports from being accepted.
    if app.access_refused.is_some() || app.tasks.failing.is_some() || app.state_unwritable.is_some() {
        return None;
    }
    let waiting = || app.tasks.attempts.iter().filter(|task| task.decided_at.is_some());
    let oldest = waiting().min_by_key(|task| task.decided_at)?;
    let lasts = now.duration_since(oldest.decided_at?);
    if lasts < SLOW {
        return None;
    }
    let reason = oldest.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    Some(Alarm {
        kind: AlarmKind::ReportsDelayed,
        level: if lasts >= POLLING { Level::Alarm } else { Level::Notice },
        since: oldest.decided_at,
        message: format!("Iden has not received the outcome of task {} yet{reason}", oldest.task),
        advice: "The task itself is not executed again. The report is retried until Iden responds, also \
                 after a restart."
            .into(),
    })
}

fn sync(name: &str, app: &AppOverview, now: Timestamp) -> Option<Alarm> {
    if !app.sync.enabled && app.sync.under_way.is_none() {
        return None;
    }
    let alarm = |level, since, message| Alarm {
        kind: AlarmKind::SyncStalled,
        level,
        since: Some(since),
        message,
        advice: format!(
            "Check the log, and run `bridgehead check {name}`. A restart abandons the sync and starts a new \
             one; it removes no account."
        ),
    };
    if let Some(progress) = &app.sync.under_way {
        let since = app.sync.moved_at?;
        let limit = PATIENCE + app.limits.timeout.saturating_mul(2).max(app.limits.give_up_after);
        let level = if lasts(since, now) >= limit { Some(Level::Alarm) } else { None };
        return level.map(|level| {
            alarm(level, since, format!("the sync makes no progress; its last step was {}", progress.phase))
        });
    }
    let due = app.sync.next_due_at?;
    (now.duration_since(due) >= LATE)
        .then(|| alarm(Level::Alarm, due, "a sync was due but has not started".to_owned()))
}

fn unreadable(app: &AppOverview) -> Option<Alarm> {
    let first = app.tasks.unreadable.first()?;
    let others = match app.tasks.unreadable.len() {
        1 => String::new(),
        more => format!(", and {} more", more - 1),
    };
    Some(Alarm {
        kind: AlarmKind::TasksUnreadable,
        level: Level::Alarm,
        since: None,
        message: format!("an entry of the task list cannot be read and is skipped: {first}{others}"),
        advice: "The other tasks continue. Find it among the pending tasks in Iden, and correct or cancel \
                 it there."
            .into(),
    })
}

fn lasts(since: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(since)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use bridgehead_sdk::Code;

    use super::*;
    use crate::report::{Held, Limits, PollFailing, Unwritable};
    use crate::status::SyncProgress;

    fn now() -> Timestamp {
        "2026-03-01T12:00:00Z".parse().unwrap()
    }

    fn before(seconds: i64) -> Timestamp {
        now().saturating_sub(SignedDuration::from_secs(seconds)).unwrap()
    }

    fn app() -> AppOverview {
        let mut app = AppOverview {
            limits: Limits { timeout: Duration::from_mins(1), give_up_after: Duration::from_mins(15) },
            ..AppOverview::default()
        };
        app.tasks.enabled = true;
        app.sync.enabled = true;
        app
    }

    fn tried(attempts: u32, seconds: i64) -> TaskAttempts {
        TaskAttempts {
            task: "t1".into(),
            action: "suspend_account".into(),
            attempts,
            since: before(seconds),
            tried_at: Some(before(seconds)),
            code: Some(Code::RateLimited),
            reason: Some("HR asks to slow down".into()),
            ..TaskAttempts::default()
        }
    }

    fn seen(app: &AppOverview) -> Vec<(AlarmKind, Level)> {
        all("hr", app, now()).iter().map(|alarm| (alarm.kind, alarm.level)).collect()
    }

    #[test]
    fn active_app_raises_no_alarm() {
        let mut app = app();
        app.tasks.attempts = vec![tried(2, 5)];
        app.tasks.silent_since = Some(before(29));
        app.tasks.still_since = Some(before(239));
        app.sync.next_due_at = Some(before(299));
        assert_eq!(seen(&app), []);
    }

    #[test]
    fn tenth_attempt_raises_an_alarm_with_the_reason() {
        let mut app = app();
        app.tasks.attempts = vec![tried(3, 20), tried(10, 90)];
        let alarms = all("hr", &app, now());
        assert_eq!(
            (alarms.len(), alarms[0].kind, alarms[0].level),
            (1, AlarmKind::TaskRetrying, Level::Alarm)
        );
        assert_eq!(
            alarms[0].message,
            "task t1 (suspend_account) is not done after 10 attempts: RATE_LIMITED, HR asks to slow down, \
             and another one is being retried"
        );
        assert_eq!(alarms[0].since, Some(before(90)));
        assert!(alarms[0].advice.contains("give_up_after (15m)"), "{}", alarms[0].advice);
    }

    #[test]
    fn task_at_half_of_its_time_raises_an_alarm() {
        let mut app = app();
        app.tasks.attempts = vec![tried(1, 449)];
        assert_eq!(seen(&app), []);
        app.tasks.attempts = vec![tried(1, 450)];
        assert_eq!(seen(&app), [(AlarmKind::TaskRetrying, Level::Alarm)]);
        app.tasks.attempts = vec![tried(4, 20)];
        assert_eq!(seen(&app), [(AlarmKind::TaskRetrying, Level::Notice)]);
    }

    #[test]
    fn unresponsive_iden_raises_an_alarm() {
        let mut app = app();
        app.tasks.silent_since = Some(before(30));
        assert_eq!(seen(&app), [(AlarmKind::PollingFails, Level::Notice)]);
        app.tasks.silent_since = Some(before(60));
        assert_eq!(seen(&app), [(AlarmKind::PollingFails, Level::Alarm)]);
    }

    #[test]
    fn stalled_tasks_raise_an_alarm() {
        let mut app = app();
        app.tasks.still_since = Some(before(240));
        assert_eq!(seen(&app), [(AlarmKind::TasksStalled, Level::Alarm)]);
    }

    #[test]
    fn undelivered_outcome_raises_an_alarm() {
        let mut app = app();
        app.tasks.attempts = vec![TaskAttempts { decided_at: Some(before(30)), ..tried(9, 40) }];
        assert_eq!(seen(&app), [(AlarmKind::ReportsDelayed, Level::Notice)]);
        app.tasks.attempts = vec![TaskAttempts { decided_at: Some(before(60)), ..tried(9, 80) }];
        assert_eq!(seen(&app), [(AlarmKind::ReportsDelayed, Level::Alarm)]);
    }

    #[test]
    fn overdue_or_stalled_sync_raises_an_alarm() {
        let mut app = app();
        app.sync.next_due_at = Some(before(300));
        assert_eq!(seen(&app), [(AlarmKind::SyncStalled, Level::Alarm)]);
        app.sync.under_way = Some(SyncProgress { phase: "listing team".into(), ..SyncProgress::default() });
        app.sync.moved_at = Some(before(59 * 60));
        assert_eq!(seen(&app), []);
        app.sync.moved_at = Some(before(60 * 60));
        assert_eq!(seen(&app), [(AlarmKind::SyncStalled, Level::Alarm)]);
    }

    #[test]
    fn unreadable_list_items_raise_an_alarm() {
        let mut app = app();
        app.tasks.unreadable = vec!["a task has no id".into(), "a task is not an object".into()];
        let alarms = all("hr", &app, now());
        assert_eq!((alarms[0].kind, alarms[0].level), (AlarmKind::TasksUnreadable, Level::Alarm));
        assert!(alarms[0].message.ends_with("a task has no id, and 1 more"), "{}", alarms[0].message);
    }

    #[test]
    fn one_cause_raises_one_alarm() {
        let still = || {
            let mut app = app();
            app.tasks.attempts =
                vec![tried(10, 600), TaskAttempts { decided_at: Some(before(90)), ..tried(1, 99) }];
            app.tasks.still_since = Some(before(600));
            app
        };
        let mut refused = still();
        refused.access_refused = Some("401".into());
        refused.tasks.silent_since = Some(before(600));
        assert_eq!(seen(&refused), []);
        let mut full = still();
        full.state_unwritable = Some(Unwritable { since: before(600), message: "no space left".into() });
        assert_eq!(seen(&full), []);
        let mut down = still();
        down.tasks.attempts.pop();
        down.held = Some(Held {
            since: before(600),
            code: Code::Timeout,
            message: "silent".into(),
            hold_for_seconds: 3600,
        });
        assert_eq!(seen(&down), []);
        let mut outage = still();
        outage.tasks.failing =
            Some(PollFailing { since: before(600), message: "503".into(), advice: String::new() });
        assert_eq!(seen(&outage), [(AlarmKind::TaskRetrying, Level::Alarm)]);
    }
}
