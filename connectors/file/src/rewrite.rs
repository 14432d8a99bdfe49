//! Writes a change to disk: the changed file is written next to the old one, and replaces it by renaming.
//!
//! At any time, even after a power failure, the name refers to either the old file or the new one, complete. Only the
//! changed row is rewritten; every other byte is copied, so that content that bridgehead does not understand is
//! preserved.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use tempfile::NamedTempFile;

use crate::access;
use crate::error::Error;
use crate::layout::OWN_PREFIX;
use crate::rows::Identity;
use crate::table::Snapshot;

const TEMPORARY_SUFFIX: &str = ".tmp";

const CHUNK: usize = 256 * 1024;

/// Replaces a range of the file. If this fails, nothing has changed, except for [`Error::Unconfirmed`]. Returns the
/// identity of the new file.
pub(crate) fn replace(snapshot: &Snapshot, range: Range<u64>, replacement: &[u8]) -> Result<Identity, Error> {
    let path = &snapshot.path;
    // If the name is a symbolic link, the file that it points to is replaced, not the link.
    let target = fs::canonicalize(path).map_err(|error| Error::io("open", path, error))?;
    let folder = target.parent().unwrap_or(Path::new("/"));
    let failed = |error| Error::io("write beside", &target, error);
    let mut temporary = tempfile::Builder::new()
        .prefix(OWN_PREFIX)
        .suffix(TEMPORARY_SUFFIX)
        .tempfile_in(folder)
        .map_err(failed)?;
    copy(snapshot, 0..range.start, &mut temporary)?;
    temporary.write_all(replacement).map_err(failed)?;
    copy(snapshot, range.end..snapshot.identity.length, &mut temporary)?;
    access::keep(&snapshot.file, temporary.as_file())
        .map_err(|lost| Error::Access { path: target.clone(), lost })?;
    temporary.as_file().sync_all().map_err(failed)?;
    // Detects both that another file now has this name, and that this file was written to.
    let now = fs::metadata(&target).map_err(|error| Error::io("open", &target, error))?;
    if Identity::of(&now) != snapshot.identity {
        return Err(Error::Changed { file: snapshot.name.to_string() });
    }
    let written = temporary.as_file().metadata().map_err(failed)?;
    temporary.persist(&target).map_err(|error| failed(error.error))?;
    let flushed = File::open(folder).and_then(|folder| folder.sync_all());
    flushed.map_err(|source| Error::Unconfirmed { path: target, source })?;
    Ok(Identity::of(&written))
}

/// Removes temporary files of processes that were killed while writing. The caller must hold the lock: otherwise,
/// this would remove a file that another process is writing.
pub(crate) fn remove_leftovers(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        if !name.starts_with(OWN_PREFIX) || !name.ends_with(TEMPORARY_SUFFIX) {
            continue;
        }
        match fs::remove_file(entry.path()) {
            Ok(()) => tracing::info!(file = name, "removed the leftovers of an interrupted write"),
            Err(error) => {
                tracing::warn!(file = name, %error, "cannot remove the leftovers of an interrupted write");
            }
        }
    }
}

