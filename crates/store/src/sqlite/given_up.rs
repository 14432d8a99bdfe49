//! A folder whose state goes on elsewhere: marked, and what is left of it is not opened.

use std::io::{self, Read};
use std::path::Path;

use super::super::Error;
use super::files::Folder;

/// The file that says where the state of a folder is.
pub(super) const MARK: &str = "moved";
/// No mark is longer.
const LONGEST: u64 = 4096;

/// Where the state went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    /// The identity that it has there.
    pub(crate) identity: String,
    /// The place, for people.
    pub(crate) place: String,
}

/// Reads the mark of a folder.
pub(crate) fn mark(folder: &Path) -> Result<Option<Mark>, Error> {
    let failed = |error| Error::from_io(folder, error);
    let mut text = String::new();
    match std::fs::File::open(folder.join(MARK)) {
        Ok(file) => file.take(LONGEST).read_to_string(&mut text).map_err(failed)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let (identity, place) = text.trim().split_once('\n').unwrap_or(("", "a database"));
    Ok(Some(Mark { identity: identity.to_owned(), place: place.to_owned() }))
}

/// [`Error::Moved`] if the state of this folder goes on elsewhere.
pub(crate) fn refuse_moved(folder: &Folder) -> Result<(), Error> {
    match mark(&folder.path)? {
        Some(mark) => Err(Error::Moved { from: folder.path.display().to_string(), to: mark.place }),
        None => Ok(()),
    }
}
