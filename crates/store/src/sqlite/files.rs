//! The state folder and its files: accessible only to their owner, and never reached through links.
//!
//! Everything is checked before it is opened and again afterwards: otherwise, a user with write access to the folder could redirect a
//! process with more privileges to any file.

use std::fs::{DirBuilder, File, Metadata, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::super::{Distrust, Error};
use super::lock;

/// The database of the journal.
pub const TASKS: &str = "tasks.db";
/// The database of snapshots.
pub(super) const LISTINGS: &str = "listings.db";
/// The suffixes of SQLite's files next to a database.
const BESIDE: [&str; 2] = ["-wal", "-shm"];

const FOLDER_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;
/// The permission bits of group and others.
const OTHERS: u32 = 0o077;
/// On a folder: every user may create files in it, as in `/tmp`.
const STICKY: u32 = 0o1000;
const ROOT: u32 = 0;

/// How a process uses the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Guest {
    /// As its owner: the daemon. Missing files are created.
    Owner,
    /// As a command, which root may run for the owner. Created files belong to the owner.
    Helper,
    /// As a command that does not create state: it must already exist.
    Visitor,
}

/// Identifies a file, whatever its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    device: u64,
    inode: u64,
}

impl From<&Metadata> for Identity {
    fn from(metadata: &Metadata) -> Self {
        Self { device: metadata.dev(), inode: metadata.ino() }
    }
}

/// The opened state folder.
#[derive(Debug)]
pub(crate) struct Folder {
    pub(crate) path: PathBuf,
    pub(crate) directory: File,
    owner: u32,
    group: u32,
}

/// Opens the folder, creates it if it is missing and `guest` allows that, and removes access for other users. `None` if there is no state
/// and `guest` creates none.
pub(crate) fn prepare(path: &Path, guest: Guest) -> Result<Option<Folder>, Error> {
    let may_create = guest != Guest::Visitor;
    let failed = |error| Error::from_io(path, error);
    match std::fs::symlink_metadata(path) {
        Ok(metadata) => trust_link(path, &metadata)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound && may_create => create(path)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    }
    let directory =
        OpenOptions::new().read(true).custom_flags(flags(OFlags::DIRECTORY)).open(path).map_err(|error| {
            // A file that cannot be opened usually belongs to another user.
            owner_of(path).and_then(|owner| trust_owner(path, owner, guest).err()).unwrap_or(failed(error))
        })?;
    let metadata = directory.metadata().map_err(failed)?;
    trust_owner(path, metadata.uid(), guest)?;
    let folder = Folder { path: path.to_owned(), directory, owner: metadata.uid(), group: metadata.gid() };
    folder.close_to_others(metadata.mode() & 0o7777)?;
    let is_there = folder.path.join(TASKS).symlink_metadata().is_ok();
    Ok((may_create || is_there).then_some(folder))
}

/// Access only for the owner.
pub(super) fn folder_permissions() -> Permissions {
    Permissions::from_mode(FOLDER_MODE)
}

/// For a dynamic user, systemd creates a link to the folder that belongs to root.
fn trust_link(path: &Path, metadata: &Metadata) -> Result<(), Error> {
    let owner = metadata.uid();
    if !metadata.is_symlink() || owner == ROOT || owner == user() {
        return Ok(());
    }
    Err(Error::Untrusted { path: path.to_owned(), why: Distrust::LinkOf { owner } })
}

fn trust_owner(path: &Path, owner: u32, guest: Guest) -> Result<(), Error> {
    let user = user();
    if owner == user || (user == ROOT && guest != Guest::Owner) {
        return Ok(());
    }
    Err(Error::Untrusted { path: path.to_owned(), why: Distrust::Owner { owner, user } })
}

fn owner_of(path: &Path) -> Option<u32> {
    Some(std::fs::metadata(path).ok()?.uid())
}

fn user() -> u32 {
    rustix::process::geteuid().as_raw()
}

fn flags(flags: OFlags) -> i32 {
    flags.bits().cast_signed()
}

fn create(folder: &Path) -> Result<(), Error> {
    let create = || -> io::Result<()> {
        let missing =
            folder.ancestors().take_while(|path| !path.as_os_str().is_empty() && !path.exists()).count();
        DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(folder)?;
        // The entry of each new folder in its parent must survive a power failure, like the files in the folder.
        for parent in folder.ancestors().skip(1).take(missing) {
            let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
            File::open(parent)?.sync_all()?;
        }
        Ok(())
    };
    create().map_err(|error| Error::from_io(folder, error))
}

/// All files of both databases, including those next to them.
pub(super) fn all_databases() -> Vec<String> {
    let beside = |database: &str| BESIDE.map(|suffix| format!("{database}{suffix}"));
    [TASKS, LISTINGS].iter().flat_map(|it| std::iter::once((*it).to_owned()).chain(beside(it))).collect()
}

