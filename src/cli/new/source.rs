//! The location of bridgehead's own crates. They are not on crates.io, so a custom connector refers to a checkout or a repository.

use std::io::Read;
use std::path::{Path, PathBuf};

use super::super::failure::{Exit, Failure};
use super::template::File;

/// The file that identifies a checkout.
const SDK: &str = "connectors/sdk/Cargo.toml";

/// The path of the included source in the new folder.
pub(super) const VENDORED: &str = "vendor/bridgehead";

/// How Cargo finds the crates.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// A folder with the source; absolute.
    Checkout(PathBuf),
    /// A git repository, at a revision.
    Git { url: String, revision: String },
    /// The source that this program was built from and includes.
    Carried,
}

impl Source {
    /// The specified source; without one, the checkout in which this program was built or is run, or else the included source.
    pub(super) fn find(said: Option<&str>, revision: Option<&str>) -> Result<Self, Failure> {
        let Some(said) = said else {
            let near = [std::env::current_exe().ok(), std::env::current_dir().ok()];
            let found = near.into_iter().flatten().find_map(|path| checkout_above(&path));
            return Ok(found.map_or(Self::Carried, Self::Checkout));
        };
        if said.contains("://") || said.starts_with("git@") {
            let revision = revision.ok_or_else(|| {
                let message = format!(
                    "--sdk {said}: pass the tag or commit with --rev, such as --rev v{}; otherwise a later \
                     build would use different source from the one you tested",
                    env!("CARGO_PKG_VERSION")
                );
                Failure::new(Exit::Usage, message)
            })?;
            return Ok(Self::Git { url: said.to_owned(), revision: revision.to_owned() });
        }
        if revision.is_some() {
            return Err(Failure::new(
                Exit::Usage,
                "--rev only applies to the URL of a git repository; a checkout already has a revision",
            ));
        }
        let folder = std::fs::canonicalize(said).map_err(|error| {
            Failure::new(
                Exit::Usage,
                format!("--sdk {said}: {error}; pass the path of a bridgehead checkout"),
            )
        })?;
        if folder.join(SDK).is_file() {
            return Ok(Self::Checkout(folder));
        }
        Err(Failure::new(
            Exit::Usage,
            format!("--sdk {said} is not a bridgehead checkout: it does not contain {SDK}"),
        ))
    }

    /// The SDK dependency with these features, as a value in Cargo.toml.
    pub(super) fn sdk(&self, features: &[&str]) -> String {
        let listed: Vec<String> = features.iter().map(|feature| format!("\"{feature}\"")).collect();
        let features =
            if listed.is_empty() { String::new() } else { format!(", features = [{}]", listed.join(", ")) };
        self.dependency("connectors/sdk", &features)
    }

    /// The dependency on the conformance kit, as a value in Cargo.toml.
    pub(super) fn kit(&self) -> String {
        self.dependency("connectors/conformance", "")
    }

    /// The dependency on the daemon without connectors but with the kit and the sandbox, as a value in Cargo.toml.
    pub(super) fn daemon(&self) -> String {
        self.dependency("", r#", default-features = false, features = ["conformance", "sandbox"]"#)
    }

    /// The Cargo.lock with the versions of all other dependencies that bridgehead was tested with.
    pub(super) fn lock(&self) -> Result<Option<String>, Failure> {
        Ok(match self {
            Self::Checkout(root) => std::fs::read_to_string(root.join("Cargo.lock")).ok(),
            Self::Git { .. } => None,
            Self::Carried => carried()?
                .into_iter()
                .find(|file| file.path.ends_with("/bridgehead/Cargo.lock"))
                .map(|file| file.text),
        })
    }

    /// The source itself, if the crate includes it.
    pub(super) fn vendored(&self) -> Result<Vec<File>, Failure> {
        if *self == Self::Carried { carried() } else { Ok(Vec::new()) }
    }

    fn dependency(&self, folder: &str, more: &str) -> String {
        let joined = |root: &Path| if folder.is_empty() { root.to_owned() } else { root.join(folder) };
        let (key, place) = match self {
            Self::Checkout(root) => ("path", joined(root).display().to_string()),
            Self::Carried => ("path", joined(Path::new(VENDORED)).display().to_string()),
            Self::Git { url, .. } => ("git", url.clone()),
        };
        let revision = match self {
            Self::Git { revision, .. } => format!(", rev = {}", toml::Value::from(revision.as_str())),
            _ => String::new(),
        };
        format!("{{ {key} = {}{revision}{more} }}", toml::Value::from(place))
    }
}

/// The source that this program was built from; `build.rs` packs it.
fn carried() -> Result<Vec<File>, Failure> {
    const PACKED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/source.tar.gz"));
    let broken = |error: std::io::Error| {
        Failure::new(
            Exit::Failed,
            format!("cannot unpack the source included in this program: {error}; pass --sdk PATH"),
        )
    };
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(PACKED));
    let entries = archive.entries().map_err(broken)?;
    let unpack = |entry: std::io::Result<tar::Entry<'_, _>>| {
        let mut entry = entry?;
        let path = format!("{VENDORED}/{}", entry.path()?.display());
        let mut text = String::new();
        entry.read_to_string(&mut text)?;
        Ok(File { path, text })
    };
    entries.map(unpack).collect::<std::io::Result<_>>().map_err(broken)
}

