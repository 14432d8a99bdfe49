//! Where the documentation is: the packages install it, and else it is in the source.

use std::path::Path;

/// Where packages put it.
const INSTALLED: &str = "/usr/share/doc/bridgehead";

/// What explains alarms.
pub(super) fn alarms() -> String {
    place(Path::new(INSTALLED), "docs/alarms.md", "docs/alarms.md")
}

/// The configuration with all keys.
pub(super) fn configuration() -> String {
    place(Path::new(INSTALLED), "examples/bridgehead.toml", "config/bridgehead.toml")
}

/// The chapters about connectors.
pub(super) fn connectors() -> String {
    place(Path::new(INSTALLED), "docs/connectors/", "docs/connectors/")
}

/// A file or folder as it is installed, or as the source has it where it is not.
fn place(installed: &Path, name: &str, source: &str) -> String {
    let path = installed.join(name);
    if path.exists() { path.display().to_string() } else { source.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_installed_is_named_by_its_whole_path() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(place(folder.path(), "examples/x.toml", "config/x.toml"), "config/x.toml");
        std::fs::create_dir(folder.path().join("examples")).unwrap();
        std::fs::write(folder.path().join("examples/x.toml"), "").unwrap();
        let whole = folder.path().join("examples/x.toml");
        assert_eq!(place(folder.path(), "examples/x.toml", "config/x.toml"), whole.to_str().unwrap());
    }
}
