//! References to secrets, and reading the secrets.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use secrecy::{ExposeSecret, SecretString};
use serde::de::{Deserialize, Deserializer, Error as _};
use serde_json::Value as Json;
use zeroize::Zeroizing;

use super::tree::SourcedValue;
use super::values;

/// The schema title of a reference.
pub(super) const SECRET: &str = "Reference to a secret";
/// An example of a file with a secret.
const PATH: &str = "\"/etc/bridgehead/key\"";

/// The keys of a reference.
pub(super) const KINDS: [&str; 3] = ["env", "file", "credential"];
/// How to write a reference to a secret.
pub(super) const PLAIN_TEXT: &str = "secrets are not allowed in plain text; write { env = \"NAME\" }, \
    { file = \"path\" } or { credential = \"name\" }";
/// The variable with systemd's folder for credentials.
const CREDENTIALS_DIRECTORY: &str = "CREDENTIALS_DIRECTORY";
/// The size limit of a secret. Keys, passwords and certificates are far smaller.
const LONGEST: u64 = 64 * 1024;

/// A reference to a secret. Contains only its location, and may be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Secret {
    /// `{ env = "NAME" }`
    Env {
        /// The name of the variable.
        name: String,
    },
    /// `{ file = "path" }`
    File {
        /// The path of the file; absolute.
        path: PathBuf,
    },
    /// `{ credential = "name" }`: a file in `$CREDENTIALS_DIRECTORY`.
    Credential {
        /// The name of the credential in the unit.
        name: String,
    },
}

/// A secret cannot be read. Never contains any of it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SecretError {
    /// The operator must set the variable for the daemon.
    #[error(
        "the environment variable {} is not set; set it, or read the secret from another place",
        variable(name)
    )]
    NoVariable {
        /// The name of the variable.
        name: String,
    },
    /// The operator must pass the credential, or use another kind of reference.
    #[error(
        "the credential '{0}' is not available: CREDENTIALS_DIRECTORY is not set; with systemd, add \
         `LoadCredential={0}:/path/to/file` to the unit; otherwise write {{ file = \"/path/to/file\" }}",
        credential_name(name)
    )]
    NoCredentials {
        /// The name of the credential.
        name: String,
    },
    /// The operator must add the credential to the unit, or correct its name.
    #[error(
        "the credential '{0}' was not passed to the daemon; add `LoadCredential={0}:/path/to/file` to the unit",
        credential_name(name)
    )]
    NoSuchCredential {
        /// The name of the credential.
        name: String,
    },
    /// The operator must create the file, or make it readable for the daemon's user only.
    #[error(
        "cannot read {}: {cause}; put the secret there, readable for the user that runs bridgehead",
        file_name(path, cause)
    )]
    Unreadable {
        /// The path of the file.
        path: PathBuf,
        /// The error of the operating system.
        cause: std::io::Error,
    },
    /// The operator must store the secret there.
    #[error("{place} is empty; put the secret {}", there(place))]
    Empty {
        /// The variable, file or credential.
        place: Secret,
    },
    /// The operator specified something that is not a secret: it is binary or too long.
    #[error("{place} is not a valid secret: it must be UTF-8 text of at most 64 KiB")]
    NotText {
        /// The variable, file or credential.
        place: Secret,
    },
}

/// Where to store the missing secret.
fn there(place: &Secret) -> String {
    match place {
        Secret::Credential { name } => {
            format!("into the file that the unit names with `LoadCredential={name}:/path/to/file`")
        }
        _ => "there".to_owned(),
    }
}

/// In place of a name that may be the secret itself.
const NOT_SHOWN: &str = "(a name that is not shown, because it looks like a secret)";

/// The name of a variable for display: a name in an unusual format may be the secret itself, put in the wrong place.
fn variable(name: &str) -> &str {
    let usual = |one: char| one.is_ascii_uppercase() || one.is_ascii_digit() || one == '_';
    let digits = name.chars().filter(char::is_ascii_digit).count();
    let is_name = name.chars().all(usual) && (name.contains('_') || digits < 4);
    if is_name {
        name
    } else {
        "named in env (not shown, because it does not look like the name of a variable and may be the \
         secret itself)"
    }
}

