//! Links within the repository. External links are not checked: tests do not use the network.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use crate::pages;

/// The path without `.` and `..`.
fn normal(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut path, part| {
        match part {
            Component::ParentDir => drop(path.pop()),
            Component::CurDir => {}
            other => path.push(other),
        }
        path
    })
}

#[test]
fn every_link_leads_to_an_existing_file_and_heading() {
    let pages = pages::all();
    let anchors: BTreeMap<&Path, &Vec<String>> =
        pages.iter().map(|page| (page.path.as_path(), &page.anchors)).collect();
    let (mut broken, mut count) = (Vec::new(), 0);
    for page in &pages {
        let own = page.links.iter().filter(|(_, link)| !link.contains("://") && !link.starts_with("mailto:"));
        for (line, link) in own {
            count += 1;
            let at = format!("{}:{line}: {link}", page.path.display());
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let folder = page.path.parent().expect("a folder");
            let target = if path.is_empty() { page.path.clone() } else { normal(&folder.join(path)) };
            if !pages::root().join(&target).is_file() {
                broken.push(format!("{at}: there is no such file"));
            } else if !anchor.is_empty()
                && anchors.get(target.as_path()).is_some_and(|known| !known.iter().any(|one| one == anchor))
            {
                broken.push(format!("{at}: the page has no such heading"));
            }
        }
    }
    assert!(broken.is_empty(), "broken links:\n{}", broken.join("\n"));
    assert!(count > 200, "only {count} links were found");
}
