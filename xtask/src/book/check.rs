//! Checks that every link of the built book works, and that nothing in it is loaded from another host.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;

use crate::failure::{Failure, Result};

/// Checks all pages, and returns how many links they have.
pub(super) fn check(book: &Path) -> Result<usize> {
    let mut files = Vec::new();
    walk(book, &mut files)?;
    let mut pages = BTreeMap::new();
    for path in files.iter().filter(|path| is(path, "html")) {
        pages.insert(path.clone(), fs::read_to_string(path).map_err(Failure::of(path))?);
    }
    let mut wrong = Vec::new();
    let count = links(&pages, &files.iter().cloned().collect(), &mut wrong)?;
    for path in files.iter().filter(|path| is(path, "css") || is(path, "html")) {
        let text = fs::read_to_string(path).map_err(Failure::of(path))?;
        wrong.extend(foreign(&text)?.into_iter().map(|what| format!("{}: loads {what}", path.display())));
    }
    if wrong.is_empty() {
        return Ok(count);
    }
    Err(Failure::Unfit(format!("the book has faults:\n{}", wrong.join("\n"))))
}

fn is(path: &Path, kind: &str) -> bool {
    path.extension().is_some_and(|extension| extension == kind)
}

fn walk(folder: &Path, into: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).map_err(Failure::of(folder))?.flatten() {
        if entry.path().is_dir() {
            walk(&entry.path(), into)?;
        } else {
            into.push(entry.path());
        }
    }
    Ok(())
}

fn pattern(text: &str) -> Result<Regex> {
    Regex::new(text).map_err(|error| Failure::Unfit(error.to_string()))
}

/// Finds broken links. The page with all chapters is for printing, and the error page has no fixed location.
fn links(
    pages: &BTreeMap<PathBuf, String>,
    files: &BTreeSet<PathBuf>,
    wrong: &mut Vec<String>,
) -> Result<usize> {
    let (link, id) = (pattern(r#"<a [^>]*href="([^"]+)""#)?, pattern(r#" id="([^"]+)""#)?);
    let anchors: BTreeMap<&PathBuf, BTreeSet<&str>> = pages
        .iter()
        .map(|(path, text)| {
            (path, id.captures_iter(text).filter_map(|found| Some(found.get(1)?.as_str())).collect())
        })
        .collect();
    let mut count = 0;
    let own = pages.iter().filter(|(path, _)| !path.ends_with("print.html") && !path.ends_with("404.html"));
    for (page, text) in own {
        for found in link.captures_iter(text) {
            let target = found[1].replace("&amp;", "&");
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            count += 1;
            let (path, anchor) = target.split_once('#').unwrap_or((&target, ""));
            let file = match path {
                "" => page.clone(),
                path => normal(page.parent().unwrap_or(Path::new("")), path),
            };
            let at = || format!("{}: {target}", page.display());
            if !files.contains(&file) {
                wrong.push(format!("{} leads to no file", at()));
            } else if !anchor.is_empty() && anchors.get(&file).is_some_and(|known| !known.contains(anchor)) {
                wrong.push(format!("{} leads to no heading", at()));
            }
        }
    }
    Ok(count)
}

fn normal(folder: &Path, link: &str) -> PathBuf {
    let mut path = folder.to_owned();
    for part in link.split('/') {
        match part {
            ".." => {
                path.pop();
            }
            "." | "" => {}
            name => path.push(name),
        }
    }
    path
}

/// Resources that a browser would load from another host.
fn foreign(text: &str) -> Result<Vec<String>> {
    let loads = pattern(
        r#"(?:<(?:script|img|iframe|source|video)[^>]* src="|<link[^>]* href="|url\(['"]?|@import ['"])((?:https?:)?//[^"')]+)"#,
    )?;
    Ok(loads.captures_iter(text).map(|found| found[1].to_owned()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_loaded_from_another_host_is_reported() {
        let text = r#"<link rel="x" href="https://a.example/x.css"> <a href="https://fine.example">x</a> <script src="//b.example/x.js">"#;
        assert_eq!(foreign(text).unwrap(), ["https://a.example/x.css", "//b.example/x.js"]);
    }

    #[test]
    fn links_without_a_file_or_a_heading_are_reported() {
        let page = |text: &str| text.to_owned();
        let pages: BTreeMap<PathBuf, String> = [
            ("b/a.html".into(), page(r##"<h1 id="top">x</h1><a href="#top">x</a><a href="#no">x</a><a href="../c.html#yes">x</a>"##)),
            ("c.html".into(), page(r#"<h1 id="yes">x</h1><a class="y" href="b/gone.html">x</a><a href="b/a.html#nor">x</a>"#)),
        ]
        .into();
        let mut wrong = Vec::new();
        let files = pages.keys().cloned().collect();
        assert_eq!(links(&pages, &files, &mut wrong).unwrap(), 5);
        let expected = [
            "b/a.html: #no leads to no heading",
            "c.html: b/gone.html leads to no file",
            "c.html: b/a.html#nor leads to no heading",
        ];
        assert_eq!(wrong, expected);
    }
}
