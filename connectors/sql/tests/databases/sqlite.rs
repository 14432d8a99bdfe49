//! SQLite.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bridgehead_sdk::conformance::{self, Bench, Situation, Skip};
use bridgehead_sdk::{Connector, async_trait};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor};
use tokio::sync::Mutex;

use crate::example::{Example, tables};

struct Wiki {
    folder: tempfile::TempDir,
    /// Who holds the file so that nobody else gets at it.
    holder: Mutex<Option<SqliteConnection>>,
}

async fn open(path: &Path) -> SqliteConnection {
    SqliteConnectOptions::new().filename(path).create_if_missing(true).connect().await.unwrap()
}

impl Wiki {
    async fn start() -> Self {
        let wiki = Self { folder: tempfile::tempdir().unwrap(), holder: Mutex::default() };
        wiki.file("app.sqlite", 0).await;
        wiki
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    async fn file(&self, name: &str, accounts: usize) {
        let mut file = open(&self.path(name)).await;
        file.execute(AssertSqlSafe(tables("sqlite.sql"))).await.unwrap();
        let fill = format!(
            "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n LIMIT 200) \
             INSERT INTO teams SELECT 'team-' || n, 'Team ' || n FROM n; \
             WITH RECURSIVE n (n) AS (SELECT 1 WHERE {accounts} > 0 UNION ALL SELECT n + 1 FROM n WHERE n < {accounts}) \
             INSERT INTO accounts (username, email) SELECT 'u' || n, 'u' || n || '@example.com' FROM n; \
             INSERT INTO team_members SELECT id, 'team-' || (1 + rowid % 200) FROM accounts"
        );
        file.execute(AssertSqlSafe(fill)).await.unwrap();
        file.close().await.unwrap();
    }

    fn example(&self, name: &str) -> Example {
        Example::read("sql-sqlite.toml").with("path", self.path(name).to_str().unwrap())
    }
}

#[async_trait]
impl Bench for Wiki {
    async fn connect(&self, situation: Situation) -> Result<Arc<dyn Connector>, Skip> {
        match situation {
            Situation::Working => Ok(self.example("app.sqlite").connector()),
            Situation::Unreachable(_) => Ok(self.example("nowhere/app.sqlite").connector()),
            Situation::Silent(_) => {
                let mut held = self.holder.lock().await;
                if held.is_none() {
                    self.file("held.sqlite", 1).await;
                    let mut holder = open(&self.path("held.sqlite")).await;
                    holder.execute("BEGIN EXCLUSIVE").await.unwrap();
                    *held = Some(holder);
                }
                Ok(self.example("held.sqlite").with("statement_timeout", "1s").connector())
            }
            Situation::CutListing => {
                if !self.path("cut.sqlite").exists() {
                    self.file("cut.sqlite", 2_000).await;
                }
                let bytes = std::fs::read(self.path("cut.sqlite")).unwrap();
                std::fs::write(self.path("cut.sqlite"), &bytes[..bytes.len() / 2]).unwrap();
                Ok(self.example("cut.sqlite").connector())
            }
            Situation::BadCredential => Err(Skip::because("a file asks for no credential")),
            _ => Err(Skip::because("whoever may write to a file may change all that is in it")),
        }
    }

    async fn populated(&self, accounts: usize) -> Result<Arc<dyn Connector>, Skip> {
        let name = format!("app-{accounts}.sqlite");
        if !self.path(&name).exists() {
            self.file(&name, accounts).await;
        }
        Ok(self.example(&name).connector())
    }

    fn free_text_fields(&self) -> Vec<&'static str> {
        vec!["display_name", "first_name", "last_name"]
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_passes_the_kit() {
    let wiki = Wiki::start().await;
    let report = conformance::run(&wiki).await;
    println!("{report}");
    report.assert_passed();
}
