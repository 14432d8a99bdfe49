//! Builds the command.

use std::path::PathBuf;
use std::process::Command;

use super::Product;
use crate::failure::{Failure, Result};
use crate::tool;

/// The features of distributed binaries. They can send traces, because users of a package do not build it themselves.
pub(super) const FEATURES: &str = "otlp";
const BUILD: [&str; 7] =
    ["build", "--release", "--locked", "--package", "bridgehead", "--features", FEATURES];

/// The binary of the release profile.
pub(super) fn release() -> Result<PathBuf> {
    tool::show(tool::cargo().args(BUILD))?;
    Ok(tool::target().join("release/bridgehead"))
}

/// A binary that runs on every Linux of this architecture, regardless of its libraries.
pub(super) fn musl(product: &Product) -> Result<PathBuf> {
    let arch = std::env::consts::ARCH;
    let target = format!("{arch}-unknown-linux-musl");
    let libraries = tool::run(Command::new("rustc").args(["--print", "target-libdir", "--target", &target]))?;
    if !PathBuf::from(libraries.trim()).is_dir() {
        return Err(Failure::Missing {
            tool: target.clone(),
            remedy: format!("rustup target add {target}, and on Debian: apt-get install musl-tools"),
        });
    }
    // SQLite and AWS-LC are written in C.
    tool::run(Command::new("musl-gcc").arg("--version")).map_err(|_| Failure::Missing {
        tool: "musl-gcc".to_owned(),
        remedy: "on Debian: apt-get install musl-tools".to_owned(),
    })?;
    tool::show(
        tool::cargo()
            .args(BUILD)
            .args(["--target", &target])
            .env(format!("CC_{}", target.replace('-', "_")), "musl-gcc"),
    )?;
    let built = tool::target().join(&target).join("release/bridgehead");
    let headers = tool::run(Command::new("readelf").arg("--program-headers").arg(&built))?;
    if headers.contains("INTERP") {
        return Err(Failure::Unfit(format!("{} is not static: it asks for a loader", built.display())));
    }
    let made = product.out.join(format!("bridgehead-{}-{target}", product.version));
    std::fs::copy(&built, &made).map_err(Failure::of(&made))?;
    Ok(made)
}
