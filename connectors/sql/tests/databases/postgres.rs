//! PostgreSQL.

use std::net::SocketAddr;
use std::sync::Arc;

use bridgehead_conformance::{self as conformance, Protocol, Situation, Skip, TestTarget};
use bridgehead_sdk::{Connector, async_trait};
use bridgehead_test_servers::{PgBouncer, Postgres};

use crate::example::{Example, tables};

pub(crate) struct Crm {
    pub(crate) server: Postgres,
    /// The pool between the server and the connector.
    pool: Option<PgBouncer>,
    /// Whether the kit simulates failures of the server. This takes minutes.
    fails: bool,
}

impl Crm {
    pub(crate) async fn start() -> Self {
        let crm = Self {
            server: Postgres::start_with(&["max_connections=40", "log_statement=all"]).await,
            pool: None,
            fails: false,
        };
        crm.server.sql("postgres", "CREATE ROLE reader LOGIN PASSWORD 'reader-secret-1'");
        crm.database("crm");
        crm
    }

    /// The same, behind a pool that assigns each client a connection for its whole session.
    async fn behind_a_pool_of_sessions() -> Self {
        let crm = Self::start().await;
        let users = [(crm.server.user.as_str(), crm.server.password.as_str()), ("reader", "reader-secret-1")];
        let pool = PgBouncer::start_for(&crm.server, "session", 20, &users).await;
        Self { pool: Some(pool), ..crm }
    }

    fn port(&self) -> u16 {
        self.pool.as_ref().map_or(self.server.port, |pool| pool.port)
    }

    fn database(&self, name: &str) {
        self.server.sql("postgres", &format!("CREATE DATABASE {name}"));
        self.server.sql(name, &tables("postgresql.sql"));
        self.server.sql(
            name,
            "GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader; \
             INSERT INTO teams SELECT 'team-' || n, 'Team ' || n FROM generate_series(1, 200) n; \
             INSERT INTO plans VALUES (1, 'Small', 1000), (2, 'Large', 1)",
        );
    }

    pub(crate) fn example(&self) -> Example {
        let example = Example::read("sql.toml").at(self.port()).with("database", "crm");
        example.login(&self.server.user, &self.server.password)
    }
}

#[async_trait]
impl TestTarget for Crm {
    async fn connect(&self, situation: Situation) -> Result<Arc<dyn Connector>, Skip> {
        let example = self.example();
        Ok(match situation {
            Situation::Working => example,
            Situation::BadCredential => example.login(&self.server.user, "wrong-secret-1"),
            Situation::RefusedPermission => example.login("reader", "reader-secret-1"),
            Situation::Unreachable(at) | Situation::Silent(at) | Situation::Through(at) => {
                example.at(at.port())
            }
            Situation::SmallPages(at) => example.at(at.port()).with("accounts.page_size", 2),
            _ => return Err(Skip::because("the target is a server")),
        }
        .connector())
    }

    fn address(&self) -> Option<SocketAddr> {
        Some((self.server.address, self.port()).into())
    }

    fn protocol(&self) -> Protocol {
        // An unknown protocol is passed on unchanged.
        if self.fails { Protocol::Postgres } else { Protocol::Http }
    }

    async fn populated(&self, accounts: usize) -> Result<Arc<dyn Connector>, Skip> {
        let name = format!("crm_{accounts}");
        let known =
            self.server.sql("postgres", &format!("SELECT 1 FROM pg_database WHERE datname = '{name}'"));
        if known.trim().is_empty() {
            self.database(&name);
            self.server.sql(
                &name,
                &format!(
                    "INSERT INTO accounts (username, email, display_name) \
                     SELECT 'u' || n, 'u' || n || '@example.com', 'User ' || n FROM generate_series(1, {accounts}) n; \
                     INSERT INTO team_members SELECT id, 'team-' || (1 + row_number() OVER () % 200) FROM accounts"
                ),
            );
        }
        Ok(self.example().with("database", name).connector())
    }

    fn free_text_fields(&self) -> Vec<&'static str> {
        vec!["display_name", "first_name", "last_name", "department"]
    }

    fn secrets(&self) -> Vec<String> {
        ["admin-secret-1", "wrong-secret-1", "reader-secret-1"].map(str::to_owned).to_vec()
    }

    fn missing_ref(&self, slug: &str) -> String {
        if slug == "plan" { "4711" } else { "team-0" }.to_owned()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_passes_the_kit() {
    let crm = Crm::start().await;
    let report = conformance::run(&crm).await;
    report.assert_passed();
}

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_behind_a_pool_of_sessions_passes_the_kit() {
    let crm = Crm::behind_a_pool_of_sessions().await;
    conformance::run(&crm).await.assert_passed();
    let pooled = crm.pool.as_ref().map(PgBouncer::log).unwrap_or_default();
    assert!(pooled.contains("login attempt: db=crm_"), "nothing went through the pool: {pooled}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes"]
async fn postgresql_passes_the_kit_that_fails_in_its_place() {
    let crm = Crm { fails: true, ..Crm::start().await };
    conformance::run(&crm).await.assert_passed();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes"]
async fn postgresql_behind_a_pool_of_sessions_passes_the_kit_that_fails_in_its_place() {
    let crm = Crm { fails: true, ..Crm::behind_a_pool_of_sessions().await };
    conformance::run(&crm).await.assert_passed();
}
