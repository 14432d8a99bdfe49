//! Listings that contradict one another, or that tasks have outdated: what counts for the removal guard.

use std::ops::Range;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bridgehead_sandbox::{Effect, Fault, Loss};
use bridgehead_sdk::{
    Account, AccountRecord, AccountStatus, Completion, Connector, Context, Cursor, Description, Error,
    Evidence, Operation, Page, ResourceType, async_trait,
};
use tokio_util::sync::CancellationToken;

use super::proof_tests::{APP, World};
use super::{Options, Summary};
use crate::app::AppContext;
use crate::change_tracker::PriorState;
use bridgehead_config::WithoutProof;
use bridgehead_store::Changes;

/// A target that lists these accounts; if the listing is not whole, the next page cannot be read.
#[derive(Default)]
struct Target {
    accounts: Range<usize>,
    is_whole: bool,
    /// The first so many are inactive.
    inactive: usize,
    /// Before the page that cannot be read, tasks change the first so many accounts of this app.
    changes: OnceLock<(Arc<AppContext>, usize)>,
    /// Once Iden has accepted all pushed pages, another node takes over this app, and drops what this one has listed.
    loses: OnceLock<(Arc<AppContext>, Arc<World>)>,
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
        if cursor.is_some() {
            if let Some((app, count)) = self.changes.get() {
                // The next page is read ahead; tasks change accounts only after the first one was taken over.
                while app.snapshots.seen_count(&app.key, "account").await.unwrap()
                    < self.accounts.len() as u64
                {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                for n in 0..*count {
                    app.changes.touch(&Account::by_id(format!("u{n}")), PriorState::NotAsked);
                }
            }
            if let Some((app, world)) = self.loses.get() {
                while accepted_pages(world) < self.accounts.len() / 100 {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                app.snapshots.discard(&app.key).await.unwrap();
            }
            return Err(Error::permission_denied("the page cannot be read"));
        }
        let account = |n| {
            let status = if n < self.inactive { AccountStatus::Inactive } else { AccountStatus::Active };
            AccountRecord::new(format!("u{n}")).with_username(format!("u{n}")).with_status(status).into()
        };
        let next = (!self.is_whole).then(|| Cursor::new("more"));
        Ok(Page::new(self.accounts.clone().map(account).collect()).ending(next, Evidence::EndOfCursor))
    }

    async fn find_account(&self, _: &Account) -> Result<Option<AccountRecord>, Error> {
        Ok(None)
    }

    async fn execute(&self, _: &Context, _: &Operation) -> Result<Completion, Error> {
        Err(Error::internal("no task comes"))
    }
}

async fn sync(world: &World, accounts: Range<usize>, is_whole: bool) -> Summary {
    let app = world.app(Arc::new(Target { accounts, is_whole, ..Target::default() }), WithoutProof::Hold);
    super::run(&app, Options::default(), &CancellationToken::new()).await
}

fn accepted_pages(world: &World) -> usize {
    let ledger = world.sandbox.ledger();
    ledger.iter().filter(|entry| entry.method == "PUT" && entry.handled == Some(200)).count()
}

fn active(world: &World) -> usize {
    let records = world.sandbox.records(APP.parse().unwrap(), "account");
    records.iter().filter(|record| record["active"] == true).count()
}

#[tokio::test]
async fn held_first_listing_does_not_let_the_next_one_remove_its_accounts() {
    let world = World::new().await;
    let abandoned = sync(&world, 0..400, false).await;
    assert_eq!((abandoned.result.as_str(), active(&world)), ("abandoned", 400), "{abandoned:?}");
    let held = sync(&world, 0..250, true).await;
    assert_eq!(held.result.as_str(), "held", "{held:?}");
    // Without the accounts that the held listing had, nothing seems to be missing here.
    let held = sync(&world, 250..400, true).await;
    assert_eq!((held.result.as_str(), active(&world)), ("held", 400), "{held:?}");
    let completed = sync(&world, 0..400, true).await;
    assert_eq!((completed.result.as_str(), active(&world)), ("completed", 400), "{completed:?}");
}

#[tokio::test]
async fn accounts_of_a_held_listing_do_not_count_once_a_sync_has_completed() {
    let world = World::new().await;
    assert_eq!(sync(&world, 0..400, true).await.result.as_str(), "completed");
    assert_eq!(sync(&world, 1000..1400, true).await.result.as_str(), "held");
    assert_eq!((sync(&world, 0..400, true).await.result.as_str(), active(&world)), ("completed", 400));
}

/// Iden keeps what an abandoned session has pushed, and a truncated listing could remove it if the state does not know it. It discards what
/// a cancelled session has pushed.
#[tokio::test]
async fn session_is_not_abandoned_if_what_it_has_pushed_could_not_be_saved() {
    let world = Arc::new(World::new().await);
    assert_eq!(sync(&world, 0..10, true).await.result.as_str(), "completed");
    let target = Arc::new(Target { accounts: 0..400, ..Target::default() });
    let app = world.app(target.clone(), WithoutProof::Hold);
    assert!(target.loses.set((Arc::clone(&app), Arc::clone(&world))).is_ok());
    let ended = super::run(&app, Options::default(), &CancellationToken::new()).await;
    assert_eq!(ended.result.as_str(), "abandoned", "{ended:?}");
    assert_eq!(world.steps(), ["sync", "complete", "sync"]);
    let completed = sync(&world, 0..10, true).await;
    assert_eq!((completed.result.as_str(), active(&world)), ("completed", 10), "{completed:?}");
    let all = world.sandbox.records(APP.parse().unwrap(), "account");
    assert_eq!(all.len(), 10, "Iden has discarded the others");
}

/// The only page was accepted, but its response was lost, and Iden rejects it when it is sent again.
#[tokio::test]
async fn session_is_not_abandoned_if_iden_may_have_a_page_without_a_response() {
    let world = World::new().await;
    assert_eq!(sync(&world, 0..10, true).await.result.as_str(), "completed");
    let page = |effect| Fault::new(effect).method("PUT").path("**/sync/**");
    world.sandbox.add_fault(page(Effect::Lose(Loss::Cut)).times(1));
    let rejected = world.sandbox.add_fault(page(Effect::answer(422)));
    let abandoned = sync(&world, 0..100, false).await;
    assert_eq!((abandoned.result.as_str(), accepted_pages(&world)), ("abandoned", 2), "{abandoned:?}");
    assert_eq!(world.steps(), ["sync", "complete", "sync"]);
    world.sandbox.remove_fault(rejected);
    let completed = sync(&world, 0..10, true).await;
    assert_eq!((completed.result.as_str(), active(&world)), ("completed", 10), "{completed:?}");
    let all = world.sandbox.records(APP.parse().unwrap(), "account");
    assert_eq!(all.len(), 10, "Iden has discarded the others");
}

/// A listing without 150 of the accounts that only the held one had is right or truncated: nothing shows which.
#[tokio::test]
async fn accounts_of_a_held_listing_count_if_the_next_listing_has_some_of_them() {
    let world = World::new().await;
    assert_eq!(sync(&world, 0..400, true).await.result.as_str(), "completed");
    assert_eq!(sync(&world, 200..650, true).await.result.as_str(), "held");
    let held = sync(&world, 0..500, true).await;
    assert_eq!((held.result.as_str(), active(&world)), ("held", 650), "{held:?}");
    assert!(held.detail.contains("would remove 150 of 650 records"), "{held:?}");
    let completed = sync(&world, 0..600, true).await;
    assert_eq!((completed.result.as_str(), active(&world)), ("completed", 600), "{completed:?}");
    // The 50 that were removed count within the window.
    let held = sync(&world, 0..540, true).await;
    assert!(held.detail.contains("60 of 600 records of account, 110 within"), "{held:?}");
}

#[tokio::test]
async fn what_tasks_took_since_an_uncompleted_sync_read_it_is_no_loss() {
    let world = World::new().await;
    assert_eq!(sync(&world, 0..400, true).await.result.as_str(), "completed");
    // Tasks suspend 200 accounts while a sync reads. What it had read before is outdated, and is saved.
    let target = Arc::new(Target { accounts: 0..400, ..Target::default() });
    let app = world.app(target.clone(), WithoutProof::Hold);
    for n in 0..200 {
        app.snapshots.note_changed(&app.key, "account", &format!("u{n}"), Changes::unread()).await.unwrap();
    }
    assert!(target.changes.set((Arc::clone(&app), 200)).is_ok());
    let abandoned = super::run(&app, Options::default(), &CancellationToken::new()).await;
    assert_eq!(abandoned.result.as_str(), "abandoned", "{abandoned:?}");
    let later = |inactive| {
        let target = Target { accounts: 0..400, is_whole: true, inactive, ..Target::default() };
        world.app(Arc::new(target), WithoutProof::Hold)
    };
    let held = super::run(&later(300), Options::default(), &CancellationToken::new()).await;
    assert!(held.detail.contains("100 of 200 active records"), "{held:?}");
    let completed = super::run(&later(200), Options::default(), &CancellationToken::new()).await;
    assert_eq!(completed.result.as_str(), "completed", "{completed:?}");
}

/// The request may still take effect. Iden's time would then belong to a sync that the state does not have, which looks like a lost state.
#[tokio::test]
async fn sync_that_is_stopped_without_a_response_to_complete_counts_as_completed() {
    let world = World::new().await;
    world.sandbox.add_fault(Fault::new(Effect::answer(503)).method("POST").path("**/complete/"));
    let app = world
        .app(Arc::new(Target { accounts: 0..400, is_whole: true, ..Target::default() }), WithoutProof::Hold);
    let stop = CancellationToken::new();
    let stopping = async {
        // The session was asked for after the failure, so the sync waits to repeat the request.
        let is_waiting = || {
            let ledger = world.sandbox.ledger();
            let failed = ledger.iter().position(|entry| entry.path.ends_with("/complete/"));
            failed.is_some_and(|at| ledger[at..].iter().any(|entry| entry.method == "GET"))
        };
        while !is_waiting() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        stop.cancel();
    };
    let (summary, ()) = tokio::join!(super::run(&app, Options::default(), &stop), stopping);
    assert_eq!(summary.result.as_str(), "failed", "{summary:?}");
    let steps = world.steps();
    assert_eq!(steps.last().map(String::as_str), Some("complete"), "{steps:?}");
    assert!(app.snapshots.last(&app.key).await.unwrap().is_some(), "{summary:?}");
}
