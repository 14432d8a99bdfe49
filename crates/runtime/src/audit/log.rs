//! Writes the log.

use std::collections::VecDeque;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bridgehead_resilience::{Clock, SystemClock};
use bridgehead_sdk::Redactor;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::entry::{Actor, Entry, Event, GENESIS, hash};
use super::files;

/// The maximum number of unwritten entries kept in memory.
const KEPT: usize = 10_000;

/// Settings of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The folder.
    pub folder: PathBuf,
    /// The size in bytes at which the next file is started.
    pub max_bytes: u64,
    /// The number of files to keep.
    pub keep: usize,
}

/// The log cannot be opened. The operator must fix the folder.
#[derive(Debug, thiserror::Error)]
#[error("the audit log in {} cannot be {what}: {source}", folder.display())]
pub struct OpenError {
    folder: PathBuf,
    what: &'static str,
    #[source]
    source: io::Error,
}

/// The status of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditStatus {
    /// The number of the last entry; 0 before the first.
    pub seq: u64,
    /// The hash of the last entry.
    pub hash: String,
    /// The number of entries waiting to be written.
    #[serde(default)]
    pub unwritten: u64,
    /// The number of entries lost because too many were waiting.
    #[serde(default)]
    pub lost: u64,
    /// Since when writing has been failing; `None` if it works.
    #[serde(default)]
    pub failing_since: Option<Timestamp>,
    /// The error message.
    #[serde(default)]
    pub message: Option<String>,
}

/// The audit log. Clones write to the same log.
#[derive(Clone, Debug, Default)]
pub struct Audit(Option<Arc<Inner>>);

#[derive(Debug)]
struct Inner {
    settings: Settings,
    redactor: Redactor,
    clock: Arc<dyn Clock>,
    log: Mutex<Log>,
}

#[derive(Debug)]
struct Log {
    /// Whether the end of the chain is known.
    is_prepared: bool,
    /// The open file and its number; `None` before the first entry, and after a failure.
    file: Option<File>,
    number: u64,
    /// The device and inode of the file, once this process has opened it.
    identity: Option<(u64, u64)>,
    /// The length of the file.
    size: u64,
    seq: u64,
    hash: String,
    /// Events that could not be written yet.
    waiting: VecDeque<(Timestamp, Event)>,
    lost: u64,
    failing: Option<(Timestamp, String)>,
    is_dirty: bool,
}

impl Audit {
    /// Creates a log that records nothing, for programs that embed the runtime without one.
    pub fn none() -> Self {
        Self(None)
    }

    /// Opens the log in a folder, which is created if it does not exist. Only one process at a time may do so: the one that holds the lock
    /// on the state folder. Damage from a crash is repaired and recorded in an entry.
    pub fn open(settings: Settings, redactor: &Redactor) -> Result<Self, OpenError> {
        let inner = Inner::new(settings, redactor);
        {
            let mut log = inner.log();
            inner.prepare(&mut log)?;
            inner.flush(&mut log, inner.clock.now());
        }
        Ok(Self(Some(Arc::new(inner))))
    }

    /// Like [`open`](Self::open), but never fails, because a daemon must be able to execute its tasks: if the log cannot be opened, opening
    /// is retried later, and events wait.
    pub fn start(settings: Settings, redactor: &Redactor) -> Self {
        let inner = Inner::new(settings, redactor);
        {
            let mut log = inner.log();
            inner.flush(&mut log, inner.clock.now());
        }
        Self(Some(Arc::new(inner)))
    }

    /// Records an event. Never fails and never waits for the disk: events that cannot be written are written later, and the status shows
    /// that.
    pub fn record(&self, event: Event) {
        let Some(inner) = &self.0 else { return };
        let now = inner.clock.now();
        let event = inner.clean(event);
        let mut log = inner.log();
        log.waiting.push_back((now, event));
        if log.waiting.len() > KEPT {
            log.waiting.pop_front();
            log.lost += 1;
        }
        inner.flush(&mut log, now);
    }

