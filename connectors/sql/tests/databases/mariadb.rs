//! MariaDB, which stands for MySQL too.

use std::net::SocketAddr;
use std::sync::Arc;

use bridgehead_sdk::conformance::{self, Bench, Situation, Skip};
use bridgehead_sdk::{Connector, async_trait};
use bridgehead_test_servers::MariaDb;

use crate::example::{Example, tables};

struct Shop {
    server: MariaDb,
}

impl Shop {
    async fn start() -> Self {
        let shop = Self { server: MariaDb::start().await };
        shop.database("shop");
        shop.server
            .sql("shop", "CREATE USER reader IDENTIFIED BY 'reader-secret-1'; GRANT SELECT ON *.* TO reader");
        shop
    }

    fn database(&self, name: &str) {
        self.server.sql("mysql", &format!("CREATE DATABASE {name}"));
        self.server.sql(name, &tables("mariadb.sql"));
        self.server.sql(
            name,
            "INSERT INTO teams SELECT CONCAT('team-', seq), CONCAT('Team ', seq) FROM seq_1_to_200",
        );
    }

    fn example(&self) -> Example {
        let example = Example::read("sql-mariadb.toml").at(self.server.port);
        example.as_user(&self.server.user, &self.server.password)
    }
}

#[async_trait]
impl Bench for Shop {
    async fn connect(&self, situation: Situation) -> Result<Arc<dyn Connector>, Skip> {
        let example = self.example();
        Ok(match situation {
            Situation::Working => example,
            Situation::BadCredential => example.as_user(&self.server.user, "wrong-secret-1"),
            Situation::RefusedPermission => example.as_user("reader", "reader-secret-1"),
            Situation::Unreachable(at) | Situation::Silent(at) | Situation::Through(at) => {
                example.at(at.port())
            }
            _ => return Err(Skip::because("the target is a server")),
        }
        .connector())
    }

    fn address(&self) -> Option<SocketAddr> {
        Some((self.server.address, self.server.port).into())
    }

    async fn populated(&self, accounts: usize) -> Result<Arc<dyn Connector>, Skip> {
        let name = format!("shop_{accounts}");
        let known = self.server.sql("mysql", &format!("SHOW DATABASES LIKE '{name}'"));
        if known.trim().is_empty() {
            self.database(&name);
            // The engine of sequences would count from 1 to 0 as well.
            if accounts > 0 {
                self.server.sql(
                    &name,
                    &format!(
                        "INSERT INTO accounts (username, email) \
                         SELECT CONCAT('u', seq), CONCAT('u', seq, '@example.com') FROM seq_1_to_{accounts}; \
                         INSERT INTO team_members SELECT id, CONCAT('team-', 1 + id % 200) FROM accounts"
                    ),
                );
            }
        }
        Ok(self.example().with("database", name).connector())
    }

    fn free_text_fields(&self) -> Vec<&'static str> {
        vec!["display_name", "first_name", "last_name"]
    }

    fn secrets(&self) -> Vec<String> {
        ["admin-secret-1", "wrong-secret-1", "reader-secret-1"].map(str::to_owned).to_vec()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mariadb_passes_the_kit() {
    let shop = Shop::start().await;
    let report = conformance::run(&shop).await;
    println!("{report}");
    report.assert_passed();
}
