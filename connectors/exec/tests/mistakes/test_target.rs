//! The test target of the Python connector: each connection is a separate process.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bridgehead_conformance::{Situation, Skip, TestTarget};
use bridgehead_sdk::{Connector, Setup, async_trait};
use serde_json::json;

use crate::mistakes::Listed;
use crate::server::{MASTER, READER, Server};

/// A token that is no longer valid.
const OUTDATED: &str = "master-token-of-last-year";

/// The page size of the connector.
const PAGE: usize = 100;

pub(crate) struct ExecTestTarget {
    server: Server,
    mistakes: Vec<Listed>,
    filled: Mutex<Vec<Server>>,
}

impl ExecTestTarget {
    pub(crate) async fn new(mistakes: Vec<Listed>) -> Self {
        Self { server: Server::start(20).await, mistakes, filled: Mutex::default() }
    }

    fn connector(&self, address: SocketAddr, token: &str, page: usize) -> Arc<dyn Connector> {
        let mistakes: Vec<&str> = self.mistakes.iter().map(|listed| listed.name).collect();
        let target = json!({
            "command": ["python3", "-S", "connector.py"],
            "settings": { "address": address, "token": token, "page": page, "mistakes": mistakes },
            "hang_timeout": "1s",
        });
        // The redactor does not know the token, so that the kit sees the program's output unredacted.
        let mut setup = Setup::new("help-desk", target.as_object().unwrap().clone());
        setup.base = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/mistakes");
        bridgehead_exec::factory().build(setup).unwrap()
    }
}

#[async_trait]
impl TestTarget for ExecTestTarget {
    async fn connect(&self, situation: Situation) -> Result<Arc<dyn Connector>, Skip> {
        Ok(match situation {
            Situation::Working => self.connector(self.server.address, MASTER, PAGE),
            Situation::BadCredential => self.connector(self.server.address, OUTDATED, PAGE),
            Situation::RefusedPermission => self.connector(self.server.address, READER, PAGE),
            Situation::Unreachable(address) | Situation::Silent(address) | Situation::Through(address) => {
                self.connector(address, MASTER, PAGE)
            }
            Situation::SmallPages(address) => self.connector(address, MASTER, 2),
            _ => return Err(Skip::because("a situation that this test target does not know")),
        })
    }

    fn address(&self) -> Option<SocketAddr> {
        Some(self.server.address)
    }

    async fn populated(&self, accounts: usize) -> Result<Arc<dyn Connector>, Skip> {
        let server = Server::start(accounts).await;
        let connector = self.connector(server.address, MASTER, PAGE);
        self.filled.lock().unwrap().push(server);
        Ok(connector)
    }

    fn many(&self) -> usize {
        // Twenty pages, and more than one page may have.
        2_000
    }

    fn secrets(&self) -> Vec<String> {
        [MASTER, READER, OUTDATED].map(str::to_owned).into()
    }

    fn silence(&self) -> Duration {
        Duration::from_millis(200)
    }

    fn deadline(&self) -> Duration {
        // For a mistake with a missing response, waiting half a minute would show nothing more.
        Duration::from_secs(if self.mistakes.iter().any(|listed| listed.is_late()) { 5 } else { 30 })
    }
}
