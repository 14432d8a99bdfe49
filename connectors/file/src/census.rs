//! Reads a whole file: its checksum, and whether every identifier and name occurs only once.
//!
//! A listing reads the file three times: in this way before its first page, then page by page, and again after its last page. The file was
//! unchanged in between only if the first and the last reading agree. This also detects a program that writes to the file without changing
//! its size and modification time.

use std::collections::HashMap;
use std::fs;
use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};
use bridgehead_sdk::folded;

use crate::error::Error;
use crate::layout::{Layout, TypeFile};
use crate::records;
use crate::rows::Row;
use crate::table::{Snapshot, Table};

/// The number of bytes per pass when searching for duplicates. This bounds memory use: a larger file takes more passes.
const PASS: u64 = 16 * 1024 * 1024;

const CHUNK: usize = 256 * 1024;

/// The checksum of a file.
pub(crate) type Digest = [u8; 32];

/// Reads the file from start to end.
pub(crate) fn digest(snapshot: &Snapshot) -> Result<Digest, Error> {
    let mut context = Context::new(&SHA256);
    let mut buffer = vec![0; CHUNK];
    let mut position = 0;
    while position < snapshot.identity.length {
        let wanted =
            usize::try_from(snapshot.identity.length - position).map_or(CHUNK, |rest| rest.min(CHUNK));
        let chunk = buffer.get_mut(..wanted).unwrap_or_default();
        match snapshot.file.read_at(chunk, position) {
            Ok(0) => return Err(Error::Changed { file: snapshot.name.to_string() }),
            Ok(read) => {
                context.update(chunk.get(..read).unwrap_or_default());
                position += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Error::io("read", &snapshot.path, error)),
        }
    }
    snapshot.verify()?;
    let mut digest = Digest::default();
    digest.copy_from_slice(context.finish().as_ref());
    Ok(digest)
}

/// Checks that no two rows have the same identifier, user name or email address, ignoring case and Unicode forms. The error names both
/// lines.
pub(crate) fn check_names(snapshot: &Arc<Snapshot>, is_accounts: bool) -> Result<(), Error> {
    let passes = snapshot.identity.length.div_ceil(PASS).max(1);
    let state = RandomState::new();
    for pass in 0..passes {
        let mut seen: HashMap<u64, u64> = HashMap::new();
        let mut table = Table::start(snapshot.clone());
        let mut row = Row::default();
        while let Some(cells) = table.next(&mut row)? {
            // A row that cannot be read is reported as an invalid record.
            let Ok(identity) = cells.and_then(|cells| names(snapshot, &cells, is_accounts)) else { continue };
            for (field, value) in identity {
                // Identifiers are exact, but no two should differ in case alone.
                let value = if field == "id" { value.to_lowercase() } else { folded(&value) };
                let hash = state.hash_one((field, value));
                if hash % passes != pass {
                    continue;
                }
                if let Some(first) = seen.insert(hash, row.line) {
                    let reason = format!(
                        "has the same {field} as line {first}, ignoring case; remove one of the rows, or \
                         change its {field}"
                    );
                    return Err(Error::damaged(&snapshot.name, row.line, reason));
                }
            }
        }
    }
    snapshot.verify()
}

fn names(
    snapshot: &Snapshot,
    cells: &crate::schema::Cells,
    is_accounts: bool,
) -> Result<Vec<(&'static str, String)>, crate::schema::Fault> {
    if !is_accounts {
        let id = snapshot.schema.text(cells, "id")?;
        return Ok(id.map(|id| ("id", id.into_owned())).into_iter().collect());
    }
    let identity = records::identity(&snapshot.schema, cells)?;
    let names = [("username", identity.username), ("email", identity.email)];
    let names = names.into_iter().filter_map(|(field, value)| Some((field, value?)));
    Ok(names.chain([("id", identity.id.into_string())]).collect())
}

/// What the producer of a folder declares about a file: its checksum, and that it is complete.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Seal {
    checksum: Option<Digest>,
    sentinel: Option<(i64, i64)>,
}

impl Seal {
    /// Reads what is declared about a file.
    pub(crate) fn read(layout: &Layout, of: &TypeFile) -> Result<Self, Error> {
        let checksum = match &layout.checksums {
            Some(name) => Some(checksum(&layout.path(name), name, &of.file)?),
            None => None,
        };
        let sentinel = match &layout.sentinel {
            Some(name) => Some(moment(&layout.path(name))?),
            None => None,
        };
        Ok(Self { checksum, sentinel })
    }

    /// Checks a file against what is declared about it.
    pub(crate) fn fits(&self, layout: &Layout, snapshot: &Snapshot, digest: &Digest) -> Result<(), Error> {
        if self.checksum.is_some_and(|checksum| checksum != *digest) {
            let reason = "the file does not match its checksum; it is still being written, or damaged";
            return Err(Error::damaged(&snapshot.name, None, reason));
        }
        if let (Some(sentinel), Some(name)) = (self.sentinel, &layout.sentinel)
            && sentinel < snapshot.identity.modified
        {
            let reason =
                format!("the file is newer than {name}, which must be written after all files are complete");
            return Err(Error::damaged(&snapshot.name, None, reason));
        }
        Ok(())
    }
}

fn moment(path: &Path) -> Result<(i64, i64), Error> {
    use std::os::unix::fs::MetadataExt as _;
    let metadata = fs::metadata(path).map_err(|error| Error::io("find", path, error))?;
    Ok((metadata.mtime(), metadata.mtime_nsec()))
}

/// The checksum of a file in the format of `sha256sum`: the digits, two spaces or a space and an asterisk, the name.
fn checksum(path: &Path, name: &str, file: &str) -> Result<Digest, Error> {
    let failed = |error| Error::io("read", path, error);
    if !fs::metadata(path).map_err(failed)?.is_file() {
        return Err(Error::damaged(name, None, "is not a regular file"));
    }
    let text = fs::read_to_string(path).map_err(failed)?;
    let line = text.lines().find_map(|line| {
        let (digits, rest) = line.split_once(' ')?;
        (rest.trim_start_matches([' ', '*']) == file).then_some(digits)
    });
    let missing = || {
        Error::damaged(name, None, format!("it contains no checksum for {file} in the format of `sha256sum`"))
    };
    let digits = line.ok_or_else(missing)?;
    let bytes: Option<Vec<u8>> = (0..digits.len())
        .step_by(2)
        .map(|at| digits.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok()))
        .collect();
    bytes.and_then(|bytes| Digest::try_from(bytes).ok()).ok_or_else(missing)
}