impl Folder {
    /// Moves the databases into a new subfolder. `None` if there are none.
    pub(super) fn move_aside(&self, name: &str) -> Result<Option<PathBuf>, Error> {
        let failed = |error| Error::from_io(&self.path, error);
        let there: Vec<String> = all_databases()
            .into_iter()
            .filter(|name| self.path.join(name).symlink_metadata().is_ok())
            .collect();
        if there.is_empty() {
            return Ok(None);
        }
        let aside = self.path.join(name);
        DirBuilder::new().mode(FOLDER_MODE).create(&aside).map_err(failed)?;
        self.hand_over(&File::open(&aside).map_err(failed)?).map_err(failed)?;
        for file in there {
            std::fs::rename(self.path.join(&file), aside.join(&file)).map_err(failed)?;
        }
        // First where they are now: a power failure in between may leave a file in both folders, but not in none.
        File::open(&aside).and_then(|aside| aside.sync_all()).map_err(failed)?;
        self.directory.sync_all().map_err(failed)?;
        Ok(Some(aside))
    }

    fn close_to_others(&self, mode: u32) -> Result<(), Error> {
        let path = &self.path;
        if mode & OTHERS == 0 {
            return Ok(());
        }
        let refuse = |why: String| Error::Permissions { path: path.clone(), mode, why };
        // If a path such as /tmp or /var/lib was configured by mistake, do not remove access for all other users.
        if mode & STICKY != 0 || !self.is_ours().map_err(|error| Error::from_io(path, error))? {
            return Err(refuse("contains files that are not bridgehead's".to_owned()));
        }
        self.directory
            .set_permissions(folder_permissions())
            .map_err(|error| refuse(format!("cannot be restricted to its owner: {error}")))?;
        tracing::warn!(
            folder = %path.display(),
            mode = format_args!("{mode:04o}"),
            "the state folder was accessible to other users; its mode is now 0700"
        );
        Ok(())
    }

    /// Whether the folder is empty or was used by bridgehead before.
    fn is_ours(&self) -> io::Result<bool> {
        Ok([TASKS, LISTINGS, lock::FILE].iter().any(|name| self.path.join(name).exists())
            || std::fs::read_dir(&self.path)?.next().is_none())
    }

    /// Creates the database files, readable only by the owner, before SQLite opens them: SQLite gives the files next to a database the mode
    /// and the owner of the database. Removes other users' access to existing files. Returns each database's identity.
    pub(super) fn create_databases(&self) -> Result<[Identity; 2], Error> {
        let mut identities = Vec::new();
        for database in [TASKS, LISTINGS] {
            identities.push(Identity::from(&self.metadata(&self.open_private(database)?)?));
            for beside in BESIDE {
                self.close_file(&format!("{database}{beside}"))?;
            }
        }
        self.directory.sync_all().map_err(|error| Error::from_io(&self.path, error))?;
        let [tasks, listings] = identities[..] else { return Err(Error::Closed) };
        Ok([tasks, listings])
    }

    /// Opens a file for reading and writing, creates it if it is missing, and removes access for other users.
    pub(crate) fn open_private(&self, name: &str) -> Result<File, Error> {
        let path = self.path.join(name);
        let failed = |error| Error::from_io(&path, error);
        let mut options = OpenOptions::new();
        // Opening a pipe must not block until its other end is opened.
        options
            .read(true)
            .write(true)
            .mode(FILE_MODE)
            .custom_flags(flags(OFlags::NOFOLLOW | OFlags::NONBLOCK));
        match std::fs::symlink_metadata(&path) {
            Ok(metadata) => self.trust(&path, &metadata)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let file = options.create_new(true).open(&path).map_err(failed)?;
                self.hand_over(&file).map_err(failed)?;
                return Ok(file);
            }
            Err(error) => return Err(failed(error)),
        }
        let file = options.open(&path).map_err(failed)?;
        let metadata = self.metadata(&file)?;
        self.trust(&path, &metadata)?;
        close(&path, &file, &metadata).map_err(failed)?;
        Ok(file)
    }

    /// Files that root creates in another user's folder must belong to that user, who could not use the state otherwise.
    fn hand_over(&self, file: &File) -> io::Result<()> {
        if self.owner == user() { Ok(()) } else { fchown(file, Some(self.owner), Some(self.group)) }
    }

    fn metadata(&self, file: &File) -> Result<Metadata, Error> {
        file.metadata().map_err(|error| Error::from_io(&self.path, error))
    }

    fn trust(&self, path: &Path, metadata: &Metadata) -> Result<(), Error> {
        let why = if metadata.is_symlink() {
            Distrust::Link
        } else if !metadata.is_file() {
            Distrust::Kind
        } else if metadata.uid() != self.owner {
            // The owner of the folder could not use this file.
            Distrust::Owner { owner: metadata.uid(), user: self.owner }
        } else if metadata.nlink() > 1 {
            Distrust::Linked
        } else {
            return Ok(());
        };
        Err(Error::Untrusted { path: path.to_owned(), why })
    }

    fn close_file(&self, name: &str) -> Result<(), Error> {
        let path = self.path.join(name);
        match std::fs::symlink_metadata(&path) {
            Ok(_) => self.open_private(name).map(drop),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(Error::from_io(&path, error)),
        }
    }
}

fn close(path: &Path, file: &File, metadata: &Metadata) -> io::Result<()> {
    if metadata.mode() & OTHERS == 0 {
        return Ok(());
    }
    tracing::warn!(file = %path.display(), "the file was accessible to other users; its mode is now 0600");
    file.set_permissions(Permissions::from_mode(FILE_MODE))
}
