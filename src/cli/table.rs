//! Tables for people.

use comfy_table::{ContentArrangement, presets};

/// A table, each row on lines of its own: what is not visible in a cell is written out.
pub(crate) struct Table(comfy_table::Table);

/// A table with headings that fits the terminal.
pub(crate) fn table<'a>(headings: impl IntoIterator<Item = &'a str>) -> Table {
    let mut table = comfy_table::Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(headings.into_iter().map(str::to_uppercase).collect::<Vec<_>>());
    if table.width().is_none() {
        // Not a terminal: a line a row, however long, so that it can be filtered.
        table.set_width(u16::MAX);
    }
    Table(table)
}

impl Table {
    /// Adds a row.
    pub(crate) fn add_row(&mut self, cells: impl IntoIterator<Item = impl ToString>) {
        let visible = |cell: String| bridgehead_sdk::visible(&cell).into_owned();
        self.0.add_row(cells.into_iter().map(|cell| visible(cell.to_string())).collect::<Vec<_>>());
    }

    /// The table as text, without blanks at the ends of lines.
    pub(crate) fn trim_fmt(&self) -> String {
        self.0.trim_fmt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_cannot_forge_a_row() {
        let mut shown = table(["task", "action"]);
        shown.add_row(["1", "create\n2  delete_account\u{1b}[1A"]);
        let text = shown.trim_fmt();
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(text.contains("create\\n2") && !text.contains('\u{1b}'), "{text}");
    }
}
