//! The location of the configuration. Existing files are never overwritten.

use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use super::super::args::Global;
use super::super::context;
use super::super::failure::{Exit, Failure};
use bridgehead_config::{self as config, Config, Connectors, Sources};

/// The folder that `bridgehead run` reads.
const SYSTEM: &str = "/etc/bridgehead";
/// The default file name.
const USUAL: &str = "bridgehead.toml";

/// The file with the settings that concern all apps, in a folder.
const DAEMON: &str = "daemon.toml";

/// The location of the configuration.
#[derive(Debug)]
pub(super) struct Place {
    /// The folder of the file; absolute. Secrets are written there too.
    pub(super) folder: PathBuf,
    /// The file; in a folder that is read as a whole, the file is named after the app.
    file: Option<PathBuf>,
    /// The existing configuration of the folder, if any.
    pub(super) existing: Option<Config>,
}

impl Place {
    pub(super) fn choose(
        output: Option<&Path>,
        global: &Global,
        connectors: &Connectors,
    ) -> Result<Self, Failure> {
        let named = match (output, global.config.as_slice()) {
            (Some(output), _) => output.to_owned(),
            (None, [only]) if only != Path::new(SYSTEM) => only.clone(),
            (None, [_]) if access(SYSTEM, Access::WRITE_OK | Access::EXEC_OK).is_ok() => {
                PathBuf::from(SYSTEM)
            }
            (None, [_]) => PathBuf::from(USUAL),
            (None, _) => {
                let message = "--config was given more than once; choose where to write with --output";
                return Err(Failure::new(Exit::Usage, message));
            }
        };
        let absolute = std::path::absolute(&named).map_err(|error| {
            Failure::new(Exit::Usage, format!("{}: cannot write there: {error}", named.display()))
        })?;
        let is_file = !absolute.is_dir() && absolute.extension().is_some_and(|end| end == "toml");
        if !is_file {
            let existing = existing(&absolute, global, connectors)?;
            return Ok(Self { folder: absolute, file: None, existing });
        }
        free(&absolute)?;
        let folder = absolute.parent().map_or_else(|| PathBuf::from("/"), Path::to_owned);
        Ok(Self { folder, file: Some(absolute), existing: None })
    }

    /// The file of an app.
    pub(super) fn file(&self, app: &str) -> PathBuf {
        self.file.clone().unwrap_or_else(|| self.folder.join(format!("{app}.toml")))
    }

    /// The file for settings that concern all apps, if they are not in the file of the first app: an app is removed by deleting its file.
    pub(super) fn daemon_file(&self) -> Option<PathBuf> {
        let is_needed = self.file.is_none() && self.existing.is_none();
        is_needed.then(|| self.folder.join(DAEMON))
    }

    /// The value for `--config` with which commands read this configuration.
    pub(super) fn configuration(&self) -> &Path {
        self.file.as_deref().unwrap_or(&self.folder)
    }

    /// Whether `bridgehead run` reads it by default.
    pub(super) fn is_usual(&self) -> bool {
        self.configuration() == Path::new(SYSTEM)
    }

    /// The path of the daemon's state.
    pub(super) fn state(&self) -> &'static str {
        if self.folder == Path::new(SYSTEM) { "/var/lib/bridgehead" } else { "state" }
    }

    /// What is wrong with the name of an app.
    pub(super) fn refuse(&self, name: &str) -> Option<String> {
        let plain = |one: char| one.is_ascii_alphanumeric() || "-_".contains(one);
        if name.len() > 64 || !name.chars().all(plain) {
            return Some("must be 1 to 64 letters, digits, '-' and '_', such as \"acme-hr\"".to_owned());
        }
        if self.existing.as_ref().is_some_and(|config| config.apps.contains_key(name)) {
            return Some(format!("there is already an app '{name}'; choose another name"));
        }
        if let Some(daemon) = self.daemon_file() {
            if self.file(name) == daemon {
                return Some(format!("{DAEMON} contains the settings of all apps; choose another name"));
            }
            if let Err(failure) = free(&daemon) {
                return Some(failure.message().to_owned());
            }
        }
        free(&self.file(name)).err().map(|failure| failure.message().to_owned())
    }
}

/// The existing configuration of a folder.
fn existing(folder: &Path, global: &Global, connectors: &Connectors) -> Result<Option<Config>, Failure> {
    let says_something =
        |path: PathBuf| path.extension().is_some_and(|end| end == "toml") && !is_blank(&path);
    let has_any = match std::fs::read_dir(folder) {
        Ok(mut entries) => entries.any(|entry| entry.is_ok_and(|entry| says_something(entry.path()))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => false,
        Err(error) => {
            let message = format!(
                "{} cannot be read: {error}. Run this as a user who may read and write it, or write to another place with --output PATH.",
                folder.display()
            );
            return Err(Failure::new(Exit::Failed, message));
        }
    };
    if !has_any {
        return Ok(None);
    }
    let environment = context::sources(global).environment;
    let config = config::load(&Sources { paths: vec![folder.to_owned()], environment }, connectors);
    config.map(Some).map_err(|errors| {
        let shown = folder.display();
        let message = format!(
            "{errors}\nCorrect what is in {shown} first, or write to another file with --output FILE."
        );
        Failure::new(Exit::Configuration, message)
    })
}

/// Whether a file contains only comments, such as the one that packages install.
fn is_blank(file: &Path) -> bool {
    let text = std::fs::read_to_string(file).ok();
    text.and_then(|text| text.parse::<toml::Table>().ok()).is_some_and(|table| table.is_empty())
}

/// Rejects a file that exists.
fn free(file: &Path) -> Result<(), Failure> {
    if file.symlink_metadata().is_err() {
        return Ok(());
    }
    let message = format!(
        "{} already exists and is not overwritten. To write another file, use --output FILE. To add an app to a configuration, \
         put its files into a folder, and name that: --output FOLDER.",
        file.display()
    );
    Err(Failure::new(Exit::Configuration, message))
}
