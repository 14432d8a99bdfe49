//! The building blocks of pages.

use serde::Serialize;

use crate::admin::chart::Columns;
use crate::admin::summary::{self, Severity};
use bridgehead_runtime::{Alarm, AlarmKind, Level};
use jiff::Timestamp;

/// The frame of every page.
#[expect(clippy::struct_excessive_bools, reason = "a template asks for each of them by its name")]
#[derive(Clone, Debug, Default, Serialize)]
pub(in crate::admin) struct Frame {
    /// The path and query of the page.
    pub(in crate::admin) here: String,
    pub(in crate::admin) links: Vec<Link>,
    /// Whether a token is configured.
    pub(in crate::admin) can_sign_in: bool,
    pub(in crate::admin) is_signed_in: bool,
    /// Whether the script updates it.
    pub(in crate::admin) is_live: bool,
    /// Whether it updates itself without a script.
    pub(in crate::admin) renews: bool,
    /// The result of the last action.
    pub(in crate::admin) notice: Option<String>,
    pub(in crate::admin) process: String,
    pub(in crate::admin) readiness: String,
}

/// A link, which may lead to the current page.
#[derive(Clone, Debug, Serialize)]
pub(in crate::admin) struct Link {
    pub(in crate::admin) text: String,
    pub(in crate::admin) href: String,
    pub(in crate::admin) is_here: bool,
    /// Whether it is subordinate to the previous link.
    pub(in crate::admin) is_sub: bool,
}

impl Link {
    pub(in crate::admin) fn new(text: impl Into<String>, href: impl Into<String>, is_here: bool) -> Self {
        Self { text: text.into(), href: href.into(), is_here, is_sub: false }
    }
}

/// A table.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Table {
    pub(super) caption: String,
    pub(super) columns: Vec<Column>,
    pub(super) rows: Vec<Row>,
    /// Whether rows can be selected.
    pub(super) chooses: bool,
    /// Whether rows become blocks on a phone.
    pub(super) is_stacked: bool,
}

/// A column of a table.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Column {
    pub(super) text: &'static str,
    /// A class of the style sheet.
    pub(super) class: &'static str,
    /// The link that sorts the table by this column.
    pub(super) href: Option<String>,
    /// `ascending` or `descending`, if the table is sorted by this column.
    pub(super) sorted: Option<&'static str>,
}

/// A row of a table.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Row {
    /// The value that selecting the row submits.
    pub(super) id: String,
    /// Its label.
    pub(super) label: String,
    pub(super) cells: Vec<Cell>,
}

/// A cell of a table.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Cell {
    pub(super) text: String,
    pub(super) href: Option<String>,
    pub(super) mood: Option<&'static str>,
}

impl Table {
    /// Creates a table of strings; a column whose class is `number` contains numbers.
    pub(super) fn of(
        caption: impl Into<String>,
        columns: &[(&'static str, &'static str)],
        rows: impl IntoIterator<Item = Vec<String>>,
    ) -> Self {
        let columns = columns.iter().map(|(text, class)| Column { text, class, ..Column::default() });
        let rows = rows
            .into_iter()
            .map(|cells| Row { cells: cells.into_iter().map(Cell::from).collect(), ..Row::default() });
        Self { caption: caption.into(), columns: columns.collect(), rows: rows.collect(), ..Self::default() }
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self { text, ..Self::default() }
    }
}

/// A chart with its numbers.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Chart {
    id: &'static str,
    title: String,
    legend: Vec<Legend>,
    is_empty: bool,
    nothing: &'static str,
    svg: String,
    table: Table,
}

#[derive(Clone, Debug, Serialize)]
struct Legend {
    name: &'static str,
    class: &'static str,
}

impl Chart {
    pub(super) fn of(columns: &Columns, head: &'static str, nothing: &'static str) -> Self {
        let mut heads = vec![(head, "when")];
        heads.extend(columns.series.iter().map(|series| (series.name, "number")));
        let rows = columns.labels.iter().enumerate().map(|(number, label)| {
            let said = columns.series.iter().map(|series| (columns.say)(series.values[number]));
            std::iter::once(label.clone()).chain(said).collect()
        });
        Self {
            id: columns.id,
            title: columns.title.clone(),
            legend: columns
                .series
                .iter()
                .map(|series| Legend { name: series.name, class: series.class })
                .collect(),
            is_empty: columns.is_empty(),
            nothing,
            // Labels without an order in time are names, which need more space.
            svg: if head == "Code" { columns.bars() } else { columns.svg() },
            table: Table::of(columns.title.clone(), &heads, rows),
        }
    }
}

/// An alarm.
#[derive(Clone, Debug, Serialize)]
pub(super) struct ShownAlarm {
    app: String,
    mood: &'static str,
    title: &'static str,
    /// Where it is explained.
    chapter: Option<String>,
    since: Option<String>,
    message: String,
    advice: Vec<Part>,
}

/// A part of advice: text, or a command to type.
#[derive(Clone, Debug, Serialize)]
struct Part {
    text: String,
    is_code: bool,
}

/// A line of the summary.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Line {
    pub(super) what: &'static str,
    pub(super) mood: &'static str,
    pub(super) text: String,
    pub(super) is_wide: bool,
}

impl Line {
    pub(super) fn new(what: &'static str, mood: Severity, text: impl Into<String>) -> Self {
        Self { what, mood: mood.as_str(), text: text.into(), is_wide: false }
    }
}

/// An alarm of an app; the name is left out if it is obvious.
pub(super) fn alarm(app: &str, alarm: &Alarm, now: Timestamp) -> ShownAlarm {
    let mood = if alarm.level == Level::Alarm { Severity::Bad } else { Severity::Uneasy };
    ShownAlarm {
        app: app.to_owned(),
        mood: mood.as_str(),
        title: summary::title(alarm.kind),
        // A kind from a newer daemon is not explained in this version's documentation.
        chapter: (alarm.kind != AlarmKind::Other).then(|| format!("/alarms#{}", alarm.kind.as_str())),
        since: alarm.since.map(|since| summary::long(now.duration_since(since))),
        message: sentence(&alarm.message),
        advice: pieces(&alarm.advice),
    }
}

/// Splits advice into text and commands, which are in backticks.
fn pieces(text: &str) -> Vec<Part> {
    let pieces = text.split('`').enumerate();
    let parts = pieces.map(|(number, piece)| Part { text: piece.to_owned(), is_code: number % 2 == 1 });
    parts.filter(|part| !part.text.is_empty()).collect()
}

/// Capitalizes the first letter.
pub(in crate::admin) fn sentence(text: &str) -> String {
    let mut characters = text.chars();
    match characters.next() {
        Some(first) => first.to_uppercase().chain(characters).collect(),
        None => String::new(),
    }
}

/// The status of an app in a few words.
pub(super) fn verdict(mood: Severity) -> &'static str {
    match mood {
        Severity::Bad => "Action required",
        Severity::Uneasy => "Worth watching",
        Severity::Good => "All good",
        Severity::Quiet => "Idle",
    }
}
