//! The artifacts that the task creates from the existing binary.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The repository.
pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the repository").to_owned()
}

/// The command to pack: the one that cargo built next to the task.
pub(crate) fn bridgehead() -> PathBuf {
    let folder = Path::new(env!("CARGO_BIN_EXE_xtask")).parent().expect("a folder");
    let binary = folder.join("bridgehead");
    assert!(binary.exists(), "{} is not there: `cargo build` first", binary.display());
    binary
}

/// The folder for the artifacts of the task.
#[derive(Debug)]
pub(crate) struct Made {
    folder: tempfile::TempDir,
    binary: PathBuf,
}

impl Made {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        // Stripped to half its size, like the released binary.
        let binary = folder.path().join("bridgehead");
        run(Command::new("strip").arg("-o").arg(&binary).arg(bridgehead()));
        Self { folder, binary }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Creates one artifact and returns its path.
    pub(crate) fn make(&self, step: &str, version: &str) -> PathBuf {
        let output = Command::new(env!("CARGO_BIN_EXE_xtask"))
            .args(["dist", step, "--quick", "--version", version, "--out"])
            .arg(self.folder.path())
            .arg("--binary")
            .arg(&self.binary)
            .output()
            .expect("the task runs");
        assert!(output.status.success(), "{}", said(&output));
        let printed = String::from_utf8(output.stdout).expect("text");
        let path = PathBuf::from(printed.trim());
        assert!(path.starts_with(self.folder.path().canonicalize().expect("a path")), "{}", path.display());
        path
    }
}

/// Both streams of a program.
pub(crate) fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Runs a program that must succeed, and returns what it printed.
pub(crate) fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| {
        panic!("{} cannot be run ({error}): tests/install installs it", command.get_program().display())
    });
    assert!(output.status.success(), "{command:?}: {}: {}", output.status, said(&output));
    said(&output)
}