    /// Records an operator command, and syncs it to disk.
    pub fn record_command(&self, event: Event) {
        self.record(event);
        self.sync();
    }

    /// Writes pending events, and syncs everything to disk.
    pub fn sync(&self) {
        let Some(inner) = &self.0 else { return };
        let now = inner.clock.now();
        let mut log = inner.log();
        if !log.waiting.is_empty()
            || log.lost > 0
            || !log.is_prepared
            || log.failing.is_some()
            || !matches!(inner.change(&log), Ok(None))
        {
            inner.flush(&mut log, now);
        }
        if log.is_dirty
            && let Some(file) = &log.file
        {
            match file.sync_data() {
                Ok(()) => log.is_dirty = false,
                Err(error) => log.fail(now, &error),
            }
        }
    }

    /// The status of the log; `None` if nothing is recorded.
    pub fn status(&self) -> Option<AuditStatus> {
        let log = self.0.as_ref()?.log();
        Some(AuditStatus {
            seq: log.seq,
            hash: log.hash.clone(),
            unwritten: log.waiting.len() as u64,
            lost: log.lost,
            failing_since: log.failing.as_ref().map(|(since, _)| *since),
            message: log.failing.as_ref().map(|(_, message)| message.clone()),
        })
    }
}

/// Repairs the end of a file: a complete entry without a line ending gets one, anything else is removed.
fn repair(path: &Path, end: &files::End, name: &str) -> (io::Result<()>, Value) {
    let torn = &end.torn;
    let mut evidence = json!({ "file": name, "bytes": torn.len(), "sha256": hash(torn) });
    let opened = OpenOptions::new().append(true).open(path);
    if Entry::open(torn).is_ok() {
        evidence["cut_off"] = "the end of the last line; the entry is complete".into();
        return (opened.and_then(|mut file| file.write_all(b"\n").and_then(|()| file.sync_data())), evidence);
    }
    evidence["cut_off"] = "an incomplete line; it was removed".into();
    (opened.and_then(|file| file.set_len(end.whole).and_then(|()| file.sync_data())), evidence)
}

impl Inner {
    fn new(settings: Settings, redactor: &Redactor) -> Self {
        let log = Log {
            is_prepared: false,
            file: None,
            number: 0,
            identity: None,
            size: 0,
            seq: 0,
            hash: GENESIS.to_owned(),
            waiting: VecDeque::new(),
            lost: 0,
            failing: None,
            is_dirty: false,
        };
        Self {
            settings,
            redactor: redactor.recognizing(),
            clock: Arc::new(SystemClock),
            log: Mutex::new(log),
        }
    }

    /// Creates the folder, finds the end of the chain, and repairs truncated lines. Entries about repairs are written first.
    fn prepare(&self, log: &mut Log) -> Result<(), OpenError> {
        let folder = &self.settings.folder;
        let failed = |what| move |source| OpenError { folder: folder.clone(), what, source };
        if !folder.is_dir() {
            DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed("made"))?;
            give_away(folder).map_err(failed("made"))?;
            if let Some(parent) = folder.parent() {
                sync_folder(parent).map_err(failed("made"))?;
            }
        }
        let mut repairs = Vec::new();
        for (number, path) in files::list(folder).map_err(failed("listed"))?.iter().rev() {
            let end = files::end(path).map_err(failed("read"))?;
            let name = files::name(*number);
            let whole = Entry::open(&end.torn).ok();
            if *number > log.number {
                let torn = if whole.is_some() { end.torn.len() as u64 + 1 } else { 0 };
                (log.number, log.size) = (*number, end.whole + torn);
                let found = path.symlink_metadata().map_err(failed("read"))?;
                log.identity = Some((found.dev(), found.ino()));
            }
            if !end.torn.is_empty() {
                let (repair, evidence) = repair(path, &end, &name);
                repair.map_err(failed("repaired"))?;
                repairs.push(evidence);
            }
            if end.is_damaged {
                repairs.push(
                    json!({ "file": name, "damaged": "lines near its end are not as they were written" }),
                );
            }
            if let Some(last) = whole.or(end.last) {
                (log.seq, log.hash) = (last.seq, last.hash);
                break;
            }
        }
        log.is_prepared = true;
        for evidence in repairs {
            tracing::warn!(%evidence, "the audit log was damaged and has been repaired; an entry records it");
            let repair = Event {
                action: files::REPAIR.to_owned(),
                decision: Some("go_on".to_owned()),
                evidence,
                ..Event::default()
            };
            log.waiting.push_front((self.clock.now(), repair));
        }
        Ok(())
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes secrets before anything is written.
    fn clean(&self, mut event: Event) -> Event {
        for text in
            [&mut event.app, &mut event.task, &mut event.account, &mut event.decision, &mut event.outcome]
                .into_iter()
                .flatten()
        {
            *text = self.redactor.redact(text).into_owned();
        }
        event.action = self.redactor.redact(&event.action).into_owned();
        self.redactor.redact_json(&mut event.evidence);
        event
    }

