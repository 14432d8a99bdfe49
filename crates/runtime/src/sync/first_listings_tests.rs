//! Listings that contradict one another before the first sync of an app has completed: the records of all of them count.

use std::ops::Range;
use std::sync::Arc;

use bridgehead_sdk::{
    Account, AccountRecord, Completion, Connector, Context, Cursor, Description, Error, Evidence, Operation,
    Page, ResourceType, async_trait,
};
use tokio_util::sync::CancellationToken;

use super::proof_tests::{APP, World};
use super::{Options, Summary};
use bridgehead_config::WithoutProof;
use bridgehead_store::{BaselineOrigin, Trust};

/// A target that lists these accounts; if the listing is not whole, the next page cannot be read.
struct Target {
    accounts: Range<usize>,
    is_whole: bool,
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
            return Err(Error::permission_denied("the page cannot be read"));
        }
        let account = |n| AccountRecord::new(format!("u{n}")).with_username(format!("u{n}")).into();
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
    let app = world.app(Arc::new(Target { accounts, is_whole }), WithoutProof::Hold);
    super::run(&app, Options::default(), &CancellationToken::new()).await
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

/// The `complete` of the first sync had no response, the sync was given up, and the request took effect afterwards.
#[tokio::test]
async fn first_sync_that_iden_completed_late_is_not_a_lost_state() {
    let ours = Some(BaselineOrigin::Ours);
    // Whether a `complete` was sent, whose records Iden had, and how the next sync ends.
    for (was_sent, past, wanted) in [
        (true, ours, "completed"),
        (false, ours, "held"),
        (true, None, "held"),
        (true, Some(BaselineOrigin::Lost), "held"),
    ] {
        let world = World::new().await;
        assert_eq!(sync(&world, 0..400, true).await.result.as_str(), "completed");
        let world = world.with_new_state().await;
        let app = world.app(Arc::new(Target { accounts: 0..0, is_whole: true }), WithoutProof::Hold);
        app.snapshots.begin(&app.key).await.unwrap();
        if was_sent {
            app.snapshots.prepare_commit(&app.key, app.shared.clock.now(), &[]).await.unwrap();
        }
        app.snapshots.retain(&app.key, Trust::Accepted).await.unwrap();
        if let Some(past) = past {
            app.snapshots.set_past(&app.key, past).await.unwrap();
        }
        let summary = sync(&world, 0..400, true).await;
        assert_eq!(summary.result.as_str(), wanted, "{was_sent} {past:?}: {summary:?}");
    }
}
