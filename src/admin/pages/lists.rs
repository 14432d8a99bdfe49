//! `/apps/NAME/syncs`, and the common parts of lists.

use std::cmp::Ordering;

use serde::Serialize;

use super::overview::path_of;
use super::parts::{Cell, Column, Frame, Link, Row, Table};
use super::render;
use crate::admin::csv;
use crate::admin::query::Fields;
use crate::admin::summary::{self, Severity, grouped};
use bridgehead_store::{RecordedRun, RunResult};

/// The number of rows per page.
pub(super) const PAGE: usize = 50;

/// A list in the form that the template expects.
#[derive(Serialize)]
pub(super) struct List {
    pub(super) heading: String,
    pub(super) count: String,
    pub(super) tabs_label: &'static str,
    pub(super) tabs: Vec<Link>,
    pub(super) here: String,
    /// The query parameters that a filter preserves.
    pub(super) kept: Vec<(&'static str, String)>,
    pub(super) filter: String,
    pub(super) unfiltered: String,
    pub(super) notes: Vec<String>,
    pub(super) problem: Option<String>,
    pub(super) table: Option<Table>,
    pub(super) action: Option<ListAction>,
    pub(super) previous: Option<String>,
    pub(super) next: Option<String>,
    pub(super) page_of: String,
    pub(super) csv: String,
    pub(super) nothing: &'static str,
}

/// An action on the selected rows.
#[derive(Serialize)]
pub(super) struct ListAction {
    pub(super) path: String,
    pub(super) label: &'static str,
}

impl List {
    pub(super) fn render(self, title: &str, frame: &Frame) -> Result<String, minijinja::Error> {
        render("list.html", title, frame, self)
    }
}

/// The sort order of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sort<'a> {
    pub(super) by: &'a str,
    pub(super) is_descending: bool,
}

impl<'a> Sort<'a> {
    /// Parses the query parameter: a name, with a leading minus for descending order.
    pub(super) fn of(fields: &'a Fields) -> Option<Self> {
        let sort = fields.get("sort")?;
        Some(match sort.strip_prefix('-') {
            Some(by) => Self { by, is_descending: true },
            None => Self { by: sort, is_descending: false },
        })
    }

    pub(super) fn apply(self, order: Ordering) -> Ordering {
        if self.is_descending { order.reverse() } else { order }
    }
}

/// A column that the list can be sorted by.
pub(super) fn column(
    text: &'static str,
    class: &'static str,
    key: &str,
    fields: &Fields,
    sort: Option<Sort<'_>>,
) -> Column {
    let sorted = sort.filter(|sort| sort.by == key);
    let next =
        if sorted.is_some_and(|sort| !sort.is_descending) { format!("-{key}") } else { key.to_owned() };
    Column {
        text,
        class,
        href: Some(fields.with(&[("sort", &next), ("page", "")])),
        sorted: sorted.map(|sort| if sort.is_descending { "descending" } else { "ascending" }),
    }
}

/// The requested page, starting at 0.
pub(super) fn page_of(fields: &Fields) -> usize {
    fields
        .get("page")
        .and_then(|page| page.parse::<usize>().ok())
        .unwrap_or(1)
        .saturating_sub(1)
        .min(1_000_000)
}

/// The shown page of a list with this many rows, starting at 0: the last one instead of one after the end, because lists become shorter
/// while somebody turns their pages.
pub(super) fn shown_page(fields: &Fields, rows: usize) -> usize {
    page_of(fields).min(rows.saturating_sub(1) / PAGE)
}

/// Links to the previous and the next page.
pub(super) fn around(fields: &Fields, page: usize, has_more: bool) -> (Option<String>, Option<String>) {
    let link = |page: usize| fields.with(&[("page", &page.to_string())]);
    ((page > 0).then(|| link(page)), has_more.then(|| link(page + 2)))
}

/// The syncs of an app.
pub(in crate::admin) struct SyncList<'a> {
    pub(in crate::admin) name: &'a str,
    pub(in crate::admin) runs: Vec<RecordedRun>,
    pub(in crate::admin) fields: &'a Fields,
}

