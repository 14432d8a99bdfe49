//! Secrets that are answered: where they are kept. None ever stands in the configuration.

use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use bridgehead_config::Secret;

/// A secret, and where the daemon finds it.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) secret: SecretString,
    /// What the configuration says.
    pub(super) reference: Value,
    /// The file that is to be written, if it was typed.
    pub(super) file: Option<PathBuf>,
}

/// How an answer begins that says where a secret is.
const ENV: &str = "env:";
const FILE: &str = "file:";
const CREDENTIAL: &str = "credential:";

impl Kept {
    /// Takes an answer: a place, which is read now, or else the secret itself, for which a file is chosen in `folder`.
    pub(super) fn take(
        line: &str,
        name: &str,
        folder: &Path,
        environment: &BTreeMap<String, String>,
    ) -> Result<Self, String> {
        let line = line.trim();
        let (place, reference) = if let Some(name) = line.strip_prefix(ENV) {
            (Secret::Env { name: name.to_owned() }, json!({ "env": name }))
        } else if let Some(path) = line.strip_prefix(FILE) {
            let path = std::path::absolute(path).map_err(|error| format!("{path}: {error}"))?;
            let reference = json!({ "file": path.to_string_lossy() });
            (Secret::File { path }, reference)
        } else if let Some(name) = line.strip_prefix(CREDENTIAL) {
            (Secret::Credential { name: name.to_owned() }, json!({ "credential": name }))
        } else {
            let name = free(folder, name, line);
            let reference = json!({ "file": name });
            return Ok(Self { secret: line.into(), reference, file: Some(folder.join(name)) });
        };
        let secret = place.read(environment).map_err(|error| error.to_string())?;
        Ok(Self { secret, reference, file: None })
    }

    /// Writes the file of a secret that was typed, for its owner alone. One that holds the same already stays.
    pub(super) fn store(&self) -> std::io::Result<()> {
        let Some(path) = &self.file else { return Ok(()) };
        if holds(path, self.secret.expose_secret()) {
            return Ok(());
        }
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(self.secret.expose_secret().as_bytes())?;
        file.write_all(b"\n")?;
        file.sync_all()
    }
}

/// A name that no file in the folder has yet, unless it holds this very secret.
fn free(folder: &Path, name: &str, secret: &str) -> String {
    let mut candidate = name.to_owned();
    let mut number = 1;
    while folder.join(&candidate).symlink_metadata().is_ok() && !holds(&folder.join(&candidate), secret) {
        number += 1;
        candidate = format!("{name}-{number}");
    }
    candidate
}

fn holds(path: &Path, secret: &str) -> bool {
    std::fs::read(path).is_ok_and(|bytes| bytes.strip_suffix(b"\n") == Some(secret.as_bytes()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_typed_secret_goes_to_a_file_of_its_own_and_none_is_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let none = BTreeMap::new();
        let take = |secret: &str| Kept::take(secret, "hr.password", folder.path(), &none).unwrap();
        let first = take("hunter2");
        assert_eq!(first.reference, json!({ "file": "hr.password" }));
        first.store().unwrap();
        let path = folder.path().join("hr.password");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        take("hunter2").store().unwrap();
        let other = take("hunter3");
        assert_eq!(other.reference, json!({ "file": "hr.password-2" }));
        other.store().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "hunter2\n");
        assert!(!format!("{first:?}").contains("hunter2"));
    }

    #[test]
    fn a_place_is_read_at_once_and_referred_to() {
        let folder = tempfile::tempdir().unwrap();
        let environment = BTreeMap::from([("HR_PASSWORD".to_owned(), "hunter2".to_owned())]);
        let kept = Kept::take("env:HR_PASSWORD", "x", folder.path(), &environment).unwrap();
        assert_eq!(
            (kept.secret.expose_secret(), kept.reference),
            ("hunter2", json!({ "env": "HR_PASSWORD" }))
        );
        let missing = Kept::take("env:HR_OTHER", "x", folder.path(), &environment).unwrap_err();
        assert!(missing.contains("HR_OTHER is not set"), "{missing}");
    }
}
