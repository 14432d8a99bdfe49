//! The kinds of errors that all databases share.

use bridgehead_sdk::{Code, Retry, Subject};

/// The kind of error that a server reports. No kind has an effect, because the transaction is rolled back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// A value that must be unique already exists.
    Unique,
    /// A referenced row is missing, or a row that is still referenced would be deleted.
    ForeignKey,
    /// A rule of the table is violated: NOT NULL, CHECK, an exclusion.
    Rule,
    /// A value does not fit its column.
    Value,
    /// The statement with its values is larger than the server accepts.
    TooLarge,
    /// One of the operator's triggers or functions raised the error.
    Raised,
    /// The connector's user does not have the permission.
    Denied,
    /// The connector's user or password is rejected.
    Credential,
    /// The connector's user has no access to the database.
    NoAccess,
    /// There is no such database, or no such file.
    NoDatabase,
    /// The server is shutting down or starting up, or ends the connection.
    Unavailable,
    /// The server has no free connections.
    TooMany,
    /// The server has run out of something, or is damaged.
    Resources,
    /// The statement took too long and was cancelled.
    Cancelled,
    /// Another client holds a lock.
    Locked,
    /// The transaction conflicted with another one and was aborted.
    Conflict,
    /// The database does not accept changes: a standby, or a file without write access.
    ReadOnly,
    /// The connection became unusable: its prepared statements are lost, or belong to another client.
    Stale,
    /// The statement does not match the database: a syntax error, a missing table.
    Statement,
    /// The server failed while it ran the statement, and does not say whether another one would succeed.
    Internal,
    /// The server does not know whether it committed.
    InDoubt,
    /// Anything else.
    Other,
}

/// The meaning of a kind for a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Meaning {
    pub(crate) code: Code,
    pub(crate) retry: Retry,
    pub(crate) subject: Subject,
    /// The message for the administrator.
    pub(crate) sentence: &'static str,
    /// Whether the server's message can be included. It may contain values if a value caused the error.
    pub(crate) quotes: bool,
}

impl Kind {
    /// Whether the connection can be used again. Problems that depend on the state of the server or of the connection are checked again on
    /// another one: a kept connection would continue to report a standby.
    pub(crate) fn leaves_connection(self) -> bool {
        !matches!(
            self,
            Self::Unavailable
                | Self::NoAccess
                | Self::NoDatabase
                | Self::Resources
                | Self::ReadOnly
                | Self::Stale
                | Self::Internal
                | Self::InDoubt
        )
    }

    /// The kind of an error that occurs before any statement of a task: it concerns all tasks, whatever its code usually means.
    pub(super) fn before_statements(self) -> Self {
        match self {
            Self::Denied => Self::NoAccess,
            Self::Credential
            | Self::NoAccess
            | Self::NoDatabase
            | Self::TooMany
            | Self::Resources
            | Self::ReadOnly
            | Self::Locked
            | Self::Stale => self,
            _ => Self::Unavailable,
        }
    }

    /// The meaning for a task.
    #[expect(clippy::too_many_lines, reason = "one entry per kind")]
    pub(crate) fn meaning(self) -> Meaning {
        use Code as C;
        use Retry::{Backoff, Never};
        use Subject::{Account, Connection};
        let (code, retry, subject, quotes, sentence) = match self {
            Self::Unique => (
                C::InternalError,
                Never,
                Account,
                false,
                "another record has a value that must be unique; change one of them",
            ),
            Self::ForeignKey => (
                C::InternalError,
                Never,
                Account,
                false,
                "a record that it refers to is missing, or other records still refer to it",
            ),
            Self::Rule => {
                (C::InternalError, Never, Account, false, "a constraint of the table does not allow it")
            }
            Self::Value => {
                (C::InternalError, Never, Account, false, "a value does not fit its column or its cast")
            }
            Self::TooLarge => (
                C::InternalError,
                Never,
                Account,
                false,
                "a value of the task is larger than the server accepts; raise max_allowed_packet of the server",
            ),
            Self::Raised => {
                (C::InternalError, Never, Account, true, "a trigger or a function of the database rejects it")
            }
            Self::Denied => {
                (C::PermissionDenied, Never, Account, true, "the connector's user lacks permission; grant it")
            }
            Self::Credential => (
                C::PermissionDenied,
                Backoff,
                Connection,
                false,
                "the server rejected the connector's user or password; correct user and password in the \
                 app's target",
            ),
            Self::NoAccess => (
                C::PermissionDenied,
                Backoff,
                Connection,
                true,
                "the connector's user has no access to the database; grant it",
            ),
            // It may be created later, or is being restored, so tasks are held.
            Self::NoDatabase => (
                C::InternalError,
                Backoff,
                Connection,
                true,
                "the configured database does not exist or cannot be opened; create it, or correct the app's target",
            ),
            Self::Unavailable => {
                (C::Timeout, Backoff, Connection, true, "the server closes the connection, or accepts none")
            }
            Self::TooMany => (
                C::RateLimited,
                Backoff,
                Connection,
                true,
                "the server has no free connection; lower pool.max_connections or raise the server's limit",
            ),
            Self::Resources => (C::InternalError, Backoff, Connection, true, "the server cannot continue"),
            Self::Cancelled => (
                C::Timeout,
                Backoff,
                Account,
                false,
                "a statement took longer than statement_timeout and was cancelled",
            ),
            Self::Locked => (C::Timeout, Backoff, Account, false, "another transaction holds a lock"),
            Self::Conflict => {
                (C::InternalError, Backoff, Account, false, "it conflicted with another transaction")
            }
            Self::ReadOnly => (
                C::PermissionDenied,
                Backoff,
                Connection,
                true,
                "the database does not accept changes; is it a standby, or a file without write permission?",
            ),
            Self::Stale => (
                C::InternalError,
                Backoff,
                Connection,
                true,
                "the connection became unusable and was dropped; nothing was changed",
            ),
            Self::Statement => (
                C::InternalError,
                Backoff,
                Connection,
                true,
                "a statement of the configuration does not match the database; correct it, or the table",
            ),
            Self::Internal => {
                (C::InternalError, Backoff, Account, true, "the server failed while it ran the statement")
            }
            Self::InDoubt => {
                (C::Timeout, Backoff, Account, false, "the server does not know whether it committed")
            }
            Self::Other => (C::InternalError, Never, Account, true, "the database rejects it"),
        };
        Meaning { code, retry, subject, sentence, quotes }
    }
}
