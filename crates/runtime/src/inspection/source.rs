//! The data sources for listing the tasks of an app.

use std::collections::HashMap;

use bridgehead_sdk::{Redactor, TaskId};
use jiff::Timestamp;

use bridgehead_bridge::{self as bridge, Api, AppId};
use bridgehead_store::{self as journal, AppKey, TaskJournal};

/// The data sources for the tasks of an app.
#[expect(missing_debug_implementations, reason = "it refers to a client and a journal, which nobody prints")]
pub struct Source<'a> {
    /// The app's name in the configuration.
    pub name: &'a str,
    /// The app's id in Iden.
    pub app: AppId,
    /// The app's key in the journal.
    pub key: AppKey,
    /// Iden, or the reason why it cannot be called.
    pub bridge: Result<&'a dyn Api, String>,
    /// The journal; `None` if there is none yet.
    pub journal: Option<&'a dyn TaskJournal>,
    /// The tasks that the deprovision limit holds.
    pub held: HashMap<TaskId, Timestamp>,
    /// Knows every secret of the configuration.
    pub redactor: &'a Redactor,
}

/// Why tasks cannot be listed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Iden returned an error or did not respond. The operator must follow the error's advice.
    #[error("{0}\n{advice}", advice = .0.advice())]
    Bridge(#[from] bridge::Error),
    /// There is no API key for Iden. The operator must run the command where the key is available, or start the daemon.
    #[error("{0}")]
    NoBridge(String),
    /// The journal cannot be read. The operator must follow its message.
    #[error(transparent)]
    Journal(#[from] journal::Error),
}

impl Error {
    /// Whether a later attempt may succeed.
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::Bridge(error) if error.is_transient())
    }
}
