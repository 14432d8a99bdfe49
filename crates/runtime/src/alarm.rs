//! Derives from an app's status what needs attention. Pure.

use std::time::Duration;

use bridgehead_sdk::counted;
use jiff::{SignedDuration, Timestamp};

use super::report::{Alarm, AlarmKind, AppOverview, Level, SyncRun};
use super::stalled;
use bridgehead_store::{RunReason, RunResult};

/// If the task list cannot be read for this long, an operator is needed; shorter problems pass.
pub(super) const POLLING: SignedDuration = SignedDuration::from_secs(60);
/// This many consecutive failed syncs need an operator; their delays grow.
const SYNCS: u32 = 3;
/// This many consecutive failed cleanups need an operator: the first, and the three syncs that try to fix it.
const CLEAN_UPS: u32 = 4;
/// A lost journal is an alarm for this long; after that it is a notice, until no affected task is left.
const LOST_JOURNAL: SignedDuration = SignedDuration::from_hours(7 * 24);

/// All alarms and notices, the most urgent first.
pub fn all(name: &str, app: &AppOverview, now: Timestamp) -> Vec<Alarm> {
    let mut alarms: Vec<Alarm> = [
        access(app),
        polling(app, now),
        target(app),
        guarded(name, app),
        sync(name, app),
        rejected(name, app),
        not_kept(name, app),
        state(app),
        state_gone(app),
        state_doubted(app, now),
        unwritable(app),
        panicked(app),
        paused(name, app),
        audit(app),
    ]
    .into_iter()
    .flatten()
    .collect();
    // While an app is paused, a lack of progress is intended.
    let stalled = stalled::all(name, app, now).into_iter();
    alarms.extend(stalled.filter(|alarm| app.paused.is_none() || !stands_still(alarm.kind)));
    alarms.sort_by_key(|alarm| std::cmp::Reverse(alarm.level));
    alarms
}

/// No node runs the app. A takeover takes up to two leases; until then, this is a notice.
pub(crate) fn no_owner(why: &str, since: Timestamp, lasts: Duration, lease: Duration) -> Alarm {
    Alarm {
        kind: AlarmKind::NoOwner,
        level: if lasts > lease * 2 { Level::Alarm } else { Level::Notice },
        since: Some(since),
        message: format!("{why}: its tasks stay pending in Iden, and it is not synced"),
        advice: "A node takes it over within two leases. If none does, start a node that may run the app (apps.NAME.nodes), and check the \
                 logs of the running nodes."
            .into(),
    }
}

/// The number of consecutive failures among these syncs, newest first.
pub(crate) fn failures_in_a_row(runs: &[SyncRun]) -> u32 {
    let failed = told(runs).take_while(|run| has_failed(run)).count();
    u32::try_from(failed).unwrap_or(u32::MAX)
}

/// Since when syncs, given newest first, have ended like the last one: completed, held, or neither.
pub(crate) fn unchanged_since(runs: &[SyncRun]) -> Option<Timestamp> {
    let last = told(runs).next()?;
    let is_alike = |run: &&SyncRun| run.result == last.result || (has_failed(run) && has_failed(last));
    told(runs).take_while(is_alike).last().map(|first| first.ended_at)
}

/// Skips syncs that were stopped with the daemon or cancelled by an operator: they say nothing about the state before.
pub(crate) fn told(runs: &[SyncRun]) -> impl Iterator<Item = &SyncRun> {
    runs.iter().filter(|run| !matches!(run.reason, Some(RunReason::Stopped | RunReason::Cancelled)))
}

fn has_failed(run: &SyncRun) -> bool {
    matches!(run.result, RunResult::Failed | RunResult::Abandoned)
}

/// Whether this kind of alarm reports a lack of progress.
fn stands_still(kind: AlarmKind) -> bool {
    matches!(kind, AlarmKind::TasksStalled | AlarmKind::SyncStalled)
}

