//! A summary in words for the page and for `bridgehead status`, which show the same.

use jiff::{SignedDuration, Timestamp};

use bridgehead_runtime::{Alarm, AlarmKind, AppOverview, Level, NodeOverview, PollState, TaskAttempts};
use bridgehead_sdk::counted;
use bridgehead_store::RunResult;

/// The severity of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Severity {
    /// Disabled, or nothing is known yet.
    Quiet,
    /// Everything is fine.
    Good,
    /// A problem that may pass.
    Uneasy,
    /// An operator must act.
    Bad,
}

/// One fact about an app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SummaryLine {
    pub(crate) mood: Severity,
    pub(crate) text: String,
}

/// The most important facts about an app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Words {
    /// Whether it polls.
    pub(crate) polling: SummaryLine,
    /// Its tasks.
    pub(crate) tasks: SummaryLine,
    /// Whether the target is reachable.
    pub(crate) target: SummaryLine,
    /// The last sync, or the running one.
    pub(crate) last_sync: SummaryLine,
    /// When the next sync starts.
    pub(crate) next_sync: SummaryLine,
}

impl Severity {
    /// A name for style sheets and for users who cannot see colors.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Quiet => "quiet",
            Self::Good => "good",
            Self::Uneasy => "uneasy",
            Self::Bad => "bad",
        }
    }
}

impl SummaryLine {
    fn new(mood: Severity, text: impl Into<String>) -> Self {
        Self { mood, text: text.into() }
    }
}

/// Summarizes an app.
pub(crate) fn of(app: &AppOverview, now: Timestamp) -> Words {
    if app.elsewhere.is_some() && app.reported_at.is_none() {
        return on_another_node(app, now);
    }
    Words {
        polling: polling(app, now),
        tasks: tasks(app),
        target: target(app, now),
        last_sync: last_sync(app, now),
        next_sync: next_sync(app, now),
    }
}

/// What is known about an app that another node runs and has not reported on yet, or that no node runs: only what the state contains.
fn on_another_node(app: &AppOverview, now: Timestamp) -> Words {
    let unknown = || SummaryLine::new(Severity::Quiet, "unknown");
    Words {
        polling: unknown(),
        tasks: tasks(app),
        target: unknown(),
        last_sync: last_sync(app, now),
        next_sync: unknown(),
    }
}

/// The node that runs an app, if nodes share the state.
pub(crate) fn node(app: &AppOverview) -> Option<SummaryLine> {
    match (&app.owner, &app.elsewhere) {
        (Some(owner), _) => Some(SummaryLine::new(Severity::Quiet, owner.node.clone())),
        (None, Some(_)) => Some(SummaryLine::new(Severity::Uneasy, "none")),
        (None, None) => None,
    }
}

/// The state of a node.
pub(crate) fn node_state(node: &NodeOverview, now: Timestamp) -> String {
    if node.lost {
        return format!("no contact for {}", long(now.duration_since(node.seen_at)));
    }
    let state = if node.leaving { "leaving" } else { "running" };
    if node.is_this { format!("{state}, this one") } else { state.to_owned() }
}

/// The overall severity of an app.
pub(crate) fn mood(app: &AppOverview) -> Severity {
    match app.alarms.iter().map(|alarm| alarm.level).max() {
        Some(Level::Alarm) => Severity::Bad,
        Some(Level::Notice) => Severity::Uneasy,
        None if !app.tasks.enabled && !app.sync.enabled => Severity::Quiet,
        None => Severity::Good,
    }
}

/// The title of an alarm.
pub(crate) fn title(kind: AlarmKind) -> &'static str {
    match kind {
        AlarmKind::AccessRefused => "Access refused",
        AlarmKind::PollingFails => "Polling fails",
        AlarmKind::TargetUnreachable => "Target unreachable",
        AlarmKind::TaskGuard => "Deprovision limit",
        AlarmKind::RemovalGuard => "Removal guard",
        AlarmKind::CleanupFailed => "Cleanup failed",
        AlarmKind::InvalidRecords => "Invalid records",
        AlarmKind::SyncFails => "Sync fails",
        AlarmKind::ReportsRejected => "Reports rejected",
        AlarmKind::ReportsNotKept => "Reports not saved",
        AlarmKind::StateUnreadable => "State unreadable",
        AlarmKind::StateGone => "State folder missing",
        AlarmKind::StateDoubted => "Task journal lost",
        AlarmKind::StateUnwritable => "State cannot be written",
        AlarmKind::TaskRetrying => "Task keeps failing",
        AlarmKind::TasksStalled => "Tasks stalled",
        AlarmKind::TasksUnreadable => "Task list partly unreadable",
        AlarmKind::ReportsDelayed => "Outcome not reported",
        AlarmKind::SyncStalled => "Sync stalled",
        AlarmKind::LoopPanicked => "Panic",
        AlarmKind::Paused => "Paused",
        AlarmKind::AuditUnwritable => "Audit log cannot be written",
        AlarmKind::NoOwner => "No node runs it",
        AlarmKind::Other => "Alarm",
    }
}

