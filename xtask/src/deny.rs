//! `cargo xtask deny`: licenses, advisories and bans of the project's dependencies.

use crate::failure::{Failure, Result};
use crate::tool;

/// The version that deny.toml is written for.
const VERSION: &str = "0.20.2";

/// Runs cargo-deny. It is not part of CI: compiling it takes minutes on a new machine, and the list of advisories comes from a host that
/// not every machine can reach.
pub(crate) fn run(install: bool) -> Result<()> {
    let is_there = tool::run(tool::cargo().args(["deny", "--version"])).is_ok();
    if !is_there && !install {
        return Err(Failure::Missing {
            tool: "cargo-deny".to_owned(),
            remedy: format!("`cargo xtask deny --install`, or: cargo install --locked cargo-deny@{VERSION}"),
        });
    }
    if !is_there {
        let package = format!("cargo-deny@{VERSION}");
        tool::show(tool::cargo().args(["install", "--locked", package.as_str()]))?;
    }
    tool::show(tool::cargo().args(["deny", "--all-features", "check"]))
}
