//! The page for people: one file, no script, nothing loaded from anywhere.

use jiff::Timestamp;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, UndefinedBehavior};
use serde::Serialize;

use super::summary::{self, Severity, SummaryLine};
use bridgehead_runtime::{Alarm, AppOverview, Level, StatusReport, SyncRun, TaskCounts};
use bridgehead_store::RunResult;

const TEMPLATE: &str = include_str!("page.html");
/// So many tasks that are retried are shown; `/status` has more.
const ATTEMPTS: usize = 5;
/// So many syncs are shown; `/status` has more.
const RUNS: usize = 5;

/// The page as the template sees it. Everything is text, and the template escapes all of it.
#[derive(Serialize)]
struct Page {
    title: String,
    mood: &'static str,
    verdict: String,
    at: String,
    unhealthy: Option<String>,
    alarms: Vec<ShownAlarm>,
    apps: Vec<Card>,
    process: String,
    readiness: String,
}

#[derive(Serialize)]
struct ShownAlarm {
    app: String,
    mood: &'static str,
    title: &'static str,
    since: Option<String>,
    message: String,
    advice: Vec<Part>,
}

/// A piece of advice: words, or a command to type.
#[derive(Serialize)]
struct Part {
    text: String,
    is_code: bool,
}

#[derive(Serialize)]
struct Card {
    name: String,
    mood: &'static str,
    verdict: &'static str,
    connector: String,
    lines: Vec<Line>,
    types_heading: String,
    types: Vec<Type>,
    runs: Vec<Run>,
}

#[derive(Serialize)]
struct Line {
    what: &'static str,
    mood: &'static str,
    text: String,
    is_wide: bool,
}

#[derive(Serialize)]
struct Type {
    slug: String,
    records: u64,
    created: String,
    changed: String,
    removed: u64,
}

#[derive(Serialize)]
struct Run {
    ended: String,
    mood: &'static str,
    result: &'static str,
    pushed: u64,
    /// How many records were gone.
    gone: u64,
    /// Whether they were kept in Iden: only a sync that is completed removes.
    is_kept: bool,
    /// Nothing, where it is what the run above says.
    detail: String,
}

/// Renders the page.
pub(super) fn render(overview: &StatusReport) -> Result<String, minijinja::Error> {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    // A name that the template has and the page has not is a mistake of ours, and a test's to find.
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.render_named_str("page.html", TEMPLATE, Serde(page(overview)))
}

fn page(overview: &StatusReport) -> Page {
    let now = overview.at;
    let daemon = overview.daemon.clone().unwrap_or_default();
    let moods = overview.apps.values().map(summary::mood);
    let mood = match &daemon.unhealthy {
        Some(_) => Severity::Bad,
        None => moods.max().unwrap_or(Severity::Quiet),
    };
    let verdict = verdict(mood);
    let mut alarms: Vec<(&str, &Alarm)> = overview
        .apps
        .iter()
        .flat_map(|(name, app)| app.alarms.iter().map(|alarm| (name.as_str(), alarm)))
        .collect();
    alarms.sort_by_key(|(_, alarm)| std::cmp::Reverse(alarm.level));
    let uptime = jiff::SignedDuration::from_secs(i64::try_from(daemon.uptime_seconds).unwrap_or(0));
    Page {
        title: format!("bridgehead: {}", verdict.to_lowercase()),
        mood: mood.as_str(),
        verdict: verdict.to_owned(),
        at: summary::clock(now),
        unhealthy: daemon.unhealthy,
        alarms: alarms.into_iter().map(|(app, alarm)| shown(app, alarm, now)).collect(),
        apps: overview.apps.iter().map(|(name, app)| card(name, app, now)).collect(),
        process: format!(
            "bridgehead {}, process {}, running for {}",
            daemon.version,
            daemon.pid,
            summary::long(uptime)
        ),
        readiness: sentence(&daemon.readiness),
    }
}

