//! Verifies the chain.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::str::FromStr;

use jiff::Timestamp;
use serde::Serialize;

use super::entry::{Entry, GENESIS};
use super::files;

/// The end of a chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Head {
    /// The number of the last entry.
    pub seq: u64,
    /// The hash of the last entry.
    pub hash: String,
}

/// The head is not in the format `SEQ:HASH`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a head is the number of an entry and its hash, such as 4711:e3b0c442…, as bridgehead_audit_head shows them"
)]
pub struct NoHead;

impl FromStr for Head {
    type Err = NoHead;

    fn from_str(text: &str) -> Result<Self, NoHead> {
        let (seq, hash) = text.split_once(':').ok_or(NoHead)?;
        let is_hash = hash.len() == GENESIS.len() && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_hash {
            return Err(NoHead);
        }
        Ok(Self { seq: seq.parse().map_err(|_| NoHead)?, hash: hash.to_ascii_lowercase() })
    }
}

/// The result of a successful verification.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Proof {
    /// The number of files.
    pub files: u64,
    /// The number of entries.
    pub entries: u64,
    /// The sequence number of the first entry.
    pub first_seq: u64,
    /// When the first entry was recorded.
    pub first_at: Option<Timestamp>,
    /// When the last entry was recorded.
    pub last_at: Option<Timestamp>,
    /// The end of the chain.
    pub head: Head,
    /// Whether the log starts with the very first entry, or an entry explains what was removed before.
    pub is_beginning_explained: bool,
}

/// The first break in the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Broken {
    /// The file; empty if the end is missing.
    pub file: String,
    /// The line number in the file, starting at 1.
    pub line: u64,
    /// The sequence number of the expected entry.
    pub seq: u64,
    /// What is wrong.
    pub why: String,
}

/// Why verification failed.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The chain is broken. The operator must find out who changed the log.
    #[error("the chain breaks at entry {}{}: {}", .0.seq, place(.0), .0.why)]
    Broken(Broken),
    /// The log cannot be read. The operator must fix the folder.
    #[error("the audit log cannot be read: {0}")]
    Unreadable(#[from] io::Error),
}

fn place(broken: &Broken) -> String {
    if broken.file.is_empty() { String::new() } else { format!(" ({} line {})", broken.file, broken.line) }
}

/// Verifies the chain in a folder, and that it reaches at least `head`, which was recorded elsewhere.
pub fn verify(folder: &Path, head: Option<&Head>) -> Result<Proof, VerifyError> {
    let files = files::list(folder)?;
    let mut proof = Proof {
        files: files.len() as u64,
        entries: 0,
        first_seq: 0,
        first_at: None,
        last_at: None,
        head: Head { seq: 0, hash: GENESIS.to_owned() },
        is_beginning_explained: true,
    };
    let mut beginning: Option<String> = None;
    for (number, path) in &files {
        let mut lines = BufReader::new(File::open(path)?);
        let mut bytes = Vec::new();
        for line in 1.. {
            bytes.clear();
            if lines.read_until(b'\n', &mut bytes)? == 0 {
                break;
            }
            let broken = |seq: u64, why: String| {
                VerifyError::Broken(Broken { file: files::name(*number), line, seq, why })
            };
            let expected = proof.head.seq + 1;
            let Some(text) = bytes.strip_suffix(b"\n") else {
                return Err(broken(
                    expected,
                    "the line is incomplete: either the daemon crashed, and repairs it at its next start, or the file was changed".to_owned(),
                ));
            };
            let entry = Entry::open(text).map_err(|why| broken(expected, why))?;
            if proof.entries == 0 {
                proof.first_seq = entry.seq;
                proof.first_at = Some(entry.at);
                if entry.seq == 1 && entry.prev != GENESIS {
                    return Err(broken(1, "it is the first entry, but refers to an earlier one".to_owned()));
                }
                if entry.seq != 1 {
                    beginning = Some(entry.prev.clone());
                }
            } else if entry.seq != expected {
                return Err(broken(
                    expected,
                    format!("found entry {} instead: entries are missing", entry.seq),
                ));
            } else if entry.prev != proof.head.hash {
                return Err(broken(expected, "it does not refer to the previous entry".to_owned()));
            }
            if let Some(missing) = &beginning
                && entry.action == "retention"
                && entry.evidence["last_hash"] == missing.as_str()
            {
                beginning = None;
            }
            if let Some(head) = head.filter(|head| head.seq == entry.seq)
                && head.hash != entry.hash
            {
                return Err(broken(expected, "its hash differs from the given one".to_owned()));
            }
            proof.entries += 1;
            proof.last_at = Some(entry.at);
            proof.head = Head { seq: entry.seq, hash: entry.hash };
        }
    }
    proof.is_beginning_explained = beginning.is_none();
    if let Some(head) = head {
        let why = if head.seq > proof.head.seq {
            Some(format!(
                "the log ends with entry {}, but entry {} was given: the end was cut off",
                proof.head.seq, head.seq
            ))
        } else if head.seq < proof.first_seq {
            Some(format!(
                "the log starts with entry {}, so the given one cannot be compared",
                proof.first_seq
            ))
        } else {
            None
        };
        if let Some(why) = why {
            let seq = proof.head.seq + 1;
            return Err(VerifyError::Broken(Broken { file: String::new(), line: 0, seq, why }));
        }
    }
    Ok(proof)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chain_head_is_parsed_from_number_and_hash() {
        let head: Head = format!("7:{}", GENESIS.replace('0', "A")).parse().unwrap();
        assert_eq!((head.seq, head.hash), (7, GENESIS.replace('0', "a")));
        for wrong in ["", "7", "7:abc", &format!("x:{GENESIS}"), GENESIS] {
            assert_eq!(wrong.parse::<Head>(), Err(NoHead), "{wrong}");
        }
    }
}
