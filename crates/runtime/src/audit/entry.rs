//! An entry, and how it is chained to the one before it.

use std::fmt::Write as _;

use aws_lc_rs::digest::{SHA256, digest};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What the first entry of all has as the hash of the one before it.
pub const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// No entry is longer, in bytes: the evidence of one that would be is replaced by its length and its hash.
pub(super) const LONGEST: usize = 64 * 1024;

/// Who did something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor(String);

impl Actor {
    /// The daemon by itself.
    pub fn daemon() -> Self {
        Self("daemon".to_owned())
    }

    /// Someone at the page of the admin listener, who has its token.
    pub fn page() -> Self {
        Self("page".to_owned())
    }

    /// A user of the operating system, by name and number: "ann (uid 1000)".
    pub fn user(uid: u32, name: Option<&str>) -> Self {
        Self(name.map_or_else(|| format!("uid {uid}"), |name| format!("{name} (uid {uid})")))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What is to be recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// Who.
    pub actor: Option<Actor>,
    /// The app, by its name in the configuration.
    pub app: Option<String>,
    /// The task.
    pub task: Option<String>,
    /// The account, as it is named elsewhere.
    pub account: Option<String>,
    /// What was done, such as `delete_account`, `release` or `start`.
    pub action: String,
    /// What was decided.
    pub decision: Option<String>,
    /// On what evidence.
    pub evidence: Value,
    /// The result.
    pub outcome: Option<String>,
    /// The standard code, of a failure.
    pub code: Option<String>,
    /// How long it took.
    pub duration_ms: Option<u64>,
}

/// An entry as it stands in the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Counts entries, from 1.
    pub seq: u64,
    /// When.
    pub at: Timestamp,
    /// Who: a user of the operating system, `daemon` or `page`.
    pub actor: String,
    /// The app, by its name in the configuration.
    pub app: Option<String>,
    /// The task.
    pub task: Option<String>,
    /// The account.
    pub account: Option<String>,
    /// What was done.
    pub action: String,
    /// What was decided.
    pub decision: Option<String>,
    /// On what evidence.
    pub evidence: Value,
    /// The result.
    pub outcome: Option<String>,
    /// The standard code, of a failure.
    pub code: Option<String>,
    /// How long it took.
    pub duration_ms: Option<u64>,
    /// The hash of the entry before it.
    pub prev: String,
    /// The hash of this entry: SHA-256 of its line without this field. Empty while it is being made.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub hash: String,
}

impl Entry {
    /// The line of an entry without its end, and its hash, which is filled in.
    pub(super) fn seal(&mut self) -> Result<String, serde_json::Error> {
        self.hash.clear();
        let mut line = serde_json::to_string(self)?;
        if line.len() > LONGEST {
            let evidence = self.evidence.to_string();
            self.evidence = serde_json::json!({
                "too_long": { "bytes": evidence.len(), "sha256": hash(evidence.as_bytes()) }
            });
            line = serde_json::to_string(self)?;
        }
        self.hash = hash(line.as_bytes());
        line.pop();
        let hash = &self.hash;
        write!(line, "{HASH}{hash}\"}}").map_err(serde::ser::Error::custom)?;
        Ok(line)
    }

    /// Reads a line without its end, and proves its hash.
    pub(super) fn open(line: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(line).map_err(|_| "it is not text".to_owned())?;
        let tail = HASH.len() + GENESIS.len() + 2;
        let (body, said) = text
            .len()
            .checked_sub(tail)
            .and_then(|at| text.split_at_checked(at))
            .and_then(|(body, rest)| Some((body, rest.strip_prefix(HASH)?.strip_suffix("\"}")?)))
            .ok_or("it does not end with a hash")?;
        let found = hash(format!("{body}}}").as_bytes());
        if found != said {
            return Err("its hash does not match its text: it was changed".to_owned());
        }
        serde_json::from_str(text).map_err(|error| format!("it is not an audit entry: {error}"))
    }
}

/// What stands before the hash in a line.
const HASH: &str = ",\"hash\":\"";

/// SHA-256 in hexadecimal digits.
pub(super) fn hash(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(64);
    for byte in digest(&SHA256, bytes).as_ref() {
        // Writing to a string cannot fail.
        let _written = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn entry() -> Entry {
        Entry {
            seq: 1,
            at: Timestamp::UNIX_EPOCH,
            actor: Actor::user(1000, Some("ann")).as_str().to_owned(),
            app: Some("hr".to_owned()),
            task: None,
            account: Some("ü@example.org".to_owned()),
            action: "delete_account".to_owned(),
            decision: Some("execute".to_owned()),
            evidence: json!({"attempts": 1, "hash": "of no meaning"}),
            outcome: Some("completed".to_owned()),
            code: None,
            duration_ms: Some(12),
            prev: GENESIS.to_owned(),
            hash: String::new(),
        }
    }

    #[test]
    fn a_line_is_the_entry_with_the_hash_of_the_rest_at_its_end() {
        let mut entry = entry();
        let line = entry.seal().unwrap();
        let without = line.replace(&format!(",\"hash\":\"{}\"", entry.hash), "");
        assert_eq!(hash(without.as_bytes()), entry.hash);
        assert_eq!(Entry::open(line.as_bytes()).unwrap(), entry);
        // SHA-256 of nothing, as everybody has it.
        assert_eq!(hash(b""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    }

    #[test]
    fn evidence_that_is_too_long_is_named_by_its_hash() {
        let mut entry = Entry { evidence: json!({"why": "x".repeat(LONGEST)}), ..entry() };
        let line = entry.seal().unwrap();
        assert!(line.len() < 1000 && line.contains("too_long"), "{line}");
        assert!(Entry::open(line.as_bytes()).is_ok());
    }
}