/// The name of a credential for display.
fn credential_name(name: &str) -> &str {
    if looks_secret(name) { NOT_SHOWN } else { name }
}

/// The path of a file for display. If the file does not exist, its name may be the secret itself.
fn file_name(path: &Path, cause: &std::io::Error) -> String {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if cause.kind() == std::io::ErrorKind::NotFound && looks_secret(name) {
        path.with_file_name(NOT_SHOWN).display().to_string()
    } else {
        path.display().to_string()
    }
}

/// Whether a name looks random: long, without a dot, with letters and digits in turn.
fn looks_secret(name: &str) -> bool {
    let kinds: Vec<bool> =
        name.chars().filter(|one| one.is_alphanumeric()).map(|one| one.is_ascii_digit()).collect();
    let turns = kinds.windows(2).filter(|pair| pair.first() != pair.last()).count();
    !name.contains('.') && kinds.len() >= 16 && turns >= 4
}

impl Secret {
    /// Reads the secret. A trailing newline and a byte order mark are dropped, because editors add them.
    pub fn read(&self, environment: &BTreeMap<String, String>) -> Result<SecretString, SecretError> {
        let text = match self {
            Self::Env { name } => {
                let found = environment.get(name).cloned();
                Zeroizing::new(found.ok_or_else(|| SecretError::NoVariable { name: name.clone() })?)
            }
            Self::File { path } => self.read_file(path)?,
            Self::Credential { name } => {
                let Some(path) = credential(name, environment) else {
                    return Err(SecretError::NoCredentials { name: name.clone() });
                };
                match self.read_file(&path) {
                    Err(SecretError::Unreadable { cause, .. })
                        if cause.kind() == std::io::ErrorKind::NotFound =>
                    {
                        return Err(SecretError::NoSuchCredential { name: name.clone() });
                    }
                    other => other?,
                }
            }
        };
        let secret =
            text.strip_suffix('\n').map_or(text.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
        if secret.trim().is_empty() {
            return Err(SecretError::Empty { place: self.clone() });
        }
        Ok(SecretString::from(secret))
    }

    /// Warnings for the log about a secret that is in an unsafe location, or has blanks around it.
    pub fn warnings(&self, environment: &BTreeMap<String, String>) -> Vec<String> {
        self.readable_by_all(environment).into_iter().chain(self.has_blanks(environment)).collect()
    }

    /// Blanks around a secret are usually a mistake, but may be part of a password.
    fn has_blanks(&self, environment: &BTreeMap<String, String>) -> Option<String> {
        let secret = self.read(environment).ok()?;
        let text = secret.expose_secret();
        (text.trim() != text).then(|| {
            format!(
                "{self} starts or ends with a blank or a line break, which counts as part of the secret; remove \
                 it, unless that is intended"
            )
        })
    }

    /// A file that every user of the machine can read.
    fn readable_by_all(&self, environment: &BTreeMap<String, String>) -> Option<String> {
        let path = match self {
            Self::Env { .. } => return None,
            Self::File { path } => path.clone(),
            Self::Credential { name } => credential(name, environment)?,
        };
        let mode = mode(&path)?;
        (mode & 0o004 != 0).then(|| {
            let path = path.display();
            format!(
                "{path} holds a secret, but every user of this machine can read it (mode {mode:03o}); \
                     run `chmod 600 {path}`"
            )
        })
    }

    fn read_file(&self, path: &Path) -> Result<Zeroizing<String>, SecretError> {
        let unreadable = |cause| SecretError::Unreadable { path: path.to_path_buf(), cause };
        let mut bytes = Zeroizing::new(Vec::new());
        let file = std::fs::File::open(path).map_err(unreadable)?;
        file.take(LONGEST + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        let text = std::str::from_utf8(&bytes).ok().filter(|text| text.len() as u64 <= LONGEST);
        text.map(|text| Zeroizing::new(text.strip_prefix('\u{feff}').unwrap_or(text).to_owned()))
            .ok_or_else(|| SecretError::NotText { place: self.clone() })
    }

    /// Parses a reference; for any other value, the error says how to write one.
    pub(super) fn from_node(node: &SourcedValue) -> Result<Self, String> {
        let table = node.as_table().ok_or(PLAIN_TEXT)?;
        let entries = table.iter().map(|(kind, entry)| (kind.as_str(), entry.node.as_str()));
        match Self::of(entries)? {
            Self::File { path } => values::placed(path, node, PATH).map(|path| Self::File { path }),
            other => Ok(other),
        }
    }

    /// Parses a reference from the entries of its table. A path stays unchanged.
    fn of<'a>(mut entries: impl Iterator<Item = (&'a str, Option<&'a str>)>) -> Result<Self, String> {
        let (Some((kind, value)), None) = (entries.next(), entries.next()) else {
            return Err("must have exactly one key: env, file or credential".to_owned());
        };
        match kind {
            "env" => {
                let name = values::text(value, "\"IDEN_API_KEY\"")?.to_owned();
                // Strict, because errors contain the name of the variable: a secret that is put here by mistake usually fails this check.
                let plain = |character: char| character.is_ascii_alphanumeric() || character == '_';
                if !name.chars().all(plain) || name.starts_with(|first: char| first.is_ascii_digit()) {
                    return Err("env must be the name of a variable (letters, digits and '_'), such as \
                        \"IDEN_API_KEY\""
                        .to_owned());
                }
                Ok(Self::Env { name })
            }
            "file" => values::path(value, PATH).map(|path| Self::File { path }),
            "credential" => {
                let name = values::text(value, "\"iden-key\"")?.to_owned();
                if name.contains(['/', '\0']) || name == "." || name == ".." {
                    return Err(
                        "credential must be a plain name, such as \"iden-key\"; for a path, use file"
                            .to_owned(),
                    );
                }
                Ok(Self::Credential { name })
            }
            other => Err(super::keys::unknown("key", other, &KINDS)),
        }
    }
}

impl<'de> Deserialize<'de> for Secret {
    /// Parses the reference as written; the base folder of a relative path depends on its location in the file, which serde does not know.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let reference = Json::deserialize(deserializer)?;
        let table = reference.as_object().ok_or_else(|| D::Error::custom(PLAIN_TEXT))?;
        Self::of(table.iter().map(|(kind, value)| (kind.as_str(), value.as_str()))).map_err(D::Error::custom)
    }
}

