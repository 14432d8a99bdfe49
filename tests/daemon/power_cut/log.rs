//! The log that `shim.c` writes, read.

use std::path::{Path, PathBuf};

/// One operation of the daemon below the watched folder.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    /// Nanoseconds since 1970, after it was carried out.
    pub(crate) at: i128,
    pub(crate) what: What,
}

#[derive(Clone, Debug)]
pub(crate) enum What {
    /// A new, empty file.
    Create {
        path: PathBuf,
        inode: u64,
    },
    Folder(PathBuf),
    Write {
        inode: u64,
        offset: u64,
        data: Vec<u8>,
    },
    Length {
        inode: u64,
        length: u64,
    },
    Rename {
        from: PathBuf,
        to: PathBuf,
        inode: u64,
    },
    Unlink {
        path: PathBuf,
        inode: u64,
    },
    NoFolder(PathBuf),
    Sync {
        inode: u64,
    },
    SyncFolder(PathBuf),
}

/// The lengths before an entry's texts.
const HEADER: usize = 40;

/// Reads a log. The last entry may be incomplete: then its operation has not happened for anyone who could have seen it.
pub(crate) fn read(path: &Path) -> Vec<Operation> {
    let bytes = std::fs::read(path).unwrap_or_default();
    let mut rest = bytes.as_slice();
    let mut operations = Vec::new();
    while let Some(header) = rest.get(..HEADER) {
        let short =
            |at: usize| u32::from_le_bytes(header[at..at + 4].try_into().expect("four bytes")) as usize;
        let long = |at: usize| u64::from_le_bytes(header[at..at + 8].try_into().expect("eight bytes"));
        let (kind, lengths) = (short(0), [short(4), short(8), short(12)]);
        let (inode, offset, at) = (long(16), long(24), long(32));
        let Some(texts) = rest.get(HEADER..HEADER + lengths.iter().sum::<usize>()) else { break };
        rest = &rest[HEADER + texts.len()..];
        let (path, more) = texts.split_at(lengths[0]);
        let (other, data) = more.split_at(lengths[1]);
        let named = |bytes: &[u8]| PathBuf::from(String::from_utf8_lossy(bytes).into_owned());
        let path = named(path);
        let what = match kind {
            1 => What::Create { path, inode },
            2 => What::Folder(path),
            3 => What::Write { inode, offset, data: data.to_vec() },
            4 => What::Length { inode, length: offset },
            5 => What::Rename { from: path, to: named(other), inode },
            6 => What::Unlink { path, inode },
            7 => What::NoFolder(path),
            8 => What::Sync { inode },
            9 => What::SyncFolder(path),
            // The test would overlook what it does.
            _ => panic!("this test does not know {:?} on {}", named(other), path.display()),
        };
        operations.push(Operation { at: at.into(), what });
    }
    operations
}