fn verdict(mood: Severity) -> &'static str {
    match mood {
        Severity::Bad => "Action required",
        Severity::Uneasy => "Worth watching",
        Severity::Good => "All good",
        Severity::Quiet => "Idle",
    }
}

fn shown(app: &str, alarm: &Alarm, now: Timestamp) -> ShownAlarm {
    let mood = if alarm.level == Level::Alarm { Severity::Bad } else { Severity::Uneasy };
    ShownAlarm {
        app: app.to_owned(),
        mood: mood.as_str(),
        title: summary::title(alarm.kind),
        since: alarm.since.map(|since| summary::long(now.duration_since(since))),
        message: sentence(&alarm.message),
        advice: parts(&alarm.advice),
    }
}

/// Commands are in backticks.
fn parts(text: &str) -> Vec<Part> {
    let pieces = text.split('`').enumerate();
    let parts = pieces.map(|(number, piece)| Part { text: piece.to_owned(), is_code: number % 2 == 1 });
    parts.filter(|part| !part.text.is_empty()).collect()
}

fn card(name: &str, app: &AppOverview, now: Timestamp) -> Card {
    let said = summary::of(app, now);
    let line =
        |what, word: SummaryLine| Line { what, mood: word.mood.as_str(), text: word.text, is_wide: false };
    let mut lines = vec![
        line("Last poll", said.polling),
        line("Tasks", said.tasks),
        line("Target", said.target),
        line("Last sync", said.last_sync),
        line("Next sync", said.next_sync),
    ];
    if let Some(counts) = &app.tasks.counts {
        let word = SummaryLine { mood: Severity::Quiet, text: done(counts) };
        lines.push(Line { is_wide: true, ..line("Since startup", word) });
    }
    lines.extend(app.tasks.attempts.iter().take(ATTEMPTS).map(|task| {
        let word = SummaryLine { mood: Severity::Uneasy, text: summary::attempts(task, now) };
        Line { is_wide: true, ..line("Retrying", word) }
    }));
    let mood = summary::mood(app);
    let last = app.sync.last.as_ref();
    let types = last.map(|last| &last.resource_types).into_iter().flatten();
    let known = |figure: Option<u64>| figure.map_or_else(|| "–".to_owned(), |figure| figure.to_string());
    Card {
        name: name.to_owned(),
        mood: mood.as_str(),
        verdict: verdict(mood),
        connector: app.connector.clone(),
        lines,
        types_heading: last.map(|last| format!("Last sync: {}", last.result.as_str())).unwrap_or_default(),
        types: types
            .map(|(slug, figures)| Type {
                slug: slug.clone(),
                records: figures.records,
                created: known(figures.created),
                changed: known(figures.changed),
                removed: figures.removed,
            })
            .collect(),
        runs: runs(&app.sync.recent, now),
    }
}

fn done(counts: &TaskCounts) -> String {
    let mut parts = vec![format!("{} completed", counts.completed)];
    let failed: u64 = counts.failed.values().sum();
    if failed > 0 {
        let codes: Vec<String> =
            counts.failed.iter().map(|(code, count)| format!("{count} × {code}")).collect();
        parts.push(format!("{failed} failed ({})", codes.join(", ")));
    }
    let more = [
        (counts.retried, "retries"),
        (counts.conflicts, "already resolved in Iden"),
        (counts.missing, "unknown to Iden"),
        (counts.rejected, "rejected"),
        (counts.reports_delayed, "reports delayed"),
    ];
    parts.extend(
        more.into_iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")),
    );
    parts.join(", ")
}

fn runs(recent: &[SyncRun], now: Timestamp) -> Vec<Run> {
    let mut runs: Vec<Run> = recent.iter().take(RUNS).map(|run| run_of(run, now)).collect();
    for (number, run) in runs.iter_mut().enumerate().skip(1) {
        if run.detail == recent[number - 1].detail {
            run.detail.clear();
        }
    }
    runs
}

