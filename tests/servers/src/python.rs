//! Applications from PyPI, in the environment that `tests/install` creates.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The variable for an environment other than that of `tests/install`.
const OVERRIDE: &str = "BRIDGEHEAD_TEST_PYTHON";

/// A program of the Python environment, such as `python` or `jupyterhub`.
///
/// The environment is `target/test-servers/python` of this repository, or the path in the variable `BRIDGEHEAD_TEST_PYTHON`.
///
/// # Panics
/// If it does not exist; the message says how to create it.
pub fn python_program(program: &str) -> PathBuf {
    let path = environment().join("bin").join(program);
    assert!(path.is_file(), "{} is not there; run tests/install, or set {OVERRIDE}", path.display());
    path
}

/// A command that runs Python in that environment.
///
/// # Panics
/// If the environment does not exist; the message says how to create it.
pub fn python() -> Command {
    let mut command = Command::new(python_program("python"));
    // The developer's own Python settings would interfere.
    command.env_remove("PYTHONPATH").env_remove("PYTHONHOME").env("PYTHONUNBUFFERED", "1");
    command
}

fn environment() -> PathBuf {
    let usual = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/test-servers/python");
    std::env::var_os(OVERRIDE).map_or_else(usual, PathBuf::from)
}