fn paused(name: &str, app: &AppOverview) -> Option<Alarm> {
    let pause = app.paused.as_ref()?;
    let reason = pause.reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"));
    Some(Alarm {
        kind: AlarmKind::Paused,
        level: Level::Notice,
        since: Some(pause.since),
        message: format!("paused by {}{reason}", pause.by),
        advice: format!("No task and no sync starts. `bridgehead apps resume {name}` resumes the app."),
    })
}

fn audit(app: &AppOverview) -> Option<Alarm> {
    let failing = app.audit_unwritable.as_ref()?;
    Some(Alarm {
        kind: AlarmKind::AuditUnwritable,
        level: Level::Alarm,
        since: Some(failing.since),
        message: format!("the audit log cannot be written: {}", failing.message),
        advice: "Tasks continue. Entries wait in memory: up to ten thousand, then the oldest are lost, and this is recorded. Free disk space, \
                 or fix the folder (audit.path)."
            .into(),
    })
}

fn access(app: &AppOverview) -> Option<Alarm> {
    let message = app.access_refused.clone()?;
    Some(Alarm {
        kind: AlarmKind::AccessRefused,
        level: Level::Alarm,
        since: app.tasks.failing.as_ref().map(|failing| failing.since),
        message,
        advice: "Until this is fixed, no task of this app is executed or reported and no sync runs; nothing is lost."
            .into(),
    })
}

fn polling(app: &AppOverview, now: Timestamp) -> Option<Alarm> {
    if app.access_refused.is_some() {
        return None;
    }
    let failing = app.tasks.failing.as_ref()?;
    let lasts = now.duration_since(failing.since) >= POLLING;
    Some(Alarm {
        kind: AlarmKind::PollingFails,
        level: if lasts { Level::Alarm } else { Level::Notice },
        since: Some(failing.since),
        message: format!("tasks cannot be fetched: {}", failing.message),
        advice: failing.advice.clone(),
    })
}

fn target(app: &AppOverview) -> Option<Alarm> {
    let Some(held) = app.held.as_ref() else {
        return silence(app);
    };
    let patience = SignedDuration::from_secs(i64::try_from(held.hold_for_seconds).unwrap_or(i64::MAX));
    Some(Alarm {
        kind: AlarmKind::TargetUnreachable,
        level: Level::Alarm,
        since: Some(held.since),
        message: format!("the target is unreachable, tasks are held: {}", held.message),
        advice: format!(
            "Fix the target, or the connector's access to it; the daemon retries and resumes. A task that \
             has been held for {patience:#} fails with {}.",
            held.code
        ),
    })
}

/// Calls got no response, and it is not known yet whether the target or an account is the cause.
fn silence(app: &AppOverview) -> Option<Alarm> {
    let silence = app.silence.as_ref().filter(|silence| silence.calls > 1)?;
    Some(Alarm {
        kind: AlarmKind::TargetUnreachable,
        level: Level::Notice,
        since: Some(silence.since),
        message: format!("the last {} calls to the target timed out", silence.calls),
        advice: "If this happens with several accounts or in a check, tasks are held until the target \
                 responds again."
            .into(),
    })
}

fn guarded(name: &str, app: &AppOverview) -> Option<Alarm> {
    let guarded = app.tasks.guarded.as_ref()?;
    let limit = match (guarded.executed, guarded.max, guarded.per_seconds) {
        (Some(executed), Some(max), Some(per)) => {
            let per = SignedDuration::from_secs(i64::try_from(per).unwrap_or(i64::MAX));
            format!("; {executed} were executed within {per:#}, the limit is {max}")
        }
        _ => String::new(),
    };
    let tasks = counted(guarded.held, "task", "tasks");
    Some(Alarm {
        kind: AlarmKind::TaskGuard,
        level: Level::Alarm,
        since: Some(guarded.since),
        message: format!("{tasks} that would delete or suspend accounts wait for your approval{limit}"),
        advice: format!(
            "Review them with `bridgehead tasks list {name} --held`. If they are intended, release them \
             with `bridgehead tasks release {name} --all`; otherwise cancel them in Iden."
        ),
    })
}

