//! `/apps/NAME`: the current state of one app, and its last weeks.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::lists::runs_table;
use super::overview::{Card, card};
use super::parts::{Chart, Frame, Line, Link, ShownAlarm, Table, alarm};
use super::render;
use super::sync::{ShownTable, removals};
use crate::admin::chart::{Columns, Series};
use crate::admin::csv;
use crate::admin::summary::{self, Severity, grouped};
use bridgehead_runtime::{AppOverview, ShownRemovals};
use bridgehead_store::{DURATION_BOUNDS, Hour, RecordedRun};

/// The number of recent syncs that are shown.
const RUNS: usize = 10;

/// The number of affected records that are shown; the confirmation has more.
const FEW: usize = 10;

/// The selectable periods: name, label, hours per column, number of columns.
const RANGES: [(&str, &str, i64, i64); 3] =
    [("day", "24 hours", 1, 24), ("week", "7 days", 6, 28), ("month", "30 days", 24, 30)];

/// The content of the page.
pub(in crate::admin) struct App<'a> {
    pub(in crate::admin) name: &'a str,
    pub(in crate::admin) state: &'a AppOverview,
    pub(in crate::admin) now: Timestamp,
    pub(in crate::admin) range: Option<&'a str>,
    pub(in crate::admin) hours: &'a [Hour],
    pub(in crate::admin) runs: &'a [RecordedRun],
    pub(in crate::admin) oldest: Option<Timestamp>,
    pub(in crate::admin) shown: Option<&'a ShownRemovals>,
}

#[derive(Serialize)]
struct Page {
    at: String,
    alarms: Vec<ShownAlarm>,
    app: Card,
    actions: Vec<Button>,
    shown: Option<ShownTable>,
    ranges: Vec<Link>,
    charts: Vec<Chart>,
    runs: Option<Table>,
}

#[derive(Serialize)]
struct Button {
    name: &'static str,
    label: String,
    query: &'static str,
}

impl App<'_> {
    /// Renders the page.
    pub(in crate::admin) fn render(&self, frame: &Frame) -> Result<String, minijinja::Error> {
        let (name, now) = (self.name, self.now);
        let wanted = self.range.unwrap_or("month");
        let range = RANGES.iter().find(|(name, ..)| *name == wanted).unwrap_or(&RANGES[2]);
        let mut shown_app = card(name, self.state, now);
        let oldest = self.oldest.map_or_else(
            || Line::new("Oldest task", Severity::Quiet, "none pending"),
            |oldest| {
                let age = now.duration_since(oldest);
                let mood =
                    if age > SignedDuration::from_hours(1) { Severity::Uneasy } else { Severity::Good };
                Line::new("Oldest task", mood, format!("pending for {}", summary::long(age)))
            },
        );
        shown_app.lines.insert(2, oldest);
        let page = Page {
            at: summary::clock(now),
            alarms: self.state.alarms.iter().map(|of| alarm("", of, now)).collect(),
            app: shown_app,
            actions: self.buttons(),
            shown: self.shown.map(|shown| removals(shown, frame, FEW)),
            ranges: RANGES
                .iter()
                .map(|(key, text, ..)| Link::new(*text, format!("?range={key}"), *key == range.0))
                .collect(),
            charts: charts(self.hours, self.runs, now, range.2, range.3),
            runs: (!self.runs.is_empty())
                .then(|| runs_table(name, &self.runs[..self.runs.len().min(RUNS)], "The last syncs")),
        };
        render(
            "app.html",
            &format!("{name}: {} – bridgehead", super::parts::verdict(summary::mood(self.state))),
            frame,
            page,
        )
    }

    /// The available actions.
    fn buttons(&self) -> Vec<Button> {
        let held = self.state.tasks.guarded.as_ref().map_or(0, |guarded| guarded.held);
        let rejected = self.state.tasks.journal.map_or(0, |counts| counts.rejected);
        let plain = |name, label: &str| Button { name, label: label.to_owned(), query: "" };
        let mut buttons = Vec::new();
        let is_syncing = self.state.sync.under_way.is_some();
        if is_syncing || self.state.elsewhere.is_some() {
            // Whether an app of another node is syncing is known only there.
            buttons.push(plain("cancel-sync", "Cancel sync"));
        }
        if !is_syncing && self.state.paused.is_none() {
            buttons.push(plain("sync", "Start sync"));
        }
        buttons.push(plain("dry-run", "Dry run"));
        if held > 0 {
            let label = format!("Release {held} held");
            buttons.push(Button { name: "release", label, query: "?all=1" });
        }
        if rejected > 0 || !self.state.tasks.attempts.is_empty() {
            buttons.push(Button { name: "retry", label: "Retry now".to_owned(), query: "?all=1" });
        }
        if self.shown.is_some_and(|shown| shown.digest.is_some()) {
            buttons.push(Button {
                name: "allow-removals",
                label: "Allow these removals".to_owned(),
                query: "",
            });
        }
        buttons.push(if self.state.paused.is_some() {
            plain("resume", "Resume")
        } else {
            plain("pause", "Pause")
        });
        buttons
    }
}

