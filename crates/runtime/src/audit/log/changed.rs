//! Notices that another program has changed the current file of the log, such as one that rotates logs.

use std::io;
use std::os::unix::fs::MetadataExt;

use jiff::Timestamp;
use serde_json::json;

use super::super::entry::Event;
use super::super::files;
use super::{Inner, Log};

impl Inner {
    /// What another program has done to the current file, such as one that rotates logs.
    pub(super) fn change(&self, log: &Log) -> io::Result<Option<&'static str>> {
        let Some(identity) = log.identity.filter(|_| log.size > 0) else { return Ok(None) };
        let path = self.settings.folder.join(files::name(log.number));
        match std::fs::symlink_metadata(&path) {
            Ok(found) if (found.dev(), found.ino()) != identity => {
                Ok(Some("moved or deleted, and another file has its name"))
            }
            Ok(found) if found.len() < log.size => Ok(Some("shortened")),
            // Without an open file, this may be a partial line of this process.
            Ok(found) if found.len() > log.size && log.file.is_some() => Ok(Some("extended")),
            Ok(_) => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.settings.folder.is_dir() => {
                Ok(Some("moved or deleted"))
            }
            Err(error) => Err(io::Error::new(error.kind(), format!("{}: {error}", path.display()))),
        }
    }

    /// Continues in a new file, which starts with an entry about the change: into the old one, entries would be written that nobody finds.
    pub(super) fn leave_file(&self, log: &mut Log, now: Timestamp, change: &str) {
        let name = files::name(log.number);
        tracing::error!(
            file = %self.settings.folder.join(&name).display(), last_entry = log.seq,
            "a file of the audit log was {change} by another program; entries may be missing, and continue in a new file. \
             The daemon starts new files and removes old ones itself (audit.max_bytes, audit.keep): exclude the folder from \
             programs that rotate or clean up logs, and put the file back if it was moved"
        );
        let newest =
            files::list(&self.settings.folder).ok().and_then(|files| files.last().map(|(number, _)| *number));
        log.number = newest.unwrap_or_default().max(log.number) + 1;
        (log.file, log.identity, log.size, log.is_dirty) = (None, None, 0, false);
        let repair = Event {
            action: files::REPAIR.to_owned(),
            decision: Some("go_on".to_owned()),
            evidence: json!({ "file": name, "changed": change, "last_seq": log.seq, "last_hash": log.hash }),
            ..Event::default()
        };
        log.waiting.push_front((now, repair));
    }
}
