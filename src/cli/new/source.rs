//! Where bridgehead's own crates are. They are not on crates.io, so a connector of one's own names a checkout or a repository.

use std::path::{Path, PathBuf};

use super::super::failure::{Exit, Failure};

/// What makes a folder a checkout.
const SDK: &str = "connectors/sdk/Cargo.toml";

/// How Cargo finds the crates.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// A folder with the source; absolute.
    Checkout(PathBuf),
    /// The URL of a git repository.
    Git(String),
}

impl Source {
    /// What was said; if nothing was, the checkout that this program was built in, or in which it is called.
    pub(super) fn find(said: Option<&str>) -> Result<Self, Failure> {
        let Some(said) = said else {
            let near = [std::env::current_exe().ok(), std::env::current_dir().ok()];
            let found = near.into_iter().flatten().find_map(|path| checkout_above(&path));
            return found.map(Self::Checkout).ok_or_else(|| {
                let message = "where is bridgehead's source? A connector is compiled against it: say --sdk PATH with a checkout, \
                               or --sdk URL with a git repository";
                Failure::new(Exit::Usage, message)
            });
        };
        if said.contains("://") || said.starts_with("git@") {
            return Ok(Self::Git(said.to_owned()));
        }
        let folder = std::fs::canonicalize(said).map_err(|error| {
            Failure::new(Exit::Usage, format!("--sdk {said}: {error}; name a checkout of bridgehead"))
        })?;
        if folder.join(SDK).is_file() {
            return Ok(Self::Checkout(folder));
        }
        Err(Failure::new(
            Exit::Usage,
            format!("--sdk {said} is no checkout of bridgehead: there is no {SDK} in it"),
        ))
    }

    /// The contract, as a value in Cargo.toml; with the kit if it is wanted.
    pub(super) fn sdk(&self, with_kit: bool) -> String {
        self.dependency("connectors/sdk", if with_kit { ", features = [\"conformance\"]" } else { "" })
    }

    /// The daemon without connectors, as a value in Cargo.toml.
    pub(super) fn daemon(&self) -> String {
        self.dependency("", ", default-features = false")
    }

    /// The versions of everything else that bridgehead was tested with, as Cargo.lock; a checkout has them.
    pub(super) fn lock(&self) -> Option<String> {
        match self {
            Self::Checkout(root) => std::fs::read_to_string(root.join("Cargo.lock")).ok(),
            Self::Git(_) => None,
        }
    }

    fn dependency(&self, folder: &str, more: &str) -> String {
        let (key, place) = match self {
            Self::Checkout(root) if folder.is_empty() => ("path", root.display().to_string()),
            Self::Checkout(root) => ("path", root.join(folder).display().to_string()),
            Self::Git(url) => ("git", url.clone()),
        };
        format!("{{ {key} = {}{more} }}", toml::Value::from(place))
    }
}

fn checkout_above(path: &Path) -> Option<PathBuf> {
    path.ancestors().find(|folder| folder.join(SDK).is_file()).map(Path::to_path_buf)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_and_a_checkout_are_told_apart() {
        let git = Source::find(Some("https://git.example.com/bridgehead.git")).unwrap();
        assert_eq!(
            git.sdk(true),
            r#"{ git = "https://git.example.com/bridgehead.git", features = ["conformance"] }"#
        );
        let checkout = Source::find(Some(env!("CARGO_MANIFEST_DIR"))).unwrap();
        let sdk: toml::Value = toml::from_str(&format!("sdk = {}", checkout.sdk(false))).unwrap();
        assert!(Path::new(sdk["sdk"]["path"].as_str().unwrap()).join("Cargo.toml").is_file());
        let daemon: toml::Value = toml::from_str(&format!("daemon = {}", checkout.daemon())).unwrap();
        assert_eq!(daemon["daemon"]["default-features"].as_bool(), Some(false));
    }

    #[test]
    fn what_is_neither_gets_a_sentence() {
        let folder = tempfile::tempdir().unwrap();
        let refused = |said: &Path| Source::find(said.to_str()).unwrap_err().message().to_owned();
        assert!(refused(folder.path()).contains("is no checkout of bridgehead"));
        assert!(refused(&folder.path().join("x")).contains("name a checkout of bridgehead"));
    }
}
