//! The package for Debian and related systems, built with `dpkg-deb`.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::tree::{self, Family};
use super::{Product, fresh, write};
use crate::failure::{Failure, Result};
use crate::tool;

/// The package manager runs these scripts. They print what they do, and start nothing.
const SCRIPTS: [&str; 3] = ["postinst", "prerm", "postrm"];

/// Builds the package.
pub(super) fn build(product: &Product) -> Result<PathBuf> {
    let work = product.out.join("work/deb");
    let root = work.join("root");
    tree::lay(product, Family::Debian, &root)?;
    let arch = tool::run(Command::new("dpkg").arg("--print-architecture"))?.trim().to_owned();
    let size =
        tool::run(Command::new("du").args(["--summarize", "--apparent-size", "--block-size=1K"]).arg(&root))?;
    let size = size.split_whitespace().next().unwrap_or("0").to_owned();
    let depends = libraries(&work, &root.join("usr/bin/bridgehead"))?;
    let control = root.join("DEBIAN");
    let sums = md5sums(&root)?;
    fresh(&control)?;
    tree::fill(
        "packaging/deb/control",
        &[("@VERSION@", &product.version), ("@ARCH@", &arch), ("@SIZE@", &size), ("@DEPENDS@", &depends)],
        &control.join("control"),
    )?;
    for script in SCRIPTS {
        tree::copy(&tool::root().join("packaging/deb").join(script), &control.join(script), 0o755)?;
    }
    write(&control.join("md5sums"), sums.as_bytes())?;
    write(&control.join("conffiles"), b"/etc/bridgehead/bridgehead.toml\n")?;
    let made = product.out.join(format!("bridgehead_{}-1_{arch}.deb", product.version));
    let compression = if product.quick { "-Znone" } else { "-Zxz" };
    tool::run(
        Command::new("dpkg-deb")
            .args(["--root-owner-group", compression, "--build"])
            .args([&root, &made])
            .env("SOURCE_DATE_EPOCH", &product.epoch),
    )?;
    Ok(made)
}

/// The system libraries that the binary needs, by the names and versions of Debian's packages.
fn libraries(work: &Path, binary: &Path) -> Result<String> {
    // The tool must be called in the folder of a source package.
    let source = work.join("source");
    fresh(&source.join("debian"))?;
    let stanza = b"Source: bridgehead\n\nPackage: bridgehead\nArchitecture: any\n";
    write(&source.join("debian/control"), stanza)?;
    let found = tool::run(Command::new("dpkg-shlibdeps").arg("-O").arg(binary).current_dir(&source))?;
    let found = found.lines().find_map(|line| line.strip_prefix("shlibs:Depends="));
    found.map(str::to_owned).ok_or_else(|| {
        Failure::Unfit(format!("dpkg-shlibdeps does not say which libraries {} needs", binary.display()))
    })
}

/// The checksums for `dpkg --verify`.
fn md5sums(root: &Path) -> Result<String> {
    let files = tree::files(root)?;
    // Operators are expected to change the configuration.
    let files = files.iter().filter(|file| !file.starts_with("etc"));
    tool::run(Command::new("md5sum").args(files).current_dir(root))
}
