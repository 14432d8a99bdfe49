//! Detects that a person has a file open in an editor: saving it later would undo what bridgehead wrote meanwhile.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::Error;

/// Checks that no editor has announced that it edits the file. Editors do so with a file next to it, which they remove at the end.
pub(crate) fn none_has(path: &Path) -> Result<(), Error> {
    // If it is a link, the editor may have opened what it leads to.
    let behind = fs::canonicalize(path).ok().filter(|behind| behind != path);
    marked(path).and_then(|()| behind.as_deref().map_or(Ok(()), marked))
}

fn marked(path: &Path) -> Result<(), Error> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else {
        return Ok(());
    };
    let marks = [
        // LibreOffice, Microsoft Office, vim and nano, Emacs (a link that leads nowhere).
        format!(".~lock.{name}#"),
        format!("~${name}"),
        format!(".{name}.swp"),
        format!(".#{name}"),
    ];
    let marks = marks.into_iter().map(|mark| folder.join(mark));
    let found: Option<PathBuf> = marks.into_iter().find(|mark| fs::symlink_metadata(mark).is_ok());
    found.map_or(Ok(()), |mark| Err(Error::Edited { path: path.to_owned(), mark }))
}
