//! `cargo xtask dist`: creates all release artifacts in target/dist.
//!
//! [`binary`] builds the command, [`pages`] generates its manual and completions, [`tree`] arranges the files as they are installed,
//! [`deb`] and [`rpm`] pack that tree, [`sbom`] lists the crates inside.

mod binary;
mod deb;
mod pages;
mod rpm;
mod sbom;
mod tree;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::{Args, ValueEnum};

use crate::failure::{Failure, Result};
use crate::tool;

/// An artifact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Step {
    /// A manual page for each command.
    Man,
    /// Completions for bash, zsh and fish.
    Completions,
    /// The documentation, for a browser. The packages contain it.
    Book,
    /// The package for Debian and related systems.
    Deb,
    /// The package for Fedora, Red Hat and related systems.
    Rpm,
    /// The list of the crates inside, as CycloneDX.
    Sbom,
    /// A statically linked binary that needs no system libraries.
    Musl,
}

/// The options of a distribution.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// What to create; everything if none is given.
    #[arg(value_name = "STEP")]
    steps: Vec<Step>,
    /// Pack this binary instead of building one.
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
    /// Where to put it [default: target/dist].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// The version of the packages [default: that of Cargo.toml].
    #[arg(long, value_name = "VERSION", value_parser = version)]
    version: Option<String>,
    /// Do not compress: for tests.
    #[arg(long)]
    quick: bool,
}

/// The inputs of a package.
#[derive(Debug)]
pub(crate) struct Product {
    binary: PathBuf,
    out: PathBuf,
    version: String,
    quick: bool,
    /// The time of the commit in seconds: the time of every file, so that the same commit always results in the same package.
    epoch: String,
}

/// Creates what the options select.
pub(crate) fn run(options: &Options) -> Result<()> {
    let steps = if options.steps.is_empty() { Step::value_variants() } else { &options.steps };
    let out = options.out.clone().unwrap_or_else(|| tool::target().join("dist"));
    fs::create_dir_all(&out).map_err(Failure::of(&out))?;
    // The tools run in other folders.
    let out = out.canonicalize().map_err(Failure::of(&out))?;
    let needs_binary = steps.iter().any(|step| !matches!(step, Step::Book | Step::Sbom | Step::Musl));
    let binary = match &options.binary {
        Some(binary) => binary.canonicalize().map_err(Failure::of(binary))?,
        None if needs_binary => binary::release()?,
        None => PathBuf::new(),
    };
    let version = options.version.clone().unwrap_or_else(|| env!("CARGO_PKG_VERSION").to_owned());
    let product = Product { binary, out, version, quick: options.quick, epoch: epoch()? };
    let mut made = Vec::new();
    for step in steps {
        let result = match step {
            Step::Man => pages::manual(&product),
            Step::Completions => pages::completions(&product),
            Step::Book => pages::book(&product),
            Step::Deb => deb::build(&product),
            Step::Rpm => rpm::build(&product),
            Step::Sbom => sbom::build(&product),
            Step::Musl => binary::musl(&product),
        };
        match result {
            Ok(path) => {
                report(&path);
                made.push(path);
            }
            // Not every toolchain has this target, and the rest is useful without it.
            Err(failure @ Failure::Missing { .. }) if *step == Step::Musl && options.steps.is_empty() => {
                failure.complain();
            }
            Err(failure) => return Err(failure),
        }
    }
    checksums(&product, &made)
}

#[expect(clippy::print_stdout, reason = "this is a command's own output")]
fn report(path: &Path) {
    println!("{}", path.display());
}

/// Checksums of the files; the pages are inside the packages.
fn checksums(product: &Product, made: &[PathBuf]) -> Result<()> {
    let names: Vec<_> =
        made.iter().filter(|path| path.is_file()).filter_map(|path| path.file_name()).collect();
    if names.is_empty() {
        return Ok(());
    }
    let sums = tool::run(Command::new("sha256sum").args(names).current_dir(&product.out))?;
    write(&product.out.join("SHA256SUMS"), sums.as_bytes())
}

fn epoch() -> Result<String> {
    if let Ok(epoch) = std::env::var("SOURCE_DATE_EPOCH") {
        return Ok(epoch);
    }
    let time = tool::run(Command::new("git").args(["log", "-1", "--format=%ct"]).current_dir(tool::root()))?;
    Ok(time.trim().to_owned())
}

/// A version that both formats accept: three numbers.
fn version(text: &str) -> std::result::Result<String, String> {
    let parts: Vec<&str> = text.split('.').collect();
    if parts.len() == 3 && parts.iter().all(|part| part.parse::<u32>().is_ok()) {
        return Ok(text.to_owned());
    }
    Err("must be three numbers, such as 0.1.0".to_owned())
}

/// Creates an empty folder.
fn fresh(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).map_err(Failure::of(folder))?;
    }
    fs::create_dir_all(folder).map_err(Failure::of(folder))
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(Failure::of(path))
}

fn write(path: &Path, content: &[u8]) -> Result<()> {
    fs::write(path, content).map_err(Failure::of(path))
}
