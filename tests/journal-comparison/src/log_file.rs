//! A file that is only appended to, with an index in memory. It is rewritten when most of it is out of date.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Write as _};
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_64;

use crate::Failure;
use crate::group::{Engine, Write};

/// The file is not rewritten before it has this size.
const SMALLEST: u64 = 1024 * 1024;

#[derive(Debug, Default)]
struct Entry {
    state: u8,
    intent: Vec<u8>,
    outcome: Vec<u8>,
}

pub struct Log {
    folder: PathBuf,
    file: File,
    length: u64,
    /// The length after it was last rewritten.
    compact: u64,
    tasks: HashMap<String, Entry>,
}

impl Log {
    pub fn open(folder: &Path) -> Result<Self, Failure> {
        let path = folder.join("journal.log");
        let mut file = File::options().read(true).append(true).create(true).open(path)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let mut log = Self { folder: folder.to_owned(), file, length: 0, compact: 0, tasks: HashMap::new() };
        let mut rest = bytes.as_slice();
        while let Some((kind, task, payload, after)) = decode(rest) {
            log.take(kind, task, payload);
            rest = after;
        }
        // A torn entry at the end was never confirmed.
        log.length = (bytes.len() - rest.len()) as u64;
        log.file.set_len(log.length)?;
        log.file.sync_all()?;
        File::open(folder)?.sync_all()?;
        Ok(log)
    }

    fn take(&mut self, kind: u8, task: &str, payload: &[u8]) {
        let entry = self.tasks.entry(task.to_owned()).or_default();
        entry.state = kind;
        match kind {
            1 => entry.intent = payload.to_vec(),
            2 => entry.outcome = payload.to_vec(),
            _ => entry.outcome = Vec::new(),
        }
    }

    fn compact(&mut self) -> Result<(), Failure> {
        let mut bytes = Vec::new();
        for (task, entry) in &self.tasks {
            encode(&mut bytes, 1, task, &entry.intent);
            if entry.state > 1 {
                encode(&mut bytes, entry.state, task, &entry.outcome);
            }
        }
        let new = self.folder.join("journal.new");
        let mut file = File::create(&new)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        std::fs::rename(&new, self.folder.join("journal.log"))?;
        File::open(&self.folder)?.sync_all()?;
        self.file = File::options().append(true).open(self.folder.join("journal.log"))?;
        (self.length, self.compact) = (bytes.len() as u64, bytes.len() as u64);
        Ok(())
    }
}

impl Engine for Log {
    fn commit(&mut self, writes: &[Write]) -> Result<(), Failure> {
        let mut bytes = Vec::new();
        for write in writes {
            let (kind, task, payload): (u8, &String, &[u8]) = match write {
                Write::Intent(task, payload) => (1, task, payload),
                Write::Outcome(task, payload) => (2, task, payload),
                Write::Ended(task) => (3, task, &[]),
            };
            encode(&mut bytes, kind, task, payload);
            self.take(kind, task, payload);
        }
        self.file.write_all(&bytes)?;
        self.file.sync_data()?;
        self.length += bytes.len() as u64;
        if self.length > SMALLEST.max(2 * self.compact) {
            self.compact()?;
        }
        Ok(())
    }

    fn reader_beside(&self) -> String {
        "reads the whole file".to_owned()
    }
}

/// An entry: its length, a checksum, its kind, the length of the task's id, the id, and the payload.
fn encode(into: &mut Vec<u8>, kind: u8, task: &str, payload: &[u8]) {
    let length = u32::try_from(2 + task.len() + payload.len()).expect("a short entry");
    let start = into.len();
    into.extend_from_slice(&length.to_le_bytes());
    into.extend_from_slice(&[0; 8]);
    into.extend_from_slice(&[kind, u8::try_from(task.len()).expect("a short id")]);
    into.extend_from_slice(task.as_bytes());
    into.extend_from_slice(payload);
    let sum = xxh3_64(&into[start + 12..]);
    into[start + 4..start + 12].copy_from_slice(&sum.to_le_bytes());
}

fn decode(bytes: &[u8]) -> Option<(u8, &str, &[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (sum, rest) = rest.split_first_chunk::<8>()?;
    let (entry, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    if xxh3_64(entry) != u64::from_le_bytes(*sum) {
        return None;
    }
    let ([kind, length], texts) = entry.split_first_chunk::<2>()?;
    let (task, payload) = texts.split_at_checked(usize::from(*length))?;
    Some((*kind, std::str::from_utf8(task).ok()?, payload, rest))
}
