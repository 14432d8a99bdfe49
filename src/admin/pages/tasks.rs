//! `/apps/NAME/tasks`: the tasks with a status, held tasks, and tasks whose report was rejected.

use std::cmp::Ordering;

use super::lists::{List, ListAction, PAGE, Sort, around, column, kept, page_of, shown_page};
use super::overview::path_of;
use super::parts::{Cell, Column, Frame, Link, Row, Table};
use crate::admin::query::Fields;
use crate::admin::summary::{self, grouped};
use bridgehead_bridge::TaskStatus;
use bridgehead_runtime::inspection::{ListingEnd, TaskRow, Which};

/// The available lists: name and label.
const LISTS: [(&str, &str); 6] = [
    ("pending", "Pending"),
    ("held", "Held"),
    ("rejected", "Rejected reports"),
    ("scheduled", "Scheduled"),
    ("completed", "Completed"),
    ("failed", "Failed"),
];

/// The hints for users who are not signed in: if signing in is disabled, and if it is possible.
pub(super) const SIGN_IN: [&str; 2] = [
    "Names are shown to those who sign in, which needs [admin] token in the configuration.",
    "Sign in to see whom these tasks are about.",
];

/// The maximum number of tasks that are read for sorting and filtering; the CSV has all.
const MOST: u64 = 10_000;

/// The requested list, and how many of its tasks are needed to show it.
pub(in crate::admin) fn which(fields: &Fields) -> (&'static str, Which, Option<u64>) {
    let wanted = fields.get("status").unwrap_or_default();
    let (name, _) = LISTS.iter().find(|(name, _)| *name == wanted).unwrap_or(&LISTS[0]);
    let which = match *name {
        "held" => Which::Held,
        "rejected" => Which::Rejected,
        status => Which::Status(TaskStatus::from_name(status)),
    };
    let is_whole = fields.get("q").is_some() || fields.get("sort").is_some();
    // In the order of Iden's list, tasks after the page need not be read.
    let needed = if is_whole { MOST } else { ((page_of(fields) as u64 + 1) * PAGE as u64).min(MOST) };
    (name, which, Some(needed))
}

/// Tasks that were read, or why they could not be.
pub(in crate::admin) type Rows<'a> = Result<(&'a [TaskRow], &'a ListingEnd), String>;

/// A list of tasks.
pub(in crate::admin) struct TaskList<'a> {
    pub(in crate::admin) name: &'a str,
    pub(in crate::admin) rows: Rows<'a>,
    pub(in crate::admin) fields: &'a Fields,
}

/// Removes what only signed-in operators may see: the task's account, and fields that may name it.
pub(in crate::admin) fn nameless(row: &TaskRow) -> TaskRow {
    TaskRow {
        account: None,
        username: None,
        email: None,
        display_name: None,
        reason: None,
        detail: None,
        ..row.clone()
    }
}

impl TaskList<'_> {
    /// Renders the page.
    pub(in crate::admin) fn render(self, frame: &Frame) -> Result<String, minijinja::Error> {
        let Self { name, rows, fields } = self;
        let (status, ..) = which(fields);
        let base = format!("/apps/{}/tasks", path_of(name));
        let mut notes = Vec::new();
        if !frame.is_signed_in {
            notes.push(SIGN_IN[usize::from(frame.can_sign_in)].to_owned());
        }
        let tab = |(key, text): &(&str, &str)| {
            Link::new(*text, fields.with(&[("status", key), ("page", ""), ("sort", "")]), *key == status)
        };
        let mut list = List {
            heading: format!("Tasks of {name}"),
            count: String::new(),
            tabs_label: "Status",
            tabs: LISTS.iter().map(tab).collect(),
            here: base.clone(),
            kept: kept(fields, &["status", "sort"]),
            filter: fields.get("q").unwrap_or_default().to_owned(),
            unfiltered: fields.with(&[("q", ""), ("page", "")]),
            notes: Vec::new(),
            problem: None,
            table: None,
            action: None,
            previous: None,
            next: None,
            page_of: String::new(),
            csv: format!("{base}.csv{}", fields.with(&[("page", "")])),
            nothing: if fields.get("q").is_some() {
                "No such task matches the filter."
            } else {
                "There are no such tasks."
            },
        };
        match rows {
            Err(problem) => list.problem = Some(problem),
            Ok((rows, end)) => fill(&mut list, rows, end, (name, status), fields, frame, &mut notes),
        }
        list.notes = notes;
        list.render(&format!("Tasks of {name} – bridgehead"), frame)
    }
}

