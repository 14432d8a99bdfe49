//! Reading single values. Errors say what is expected, with an example, and never what stands there instead.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use url::{Host, Url};
use uuid::Uuid;

use super::keys::unknown;
use super::tree::{Node, Value};

pub(super) fn boolean(node: &Node) -> Result<bool, String> {
    match node.value {
        Value::Boolean(truth) => Ok(truth),
        _ => Err("must be true or false, without quotes".to_owned()),
    }
}

pub(super) fn whole(node: &Node, range: RangeInclusive<u64>) -> Result<u64, String> {
    let number = match node.value {
        Value::Integer(number) => u64::try_from(number).ok(),
        _ => None,
    };
    number.filter(|number| range.contains(number)).ok_or_else(|| {
        let (least, most) = (range.start(), range.end());
        if *most == u64::MAX {
            format!("must be a whole number, at least {least}")
        } else {
            format!("must be a whole number between {least} and {most}")
        }
    })
}

pub(super) fn number(node: &Node, range: RangeInclusive<f64>) -> Result<f64, String> {
    let number = match node.value {
        Value::Integer(number) => Some(number as f64),
        Value::Float(number) => Some(number),
        _ => None,
    };
    number
        .filter(|number| range.contains(number))
        .ok_or_else(|| format!("must be a number between {} and {}", range.start(), range.end()))
}

pub(super) fn text<'a>(node: &'a Node, example: &str) -> Result<&'a str, String> {
    match node.as_str() {
        Some(text) if !text.trim().is_empty() => Ok(text),
        Some(_) => Err(format!("must not be empty; write for example {example:?}")),
        None => Err(format!("must be a text in quotes such as {example:?}")),
    }
}

/// One of a few words.
pub(super) fn choice<T: Copy>(node: &Node, choices: &[(&str, T)]) -> Result<T, String> {
    let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
    let expected = || format!("must be \"{}\"", words.join("\" or \""));
    let Some(text) = node.as_str() else {
        return Err(expected());
    };
    let found = choices.iter().find(|(word, _)| *word == text);
    found.map(|(_, value)| *value).ok_or_else(|| match bridgehead_sdk::nearest(text, words.iter().copied()) {
        Some(near) => format!("{}; did you mean '{near}'?", expected()),
        None => expected(),
    })
}

/// A name out of a list that is too long to spell out.
pub(super) fn name(node: &Node, what: &str, known: &[&str]) -> Result<String, String> {
    let example = known.first().copied().unwrap_or("name");
    let name = text(node, example)?;
    if known.contains(&name) { Ok(name.to_owned()) } else { Err(unknown(what, name, known)) }
}

pub(super) fn items<'a>(node: &'a Node, example: &str) -> Result<&'a [Node], String> {
    match &node.value {
        Value::Array(items) => Ok(items),
        _ => Err(format!("must be a list such as {example}")),
    }
}

/// A path; a relative one starts at the folder of the file that it stands in.
pub(super) fn path(node: &Node, example: &str) -> Result<PathBuf, String> {
    let path = text(node, example)?;
    if path == "~" || path.starts_with("~/") || path.contains("${") || has_variable(path) {
        return Err(format!(
            "has a '~' or a variable in it, which only a shell replaces; write the whole path, such as {example:?}"
        ));
    }
    match node.origin.folder() {
        Some(folder) => Ok(folder.join(path)),
        None if PathBuf::from(path).is_absolute() => Ok(path.into()),
        None => Err(format!(
            "must be an absolute path such as {example:?}: a variable is in no folder to start at"
        )),
    }
}

/// Whether a text has something like `$HOME` in it.
fn has_variable(path: &str) -> bool {
    let mut after = path.split('$').skip(1);
    after.any(|rest| rest.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_'))
}

pub(super) fn uuid(node: &Node) -> Result<Uuid, String> {
    let expected =
        "must be a UUID such as \"11111111-1111-4111-8111-111111111111\"; `bridgehead apps list` shows it";
    let text = node.as_str().ok_or(expected)?;
    Uuid::try_parse(text).map_err(|_| expected.to_owned())
}

pub(super) fn listen(node: &Node) -> Result<SocketAddr, String> {
    let expected = "must be an IP address with a port such as \"127.0.0.1:9464\"";
    node.as_str().ok_or(expected)?.parse().map_err(|_| expected.to_owned())
}

/// The tenant's base URL. The key goes wherever this points, so that it must not be read on the way.
pub(super) fn base_url(node: &Node) -> Result<Url, String> {
    let expected = "must be a URL such as \"https://developer.idenhq.com/org/acme\"";
    let url = Url::parse(node.as_str().ok_or(expected)?).map_err(|_| expected.to_owned())?;
    let plain = match url.scheme() {
        "https" => false,
        "http" => true,
        _ => return Err(expected.to_owned()),
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must hold no user name or password; Iden is reached with bridge.api_key".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("must end with its path, without '?' or '#'".to_owned());
    }
    if let Some((before, _)) = url.path().split_once("/api/v1") {
        let mut meant = url.clone();
        meant.set_path(before);
        return Err(format!("must end before /api/v1, which is appended; write \"{meant}\""));
    }
    if url.path().contains("//") {
        let parts: Vec<&str> = url.path().split('/').filter(|part| !part.is_empty()).collect();
        let mut meant = url.clone();
        meant.set_path(&parts.join("/"));
        return Err(format!("has two slashes in its path; write \"{meant}\""));
    }
    if plain && !is_loopback(&url) {
        return Err(
            "must begin with https://: the API key would travel unprotected; http is for loopback only"
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

/// The name of an app: it goes into logs, metrics and the names of variables.
pub(super) fn app_name(name: &str) -> Result<(), String> {
    let plain = |character: char| character.is_ascii_alphanumeric() || "-_".contains(character);
    if (1..=64).contains(&name.len()) && name.chars().all(plain) {
        return Ok(());
    }
    Err("an app's name has 1 to 64 letters, digits, '-' and '_', such as \"acme-hr\"".to_owned())
}