impl SyncList<'_> {
    /// Renders the page.
    pub(in crate::admin) fn render(self, frame: &Frame) -> Result<String, minijinja::Error> {
        let Self { name, runs, fields } = self;
        let all = runs.len();
        let runs = chosen(runs, fields);
        let (page, sort) = (shown_page(fields, runs.len()), Sort::of(fields));
        let from = page.saturating_mul(PAGE).min(runs.len());
        let to = (from + PAGE).min(runs.len());
        let mut table = runs_table(name, &runs[from..to], "Syncs, 50 on a page");
        let keys = ["id", "started", "took", "result", "pushed", "removed", ""];
        for (column_of, key) in table.columns.iter_mut().zip(keys).filter(|(_, key)| !key.is_empty()) {
            *column_of = column(column_of.text, column_of.class, key, fields, sort);
        }
        let base = format!("/apps/{}/syncs", path_of(name));
        let result = fields.get("result").unwrap_or_default();
        let (previous, next) = around(fields, page, to < runs.len());
        let tab = |text: &str, value: &str| {
            Link::new(text, fields.with(&[("result", value), ("page", "")]), result == value)
        };
        let mut tabs = vec![tab("All", "")];
        tabs.extend(RunResult::ALL.iter().map(|of| tab(&super::parts::sentence(of.as_str()), of.as_str())));
        let list = List {
            heading: format!("Syncs of {name}"),
            count: if runs.len() == all {
                format!("{} in 30 days", grouped(all as u64))
            } else {
                format!("{} of {}", runs.len(), all)
            },
            tabs_label: "Result",
            tabs,
            here: base.clone(),
            kept: kept(fields, &["result", "sort"]),
            filter: fields.get("q").unwrap_or_default().to_owned(),
            unfiltered: fields.with(&[("q", ""), ("page", "")]),
            notes: Vec::new(),
            problem: None,
            table: (from < to).then_some(table),
            action: None,
            previous,
            next,
            page_of: format!("{} to {} of {}", from + 1, to, grouped(runs.len() as u64)),
            csv: format!("{base}.csv{}", fields.with(&[("page", "")])),
            nothing: "There is no such sync.",
        };
        list.render(&format!("Syncs of {name} – bridgehead"), frame)
    }
}

