//! The package for Fedora, Red Hat and related systems, built with `rpmbuild`.

use std::path::PathBuf;
use std::process::Command;

use super::tree::{self, Family};
use super::{Product, fresh};
use crate::failure::{Failure, Result};
use crate::tool;

/// Builds the package.
pub(super) fn build(product: &Product) -> Result<PathBuf> {
    let work = product.out.join("work/rpm");
    fresh(&work)?;
    let root = work.join("root");
    tree::lay(product, Family::RedHat, &root)?;
    let spec = work.join("bridgehead.spec");
    tree::fill("packaging/rpm/bridgehead.spec", &[("@VERSION@", &product.version)], &spec)?;
    let arch = std::env::consts::ARCH;
    let define = |name: &str, value: String| format!("{name} {value}");
    let compression = if product.quick { "w0.gzdio" } else { "w19.zstdio" };
    let defines = [
        define("_topdir", work.join("top").display().to_string()),
        define("laid_out", root.display().to_string()),
        define("_binary_payload", compression.to_owned()),
        // The same commit always results in the same package.
        define("_buildhost", "localhost".to_owned()),
        define("use_source_date_epoch_as_buildtime", "1".to_owned()),
        define("clamp_mtime_to_source_date_epoch", "1".to_owned()),
    ];
    let mut command = Command::new("rpmbuild");
    command.args(["-bb", "--target", arch]).env("SOURCE_DATE_EPOCH", &product.epoch);
    for define in &defines {
        command.args(["--define", define.as_str()]);
    }
    tool::run(command.arg(&spec))?;
    let name = format!("bridgehead-{}-1.{arch}.rpm", product.version);
    let built = work.join("top/RPMS").join(arch).join(&name);
    let made = product.out.join(name);
    std::fs::copy(&built, &made).map_err(Failure::of(&built))?;
    Ok(made)
}
