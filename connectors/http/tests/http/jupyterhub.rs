//! The recipe for JupyterHub, run against a real JupyterHub.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use bridgehead_conformance::{self as conformance, Situation, Skip, TestTarget};
use bridgehead_sdk::{Connector, async_trait};
use bridgehead_test_servers::JupyterHub;
use serde_json::{Map, Value, json};

use crate::support::{build, names, recipe};

struct Hub {
    hub: JupyterHub,
    populated: Mutex<Vec<JupyterHub>>,
}

fn connector(address: SocketAddr, token: &str) -> Arc<dyn Connector> {
    let mut target = recipe("http-jupyterhub.toml", token);
    target.insert("base_url".to_owned(), format!("http://{address}/hub/api").into());
    target.insert("limits".to_owned(), json!({ "connect": "2s", "request": "20s" }));
    build(&target).unwrap()
}

fn address(hub: &JupyterHub) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, hub.port()))
}

#[async_trait]
impl TestTarget for Hub {
    async fn connect(&self, situation: Situation) -> Result<Arc<dyn Connector>, Skip> {
        let here = address(&self.hub);
        Ok(match situation {
            Situation::Working => connector(here, JupyterHub::TOKEN),
            Situation::BadCredential => connector(here, "token-that-nobody-knows"),
            Situation::RefusedPermission => connector(here, JupyterHub::READER_TOKEN),
            Situation::Unreachable(there) | Situation::Silent(there) | Situation::Through(there) => {
                connector(there, JupyterHub::TOKEN)
            }
            _ => return Err(Skip::because("it is no situation of a target that is reached over TCP")),
        })
    }

    fn fails_in_every_way(&self) -> bool {
        // The hub takes several milliseconds for each response.
        false
    }

    fn address(&self) -> Option<SocketAddr> {
        Some(address(&self.hub))
    }

    async fn populated(&self, accounts: usize) -> Result<Arc<dyn Connector>, Skip> {
        let hub = JupyterHub::start(&names(accounts)).await;
        let connector = connector(address(&hub), JupyterHub::TOKEN);
        self.populated.lock().unwrap().push(hub);
        Ok(connector)
    }

    fn account(&self, name: &str) -> Map<String, Value> {
        json!({ "username": name }).as_object().unwrap().clone()
    }

    fn changes(&self, _: &str) -> Map<String, Value> {
        json!({ "admin": true }).as_object().unwrap().clone()
    }

    fn free_text_fields(&self) -> Vec<&'static str> {
        vec!["username"]
    }

    fn many(&self) -> usize {
        // Several pages; the hub would need minutes to create ten thousand users.
        1_500
    }

    fn secrets(&self) -> Vec<String> {
        vec![JupyterHub::TOKEN.to_owned(), JupyterHub::READER_TOKEN.to_owned()]
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn jupyterhub_passes_the_kit() {
    let test_target = Hub { hub: JupyterHub::start(&[]).await, populated: Mutex::default() };
    let report = conformance::run(&test_target).await;
    report.assert_passed();
}
