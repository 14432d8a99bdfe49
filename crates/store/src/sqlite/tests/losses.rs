use super::super::super::contract::losses::{SLUG, account, lost};
use super::super::super::{AccessBase, AccessLoss, BaselineOrigin, LossKind, SnapshotStore};
use super::*;

#[tokio::test]
async fn baseline_of_an_earlier_version_without_evidence_is_ignored() {
    let folder = temporary();
    let state = Sqlite::open(folder.path()).await.unwrap();
    for past in BaselineOrigin::ALL {
        state.set_past(&app(1), past).await.unwrap();
        assert_eq!(state.past(&app(1)).await.unwrap(), Some(past));
    }
    state.close().await;
    let mut connection = connect(&folder.path().join("listings.db")).await;
    sqlx::query("UPDATE syncs SET past = 'ours'").execute(&mut connection).await.unwrap();
    sqlx::Connection::close(connection).await.unwrap();
    let state = Sqlite::open(folder.path()).await.unwrap();
    assert_eq!(state.past(&app(1)).await.unwrap(), None);
    state.close().await;
}

#[tokio::test]
async fn listings_of_the_previous_version_yield_no_invented_losses() {
    let folder = temporary();
    let mut connection = connect(&folder.path().join("listings.db")).await;
    let before = super::super::open::LISTINGS_FORMAT.migrator.iter().filter(|one| one.version <= 3);
    let before = sqlx::migrate::Migrator::with_migrations(before.cloned().collect());
    before.run_direct(None, &mut connection, false).await.unwrap();
    sqlx::raw_sql(
        "INSERT INTO syncs (app, under_way, completed_at) VALUES ('00000000-0000-0000-0000-000000000001', 0, 1000000);
         INSERT INTO listings (listing, app, slug, state, records)
         VALUES (1, '00000000-0000-0000-0000-000000000001', 'account', 'last', 2);
         INSERT INTO records (listing, id, hash) VALUES (1, 'a', 1), (1, 'b', 1);
         INSERT INTO removals VALUES ('00000000-0000-0000-0000-000000000001', 'account', 1000000, 3);",
    )
    .execute(&mut connection)
    .await
    .unwrap();
    sqlx::Connection::close(connection).await.unwrap();

    let state = Sqlite::open(folder.path()).await.unwrap();
    assert_eq!(lost(&state, &[account("a", false, &[])]).await, []);
    assert_eq!(
        state.access_base(&app(1), SLUG).await.unwrap(),
        AccessBase { unknown: 2, ..AccessBase::default() }
    );
    assert_eq!(state.difference(&app(1), SLUG).await.unwrap().removed, 1);
    assert_eq!(state.losses_since(&app(1), SLUG, LossKind::Removed, at(0)).await.unwrap(), 3);
    assert_eq!(AccessLoss::default(), AccessLoss { deactivated: false, refs: 0, none_left: false });
    state.close().await;
}

#[tokio::test]
async fn changes_that_an_earlier_version_recorded_are_no_losses() {
    let folder = temporary();
    let state = Sqlite::open(folder.path()).await.unwrap();
    state.begin(&app(1)).await.unwrap();
    let before = ["a", "b", "c"].map(|id| account(id, true, &[1]));
    state.add(&app(1), SLUG, &before).await.unwrap();
    state.commit(&app(1), at(1)).await.unwrap();
    state.close().await;
    let mut connection = connect(&folder.path().join("listings.db")).await;
    sqlx::raw_sql(
        "INSERT INTO changes (app, slug, id, kinds) VALUES \
         ('00000000-0000-0000-0000-000000000001', 'account', 'a', 1), \
         ('00000000-0000-0000-0000-000000000001', 'account', 'b', 2), \
         ('00000000-0000-0000-0000-000000000001', 'account', 'c', 3)",
    )
    .execute(&mut connection)
    .await
    .unwrap();
    sqlx::Connection::close(connection).await.unwrap();
    let state = Sqlite::open(folder.path()).await.unwrap();
    let now = ["a", "b", "c"].map(|id| account(id, false, &[]));
    let wanted = [("a".to_owned(), false, 1), ("b".to_owned(), true, 0)];
    assert_eq!(lost(&state, &now).await, wanted);
    state.close().await;
}

pub(super) async fn connect(path: &Path) -> sqlx::SqliteConnection {
    use sqlx::ConnectOptions;
    sqlx::sqlite::SqliteConnectOptions::new().filename(path).create_if_missing(true).connect().await.unwrap()
}
