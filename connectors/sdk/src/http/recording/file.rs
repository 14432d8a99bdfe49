//! The file: JSON that people can read and version control can compare.

use std::io::{Error, ErrorKind, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::RecordingError;
use super::exchange::Exchange;

/// Incremented when older files can no longer be read.
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document<E> {
    version: u32,
    exchanges: E,
}

pub(super) fn read(path: &Path) -> Result<Vec<Exchange>, RecordingError> {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(RecordingError::Missing { path: path.to_owned() });
        }
        Err(source) => return Err(RecordingError::Unreadable { path: path.to_owned(), source }),
    };
    let invalid = |problem: String| RecordingError::Invalid { path: path.to_owned(), problem };
    let document: Document<Vec<Exchange>> =
        serde_json::from_slice(&text).map_err(|error| invalid(error.to_string()))?;
    if document.version != VERSION {
        return Err(invalid(format!("it has version {}, this version reads {VERSION}", document.version)));
    }
    Ok(document.exchanges)
}

/// Writes the whole file, first to a temporary file next to it, so that an interrupted test does not leave it
/// incomplete.
pub(super) fn write(path: &Path, exchanges: &[Exchange]) -> Result<(), Error> {
    let mut text = serde_json::to_vec_pretty(&Document { version: VERSION, exchanges })?;
    text.push(b'\n');
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder)?;
    }
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let mut file = std::fs::File::create(&new)?;
    file.write_all(&text)?;
    std::fs::rename(&new, path)
}
