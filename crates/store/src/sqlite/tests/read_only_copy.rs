use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use super::super::super::{Error, SnapshotStore, TaskJournal};
use super::*;

const CHILD: &str = "BRIDGEHEAD_TEST_REHEARSAL_FOLDER";

/// All files of a folder, each with its length and a hash of its contents.
pub(super) fn snapshot(folder: &Path) -> BTreeMap<String, (usize, u64)> {
    std::fs::read_dir(folder)
        .unwrap()
        .map(|file| {
            let file = file.unwrap();
            let bytes = std::fs::read(file.path()).unwrap();
            let name = file.file_name().to_string_lossy().into_owned();
            (name, (bytes.len(), xxhash_rust::xxh3::xxh3_64(&bytes)))
        })
        .collect()
}

/// State with a completed sync of two records and an unfinished one.
pub(super) async fn synced(folder: &Path) -> Sqlite {
    let state = Sqlite::open(folder).await.unwrap();
    let app = app(1);
    state.begin(&app).await.unwrap();
    state.add(&app, "account", &[seen("a", 1), seen("b", 2)]).await.unwrap();
    state.commit(&app, at(5)).await.unwrap();
    state.begin(&app).await.unwrap();
    state.add(&app, "account", &[seen("z", 1)]).await.unwrap();
    state.intent(&app, &intent("t1", 1, 1)).await.unwrap();
    state
}

async fn rehearse(folder: &Path) {
    let app = app(1);
    let state = Sqlite::rehearsal(folder).await.unwrap();
    let last = state.last(&app).await.unwrap().unwrap();
    assert_eq!((last.at, last.counts["account"]), (at(5), 2));
    state.begin(&app).await.unwrap();
    state.add(&app, "account", &[seen("b", 3), seen("c", 1)]).await.unwrap();
    let difference = state.difference(&app, "account").await.unwrap();
    assert_eq!((difference.created, difference.changed, difference.removed), (1, 1, 1));
    state.commit(&app, at(6)).await.unwrap();
    assert_eq!(state.open(&app).await.unwrap(), [], "the journal is not copied");
    state.close().await;
}

#[tokio::test]
async fn dry_run_while_a_daemon_runs_changes_no_file() {
    if let Some(folder) = std::env::var_os(CHILD) {
        let folder = Path::new(&folder);
        let before = snapshot(folder);
        assert!(before.contains_key("listings.db-shm"));
        rehearse(folder).await;
        assert_eq!(snapshot(folder), before);
        return;
    }
    let folder = temporary();
    let state = synced(folder.path()).await;
    // The daemon's maintenance is done by now; after that, this process changes nothing.
    tokio::time::sleep(Duration::from_millis(300)).await;
    // Use another process, because SQLite shares file information within a process.
    let name = "sqlite::tests::read_only_copy::dry_run_while_a_daemon_runs_changes_no_file";
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", name])
        .env(CHILD, folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success() && said.contains("1 passed"), "{child:?}");
    let app = app(1);
    assert_eq!(state.seen_count(&app, "account").await.unwrap(), 1, "the daemon's own sync continues");
    state.commit(&app, at(7)).await.unwrap();
}

#[tokio::test]
async fn dry_run_after_a_clean_stop_changes_no_file() {
    let folder = temporary();
    synced(folder.path()).await.close().await;
    let before = snapshot(folder.path());
    assert_eq!(before.keys().collect::<Vec<_>>(), ["listings.db", "lock", "tasks.db", "witness"]);
    rehearse(folder.path()).await;
    assert_eq!(snapshot(folder.path()), before);
}

#[tokio::test]
async fn dry_run_after_a_crash_changes_no_file() {
    let folder = temporary();
    let _state = synced(folder.path()).await;
    for lost in [None, Some("listings.db-shm")] {
        let crashed = temporary();
        copy_folder(folder.path(), crashed.path());
        if let Some(lost) = lost {
            std::fs::remove_file(crashed.path().join(lost)).unwrap();
        }
        let before = snapshot(crashed.path());
        rehearse(crashed.path()).await;
        assert_eq!(snapshot(crashed.path()), before, "without {lost:?}");
    }
}

#[tokio::test]
async fn dry_run_without_state_creates_nothing() {
    let parent = temporary();
    let folder = parent.path().join("none");
    let state = Sqlite::rehearsal(&folder).await.unwrap();
    assert_eq!(state.last(&app(1)).await.unwrap(), None);
    assert!(!folder.exists());
}

#[tokio::test]
async fn unreachable_state_is_not_treated_as_missing() {
    let parent = temporary();
    let file = parent.path().join("file");
    std::fs::write(&file, "").unwrap();
    let refused = Sqlite::rehearsal(&file.join("state")).await.unwrap_err();
    assert!(matches!(refused, Error::Folder { .. }), "{refused:?}");
}

#[tokio::test]
async fn dry_run_copy_is_private_and_removed() {
    let state = fleeting().await;
    let file: String = sqlx::query_scalar("SELECT file FROM pragma_database_list WHERE name = 'main'")
        .fetch_one(state.listings().readers())
        .await
        .unwrap();
    let copy = Path::new(&file).parent().unwrap();
    assert_eq!(std::fs::metadata(copy).unwrap().permissions().mode() & 0o777, 0o700);
    state.close().await;
    assert!(!copy.exists());
}