fn sync(name: &str, app: &AppOverview) -> Option<Alarm> {
    let last = app.sync.last.as_ref()?;
    let since = Some(app.sync.unchanged_since.unwrap_or(last.at));
    let alarm = |kind, level, message, advice| Alarm { kind, level, since, message, advice };
    let after = |most: u32| if app.sync.failures_in_a_row >= most { Level::Alarm } else { Level::Notice };
    let again = match app.sync.next_due_at {
        Some(_) => "The sync is retried automatically.",
        None => "The next sync retries.",
    };
    match (last.result, last.reason) {
        (RunResult::Held, _) => Some(alarm(
            AlarmKind::RemovalGuard,
            Level::Alarm,
            format!("the removal guard holds the sync: {}", last.cause.as_ref().unwrap_or(&last.detail)),
            format!(
                "No account is removed. See what would be lost with `bridgehead sync {name} --dry-run`. If \
                 it is intended, run `bridgehead sync {name} --allow-removals` once, which allows exactly \
                 what was shown; otherwise fix the target, and the next sync completes."
            ),
        )),
        (_, Some(RunReason::CleanupFailed)) => Some(alarm(
            AlarmKind::CleanupFailed,
            after(CLEAN_UPS),
            format!("records that no longer exist are still in Iden: {}", last.detail),
            format!("A new sync fixes this. {again} If it keeps failing, contact Iden support."),
        )),
        (_, Some(RunReason::InvalidRecords)) => Some(alarm(
            AlarmKind::InvalidRecords,
            Level::Alarm,
            format!("the sync was not completed: {}", last.detail),
            format!(
                "`bridgehead sync {name} --dry-run` lists them, with field and rule. Fix them in the target."
            ),
        )),
        (RunResult::Abandoned | RunResult::Failed, _) if app.sync.failures_in_a_row > 0 => Some(alarm(
            AlarmKind::SyncFails,
            after(SYNCS),
            format!(
                "{}: {}",
                match app.sync.failures_in_a_row {
                    1 => "the last sync failed".to_owned(),
                    count => format!("the last {count} syncs failed"),
                },
                last.detail
            ),
            format!("{again} Run `bridgehead check {name}` to find the cause."),
        )),
        _ => None,
    }
}

fn rejected(name: &str, app: &AppOverview) -> Option<Alarm> {
    let count = app.tasks.journal.filter(|counts| counts.rejected > 0)?.rejected;
    let reports = counted(count, "report was", "reports were");
    Some(Alarm {
        kind: AlarmKind::ReportsRejected,
        level: Level::Alarm,
        since: None,
        message: format!("{reports} rejected by Iden; the tasks themselves were executed"),
        advice: format!(
            "`bridgehead tasks list {name} --rejected` shows which and why; `bridgehead tasks retry {name} \
             --all` reports them again."
        ),
    })
}

fn not_kept(name: &str, app: &AppOverview) -> Option<Alarm> {
    let relisted = app.tasks.counts.as_ref().map(|counts| counts.relisted).filter(|count| *count > 0)?;
    let tasks = counted(relisted, "task", "tasks");
    Some(Alarm {
        kind: AlarmKind::ReportsNotKept,
        level: Level::Alarm,
        since: None,
        message: format!(
            "Iden still lists {tasks} as pending although the outcome was reported several \
                          times"
        ),
        advice: format!(
            "No task is executed again; the outcome is reported again at least once an hour. Check \
             `bridgehead tasks list {name}`, and ask Iden support about these tasks."
        ),
    })
}

fn state(app: &AppOverview) -> Option<Alarm> {
    let message = app.state_unreadable.as_ref()?;
    Some(Alarm {
        kind: AlarmKind::StateUnreadable,
        level: Level::Alarm,
        since: None,
        message: format!("the state folder cannot be read: {message}"),
        advice:
            "Check the disk that holds state.path. No task is executed unless the journal can be written."
                .into(),
    })
}