fn fill(
    list: &mut List,
    rows: &[TaskRow],
    end: &ListingEnd,
    (name, status): (&str, &'static str),
    fields: &Fields,
    frame: &Frame,
    notes: &mut Vec<String>,
) {
    let rows: Vec<TaskRow> =
        if frame.is_signed_in { rows.to_vec() } else { rows.iter().map(nameless).collect() };
    let read = rows.len();
    let rows = chosen(rows, fields);
    let (page, is_whole) =
        (shown_page(fields, rows.len()), fields.get("q").is_some() || fields.get("sort").is_some());
    let from = page.saturating_mul(PAGE).min(rows.len());
    let to = (from + PAGE).min(rows.len());
    let has_more = to < rows.len() || (!is_whole && end.more);
    (list.previous, list.next) = around(fields, page, has_more);
    let total = if is_whole || !end.more { Some(rows.len() as u64) } else { end.total };
    list.count = match total {
        Some(1) => "1 task".to_owned(),
        Some(total) => format!("{} tasks", grouped(total)),
        None => String::new(),
    };
    if end.more && read as u64 >= MOST {
        let what = if is_whole { "sorted and filtered" } else { "shown" };
        notes.push(format!(
            "Only the first {} tasks are {what} here. The CSV has all of them.",
            grouped(MOST)
        ));
    }
    if let Some(why) = &end.without_names {
        notes.push(format!("What only Iden knows is missing, such as names: {why}"));
    }
    list.page_of = match total {
        Some(total) => format!("{} to {} of {}", from + 1, to, grouped(total)),
        None => format!("{} to {}", from + 1, to),
    };
    if from == to {
        return;
    }
    if frame.is_signed_in {
        let (action, label) = match status {
            "held" => ("release", "Release"),
            "rejected" => ("retry", "Retry"),
            _ => ("", ""),
        };
        list.action = (!action.is_empty())
            .then(|| ListAction { path: format!("/apps/{}/actions/{action}", path_of(name)), label });
    }
    let sort = Sort::of(fields);
    let (columns, cells) = layout(status, frame.is_signed_in);
    list.table = Some(Table {
        caption: format!(
            "{}, {PAGE} on a page",
            LISTS.iter().find(|(key, _)| *key == status).map_or("Tasks", |(_, text)| text)
        ),
        columns: columns.iter().map(|(text, class, key)| sortable(text, class, key, fields, sort)).collect(),
        rows: rows[from..to]
            .iter()
            .map(|row| Row {
                id: row.task.clone(),
                label: row
                    .display_name
                    .clone()
                    .or_else(|| row.username.clone())
                    .unwrap_or_else(|| row.task.clone()),
                cells: linked(cells(row), &columns, row, name),
            })
            .collect(),
        chooses: list.action.is_some(),
        is_stacked: true,
    });
}

/// The cells of a row; its id is a link to its history.
fn linked(cells: Vec<String>, columns: &[(&str, &str, &str)], row: &TaskRow, app: &str) -> Vec<Cell> {
    let link = |(text, (.., key)): (String, &(&str, &str, &str))| {
        let href = (*key == "task").then(|| format!("/apps/{}/tasks/{}", path_of(app), path_of(&row.task)));
        Cell { href, ..Cell::from(text) }
    };
    cells.into_iter().zip(columns).map(link).collect()
}

fn sortable(
    text: &'static str,
    class: &'static str,
    key: &str,
    fields: &Fields,
    sort: Option<Sort<'_>>,
) -> Column {
    column(text, class, key, fields, sort)
}

type Layout = (Vec<(&'static str, &'static str, &'static str)>, Box<dyn Fn(&TaskRow) -> Vec<String>>);

/// The columns of a list, and the cells of a row.
fn layout(status: &'static str, has_names: bool) -> Layout {
    let mut columns = vec![("Task", "id", "task"), ("Action", "when", "action")];
    if has_names {
        columns.extend([("Name", "", "name"), ("Email", "long", "email"), ("Account", "long", "account")]);
    }
    columns.push(("Created", "when", "created"));
    match status {
        "held" => columns.push(("Held since", "when", "held")),
        "scheduled" => columns.push(("Not before", "when", "after")),
        "rejected" => columns.push(("To report", "", "status")),
        "failed" => columns.push(("Code", "", "code")),
        _ => {}
    }
    if has_names && matches!(status, "rejected" | "failed") {
        columns.push(("Reason", "long", "reason"));
    }
    let keys: Vec<&'static str> = columns.iter().map(|(.., key)| *key).collect();
    (columns, Box::new(move |row| keys.iter().map(|key| text_of(row, key)).collect()))
}

/// The text of a row in a column.
fn text_of(row: &TaskRow, key: &str) -> String {
    let clock = |at: Option<jiff::Timestamp>| at.map(summary::clock).unwrap_or_default();
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    match key {
        "task" => row.task.clone(),
        "action" => text(&row.action),
        "name" => text(if row.display_name.is_some() { &row.display_name } else { &row.username }),
        "email" => text(&row.email),
        "account" => text(&row.account),
        "created" => clock(row.created_at),
        "held" => clock(row.held_since),
        "after" => clock(row.execute_after),
        "status" => text(&row.status),
        "code" => text(&row.code),
        "reason" => text(if row.reason.is_some() { &row.reason } else { &row.detail }),
        _ => String::new(),
    }
}

/// The keys for sorting and searching tasks.
const KEYS: [&str; 11] =
    ["task", "action", "name", "email", "account", "created", "held", "after", "status", "code", "reason"];

fn chosen(mut rows: Vec<TaskRow>, fields: &Fields) -> Vec<TaskRow> {
    rows.retain(|row| is_wanted(row, fields));
    if let Some(sort) = Sort::of(fields) {
        rows.sort_by(|one, other| sort.apply(order(one, other, sort.by)));
    }
    rows
}

fn order(one: &TaskRow, other: &TaskRow, by: &str) -> Ordering {
    match by {
        "created" => one.created_at.cmp(&other.created_at),
        "held" => one.held_since.cmp(&other.held_since),
        "after" => one.execute_after.cmp(&other.execute_after),
        by => text_of(one, by).to_lowercase().cmp(&text_of(other, by).to_lowercase()),
    }
}

fn is_wanted(row: &TaskRow, fields: &Fields) -> bool {
    let Some(wanted) = fields.get("q") else { return true };
    let wanted = wanted.to_lowercase();
    let username = row.username.as_deref().unwrap_or_default().to_lowercase();
    username.contains(&wanted) || KEYS.iter().any(|key| text_of(row, key).to_lowercase().contains(&wanted))
}

/// The header of the CSV.
pub(in crate::admin) fn csv_head() -> String {
    let head = [
        "task",
        "action",
        "account",
        "username",
        "email",
        "name",
        "status",
        "created_at",
        "execute_after",
        "held_since",
        "code",
        "reason",
    ];
    crate::admin::csv::line(head.map(str::to_owned))
}

/// A task as a line of CSV; `None` if the filter excludes it.
pub(in crate::admin) fn csv_row(row: &TaskRow, fields: &Fields) -> Option<String> {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let time = |at: Option<jiff::Timestamp>| at.map(|at| at.to_string()).unwrap_or_default();
    is_wanted(row, fields).then(|| {
        crate::admin::csv::line([
            row.task.clone(),
            text(&row.action),
            text(&row.account),
            text(&row.username),
            text(&row.email),
            text(&row.display_name),
            text(&row.status),
            time(row.created_at),
            time(row.execute_after),
            time(row.held_since),
            text(&row.code),
            text_of(row, "reason"),
        ])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(number: u32) -> TaskRow {
        TaskRow {
            app: "hr".into(),
            task: format!("t{number:03}"),
            action: Some("delete_account".into()),
            account: Some(format!("u{number}")),
            email: Some(format!("u{number}@example.org")),
            display_name: Some(format!("Person {}", 999 - number)),
            status: Some("pending".into()),
            created_at: jiff::Timestamp::from_second(i64::from(number)).ok(),
            reason: Some(format!("secretive <{number}>")),
            ..TaskRow::default()
        }
    }

    fn html(query: &str, is_signed_in: bool, more: bool) -> String {
        let rows: Vec<TaskRow> = (0..120).map(row).collect();
        let fields = Fields::read(query.as_bytes());
        let end = ListingEnd { shown: 120, total: (!more).then_some(120), more, without_names: None };
        let frame = Frame { is_signed_in, can_sign_in: true, ..Frame::default() };
        TaskList { name: "hr", rows: Ok((&rows, &end)), fields: &fields }.render(&frame).unwrap()
    }

    fn tasks(html: &str) -> Vec<String> {
        html.split("data-label=\"Task\"><a href=\"/apps/hr/tasks/")
            .skip(1)
            .map(|rest| rest[..4].to_owned())
            .collect()
    }

    #[test]
    fn every_task_is_on_one_page_and_sorting_spans_pages() {
        let pages: Vec<String> =
            ["", "page=2", "page=3"].iter().flat_map(|query| tasks(&html(query, true, false))).collect();
        assert_eq!(pages, (0..120).map(|n| format!("t{n:03}")).collect::<Vec<_>>());
        assert_eq!(tasks(&html("sort=name&page=1", true, false))[0], "t119");
        assert_eq!(tasks(&html("sort=-created", true, false))[0], "t119");
        assert_eq!(tasks(&html("q=U77%40EXAMPLE", true, false)), ["t077"]);
        assert!(html("page=2", true, true).contains("Next page"), "there is more than was read");
        assert_eq!(
            html("page=999999", true, false),
            html("page=3", true, false),
            "the list has become shorter"
        );
    }

    #[test]
    fn names_and_filters_are_hidden_unless_signed_in() {
        let shown = html("status=failed", false, false);
        for name in ["Person", "example.org", ">u7<", "secretive"] {
            assert!(!shown.contains(name), "{name}: {shown}");
        }
        assert!(shown.contains("Sign in to see whom these tasks are about."));
        assert!(tasks(&html("q=person+900", false, false)).is_empty(), "a filter would tell");
        assert_eq!(
            csv_row(&nameless(&row(1)), &Fields::default()).unwrap(),
            "t001,delete_account,,,,,pending,1970-01-01T00:00:01Z,,,,\r\n"
        );
        assert!(!html("status=held", false, false).contains("checkbox"));
    }

    #[test]
    fn only_held_or_rejected_tasks_can_be_selected() {
        let held = html("status=held", true, false);
        assert!(
            held.contains("action=\"/apps/hr/actions/release\"")
                && held.contains("value=\"t007\" aria-label=\"Choose Person 992\""),
            "{held}"
        );
        assert!(html("status=rejected", true, false).contains("/apps/hr/actions/retry"));
        assert!(!html("status=failed", true, false).contains("checkbox"));
    }

    #[test]
    fn only_the_needed_number_of_tasks_is_read() {
        let needed = |query: &str| which(&Fields::read(query.as_bytes())).2;
        assert_eq!(
            [needed(""), needed("page=3"), needed("page=999999"), needed("sort=name"), needed("q=x")],
            [50, 150, 10_000, 10_000, 10_000].map(Some)
        );
        assert_eq!(which(&Fields::read(b"status=%3Cb%3E")).0, "pending");
    }

    #[test]
    fn names_and_reasons_are_escaped() {
        const NASTY: &str = "<script>\"'&";
        let mut nasty = row(1);
        for text in
            [&mut nasty.action, &mut nasty.email, &mut nasty.display_name, &mut nasty.reason, &mut nasty.code]
        {
            *text = Some(NASTY.into());
        }
        nasty.task = NASTY.into();
        let fields = Fields::of([("status", "failed"), ("q", NASTY), ("sort", NASTY)]);
        let frame = Frame { is_signed_in: true, ..Frame::default() };
        let end = ListingEnd { without_names: Some(NASTY.into()), ..ListingEnd::default() };
        let html =
            TaskList { name: NASTY, rows: Ok((&[nasty], &end)), fields: &fields }.render(&frame).unwrap();
        assert!(
            !html.contains("<script>")
                && !html.contains("\"'&")
                && html.matches("&lt;script&gt;").count() > 8,
            "{html}"
        );
        let failed =
            TaskList { name: "hr", rows: Err(NASTY.into()), fields: &fields }.render(&frame).unwrap();
        assert!(!failed.contains("<script>") && failed.contains("role=\"alert\""), "{failed}");
    }
}