/// The query parameters that a filter preserves.
pub(super) fn kept(fields: &Fields, names: &[&'static str]) -> Vec<(&'static str, String)> {
    names.iter().filter_map(|name| Some((*name, fields.get(name)?.to_owned()))).collect()
}

/// The syncs that the query selects, in its order.
fn chosen(mut runs: Vec<RecordedRun>, fields: &Fields) -> Vec<RecordedRun> {
    if let Some(result) = fields.get("result") {
        runs.retain(|recorded| recorded.run.result.as_str() == result);
    }
    if let Some(wanted) = fields.get("q") {
        let wanted = wanted.to_lowercase();
        runs.retain(|recorded| {
            let run = &recorded.run;
            let slugs = run.pushed.keys().any(|slug| slug.to_lowercase().contains(&wanted));
            slugs || run.detail.to_lowercase().contains(&wanted) || run.result.as_str().contains(&*wanted)
        });
    }
    if let Some(sort) = Sort::of(fields) {
        let sum = |of: &std::collections::BTreeMap<String, u64>| of.values().sum::<u64>();
        runs.sort_by(|one, other| {
            let (a, b) = (&one.run, &other.run);
            sort.apply(match sort.by {
                "took" => took(one).cmp(&took(other)),
                "result" => a.result.as_str().cmp(b.result.as_str()),
                "pushed" => sum(&a.pushed).cmp(&sum(&b.pushed)),
                "removed" => sum(&a.removed).cmp(&sum(&b.removed)),
                "started" => a.started_at.cmp(&b.started_at),
                _ => one.id.cmp(&other.id),
            })
        });
    }
    runs
}

fn took(recorded: &RecordedRun) -> jiff::SignedDuration {
    recorded.run.ended_at.duration_since(recorded.run.started_at)
}

/// The severity of a result.
pub(super) fn mood(result: RunResult) -> Severity {
    match result {
        RunResult::Completed => Severity::Good,
        RunResult::Held => Severity::Bad,
        RunResult::Abandoned | RunResult::Failed => Severity::Uneasy,
    }
}

/// Syncs as a table.
pub(super) fn runs_table(name: &str, runs: &[RecordedRun], caption: &str) -> Table {
    let base = path_of(name);
    let heads = [
        ("Sync", "when"),
        ("Began", "when"),
        ("Took", "when"),
        ("Result", ""),
        ("Pushed", "number"),
        ("Removed", "number"),
        ("Detail", "long"),
    ];
    let mut table = Table::of(caption, &heads, []);
    table.is_stacked = true;
    let mut last: Option<&str> = None;
    table.rows = runs
        .iter()
        .map(|recorded| {
            let run = &recorded.run;
            let gone: u64 = run.removed.values().sum();
            let is_kept = gone > 0 && run.result != RunResult::Completed;
            // The detail of the row above is not repeated.
            let is_said = last == Some(&*run.detail);
            last = Some(&run.detail);
            let number = Cell {
                text: format!("#{}", recorded.id),
                href: Some(format!("/apps/{base}/syncs/{}", recorded.id)),
                mood: None,
            };
            let result = Cell {
                text: run.result.as_str().to_owned(),
                href: None,
                mood: Some(mood(run.result).as_str()),
            };
            let cells = vec![
                number,
                summary::clock(run.started_at).into(),
                summary::long(took(recorded)).into(),
                result,
                grouped(run.pushed.values().sum()).into(),
                (grouped(gone) + if is_kept { ", held" } else { "" }).into(),
                if is_said { "same as above".to_owned() } else { run.detail.clone() }.into(),
            ];
            Row { cells, ..Row::default() }
        })
        .collect();
    table
}

/// The syncs as CSV: a line for each resource type of each sync.
pub(in crate::admin) fn syncs_csv(runs: Vec<RecordedRun>, fields: &Fields) -> String {
    let head = ["sync", "started_at", "ended_at", "result", "type", "pushed", "removed", "detail"];
    let runs = chosen(runs, fields);
    let rows = runs.iter().flat_map(|recorded| {
        let run = &recorded.run;
        let mut slugs: std::collections::BTreeSet<&str> =
            run.pushed.keys().chain(run.removed.keys()).map(|slug| &**slug).collect();
        if slugs.is_empty() {
            slugs.insert("");
        }
        slugs.into_iter().map(move |slug| {
            let of = |counts: &std::collections::BTreeMap<String, u64>| {
                counts.get(slug).copied().unwrap_or(0).to_string()
            };
            vec![
                recorded.id.to_string(),
                run.started_at.to_string(),
                run.ended_at.to_string(),
                run.result.as_str().to_owned(),
                slug.to_owned(),
                of(&run.pushed),
                of(&run.removed),
                run.detail.clone(),
            ]
        })
    });
    csv::write(&head, rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bridgehead_store::Run;

    fn run(id: u64, result: RunResult, removed: u64) -> RecordedRun {
        let at = |second| jiff::Timestamp::from_second(second).unwrap();
        let second = i64::try_from(id).unwrap() * 3600;
        let run = Run {
            started_at: at(second),
            ended_at: at(second + i64::try_from(200 - id).unwrap()),
            result,
            reason: None,
            detail: format!("detail <{id}>"),
            cause: None,
            pushed: [("account".to_owned(), 1000 + id)].into(),
            removed: [("account".to_owned(), removed)].into(),
        };
        RecordedRun { id, run }
    }

    fn many() -> Vec<RecordedRun> {
        let result = |id| if id % 10 == 0 { RunResult::Held } else { RunResult::Completed };
        (1..=120).rev().map(|id| run(id, result(id), 120 - id)).collect()
    }

    fn html(query: &str) -> String {
        let fields = Fields::read(query.as_bytes());
        SyncList { name: "hr", runs: many(), fields: &fields }.render(&Frame::default()).unwrap()
    }

    fn ids(html: &str) -> Vec<u64> {
        html.split("/syncs/").skip(1).map(|rest| rest.split('"').next().unwrap().parse().unwrap()).collect()
    }

    #[test]
    fn every_sync_is_on_exactly_one_page() {
        let pages: Vec<u64> = ["", "page=2", "page=3"].iter().flat_map(|query| ids(&html(query))).collect();
        assert_eq!(pages, (1..=120).rev().collect::<Vec<_>>());
        let first = html("");
        assert!(
            first.contains("1 to 50 of 120") && first.contains("?page=2") && !first.contains("Previous page")
        );
        assert!(html("page=3").contains("Previous page") && !html("page=3").contains("Next page"));
        for beyond in ["page=4", "page=9999"] {
            assert_eq!(html(beyond), html("page=3"), "{beyond}");
        }
        for invalid in ["page=99999999999999999999", "page=-1", "page=x", "page=0"] {
            assert_eq!(ids(&html(invalid)), ids(&first), "{invalid}");
        }
    }

    #[test]
    fn syncs_are_sorted_and_filtered_across_pages() {
        assert_eq!(ids(&html("sort=started"))[0], 1);
        assert_eq!(ids(&html("sort=removed"))[0], 120);
        assert_eq!(ids(&html("sort=-removed"))[0], 1);
        assert_eq!(ids(&html("sort=took"))[0], 120);
        assert_eq!(ids(&html("result=held&sort=id")), (1..=12).map(|n| n * 10).collect::<Vec<_>>());
        assert_eq!(ids(&html("q=DETAIL+%3C77%3E")), [77]);
        let sorted = html("sort=removed&q=account");
        assert!(
            sorted.contains("aria-sort=\"ascending\"") && sorted.contains("?q=account&amp;sort=-removed"),
            "{sorted}"
        );
        assert!(html("q=%3Cb%3Enone").contains("There is no such sync."));
        assert!(!html("q=%3Cb%3Enone").contains("<b>"));
    }

    #[test]
    fn csv_has_all_filtered_syncs_regardless_of_page() {
        let fields = Fields::read(b"result=held&page=3");
        let text = syncs_csv(many(), &fields);
        assert_eq!(text.lines().count(), 13);
        assert_eq!(
            text.lines().nth(1).unwrap(),
            "120,1970-01-06T00:00:00Z,1970-01-06T00:01:20Z,held,account,1120,0,detail <120>"
        );
    }
}
