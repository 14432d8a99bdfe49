//! Complete syncs against the sandbox, with connectors that provide each kind of evidence for their listings, or none.

use std::sync::Arc;

use bridgehead_resilience::{SeededRng, SystemClock};
use bridgehead_sdk::{
    Account, AccountRecord, Completion, Connector, Context, Cursor, Description, Error, Evidence, Operation,
    Page, Record, Redactor, ResourceType, async_trait,
};
use tokio_util::sync::CancellationToken;

use super::{Consent, HeldReason, Options, Summary, SyncResult};
use crate::app::{AppContext, AppParts, SharedServices};
use crate::status::AppStatus;
use bridgehead_bridge::{ApiKey, Client, Settings};
use bridgehead_config::{self as config, Connectors, Document, WithoutProof};
use bridgehead_sandbox::{Options as Offer, Sandbox};
use bridgehead_store::{AppKey, RunReason, RunResult, SnapshotStore, Sqlite, TaskJournal};

pub(super) const APP: &str = "11111111-1111-4111-8111-111111111111";

/// A target with ten accounts on two pages.
struct Target {
    evidence: Option<Evidence>,
    totals: [Option<u64>; 2],
}

#[async_trait]
impl Connector for Target {
    async fn describe(&self) -> Result<Description, Error> {
        Ok(Description::default().with_resource_types([ResourceType::account("account", "Account")]))
    }

    async fn check(&self) -> Result<(), Error> {
        Ok(())
    }

    async fn list(&self, _: &ResourceType, cursor: Option<&Cursor>) -> Result<Page, Error> {
        let page = usize::from(cursor.is_some());
        let records = (page * 5..page * 5 + 5).map(|n| {
            let id = format!("u{n}");
            Record::from(AccountRecord::new(id.clone()).with_username(id))
        });
        let mut answer = Page::new(records.collect()).with_total(self.totals[page]);
        answer.next = (page == 0).then(|| Cursor::new("more"));
        answer.evidence = if page == 0 { None } else { self.evidence };
        Ok(answer)
    }

    async fn find_account(&self, _: &Account) -> Result<Option<AccountRecord>, Error> {
        Ok(None)
    }

    async fn execute(&self, _: &Context, _: &Operation) -> Result<Completion, Error> {
        Err(Error::internal("not asked in this test"))
    }
}

/// A target that returns its only page again and again, each time with another cursor.
struct Endless;

#[async_trait]
impl Connector for Endless {
    async fn describe(&self) -> Result<Description, Error> {
        Ok(Description::default().with_resource_types([ResourceType::account("account", "Account")]))
    }

    async fn check(&self) -> Result<(), Error> {
        Ok(())
    }

    async fn list(&self, _: &ResourceType, cursor: Option<&Cursor>) -> Result<Page, Error> {
        let page = cursor.map_or(0, |cursor| cursor.as_str().parse::<u64>().unwrap());
        let ann = AccountRecord::new("u1").with_username("ann");
        Ok(Page::with_next(vec![ann.into()], Cursor::new((page + 1).to_string())))
    }

    async fn find_account(&self, _: &Account) -> Result<Option<AccountRecord>, Error> {
        Ok(None)
    }

    async fn execute(&self, _: &Context, _: &Operation) -> Result<Completion, Error> {
        Err(Error::internal("not asked in this test"))
    }
}

pub(super) struct World {
    pub(super) sandbox: Sandbox,
    journal: Arc<Sqlite>,
    _folder: tempfile::TempDir,
}

impl World {
    pub(super) async fn new() -> Self {
        let sandbox = Sandbox::start(Offer { api_key: "key".into(), ..Offer::default() }).await.unwrap();
        sandbox.add_app(APP.parse().unwrap(), "HR");
        let folder = tempfile::tempdir().unwrap();
        let journal = Arc::new(Sqlite::open(&folder.path().join("state")).await.unwrap());
        Self { sandbox, journal, _folder: folder }
    }

    async fn sync(
        &self,
        target: impl Connector + 'static,
        without_proof: WithoutProof,
        options: Options,
    ) -> Summary {
        let app = self.app(Arc::new(target), without_proof);
        super::run(&app, options, &CancellationToken::new()).await
    }

