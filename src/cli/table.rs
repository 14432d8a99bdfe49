//! Tables for people: an identifier or a time is never split over two lines, so that it can be copied.

use std::fmt::Write;
use std::io::IsTerminal;

use comfy_table::{ColumnConstraint, ContentArrangement, presets};
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// The minimum width of a prose column, in characters.
const NARROWEST: usize = 12;
/// The space between two columns.
const GAP: usize = 2;

/// A table with headings. If the terminal is too narrow for it, prose columns are wrapped, and if that is not enough, each record is shown
/// separately. Without a terminal, every row is one line of any length, so that it can be filtered.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    headings: Vec<String>,
    prose: Vec<bool>,
    rows: Vec<Vec<String>>,
}

/// A table with these headings.
pub(crate) fn table<'a>(headings: impl IntoIterator<Item = &'a str>) -> Table {
    let headings: Vec<String> = headings.into_iter().map(str::to_uppercase).collect();
    Table { prose: vec![false; headings.len()], headings, rows: Vec::new() }
}

/// A time: short and in local time on a terminal, otherwise in UTC and to the second.
pub(crate) fn time(at: Timestamp) -> String {
    if std::io::stdout().is_terminal() {
        at.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M").to_string()
    } else {
        format!("{at:.0}")
    }
}

/// The same to the second, where several things happen within a minute.
pub(crate) fn second(at: Timestamp) -> String {
    if std::io::stdout().is_terminal() {
        at.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string()
    } else {
        format!("{at:.0}")
    }
}

/// Prints a line of CSV (RFC 4180).
pub(crate) fn csv_row(cells: &[impl AsRef<[u8]>]) {
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    // Writing to memory cannot fail.
    if writer.write_record(cells).is_ok()
        && let Ok(line) = writer.into_inner()
    {
        super::print::raw(&line);
    }
}

/// The width of the terminal; `None` if there is none.
pub(crate) fn terminal_width() -> Option<usize> {
    comfy_table::Table::new().width().map(usize::from)
}

impl Table {
    /// Marks the last columns, this many, as prose that may be wrapped between words.
    pub(crate) fn with_prose(mut self, columns: usize) -> Self {
        let first = self.headings.len().saturating_sub(columns);
        self.prose.iter_mut().skip(first).for_each(|prose| *prose = true);
        self
    }

    /// Adds a row. Invisible characters in a cell are escaped, so that it cannot forge another row.
    pub(crate) fn add_row(&mut self, cells: impl IntoIterator<Item = impl ToString>) {
        let visible = |cell: String| bridgehead_sdk::visible(&cell).into_owned();
        self.rows.push(cells.into_iter().map(|cell| visible(cell.to_string())).collect());
    }

    /// The table in the form that fits here, without a trailing newline.
    pub(crate) fn trim_fmt(&self) -> String {
        self.fit(terminal_width())
    }

    fn fit(&self, width: Option<usize>) -> String {
        let Some(width) = width else {
            return self.drawn(usize::from(u16::MAX));
        };
        let widths = self.plain().column_max_content_widths();
        let needed = widths.iter().zip(&self.prose).map(|(widest, prose)| {
            let widest = usize::from(*widest);
            GAP + if *prose { widest.min(NARROWEST) } else { widest }
        });
        if needed.sum::<usize>() <= width { self.drawn(width) } else { self.records() }
    }

    fn plain(&self) -> comfy_table::Table {
        let mut table = comfy_table::Table::new();
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
        table.set_header(self.headings.clone());
        table.add_rows(self.rows.clone());
        table
    }

    fn drawn(&self, width: usize) -> String {
        let mut table = self.plain();
        table.set_width(u16::try_from(width).unwrap_or(u16::MAX));
        for (column, _) in self.prose.iter().enumerate().filter(|(_, prose)| !**prose) {
            if let Some(column) = table.column_mut(column) {
                column.set_constraint(ColumnConstraint::ContentWidth);
            }
        }
        table.trim_fmt()
    }

    /// Separate records, with one field per line. The terminal wraps long lines, and nothing is inserted into them.
    fn records(&self) -> String {
        let widest = self.headings.iter().map(|heading| heading.chars().count()).max().unwrap_or(0);
        let mut text = String::new();
        for row in &self.rows {
            for (heading, cell) in self.headings.iter().zip(row) {
                // Writing to a string cannot fail.
                writeln!(text, " {heading:widest$}  {cell}").ok();
            }
            text.push('\n');
        }
        text.trim_end().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "6f1c3f1e-52b1-4e0e-9f0a-3c1f7a0b9d11";

    fn example() -> Table {
        let mut table = table(["app", "task", "said"]).with_prose(1);
        let said = "the target did not respond within a minute, and nobody knows whether it heard";
        table.add_row(["hr", ID, said]);
        table
    }

    #[test]
    fn ids_are_never_split_at_any_width() {
        for width in [1, 20, 40, 60, 80, 120, 200] {
            let text = example().fit(Some(width));
            assert_eq!(text.matches(ID).count(), 1, "{width}: {text}");
        }
    }

    #[test]
    fn text_wraps_before_the_table_becomes_records() {
        let text = example().fit(Some(80));
        assert!(text.starts_with(" APP  TASK") && text.lines().count() > 2, "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        let text = example().fit(Some(50));
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!((lines[0], lines[1]), (" APP   hr", &*format!(" TASK  {ID}")));
        assert!(lines[2].ends_with("whether it heard"), "{text}");
    }

    #[test]
    fn each_row_is_one_line_without_a_terminal() {
        let text = example().fit(None);
        assert_eq!(text.lines().count(), 2);
        assert!(text.ends_with("whether it heard"), "{text}");
    }

    #[test]
    fn cells_cannot_forge_rows() {
        let mut shown = table(["task", "action"]);
        shown.add_row(["1", "create\n2  delete_account\u{1b}[1A"]);
        let text = shown.fit(None);
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(text.contains("create\\n2") && !text.contains('\u{1b}'), "{text}");
    }
}
