//! Applications from PyPI, in the environment that `tests/install` makes.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Names another environment than the one of `tests/install`.
const OVERRIDE: &str = "BRIDGEHEAD_TEST_PYTHON";

/// A program of the Python environment, such as `python` or `jupyterhub`.
///
/// The environment is `target/test-servers/python` of this repository, or what the variable `BRIDGEHEAD_TEST_PYTHON` names.
///
/// # Panics
/// If it is not there; the message says how to fix that.
pub fn python_program(program: &str) -> PathBuf {
    let path = environment().join("bin").join(program);
    assert!(path.is_file(), "{} is not there; run tests/install, or set {OVERRIDE}", path.display());
    path
}

/// A command that runs Python in that environment.
///
/// # Panics
/// If the environment is not there; the message says how to fix that.
pub fn python() -> Command {
    let mut command = Command::new(python_program("python"));
    // What the developer has set for a Python of their own would be mixed in.
    command.env_remove("PYTHONPATH").env_remove("PYTHONHOME").env("PYTHONUNBUFFERED", "1");
    command
}

fn environment() -> PathBuf {
    let usual = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/test-servers/python");
    std::env::var_os(OVERRIDE).map_or_else(usual, PathBuf::from)
}
