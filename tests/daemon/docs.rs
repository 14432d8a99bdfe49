//! The tables of keys in `docs/` match the schemas. `UPDATE=1` rewrites them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use regex::Regex;

const BEGIN: &str = "<!-- keys -->\n";
const END: &str = "<!-- /keys -->";

/// Each page, and the name of the schema whose keys it shows.
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
    assert!(stale.is_empty(), "UPDATE=1 rewrites these: {}", stale.join(", "));
}

#[test]
fn every_connector_has_a_page() {
    let output = Command::new(env!("CARGO_BIN_EXE_bridgehead"))
        .args(["config", "schema"])
        .output()
        .expect("the binary runs");
    let schema: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let connectors = &schema["properties"]["apps"]["additionalProperties"]["properties"]["connector"]["enum"];
    let connectors = connectors.as_array().expect("the connectors");
    assert!(connectors.len() >= 7, "{connectors:?}");
    let pages = pages();
    for connector in connectors {
        assert!(
            pages.iter().any(|(_, name)| name == connector),
            "docs/connectors/ has no page for {connector}"
        );
    }
}

/// Operators need to know this before using a connector: which products it was tested with, and what it cannot verify.
#[test]
fn connector_pages_state_tested_products_and_limits() {
    for (path, name) in
        pages().into_iter().filter(|(_, name)| !["simulated", "conformance"].contains(&&**name))
    {
        let page = std::fs::read_to_string(&path).expect("a page");
        let section = page
            .split("\n## Tested with\n")
            .nth(1)
            .unwrap_or_else(|| panic!("{name}: not tested with anything"));
        let section = section.split("\n## ").next().unwrap_or_default();
        for part in ["must be like.**", "cannot know.**"] {
            assert!(section.contains(part), "{name}: the section 'Tested with' does not say what … {part}");
        }
    }
}

/// The words that a reader sees in a file, on one line, because comments and strings run over line breaks.
fn words(path: &Path) -> String {
    // Unit tests are at the end of a file, and may use any words.
    static UNIT_TESTS: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"#\[cfg\(test\)\]\s*(#\[[^\]]*\]\s*)*mod \w+ \{").expect("a pattern"));
    static JOINED: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"\\?\n\s*(///|//!|//|#|\*)?\s*").expect("a pattern"));
    let text = std::fs::read_to_string(path).expect("a text");
    let text = UNIT_TESTS.split(&text).next().unwrap_or_default();
    JOINED.replace_all(text, " ").to_lowercase()
}

/// The files below a folder that people read, except tests.
fn read_by_people(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        if path.is_dir() {
            if !["tests", "contract", "target"].contains(&name.as_str()) {
                read_by_people(&path, into);
            }
            continue;
        }
        let of_tests = name.ends_with("tests.rs")
            || name.ends_with("_model.rs")
            || ["fakes.rs", "fuzz.rs"].contains(&&*name);
        let is_prose = ["rs", "md", "html", "toml", "py", "mjs"]
            .iter()
            .any(|kind| path.extension().is_some_and(|extension| extension == *kind));
        if is_prose && !of_tests {
            into.push(path);
        }
    }
}

#[test]
fn retired_words_do_not_come_back() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let list = std::fs::read_to_string(root.join("docs/retired-words.txt")).expect("the list");
    let retired: Vec<(Regex, &str, &str)> = list
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| {
            let (old, new) = line.split_once(" => ").unwrap_or_else(|| panic!("no replacement: {line}"));
            let pattern = format!(r"(^|[^\w-]){}($|[^\w-])", regex::escape(&old.to_lowercase()));
            (Regex::new(&pattern).expect("a pattern"), old, new)
        })
        .collect();
    assert!(retired.len() > 40, "{} words are retired", retired.len());
    let mut files = vec![root.join("README.md")];
    for folder in ["src", "connectors", "crates", "config", "docs"] {
        read_by_people(&root.join(folder), &mut files);
    }
    assert!(files.len() > 300, "{} files were found", files.len());
    let mut found = Vec::new();
    for file in &files {
        let words = words(file);
        // Most words occur nowhere, so a substring search first saves running the pattern.
        let is_in = |(pattern, old, _): &&(Regex, &str, &str)| {
            words.contains(&old.to_lowercase()) && pattern.is_match(&words)
        };
        for (_, old, new) in retired.iter().filter(is_in) {
            let file = file.strip_prefix(root).unwrap_or(file).display();
            found.push(format!("{file}: \"{old}\"; write: {new}"));
        }
    }
    assert!(found.is_empty(), "docs/retired-words.txt has retired these:\n{}", found.join("\n"));
}

