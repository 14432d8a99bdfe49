//! Tests the connector with the conformance kit, like bridgehead's own connectors.

use std::net::SocketAddr;
use std::sync::Arc;

use bridgehead_conformance::{self as conformance, Situation, Skip, TestTarget};
use bridgehead_sdk::{Connector, Setup, async_trait};
use serde_json::json;

#[path = "../examples/sample_api.rs"]
mod sample_api;

#[tokio::test(flavor = "multi_thread")]
async fn the_connector_keeps_the_contract() {
    let test_target = SampleApi(sample_api::start(0, 3).await);
    conformance::run(&test_target).await.assert_passed();
}

/// The API, and all ways of reaching it that the kit tries. Situations that cannot be tried are skipped, which proves nothing.
struct SampleApi(SocketAddr);

fn connector(address: SocketAddr, token: &str) -> Arc<dyn Connector> {
    let target = json!({ "url": format!("http://{address}"), "auth": { "bearer": token } });
    let target = target.as_object().cloned().unwrap();
    bridgehead_@@identifier@@::factory()
        .build(Setup::new("@@name@@", target))
        .unwrap()
}

#[async_trait]
impl TestTarget for SampleApi {
    async fn connect(&self, situation: Situation) -> Result<Arc<dyn Connector>, Skip> {
        let (address, token) = match situation {
            Situation::Working => (self.0, "sample-token"),
            Situation::BadCredential => (self.0, "another-token"),
            Situation::RefusedPermission => (self.0, "read-only-token"),
            // The kit is in between, and sends faulty responses in place of the API.
            Situation::Unreachable(address)
            | Situation::Silent(address)
            | Situation::Through(address) => (address, "sample-token"),
            _ => return Err(Skip::because("the API offers no such thing")),
        };
        Ok(connector(address, token))
    }

    fn address(&self) -> Option<SocketAddr> {
        Some(self.0)
    }

    async fn populated(&self, accounts: usize) -> Result<Arc<dyn Connector>, Skip> {
        let address = sample_api::start(0, accounts).await;
        Ok(connector(address, "sample-token"))
    }

    fn secrets(&self) -> Vec<String> {
        vec!["sample-token".to_owned()]
    }
}
