use super::super::super::{SnapshotStore, Which};
use super::*;

/// Runs two syncs with this many records, in pages, unordered; every tenth id is different in the second.
async fn two_syncs(records: u64, page: usize) {
    let folder = temporary();
    let state = Sqlite::open(folder.path()).await.unwrap();
    let app = app(1);
    for sync in 0..2_u64 {
        let mut clock = tokio::time::Instant::now();
        let mut lap = |what: &str| {
            println!("sync {sync}: {what} {:?}", clock.elapsed());
            clock = tokio::time::Instant::now();
        };
        let id = |number: u64| {
            let number = if number.is_multiple_of(10) { number + sync * records } else { number };
            uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, &number.to_le_bytes()).to_string()
        };
        state.begin(&app).await.unwrap();
        let mut pending = Vec::with_capacity(page);
        for number in 0..records {
            pending.push(seen(&id(number), number + sync * (number % 2)));
            if pending.len() == page || number + 1 == records {
                assert_eq!(state.add(&app, "account", &pending).await.unwrap().duplicates, []);
                pending.clear();
            }
        }
        lap("added");
        assert_eq!(state.seen_count(&app, "account").await.unwrap(), records);
        lap("counted");
        let difference = state.difference(&app, "account").await.unwrap();
        lap("compared");
        if sync == 1 {
            assert_eq!((difference.created, difference.removed), (records / 10, records / 10));
            // Half of the records in both have an odd number.
            assert_eq!(difference.changed, records / 2);
            let mut removed = 0;
            let mut after: Option<String> = None;
            loop {
                let ids = state.ids(&app, "account", Which::Removed, after.as_deref(), 1000).await.unwrap();
                removed += ids.len() as u64;
                let Some(last) = ids.into_iter().next_back() else {
                    break;
                };
                assert!(after.is_none_or(|after| after < last));
                after = Some(last);
            }
            assert_eq!(removed, records / 10);
            lap("paged through the removed");
        }
        state.commit(&app, at(i64::try_from(sync).unwrap())).await.unwrap();
        lap("promoted");
    }
    let size: u64 =
        std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).sum();
    println!("{} MiB in the folder", size / 1024 / 1024);
    assert_eq!(state.removals_since(&app, "account", at(1)).await.unwrap(), records / 10);
}

#[tokio::test]
async fn fifty_thousand_records_are_listed_compared_and_promoted() {
    two_syncs(50_000, 1000).await;
}

#[tokio::test]
#[ignore = "takes a minute; run it to measure"]
async fn a_million_records_are_listed_compared_and_promoted() {
    two_syncs(1_000_000, 1000).await;
}
