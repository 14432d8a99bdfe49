//! Where to ask about the tasks of an app.

use std::collections::HashMap;

use bridgehead_sdk::{Redactor, TaskId};
use jiff::Timestamp;

use bridgehead_bridge::{self as bridge, Api, AppId};
use bridgehead_store::{self as journal, AppKey, TaskJournal};

/// Where to ask about the tasks of an app.
#[expect(missing_debug_implementations, reason = "it refers to a client and a journal, which nobody prints")]
pub struct Source<'a> {
    /// The app, by its name in the configuration.
    pub name: &'a str,
    /// The app, in Iden.
    pub app: AppId,
    /// The app, in the journal.
    pub key: AppKey,
    /// Iden, or why it cannot be asked.
    pub bridge: Result<&'a dyn Api, String>,
    /// The journal; `None` where there is none yet.
    pub journal: Option<&'a dyn TaskJournal>,
    /// What the guard holds.
    pub held: HashMap<TaskId, Timestamp>,
    /// Knows every secret of the configuration.
    pub redactor: &'a Redactor,
}

/// Why tasks cannot be listed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
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
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::Bridge(error) if error.is_transient())
    }
}
