//! Faults of calls to the database, and the server's messages.

use sqlx::mysql::MySqlDatabaseError;
use sqlx::postgres::{PgDatabaseError, PgSeverity};

use super::{Kind, mysql, postgres, sqlite};
use crate::settings::Engine;

/// Why a call to the database failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// The server reported an error. The remedy depends on its kind.
    #[error("{0}")]
    ServerMessage(ServerMessage),
    /// The server cannot be reached. The operator starts it, or corrects the address.
    #[error("is unreachable: {0}")]
    Unreachable(String),
    /// No encrypted connection can be established. The operator corrects certificates or settings.
    #[error("no encrypted connection can be established: {0}")]
    Tls(String),
    /// The connection broke. No action needed.
    #[error("the connection failed: {0}")]
    Lost(String),
    /// No response in time. No action needed, unless it persists.
    #[error("no response in time")]
    Silent,
    /// All connections are in use. No action needed, unless it persists: then `pool.max_connections` is too small.
    #[error("all {0} connections of the pool are in use")]
    Busy(usize),
    /// A column has a type that cannot be read. The operator casts it.
    #[error("{0}")]
    Unreadable(String),
    /// A connection pool assigns a connection per statement. The operator must configure it per transaction.
    #[error(
        "a connection pool in front of the database does not support transactions (PgBouncer's pool_mode = \
         statement), so a task could be half done"
    )]
    NoTransactions,
    /// A string contains a NUL character, which PostgreSQL cannot store.
    #[error("a text of the task contains a NUL character, which PostgreSQL cannot store")]
    Nul,
}

/// A server's message, without details that quote values.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{engine} {code}", engine = engine.title())]
pub(crate) struct ServerMessage {
    pub(crate) engine: Engine,
    /// The SQLSTATE, the error number, or the extended result code.
    pub(crate) code: String,
    pub(crate) kind: Kind,
    /// The violated constraint, if it has a name.
    pub(crate) constraint: Option<String>,
    /// The server's message. It may contain values: see [`Meaning::quotes`](super::kind::Meaning).
    pub(crate) message: String,
    /// Whether the server closed the connection.
    pub(crate) ends_connection: bool,
}

impl Fault {
    /// Whether the connection can still be used.
    pub(crate) fn leaves_connection(&self) -> bool {
        match self {
            Self::ServerMessage(told) => !told.ends_connection && told.kind.leaves_connection(),
            Self::Unreadable(_) | Self::Nul => true,
            Self::Unreachable(_)
            | Self::Tls(_)
            | Self::Lost(_)
            | Self::Silent
            | Self::Busy(_)
            | Self::NoTransactions => false,
        }
    }

    /// A fault of connecting, or of beginning a transaction: no task is to blame for it.
    pub(crate) fn before_statements(self) -> Self {
        match self {
            Self::ServerMessage(told) => {
                Self::ServerMessage(ServerMessage { kind: told.kind.before_statements(), ..told })
            }
            other => other,
        }
    }

    /// A MySQL statement that is larger than the server accepts. The server would close the connection, often without saying why.
    pub(crate) fn too_large(limit: usize) -> Self {
        Self::ServerMessage(ServerMessage {
            engine: Engine::Mysql,
            code: mysql::TOO_LARGE.to_string(),
            kind: Kind::TooLarge,
            constraint: None,
            message: format!("a statement is larger than max_allowed_packet ({limit} bytes)"),
            ends_connection: false,
        })
    }

    /// Whether other existing connections are also unusable, because the server was replaced or is in a different state.
    pub(crate) fn is_of_all_connections(&self) -> bool {
        matches!(self, Self::ServerMessage(told) if matches!(told.kind, Kind::ReadOnly | Kind::Unavailable | Kind::Stale))
    }
}

/// Converts an sqlx error. `connecting` distinguishes an unreachable server from a lost connection.
pub(crate) fn read(engine: Engine, error: sqlx::Error, connecting: bool) -> Fault {
    match error {
        sqlx::Error::Database(error) => Fault::ServerMessage(told(engine, &*error, connecting)),
        sqlx::Error::Io(error) if is_tls(&error) => Fault::Tls(error.to_string()),
        sqlx::Error::Io(error) if connecting => Fault::Unreachable(error.to_string()),
        sqlx::Error::Io(error) => Fault::Lost(error.to_string()),
        sqlx::Error::Tls(error) => Fault::Tls(error.to_string()),
        sqlx::Error::ColumnDecode { index, source } => Fault::Unreadable(format!("column {index}: {source}")),
        sqlx::Error::Decode(error) => Fault::Unreadable(error.to_string()),
        other if connecting => Fault::Unreachable(other.to_string()),
        other => Fault::Lost(other.to_string()),
    }
}

/// rustls' errors are wrapped in I/O errors.
fn is_tls(error: &std::io::Error) -> bool {
    error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()).is_some()
}

fn told(engine: Engine, error: &dyn sqlx::error::DatabaseError, connecting: bool) -> ServerMessage {
    let message = error.message().to_owned();
    if let Some(error) = error.try_downcast_ref::<PgDatabaseError>() {
        let ends_connection = matches!(error.severity(), PgSeverity::Fatal | PgSeverity::Panic);
        let kind = match error.code() {
            postgres::OF_POOL if connecting => postgres::refused_by_pool(&message),
            state => postgres::kind(state),
        };
        let kind = match kind {
            // A server that ends the connection for an unknown reason does not judge the statement.
            Kind::Internal | Kind::Other if ends_connection => Kind::Unavailable,
            kind => kind,
        };
        return ServerMessage {
            engine,
            code: error.code().to_owned(),
            kind,
            constraint: error.constraint().or(error.column()).map(str::to_owned),
            message,
            ends_connection,
        };
    }
    if let Some(error) = error.try_downcast_ref::<MySqlDatabaseError>() {
        let number = error.number();
        let kind = mysql::kind(number, &message);
        return ServerMessage {
            engine,
            code: number.to_string(),
            kind,
            constraint: mysql::constraint(number, &message),
            ends_connection: kind == Kind::TooLarge,
            message,
        };
    }
    let code = error.code().unwrap_or_default().into_owned();
    let kind = sqlite::kind(code.parse().unwrap_or_default(), &message);
    ServerMessage {
        engine,
        kind,
        constraint: sqlite::constraint(&message),
        ends_connection: false,
        code,
        message,
    }
}
