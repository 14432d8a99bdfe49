//! The Markdown files of the repository and their contents.

use std::path::{Path, PathBuf};

use pulldown_cmark::{CodeBlockKind, CowStr, Event, HeadingLevel, Options, Parser, Tag, TagEnd};

/// Marks the reason why a block is not run, in a comment directly before it.
const NOT_RUN: &str = "<!-- not run: ";

/// A block of code.
#[derive(Debug)]
pub(crate) struct Block {
    /// The line on which its content starts.
    pub(crate) line: usize,
    pub(crate) language: String,
    pub(crate) text: String,
    /// Why it is not run.
    pub(crate) excuse: Option<String>,
}

/// A page.
#[derive(Debug, Default)]
pub(crate) struct Page {
    /// Relative to the repository.
    pub(crate) path: PathBuf,
    pub(crate) blocks: Vec<Block>,
    /// Code within sentences and tables, with its line.
    pub(crate) spans: Vec<(usize, String)>,
    /// Targets of links and images, with their line.
    pub(crate) links: Vec<(usize, String)>,
    /// Anchors within the page, as GitHub names them.
    pub(crate) anchors: Vec<String>,
    pub(crate) title: String,
}

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file below these folders with one of these endings, relative to the repository.
pub(crate) fn files(folders: &[&str], endings: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for folder in folders {
        walk(&root().join(folder), endings, &mut found);
    }
    found.sort();
    found.into_iter().map(|path| path.strip_prefix(root()).expect("below it").to_owned()).collect()
}

fn walk(path: &Path, endings: &[&str], into: &mut Vec<PathBuf>) {
    if path.is_dir() {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if ["target", "node_modules", "vendor"].contains(&&*name) || name.starts_with('.') {
            return;
        }
        for entry in std::fs::read_dir(path).expect("a folder").flatten() {
            walk(&entry.path(), endings, into);
        }
    } else if endings.iter().any(|ending| path.to_string_lossy().ends_with(ending)) {
        into.push(path.to_owned());
    }
}

/// All pages, except those that `bridgehead new` writes.
pub(crate) fn all() -> Vec<Page> {
    let folders =
        ["docs", "connectors", "crates", "config", "packaging", "systemd", "tests", "fuzz", "xtask"];
    let mut paths = files(&folders, &[".md"]);
    paths.extend(["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"].map(PathBuf::from));
    assert!(paths.len() > 50, "{} pages", paths.len());
    paths.into_iter().map(read).collect()
}

/// One page.
pub(crate) fn read(path: impl Into<PathBuf>) -> Page {
    let path = path.into();
    let text = std::fs::read_to_string(root().join(&path)).expect("a page");
    parse(path, &text)
}

fn parse(path: PathBuf, text: &str) -> Page {
    let mut page = Page { path, ..Page::default() };
    let line = |at: usize| text[..at].matches('\n').count() + 1;
    let (mut heading, mut code, mut excuse) = (None::<String>, None::<Block>, None::<String>);
    for (event, range) in Parser::new_ext(text, Options::ENABLE_TABLES).into_offset_iter() {
        match event {
            Event::Start(Tag::Heading { level, .. }) => {
                heading = Some(String::new());
                if level == HeadingLevel::H1 && page.title.is_empty() {
                    text[range].trim_start_matches('#').trim().clone_into(&mut page.title);
                }
            }
            Event::End(TagEnd::Heading(_)) => {
                let anchor = anchor(&heading.take().unwrap_or_default());
                let same = page.anchors.iter().filter(|known| **known == anchor).count();
                page.anchors.push(if same == 0 { anchor } else { format!("{anchor}-{same}") });
            }
            Event::Start(Tag::CodeBlock(kind)) => {
                let language = match kind {
                    CodeBlockKind::Fenced(info) => info.into_string(),
                    CodeBlockKind::Indented => String::new(),
                };
                let line = line(range.start) + 1;
                code = Some(Block { line, language, text: String::new(), excuse: excuse.take() });
            }
            Event::End(TagEnd::CodeBlock) => page.blocks.extend(code.take()),
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                page.links.push((line(range.start), dest_url.into_string()));
            }
            Event::Html(html) => excuse = reason(&html).or(excuse),
            Event::Code(span) => {
                page.spans.push((line(range.start), span.to_string()));
                if let Some(heading) = &mut heading {
                    heading.push_str(&span);
                }
            }
            Event::Text(said) => said_in(&said, &mut heading, &mut code),
            Event::Start(Tag::Paragraph) => excuse = None,
            _ => {}
        }
    }
    page
}

fn said_in(said: &CowStr<'_>, heading: &mut Option<String>, code: &mut Option<Block>) {
    if let Some(block) = code {
        block.text.push_str(said);
    } else if let Some(heading) = heading {
        heading.push_str(said);
    }
}

fn reason(html: &str) -> Option<String> {
    Some(html.strip_prefix(NOT_RUN)?.split("-->").next()?.trim().to_owned())
}

/// The anchor that GitHub and mdBook generate for a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().chars().filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect::<String>().to_lowercase()
}
