use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use super::super::super::{Error, Journal};
use super::*;

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[tokio::test]
async fn the_folder_and_every_file_in_it_are_closed_to_others() {
    let parent = temporary();
    let folder = parent.path().join("var/lib/bridgehead");
    let state = Sqlite::open(&folder).await.unwrap();
    state.intent(&app(1), &intent("t1", 1, 1)).await.unwrap();
    assert_eq!(mode(&folder), 0o700);
    let mut names = Vec::new();
    for file in std::fs::read_dir(&folder).unwrap() {
        let path = file.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
        names.push(path.file_name().unwrap().to_string_lossy().into_owned());
    }
    names.sort();
    assert_eq!(
        names,
        [
            "listings.db",
            "listings.db-shm",
            "listings.db-wal",
            "lock",
            "tasks.db",
            "tasks.db-shm",
            "tasks.db-wal"
        ]
    );
}

#[tokio::test]
async fn an_open_folder_of_ours_is_closed() {
    let folder = temporary();
    set_mode(folder.path(), 0o755);
    let state = Sqlite::open(folder.path()).await.unwrap();
    assert_eq!(mode(folder.path()), 0o700);
    state.close().await;

    set_mode(folder.path(), 0o750);
    set_mode(&folder.path().join("tasks.db"), 0o644);
    let _state = Sqlite::open(folder.path()).await.unwrap();
    assert_eq!(mode(folder.path()), 0o700);
    assert_eq!(mode(&folder.path().join("tasks.db")), 0o600);
}

#[tokio::test]
async fn an_open_folder_of_others_is_refused_and_left_as_it_is() {
    let folder = temporary();
    std::fs::write(folder.path().join("somebody-elses"), "").unwrap();
    set_mode(folder.path(), 0o755);
    let refused = Sqlite::open(folder.path()).await.unwrap_err();
    assert!(matches!(refused, Error::Permissions { mode: 0o755, .. }), "{refused:?}");
    assert_eq!(mode(folder.path()), 0o755);

    let shared = temporary();
    set_mode(shared.path(), 0o1777);
    let refused = Sqlite::open(shared.path()).await.unwrap_err();
    assert!(matches!(refused, Error::Permissions { mode: 0o1777, .. }), "{refused:?}");
    assert_eq!(mode(shared.path()), 0o1777);
}

#[tokio::test]
async fn a_file_is_no_folder() {
    let folder = temporary();
    let file = folder.path().join("state");
    std::fs::write(&file, "").unwrap();
    let refused = Sqlite::open(&file).await.unwrap_err();
    assert!(matches!(refused, Error::Folder { .. }), "{refused:?}");
    assert!(refused.to_string().contains("state.path"), "{refused}");
}

#[tokio::test]
async fn a_second_opener_is_refused_with_the_process_that_has_it() {
    let folder = temporary();
    let state = Sqlite::open(folder.path()).await.unwrap();
    match Sqlite::open(folder.path()).await.unwrap_err() {
        Error::Locked { pid, folder: named } => {
            assert_eq!(pid, Some(std::process::id()));
            assert_eq!(named, folder.path());
        }
        other => panic!("{other:?}"),
    }
    state.intent(&app(1), &intent("t1", 1, 1)).await.unwrap();
    state.close().await;
    let state = Sqlite::open(folder.path()).await.unwrap();
    assert_eq!(state.open(&app(1)).await.unwrap().len(), 1);
}

#[tokio::test]
async fn closing_leaves_no_log_behind() {
    let folder = temporary();
    let state = Sqlite::open(folder.path()).await.unwrap();
    state.intent(&app(1), &intent("t1", 1, 1)).await.unwrap();
    assert_eq!(state.open(&app(1)).await.unwrap().len(), 1);
    state.close().await;
    assert!(!folder.path().join("tasks.db-wal").exists());
    assert!(!folder.path().join("listings.db-wal").exists());
}

#[tokio::test]
async fn state_that_was_dropped_without_closing_can_be_opened_again() {
    let folder = temporary();
    let state = Sqlite::open(folder.path()).await.unwrap();
    state.intent(&app(1), &intent("t1", 1, 1)).await.unwrap();
    state.decide(&app(1), &intent("t1", 1, 1), &completed("a1")).await.unwrap();
    let clone = state.clone();
    drop(state);
    clone.intent(&app(1), &intent("t2", 1, 1)).await.unwrap();
    drop(clone);
    let state = eventually("releasing the lock", async || match Sqlite::open(folder.path()).await {
        Ok(state) => Some(state),
        Err(Error::Locked { .. }) => None,
        Err(other) => panic!("{other}"),
    })
    .await;
    assert_eq!(state.open(&app(1)).await.unwrap().len(), 2);
}
