//! How the database is reached.

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
    /// What the database is: `postgresql`, `mysql` (MariaDB as well) or `sqlite`.
    pub engine: Engine,
    /// The name or the address of the server. It stands in the server's certificate.
    #[serde(default)]
    pub host: Option<String>,
    /// The server's port; 5432 or 3306 when absent.
    #[serde(default)]
    pub port: Option<u16>,
    /// The folder of PostgreSQL's socket, or MySQL's socket itself, in place of `host`.
    #[serde(default)]
    pub socket: Option<String>,
    /// The name of the database on the server.
    #[serde(default)]
    pub database: Option<String>,
    /// Who bridgehead is to the server.
    #[serde(default)]
    pub user: Option<String>,
    /// The password of `user`: `{ env = "NAME" }`, `{ file = "path" }` or `{ credential = "name" }`. None, where the server
    /// asks for none.
    #[serde(default)]
    pub password: Option<String>,
    /// The file of an SQLite database. A relative path starts at the folder of the configuration file.
    #[serde(default)]
    pub path: Option<String>,
    /// Whether the connection must be encrypted, and the server's certificate be valid for `host`. When absent: yes, unless the
    /// server is on this machine (loopback or a socket). `false` sends everything in the clear, passwords too.
    #[serde(default)]
    pub tls: Option<bool>,
    /// How many connections there are, and how long they live.
    #[serde(default)]
    pub pool: PoolSettings,
    /// How long connecting may take, logging in included.
    #[serde(default = "ten_seconds")]
    #[schemars(with = "String")]
    pub connect_timeout: SignedDuration,
    /// How long one statement may take. The server cancels it then, and the transaction is rolled back.
    #[serde(default = "thirty_seconds")]
    #[schemars(with = "String")]
    pub statement_timeout: SignedDuration,
    /// The accounts: how they are listed and found.
    pub accounts: AccountsSettings,
    /// The types of groups, a table each.
    #[serde(default)]
    pub groups: Vec<TypeSettings>,
    /// The types of licences, a table each. The keys are those of `groups`.
    #[serde(default)]
    pub licenses: Vec<TypeSettings>,
    /// What each action runs. An action that is absent is not offered.
    #[serde(default)]
    pub actions: ActionSettings,
    /// Parameters of your own, by name: a fixed value, or a field of the task that has no column.
    #[serde(default)]
    pub parameters: BTreeMap<String, ParameterSettings>,
    /// What hashing a password costs.
    #[serde(default)]
    pub hashes: HashSettings,
    /// What certain errors of the database mean here, before the connector's own table is asked. The first that fits counts.
    #[serde(default)]
    pub errors: Vec<ErrorSettings>,
}

/// What the database is.
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
    /// A file of SQLite.
    Sqlite,
}

/// How many connections there are.
#[derive(Clone, Debug, Deserialize, schemars::JsonSchema)]
#[schemars(crate = "bridgehead_sdk::schemars")]
#[serde(deny_unknown_fields, default)]
pub struct PoolSettings {
    /// How many connections there are at most, from 1 to 100. Tasks and syncs share them.
    pub max_connections: u32,
    /// How long a call waits for a connection when all are in use.
    #[schemars(with = "String")]
    pub acquire_timeout: SignedDuration,
    /// A connection that was not used for this long is not used again.
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
    /// As people call it.
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