/// The page that lists every module.
const MODULES: &str = "docs/modules.md";

/// The folders that contain modules, and what each of them is.
const CRATES: [(&str, &str); 16] = [
    ("src", "bridgehead: the command, the control socket, the listener"),
    ("crates/runtime/src", "bridgehead-runtime"),
    ("crates/bridge/src", "bridgehead-bridge"),
    ("crates/store/src", "bridgehead-store"),
    ("crates/config/src", "bridgehead-config"),
    ("crates/resilience/src", "bridgehead-resilience"),
    ("crates/sandbox/src", "bridgehead-sandbox"),
    ("connectors/sdk/src", "bridgehead-sdk"),
    ("connectors/conformance/src", "bridgehead-conformance"),
    ("connectors/exec/src", "bridgehead-exec"),
    ("connectors/file/src", "bridgehead-file"),
    ("connectors/http/src", "bridgehead-http"),
    ("connectors/ldap/src", "bridgehead-ldap"),
    ("connectors/scim/src", "bridgehead-scim"),
    ("connectors/simulated/src", "bridgehead-simulated"),
    ("connectors/sql/src", "bridgehead-sql"),
];

/// The first sentence of a module's documentation, or `None` if it has none.
fn first_sentence(file: &Path) -> Option<String> {
    let text = std::fs::read_to_string(file).expect("a source file");
    let lines = text.lines().map_while(|line| line.strip_prefix("//!")).map(str::trim);
    let paragraph: Vec<&str> = lines.take_while(|line| !line.is_empty()).collect();
    let paragraph = paragraph.join(" ");
    // A dot within a name such as `bridgehead.toml` does not end the sentence.
    let sentence = paragraph.split(". ").next().unwrap_or_default().trim_end_matches('.');
    let plain =
        Regex::new(r"\[(`[^`]+`)\](\([^)]*\))?").expect("a pattern").replace_all(sentence, "$1").into_owned();
    (!plain.is_empty()).then(|| plain.replace('|', "\\|"))
}

fn modules(folder: &Path, into: &mut Vec<PathBuf>) {
    let entries = std::fs::read_dir(folder).expect("a folder").flatten().map(|entry| entry.path());
    for path in entries {
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        if path.is_dir() && !["tests", "templates", "contract", "migrations"].contains(&&*name) {
            modules(&path, into);
        } else if path.extension().is_some_and(|kind| kind == "rs")
            && !name.contains("test")
            && !name.contains("model.rs")
        {
            into.push(path);
        }
    }
}

#[test]
fn every_module_says_in_one_line_what_it_is() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut page = String::from(
        "# Modules\n\nOne line for every module, from its own documentation. `UPDATE=1` writes this page again. [ARCHITECTURE.md](ARCHITECTURE.md)\n\
         explains how they work together.\n",
    );
    let mut silent = Vec::new();
    for (folder, title) in CRATES {
        let mut files = Vec::new();
        modules(&root.join(folder), &mut files);
        files.sort();
        page.extend(["\n## ", title, "\n\n| module | what it is |\n|---|---|\n"]);
        for file in files {
            let name = file.strip_prefix(root.join(folder)).expect("a module of the crate");
            let name = name.display().to_string();
            let name = name.trim_end_matches(".rs").trim_end_matches("/mod");
            match first_sentence(&file) {
                Some(sentence) => page.extend(["| `", name, "` | ", &sentence, " |\n"]),
                // The SDK's documentation is its README.
                None if folder == "connectors/sdk/src" && name == "lib" => {}
                None => silent.push(format!("{folder}/{name}")),
            }
        }
    }
    assert!(silent.is_empty(), "these modules do not say what they are: {}", silent.join(", "));
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(root.join(MODULES), &page).expect("the page is written");
    }
    let there = std::fs::read_to_string(root.join(MODULES)).unwrap_or_default();
    assert!(there == page, "UPDATE=1 writes {MODULES} again");
}
