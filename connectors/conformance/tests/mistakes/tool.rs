//! The kit as a tool: notifications during a run, busy targets, and runs that are stopped early.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bridgehead_conformance::{
    self as conformance, Check, Observer, Outcome, Run, Situation, Skip, TestTarget,
};
use bridgehead_sdk::{
    Account, AccountRecord, Completion, Connector, Context, Cursor, Description, Error, Operation, Page,
    ResourceType, async_trait,
};
use tokio::sync::Notify;

use crate::connector::Reference;
use crate::mistakes::Mistake;
use crate::server::{MASTER, Server};
use crate::test_target::ReferenceTestTarget;

async fn accounts(server: &Server) -> Vec<String> {
    let connector = Reference::new(server.address, MASTER, 300, None);
    let page = connector.list(&ResourceType::account("account", "Account"), None).await.unwrap();
    page.records.iter().map(|record| record.id().to_owned()).collect()
}

/// Records all notifications, and signals when a certain check begins.
#[derive(Default)]
struct Ear {
    heard: Mutex<Vec<String>>,
    wanted: &'static str,
    begun: Notify,
}

impl Observer for Ear {
    fn begins(&self, check: &'static str, number: usize, of: usize) {
        self.heard.lock().unwrap().push(format!("{number}/{of} {check}"));
        if check == self.wanted {
            self.begun.notify_one();
        }
    }

    fn ends(&self, check: &Check) {
        self.heard.lock().unwrap().push(check.name.to_owned());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn checks_report_start_and_end() {
    let test_target = ReferenceTestTarget::new(None).await;
    let before = accounts(&test_target.server).await;
    let ear = Ear::default();
    let report =
        Run::of(&test_target).only(["create", "update", "no-such-check"]).observed_by(&ear).report().await;
    report.assert_proven(&[]);
    let heard = ear.heard.into_inner().unwrap();
    assert_eq!(heard, ["1/3 describe", "describe", "2/3 create", "create", "3/3 update", "update"]);
    // The created account was removed, although the check that deletes it was not selected.
    assert_eq!(accounts(&test_target.server).await, before);
    assert_eq!(report.left, Vec::<String>::new());
}

#[test]
fn checks_are_listed_with_whether_they_change_the_target() {
    let listed = conformance::checks();
    assert_eq!(listed[0].name, "describe");
    assert!(listed.iter().any(|one| one.name == "clean-up" && one.changes));
    assert!(listed.iter().any(|one| one.name == "listing" && !one.changes));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rate_limited_calls_are_retried() {
    let test_target = ReferenceTestTarget { fills: false, ..ReferenceTestTarget::new(None).await };
    test_target.server.refuses_one_of.store(500, Ordering::Relaxed);
    let report = conformance::run(&test_target).await;
    report.assert_passed();
    assert_eq!(report.left, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopped_run_removes_the_accounts_it_created() {
    for at in ["update", "several-references", "failing-change"] {
        let test_target = ReferenceTestTarget::new(None).await;
        let before = accounts(&test_target.server).await;
        let ear = Ear { wanted: at, ..Ear::default() };
        let stop = async {
            ear.begun.notified().await;
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        let report = Run::of(&test_target)
            .only(["create", "update", "suspend", "several-references", "failing-change", "clean-up"])
            .observed_by(&ear)
            .until(stop)
            .report()
            .await;
        let last = report.checks.last().unwrap();
        assert_eq!(last.outcome, Outcome::Skipped("the kit was stopped".into()), "{at}: {report}");
        assert_eq!(report.left, Vec::<String>::new(), "{at}");
        assert_eq!(accounts(&test_target.server).await, before, "{at}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopped_run_names_the_accounts_it_leaves() {
    let test_target = ReferenceTestTarget::new(Some(Mistake::WithoutDelete)).await;
    let before = accounts(&test_target.server).await;
    let ear = Ear { wanted: "suspend", ..Ear::default() };
    let only = ["create", "update", "suspend", "clean-up"];
    let report =
        Run::of(&test_target).only(only).observed_by(&ear).until(ear.begun.notified()).report().await;
    let now = accounts(&test_target.server).await;
    assert_eq!(now.len(), before.len() + 1, "{report}");
    assert_eq!(report.left.len(), 1, "{report}");
    assert!(report.left[0].contains("is left, suspended: the connector does not delete"), "{report}");
}

/// A target whose listing returns new records forever.
struct Endless(AtomicUsize);

#[async_trait]
impl Connector for Endless {
    async fn describe(&self) -> Result<Description, Error> {
        let resource_types = vec![ResourceType::account("account", "Account")];
        Ok(Description::new("endless", "1").with_resource_types(resource_types))
    }

    async fn check(&self) -> Result<(), Error> {
        Ok(())
    }

    async fn list(&self, _: &ResourceType, _: Option<&Cursor>) -> Result<Page, Error> {
        tokio::time::sleep(Duration::from_millis(5)).await;
        let number = self.0.fetch_add(1, Ordering::Relaxed);
        let mut account = AccountRecord::new(format!("a{number}"));
        account.username = Some(format!("user-{number}"));
        Ok(Page::with_next(vec![account.into()], Cursor::new(format!("c{number}"))))
    }

    async fn find_account(&self, _: &Account) -> Result<Option<AccountRecord>, Error> {
        Ok(None)
    }

    async fn execute(&self, _: &Context, _: &Operation) -> Result<Completion, Error> {
        Err(Error::internal("no"))
    }
}

struct Impatient(Arc<dyn Connector>);

#[async_trait]
impl TestTarget for Impatient {
    async fn connect(&self, situation: Situation) -> Result<Arc<dyn Connector>, Skip> {
        match situation {
            Situation::Working => Ok(Arc::clone(&self.0)),
            other => Err(Skip::because(format!("it is never {other:?}"))),
        }
    }

    fn check_limit(&self) -> Duration {
        Duration::from_millis(200)
    }

    fn run_limit(&self) -> Duration {
        Duration::from_secs(2)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn endless_listing_fails_its_check_and_the_run_ends() {
    let report = conformance::run(&Impatient(Arc::new(Endless(AtomicUsize::new(0))))).await;
    let listing = report.checks.iter().find(|check| check.name == "listing").unwrap();
    match &listing.outcome {
        Outcome::Failed(why) => {
            assert!(why.contains("no end within") && why.contains("check_limit"), "{why}");
        }
        other => panic!("{other:?}"),
    }
    let took: Duration = report.checks.iter().map(|check| check.took).sum();
    assert!(took < Duration::from_secs(20), "{took:?}");
    assert_eq!(report.checks.len(), conformance::checks().len());
}
