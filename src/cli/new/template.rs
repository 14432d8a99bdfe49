//! The files of a new connector.

use super::name::Name;
use super::source::Source;

/// In what a connector is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Language {
    /// A crate, with a daemon of its own.
    Rust,
    /// A program behind the connector `exec`, with nothing but the standard library.
    Python,
}

/// A file as it is written.
#[derive(Debug)]
pub(super) struct File {
    /// From the new folder.
    pub(super) path: String,
    pub(super) text: String,
}

macro_rules! templates {
    ($folder:literal: $($path:literal <- $file:literal),* $(,)?) => {
        [$(($path, include_str!(concat!("templates/", $folder, "/", $file)))),*]
    };
}

const RUST: [(&str, &str); 11] = templates!("rust":
    "Cargo.toml" <- "Cargo.toml.template",
    ".gitignore" <- "gitignore",
    "README.md" <- "README.md",
    "src/lib.rs" <- "src/lib.rs",
    "src/main.rs" <- "src/main.rs",
    "src/settings.rs" <- "src/settings.rs",
    "src/connector.rs" <- "src/connector.rs",
    "src/target.rs" <- "src/target.rs",
    "tests/conformance.rs" <- "tests/conformance.rs",
    "config/@@name@@.toml" <- "config/connector.toml",
    "config/people.json" <- "config/people.json",
);
const UNIT: (&str, &str) =
    ("systemd/bridgehead-@@name@@.service", include_str!("templates/rust/systemd/connector.service"));

const PYTHON: [(&str, &str); 5] = templates!("python":
    "README.md" <- "README.md",
    "@@name@@.py" <- "connector.py",
    "@@name@@.toml" <- "connector.toml",
    "people.json" <- "people.json",
    "cut-short.json" <- "cut-short.json",
);

/// The files of a crate.
pub(super) fn rust(name: &Name, source: &Source) -> Vec<File> {
    let places = [("sdk", source.sdk(false)), ("kit", source.sdk(true)), ("daemon", source.daemon())];
    let lock = source.lock().map(|text| File { path: "Cargo.lock".to_owned(), text });
    RUST.iter().chain([&UNIT]).map(|file| filled(file, name, &places)).chain(lock).collect()
}

/// The files of a program.
pub(super) fn python(name: &Name) -> Vec<File> {
    PYTHON.iter().map(|file| filled(file, name, &[])).collect()
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
    use crate::config::Connectors;

    fn count(folder: &std::path::Path) -> usize {
        let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        entries.map(|path| if path.is_dir() { count(&path) } else { 1 }).sum()
    }

    #[test]
    fn nothing_is_left_to_fill_in_and_no_template_is_left_out() {
        let name = Name::new("sap-hr", &Connectors::new()).unwrap();
        let source = Source::Git("https://git.example.com/bridgehead.git".to_owned());
        let files: Vec<File> = rust(&name, &source).into_iter().chain(python(&name)).collect();
        for file in &files {
            assert!(!file.path.contains("@@") && !file.text.contains("@@"), "{}", file.path);
            assert!(!file.text.trim().is_empty(), "{}", file.path);
        }
        let templates = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cli/new/templates");
        assert_eq!(count(&templates), files.len());
    }
}
