//! Output of the command about itself: manual pages and completions.

use std::path::PathBuf;
use std::process::Command;

use super::{Product, fresh, write};
use crate::book;
use crate::failure::Result;
use crate::tool;

/// The shells, and the file names of their completions.
const SHELLS: [(&str, &str); 3] =
    [("bash", "bridgehead"), ("zsh", "_bridgehead"), ("fish", "bridgehead.fish")];

/// A page for each command, in a folder.
pub(super) fn manual(product: &Product) -> Result<PathBuf> {
    let folder = product.out.join("man");
    fresh(&folder)?;
    tool::run(Command::new(&product.binary).args(["man", "--dir"]).arg(&folder))?;
    Ok(folder)
}

/// A file for each shell, in a folder.
pub(super) fn completions(product: &Product) -> Result<PathBuf> {
    let folder = product.out.join("completions");
    fresh(&folder)?;
    for (shell, name) in SHELLS {
        let text = tool::run(Command::new(&product.binary).args(["completions", shell]))?;
        write(&folder.join(name), text.as_bytes())?;
    }
    Ok(folder)
}

/// The documentation for a browser, in a folder.
pub(super) fn book(product: &Product) -> Result<PathBuf> {
    let folder = product.out.join("book");
    fresh(&folder)?;
    book::build(&product.out.join("work/book-source"), &folder)?;
    Ok(folder)
}
