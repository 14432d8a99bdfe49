//! Configuration errors, one line each.

use std::cell::RefCell;
use std::path::PathBuf;

use super::Origin;

/// One error in the configuration. The operator must correct each of them, and none contains a value.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No path was given. The caller of [`load`](super::load) must specify a file or a folder.
    #[error("no configuration found; specify it with --config PATH")]
    NoSources,
    /// The operator must create the file or folder, or specify another.
    #[error("{path}: no such file or folder; create it, or specify the configuration with --config PATH")]
    NotFound {
        /// The specified path.
        path: PathBuf,
    },
    /// The operator must put a file into the folder, or specify another.
    #[error(
        "{path}: the folder contains no *.toml file; put the configuration there, or specify another with \
         --config PATH"
    )]
    EmptyFolder {
        /// The specified path.
        path: PathBuf,
    },
    /// The operator must make the file readable for the daemon's user.
    #[error("cannot read {path}: {problem}")]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// The reason, and what to do.
        problem: String,
    },
    /// The operator must correct the syntax.
    #[error("{at}: not valid TOML: {problem}")]
    Syntax {
        /// The location of the syntax error.
        at: Origin,
        /// The parser's short message; never the line, which may contain a secret.
        problem: String,
    },
    /// The operator must correct a key or its value.
    #[error("{at}: {key}: {problem}")]
    Key {
        /// Its location.
        at: Origin,
        /// The path of the key, such as `apps.acme-hr.tasks.poll_interval`.
        key: String,
        /// What is wrong, and what would be correct.
        problem: String,
    },
    /// The layers could not be merged; this is a bug.
    #[error("the configuration files cannot be merged: {problem}; please report this as a bug")]
    Layers {
        /// The reason.
        problem: String,
    },
    /// The operator must configure an app.
    #[error(
        "no app is configured: add a table [apps.NAME] with app_id, connector and target; `bridgehead apps \
         list` shows the apps that the key can access"
    )]
    NoApps,
}

impl Error {
    /// The location of the error, if it is in a file or variable.
    pub fn origin(&self) -> Option<&Origin> {
        match self {
            Self::Syntax { at, .. } | Self::Key { at, .. } => Some(at),
            _ => None,
        }
    }

    /// The path of the invalid key, if the error is about a key.
    pub fn key(&self) -> Option<&str> {
        match self {
            Self::Key { key, .. } => Some(key),
            _ => None,
        }
    }
}

/// All errors in the configuration, one line each, in the order of the files.
#[derive(Debug)]
pub struct Errors(Vec<Error>);

impl Errors {
    /// `Ok` with the value if there is no error.
    pub(super) fn unless_empty(errors: Vec<Error>) -> Result<(), Self> {
        if errors.is_empty() { Ok(()) } else { Err(Self(errors)) }
    }

    /// Sorted by file in reading order, then by location; errors in variables are last, sorted by name.
    pub(super) fn sorted(mut errors: Vec<Error>, files: &[PathBuf]) -> Self {
        errors.sort_by_cached_key(|error| match error.origin() {
            Some(Origin::File { path, line, column }) => {
                let file = files.iter().position(|file| **file == **path);
                (file.unwrap_or(files.len()), *line, *column, None)
            }
            None => (0, 0, 0, None),
            Some(Origin::Environment { variable }) => (usize::MAX, 0, 0, Some(variable.clone())),
            Some(Origin::Default) => (usize::MAX, 0, 0, None),
        });
        Self(errors)
    }

    /// The errors, at least one.
    pub fn iter(&self) -> std::slice::Iter<'_, Error> {
        self.0.iter()
    }
}

impl From<Error> for Errors {
    fn from(error: Error) -> Self {
        Self(vec![error])
    }
}

impl IntoIterator for Errors {
    type Item = Error;
    type IntoIter = std::vec::IntoIter<Error>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a Errors {
    type Item = &'a Error;
    type IntoIter = std::slice::Iter<'a, Error>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl std::fmt::Display for Errors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Errors {}

/// Collects errors while the tree is read.
#[derive(Debug, Default)]
pub(super) struct Diagnostics(RefCell<Vec<Error>>);

impl Diagnostics {
    pub(super) fn report(&self, at: &Origin, key: impl Into<String>, problem: impl Into<String>) {
        self.0.borrow_mut().push(Error::Key { at: at.clone(), key: key.into(), problem: problem.into() });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.borrow().is_empty()
    }

    pub(super) fn take(&self) -> Vec<Error> {
        self.0.take()
    }
}