fn state_gone(app: &AppOverview) -> Option<Alarm> {
    let message = app.state_gone.clone()?;
    Some(Alarm {
        kind: AlarmKind::StateGone,
        level: Level::Alarm,
        since: None,
        message,
        advice: "Tasks stay pending in Iden, and no account is removed. At the next start, tasks that may \
                 have been started are looked up in the target first."
            .into(),
    })
}

fn state_doubted(app: &AppOverview, now: Timestamp) -> Option<Alarm> {
    let doubted = app.state_doubted.as_ref()?;
    let is_recent = now.duration_since(doubted.since) < LOST_JOURNAL;
    Some(Alarm {
        kind: AlarmKind::StateDoubted,
        level: if is_recent { Level::Alarm } else { Level::Notice },
        since: Some(doubted.since),
        message: format!(
            "{}: tasks that Iden created before {} may already have been started, and are looked up in the \
             target before their first attempt",
            doubted.reason, doubted.until
        ),
        advice: "Find out what happened to the state folder, and check the tasks of that time in Iden. This \
                 stays an alarm for a week, then becomes a notice."
            .into(),
    })
}

fn unwritable(app: &AppOverview) -> Option<Alarm> {
    let unwritable = app.state_unwritable.as_ref().filter(|_| app.state_gone.is_none())?;
    Some(Alarm {
        kind: AlarmKind::StateUnwritable,
        level: Level::Alarm,
        since: Some(unwritable.since),
        message: format!("the state cannot be written: {}", unwritable.message),
        advice: "No task is executed until then; tasks stay pending in Iden, and nothing is lost. Free \
                 space on the disk that holds state.path, or make it writable; with state.url, bring the \
                 database back. The daemon resumes automatically within a minute; do not restart it."
            .into(),
    })
}

fn panicked(app: &AppOverview) -> Option<Alarm> {
    let (name, at) = app.panicked.as_ref()?;
    Some(Alarm {
        kind: AlarmKind::LoopPanicked,
        level: Level::Alarm,
        since: Some(*at),
        message: format!("the {name} loop panicked and was restarted"),
        advice: "This is a bug in bridgehead or in the connector. Report it with the log from that time."
            .into(),
    })
}

#[cfg(test)]
mod tests {
    use bridgehead_sdk::Code;

    use super::*;
    use crate::report::{Guarded, Held, PollFailing, StateDoubted, SyncEnd};
    use crate::sync;
    use bridgehead_store::Counts;

    fn now() -> Timestamp {
        "2026-03-01T12:00:00Z".parse().unwrap()
    }

    fn before(seconds: i64) -> Timestamp {
        now().saturating_sub(SignedDuration::from_secs(seconds)).unwrap()
    }

    fn run(ended: i64, result: RunResult, detail: &str) -> SyncRun {
        SyncRun {
            started_at: before(ended + 10),
            ended_at: before(ended),
            result,
            reason: None,
            detail: detail.to_owned(),
            cause: None,
            pushed: [].into(),
            removed: [].into(),
        }
    }

    fn because(run: SyncRun, reason: RunReason) -> SyncRun {
        SyncRun { reason: Some(reason), ..run }
    }

    /// An app whose most recent syncs are these, newest first.
    fn after(runs: Vec<SyncRun>) -> AppOverview {
        let mut app = AppOverview::default();
        app.sync.failures_in_a_row = failures_in_a_row(&runs);
        app.sync.unchanged_since = unchanged_since(&runs);
        app.sync.last = runs.first().map(SyncEnd::from);
        app.sync.recent = runs;
        app
    }

    fn only(app: &AppOverview) -> Alarm {
        let mut alarms = all("hr", app, now());
        assert_eq!(alarms.len(), 1, "{alarms:#?}");
        alarms.remove(0)
    }

    #[test]
    fn healthy_app_raises_no_alarm() {
        assert_eq!(all("hr", &AppOverview::default(), now()), []);
        assert_eq!(all("hr", &after(vec![run(60, RunResult::Completed, "done")]), now()), []);
    }