fn copy(snapshot: &Snapshot, range: Range<u64>, to: &mut NamedTempFile) -> Result<(), Error> {
    let mut buffer = vec![0; CHUNK];
    let mut position = range.start;
    while position < range.end {
        let wanted = usize::try_from(range.end - position).map_or(CHUNK, |rest| rest.min(CHUNK));
        let chunk = buffer.get_mut(..wanted).unwrap_or_default();
        let read = match snapshot.file.read_at(chunk, position) {
            Ok(0) => {
                return Err(Error::Changed { file: snapshot.name.to_string() });
            }
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Error::io("read", &snapshot.path, error)),
        };
        let written = to.write_all(chunk.get(..read).unwrap_or_default());
        written.map_err(|error| Error::io("write beside", &snapshot.path, error))?;
        position += read as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, chown};
    use std::path::PathBuf;

    use serde_json::json;

    use super::*;
    use crate::layout::Layout;
    use crate::settings::Settings;

    const CONTENT: &str = "id,username\nu1,ann\nu2,bob\n";

    fn opened() -> (tempfile::TempDir, PathBuf, Snapshot) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("accounts.csv");
        fs::write(&path, CONTENT).unwrap();
        let snapshot = open(folder.path());
        (folder, path, snapshot)
    }

    fn open(folder: &Path) -> Snapshot {
        let settings: Settings = serde_json::from_value(json!({"path": "."})).unwrap();
        let layout = Layout::discover(&settings, folder).unwrap();
        Snapshot::open(&layout, &layout.accounts).unwrap()
    }

    fn names(folder: &Path) -> usize {
        fs::read_dir(folder).unwrap().count()
    }

    #[test]
    fn replacing_a_range_keeps_the_rest() {
        for (range, row, expected) in [
            (12..19, "u1,eve\n", "id,username\nu1,eve\nu2,bob\n"),
            (12..19, "", "id,username\nu2,bob\n"),
            (26..26, "u3,cy\n", "id,username\nu1,ann\nu2,bob\nu3,cy\n"),
        ] {
            let (_folder, path, snapshot) = opened();
            replace(&snapshot, range, row.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(path).unwrap(), expected);
        }
    }

    #[test]
    fn concurrently_replaced_file_is_not_overwritten() {
        let other = "id,username\nu9,zoe\n";
        let (folder, path, snapshot) = opened();
        fs::write(folder.path().join("new"), other).unwrap();
        fs::rename(folder.path().join("new"), &path).unwrap();
        let error = replace(&snapshot, 12..19, b"").unwrap_err();
        assert!(matches!(error, Error::Changed { .. }), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), other);

        let snapshot = open(folder.path());
        fs::write(&path, CONTENT).unwrap();
        let error = replace(&snapshot, 12..19, b"").unwrap_err();
        assert!(matches!(error, Error::Changed { .. }), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), CONTENT);
        assert_eq!(names(folder.path()), 1, "nothing is left behind");
    }

    #[test]
    fn rewrite_preserves_owner_and_group() {
        let (folder, path, _) = opened();
        if chown(&path, Some(12_345), Some(23_456)).is_err() {
            return; // Only root can change the owner of a file.
        }
        replace(&open(folder.path()), 12..19, b"").unwrap();
        let now = fs::metadata(&path).unwrap();
        assert_eq!((now.uid(), now.gid()), (12_345, 23_456));
    }

    #[test]
    fn rewrite_preserves_extended_attributes_and_acls() {
        use xattr::FileExt as _;
        let (folder, path, _) = opened();
        let file = File::open(&path).unwrap();
        if file.set_xattr("user.origin", b"hr").is_err() {
            return; // The file system does not support attributes.
        }
        // Readable for user 12345 besides the owner: version 2, then the tag, permissions and id of each entry.
        let acl: Vec<u8> = [
            vec![2, 0, 0, 0],
            vec![1, 0, 6, 0, 255, 255, 255, 255],
            vec![2, 0, 4, 0, 57, 48, 0, 0],
            vec![4, 0, 4, 0, 255, 255, 255, 255],
            vec![16, 0, 4, 0, 255, 255, 255, 255],
            vec![32, 0, 0, 0, 255, 255, 255, 255],
        ]
        .concat();
        let has_list = file.set_xattr("system.posix_acl_access", &acl).is_ok();
        replace(&open(folder.path()), 12..19, b"").unwrap();
        let now = File::open(&path).unwrap();
        assert_eq!(now.get_xattr("user.origin").unwrap().as_deref(), Some(b"hr".as_slice()));
        if has_list {
            assert_eq!(now.get_xattr("system.posix_acl_access").unwrap(), Some(acl));
        }
    }

    #[test]
    fn rewriting_a_removed_file_fails_and_does_not_recreate_it() {
        let (folder, path, snapshot) = opened();
        fs::remove_file(&path).unwrap();
        replace(&snapshot, 12..19, b"").unwrap_err();
        assert_eq!(names(folder.path()), 0);
    }
}
