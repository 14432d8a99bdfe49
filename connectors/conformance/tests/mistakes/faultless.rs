//! A connector that keeps the contract passes every check, and the target is unchanged afterwards.

use bridgehead_conformance::{self as conformance, Outcome, Report};
use bridgehead_sdk::{Connector, ResourceType};

use crate::connector::Reference;
use crate::mistakes::Mistake;
use crate::server::{MASTER, Server};
use crate::test_target::ReferenceTestTarget;

async fn accounts(server: &Server) -> Vec<String> {
    let connector = Reference::new(server.address, MASTER, 300, None);
    let page = connector.list(&ResourceType::account("account", "Account"), None).await.unwrap();
    page.records.iter().map(|record| record.id().to_owned()).collect()
}

fn skipped(report: &Report, name: &str) -> String {
    let check = report.checks.iter().find(|check| check.name == name).unwrap();
    match &check.outcome {
        Outcome::Skipped(why) => why.clone(),
        other => panic!("{name}: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn correct_connector_passes_and_leaves_no_accounts() {
    let test_target = ReferenceTestTarget::new(None).await;
    let before = accounts(&test_target.server).await;
    let report = conformance::run(&test_target).await;
    report.assert_passed();
    // It supports every action, so there is none that it could reject.
    assert_eq!(report.skipped(), ["undeclared-actions"], "{report}");
    assert_eq!(accounts(&test_target.server).await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn target_without_tcp_interrupts_its_own_listing() {
    let test_target = ReferenceTestTarget { over_tcp: false, ..ReferenceTestTarget::new(None).await };
    let report = conformance::run(&test_target).await;
    report.assert_passed();
    let over_tcp = [
        "undeclared-actions",
        "passwords",
        "capped-pages",
        "changing-while-listed",
        "unreadable-records",
        "cut-look-up",
        "cut-change",
        "failing-listing",
        "failing-look-up",
        "failing-change",
        "failing-codes",
        "never-retries",
        "failing-check",
        "reading-changes-nothing",
        "bodies-out-of-errors",
    ];
    assert_eq!(report.skipped(), over_tcp, "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn read_only_target_is_not_changed() {
    let test_target = ReferenceTestTarget { read_only: true, ..ReferenceTestTarget::new(None).await };
    let before = accounts(&test_target.server).await;
    let report = conformance::run(&test_target).await;
    report.assert_passed();
    for name in ["check", "listing", "paging-many", "find-in-another-case", "bad-credential", "cut-listing"] {
        assert!(!report.skipped().contains(&name), "{report}");
    }
    for name in ["create", "delete", "missing-account", "hostile-deletes", "cut-change", "clean-up"] {
        assert!(skipped(&report, name).contains("changes are not allowed"), "{report}");
    }
    assert_eq!(accounts(&test_target.server).await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn undeletable_account_is_suspended_and_reported() {
    let test_target = ReferenceTestTarget::new(Some(Mistake::WithoutDelete)).await;
    let report = conformance::run(&test_target).await;
    report.assert_passed();
    assert!(skipped(&report, "delete").contains("does not declare delete_account"), "{report}");
    assert!(skipped(&report, "clean-up").contains("is left, suspended"), "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failed_describe_ends_the_run() {
    struct Panics;

    #[bridgehead_sdk::async_trait]
    impl conformance::TestTarget for Panics {
        async fn connect(
            &self,
            _: conformance::Situation,
        ) -> Result<std::sync::Arc<dyn Connector>, conformance::Skip> {
            Ok(std::sync::Arc::new(Broken))
        }
    }

    let report = conformance::run(&Panics).await;
    assert_eq!(report.failed(), ["describe"], "{report}");
    assert_eq!(report.skipped().len(), report.checks.len() - 1, "{report}");
    assert!(report.to_string().contains("the connector panicked: out of order"), "{report}");
}

struct Broken;

#[bridgehead_sdk::async_trait]
impl Connector for Broken {
    async fn describe(&self) -> Result<bridgehead_sdk::Description, bridgehead_sdk::Error> {
        panic!("out of order")
    }

    async fn check(&self) -> Result<(), bridgehead_sdk::Error> {
        panic!("out of order")
    }

    async fn list(
        &self,
        _: &ResourceType,
        _: Option<&bridgehead_sdk::Cursor>,
    ) -> Result<bridgehead_sdk::Page, bridgehead_sdk::Error> {
        panic!("out of order")
    }

    async fn find_account(
        &self,
        _: &bridgehead_sdk::Account,
    ) -> Result<Option<bridgehead_sdk::AccountRecord>, bridgehead_sdk::Error> {
        panic!("out of order")
    }

    async fn execute(
        &self,
        _: &bridgehead_sdk::Context,
        _: &bridgehead_sdk::Operation,
    ) -> Result<bridgehead_sdk::Completion, bridgehead_sdk::Error> {
        panic!("out of order")
    }
}
