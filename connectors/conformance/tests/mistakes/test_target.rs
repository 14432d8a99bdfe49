//! The test target of the reference connector.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bridgehead_conformance::{Situation, Skip, TestTarget};
use bridgehead_sdk::{Connector, async_trait};

use crate::connector::{Reference, breaks_off};
use crate::mistakes::Mistake;
use crate::server::{CAP, MASTER, READER, Server};

pub(crate) struct ReferenceTestTarget {
    pub(crate) server: Server,
    pub(crate) mistake: Option<Mistake>,
    /// Whether the test target returns an address over TCP.
    pub(crate) over_tcp: bool,
    pub(crate) read_only: bool,
    /// Whether the target can be populated with any number of accounts.
    pub(crate) fills: bool,
    pub(crate) filled: Mutex<Vec<Server>>,
}

impl ReferenceTestTarget {
    pub(crate) async fn new(mistake: Option<Mistake>) -> Self {
        let server = Server::start(20).await;
        Self { server, mistake, over_tcp: true, read_only: false, fills: true, filled: Mutex::default() }
    }

    fn connector(&self, address: SocketAddr, token: &'static str, page: usize) -> Arc<dyn Connector> {
        Arc::new(Reference::new(address, token, page, self.mistake))
    }
}

#[async_trait]
impl TestTarget for ReferenceTestTarget {
    async fn connect(&self, situation: Situation) -> Result<Arc<dyn Connector>, Skip> {
        Ok(match situation {
            Situation::Working => self.connector(self.server.address, MASTER, CAP),
            Situation::BadCredential => self.connector(self.server.address, "master-token-of-last-year", CAP),
            Situation::RefusedPermission => self.connector(self.server.address, READER, CAP),
            Situation::Unreachable(address) | Situation::Silent(address) | Situation::Through(address) => {
                self.connector(address, MASTER, CAP)
            }
            Situation::SmallPages(address) => {
                self.connector(if self.over_tcp { address } else { self.server.address }, MASTER, 2)
            }
            Situation::CutListing => self.connector(breaks_off(self.server.address).await, MASTER, CAP),
            _ => return Err(Skip::because("a situation that this test target does not know")),
        })
    }

    fn address(&self) -> Option<SocketAddr> {
        self.over_tcp.then_some(self.server.address)
    }

    async fn populated(&self, accounts: usize) -> Result<Arc<dyn Connector>, Skip> {
        if !self.fills {
            return Err(Skip::because("paging is no part of this test"));
        }
        let server = Server::start(accounts).await;
        let connector = self.connector(server.address, MASTER, CAP);
        self.filled.lock().unwrap().push(server);
        Ok(connector)
    }

    fn secrets(&self) -> Vec<String> {
        [MASTER, READER, "master-token-of-last-year"].map(str::to_owned).into()
    }

    fn silence(&self) -> Duration {
        // Only a blocked thread takes longer to detect.
        Duration::from_millis(if self.mistake == Some(Mistake::BlocksItsThread) { 1_000 } else { 200 })
    }

    fn read_only(&self) -> bool {
        self.read_only
    }
}