fn charts(hours: &[Hour], runs: &[RecordedRun], now: Timestamp, width: i64, columns: i64) -> Vec<Chart> {
    let width = SignedDuration::from_hours(width);
    let span = SignedDuration::from_secs(width.as_secs() * columns);
    // The last column ends with the current hour.
    let end = Hour::beginning(now).saturating_add(SignedDuration::from_hours(1)).unwrap_or(Timestamp::MAX);
    let begin = end.saturating_sub(span).unwrap_or(Timestamp::MIN);
    let column_of = |at: Timestamp| {
        let passed = at.duration_since(begin).as_secs();
        let column = usize::try_from(passed.div_euclid(width.as_secs())).ok()?;
        (at < end && column < usize::try_from(columns).unwrap_or(0)).then_some(column)
    };
    let count = usize::try_from(columns).unwrap_or(0);
    let mut sums = vec![Hour::default(); count];
    for hour in hours {
        if let Some(column) = column_of(hour.at) {
            sums[column].add(hour);
        }
    }
    let format = if width < SignedDuration::from_hours(24) && columns <= 24 { "%H:%M" } else { "%b %-d" };
    let labels: Vec<String> = (0..columns)
        .map(|column| {
            let at = begin.saturating_add(SignedDuration::from_secs(width.as_secs() * column));
            at.unwrap_or(begin).strftime(format).to_string()
        })
        .collect();
    let series = |name, class, value: fn(&Hour) -> u64| Series {
        name,
        class,
        values: sums.iter().map(value).collect(),
    };
    let chart = |id, title: &str, series, say| Columns {
        id,
        title: title.to_owned(),
        labels: labels.clone(),
        series,
        say,
    };
    let tasks = chart(
        "tasks",
        "Tasks",
        vec![series("Completed", "good", |hour| hour.completed), series("Failed", "bad", Hour::failures)],
        grouped,
    );
    let retried = chart(
        "retries",
        "Retries and held tasks",
        vec![
            series("Retried", "plain", |hour| hour.retried),
            series("Held at once", "uneasy", |hour| hour.held),
        ],
        grouped,
    );
    let oldest = chart(
        "oldest",
        "Age of the oldest task",
        vec![series("Oldest pending", "plain", |hour| hour.oldest_pending)],
        age,
    );
    let mut removed = vec![0; count];
    let mut ended = [vec![0; count], vec![0; count]];
    for recorded in runs {
        let run = &recorded.run;
        if let Some(column) = column_of(run.ended_at) {
            let is_completed = run.result == bridgehead_store::RunResult::Completed;
            ended[usize::from(!is_completed)][column] += 1;
            if is_completed {
                removed[column] += run.removed.values().sum::<u64>();
            }
        }
    }
    let [completed, other] = ended;
    let plain = |name, class, values| Series { name, class, values };
    let syncs = chart(
        "syncs",
        "Syncs",
        vec![plain("Completed", "good", completed), plain("Not completed", "bad", other)],
        grouped,
    );
    let removals =
        chart("removals", "Records removed by syncs", vec![plain("Removed", "uneasy", removed)], grouped);
    let nothing = "Nothing in this period.";
    vec![
        Chart::of(&tasks, "From", nothing),
        Chart::of(&by_code(&sums), "Code", "No task failed in this period."),
        Chart::of(&oldest, "From", "No task was pending for long in this period."),
        Chart::of(&durations(&sums), "Up to", "No call of the connector in this period."),
        Chart::of(&retried, "From", nothing),
        Chart::of(&syncs, "From", "No sync ended in this period."),
        Chart::of(&removals, "From", "No sync removed anything in this period."),
    ]
}

fn by_code(sums: &[Hour]) -> Columns {
    let mut codes: BTreeMap<&str, u64> = BTreeMap::new();
    for (code, count) in sums.iter().flat_map(|hour| &hour.failed) {
        *codes.entry(code).or_default() += count;
    }
    let mut codes: Vec<(&str, u64)> = codes.into_iter().collect();
    codes.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    Columns {
        id: "codes",
        title: "Failures by code".to_owned(),
        labels: codes.iter().map(|(code, _)| (*code).to_owned()).collect(),
        series: vec![Series {
            name: "Failed",
            class: "bad",
            values: codes.into_iter().map(|(_, count)| count).collect(),
        }],
        say: grouped,
    }
}