    #[test]
    fn failing_polling_is_a_notice_first_and_an_alarm_later() {
        let mut app = AppOverview::default();
        let failing = |since| Some(PollFailing { since, message: "503".into(), advice: "Wait.".into() });
        app.tasks.failing = failing(before(59));
        assert_eq!(only(&app).level, Level::Notice);
        app.tasks.failing = failing(before(60));
        let alarm = only(&app);
        assert_eq!((alarm.kind, alarm.level), (AlarmKind::PollingFails, Level::Alarm));
        app.access_refused = Some("401".into());
        assert_eq!(only(&app).kind, AlarmKind::AccessRefused, "one cause, one alarm");
        assert_eq!(only(&app).since, Some(before(60)));
    }

    #[test]
    fn third_consecutive_sync_failure_is_an_alarm() {
        let failed = |ended| run(ended, RunResult::Failed, "the target is gone");
        let mut runs = vec![failed(60), failed(300), run(900, RunResult::Completed, "done")];
        let alarm = only(&after(runs.clone()));
        assert_eq!((alarm.kind, alarm.level), (AlarmKind::SyncFails, Level::Notice));
        assert_eq!(alarm.since, Some(before(300)), "since the first of the row");
        runs.insert(2, run(600, RunResult::Abandoned, "the target is gone"));
        let alarm = only(&after(runs));
        assert_eq!((alarm.level, alarm.since), (Level::Alarm, Some(before(600))));
        assert!(alarm.message.starts_with("the last 3 syncs failed"), "{}", alarm.message);
    }

    #[test]
    fn sync_stopped_with_the_daemon_is_not_a_failure() {
        let stopped = because(run(60, RunResult::Abandoned, "whatever it says"), RunReason::Stopped);
        let runs = [stopped, run(300, RunResult::Failed, "gone")];
        assert_eq!((failures_in_a_row(&runs), unchanged_since(&runs)), (1, Some(before(300))));
        assert_eq!((failures_in_a_row(&runs[..1]), unchanged_since(&runs[..1])), (0, None));
        let runs = [run(60, RunResult::Held, "too many"), run(300, RunResult::Failed, "gone")];
        assert_eq!((failures_in_a_row(&runs), unchanged_since(&runs)), (0, Some(before(60))));
    }

    #[test]
    fn guard_alarm_shows_the_command_and_start_time() {
        let why = "completing would remove 9 of 50".to_owned();
        let consent = "9 losses".to_owned();
        let held = sync::Error::Held { app: "hr".into(), why, consent };
        let held = |ended| {
            let run = because(run(ended, RunResult::Held, &held.to_string()), RunReason::AccessGuard);
            SyncRun { cause: held.cause(), ..run }
        };
        let runs = vec![held(60), held(3600), run(7200, RunResult::Failed, "gone")];
        let alarm = only(&after(runs));
        assert_eq!(
            (alarm.kind, alarm.level, alarm.since),
            (AlarmKind::RemovalGuard, Level::Alarm, Some(before(3600)))
        );
        assert_eq!(alarm.message, "the removal guard holds the sync: completing would remove 9 of 50");
        assert!(alarm.advice.contains("`bridgehead sync hr --allow-removals`"), "{}", alarm.advice);
        let old = vec![run(60, RunResult::Held, "a sentence of an earlier version")];
        assert_eq!(
            only(&after(old)).message,
            "the removal guard holds the sync: a sentence of an earlier version"
        );
    }

    #[test]
    fn advice_depends_on_the_cause_of_a_failed_sync() {
        let failed = run(60, RunResult::Failed, "stale records remain");
        let mut app = after(vec![because(failed, RunReason::CleanupFailed)]);
        assert_eq!((only(&app).kind, only(&app).level), (AlarmKind::CleanupFailed, Level::Notice));
        app.sync.failures_in_a_row = CLEAN_UPS;
        assert_eq!(only(&app).level, Level::Alarm);
        let bad = run(60, RunResult::Abandoned, "2 records are not valid");
        let app = after(vec![because(bad, RunReason::InvalidRecords)]);
        assert_eq!((only(&app).kind, only(&app).level), (AlarmKind::InvalidRecords, Level::Alarm));
        let mut app = after(vec![run(60, RunResult::Failed, "the Bridge is down")]);
        app.sync.last.as_mut().unwrap().invalid = Some(2);
        assert_eq!(only(&app).kind, AlarmKind::SyncFails, "bad records are not why it failed");
    }

