//! Reading, validating, storing and pushing overlap: on a paused clock, a sync takes as long as the slower side alone.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bridgehead_resilience::SeededRng;
use bridgehead_sdk::{
    Account, AccountRecord, Completion, Connector, Context, Cursor, Description, Error, Evidence, Operation,
    Page, ResourceType, Slug, async_trait,
};
use jiff::Timestamp;
use tokio::time::{Instant, sleep};

use super::Options;
use super::phases::Preparing;
use super::sync_run::SyncRun;
use crate::app::AppContext;
use crate::fakes::{Script, api, app_in_memory, settings};
use bridgehead_bridge::{self as bridge, Pushed, SyncId, WireRecord};
use bridgehead_store::Memory;

const PAGES: usize = 60;
/// The number of records in one push, so that both sides have the same number of pages.
const PAGE: usize = 100;

/// A target that needs some time for each page.
struct Slow {
    page: Duration,
    /// How many pages have been read.
    read: Arc<AtomicUsize>,
    /// The page that can never be read.
    broken: Option<usize>,
}

#[async_trait]
impl Connector for Slow {
    async fn describe(&self) -> Result<Description, Error> {
        Ok(Description::new("slow", "1").with_resource_types([ResourceType::account("account", "Account")]))
    }

    async fn check(&self) -> Result<(), Error> {
        Ok(())
    }

    async fn list(&self, _: &ResourceType, cursor: Option<&Cursor>) -> Result<Page, Error> {
        sleep(self.page).await;
        let number: usize = cursor.map_or(0, |cursor| cursor.as_str().parse().unwrap());
        if self.broken == Some(number) {
            return Err(Error::permission_denied("no"));
        }
        self.read.fetch_add(1, Ordering::Relaxed);
        let accounts = number * PAGE..(number + 1) * PAGE;
        let accounts =
            accounts.map(|n| AccountRecord::new(format!("u{n}")).with_username(format!("u{n}")).into());
        let next = (number + 1 < PAGES).then(|| Cursor::new((number + 1).to_string()));
        Ok(Page::new(accounts.collect()).ending(next, Evidence::EndOfCursor))
    }

    async fn find_account(&self, _: &Account) -> Result<Option<AccountRecord>, Error> {
        Ok(None)
    }

    async fn execute(&self, _: &Context, _: &Operation) -> Result<Completion, Error> {
        Err(Error::internal("no task comes"))
    }
}

/// A Bridge that needs some time for each page.
struct SlowBridge {
    page: Duration,
    read: Arc<AtomicUsize>,
    /// For each pushed page, how many pages had been read from the target when it arrived, and the ids in it.
    arrived: Mutex<Vec<(usize, Vec<String>)>>,
}

#[async_trait]
impl Script for SlowBridge {
    async fn start_sync(&self) -> Result<SyncId, bridge::Error> {
        Ok(SyncId::new("s1"))
    }

    async fn push(&self, _: &Slug, records: &[WireRecord]) -> Result<Pushed, bridge::Error> {
        let ids = records.iter().map(|record| record.id().to_owned()).collect();
        self.arrived.lock().unwrap().push((self.read.load(Ordering::Relaxed), ids));
        sleep(self.page).await;
        Ok(Pushed::default())
    }
}

struct World {
    app: Arc<AppContext>,
    bridge: Arc<SlowBridge>,
}

/// A target and a Bridge that need this many milliseconds per page.
fn world(target: u64, bridge: u64, broken: Option<usize>) -> World {
    let read = Arc::new(AtomicUsize::new(0));
    let target = Slow { page: Duration::from_millis(target), read: Arc::clone(&read), broken };
    let bridge = SlowBridge { page: Duration::from_millis(bridge), read, arrived: Mutex::default() };
    let bridge = Arc::new(bridge);
    let mut settings = settings();
    settings.register_resource_types = false;
    // Pages are pushed one after another: parallel pushes would hide which step waits for which.
    settings.sync.push_concurrency = 1;
    let state = Memory::new(Timestamp::UNIX_EPOCH);
    let app = app_in_memory(
        "hr",
        settings,
        api(&bridge),
        Arc::new(target),
        &state,
        &Arc::new(SeededRng::seeded(1)),
    );
    World { app, bridge }
}

/// How long it takes to read and push everything, and whether it succeeded.
async fn sync(world: &World) -> (Duration, Result<(), super::Error>) {
    let touched = world.app.changes.begin();
    let mut run = SyncRun::new(&world.app, Options::default(), &touched);
    let of = ResourceType::account("account", "Account");
    run.record.offer.kinds = [(of.slug.to_string(), of.kind)].into();
    run.record.offer.types = vec![of];
    let began = Instant::now();
    let reading = Preparing::new(&mut run).begin_listing(None).await.unwrap();
    let read = reading.read().await.map(drop);
    (began.elapsed(), read)
}

#[tokio::test(start_paused = true)]
async fn a_sync_takes_as_long_as_the_slower_side_alone() {
    let pages = u32::try_from(PAGES).unwrap();
    for (target, bridge) in [(20, 20), (20, 5), (5, 20), (20, 0), (0, 20)] {
        let world = world(target, bridge, None);
        let (took, read) = sync(&world).await;
        read.unwrap();
        let alone = Duration::from_millis(target.max(bridge)) * pages;
        assert!(
            took >= alone,
            "{took:?} for a target of {target} ms and a Bridge of {bridge} ms: less than {alone:?}"
        );
        assert!(
            took < alone.mul_f64(1.15),
            "{took:?} for a target of {target} ms and a Bridge of {bridge} ms"
        );
        let arrived = world.bridge.arrived.lock().unwrap();
        let ids: Vec<&String> = arrived.iter().flat_map(|(_, ids)| ids).collect();
        let all: Vec<String> = (0..PAGES * PAGE).map(|n| format!("u{n}")).collect();
        assert!(ids.iter().copied().eq(&all), "everybody once, and in order");
    }
}

/// Memory does not grow with the size of the target: no more pages are read ahead than are being processed.
#[tokio::test(start_paused = true)]
async fn a_slow_bridge_keeps_a_fast_target_from_being_read_far_ahead() {
    let world = world(0, 20, None);
    sync(&world).await.1.unwrap();
    let arrived = world.bridge.arrived.lock().unwrap();
    let ahead = arrived.iter().enumerate().map(|(pushed, (read, _))| read - pushed).max().unwrap();
    // Two read ahead, one being processed, three being added to the snapshot, one waiting to be pushed and one being pushed.
    assert!((2..=8).contains(&ahead), "{ahead} pages");
}

#[tokio::test(start_paused = true)]
async fn a_listing_that_breaks_off_is_an_error_and_what_was_read_of_it_is_known() {
    let world = world(1, 1, Some(7));
    let (_, read) = sync(&world).await;
    assert!(matches!(read, Err(super::Error::Unreadable { .. })), "{read:?}");
    let seen = world.app.snapshots.seen_count(&world.app.key, "account").await.unwrap();
    assert_eq!(
        seen,
        7 * 100,
        "whatever was read before it is in the listing, and what is not was never pushed"
    );
    let pushed: usize = world.bridge.arrived.lock().unwrap().iter().map(|(_, ids)| ids.len()).sum();
    assert!(pushed as u64 <= seen, "{pushed}");
}
