//! The simulated target keeps the contract.

#![cfg(test)]

use std::sync::Arc;

use bridgehead_sdk::conformance::{self, Bench, Situation, Skip};
use bridgehead_sdk::{Connector, async_trait};
use bridgehead_simulated::{Settings, SimulatedConnector};
use jiff::SignedDuration;

struct Simulated {
    /// What tasks have done is seen by every listing, so the target that is worked on is always the same.
    target: Arc<SimulatedConnector>,
}

fn target(settings: &Settings) -> Arc<SimulatedConnector> {
    Arc::new(SimulatedConnector::new("Rehearsal", settings).unwrap())
}

#[async_trait]
impl Bench for Simulated {
    async fn connect(&self, situation: Situation) -> Result<Arc<dyn Connector>, Skip> {
        match situation {
            Situation::Working => Ok(self.target.clone()),
            Situation::Silent(_) => {
                let latency = SignedDuration::from_hours(1);
                Ok(target(&Settings { latency, ..Settings::default() }))
            }
            other => Err(Skip::because(format!("a target in memory is never in the situation {other:?}"))),
        }
    }

    async fn populated(&self, accounts: usize) -> Result<Arc<dyn Connector>, Skip> {
        Ok(target(&Settings { accounts: accounts as u64, ..Settings::default() }))
    }
}

#[tokio::test]
async fn the_kit_finds_no_fault() {
    let bench = Simulated { target: target(&Settings { accounts: 120, ..Settings::default() }) };
    let report = conformance::run(&bench).await;
    report.assert_passed();
    // A target in memory has no connection to break and no permission to refuse, and it offers every action.
    let never = [
        "refused-permission",
        "undeclared-actions",
        "bad-credential",
        "unreachable",
        "cut-listing",
        "cut-look-up",
        "cut-change",
    ];
    assert_eq!(report.skipped(), never);
}
