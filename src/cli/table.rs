//! Tables for people.

use comfy_table::{ContentArrangement, Table, presets};

/// A table with headings that fits the terminal.
pub(crate) fn table<'a>(headings: impl IntoIterator<Item = &'a str>) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(headings.into_iter().map(str::to_uppercase).collect::<Vec<_>>());
    if table.width().is_none() {
        // Not a terminal: a line a row, however long, so that it can be filtered.
        table.set_width(u16::MAX);
    }
    table
}
