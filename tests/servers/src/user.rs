//! Servers that refuse to run as root.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;
use std::process::Command;

use crate::process::{require, run};

/// A command that runs as the user of a package if this process is root's, and as the current user otherwise. It replaces itself with the
/// program, so that its process id is the program's.
///
/// # Panics
/// If a program is missing.
pub(crate) fn command_as(user: &str, program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new(require("setpriv", "util-linux"));
    command.args(["--reuid", user, "--regid", user, "--init-groups", "--reset-env", "--"]).arg(program);
    // Only root can access the folder of the tests.
    command.current_dir("/");
    command
}

/// Changes the owner of a folder and its content to the user of a package, if this process is root's.
///
/// # Panics
/// If the user does not exist.
pub(crate) fn give_to(user: &str, folder: &Path) {
    if !is_root() {
        return;
    }
    let id = |option: &str| {
        let text = run(Command::new("id").args([option, user]));
        text.trim().parse::<u32>().expect("an id is a number")
    };
    let (owner, group) = (id("-u"), id("-g"));
    let mut places = vec![folder.to_path_buf()];
    while let Some(place) = places.pop() {
        chown(&place, Some(owner), Some(group)).expect("root may give away what it owns");
        if place.is_dir() {
            let entries = fs::read_dir(&place).expect("the folder can be read");
            places.extend(entries.map(|entry| entry.expect("the folder can be read").path()));
        }
    }
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).expect("root may do so");
}

/// Whether this process runs as root.
pub(crate) fn is_root() -> bool {
    // The owner of this process's own folder in /proc is the user that it runs as.
    fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0)
}
