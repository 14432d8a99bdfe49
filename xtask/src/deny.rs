//! `cargo xtask deny`: licenses, advisories and bans of the project's dependencies.

use std::process::Command;

use crate::failure::Result;
use crate::tool::{self, Installed};

/// The version that deny.toml is written for.
const CARGO_DENY: Installed =
    Installed { program: "cargo-deny", version: "0.20.2", features: &[], task: "deny" };

/// Checks licenses, bans and sources, and the advisories if the list of them can be fetched.
///
/// The list comes from a host that not every machine reaches. Without it, the rest must still pass.
pub(crate) fn run(install: bool) -> Result<()> {
    let program = CARGO_DENY.find(install)?;
    let deny = |arguments: &[&str]| {
        let mut command = Command::new(&program);
        command.current_dir(tool::root()).args(["--all-features"]).args(arguments);
        command
    };
    tool::show(&mut deny(&["check", "--allow", "duplicate", "bans", "licenses", "sources"]))?;
    if tool::run(&mut deny(&["fetch", "db"])).is_err() {
        say("advisories: not checked, because the list of advisories cannot be fetched");
        return Ok(());
    }
    tool::show(&mut deny(&["check", "advisories"]))
}

#[expect(clippy::print_stdout, reason = "this is a command's own output")]
fn say(what: &str) {
    println!("{what}");
}