fn polling(app: &AppOverview, now: Timestamp) -> SummaryLine {
    let tasks = &app.tasks;
    if !tasks.enabled {
        return SummaryLine::new(Severity::Quiet, "off");
    }
    if app.access_refused.is_some() {
        return SummaryLine::new(Severity::Bad, "paused: access refused");
    }
    if let Some(failing) = &tasks.failing {
        let is_alarm = app
            .alarms
            .iter()
            .any(|alarm| alarm.kind == AlarmKind::PollingFails && alarm.level == Level::Alarm);
        let mood = if is_alarm { Severity::Bad } else { Severity::Uneasy };
        return SummaryLine::new(mood, format!("failing for {}", long(now.duration_since(failing.since))));
    }
    if let Some(alarm) = app.alarms.iter().find(|alarm| alarm.kind == AlarmKind::PollingFails) {
        let mood = if alarm.level == Level::Alarm { Severity::Bad } else { Severity::Uneasy };
        let since = alarm.since.map(|since| format!(" for {}", long(now.duration_since(since))));
        return SummaryLine::new(mood, format!("no answer{}", since.unwrap_or_default()));
    }
    match (tasks.polled_at, tasks.contact) {
        (Some(at), PollState::Made) => SummaryLine::new(Severity::Good, ago(now, at)),
        (Some(at), _) => SummaryLine::new(Severity::Quiet, ago(now, at)),
        (None, _) if tasks.counts.is_some() => SummaryLine::new(Severity::Quiet, "not yet"),
        (None, _) => SummaryLine::new(Severity::Quiet, "unknown"),
    }
}

/// A task that needs more than one attempt, in one line.
pub(crate) fn attempts(task: &TaskAttempts, now: Timestamp) -> String {
    let since = long(now.duration_since(task.since));
    let times = match task.attempts {
        0 => format!("waiting for {since}"),
        times => format!("{} in {since}", counted(times, "attempt", "attempts")),
    };
    let what = match task.decided_at {
        Some(decided) => format!("executed {} ago, not reported yet", long(now.duration_since(decided))),
        None => match task.next_try_at {
            Some(next) => format!("next in {}", long(next.duration_since(now))),
            None if task.attempts == 0 => "held".to_owned(),
            None => "attempt running, or held".to_owned(),
        },
    };
    let reason = match (task.code, &task.reason) {
        (Some(code), Some(reason)) => format!(": {code}, {reason}"),
        (None, Some(reason)) => format!(": {reason}"),
        _ => String::new(),
    };
    let action = if task.action.is_empty() { String::new() } else { format!(" {}", task.action) };
    format!("{}{action}, {times}, {what}{reason}", task.task)
}

