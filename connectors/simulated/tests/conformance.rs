//! The simulated target keeps the contract.

#![cfg(test)]

use std::sync::Arc;

use bridgehead_conformance::{self as conformance, Situation, Skip, TestTarget};
use bridgehead_sdk::{Connector, async_trait};
use bridgehead_simulated::{Settings, SimulatedConnector};
use jiff::SignedDuration;

struct Simulated {
    /// Listings must show what tasks have done, so all connections share one target.
    target: Arc<SimulatedConnector>,
}

fn target(settings: &Settings) -> Arc<SimulatedConnector> {
    Arc::new(SimulatedConnector::new("Rehearsal", settings).unwrap())
}

#[async_trait]
impl TestTarget for Simulated {
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
    let test_target = Simulated { target: target(&Settings { accounts: 120, ..Settings::default() }) };
    let report = conformance::run(&test_target).await;
    report.assert_passed();
    // A target in memory has no connection that could break and no permissions to deny, and it supports every action.
    let never = [
        "refused-permission",
        "undeclared-actions",
        "bad-credential",
        "unreachable",
        "cut-listing",
        "cut-look-up",
        "cut-change",
    ];
    let over_http = [
        "small-pages",
        "capped-pages",
        "unreadable-records",
        "passwords",
        "failing-listing",
        "failing-look-up",
        "failing-change",
        "failing-codes",
        "never-retries",
        "failing-check",
        "describe-while-down",
        "reading-changes-nothing",
        "bodies-out-of-errors",
    ];
    // The kit's own accounts are on the only page.
    let expected: Vec<&str> = never.into_iter().chain(over_http).chain(["changing-while-listed"]).collect();
    let beyond: Vec<_> = report.skipped().into_iter().filter(|name| !expected.contains(name)).collect();
    assert!(beyond.is_empty(), "{report}");
    assert_eq!(report.skipped().len(), expected.len(), "{report}");
}
