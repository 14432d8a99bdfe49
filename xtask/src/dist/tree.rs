//! The files of a package in their installed layout.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Product, fresh, pages, write};
use crate::failure::{Failure, Result};
use crate::tool;

/// The family of systems whose conventions the package follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    Debian,
    RedHat,
}

/// Files of the repository, and their destinations.
const FILES: [(&str, &str); 8] = [
    ("systemd/bridgehead.service", "usr/lib/systemd/system/bridgehead.service"),
    ("systemd/bridgehead@.service", "usr/lib/systemd/system/bridgehead@.service"),
    ("systemd/sysusers.conf", "usr/lib/sysusers.d/bridgehead.conf"),
    ("systemd/tmpfiles.conf", "usr/lib/tmpfiles.d/bridgehead.conf"),
    ("packaging/bridgehead.toml", "etc/bridgehead/bridgehead.toml"),
    ("config/bridgehead.toml", "usr/share/doc/bridgehead/examples/bridgehead.toml"),
    ("CHANGELOG.md", "usr/share/doc/bridgehead/CHANGELOG.md"),
    ("README.md", "usr/share/doc/bridgehead/README.md"),
];

/// Folders of the repository, and their destinations.
const FOLDERS: [(&str, &str); 3] = [
    ("config/examples", "usr/share/doc/bridgehead/examples"),
    ("systemd/drop-ins", "usr/share/doc/bridgehead/examples/drop-ins"),
    ("docs", "usr/share/doc/bridgehead/docs"),
];

/// Arranges the files in a folder that is emptied first.
pub(super) fn lay(product: &Product, family: Family, root: &Path) -> Result<()> {
    fresh(root)?;
    let source = tool::root();
    for (from, to) in FOLDERS {
        copy_folder(&source.join(from), &root.join(to))?;
    }
    for (from, to) in FILES {
        copy(&source.join(from), &root.join(to), 0o644)?;
    }
    copy(&product.binary, &root.join("usr/bin/bridgehead"), 0o755)?;
    let completions = pages::completions(product)?;
    let zsh = match family {
        Family::Debian => "usr/share/zsh/vendor-completions/_bridgehead",
        Family::RedHat => "usr/share/zsh/site-functions/_bridgehead",
    };
    for (name, to) in [
        ("bridgehead", "usr/share/bash-completion/completions/bridgehead"),
        ("_bridgehead", zsh),
        ("bridgehead.fish", "usr/share/fish/vendor_completions.d/bridgehead.fish"),
    ] {
        copy(&completions.join(name), &root.join(to), 0o644)?;
    }
    copy_folder(&pages::book(product)?, &root.join("usr/share/doc/bridgehead/html"))?;
    let manual = root.join("usr/share/man/man1");
    copy_folder(&pages::manual(product)?, &manual)?;
    tool::run(Command::new("gzip").args(["-9n", "-r"]).arg(&manual))?;
    let (license, to) = match family {
        Family::Debian => ("packaging/deb/copyright", "usr/share/doc/bridgehead/copyright"),
        Family::RedHat => ("LICENSE", "usr/share/licenses/bridgehead/LICENSE"),
    };
    copy(&source.join(license), &root.join(to), 0o644)?;
    // One time for all files, so that the same commit always results in the same package.
    tool::run(
        Command::new("find")
            .arg(root)
            .args(["-exec", "touch", "--no-dereference", "--date"])
            .arg(format!("@{}", product.epoch))
            .args(["{}", "+"]),
    )?;
    Ok(())
}

/// The files of a tree, sorted, relative to its root.
pub(super) fn files(root: &Path) -> Result<Vec<PathBuf>> {
    fn collect(root: &Path, folder: &Path, into: &mut Vec<PathBuf>) -> Result<()> {
        for entry in fs::read_dir(folder).map_err(Failure::of(folder))? {
            let path = entry.map_err(Failure::of(folder))?.path();
            if path.is_dir() {
                collect(root, &path, into)?;
            } else if let Ok(relative) = path.strip_prefix(root) {
                into.push(relative.to_owned());
            }
        }
        Ok(())
    }
    let mut files = Vec::new();
    collect(root, root, &mut files)?;
    files.sort();
    Ok(files)
}

/// Fills in the placeholders of a template.
pub(super) fn fill(template: &str, values: &[(&str, &str)], to: &Path) -> Result<()> {
    let mut text = super::read(&tool::root().join(template))?;
    for (name, value) in values {
        text = text.replace(name, value);
    }
    write(to, text.as_bytes())
}

/// Copies a file with a mode that does not depend on the user who builds.
pub(super) fn copy(from: &Path, to: &Path, mode: u32) -> Result<()> {
    if let Some(folder) = to.parent() {
        folders(folder)?;
    }
    fs::copy(from, to).map_err(Failure::of(from))?;
    fs::set_permissions(to, fs::Permissions::from_mode(mode)).map_err(Failure::of(to))
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    for file in files(from)?.iter().filter(|file| !is_left_behind(file)) {
        let mode = if is_program(&from.join(file))? { 0o755 } else { 0o644 };
        copy(&from.join(file), &to.join(file), mode)?;
    }
    Ok(())
}

/// Whether a file was left behind by running an example.
fn is_left_behind(file: &Path) -> bool {
    file.components().any(|part| {
        let name = part.as_os_str().as_encoded_bytes();
        name.starts_with(b".") || name == b"__pycache__"
    })
}

fn is_program(file: &Path) -> Result<bool> {
    let metadata = fs::metadata(file).map_err(Failure::of(file))?;
    Ok(metadata.permissions().mode() & 0o111 != 0)
}

/// Creates folders that every user may enter, regardless of the umask.
fn folders(folder: &Path) -> Result<()> {
    if folder.exists() {
        return Ok(());
    }
    if let Some(parent) = folder.parent() {
        folders(parent)?;
    }
    fs::create_dir(folder).map_err(Failure::of(folder))?;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).map_err(Failure::of(folder))
}
