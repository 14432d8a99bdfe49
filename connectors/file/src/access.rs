//! Preserves access to a file that is replaced: owner, group, mode, access-control list and extended attributes.
//!
//! A replacement is a different file. If its access cannot be preserved, some program that uses the file would be locked out, so the write
//! is refused instead.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, fchown};

use xattr::FileExt as _;

/// What cannot be preserved.
#[derive(Debug, thiserror::Error)]
#[error("{what} cannot be preserved ({source})")]
pub(crate) struct Lost {
    what: String,
    source: io::Error,
}

/// Gives a new file the access of an old one. It is an error if any part of it cannot be preserved.
pub(crate) fn keep(old: &File, new: &File) -> Result<(), Lost> {
    let failed = |what: &str| {
        let what = what.to_owned();
        |source| Lost { what, source }
    };
    let wanted = old.metadata().map_err(failed("its mode"))?;
    let now = new.metadata().map_err(failed("its mode"))?;
    // The owner is set last, because only the owner may do the rest. The mode is set after the group, because changing the group may clear
    // bits of the mode.
    if now.gid() != wanted.gid() {
        fchown(new, None, Some(wanted.gid())).map_err(failed(&format!("its group {}", wanted.gid())))?;
    }
    new.set_permissions(Permissions::from_mode(mode(&wanted))).map_err(failed("its mode"))?;
    attributes(old, new)?;
    if now.uid() != wanted.uid() {
        fchown(new, Some(wanted.uid()), None).map_err(failed(&format!("its owner {}", wanted.uid())))?;
    }
    let kept = new.metadata().map_err(failed("its mode"))?;
    if (mode(&kept), kept.uid(), kept.gid()) != (mode(&wanted), wanted.uid(), wanted.gid()) {
        let source = io::Error::other("the file system stores a different one");
        return Err(Lost { what: "its owner, group and mode".to_owned(), source });
    }
    Ok(())
}

fn mode(metadata: &Metadata) -> u32 {
    metadata.mode() & 0o7777
}

/// Access-control lists are extended attributes as well.
fn attributes(old: &File, new: &File) -> Result<(), Lost> {
    let (wanted, now) = (read(old)?, read(new)?);
    for (name, value) in &wanted {
        if now.get(name) != Some(value) {
            new.set_xattr(name, value).map_err(|source| lost(name, source))?;
        }
    }
    // Attributes that the folder adds to every new file.
    for name in now.keys().filter(|name| !wanted.contains_key(*name)) {
        new.remove_xattr(name).map_err(|source| lost(name, source))?;
    }
    Ok(())
}

fn lost(name: &OsStr, source: io::Error) -> Lost {
    let what = match name.to_str() {
        Some("system.posix_acl_access") => "its access-control list".to_owned(),
        _ => format!("its attribute {}", name.display()),
    };
    Lost { what, source }
}

fn read(file: &File) -> Result<BTreeMap<OsString, Vec<u8>>, Lost> {
    let names = match file.list_xattr() {
        Ok(names) => names,
        // The file system does not support them.
        Err(error) if error.kind() == io::ErrorKind::Unsupported => return Ok(BTreeMap::new()),
        Err(source) => return Err(Lost { what: "its attributes".to_owned(), source }),
    };
    let mut all = BTreeMap::new();
    for name in names {
        if let Some(value) = file.get_xattr(&name).map_err(|source| lost(&name, source))? {
            all.insert(name, value);
        }
    }
    Ok(all)
}
