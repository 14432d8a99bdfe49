//! Syncs while an earlier call may still take effect: what shows immediately before `complete` still reaches Iden.

use std::sync::{Arc, Mutex, OnceLock};

use bridgehead_sdk::{
    Account, AccountRecord, Completion, Connector, Context, Cursor, Description, Error, Evidence, Operation,
    Page, ResourceType, async_trait,
};
use tokio_util::sync::CancellationToken;

use super::proof_tests::{APP, World};
use super::{Options, Summary};
use crate::app::AppContext;
use crate::change_tracker::PriorState;
use bridgehead_config::WithoutProof;

/// A target with one account, whose look-ups have these results; the last one is repeated.
struct Target {
    found: Mutex<Vec<Option<&'static str>>>,
    /// A task of this app changes the account while it is listed.
    changes: OnceLock<Arc<AppContext>>,
}

fn account(name: &str) -> AccountRecord {
    AccountRecord::new("u1").with_username("ann").with_display_name(name)
}

#[async_trait]
impl Connector for Target {
    async fn describe(&self) -> Result<Description, Error> {
        Ok(Description::default().with_resource_types([ResourceType::account("account", "Account")]))
    }

    async fn check(&self) -> Result<(), Error> {
        Ok(())
    }

    async fn list(&self, _: &ResourceType, _: Option<&Cursor>) -> Result<Page, Error> {
        if let Some(app) = self.changes.get() {
            app.changes.touch(&Account::by_id("u1"), PriorState::NotAsked);
        }
        Ok(Page::new(vec![account("Old").into()]).ending(None, Evidence::EndOfCursor))
    }

    async fn find_account(&self, _: &Account) -> Result<Option<AccountRecord>, Error> {
        let mut found = self.found.lock().unwrap();
        let name = if found.len() > 1 { found.remove(0) } else { found[0] };
        Ok(name.map(account))
    }

    async fn execute(&self, _: &Context, _: &Operation) -> Result<Completion, Error> {
        Err(Error::internal("no task comes"))
    }
}

/// Runs a sync while a call for the account may still take effect, with these results of look-ups. Returns how it ended, and the name and
/// status that Iden has for the account.
async fn sync(found: &[Option<&'static str>]) -> (Summary, String, String) {
    sync_with(found, false).await
}

async fn sync_with(found: &[Option<&'static str>], is_changed: bool) -> (Summary, String, String) {
    let world = World::new().await;
    let target = Arc::new(Target { found: Mutex::new(found.to_vec()), changes: OnceLock::new() });
    let app = world.app(target.clone(), WithoutProof::Hold);
    if is_changed {
        assert!(target.changes.set(Arc::clone(&app)).is_ok());
    }
    let _unsettled = app.changes.unsettled(&Account::by_id("u1"), PriorState::Unknown);
    let summary = super::run(&app, Options::default(), &CancellationToken::new()).await;
    let records = world.sandbox.records(APP.parse().unwrap(), "account");
    let text = |field: &str| records[0][field].as_str().unwrap_or_default().to_owned();
    (summary, text("display_name"), text("status"))
}

/// The account is pushed three times. That Iden knows it from the first time is no sign of earlier syncs.
#[tokio::test]
async fn first_sync_completes_although_tasks_have_changed_most_accounts() {
    let (summary, name, _) = sync_with(&[Some("New"), Some("Newer")], true).await;
    assert_eq!((summary.result.as_str(), name.as_str()), ("completed", "Newer"), "{summary:?}");
}

#[tokio::test]
async fn effect_that_shows_during_the_check_reaches_iden() {
    for found in [
        &[Some("Old")][..],
        &[Some("Old"), Some("Old"), Some("Old")],
        // It shows in the first look-up, in the second, and while the first effect is being pushed.
        &[Some("New")],
        &[Some("Old"), Some("New")],
        &[Some("Old"), Some("Between"), Some("New")],
    ] {
        let (summary, name, status) = sync(found).await;
        assert_eq!(summary.result.as_str(), "completed", "{found:?} {summary:?}");
        assert_eq!((Some(name.as_str()), status.as_str()), (*found.last().unwrap(), "active"), "{found:?}");
    }
}

#[tokio::test]
async fn account_that_disappears_during_the_check_becomes_inactive() {
    let (summary, name, status) = sync(&[Some("Old"), None]).await;
    assert_eq!(summary.result.as_str(), "completed", "{summary:?}");
    assert_eq!((name.as_str(), status.as_str()), ("Old", "inactive"));
}

#[tokio::test]
async fn account_that_never_settles_leaves_the_sync_to_the_next_one() {
    let names = ["A", "B", "C", "D", "E", "F", "G", "H", "I", "J"].map(Some);
    let (summary, ..) = sync(&names).await;
    assert_eq!(summary.result.as_str(), "abandoned", "{summary:?}");
    assert!(summary.detail.contains("u1"), "{summary:?}");
}
