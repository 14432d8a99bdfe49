//! `/`: an overview of all apps.

use jiff::Timestamp;
use serde::Serialize;

use super::parts::{Frame, Line, ShownAlarm, Table, alarm, verdict};
use super::render;
use crate::admin::summary::{self, Severity, SummaryLine, grouped};
use bridgehead_runtime::{Alarm, AppOverview, NodeOverview, StatusReport, TaskCounts};
use bridgehead_store::RunResult;

/// The number of retried tasks that are shown; `/status` has more.
const ATTEMPTS: usize = 5;

/// The page in the form that the template expects. All values are strings, and the template escapes all of them.
#[derive(Serialize)]
struct Page {
    mood: &'static str,
    verdict: &'static str,
    at: String,
    unhealthy: Option<String>,
    alarms: Vec<ShownAlarm>,
    apps: Vec<Card>,
    nodes: Option<Table>,
}

/// An overview of an app.
#[derive(Serialize)]
pub(super) struct Card {
    pub(super) name: String,
    pub(super) path: String,
    mood: &'static str,
    verdict: &'static str,
    connector: String,
    pub(super) lines: Vec<Line>,
    types_heading: String,
    types: Option<Table>,
}

/// Renders the page.
pub(in crate::admin) fn overview(frame: &Frame, overview: &StatusReport) -> Result<String, minijinja::Error> {
    let page = page(overview);
    let title = format!("{} – bridgehead", page.verdict);
    render("overview.html", &title, frame, page)
}

fn page(overview: &StatusReport) -> Page {
    let now = overview.at;
    let unhealthy = overview.daemon.as_ref().and_then(|daemon| daemon.unhealthy.clone());
    let mood = match &unhealthy {
        Some(_) => Severity::Bad,
        None => overview.apps.values().map(summary::mood).max().unwrap_or(Severity::Quiet),
    };
    let mut alarms: Vec<(&str, &Alarm)> = overview
        .apps
        .iter()
        .flat_map(|(name, app)| app.alarms.iter().map(|alarm| (name.as_str(), alarm)))
        .collect();
    alarms.sort_by_key(|(_, alarm)| std::cmp::Reverse(alarm.level));
    Page {
        mood: mood.as_str(),
        verdict: verdict(mood),
        at: summary::clock(now),
        unhealthy,
        alarms: alarms.into_iter().map(|(app, of)| alarm(app, of, now)).collect(),
        apps: overview.apps.iter().map(|(name, app)| card(name, app, now)).collect(),
        nodes: overview.daemon.as_ref().and_then(|daemon| nodes(&daemon.nodes, now)),
    }
}

/// The nodes that share the state, if they do.
fn nodes(nodes: &[NodeOverview], now: Timestamp) -> Option<Table> {
    let heads = [("Node", ""), ("State", ""), ("Apps", "number"), ("Version", ""), ("Started", "")];
    let rows = nodes.iter().map(|node| {
        let started = summary::ago(now, node.up_since);
        let state = summary::node_state(node, now);
        vec![node.name.clone(), state, grouped(node.apps), node.version.clone(), started]
    });
    let table = || {
        let mut table = Table { is_stacked: true, ..Table::of("Nodes that share the state", &heads, rows) };
        for (row, node) in table.rows.iter_mut().zip(nodes) {
            row.cells[1].mood = node.lost.then_some(Severity::Uneasy.as_str());
        }
        table
    };
    (!nodes.is_empty()).then(table)
}