    /// Writes pending events, oldest first, until one cannot be written.
    fn flush(&self, log: &mut Log, now: Timestamp) {
        if !log.is_prepared
            && let Err(error) = self.prepare(log)
        {
            log.fail(now, &error);
            return;
        }
        match self.change(log) {
            Ok(None) => {}
            Ok(Some(change)) => self.leave_file(log, now, change),
            Err(error) => {
                log.fail(now, &error);
                return;
            }
        }
        if log.lost > 0 {
            let evidence = json!({ "lost": log.lost });
            let gap = Event { action: "gap".to_owned(), evidence, ..Event::default() };
            if self.write(log, now, now, gap).is_some() {
                return;
            }
            log.lost = 0;
        }
        while let Some((at, event)) = log.waiting.pop_front() {
            if let Some(event) = self.write(log, now, at, event) {
                log.waiting.push_front((at, event));
                return;
            }
        }
        if log.failing.is_some() {
            // Nothing may have been waiting, which proves nothing.
            match self.file(log).and_then(|file| file.sync_data()) {
                Ok(()) => {
                    (log.failing, log.is_dirty) = (None, false);
                    tracing::info!("the audit log can be written again");
                }
                Err(error) => log.fail(now, &error),
            }
        }
    }

    /// Returns the event if it cannot be written.
    fn write(&self, log: &mut Log, now: Timestamp, at: Timestamp, event: Event) -> Option<Event> {
        let mut entry = Entry {
            seq: log.seq + 1,
            at,
            actor: event.actor.unwrap_or_else(Actor::daemon).as_str().to_owned(),
            app: event.app,
            task: event.task,
            account: event.account,
            action: event.action,
            decision: event.decision,
            evidence: event.evidence,
            outcome: event.outcome,
            code: event.code,
            duration_ms: event.duration_ms,
            prev: log.hash.clone(),
            hash: String::new(),
        };
        match self.try_write(log, &mut entry) {
            Ok(()) => None,
            Err(error) => {
                log.fail(now, &error);
                Some(entry.into_event())
            }
        }
    }

    fn try_write(&self, log: &mut Log, entry: &mut Entry) -> io::Result<()> {
        let mut line = entry.seal()?;
        line.push('\n');
        let length = line.len() as u64;
        if log.size > 0 && log.size + length > self.settings.max_bytes {
            self.next_file(log)?;
            // `next_file` may have written an entry about removed files, which comes first.
            if log.seq + 1 != entry.seq {
                (entry.seq, entry.prev) = (log.seq + 1, log.hash.clone());
                line = entry.seal()?;
                line.push('\n');
            }
        }
        self.append(log, entry, &line)
    }

    fn append(&self, log: &mut Log, entry: &Entry, line: &str) -> io::Result<()> {
        let written = self.file(log)?.write_all(line.as_bytes());
        let before = log.size;
        if let Err(error) = written {
            // Remove a partial line: the next one must not be appended to it.
            if let Some(file) = log.file.take() {
                drop(file.set_len(before));
            }
            return Err(error);
        }
        log.size += line.len() as u64;
        (log.seq, log.hash) = (entry.seq, entry.hash.clone());
        log.is_dirty = true;
        Ok(())
    }

