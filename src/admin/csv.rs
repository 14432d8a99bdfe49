//! Lists as CSV (RFC 4180) for spreadsheets: text that would be a formula there stays text.

/// Writes a header and rows.
pub(super) fn write(head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut text = line(head.iter().map(|cell| (*cell).to_owned()));
    for row in rows {
        text.push_str(&line(row));
    }
    text
}

/// One line.
pub(super) fn line(cells: impl IntoIterator<Item = String>) -> String {
    let cells: Vec<String> = cells.into_iter().map(|cell| quoted(&harmless(cell))).collect();
    cells.join(",") + "\r\n"
}

/// Adds an apostrophe before a cell that looks like a formula. Numbers are not changed.
fn harmless(cell: String) -> String {
    let is_formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r']) && cell.parse::<f64>().is_err();
    if is_formula { format!("'{cell}") } else { cell }
}

fn quoted(cell: &str) -> String {
    if cell.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csv_cells_are_quoted_and_formulas_neutralized() {
        let rows = [
            vec!["a,b".to_owned(), "say \"hi\"\nthere".to_owned()],
            vec!["=1+1".to_owned(), "-5".to_owned()],
        ];
        let text = write(&["Name", "What"], rows);
        assert_eq!(text, "Name,What\r\n\"a,b\",\"say \"\"hi\"\"\nthere\"\r\n'=1+1,-5\r\n");
        assert_eq!(
            line(["@x".into(), "+cmd|' /C calc'!A0".into(), String::new()]),
            "'@x,'+cmd|' /C calc'!A0,\r\n"
        );
    }
}
