//! Entries of the log, and how each is chained to the previous one.

use std::fmt::Write as _;

use aws_lc_rs::digest::{SHA256, digest};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The previous hash in the very first entry.
pub const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// The maximum length of an entry in bytes: longer evidence is replaced by its length and its hash.
pub(super) const LONGEST: usize = 64 * 1024;

/// The actor of an entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor(String);

impl Actor {
    /// The daemon itself.
    pub fn daemon() -> Self {
        Self("daemon".to_owned())
    }

    /// A user of the page of the admin listener, who has its token.
    pub fn page() -> Self {
        Self("page".to_owned())
    }

    /// A user of the operating system, by name and number: "ann (uid 1000)".
    pub fn user(uid: u32, name: Option<&str>) -> Self {
        Self(name.map_or_else(|| format!("uid {uid}"), |name| format!("{name} (uid {uid})")))
    }

    /// The same actor, whose request came through another node: "ann (uid 1000) on node-b".
    #[must_use]
    pub fn on(&self, node: &str) -> Self {
        Self(format!("{} on {node}", self.0))
    }

    /// An actor as another node has named it.
    pub(crate) fn named(name: &str) -> Self {
        Self(name.to_owned())
    }

    /// The actor as a string.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// An event to record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// The actor.
    pub actor: Option<Actor>,
    /// The app, by its name in the configuration.
    pub app: Option<String>,
    /// The task.
    pub task: Option<String>,
    /// The account, as it is named in other places.
    pub account: Option<String>,
    /// The action, such as `delete_account`, `release` or `start`.
    pub action: String,
    /// The decision.
    pub decision: Option<String>,
    /// The evidence for the decision.
    pub evidence: Value,
    /// The result.
    pub outcome: Option<String>,
    /// The standard error code, if it failed.
    pub code: Option<String>,
    /// The duration in milliseconds.
    pub duration_ms: Option<u64>,
}

/// An entry as written to the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The sequence number, starting at 1.
    pub seq: u64,
    /// When it was recorded.
    pub at: Timestamp,
    /// The actor: a user of the operating system, `daemon` or `page`.
    pub actor: String,
    /// The app, by its name in the configuration.
    pub app: Option<String>,
    /// The task.
    pub task: Option<String>,
    /// The account.
    pub account: Option<String>,
    /// The action.
    pub action: String,
    /// The decision.
    pub decision: Option<String>,
    /// The evidence for the decision.
    pub evidence: Value,
    /// The result.
    pub outcome: Option<String>,
    /// The standard error code, if it failed.
    pub code: Option<String>,
    /// The duration in milliseconds.
    pub duration_ms: Option<u64>,
    /// The hash of the previous entry.
    pub prev: String,
    /// The hash of this entry: SHA-256 of its line without this field. Empty until the entry is sealed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub hash: String,
}

impl Entry {
    /// Computes and sets the hash. Returns the line without its line ending.
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

    /// The event that the entry was made of.
    pub(super) fn into_event(self) -> Event {
        Event {
            actor: Some(Actor(self.actor)),
            app: self.app,
            task: self.task,
            account: self.account,
            action: self.action,
            decision: self.decision,
            evidence: self.evidence,
            outcome: self.outcome,
            code: self.code,
            duration_ms: self.duration_ms,
        }
    }

    /// Parses a line without its line ending, and verifies its hash.
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

/// The text before the hash in a line.
const HASH: &str = ",\"hash\":\"";

/// SHA-256 in hexadecimal digits.
pub(super) fn hash(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from(b"0123456789abcdef"[usize::from(value & 15)]);
    digest(&SHA256, bytes).as_ref().iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]).collect()
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
    fn audit_line_ends_with_the_hash_of_the_entry() {
        let mut entry = entry();
        let line = entry.seal().unwrap();
        let without = line.replace(&format!(",\"hash\":\"{}\"", entry.hash), "");
        assert_eq!(hash(without.as_bytes()), entry.hash);
        assert_eq!(Entry::open(line.as_bytes()).unwrap(), entry);
        // The well-known SHA-256 of empty input.
        assert_eq!(hash(b""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    }

    #[test]
    fn oversized_evidence_is_replaced_by_its_hash() {
        let mut entry = Entry { evidence: json!({"why": "x".repeat(LONGEST)}), ..entry() };
        let line = entry.seal().unwrap();
        assert!(line.len() < 1000 && line.contains("too_long"), "{line}");
        assert!(Entry::open(line.as_bytes()).is_ok());
    }
}
