//! Remembers which files were types, if the settings do not name them: a missing file is then an error, and not the end of a type.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::path::Path;

use crate::error::Error;
use crate::layout::{Layout, OWN_PREFIX};

/// The file in the folder that remembers the types, by the name of the accounts file.
pub(crate) const MEMORY_FILE: &str = ".bridgehead-types";

type Known = BTreeMap<String, BTreeSet<String>>;

/// The files that were types when the folder was last listed to its end.
pub(crate) fn known(folder: &Path, accounts: &str) -> Result<BTreeSet<String>, Error> {
    Ok(read(folder)?.remove(accounts).unwrap_or_default())
}

fn read(folder: &Path) -> Result<Known, Error> {
    let path = folder.join(MEMORY_FILE);
    // Reading a pipe would block forever.
    if fs::symlink_metadata(&path).is_ok_and(|metadata| !metadata.is_file()) {
        return Err(Error::damaged(
            MEMORY_FILE,
            None,
            "is not a regular file; remove it if the file of every type is present",
        ));
    }
    match fs::read_to_string(&path) {
        Ok(text) => serde_json::from_str(&text).map_err(|_| {
            let reason = "has been modified; remove it if the file of every type is present";
            Error::damaged(MEMORY_FILE, None, reason)
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Known::default()),
        Err(error) => Err(Error::io("read", path, error)),
    }
}

/// Remembers the types of a folder that was listed to its end.
pub(crate) fn remember(layout: &Layout) -> Result<(), Error> {
    let files: BTreeSet<String> =
        layout.others.iter().filter(|other| other.is_found).map(|other| other.file.clone()).collect();
    let mut known = read(&layout.folder)?;
    if known.get(&layout.accounts.file).is_some_and(|known| *known == files) {
        return Ok(());
    }
    if files.is_empty() {
        if known.remove(&layout.accounts.file).is_none() {
            return Ok(());
        }
    } else {
        known.insert(layout.accounts.file.clone(), files);
    }
    write(&layout.folder, &known).map_err(|error| {
        let doing = "save (or name groups and licenses in the settings) which files are types in";
        Error::io(doing, &layout.folder, error)
    })
}

fn write(folder: &Path, known: &Known) -> std::io::Result<()> {
    let mut file = tempfile::Builder::new().prefix(OWN_PREFIX).suffix(".tmp").tempfile_in(folder)?;
    file.write_all(&serde_json::to_vec(known)?)?;
    file.as_file().sync_all()?;
    file.persist(folder.join(MEMORY_FILE)).map_err(|error| error.error)?;
    // The new name must survive a power failure, too.
    std::fs::File::open(folder)?.sync_all()
}