fn checkout_above(path: &Path) -> Option<PathBuf> {
    path.ancestors().find(|folder| folder.join(SDK).is_file()).map(Path::to_path_buf)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repository_and_checkout_are_distinguished() {
        let git = Source::find(Some("https://git.example.com/bridgehead.git"), Some("v0.1.0")).unwrap();
        assert_eq!(
            git.sdk(&["http", "tls"]),
            r#"{ git = "https://git.example.com/bridgehead.git", rev = "v0.1.0", features = ["http", "tls"] }"#
        );
        let checkout = Source::find(Some(env!("CARGO_MANIFEST_DIR")), None).unwrap();
        let sdk: toml::Value = toml::from_str(&format!("sdk = {}", checkout.sdk(&[]))).unwrap();
        assert!(Path::new(sdk["sdk"]["path"].as_str().unwrap()).join("Cargo.toml").is_file());
        let daemon: toml::Value = toml::from_str(&format!("daemon = {}", checkout.daemon())).unwrap();
        assert_eq!(daemon["daemon"]["default-features"].as_bool(), Some(false));
    }

    #[test]
    fn repository_requires_a_revision_and_checkout_refuses_one() {
        let refused =
            |said: &str, revision| Source::find(Some(said), revision).unwrap_err().message().to_owned();
        assert!(
            refused("https://git.example.com/bridgehead.git", None)
                .contains("pass the tag or commit with --rev")
        );
        assert!(
            refused(env!("CARGO_MANIFEST_DIR"), Some("v1")).contains("a checkout already has a revision")
        );
    }

    #[test]
    fn embedded_source_has_exactly_what_a_crate_needs() {
        let files = Source::Carried.vendored().unwrap();
        for path in [
            "Cargo.toml",
            "src/lib.rs",
            "connectors/sdk/Cargo.toml",
            "connectors/sdk/src/lib.rs",
            "connectors/ldap/Cargo.toml",
        ] {
            let file = files.iter().find(|file| file.path == format!("{VENDORED}/{path}"));
            let same = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
            assert_eq!(file.map(|file| file.text.as_str()), Some(same.as_str()), "{path}");
        }
        let strange = files.iter().find(|file| {
            file.path.contains("/tests/")
                && !file.path.contains("/src/")
                && !file.path.ends_with("servers/Cargo.toml")
        });
        assert!(strange.is_none(), "{strange:?}");
        assert!(Source::Carried.lock().unwrap().is_some_and(|lock| lock.contains("name = \"tokio\"")));
    }

    /// Files that are included at compile time must be packed too, or the crate does not compile where only the program is installed.
    #[test]
    fn files_included_by_embedded_source_are_embedded() {
        let files = Source::Carried.vendored().unwrap();
        let mut included = 0;
        for file in files.iter().filter(|file| {
            Path::new(&file.path).extension().is_some_and(|ending| ending == "rs")
                && !file.path.contains("templates/")
        }) {
            // Tests of a dependency are not compiled.
            let code = file.text.split("#[cfg(test)]").next().unwrap_or_default();
            let names = code.split("include_str!(\"").skip(1).filter_map(|rest| rest.split_once("\")"));
            for (name, _) in names {
                let mut path = Path::new(&file.path).parent().unwrap().to_path_buf();
                for part in name.split('/') {
                    if part == ".." { assert!(path.pop()) } else { path.push(part) }
                }
                assert!(
                    files.iter().any(|file| Path::new(&file.path) == path),
                    "{}: {}",
                    file.path,
                    path.display()
                );
                included += 1;
            }
        }
        assert!(included >= 5, "the demo's people at least: {included}");
    }

    #[test]
    fn invalid_source_is_explained() {
        let folder = tempfile::tempdir().unwrap();
        let refused = |said: &Path| Source::find(said.to_str(), None).unwrap_err().message().to_owned();
        assert!(refused(folder.path()).contains("is not a bridgehead checkout"));
        assert!(refused(&folder.path().join("x")).contains("pass the path of a bridgehead checkout"));
    }
}