/// An overview of an app.
pub(super) fn card(name: &str, app: &AppOverview, now: Timestamp) -> Card {
    let said = summary::of(app, now);
    let line = |what, word: SummaryLine| Line::new(what, word.mood, word.text);
    let mut lines = vec![
        line("Last poll", said.polling),
        line("Tasks", said.tasks),
        line("Target", said.target),
        line("Last sync", said.last_sync),
        line("Next sync", said.next_sync),
    ];
    if let Some(node) = summary::node(app) {
        let since = app.owner.as_ref().map(|owner| format!(", since {}", summary::clock(owner.since)));
        lines.push(line("Node", SummaryLine { text: node.text + &since.unwrap_or_default(), ..node }));
    }
    if let Some(counts) = &app.tasks.counts {
        lines.push(Line { is_wide: true, ..Line::new("Since startup", Severity::Quiet, done(counts)) });
    }
    lines.extend(app.tasks.attempts.iter().take(ATTEMPTS).map(|task| {
        let text = summary::attempts(task, now);
        Line { is_wide: true, ..Line::new("Retrying", Severity::Uneasy, text) }
    }));
    let mood = summary::mood(app);
    let last = app.sync.last.as_ref();
    let known = |figure: Option<u64>| figure.map_or_else(|| "–".to_owned(), grouped);
    let types = last.filter(|last| !last.resource_types.is_empty()).map(|last| {
        let rows = last.resource_types.iter().map(|(slug, of)| {
            vec![slug.clone(), grouped(of.records), known(of.created), known(of.changed), grouped(of.removed)]
        });
        let is_done = last.result == RunResult::Completed;
        let heads = [
            ("Type", ""),
            ("Records", "number"),
            ("New", "number"),
            ("Changed", "number"),
            (if is_done { "Removed" } else { "Would be removed" }, "number"),
        ];
        Table { is_stacked: true, ..Table::of(format!("Records of {name} by type"), &heads, rows) }
    });
    Card {
        name: name.to_owned(),
        path: path_of(name),
        mood: mood.as_str(),
        verdict: verdict(mood),
        connector: app.connector.clone(),
        lines,
        types_heading: last.map(|last| format!("Last sync: {}", last.result.as_str())).unwrap_or_default(),
        types,
    }
}

/// A name as a segment of a path.
pub(in crate::admin) fn path_of(name: &str) -> String {
    percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC)
        .to_string()
        .replace("%2D", "-")
        .replace("%5F", "_")
}

fn done(counts: &TaskCounts) -> String {
    let mut parts = vec![format!("{} completed", grouped(counts.completed))];
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

#[cfg(test)]
mod tests {
    use super::*;
    use bridgehead_runtime::{AlarmKind, DaemonOverview, Level};

    fn report() -> StatusReport {
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

    fn an_alarm(message: &str) -> Alarm {
        Alarm {
            kind: AlarmKind::RemovalGuard,
            level: Level::Alarm,
            since: None,
            message: message.to_owned(),
            advice: "Run `bridgehead sync hr --dry-run` first.".to_owned(),
        }
    }

    fn shown(report: &StatusReport) -> String {
        let frame = Frame { is_live: true, renews: true, ..Frame::default() };
        overview(&frame, report).unwrap()
    }

    #[test]
    fn overview_shows_every_app_and_loads_nothing_external() {
        let html = shown(&report());
        assert!(html.contains(">hr</a></h2>") && html.contains("7 completed") && html.contains("All good"));
        for foreign in ["http://", "https://", "<img", "@import", "url(", "style=", "onclick", "<style"] {
            assert!(!html.contains(foreign), "{foreign}");
        }
        assert_eq!(html.matches("<script").count(), 1, "{html}");
        assert!(html.contains("<script src=\"/page.js\" defer></script>"));
    }

    #[test]
    fn alarm_with_its_command_precedes_the_apps() {
        let mut report = report();
        report.apps.get_mut("hr").unwrap().alarms.push(an_alarm("too many would go"));
        let html = shown(&report);
        let (alarm, app) = (html.find("Too many would go").unwrap(), html.find(">hr</a></h2>").unwrap());
        assert!(alarm < app);
        assert!(html.contains("<code>bridgehead sync hr --dry-run</code>"));
        assert!(html.contains("Action required"));
    }

    #[test]
    fn text_from_a_target_is_escaped() {
        const NASTY: &str = "<script>alert(1)</script>\"'&<b>";
        let mut report = report();
        let mut app = report.apps.remove("hr").unwrap();
        app.connector = NASTY.into();
        app.alarms.push(Alarm { advice: format!("`{NASTY}` {NASTY}"), ..an_alarm(NASTY) });
        app.tasks.counts.as_mut().unwrap().failed.insert(NASTY.into(), 1);
        app.sync.last = Some(bridgehead_runtime::SyncEnd {
            at: report.at,
            result: bridgehead_store::RunResult::Failed,
            reason: None,
            detail: NASTY.into(),
            cause: Some(NASTY.into()),
            resource_types: [(NASTY.to_owned(), bridgehead_runtime::TypeCounts::default())].into(),
            invalid: None,
            cleanup_failed: false,
        });
        report.apps.insert(NASTY.into(), app);
        report.daemon.as_mut().unwrap().unhealthy = Some(NASTY.into());
        let html = shown(&report);
        assert!(!html.contains("<script>") && !html.contains("<b>") && !html.contains("\"'&"), "{html}");
        assert!(html.matches("&lt;script&gt;").count() >= 8, "{html}");
        assert_eq!(path_of("a b/<é-_"), "a%20b%2F%3C%C3%A9-_");
    }
}
