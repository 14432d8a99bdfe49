//! What the kit is told of the reference connector.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bridgehead_sdk::conformance::{Bench, Situation, Skip};
use bridgehead_sdk::{Connector, async_trait};

use crate::connector::{Reference, breaks_off};
use crate::defects::Defect;
use crate::server::{MASTER, READER, Server};

pub(crate) struct ReferenceBench {
    pub(crate) server: Server,
    pub(crate) defect: Option<Defect>,
    /// Whether the kit is told that the target is reached over TCP.
    pub(crate) over_tcp: bool,
    pub(crate) read_only: bool,
    pub(crate) filled: Mutex<Vec<Server>>,
}

impl ReferenceBench {
    pub(crate) async fn new(defect: Option<Defect>) -> Self {
        let server = Server::start(20, defect).await;
        Self { server, defect, over_tcp: true, read_only: false, filled: Mutex::default() }
    }

    fn connector(&self, address: SocketAddr, token: &'static str) -> Arc<dyn Connector> {
        Arc::new(Reference::new(address, token, self.defect))
    }
}

#[async_trait]
impl Bench for ReferenceBench {
    async fn connect(&self, situation: Situation) -> Result<Arc<dyn Connector>, Skip> {
        Ok(match situation {
            Situation::Working => self.connector(self.server.address, MASTER),
            Situation::BadCredential => self.connector(self.server.address, "master-token-of-last-year"),
            Situation::RefusedPermission => self.connector(self.server.address, READER),
            Situation::Unreachable(address) | Situation::Silent(address) | Situation::Through(address) => {
                self.connector(address, MASTER)
            }
            Situation::CutListing => self.connector(breaks_off(self.server.address).await, MASTER),
            _ => return Err(Skip::because("a situation that this bench does not know")),
        })
    }

    fn address(&self) -> Option<SocketAddr> {
        self.over_tcp.then_some(self.server.address)
    }

    async fn populated(&self, accounts: usize) -> Result<Arc<dyn Connector>, Skip> {
        let server = Server::start(accounts, self.defect).await;
        let connector = self.connector(server.address, MASTER);
        self.filled.lock().unwrap().push(server);
        Ok(connector)
    }

    fn secrets(&self) -> Vec<String> {
        [MASTER, READER, "master-token-of-last-year"].map(str::to_owned).into()
    }

    fn silence(&self) -> Duration {
        // There are many runs, and each waits for it twice; only blocked threads take longer to notice.
        Duration::from_millis(if self.defect == Some(Defect::BlocksItsThread) { 1_000 } else { 200 })
    }

    fn read_only(&self) -> bool {
        self.read_only
    }
}
