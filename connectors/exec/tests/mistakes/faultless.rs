//! Without a mistake, the connector passes every check.

use bridgehead_conformance as conformance;

use crate::test_target::ExecTestTarget;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn correct_python_connector_passes() {
    let report = conformance::run(&ExecTestTarget::new(Vec::new()).await).await;
    report.assert_passed();
    // It supports every action, so there is none that it could reject.
    assert_eq!(report.skipped(), ["undeclared-actions"], "{report}");
    assert!(report.left.is_empty(), "{report}");
}
