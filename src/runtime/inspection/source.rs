//! Where to ask about the tasks of an app.

use std::collections::HashMap;

use bridgehead_sdk::{Redactor, TaskId};
use jiff::Timestamp;

use crate::bridge::{self, Api, AppId};
use crate::journal::{self, AppKey, Journal};

/// Where to ask about the tasks of an app.
pub(crate) struct Source<'a> {
    /// The app, by its name in the configuration.
    pub(crate) name: &'a str,
    /// The app, in Iden.
    pub(crate) app: AppId,
    /// The app, in the journal.
    pub(crate) key: AppKey,
    /// Iden, or why it cannot be asked.
    pub(crate) bridge: Result<&'a dyn Api, String>,
    /// The journal; `None` where there is none yet.
    pub(crate) journal: Option<&'a dyn Journal>,
    /// What the guard holds.
    pub(crate) held: HashMap<TaskId, Timestamp>,
    /// Knows every secret of the configuration.
    pub(crate) redactor: &'a Redactor,
}

/// Why tasks cannot be listed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// What Iden said, or that it did not answer. The operator does what its advice says.
    #[error("{0}\n{advice}", advice = .0.advice())]
    Bridge(#[from] bridge::Error),
    /// There is no key to ask Iden with. The operator runs this where the key is, or starts the daemon.
    #[error("{0}")]
    NoBridge(String),
    /// The journal cannot be read. The operator does what it says.
    #[error(transparent)]
    Journal(#[from] journal::Error),
}

impl Error {
    /// Whether it may work later.
    pub(crate) fn is_temporary(&self) -> bool {
        matches!(self, Self::Bridge(error) if error.is_transient())
    }
}