fn run_of(run: &SyncRun, now: Timestamp) -> Run {
    let mood = match run.result {
        RunResult::Completed => Severity::Good,
        RunResult::Held => Severity::Bad,
        RunResult::Abandoned | RunResult::Failed => Severity::Uneasy,
    };
    let gone: u64 = run.removed.values().sum();
    let is_kept = gone > 0 && run.result != RunResult::Completed;
    Run {
        ended: summary::ago(now, run.ended_at),
        mood: mood.as_str(),
        result: run.result.as_str(),
        pushed: run.pushed.values().sum(),
        gone,
        is_kept,
        detail: run.detail.clone(),
    }
}

fn sentence(text: &str) -> String {
    let mut characters = text.chars();
    match characters.next() {
        Some(first) => first.to_uppercase().chain(characters).collect(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bridgehead_runtime::{AlarmKind, DaemonOverview};

    fn overview() -> StatusReport {
        let mut app = AppOverview { connector: "file".into(), ..AppOverview::default() };
        app.tasks.enabled = true;
        app.tasks.counts = Some(TaskCounts { completed: 7, ..TaskCounts::default() });
        StatusReport {
            at: "2026-03-01T12:00:00Z".parse().unwrap(),
            daemon: Some(DaemonOverview {
                readiness: "connected to the Bridge".into(),
                ..Default::default()
            }),
            apps: [("hr".to_owned(), app)].into(),
        }
    }

    fn alarm(message: &str) -> Alarm {
        Alarm {
            kind: AlarmKind::RemovalGuard,
            level: Level::Alarm,
            since: None,
            message: message.to_owned(),
            advice: "Run `bridgehead sync hr --dry-run` first.".to_owned(),
        }
    }

    #[test]
    fn a_page_shows_every_app_and_loads_nothing() {
        let html = render(&overview()).unwrap();
        assert!(html.contains("<h2>hr</h2>") && html.contains("7 completed") && html.contains("All good"));
        for foreign in ["http://", "https://", "<script", "<link", "<img", "@import", "url("] {
            assert!(!html.contains(foreign), "{foreign}");
        }
    }

    #[test]
    fn an_alarm_stands_above_the_apps_with_its_command() {
        let mut overview = overview();
        overview.apps.get_mut("hr").unwrap().alarms.push(alarm("too many would go"));
        let html = render(&overview).unwrap();
        let (alarm, app) = (html.find("Too many would go").unwrap(), html.find("<h2>hr</h2>").unwrap());
        assert!(alarm < app);
        assert!(html.contains("<code>bridgehead sync hr --dry-run</code>"));
        assert!(html.contains("Action required"));
    }

    #[test]
    fn whatever_a_target_says_stays_text() {
        const NASTY: &str = "<script>alert(1)</script>\"'&<b>";
        let mut overview = overview();
        let mut app = overview.apps.remove("hr").unwrap();
        app.connector = NASTY.into();
        app.alarms.push(Alarm { advice: format!("`{NASTY}` {NASTY}"), ..alarm(NASTY) });
        app.tasks.counts.as_mut().unwrap().failed.insert(NASTY.into(), 1);
        app.sync.recent.push(SyncRun {
            started_at: overview.at,
            ended_at: overview.at,
            result: RunResult::Failed,
            reason: None,
            detail: NASTY.into(),
            cause: Some(NASTY.into()),
            pushed: [(NASTY.to_owned(), 1)].into(),
            removed: [(NASTY.to_owned(), 1)].into(),
        });
        app.sync.last = Some((&app.sync.recent[0]).into());
        overview.apps.insert(NASTY.into(), app);
        overview.daemon.as_mut().unwrap().unhealthy = Some(NASTY.into());
        overview.daemon.as_mut().unwrap().version = NASTY.into();
        let html = render(&overview).unwrap();
        assert!(!html.contains("<script") && !html.contains("<b>"), "{html}");
        assert!(html.matches("&lt;script&gt;").count() >= 8);
    }
}