    /// Returns the current file, opened for appending.
    fn file<'a>(&self, log: &'a mut Log) -> io::Result<&'a mut File> {
        if log.file.is_none() {
            log.number = log.number.max(1);
            let path = self.settings.folder.join(files::name(log.number));
            let file = OpenOptions::new().create(true).append(true).mode(0o600).open(&path)?;
            give_away(&path)?;
            // Its name must survive a power failure, too: what is synced later would otherwise be lost with it.
            sync_folder(&self.settings.folder)?;
            let found = file.metadata()?;
            log.identity = Some((found.dev(), found.ino()));
            let length = found.len();
            if length > log.size {
                // A partial line that could not be removed earlier.
                file.set_len(log.size)?;
            }
            log.size = log.size.min(length);
            log.file = Some(file);
        }
        log.file.as_mut().ok_or_else(|| io::Error::other("no file"))
    }

    /// Starts the next file, and removes the oldest files. An entry records the hash with which the last of them ended.
    fn next_file(&self, log: &mut Log) -> io::Result<()> {
        if let Some(file) = log.file.take() {
            file.sync_data()?;
            log.is_dirty = false;
        }
        log.number += 1;
        (log.size, log.identity) = (0, None);
        let all = files::list(&self.settings.folder)?;
        // The new file does not exist yet.
        let excess = (all.len() + 1).saturating_sub(self.settings.keep.max(2));
        let Some((_, newest)) = excess.checked_sub(1).and_then(|last| all.get(last)) else { return Ok(()) };
        let last = files::end(newest)?.last;
        let names: Vec<String> = all.iter().take(excess).map(|(number, _)| files::name(*number)).collect();
        let mut entry = Entry {
            seq: log.seq + 1,
            at: self.clock.now(),
            actor: Actor::daemon().as_str().to_owned(),
            app: None,
            task: None,
            account: None,
            action: "retention".to_owned(),
            decision: Some("remove".to_owned()),
            evidence: json!({
                "files": names,
                "last_seq": last.as_ref().map(|last| last.seq),
                "last_hash": last.as_ref().map(|last| last.hash.as_str()),
            }),
            outcome: None,
            code: None,
            duration_ms: None,
            prev: log.hash.clone(),
            hash: String::new(),
        };
        let mut line = entry.seal()?;
        line.push('\n');
        // Record the removal first: a crash in between leaves too many files, but never an unexplained gap.
        self.append(log, &entry, &line)?;
        self.file(log)?.sync_data()?;
        for (_, path) in all.iter().take(excess) {
            std::fs::remove_file(path)?;
        }
        Ok(())
    }
}

/// Syncs the names in a folder to disk, if the file system can do that.
fn sync_folder(folder: &Path) -> io::Result<()> {
    match File::open(folder)?.sync_all() {
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
        synced => synced,
    }
}

/// Files created by root get the owner of the folder that contains them: the daemon must be able to write to them.
fn give_away(path: &Path) -> io::Result<()> {
    let Some(folder) = path.parent() else { return Ok(()) };
    let (folder, made) = (std::fs::metadata(folder)?, std::fs::metadata(path)?);
    let is_ours = (folder.uid(), folder.gid()) == (made.uid(), made.gid());
    if is_ours || made.uid() != 0 {
        return Ok(());
    }
    std::os::unix::fs::chown(path, Some(folder.uid()), Some(folder.gid()))
}

impl Log {
    fn fail(&mut self, now: Timestamp, error: &dyn std::fmt::Display) {
        let is_news = self.failing.is_none();
        let since = self.failing.as_ref().map_or(now, |(since, _)| *since);
        self.failing = Some((since, error.to_string()));
        self.file = None;
        if is_news {
            tracing::error!(%error, alarm = "audit_unwritable",
                "the audit log cannot be written; tasks continue, and entries are kept in memory until it can be written again");
        }
    }
}

mod changed;
#[cfg(test)]
mod tests;