impl JsonSchema for Secret {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let one = |name: &str, description: &str| {
            serde_json::json!({
                "type": "object",
                "properties": { name: { "type": "string", "minLength": 1, "description": description } },
                "required": [name],
                "additionalProperties": false,
            })
        };
        json_schema!({
            "title": SECRET,
            "description": "Secrets are never plain text.",
            "oneOf": [
                one("env", "An environment variable."),
                one("file", "A file. A relative path starts at the folder of the configuration file."),
                one("credential", "A credential that systemd passes (LoadCredential=)."),
            ],
        })
    }
}

impl std::fmt::Display for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Env { name } => write!(f, "the environment variable {name}"),
            Self::File { path } => write!(f, "{}", path.display()),
            Self::Credential { name } => write!(f, "the credential '{name}'"),
        }
    }
}

fn credential(name: &str, environment: &BTreeMap<String, String>) -> Option<PathBuf> {
    let folder = environment.get(CREDENTIALS_DIRECTORY).filter(|folder| !folder.is_empty())?;
    Some(Path::new(folder).join(name))
}

#[cfg(unix)]
fn mode(path: &Path) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt;
    Some(std::fs::metadata(path).ok()?.permissions().mode() & 0o777)
}

#[cfg(not(unix))]
fn mode(_: &Path) -> Option<u32> {
    None
}
