//! PostgreSQL, held to the contract.

use std::path::Path;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::time::Duration;

use bridgehead_test_servers::Postgres as Server;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use super::super::lease::Terms;
use super::super::postgres::{Address, Postgres, Settings};
use super::place::Place;

/// Where the server of this process listens.
static PORT: AtomicU16 = AtomicU16::new(0);
static DATABASES: AtomicU64 = AtomicU64::new(0);

/// Starts the server of this process, set as state needs it.
pub(crate) async fn start() -> Server {
    let memory = Path::new("/dev/shm");
    let parent = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    let server = Server::start_in(&parent, &["fsync=on", "synchronous_commit=on"]).await;
    PORT.store(server.port, Ordering::Relaxed);
    server
}

/// How a database of a server is reached by its superuser.
pub(crate) fn url(port: u16, database: &str) -> String {
    format!("postgresql://admin:admin-secret-1@127.0.0.1:{port}/{database}")
}

/// A new database of the server at a port.
pub(crate) async fn database(port: u16) -> String {
    let name = format!("state{}", DATABASES.fetch_add(1, Ordering::Relaxed));
    let mut connection = PgConnection::connect(&url(port, "postgres")).await.unwrap();
    connection.execute(AssertSqlSafe(format!("CREATE DATABASE {name}"))).await.unwrap();
    connection.close().await.unwrap();
    name
}

/// How a node called so opens the state there.
pub(crate) fn settings(port: u16, database: &str, node: &str) -> Settings {
    let address = Address::parse(&url(port, database), Vec::new()).unwrap();
    let terms = Terms { lease: Duration::from_secs(60), longest_call: Duration::from_secs(60) };
    Settings { address, node: node.to_owned(), terms, folder: None }
}

/// PostgreSQL, in a database of its own.
pub(crate) struct Database {
    settings: Settings,
    state: Postgres,
}

impl Place for Database {
    type State = Postgres;

    async fn empty() -> Self {
        let port = PORT.load(Ordering::Relaxed);
        let settings = settings(port, &database(port).await, "a");
        let state = Postgres::open(&settings).await.unwrap();
        Self { settings, state }
    }

    fn state(&self) -> &Postgres {
        &self.state
    }

    async fn reopen(self) -> Self {
        self.state.close().await;
        let state = Postgres::open(&self.settings).await.unwrap();
        Self { state, ..self }
    }

    async fn fleeting() -> Postgres {
        Self::empty().await.state
    }
}
