//! An overview for a terminal: a table, then what needs attention and what to do, last because that is where the reader looks.

use std::fmt::Write;

use bridgehead_sdk::{counted, visible};
use jiff::{SignedDuration, Timestamp};

use super::{documentation, table};
use crate::admin::summary;
use bridgehead_runtime::{AlarmKind, DaemonOverview, Level, NodeOverview, StatusReport};

/// The overview as text.
pub(crate) fn text(overview: &StatusReport) -> String {
    let mut text = heading(overview);
    let is_shared = overview.apps.values().any(|app| summary::node(app).is_some());
    let headings = ["app", "last poll", "tasks", "target", "last sync", "next sync"];
    let node = is_shared.then_some("node");
    let mut shown = table::table(headings.into_iter().chain(node)).with_prose(5 + usize::from(is_shared));
    for (name, app) in &overview.apps {
        let words = summary::of(app, overview.at);
        let cells = [
            name.clone(),
            words.polling.text,
            words.tasks.text,
            words.target.text,
            words.last_sync.text,
            words.next_sync.text,
        ];
        let node = summary::node(app).map(|node| node.text);
        shown.add_row(cells.into_iter().chain(node));
    }
    text.push_str(&shown.trim_fmt());
    text.push('\n');
    text.push_str(&attempts(overview));
    text.push_str(&attention(overview));
    text.trim_end().to_owned()
}

fn heading(overview: &StatusReport) -> String {
    let Some(daemon) = &overview.daemon else {
        return "From the journal:\n\n".to_owned();
    };
    let uptime = SignedDuration::from_secs(i64::try_from(daemon.uptime_seconds).unwrap_or(0));
    let state = daemon.unhealthy.as_ref().unwrap_or(&daemon.readiness);
    let nodes = nodes(daemon, overview.at);
    let reload = daemon.last_reload.as_ref().filter(|reload| !reload.applied);
    let reload = reload.map(|reload| format!("Last reload ({}): {}\n\n", reload.at, reload.message));
    format!(
        "bridgehead {}, process {}, running for {}; {state}\n\n{nodes}{}",
        daemon.version,
        daemon.pid,
        summary::long(uptime),
        reload.unwrap_or_default()
    )
}

/// The nodes that share the state, if they do.
fn nodes(daemon: &DaemonOverview, at: Timestamp) -> String {
    if daemon.nodes.is_empty() {
        return String::new();
    }
    let node = |node: &NodeOverview| {
        let apps = counted(node.apps, "app", "apps");
        format!("{} ({apps}, {})", visible(&node.name), summary::node_state(node, at))
    };
    format!("Nodes: {}\n\n", daemon.nodes.iter().map(node).collect::<Vec<_>>().join(", "))
}

/// The tasks that need more than one attempt.
fn attempts(overview: &StatusReport) -> String {
    let mut text = String::new();
    for (name, app) in &overview.apps {
        let (shown, total) = (app.tasks.attempts.len(), app.tasks.attempts_total);
        if shown == 0 {
            continue;
        }
        // Writing to a string cannot fail.
        writeln!(text, "\nTasks of {name} that are being retried or reported ({shown} of {total}):").ok();
        for task in &app.tasks.attempts {
            writeln!(text, "  {}", summary::attempts(task, overview.at)).ok();
        }
    }
    text
}

fn attention(overview: &StatusReport) -> String {
    let mut text = String::new();
    for level in [Level::Notice, Level::Alarm] {
        for (name, app) in &overview.apps {
            for alarm in app.alarms.iter().filter(|alarm| alarm.level == level) {
                let word = if level == Level::Alarm { "ALARM" } else { "note" };
                let since = alarm
                    .since
                    .map(|since| format!(" (for {})", summary::long(overview.at.duration_since(since))))
                    .unwrap_or_default();
                let title = summary::title(alarm.kind).to_lowercase();
                // Writing to a string cannot fail.
                writeln!(text, "\n{word}  {name}: {title}{since}\n  {}", visible(&alarm.message)).ok();
                if !alarm.advice.is_empty() {
                    writeln!(text, "  -> {}", alarm.advice).ok();
                }
                // A kind from a newer daemon is not explained in this version's documentation.
                if alarm.kind != AlarmKind::Other {
                    writeln!(text, "  more: {}#{}", documentation::alarms(), alarm.kind.as_str()).ok();
                }
            }
        }
    }
    if text.is_empty() && overview.daemon.is_some() && !overview.needs_somebody() {
        text.push_str("\nAll good.\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use bridgehead_runtime::{Alarm, AlarmKind, AppOverview, DaemonOverview, PollState, SyncEnd, TaskCounts};
    use bridgehead_store::RunResult;

    fn overview() -> StatusReport {
        let at: jiff::Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
        let before = |seconds| at.saturating_sub(SignedDuration::from_secs(seconds)).unwrap();
        let mut app = AppOverview::default();
        app.tasks.enabled = true;
        app.tasks.contact = PollState::Made;
        app.tasks.polled_at = Some(before(4));
        app.tasks.counts = Some(TaskCounts { waiting: 2, under_way: 1, ..TaskCounts::default() });
        app.sync.enabled = true;
        app.sync.next_due_at = Some(at.saturating_add(SignedDuration::from_mins(100)).unwrap());
        app.sync.last = Some(SyncEnd {
            at: before(7200),
            result: RunResult::Completed,
            reason: None,
            detail: String::new(),
            cause: None,
            resource_types: [].into(),
            invalid: Some(0),
            cleanup_failed: false,
        });
        let daemon = DaemonOverview {
            version: "1.2.3".into(),
            pid: 4711,
            uptime_seconds: 11_520,
            readiness: "connected to the Bridge".into(),
            ..DaemonOverview::default()
        };
        StatusReport { at, daemon: Some(daemon), apps: [("hr".to_owned(), app)].into() }
    }

    #[test]
    fn healthy_daemon_is_summarized_in_a_few_lines() {
        assert_eq!(
            text(&overview()),
            "bridgehead 1.2.3, process 4711, running for 3 h 12 min; connected to the Bridge\n\n \
             APP  LAST POLL  TASKS                     TARGET             LAST SYNC          NEXT SYNC\n \
             hr   4 s ago    2 waiting, 1 in progress  no known problems  completed 2 h ago  in 1 h 40 min\n\n\
             All good."
        );
    }

    #[test]
    fn alarms_come_last_with_advice() {
        let mut overview = overview();
        let app = overview.apps.get_mut("hr").unwrap();
        for (level, message) in [(Level::Alarm, "too many would go"), (Level::Notice, "a hiccup")] {
            app.alarms.push(Alarm {
                kind: AlarmKind::RemovalGuard,
                level,
                since: Some(overview.at.saturating_sub(SignedDuration::from_secs(180)).unwrap()),
                message: message.into(),
                advice: "Do this.".into(),
            });
        }
        let text = text(&overview);
        let end = "\n\nALARM  hr: removal guard (for 3 min)\n  too many would go\n  -> Do this.\n  \
                   more: docs/alarms.md#removal_guard";
        assert!(text.ends_with(end), "{text}");
        assert!(
            text.contains("note  hr: removal guard (for 3 min)\n  a hiccup") && !text.contains("All good")
        );
    }

    #[test]
    fn overview_without_a_daemon_never_says_all_good() {
        let mut overview = overview();
        overview.daemon = None;
        let text = text(&overview);
        assert!(text.starts_with("From the journal:") && !text.contains("All good"), "{text}");
    }
}
