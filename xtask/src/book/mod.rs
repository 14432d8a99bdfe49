//! `cargo xtask book`: the documentation as a book, and its links.

mod check;
mod stage;

use std::path::Path;
use std::process::Command;

use clap::Args;

use crate::failure::Result;
use crate::tool::{self, Installed};

/// The version that book.toml is written for. Serving the book and watching its files are not needed.
const MDBOOK: Installed = Installed {
    program: "mdbook",
    version: "0.5.4",
    features: &["--no-default-features", "--features", "search"],
    task: "book",
};

/// The options of the book.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Install mdBook into target/tools first if it is missing. Compiling it takes minutes.
    #[arg(long)]
    install: bool,
}

/// Builds the book into target/book and checks every link in it.
pub(crate) fn run(options: &Options) -> Result<()> {
    let (source, book) = (tool::target().join("book-source"), tool::target().join("book"));
    let pages = write(&MDBOOK.find(options.install)?, &source, &book)?;
    let links = check::check(&book)?;
    say(&format!("{}: {pages} chapters, {links} links", book.join("index.html").display()));
    Ok(())
}

/// Builds the book into a folder, for packages.
pub(crate) fn build(source: &Path, book: &Path) -> Result<()> {
    write(&MDBOOK.find(false)?, source, book)?;
    Ok(())
}

/// Returns how many chapters there are.
fn write(mdbook: &Path, source: &Path, book: &Path) -> Result<usize> {
    let pages = stage::stage(&tool::root(), source)?;
    tool::run(Command::new(mdbook).arg("build").arg(source).arg("--dest-dir").arg(book))?;
    Ok(pages)
}

#[expect(clippy::print_stdout, reason = "this is a command's own output")]
fn say(what: &str) {
    println!("{what}");
}
