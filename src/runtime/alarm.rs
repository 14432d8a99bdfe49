//! What needs attention in what is seen of an app. Pure.

use jiff::{SignedDuration, Timestamp};

use super::overview::{Alarm, AlarmKind, AppOverview, Level};
use super::sync;
use crate::journal::RunResult;

/// A list of tasks that cannot be read for so long needs somebody; what is shorter passes by itself now and then.
const POLLING: SignedDuration = SignedDuration::from_secs(60);
/// So many failed syncs in a row need somebody; they follow one another with growing waits.
const SYNCS: u32 = 3;

/// Everything that needs attention, the most pressing first.
pub(crate) fn all(name: &str, app: &AppOverview, now: Timestamp) -> Vec<Alarm> {
    let mut alarms: Vec<Alarm> = [
        access(app),
        polling(app, now),
        target(app),
        guard(name, app),
        sync(name, app),
        rejected(name, app),
        state(app),
        panicked(app),
    ]
    .into_iter()
    .flatten()
    .collect();
    alarms.sort_by_key(|alarm| std::cmp::Reverse(alarm.level));
    alarms
}

/// How many of these syncs, newest first, failed in a row. One that was stopped with the daemon says nothing.
pub(crate) fn failures_in_a_row<'a>(runs: impl IntoIterator<Item = (RunResult, &'a str)>) -> u32 {
    let stopped = sync::Error::Stopped.to_string();
    let told = runs.into_iter().filter(|(_, detail)| *detail != stopped);
    let failed =
        told.take_while(|(result, _)| matches!(result, RunResult::Failed | RunResult::Abandoned)).count();
    u32::try_from(failed).unwrap_or(u32::MAX)
}

fn access(app: &AppOverview) -> Option<Alarm> {
    let message = app.access_refused.clone()?;
    Some(Alarm {
        kind: AlarmKind::AccessRefused,
        level: Level::Alarm,
        since: app.tasks.failing.as_ref().map(|failing| failing.since),
        message,
        advice: "Until then nothing of this app is executed, reported or synced, and nothing is lost.".into(),
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
    let held = app.held.as_ref()?;
    let patience = SignedDuration::from_secs(i64::try_from(held.hold_for_seconds).unwrap_or(i64::MAX));
    Some(Alarm {
        kind: AlarmKind::TargetUnreachable,
        level: Level::Alarm,
        since: Some(held.since),
        message: format!("the target is out of reach, tasks are held: {}", held.message),
        advice: format!(
            "Mend the target, or the connector's access to it; the daemon tries by itself and goes on. A task that has \
             been held for {patience:#} is failed with {}.",
            held.code
        ),
    })
}

fn sync(name: &str, app: &AppOverview) -> Option<Alarm> {
    let last = app.sync.last.as_ref()?;
    let alarm = |kind, level, message, advice| Alarm { kind, level, since: Some(last.at), message, advice };
    let lasts = if app.sync.failures_in_a_row >= SYNCS { Level::Alarm } else { Level::Notice };
    let again = match app.sync.next_due_at {
        Some(_) => "It is tried again by itself.",
        None => "The next sync tries again.",
    };
    match last.result.as_str() {
        "held" => Some(alarm(
            AlarmKind::RemovalGuard,
            Level::Alarm,
            format!("the removal guard holds the sync: {}", without_advice(&last.detail)),
            format!(
                "Nobody is removed. Look at what is missing with `bridgehead sync {name} --dry-run`. If it is right, stop the \
                 daemon and run `bridgehead sync {name} --allow-removals` once; if not, mend the target, and the next sync goes \
                 through."
            ),
        )),
        "failed" if last.cleanup_failed => Some(alarm(
            AlarmKind::CleanupFailed,
            lasts,
            format!("records that are gone are still in Iden: {}", last.detail),
            format!("A new sync is the remedy. {again} If it keeps failing, tell Iden."),
        )),
        "abandoned" | "failed" if last.invalid.is_some_and(|count| count > 0) => Some(alarm(
            AlarmKind::InvalidRecords,
            Level::Alarm,
            format!("the sync was not completed: {}", last.detail),
            format!(
                "`bridgehead sync {name} --dry-run` names them, with field and rule. Correct them in the target."
            ),
        )),
        "abandoned" | "failed" if app.sync.failures_in_a_row > 0 => Some(alarm(
            AlarmKind::SyncFails,
            lasts,
            format!(
                "{}: {}",
                match app.sync.failures_in_a_row {
                    1 => "the last sync failed".to_owned(),
                    count => format!("the last {count} syncs failed"),
                },
                last.detail
            ),
            format!("Nobody was removed. {again} `bridgehead check {name}` says what is wrong."),
        )),
        _ => None,
    }
}

/// The guard's own advice names no app; the alarm's does.
fn without_advice(detail: &str) -> &str {
    detail.split("; nothing was removed").next().unwrap_or(detail)
}

fn guard(name: &str, app: &AppOverview) -> Option<Alarm> {
    let holding = app.tasks.guard.as_ref()?;
    let tasks = if holding.held == 1 {
        "1 deletion or suspension is".to_owned()
    } else {
        format!("{} deletions and suspensions are", holding.held)
    };
    Some(Alarm {
        kind: AlarmKind::TaskGuard,
        level: Level::Alarm,
        since: Some(holding.since),
        message: format!(
            "{tasks} held, which stay pending in Iden: apps.{name}.tasks.guard allows {} within {}s",
            holding.max, holding.per_seconds
        ),
        advice: format!(
            "`bridgehead tasks list {name} --held` shows them. If they are right, let them go with `bridgehead tasks release {name} --all`; otherwise cancel them in Iden."
        ),
    })
}

fn rejected(name: &str, app: &AppOverview) -> Option<Alarm> {
    let count = app.tasks.journal.filter(|counts| counts.rejected > 0)?.rejected;
    let reports = if count == 1 { "1 report was".to_owned() } else { format!("{count} reports were") };
    Some(Alarm {
        kind: AlarmKind::ReportsRejected,
        level: Level::Alarm,
        since: None,
        message: format!("{reports} not accepted by Iden and put aside; the tasks themselves were executed"),
        advice: format!(
            "`bridgehead tasks list {name} --rejected` shows which and why, `bridgehead tasks retry {name} --all` reports them again."
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
            "Look at the disk that holds state.path. No task is executed unless the journal can be written."
                .into(),
    })
}

fn panicked(app: &AppOverview) -> Option<Alarm> {
    let (name, at) = app.panicked.as_ref()?;
    Some(Alarm {
        kind: AlarmKind::LoopPanicked,
        level: Level::Alarm,
        since: Some(*at),
        message: format!("the {name} loop panicked and was started again"),
        advice: "This is a fault of bridgehead or of the connector. Report it with the log of that moment."
            .into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::Holding;

    #[test]
    fn held_deletions_need_somebody_and_the_alarm_says_how_to_let_them_go() {
        let now = Timestamp::UNIX_EPOCH;
        let mut app = AppOverview::default();
        assert!(all("hr", &app, now).is_empty());
        app.tasks.guard = Some(Holding { since: now, held: 12, executed: 50, max: 50, per_seconds: 3600 });
        let alarms = all("hr", &app, now);
        assert_eq!((alarms[0].kind, alarms[0].level, alarms.len()), (AlarmKind::TaskGuard, Level::Alarm, 1));
        assert!(alarms[0].message.starts_with("12 deletions and suspensions are held"), "{alarms:?}");
        assert!(alarms[0].advice.contains("`bridgehead tasks release hr --all`"), "{alarms:?}");
    }
}
