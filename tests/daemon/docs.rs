//! The tables of keys in `docs/` are what the schemas say. `UPDATE=1` writes them anew.

use std::path::{Path, PathBuf};
use std::process::Command;

const BEGIN: &str = "<!-- keys -->\n";
const END: &str = "<!-- /keys -->";

/// The page, and whose keys it shows.
fn pages() -> Vec<(PathBuf, String)> {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let connectors = std::fs::read_dir(docs.join("connectors")).expect("the pages").flatten();
    let mut pages: Vec<(PathBuf, String)> = connectors
        .map(|entry| {
            let name = entry.path().file_stem().expect("a name").to_string_lossy().into_owned();
            (entry.path(), name)
        })
        .collect();
    pages.push((docs.join("connector-author.md"), "conformance".to_owned()));
    pages.sort();
    pages
}

fn keys(name: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_bridgehead"))
        .args(["config", "schema", "--markdown", name])
        .output()
        .expect("the binary runs");
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[test]
fn the_tables_of_keys_are_what_the_schemas_say() {
    let mut stale = Vec::new();
    for (page, name) in pages() {
        let text = std::fs::read_to_string(&page).expect("a page");
        let shown = page.display();
        let (before, rest) = text.split_once(BEGIN).unwrap_or_else(|| panic!("{shown} has no line {BEGIN}"));
        let (table, after) = rest.split_once(END).unwrap_or_else(|| panic!("{shown} has no line {END}"));
        let keys = keys(&name);
        for line in keys.lines().skip(2) {
            let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
            assert!(cells.len() == 4 && !cells[1].is_empty(), "{name}: {line}");
            assert!(!cells[3].is_empty(), "{name}: nobody says what {} means", cells[0]);
        }
        if table == keys {
            continue;
        }
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&page, format!("{before}{BEGIN}{keys}{END}{after}")).expect("the page is written");
        } else {
            stale.push(shown.to_string());
        }
    }
    assert!(stale.is_empty(), "UPDATE=1 writes these anew: {}", stale.join(", "));
}
