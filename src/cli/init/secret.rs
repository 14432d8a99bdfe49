//! Secrets in answers, and where they are stored: never in the configuration itself.

use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use bridgehead_config::Secret;

/// A secret and its location for the daemon.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) secret: SecretString,
    /// The reference in the configuration.
    pub(super) reference: Value,
    /// The file to write, if the secret was typed.
    pub(super) file: Option<PathBuf>,
}

/// The name of the user that the service runs as; see systemd/sysusers.conf.
pub(super) const SERVICE_USER: &str = "bridgehead";

/// The prefixes of an answer that specifies the location of a secret.
const ENV: &str = "env:";
const FILE: &str = "file:";
const CREDENTIAL: &str = "credential:";

impl Kept {
    /// Parses an answer: a location, which is read immediately, or the secret itself, for which a file in `folder` is chosen.
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

    /// Writes the file of a typed secret, readable only by its owner. A file with the same content stays unchanged. It belongs to `owner`,
    /// a user and a group, if given.
    pub(super) fn store(&self, owner: Option<(u32, u32)>) -> std::io::Result<()> {
        let Some(path) = &self.file else { return Ok(()) };
        if holds(path, self.secret.expose_secret()) {
            return Ok(());
        }
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        if let Some((user, group)) = owner {
            std::os::unix::fs::fchown(&file, Some(user), Some(group))?;
        }
        file.write_all(self.secret.expose_secret().as_bytes())?;
        file.write_all(b"\n")?;
        file.sync_all()
    }
}

/// The user that the service runs as, from the content of /etc/passwd.
pub(super) fn service_user(passwd: &str) -> Option<(u32, u32)> {
    let line = passwd.lines().find_map(|line| line.strip_prefix(SERVICE_USER)?.strip_prefix(':'))?;
    let mut fields = line.split(':').skip(1);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

/// A file name that is not used in the folder yet, unless the file contains this same secret.
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
    fn typed_secret_is_stored_in_a_new_file() {
        let folder = tempfile::tempdir().unwrap();
        let none = BTreeMap::new();
        let take = |secret: &str| Kept::take(secret, "hr.password", folder.path(), &none).unwrap();
        let first = take("hunter2");
        assert_eq!(first.reference, json!({ "file": "hr.password" }));
        first.store(None).unwrap();
        let path = folder.path().join("hr.password");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        take("hunter2").store(None).unwrap();
        let other = take("hunter3");
        assert_eq!(other.reference, json!({ "file": "hr.password-2" }));
        other.store(None).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "hunter2\n");
        assert!(!format!("{first:?}").contains("hunter2"));
    }

    #[test]
    fn secret_files_written_by_root_belong_to_the_service_user() {
        use std::os::unix::fs::MetadataExt;
        let passwd =
            "root:x:0:0::/root:/bin/sh\nbridgehead-x:x:1:1::/:/bin/sh\nbridgehead:x:991:992::/:/bin/false\n";
        assert_eq!(service_user(passwd), Some((991, 992)));
        assert_eq!(service_user("bridgehead-x:x:1:1::/:/bin/sh\n"), None);
        let folder = tempfile::tempdir().unwrap();
        let kept = Kept::take("hunter2", "key", folder.path(), &BTreeMap::new()).unwrap();
        let own = std::fs::metadata(folder.path()).unwrap();
        let owner = if own.uid() == 0 { (991, 992) } else { (own.uid(), own.gid()) };
        kept.store(Some(owner)).unwrap();
        let found = std::fs::metadata(folder.path().join("key")).unwrap();
        assert_eq!((found.uid(), found.gid(), found.mode() & 0o7777), (owner.0, owner.1, 0o600));
    }

    #[test]
    fn secret_reference_is_resolved_and_kept_as_a_reference() {
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