fn tasks(app: &AppOverview) -> SummaryLine {
    let journal = app.tasks.journal.unwrap_or_default();
    let (waiting, under_way) = match &app.tasks.counts {
        Some(counts) => (counts.waiting, counts.under_way),
        None => (0, journal.intended),
    };
    let mut parts = Vec::new();
    if waiting > 0 {
        parts.push(format!("{waiting} waiting"));
    }
    if under_way > 0 {
        let state = match (&app.held, &app.tasks.counts) {
            (Some(_), _) => "held",
            (None, Some(_)) => "in progress",
            (None, None) => "started",
        };
        parts.push(format!("{under_way} {state}"));
    }
    if app.tasks.attempts_total > 0 {
        parts.push(format!("{} retrying or to report", app.tasks.attempts_total));
    }
    if app.tasks.not_due > 0 {
        parts.push(format!("{} not due yet", app.tasks.not_due));
    }
    let guarded = app.tasks.guarded.as_ref().map_or(0, |guarded| guarded.held);
    if guarded > 0 {
        parts.push(format!("{guarded} held by the deprovision limit"));
    }
    if app.tasks.counts.is_none() && journal.decided > 0 {
        parts.push(format!("{} to report", journal.decided));
    }
    if journal.rejected > 0 {
        parts.push(format!("{} rejected", journal.rejected));
    }
    let is_about_tasks = |alarm: &&Alarm| {
        use AlarmKind::{ReportsDelayed, StateUnwritable, TaskRetrying, TasksStalled};
        matches!(alarm.kind, ReportsDelayed | StateUnwritable | TaskRetrying | TasksStalled)
    };
    let level = app.alarms.iter().filter(is_about_tasks).map(|alarm| alarm.level).max();
    let needs_somebody = journal.rejected > 0 || guarded > 0 || level == Some(Level::Alarm);
    let mood = match (app.held.is_some() && under_way > 0, needs_somebody, parts.is_empty()) {
        (true, ..) | (_, true, _) => Severity::Bad,
        _ if level == Some(Level::Notice) => Severity::Uneasy,
        (.., true) if !app.tasks.enabled => Severity::Quiet,
        _ => Severity::Good,
    };
    if parts.is_empty() {
        let nothing = match (&app.tasks.counts, app.tasks.journal) {
            (None, None) => "unknown",
            _ => "none",
        };
        return SummaryLine::new(if nothing == "none" { mood } else { Severity::Quiet }, nothing);
    }
    SummaryLine::new(mood, parts.join(", "))
}

fn target(app: &AppOverview, now: Timestamp) -> SummaryLine {
    if let (None, Some(silence)) = (&app.held, app.silence.as_ref().filter(|silence| silence.calls > 1)) {
        return SummaryLine::new(Severity::Uneasy, format!("{} calls without a response", silence.calls));
    }
    match (&app.held, &app.tasks.counts) {
        (Some(held), _) => {
            let since = long(now.duration_since(held.since));
            SummaryLine::new(Severity::Bad, format!("unreachable for {since} ({})", held.code))
        }
        (None, Some(_)) => SummaryLine::new(Severity::Good, "no known problems"),
        (None, None) => SummaryLine::new(Severity::Quiet, "unknown"),
    }
}

fn last_sync(app: &AppOverview, now: Timestamp) -> SummaryLine {
    if let Some(progress) = &app.sync.under_way {
        let records: u64 = progress.listed.values().sum();
        let noun = if records == 1 { "record" } else { "records" };
        return SummaryLine::new(Severity::Good, format!("running: {}, {records} {noun}", progress.phase));
    }
    let Some(last) = &app.sync.last else {
        return SummaryLine::new(Severity::Quiet, if app.sync.enabled { "none yet" } else { "none" });
    };
    let mood = match last.result {
        RunResult::Completed => Severity::Good,
        RunResult::Held => Severity::Bad,
        _ if app.needs_somebody() => Severity::Bad,
        _ => Severity::Uneasy,
    };
    SummaryLine::new(mood, format!("{} {}", last.result.as_str(), ago(now, last.at)))
}

fn next_sync(app: &AppOverview, now: Timestamp) -> SummaryLine {
    match (app.sync.enabled, &app.sync.under_way, app.sync.next_due_at) {
        (false, ..) => SummaryLine::new(Severity::Quiet, "off"),
        (_, Some(_), _) => SummaryLine::new(Severity::Good, "after the current sync"),
        (_, None, Some(at)) if at.duration_since(now) >= SignedDuration::from_secs(1) => {
            SummaryLine::new(Severity::Good, format!("in {}", long(at.duration_since(now))))
        }
        (_, None, Some(_)) => SummaryLine::new(Severity::Good, "now"),
        (_, None, None) => SummaryLine::new(Severity::Quiet, "unknown"),
    }
}

/// "12 s ago", "3 min ago", "5 h 12 min ago", "2 d 3 h ago".
pub(crate) fn ago(now: Timestamp, at: Timestamp) -> String {
    let passed = now.duration_since(at);
    if passed < SignedDuration::from_secs(1) {
        "just now".to_owned()
    } else {
        format!("{} ago", long(passed))
    }
}

