//! Packs this crate's own source, so that an installed `bridgehead new` can write crates that are compiled against it; and makes the
//! chapter about alarms a part of the page.

use std::io::{Error, Result};
use std::path::{Path, PathBuf};

use pulldown_cmark::html::push_html;
use pulldown_cmark::{Event as Markdown, HeadingLevel, Options, Parser, Tag, TagEnd};

/// What a crate that is compiled against this one needs. Cargo reads the manifests of what is needed for tests alone, too.
const PACKED: [&str; 10] = [
    "Cargo.toml",
    "Cargo.lock",
    "LICENSE",
    "build.rs",
    "src",
    "connectors",
    "crates",
    "tests/servers",
    // The page has it inside.
    ALARMS,
    // The demo has them inside.
    "config/examples/people",
];
/// The chapter that explains each alarm.
const ALARMS: &str = "docs/alarms.md";
/// Whose files are written as they are, whatever they are called.
const TEMPLATES: &str = "src/cli/new/templates";

fn main() -> Result<()> {
    let root = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    let file = std::fs::File::create(PathBuf::from(variable("OUT_DIR")?).join("source.tar.gz"))?;
    let mut archive = tar::Builder::new(flate2::write::GzEncoder::new(file, flate2::Compression::best()));
    archive.mode(tar::HeaderMode::Deterministic);
    for name in PACKED {
        println!("cargo::rerun-if-changed={name}");
        let path = root.join(name);
        if path.exists() {
            pack(&mut archive, &root, &path)?;
        }
    }
    archive.into_inner()?.finish()?;
    let chapter = std::fs::read_to_string(root.join(ALARMS))?;
    std::fs::write(PathBuf::from(variable("OUT_DIR")?).join("alarms.html"), page(&chapter))
}

/// A chapter as HTML. Links into other chapters become plain words: those are not served.
fn page(chapter: &str) -> String {
    let mut events: Vec<Markdown<'_>> = Parser::new_ext(chapter, Options::ENABLE_TABLES).collect();
    // The title is the page's own.
    let title =
        events.iter().position(|event| matches!(event, Markdown::End(TagEnd::Heading(HeadingLevel::H1))));
    events.drain(..title.map_or(0, |end| end + 1));
    let mut is_elsewhere = false;
    for at in 0..events.len() {
        let name = match events.get(at + 1) {
            Some(Markdown::Text(text)) => Some(text.clone()),
            _ => None,
        };
        match &mut events[at] {
            Markdown::Start(Tag::Heading { id, .. }) => *id = name,
            Markdown::Start(Tag::Link { dest_url, .. }) if !dest_url.starts_with('#') => {
                is_elsewhere = true;
                events[at] = Markdown::Start(Tag::Emphasis);
            }
            Markdown::End(TagEnd::Link) if std::mem::take(&mut is_elsewhere) => {
                events[at] = Markdown::End(TagEnd::Emphasis);
            }
            _ => {}
        }
    }
    let mut html = String::new();
    push_html(&mut html, events.into_iter());
    html
}

fn pack(archive: &mut tar::Builder<impl std::io::Write>, root: &Path, path: &Path) -> Result<()> {
    // Tests of a dependency are never compiled; hidden files are what a run has left behind.
    let is_template = path.starts_with(root.join(TEMPLATES));
    let is_left_out = |name: &std::ffi::OsStr| {
        name == "tests" || name == "target" || name.as_encoded_bytes().starts_with(b".")
    };
    if !is_template && path.file_name().is_some_and(is_left_out) {
        return Ok(());
    }
    if !path.is_dir() {
        return archive.append_path_with_name(path, path.strip_prefix(root).map_err(Error::other)?);
    }
    let mut entries: Vec<PathBuf> =
        std::fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    entries.sort();
    entries.iter().try_for_each(|entry| pack(archive, root, entry))
}

fn variable(name: &str) -> Result<String> {
    std::env::var(name).map_err(|error| Error::other(format!("{name}: {error}")))
}
