//! `cargo xtask book`: the documentation as a book, and its links.

mod check;
mod stage;

use std::path::PathBuf;
use std::process::Command;

use clap::Args;

use crate::failure::{Failure, Result};
use crate::tool;

/// The version that book.toml is written for.
const VERSION: &str = "0.5.4";

/// How the book is made.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Install mdBook into target/tools first, where it is missing. It compiles for minutes.
    #[arg(long)]
    install: bool,
}

/// Builds the book into target/book and checks every link in it.
pub(crate) fn run(options: &Options) -> Result<()> {
    let mdbook = mdbook(options.install)?;
    let (source, book) = (tool::target().join("book-source"), tool::target().join("book"));
    let pages = stage::stage(&tool::root(), &source)?;
    tool::run(Command::new(mdbook).arg("build").arg(&source).arg("--dest-dir").arg(&book))?;
    let links = check::check(&book)?;
    say(&format!("{}: {pages} chapters, {links} links", book.join("index.html").display()));
    Ok(())
}

#[expect(clippy::print_stdout, reason = "this is a command's own output")]
fn say(what: &str) {
    println!("{what}");
}

/// The program, on the machine or in the project's own folder.
fn mdbook(install: bool) -> Result<PathBuf> {
    let own = tool::root().join("target/tools");
    for candidate in [own.join("bin/mdbook"), PathBuf::from("mdbook")] {
        if tool::run(Command::new(&candidate).arg("--version")).is_ok() {
            return Ok(candidate);
        }
    }
    let package = format!("mdbook@{VERSION}");
    if !install {
        return Err(Failure::Missing {
            tool: "mdbook".to_owned(),
            remedy: format!("`cargo xtask book --install`, or: cargo install --locked {package}"),
        });
    }
    // What serves a book and watches its files is not needed.
    let features = ["--no-default-features", "--features", "search"];
    let mut command = tool::cargo();
    tool::show(command.args(["install", "--locked"]).args(features).args([&package, "--root"]).arg(&own))?;
    Ok(own.join("bin/mdbook"))
}
