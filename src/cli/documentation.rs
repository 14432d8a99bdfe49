//! The location of the documentation: installed by a package, or in the source tree.

use std::path::Path;

/// Where packages install it.
const INSTALLED: &str = "/usr/share/doc/bridgehead";

/// The explanation of alarms.
pub(super) fn alarms() -> String {
    place(Path::new(INSTALLED), "docs/alarms.md", "docs/alarms.md")
}

/// The example configuration with all keys.
pub(super) fn configuration() -> String {
    place(Path::new(INSTALLED), "examples/bridgehead.toml", "config/bridgehead.toml")
}

/// The chapters about connectors.
pub(super) fn connectors() -> String {
    place(Path::new(INSTALLED), "docs/connectors/", "docs/connectors/")
}

/// The path of an installed file or folder, or its path in the source tree if it is not installed.
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
