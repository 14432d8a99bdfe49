//! The book contains every page of `docs/`.

use std::path::PathBuf;

use crate::pages;

#[test]
fn every_documentation_page_is_in_the_book() {
    let summary = pages::read("docs/SUMMARY.md");
    let chapters: Vec<PathBuf> =
        summary.links.iter().map(|(_, link)| PathBuf::from("docs").join(link)).collect();
    let missing: Vec<PathBuf> = pages::files(&["docs"], &[".md"])
        .into_iter()
        .filter(|path| !path.ends_with("SUMMARY.md") && !chapters.contains(path))
        .collect();
    assert!(missing.is_empty(), "docs/SUMMARY.md lacks {missing:?}");
}