fn durations(sums: &[Hour]) -> Columns {
    let mut whole = Hour::default();
    for hour in sums {
        whole.add(hour);
    }
    let mut labels: Vec<String> = DURATION_BOUNDS.iter().map(|bound| format!("{bound} s")).collect();
    labels.push("longer".to_owned());
    Columns {
        id: "durations",
        title: "Time of connector calls".to_owned(),
        labels,
        series: vec![Series { name: "Calls", class: "plain", values: whole.durations.to_vec() }],
        say: grouped,
    }
}

/// Seconds as an age in one unit, short enough for the axis of a chart.
fn age(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} d", grouped(seconds / 86_400)),
    }
}

/// The hours as CSV.
pub(in crate::admin) fn history_csv(hours: &[Hour]) -> String {
    let codes: std::collections::BTreeSet<&String> =
        hours.iter().flat_map(|hour| hour.failed.keys()).collect();
    let mut head = vec!["hour", "completed", "failed", "retried", "held_at_once", "oldest_pending_seconds"];
    head.extend(codes.iter().map(|code| code.as_str()));
    csv::write(
        &head,
        hours.iter().map(|hour| {
            let numbers = [hour.completed, hour.failures(), hour.retried, hour.held, hour.oldest_pending];
            let failed = codes.iter().map(|code| hour.failed.get(*code).copied().unwrap_or(0));
            let numbers = numbers.into_iter().chain(failed).map(|number| number.to_string());
            std::iter::once(hour.at.to_string()).chain(numbers).collect()
        }),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use bridgehead_store::{Run, RunResult};

    fn now() -> Timestamp {
        "2026-03-01T12:30:00Z".parse().unwrap()
    }

    fn hour(at: &str, completed: u64, code: &str) -> Hour {
        let failed = [(code.to_owned(), 2)].into();
        Hour { at: at.parse().unwrap(), completed, failed, oldest_pending: 90, ..Hour::default() }
    }

    fn shown(hours: &[Hour], runs: &[RecordedRun], range: Option<&str>) -> String {
        let app = AppOverview::default();
        let page = App { name: "hr", state: &app, now: now(), range, hours, runs, oldest: None, shown: None };
        page.render(&Frame::default()).unwrap()
    }

    #[test]
    fn hours_are_grouped_within_the_selected_period() {
        let hours = [
            hour("2026-02-28T12:00:00Z", 1000, "TIMEOUT"),
            hour("2026-03-01T11:00:00Z", 3, "TIMEOUT"),
            hour("2026-03-01T12:00:00Z", 4, "TIMEOUT"),
        ];
        let day = shown(&hours, &[], Some("day"));
        assert!(day.contains("<title>12:00: 4 completed, 2 failed</title>"), "{day}");
        assert!(
            day.contains("<title>11:00: 3 completed, 2 failed</title>") && !day.contains("1,000"),
            "{day}"
        );
        assert!(day.contains(">TIMEOUT</text>") && day.contains("90 s"), "{day}");
        let month = shown(&hours, &[], None);
        assert!(month.contains("1,000 completed") && month.contains("7 completed, 4 failed"), "{month}");
    }

    #[test]
    fn app_without_history_says_so() {
        let html = shown(&[], &[], Some("<nonsense>"));
        assert!(
            html.contains("Nothing in this period.") && html.contains("No sync has ended yet."),
            "{html}"
        );
        assert!(!html.contains("<nonsense>"));
    }

    #[test]
    fn codes_and_sync_details_are_escaped() {
        const NASTY: &str = "<b>\"'&";
        let run = Run {
            started_at: now(),
            ended_at: now(),
            result: RunResult::Completed,
            reason: None,
            detail: NASTY.into(),
            cause: Some(NASTY.into()),
            pushed: [(NASTY.to_owned(), 1)].into(),
            removed: [(NASTY.to_owned(), 5)].into(),
        };
        let html = shown(&[hour("2026-03-01T12:00:00Z", 1, NASTY)], &[RecordedRun { id: 7, run }], None);
        assert!(
            !html.contains("<b>") && html.contains("href=\"/apps/hr/syncs/7\"") && html.contains("5 removed"),
            "{html}"
        );
    }

    #[test]
    fn history_csv_has_a_column_per_code() {
        let text =
            history_csv(&[hour("2026-03-01T11:00:00Z", 3, "TIMEOUT"), hour("2026-03-01T12:00:00Z", 4, "X")]);
        assert_eq!(
            text,
            "hour,completed,failed,retried,held_at_once,oldest_pending_seconds,TIMEOUT,X\r\n\
             2026-03-01T11:00:00Z,3,2,0,0,90,2,0\r\n2026-03-01T12:00:00Z,4,2,0,0,90,0,2\r\n"
        );
    }
}
