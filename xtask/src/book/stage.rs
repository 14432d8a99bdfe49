//! Prepares the input of mdBook: `docs/`, and the files elsewhere in the repository that it links to, in the same locations. Links
//! therefore need no change.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};

use pulldown_cmark::{Event, Options, Parser, Tag};

use crate::failure::{Failure, Result};

const SUMMARY: &str = "docs/SUMMARY.md";

/// Copies everything that the book needs, and returns the number of chapters.
pub(super) fn stage(root: &Path, into: &Path) -> Result<usize> {
    if into.exists() {
        fs::remove_dir_all(into).map_err(Failure::of(into))?;
    }
    let summary = read(root, Path::new(SUMMARY))?;
    let chapters = links(Path::new(SUMMARY), &summary);
    let (mut known, mut waiting) = (BTreeSet::new(), chapters.clone());
    while let Some(path) = waiting.pop() {
        if !known.insert(path.clone()) {
            continue;
        }
        let (from, to) = (root.join(&path), into.join("src").join(&path));
        if !from.is_file() {
            return Err(Failure::Unfit(format!("{} is linked to, and is not a file", path.display())));
        }
        let folder = to.parent().unwrap_or(into);
        fs::create_dir_all(folder).map_err(Failure::of(folder))?;
        fs::copy(&from, &to).map_err(Failure::of(&from))?;
        if path.extension().is_some_and(|kind| kind == "md") {
            if !chapters.contains(&path) {
                return Err(Failure::Unfit(format!(
                    "{} is linked to, and is no chapter of {SUMMARY}",
                    path.display()
                )));
            }
            waiting.extend(links(&path, &read(root, &path)?));
        }
    }
    // The chapters have paths from the root of the book.
    let summary = moved(&summary);
    fs::write(into.join("src/SUMMARY.md"), summary).map_err(Failure::of(into))?;
    fs::copy(root.join("book.toml"), into.join("book.toml")).map_err(Failure::of(into))?;
    Ok(chapters.len())
}

fn read(root: &Path, path: &Path) -> Result<String> {
    let path = root.join(path);
    fs::read_to_string(&path).map_err(Failure::of(&path))
}

/// The targets of a page's links within the repository.
fn links(page: &Path, text: &str) -> Vec<PathBuf> {
    let folder = page.parent().unwrap_or(Path::new(""));
    let targets = Parser::new_ext(text, Options::ENABLE_TABLES).filter_map(|event| match event {
        Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
            Some(dest_url.into_string())
        }
        _ => None,
    });
    let own = targets
        .filter(|link| !link.contains("://") && !link.starts_with("mailto:") && !link.starts_with('#'));
    own.map(|link| normal(&folder.join(link.split('#').next().unwrap_or_default()))).collect()
}

/// The path without `.` and `..`.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                normal.pop();
            }
            Component::CurDir => {}
            other => normal.push(other),
        }
    }
    normal
}

/// The table of contents, with its links changed from relative to `docs/` to relative to the root.
fn moved(summary: &str) -> String {
    let line = |line: &str| match line.rsplit_once("](") {
        Some((title, link)) => {
            let path = normal(&Path::new("docs").join(link.trim_end_matches(')')));
            format!("{title}]({})\n", path.display())
        }
        None => format!("{line}\n"),
    };
    summary.lines().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chapters_are_named_from_the_root() {
        let text = "# Summary\n\n[Home](../README.md)\n- [A](a/b.md)\n";
        assert_eq!(moved(text), "# Summary\n\n[Home](README.md)\n- [A](docs/a/b.md)\n");
    }

    #[test]
    fn links_are_read_as_files_of_the_repository() {
        let text = "[a](b.md#c) [x](../README.md) [y](https://example.org) [z](#here)";
        assert_eq!(
            links(Path::new("docs/a.md"), text),
            [PathBuf::from("docs/b.md"), PathBuf::from("README.md")]
        );
    }
}
