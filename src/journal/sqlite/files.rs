//! The state folder and its files, closed to others.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use super::super::Error;
use super::lock;

/// The database of the journal.
pub(super) const TASKS: &str = "tasks.db";
/// The database of what syncs saw.
pub(super) const LISTINGS: &str = "listings.db";
/// What SQLite puts beside a database.
const BESIDE: [&str; 2] = ["-wal", "-shm"];

const FOLDER_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;
/// What group and others may do.
const OTHERS: u32 = 0o077;
/// On a folder: everybody may put files into it, as into `/tmp`.
const STICKY: u32 = 0o1000;

/// Makes the folder if there is none, and closes it to others if it is open.
pub(super) fn prepare(folder: &Path) -> Result<(), Error> {
    let metadata = match std::fs::metadata(folder) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return create(folder),
        Err(error) => return Err(Error::from_io(folder, error)),
    };
    if !metadata.is_dir() {
        return Err(Error::from_io(folder, io::ErrorKind::NotADirectory.into()));
    }
    let mode = metadata.mode() & 0o7777;
    if mode & OTHERS == 0 {
        return Ok(());
    }
    let refuse = |why: String| Error::Permissions { path: folder.to_owned(), mode, why };
    // A path such as /tmp or /var/lib, set by mistake, must not be closed to everybody else.
    if mode & STICKY != 0 || !is_ours(folder).map_err(|error| Error::from_io(folder, error))? {
        return Err(refuse("holds other files than bridgehead's".to_owned()));
    }
    std::fs::set_permissions(folder, folder_permissions())
        .map_err(|error| refuse(format!("cannot be closed: {error}")))?;
    tracing::warn!(
        folder = %folder.display(),
        mode = format_args!("{mode:04o}"),
        "the state folder was open to others; its mode is now 0700"
    );
    Ok(())
}

/// Nobody but the owner.
pub(super) fn folder_permissions() -> Permissions {
    Permissions::from_mode(FOLDER_MODE)
}

fn create(folder: &Path) -> Result<(), Error> {
    let create = || -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(folder)?;
        // The entry in the parent must survive a power failure as the files in the folder do.
        if let Some(parent) = folder.parent() {
            let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
            File::open(parent)?.sync_all()?;
        }
        Ok(())
    };
    create().map_err(|error| Error::from_io(folder, error))
}

/// Whether the folder is empty or has been used before.
fn is_ours(folder: &Path) -> io::Result<bool> {
    Ok([TASKS, LISTINGS, lock::FILE].iter().any(|name| folder.join(name).exists())
        || std::fs::read_dir(folder)?.next().is_none())
}

/// Makes the database files, readable by nobody else, before SQLite opens them: SQLite gives the files beside
/// a database the mode of the database. Those that are there already are closed.
pub(super) fn create_databases(folder: &Path) -> Result<(), Error> {
    let create = || -> io::Result<()> {
        for database in [TASKS, LISTINGS] {
            drop(open_private(&folder.join(database))?);
            for beside in BESIDE {
                close_to_others(&folder.join(format!("{database}{beside}")))?;
            }
        }
        File::open(folder)?.sync_all()
    };
    create().map_err(|error| Error::from_io(folder, error))
}

/// Opens a file for reading and writing, makes it if there is none, and closes it to others.
pub(super) fn open_private(path: &Path) -> io::Result<File> {
    let file =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(FILE_MODE).open(path)?;
    close_to_others(path)?;
    Ok(file)
}

fn close_to_others(path: &Path) -> io::Result<()> {
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.mode() & OTHERS != 0 => {
            tracing::warn!(file = %path.display(), "the file was open to others; its mode is now 0600");
            std::fs::set_permissions(path, Permissions::from_mode(FILE_MODE))
        }
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}
