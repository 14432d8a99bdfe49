//! The conformance kit, against scim2-server.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bridgehead_conformance::{self as conformance, Situation, Skip, TestTarget};
use bridgehead_sdk::{Connector, async_trait};
use bridgehead_test_servers::{Population, Scim2};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::support::{connector, target};

/// A server, and another one for each number of accounts to list.
struct Server {
    working: Scim2,
    populated: Mutex<BTreeMap<usize, Scim2>>,
    config: Value,
    settings: Value,
}

impl Server {
    async fn start(config: Value, settings: Value) -> Self {
        let population = Population { accounts: 3, groups: 2, members: 1 };
        let working = Scim2::builder().population(population).config(config.clone()).start().await;
        Self { working, populated: Mutex::default(), config, settings }
    }

    fn connector(&self, port: u16, token: &str) -> Arc<dyn Connector> {
        connector_with(port, token, self.settings.clone())
    }
}

fn connector_with(port: u16, token: &str, mut settings: Value) -> Arc<dyn Connector> {
    settings["limits"] = json!({ "connect": "5s", "request": "20s" });
    connector(target(&format!("http://127.0.0.1:{port}/v2"), token, settings))
}

#[async_trait]
impl TestTarget for Server {
    async fn connect(&self, situation: Situation) -> Result<Arc<dyn Connector>, Skip> {
        let (port, token) = match situation {
            Situation::Working => (self.working.port, Scim2::TOKEN),
            Situation::BadCredential => (self.working.port, "a-token-of-nobody"),
            Situation::RefusedPermission => (self.working.port, Scim2::READER),
            Situation::Unreachable(address) | Situation::Silent(address) | Situation::Through(address) => {
                (address.port(), Scim2::TOKEN)
            }
            Situation::SmallPages(address) => {
                let mut settings = self.settings.clone();
                settings["page_size"] = json!(2);
                return Ok(connector_with(address.port(), Scim2::TOKEN, settings));
            }
            other => return Err(Skip::because(format!("{other:?} is asked of targets without an address"))),
        };
        Ok(self.connector(port, token))
    }

    fn fails_in_every_way(&self) -> bool {
        // The server takes several milliseconds for each response.
        false
    }

    fn address(&self) -> Option<SocketAddr> {
        Some(([127, 0, 0, 1], self.working.port).into())
    }

    async fn populated(&self, accounts: usize) -> Result<Arc<dyn Connector>, Skip> {
        let mut servers = self.populated.lock().await;
        if let Entry::Vacant(vacant) = servers.entry(accounts) {
            let population = Population { accounts, groups: accounts.div_ceil(50).min(200), members: 50 };
            let server = Scim2::builder().population(population).config(self.config.clone()).start().await;
            vacant.insert(server);
        }
        Ok(self.connector(servers[&accounts].port, Scim2::TOKEN))
    }

    fn free_text_fields(&self) -> Vec<&'static str> {
        vec!["display_name", "first_name", "title", "department"]
    }

    fn many(&self) -> usize {
        // Fifteen pages; the server would take a minute to create ten thousand.
        1_500
    }

    fn secrets(&self) -> Vec<String> {
        [Scim2::TOKEN, Scim2::READER, "a-token-of-nobody"].map(str::to_owned).into()
    }

    fn deadline(&self) -> Duration {
        // Look-ups that read all accounts are slow on a busy machine.
        Duration::from_mins(3)
    }

    fn missing_ref(&self, _: &str) -> String {
        "00000000000040008000000000000000".to_owned()
    }
}

/// All tests pass, and only the test that does not apply to a connector with all actions is skipped.
async fn prove(server: &Server) {
    let report = conformance::run(server).await;
    report.assert_passed();
    assert_eq!(report.skipped(), ["undeclared-actions"], "{report}");
}

fn licenses() -> Value {
    json!([{ "slug": "plan", "name": "Plan", "values": { "pro": "Professional", "lite": "Light" } }])
}

#[tokio::test(flavor = "multi_thread")]
async fn the_kit_passes_with_patch_filters_and_paging_by_index() {
    let server = Server::start(json!({}), json!({ "licenses": licenses() })).await;
    prove(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_kit_passes_with_put_look_ups_by_listing_and_paging_by_cursor() {
    let off = json!({ "supported": false });
    let paging = json!({ "cursor": true, "index": true });
    let config = json!({ "patch": off, "filter": { "supported": false, "maxResults": 300 }, "etag": off, "pagination": paging });
    let settings = json!({ "lookup": "list", "page_size": 300, "licenses": licenses() });
    let server = Server::start(config, settings).await;
    prove(&server).await;
}
