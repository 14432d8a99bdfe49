//! Runs other programs.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::process::{Command, Output};

use crate::failure::{Failure, Result};

/// The root of the repository, regardless of the current directory.
pub(crate) fn root() -> PathBuf {
    let own = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    own.parent().map_or(own.clone(), PathBuf::from)
}

/// The folder that cargo builds into.
pub(crate) fn target() -> PathBuf {
    let chosen = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    root().join(chosen.unwrap_or_else(|| PathBuf::from("target")))
}

/// The cargo that runs this task.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// Runs a program and returns its output, which is shown only if it fails.
pub(crate) fn run(command: &mut Command) -> Result<String> {
    let output = command.output().map_err(|error| missing(command, error))?;
    if !output.status.success() {
        return Err(failed(command, &output));
    }
    String::from_utf8(output.stdout)
        .map_err(|_| Failure::Unfit(format!("{} printed what is not text", name(command))))
}

/// Runs a program in the repository and shows its output as it arrives.
pub(crate) fn show(command: &mut Command) -> Result<()> {
    command.current_dir(root());
    let status = command.status().map_err(|error| missing(command, error))?;
    if status.success() {
        return Ok(());
    }
    Err(Failure::Tool { command: name(command), status: status.to_string(), said: String::new() })
}

/// A program from crates.io that is installed on the machine or in the project's own folder.
pub(crate) struct Installed {
    pub(crate) program: &'static str,
    pub(crate) version: &'static str,
    pub(crate) features: &'static [&'static str],
    /// The task that needs it, for the advice.
    pub(crate) task: &'static str,
}

impl Installed {
    /// The program. Installs it into target/tools first if it is missing and `install` is set.
    pub(crate) fn find(&self, install: bool) -> Result<PathBuf> {
        let folder = root().join("target/tools");
        let own = folder.join("bin").join(self.program);
        for candidate in [own.clone(), PathBuf::from(self.program)] {
            if run(Command::new(&candidate).arg("--version")).is_ok() {
                return Ok(candidate);
            }
        }
        let package = format!("{}@{}", self.program, self.version);
        if !install {
            return Err(Failure::Missing {
                tool: self.program.to_owned(),
                remedy: format!(
                    "`cargo xtask {} --install`, or: cargo install --locked {package}",
                    self.task
                ),
            });
        }
        let mut command = cargo();
        show(
            command.args(["install", "--locked"]).args(self.features).args([&package, "--root"]).arg(&folder),
        )?;
        Ok(own)
    }
}

fn missing(command: &Command, error: std::io::Error) -> Failure {
    let tool = name(command);
    if error.kind() != ErrorKind::NotFound {
        return Failure::File { path: tool.into(), source: error };
    }
    let package = match tool.as_str() {
        "rpmbuild" => "rpm",
        "dpkg-shlibdeps" => "dpkg-dev",
        other => other,
    };
    let remedy = format!("on Debian: apt-get install {package}, or tests/install for everything");
    Failure::Missing { tool, remedy }
}

fn failed(command: &Command, output: &Output) -> Failure {
    let mut said = String::new();
    for stream in [&output.stdout, &output.stderr] {
        let text = String::from_utf8_lossy(stream);
        if !text.trim().is_empty() {
            said.push_str(":\n");
            said.push_str(text.trim());
        }
    }
    Failure::Tool { command: name(command), status: output.status.to_string(), said }
}

fn name(command: &Command) -> String {
    command.get_program().to_string_lossy().into_owned()
}
