//! The files of a new connector.

use super::super::failure::Failure;
use super::name::Name;
use super::source::Source;

/// The language of a connector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Language {
    /// A crate, with its own daemon.
    Rust,
    /// A program for the connector `exec` that uses only the standard library.
    Python,
    /// A program for the connector `exec` that uses only Node.js.
    Node,
}

/// The system that the generated connector connects to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Template {
    /// A web API, with a small sample API.
    Http,
    /// A JSON file; only for Rust.
    File,
}

/// A file to write.
#[derive(Debug)]
pub(super) struct File {
    /// Relative to the new folder.
    pub(super) path: String,
    pub(super) text: String,
}

macro_rules! templates {
    ($folder:literal: $($path:literal <- $file:literal),* $(,)?) => {
        &[$(($path, include_str!(concat!("templates/", $folder, "/", $file)))),*]
    };
}

type Files = &'static [(&'static str, &'static str)];

/// The files of every crate.
const RUST: Files = templates!("rust":
    ".gitignore" <- "gitignore",
    "src/main.rs" <- "src/main.rs",
    "systemd/bridgehead-@@name@@.service" <- "systemd/connector.service",
);

const RUST_HTTP: Files = templates!("rust-http":
    "Cargo.toml" <- "Cargo.toml.template",
    "README.md" <- "README.md",
    "src/lib.rs" <- "src/lib.rs",
    "src/settings.rs" <- "src/settings.rs",
    "src/connector.rs" <- "src/connector.rs",
    "src/api.rs" <- "src/api.rs",
    "examples/sample_api.rs" <- "examples/sample_api.rs",
    "tests/conformance.rs" <- "tests/conformance.rs",
    "tests/recorded.rs" <- "tests/recorded.rs",
    "tests/recordings/listing.json" <- "tests/recordings/listing.json",
    "config/@@name@@.toml" <- "config/connector.toml",
);

const RUST_FILE: Files = templates!("rust-file":
    "Cargo.toml" <- "Cargo.toml.template",
    "README.md" <- "README.md",
    "src/lib.rs" <- "src/lib.rs",
    "src/settings.rs" <- "src/settings.rs",
    "src/connector.rs" <- "src/connector.rs",
    "src/target.rs" <- "src/target.rs",
    "tests/conformance.rs" <- "tests/conformance.rs",
    "config/@@name@@.toml" <- "config/connector.toml",
    "config/people.json" <- "config/people.json",
);

const PYTHON: Files = templates!("python":
    "README.md" <- "README.md",
    "@@name@@.py" <- "connector.py",
    "bridgehead.py" <- "bridgehead.py",
    "sample_api.py" <- "sample_api.py",
    "@@name@@.toml" <- "connector.toml",
);

const NODE: Files = templates!("node":
    "README.md" <- "README.md",
    "@@name@@.mjs" <- "connector.mjs",
    "bridgehead.mjs" <- "bridgehead.mjs",
    "sample-api.mjs" <- "sample-api.mjs",
    "@@name@@.toml" <- "connector.toml",
);

/// The files of a crate.
pub(super) fn rust(template: Template, name: &Name, source: &Source) -> Result<Vec<File>, Failure> {
    let (files, features): (_, &[&str]) = match template {
        Template::Http => (RUST_HTTP, &["http"]),
        Template::File => (RUST_FILE, &[]),
    };
    let places = [("sdk", source.sdk(features)), ("kit", source.kit()), ("daemon", source.daemon())];
    let lock = source.lock()?.map(|text| File { path: "Cargo.lock".to_owned(), text });
    let own = files.iter().chain(RUST).map(|file| filled(file, name, &places));
    Ok(own.chain(lock).chain(source.vendored()?).collect())
}

/// The files of a program in Python.
pub(super) fn python(name: &Name) -> Vec<File> {
    PYTHON.iter().map(|file| filled(file, name, &[])).collect()
}

/// The files of a program for Node.js.
pub(super) fn node(name: &Name) -> Vec<File> {
    NODE.iter().map(|file| filled(file, name, &[])).collect()
}

fn filled((path, text): &(&str, &str), name: &Name, places: &[(&str, String)]) -> File {
    let fill = |text: &str| {
        let named = text
            .replace("@@name@@", name.as_str())
            .replace("@@identifier@@", &name.identifier())
            .replace("@@variable@@", &name.variable());
        places.iter().fold(named, |text, (place, value)| text.replace(&format!("@@{place}@@"), value))
    };
    File { path: fill(path), text: fill(text) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bridgehead_config::Connectors;

    fn count(folder: &std::path::Path) -> usize {
        let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        entries.map(|path| if path.is_dir() { count(&path) } else { 1 }).sum()
    }

    #[test]
    fn all_templates_are_written_without_placeholders() {
        let name = Name::new("sap-hr", &Connectors::new()).unwrap();
        let source = Source::Git {
            url: "https://git.example.com/bridgehead.git".to_owned(),
            revision: "v1".to_owned(),
        };
        let crates = [Template::Http, Template::File].map(|template| rust(template, &name, &source).unwrap());
        let written: usize = RUST.len();
        let files: Vec<File> = crates.into_iter().flatten().chain(python(&name)).chain(node(&name)).collect();
        for file in &files {
            assert!(!file.path.contains("@@") && !file.text.contains("@@"), "{}", file.path);
            assert!(!file.text.trim().is_empty(), "{}", file.path);
        }
        let templates = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cli/new/templates");
        // Both crates contain the files of every crate.
        assert_eq!(count(&templates), files.len() - written);
    }
}
