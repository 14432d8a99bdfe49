//! Rows of tasks for people: who, what, and how many of how many.

use super::{print, table};
use bridgehead_runtime::audit::csv_cell;
use bridgehead_runtime::inspection::{ListingEnd, TaskRow, Which};

/// The tasks of an app that are shown.
pub(super) struct Shown {
    pub(super) app: String,
    pub(super) rows: Vec<TaskRow>,
    pub(super) end: ListingEnd,
}

/// Prints them with notes on each, their number, and what to do.
pub(super) fn show(which: &Which, shown: &[Shown]) {
    table_of(shown.iter().flat_map(|of| &of.rows));
    for row in shown.iter().flat_map(|of| &of.rows) {
        for text in [&row.reason, &row.detail].into_iter().flatten() {
            print::line(format!("{}: {}", row.task, print::visible(text)));
        }
    }
    print::line("");
    for of in shown {
        print::line(count(which, &of.app, &of.end));
    }
    for of in shown.iter().filter(|of| of.rows.iter().any(|row| row.held_since.is_some())) {
        print::line(advice(which, of));
    }
}

/// Prints a table of tasks.
pub(super) fn table_of<'a>(rows: impl Iterator<Item = &'a TaskRow>) {
    let mut shown = table::table(["app", "task", "action", "account", "who", "status", "created"]);
    for row in rows {
        let text = |text: &Option<String>| text.as_deref().map_or_else(|| "-".to_owned(), print::visible);
        let created = row.created_at.map_or_else(|| "-".to_owned(), table::time);
        shown.add_row([
            print::visible(&row.app),
            print::visible(&row.task),
            text(&row.action),
            text(&row.account),
            print::visible(&who(row)),
            print::visible(&status(row)),
            created,
        ]);
    }
    print::line(shown.trim_fmt());
}

/// The columns of a CSV file.
pub(super) const COLUMNS: [&str; 13] = [
    "app",
    "task",
    "action",
    "account",
    "username",
    "email",
    "display_name",
    "status",
    "created_at",
    "held_since",
    "code",
    "reason",
    "detail",
];

/// A task as a line of CSV.
pub(super) fn cells(row: &TaskRow) -> [String; 13] {
    let text = |text: &Option<String>| csv_cell(text.as_deref().unwrap_or_default());
    let at = |at: Option<jiff::Timestamp>| at.map(|at| at.to_string()).unwrap_or_default();
    [
        csv_cell(&row.app),
        csv_cell(&row.task),
        text(&row.action),
        text(&row.account),
        text(&row.username),
        text(&row.email),
        text(&row.display_name),
        text(&row.status),
        at(row.created_at),
        at(row.held_since),
        text(&row.code),
        text(&row.reason),
        text(&row.detail),
    ]
}

/// The names of the account, except for the one that is shown anyway.
pub(super) fn who(row: &TaskRow) -> String {
    let mut names: Vec<&str> = Vec::new();
    for name in [&row.display_name, &row.username, &row.email].into_iter().flatten() {
        if row.account.as_deref() != Some(name) && !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    if names.is_empty() { "-".to_owned() } else { names.join(", ") }
}

fn status(row: &TaskRow) -> String {
    let status = row.status.as_deref().unwrap_or("-");
    match (&row.held_since, &row.code) {
        (Some(_), _) => "held".to_owned(),
        (None, Some(code)) if !status.ends_with(code.as_str()) => format!("{status} {code}"),
        _ => status.to_owned(),
    }
}

/// How many of how many are shown.
fn count(which: &Which, app: &str, end: &ListingEnd) -> String {
    let what = |total: u64| {
        let s = if total == 1 { "" } else { "s" };
        match which {
            Which::Held => format!("held task{s}"),
            Which::Rejected => format!("report{s} that Iden refused"),
            Which::Status(status) => format!("{status} task{s}"),
        }
    };
    let more = "use `--limit N` to show more, `--json` to list all";
    match (end.more, end.total) {
        (true, Some(total)) => format!("{app}: {} of {total} {}; {more}", end.shown, what(total)),
        (true, None) => format!("{app}: {} {}, and there are more; {more}", end.shown, what(end.shown)),
        (false, _) => format!("{app}: {0} of {0} {1}", end.shown, what(end.shown)),
    }
}

fn advice(which: &Which, of: &Shown) -> String {
    let app = &of.app;
    let expect = match (which, of.end.total) {
        (Which::Held, Some(total)) => format!(" --expect {total}"),
        _ => String::new(),
    };
    format!(
        "Held in {app}: more deletions and suspensions than apps.{app}.tasks.guard allows. If they are \
         intended, release them with `bridgehead tasks release {app} TASK…` or `bridgehead tasks release \
         {app} --all{expect}`; otherwise cancel them in Iden."
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use bridgehead_bridge::TaskStatus;

    #[test]
    fn shown_and_total_counts_are_always_stated() {
        let end = |shown, total, more| ListingEnd { shown, total, more, without_names: None };
        let said = |which, end| count(&which, "hr", &end);
        assert_eq!(
            said(Which::Held, end(50, Some(1234), true)),
            "hr: 50 of 1234 held tasks; use `--limit N` to show more, `--json` to list all"
        );
        assert_eq!(said(Which::Held, end(1, Some(1), false)), "hr: 1 of 1 held task");
        assert_eq!(
            said(Which::Status(TaskStatus::Failed), end(50, None, true)),
            "hr: 50 failed tasks, and there are more; use `--limit N` to show more, `--json` to list all"
        );
    }

    #[test]
    fn each_name_is_shown_once() {
        let name = |text: &str| Some(text.to_owned());
        let row = TaskRow {
            account: name("u1"),
            username: name("ann"),
            email: name("ann@example.org"),
            display_name: name("Ann Example"),
            ..TaskRow::default()
        };
        assert_eq!(who(&row), "Ann Example, ann, ann@example.org");
        let row = TaskRow { account: name("ann"), username: name("ann"), display_name: name("ann"), ..row };
        assert_eq!(who(&row), "ann@example.org");
    }

    #[test]
    fn failed_task_shows_its_code() {
        let status_of = |status: &str, code: &str| {
            let (status, code) = (Some(status.to_owned()), Some(code.to_owned()));
            super::status(&TaskRow { status, code, ..TaskRow::default() })
        };
        assert_eq!(status_of("failed", "TIMEOUT"), "failed TIMEOUT");
        assert_eq!(status_of("failed TIMEOUT", "TIMEOUT"), "failed TIMEOUT");
    }
}
