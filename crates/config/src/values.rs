//! The formats of single values. Errors say what is expected, with an example, and never quote the value.

use std::net::SocketAddr;
use std::path::PathBuf;

use url::{Host, Url};
use uuid::Uuid;

use super::leaf::{EXAMPLE, Leaf};
use super::tree::SourcedValue;

/// A string that is not blank.
pub(super) fn text<'a>(text: Option<&'a str>, example: &str) -> Result<&'a str, String> {
    match text {
        Some(text) if !text.trim().is_empty() => Ok(text),
        Some(_) => Err(format!("must not be empty; write, for example, {example}")),
        None => Err(format!("must be a quoted string, for example {example}")),
    }
}

/// Any string that is not blank.
pub(super) struct Word;

impl Leaf for Word {
    type Value = String;

    fn read(given: Option<&str>) -> Result<String, String> {
        text(given, EXAMPLE).map(str::to_owned)
    }

    fn write(word: &String) -> Option<String> {
        Some(word.clone())
    }
}

/// A path as written: a relative one starts at the folder of the file that contains it, which [`placed`] adds.
pub(super) struct FilePath;

impl Leaf for FilePath {
    type Value = PathBuf;

    fn read(given: Option<&str>) -> Result<PathBuf, String> {
        path(given, EXAMPLE)
    }

    fn write(path: &PathBuf) -> Option<String> {
        path.to_str().map(str::to_owned)
    }
}

/// Parses a path without its base folder.
pub(super) fn path(given: Option<&str>, example: &str) -> Result<PathBuf, String> {
    let path = text(given, example)?;
    if path == "~" || path.starts_with("~/") || path.contains("${") || has_variable(path) {
        return Err(format!(
            "contains a '~' or a variable, which only a shell expands; write the full path, for example \
             {example}"
        ));
    }
    Ok(path.into())
}

/// Resolves a path against the folder of the file that contains it, at `node`.
pub(super) fn placed(path: PathBuf, node: &SourcedValue, example: &str) -> Result<PathBuf, String> {
    match node.origin.folder() {
        Some(folder) => Ok(folder.join(path)),
        None if path.is_absolute() => Ok(path),
        None => Err(format!(
            "must be an absolute path such as {example}: an environment variable has no folder \
                         to resolve a relative path against"
        )),
    }
}

/// Whether a path contains a variable such as `$HOME`.
fn has_variable(path: &str) -> bool {
    let mut after = path.split('$').skip(1);
    after.any(|rest| rest.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_'))
}

/// The name of a node: it goes into logs, metrics and the database.
pub(super) struct NodeName;

impl Leaf for NodeName {
    type Value = String;

    fn read(given: Option<&str>) -> Result<String, String> {
        let plain = |character: char| character.is_ascii_alphanumeric() || "-_.".contains(character);
        let name = text(given, EXAMPLE)?;
        if name.len() <= 63 && name.chars().all(plain) {
            return Ok(name.to_owned());
        }
        Err(format!("must have 1 to 63 letters, digits, '-', '_' and '.', such as {EXAMPLE}"))
    }

    fn write(name: &String) -> Option<String> {
        Some(name.clone())
    }
}

/// The identifier of an app.
pub(super) struct AppId;

impl Leaf for AppId {
    type Value = Uuid;

    fn read(given: Option<&str>) -> Result<Uuid, String> {
        let expected = "must be a UUID such as \"11111111-1111-4111-8111-111111111111\"; `bridgehead apps list` shows it";
        Uuid::try_parse(given.ok_or(expected)?).map_err(|_| expected.to_owned())
    }
}

/// An address with a port.
pub(super) struct Address;

impl Leaf for Address {
    type Value = SocketAddr;

    fn read(given: Option<&str>) -> Result<SocketAddr, String> {
        let expected = || format!("must be an IP address with a port such as {EXAMPLE}");
        given.ok_or_else(expected)?.parse().map_err(|_| expected())
    }
}

/// The tenant's base URL. The key is sent there, so it must not be readable in transit.
pub(super) struct BaseUrl;

impl Leaf for BaseUrl {
    type Value = Url;

    fn read(given: Option<&str>) -> Result<Url, String> {
        base_url(given)
    }
}

fn base_url(given: Option<&str>) -> Result<Url, String> {
    let expected = || format!("must be a URL such as {EXAMPLE}");
    let url = Url::parse(given.ok_or_else(expected)?).map_err(|_| expected())?;
    let plain = match url.scheme() {
        "https" => false,
        "http" => true,
        _ => return Err(expected()),
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not contain a user name or password; bridgehead authenticates to Iden with \
                    bridge.api_key"
            .to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("must end with its path, without '?' or '#'".to_owned());
    }
    if let Some((before, _)) = url.path().split_once("/api/v1") {
        let mut meant = url.clone();
        meant.set_path(before);
        return Err(format!("must not include /api/v1, which is appended; write \"{meant}\""));
    }
    if url.path().contains("//") {
        let parts: Vec<&str> = url.path().split('/').filter(|part| !part.is_empty()).collect();
        let mut meant = url.clone();
        meant.set_path(&parts.join("/"));
        return Err(format!("contains a double slash in its path; write \"{meant}\""));
    }
    if plain && !is_loopback(&url) {
        return Err(
            "must start with https://, otherwise the API key would be sent unencrypted; http is for \
             loopback only"
                .to_owned(),
        );
    }
    Ok(url)
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// The name of an app: it is used in logs, metrics and the names of variables.
pub(super) fn app_name(name: &str) -> Result<(), String> {
    let plain = |character: char| character.is_ascii_alphanumeric() || "-_".contains(character);
    if (1..=64).contains(&name.len()) && name.chars().all(plain) {
        return Ok(());
    }
    Err("an app's name must have 1 to 64 letters, digits, '-' and '_', such as \"acme-hr\"".to_owned())
}
