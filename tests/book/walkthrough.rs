//! The walkthrough names functions that exist.

use crate::pages;

fn source(file: &str) -> String {
    std::fs::read_to_string(pages::root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

#[test]
fn functions_of_the_walkthrough_exist() {
    let page = source("docs/walkthrough.md");
    let places: Vec<(&str, &str)> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`')?.0.rsplit_once(':'))
        .collect();
    assert!(places.len() > 40, "the walkthrough has lost its lines");
    let is_there = |(file, name): &&(&str, &str)| {
        let code = source(file);
        ["fn", "struct"]
            .iter()
            .any(|kind| ["(", "<", " "].iter().any(|next| code.contains(&format!("{kind} {name}{next}"))))
    };
    let missing: Vec<_> = places.iter().filter(|place| !is_there(place)).collect();
    assert!(missing.is_empty(), "docs/walkthrough.md names functions that do not exist: {missing:?}");
}
