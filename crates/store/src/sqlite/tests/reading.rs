use super::super::super::{Error, SnapshotStore, TaskJournal};
use super::read_only_copy::{snapshot, synced};
use super::*;

/// Reads the state of [`synced`] in a folder, and checks that no file in it changes.
async fn look(folder: &Path) {
    let before = snapshot(folder);
    let app = app(1);
    let state = Sqlite::read_only(folder).await.unwrap().unwrap();
    assert_eq!(state.counts(&app).await.unwrap().intended, 1);
    let last = state.last(&app).await.unwrap().unwrap();
    assert_eq!((last.at, last.counts["account"]), (at(5), 2));
    let refused = state.intent(&app, &intent("t2", 1, 1)).await.unwrap_err();
    assert!(matches!(refused, Error::Closed), "{refused:?}");
    state.close().await;
    assert_eq!(snapshot(folder), before);
}

#[tokio::test]
async fn read_only_open_after_a_clean_stop_changes_no_file() {
    let folder = temporary();
    synced(folder.path()).await.close().await;
    look(folder.path()).await;
}

#[tokio::test]
async fn read_only_open_of_state_in_use_changes_no_file() {
    let folder = temporary();
    let _state = synced(folder.path()).await;
    let crashed = temporary();
    copy_folder(folder.path(), crashed.path());
    look(crashed.path()).await;
}

#[tokio::test]
async fn state_unreadable_without_changes_is_left_alone() {
    let folder = temporary();
    assert!(Sqlite::read_only(&folder.path().join("none")).await.unwrap().is_none());
    let _state = synced(folder.path()).await;
    let orphaned = temporary();
    copy_folder(folder.path(), orphaned.path());
    std::fs::remove_file(orphaned.path().join("tasks.db-shm")).unwrap();
    let before = snapshot(orphaned.path());
    assert!(Sqlite::read_only(orphaned.path()).await.unwrap().is_none());
    assert_eq!(snapshot(orphaned.path()), before);
}