    pub(super) fn app(&self, target: Arc<dyn Connector>, without_proof: WithoutProof) -> Arc<AppContext> {
        let url = self.sandbox.base_url();
        let text = format!(
            "[bridge]\nbase_url = \"{url}\"\napi_key = {{ env = \"KEY\" }}\n\n[apps.hr]\napp_id = \"{APP}\"\nconnector = \"own\"\n"
        );
        let documents = [Document { path: "/etc/bridgehead.toml".into(), text }];
        let connectors = Connectors::from([("own".to_owned(), bridgehead_simulated::factory())]);
        let mut config = config::parse(&documents, &std::collections::BTreeMap::new(), &connectors).unwrap();
        let mut settings = config.apps.remove("hr").unwrap();
        settings.sync.complete_without_proof = without_proof;
        let key = Arc::new(ApiKey::new("key").unwrap());
        AppContext::new(AppParts {
            name: "hr".to_owned(),
            settings,
            connector: target,
            bridge: Arc::new(Client::new(Settings::new(url.parse().unwrap()), key).unwrap()),
            journal: Arc::clone(&self.journal) as Arc<dyn TaskJournal>,
            snapshots: Arc::clone(&self.journal) as Arc<dyn SnapshotStore>,
            status: Arc::new(AppStatus::default()),
            shared: SharedServices::new(
                &Redactor::new(),
                Arc::new(SystemClock),
                Arc::new(SeededRng::seeded(1)),
                crate::audit::Audit::none(),
            ),
            leases: None,
        })
    }

    pub(super) fn steps(&self) -> Vec<String> {
        let posts = self.sandbox.ledger().into_iter().filter(|entry| entry.method == "POST");
        let last =
            posts.filter_map(|entry| entry.path.trim_end_matches('/').rsplit('/').next().map(str::to_owned));
        last.filter(|step| step != "resource-types").collect()
    }
}

#[tokio::test]
async fn unproven_listing_is_held_until_the_operator_allows_it() {
    let world = World::new().await;
    let unproven = || Target { evidence: None, totals: [Some(10), Some(10)] };
    let options = Options::default();
    for _ in 0..2 {
        let held = world.sync(unproven(), WithoutProof::Hold, options).await;
        assert_eq!(
            (held.result, held.reason, &held.held_because[..]),
            (SyncResult::Held, Some(RunReason::NotProven), &[HeldReason::NotProven][..]),
            "{held:?}"
        );
        assert!(held.detail.contains("no proof that the listing of account is complete"), "{held:?}");
        assert_eq!(held.evidence["account"], "none");
    }
    assert_eq!(world.steps(), ["sync", "abandon", "sync", "abandon"]);
    assert_eq!(world.sandbox.records(APP.parse().unwrap(), "account").len(), 10, "what was read is pushed");
    let runs = world.journal.runs(&AppKey::from(uuid::Uuid::parse_str(APP).unwrap()), 9).await.unwrap();
    let ends: Vec<_> = runs.iter().map(|run| (run.result, run.reason, run.cause.as_deref())).collect();
    let cause = Some("no proof that the listing of account is complete");
    assert_eq!(ends, [(RunResult::Held, Some(RunReason::NotProven), cause); 2]);
    // A number does not cover losses that cannot be counted.
    let number = Options { allow_removals: Some(Consent::AtMost(1000)), ..options };
    assert_eq!(world.sync(unproven(), WithoutProof::Hold, number).await.result, SyncResult::Held);
    let dry_run = world.sync(unproven(), WithoutProof::Hold, Options { dry_run: true, ..options }).await;
    assert_eq!(dry_run.result, SyncResult::Held);
    let exactly = Options { allow_removals: dry_run.digest.map(Consent::Exactly), ..options };
    assert_eq!(world.sync(unproven(), WithoutProof::Hold, exactly).await.result, SyncResult::Completed);
    let allowed = world.sync(unproven(), WithoutProof::Allow, options).await;
    assert_eq!((allowed.result, allowed.evidence["account"].as_str()), (SyncResult::Completed, "none"));
}

#[tokio::test]
async fn totals_reported_by_a_connector_are_enforced() {
    for (evidence, totals, result) in [
        (Some(Evidence::EndOfCursor), [None, None], "completed"),
        (Some(Evidence::Atomic), [None, Some(10)], "completed"),
        (Some(Evidence::TwoReadings), [Some(11), Some(10)], "completed"),
        (Some(Evidence::TotalMet), [Some(10), Some(10)], "completed"),
        (Some(Evidence::TotalMet), [Some(11), Some(10)], "abandoned"),
        (Some(Evidence::TotalMet), [None, None], "held"),
        (Some(Evidence::EndOfCursor), [Some(11), None], "abandoned"),
        (Some(Evidence::Atomic), [None, Some(12)], "abandoned"),
        (None, [None, Some(12)], "abandoned"),
    ] {
        let world = World::new().await;
        let synced = world.sync(Target { evidence, totals }, WithoutProof::Hold, Options::default()).await;
        assert_eq!(synced.result.as_str(), result, "{evidence:?} {totals:?} {synced:?}");
        assert_eq!(world.steps().contains(&"complete".to_owned()), result == "completed");
    }
}

#[tokio::test]
async fn listing_without_end_is_given_up() {
    let world = World::new().await;
    let synced = world.sync(Endless, WithoutProof::Allow, Options::default()).await;
    assert_eq!(
        (synced.result, synced.reason),
        (SyncResult::Abandoned, Some(RunReason::Unreadable)),
        "{synced:?}"
    );
    assert!(synced.detail.contains("the last 20 pages repeat earlier ones"), "{synced:?}");
}
