//! How to reach the database.

use std::collections::BTreeMap;

use bridgehead_sdk::schemars;
use jiff::SignedDuration;
use serde::Deserialize;

use super::{AccountsSettings, ActionSettings, ErrorSettings, HashSettings, ParameterSettings, TypeSettings};

/// The target is a database: PostgreSQL, MySQL, MariaDB or SQLite, and the statements that read and change accounts in it.
#[derive(Clone, Deserialize, schemars::JsonSchema)]
#[schemars(crate = "bridgehead_sdk::schemars")]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The type of database: `postgresql`, `mysql` (also for MariaDB) or `sqlite`.
    pub engine: Engine,
    /// The name or the address of the server, as in the server's certificate.
    #[serde(default)]
    pub host: Option<String>,
    /// The server's port; 5432 or 3306 when absent.
    #[serde(default)]
    pub port: Option<u16>,
    /// The folder of PostgreSQL's socket, or MySQL's socket itself, instead of `host`.
    #[serde(default)]
    pub socket: Option<String>,
    /// The name of the database on the server.
    #[serde(default)]
    pub database: Option<String>,
    /// The user name for the server.
    #[serde(default)]
    pub user: Option<String>,
    /// The password of `user`: `{ env = "NAME" }`, `{ file = "path" }` or `{ credential = "name" }`. Omit it if the server
    /// does not require one.
    #[serde(default)]
    pub password: Option<String>,
    /// The file of an SQLite database. A relative path starts at the folder of the configuration file.
    #[serde(default)]
    pub path: Option<String>,
    /// Whether the connection must be encrypted, with a server certificate that is valid for `host`. When absent: yes, unless
    /// the server is on this machine (loopback or a socket). `false` sends everything in plain text, including passwords.
    #[serde(default)]
    pub tls: Option<bool>,
    /// How many connections to use, and how long to keep them.
    #[serde(default)]
    pub pool: PoolSettings,
    /// How long connecting may take, including the login.
    #[serde(default = "ten_seconds")]
    #[schemars(with = "String")]
    pub connect_timeout: SignedDuration,
    /// How long one statement may take. After that, the server cancels it, and the transaction is rolled back.
    #[serde(default = "thirty_seconds")]
    #[schemars(with = "String")]
    pub statement_timeout: SignedDuration,
    /// The accounts: how to list and find them.
    pub accounts: AccountsSettings,
    /// The types of groups, one table each.
    #[serde(default)]
    pub groups: Vec<TypeSettings>,
    /// The types of licenses, one table each. The keys are those of `groups`.
    #[serde(default)]
    pub licenses: Vec<TypeSettings>,
    /// What each action runs. An action that is absent is not offered.
    #[serde(default)]
    pub actions: ActionSettings,
    /// Custom parameters, by name: a fixed value, or a field of the task that has no column.
    #[serde(default)]
    pub parameters: BTreeMap<String, ParameterSettings>,
    /// The costs of hashing a password.
    #[serde(default)]
    pub hashes: HashSettings,
    /// What certain errors of the database mean here; checked before the connector's built-in table. The first match counts.
    #[serde(default)]
    pub errors: Vec<ErrorSettings>,
}

/// The type of database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, schemars::JsonSchema)]
#[schemars(crate = "bridgehead_sdk::schemars")]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// PostgreSQL.
    #[serde(alias = "postgres")]
    Postgresql,
    /// MySQL or MariaDB.
    #[serde(alias = "mariadb")]
    Mysql,
    /// An SQLite file.
    Sqlite,
}

/// How many connections to use.
#[derive(Clone, Debug, Deserialize, schemars::JsonSchema)]
#[schemars(crate = "bridgehead_sdk::schemars")]
#[serde(deny_unknown_fields, default)]
pub struct PoolSettings {
    /// The maximum number of connections, from 1 to 100. Tasks and syncs share them.
    pub max_connections: u32,
    /// How long a call waits for a connection when all are in use.
    #[schemars(with = "String")]
    pub acquire_timeout: SignedDuration,
    /// A connection that has been idle for this long is not used again.
    #[schemars(with = "String")]
    pub idle_timeout: SignedDuration,
}

impl Default for PoolSettings {
    fn default() -> Self {
        Self {
            max_connections: 5,
            acquire_timeout: ten_seconds(),
            idle_timeout: SignedDuration::from_secs(300),
        }
    }
}

impl Engine {
    /// The display name.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Postgresql => "PostgreSQL",
            Self::Mysql => "MySQL",
            Self::Sqlite => "SQLite",
        }
    }
}

impl std::fmt::Debug for Settings {
    /// The password is not shown.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings")
            .field("engine", &self.engine)
            .field("host", &self.host)
            .field("database", &self.database)
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

fn ten_seconds() -> SignedDuration {
    SignedDuration::from_secs(10)
}

fn thirty_seconds() -> SignedDuration {
    SignedDuration::from_secs(30)
}