    #[test]
    fn lost_journal_is_an_alarm_for_a_week_and_then_a_notice() {
        let doubted = |since| {
            let reason = "the task journal was missing".into();
            let state_doubted = Some(StateDoubted { since, until: since, reason });
            AppOverview { state_doubted, ..AppOverview::default() }
        };
        let alarm = only(&doubted(before(3600)));
        assert_eq!((alarm.kind, alarm.level), (AlarmKind::StateDoubted, Level::Alarm));
        assert!(alarm.message.starts_with("the task journal was missing: tasks that Iden created before"));
        assert_eq!(only(&doubted(before(8 * 24 * 3600))).level, Level::Notice);
    }

    #[test]
    fn held_tasks_rejected_reports_state_and_panics_raise_alarms() {
        let held = Held {
            since: before(60),
            code: Code::Timeout,
            message: "HR does not answer".into(),
            hold_for_seconds: 5400,
        };
        let mut app = AppOverview { held: Some(held), ..AppOverview::default() };
        let alarm = only(&app);
        assert_eq!((alarm.kind, alarm.level), (AlarmKind::TargetUnreachable, Level::Alarm));
        assert!(alarm.advice.contains("held for 1h 30m fails with TIMEOUT"), "{}", alarm.advice);
        app = AppOverview::default();
        app.tasks.journal = Some(Counts { rejected: 1, ..Counts::default() });
        assert!(only(&app).message.starts_with("1 report was rejected"));
        app = AppOverview { state_unreadable: Some("disk gone".into()), ..AppOverview::default() };
        assert_eq!((only(&app).kind, only(&app).level), (AlarmKind::StateUnreadable, Level::Alarm));
        app = AppOverview { state_gone: Some("tasks.db is gone".into()), ..AppOverview::default() };
        assert_eq!((only(&app).kind, only(&app).level), (AlarmKind::StateGone, Level::Alarm));
        app = AppOverview { panicked: Some(("sync".into(), before(9))), ..AppOverview::default() };
        assert_eq!((only(&app).kind, only(&app).level), (AlarmKind::LoopPanicked, Level::Alarm));
    }

    #[test]
    fn held_deletions_raise_an_alarm() {
        let mut guarded = Guarded {
            since: before(60),
            held: 7,
            executed: Some(50),
            max: Some(50),
            per_seconds: Some(3600),
        };
        let mut app = AppOverview::default();
        app.tasks.guarded = Some(guarded.clone());
        let alarm = only(&app);
        assert_eq!(
            (alarm.kind, alarm.level, alarm.since),
            (AlarmKind::TaskGuard, Level::Alarm, Some(before(60)))
        );
        assert!(
            alarm.message.starts_with("7 tasks")
                && alarm.message.ends_with("50 were executed within 1h, the limit is 50")
        );
        assert!(alarm.advice.contains("`bridgehead tasks release hr --all`"), "{}", alarm.advice);
        guarded = Guarded { held: 1, executed: None, max: None, per_seconds: None, ..guarded };
        app.tasks.guarded = Some(guarded);
        assert_eq!(only(&app).message, "1 task that would delete or suspend accounts wait for your approval");
    }

    #[test]
    fn alarms_precede_notices() {
        let mut app = after(vec![run(60, RunResult::Failed, "gone")]);
        app.tasks.journal = Some(Counts { rejected: 2, ..Counts::default() });
        let levels: Vec<Level> = all("hr", &app, now()).iter().map(|alarm| alarm.level).collect();
        assert_eq!(levels, [Level::Alarm, Level::Notice]);
    }

    #[test]
    fn every_alarm_kind_serializes_as_its_name() {
        for kind in AlarmKind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        }
        let other: AlarmKind = serde_json::from_value("from_the_future".into()).unwrap();
        assert_eq!(other, AlarmKind::Other);
    }
}