/// A duration in the one or two most significant units.
pub(crate) fn long(duration: SignedDuration) -> String {
    let seconds = duration.as_secs().max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let two = |large: i64, unit: &str, small: i64, smaller: &str| match small {
        0 => format!("{large} {unit}"),
        _ => format!("{large} {unit} {small} {smaller}"),
    };
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min"),
        (0, ..) => two(hours, "h", minutes % 60, "min"),
        _ => two(days, "d", hours % 24, "h"),
    }
}

/// A number with commas as thousands separators.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A time of day in UTC.
pub(crate) fn clock(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

#[cfg(test)]
mod tests {
    use bridgehead_sdk::Code;

    use super::*;
    use bridgehead_runtime::{Held, SyncProgress, TaskCounts};
    use bridgehead_store::Counts;

    fn now() -> Timestamp {
        "2026-03-01T12:00:00Z".parse().unwrap()
    }

    fn before(seconds: i64) -> Timestamp {
        now().saturating_sub(SignedDuration::from_secs(seconds)).unwrap()
    }

    fn running() -> AppOverview {
        let mut app = AppOverview::default();
        app.tasks.enabled = true;
        app.sync.enabled = true;
        app.tasks.counts = Some(TaskCounts::default());
        app
    }

    #[test]
    fn duration_shows_its_significant_units() {
        let told = |seconds| long(SignedDuration::from_secs(seconds));
        assert_eq!(
            [0, 59, 60, 3599, 3600, 3660, 86_399, 86_400, 90_000, -5].map(told),
            ["0 s", "59 s", "1 min", "59 min", "1 h", "1 h 1 min", "23 h 59 min", "1 d", "1 d 1 h", "0 s"]
        );
        assert_eq!(ago(now(), now()), "just now");
        assert_eq!(ago(now(), before(61)), "1 min ago");
    }

    #[test]
    fn thousands_are_separated() {
        let told = [0, 999, 1000, 12_345, 1_000_000].map(grouped);
        assert_eq!(told, ["0", "999", "1,000", "12,345", "1,000,000"]);
    }

    #[test]
    fn healthy_app_is_summarized_as_good() {
        let mut app = running();
        app.tasks.polled_at = Some(before(4));
        app.tasks.contact = PollState::Made;
        app.sync.next_due_at = Some(now().saturating_add(SignedDuration::from_hours(6)).unwrap());
        let words = of(&app, now());
        assert_eq!(words.polling, SummaryLine::new(Severity::Good, "4 s ago"));
        assert_eq!(words.tasks, SummaryLine::new(Severity::Good, "none"));
        assert_eq!(words.next_sync, SummaryLine::new(Severity::Good, "in 6 h"));
        assert_eq!(mood(&app), Severity::Good);
    }

    #[test]
    fn tasks_of_an_unreachable_target_are_shown_as_held() {
        let mut app = running();
        app.tasks.counts = Some(TaskCounts { waiting: 3, under_way: 2, ..TaskCounts::default() });
        app.held = Some(Held {
            since: before(300),
            code: Code::Timeout,
            message: "HR does not answer".into(),
            hold_for_seconds: 3600,
        });
        let words = of(&app, now());
        assert_eq!(words.tasks, SummaryLine::new(Severity::Bad, "3 waiting, 2 held"));
        assert_eq!(words.target, SummaryLine::new(Severity::Bad, "unreachable for 5 min (TIMEOUT)"));
    }

    #[test]
    fn summary_without_a_daemon_says_unknown() {
        let mut app = running();
        app.tasks.counts = None;
        let words = of(&app, now());
        assert_eq!([words.polling.text, words.tasks.text, words.target.text], ["unknown"; 3]);
        app.tasks.journal = Some(Counts { intended: 2, decided: 1, ..Counts::default() });
        assert_eq!(of(&app, now()).tasks.text, "2 started, 1 to report");
    }

    #[test]
    fn running_sync_takes_precedence_over_the_last_one() {
        let mut app = running();
        app.sync.under_way = Some(SyncProgress {
            phase: "listing account".into(),
            listed: [("account".to_owned(), 200), ("team".to_owned(), 5)].into(),
            ..SyncProgress::default()
        });
        let words = of(&app, now());
        assert_eq!(words.last_sync.text, "running: listing account, 205 records");
        assert_eq!(words.next_sync.text, "after the current sync");
    }
}
