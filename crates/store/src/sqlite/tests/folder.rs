use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};

use super::super::super::{Distrust, Error, TaskJournal};
use super::*;

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[tokio::test]
async fn folder_and_files_are_private() {
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
            "tasks.db-wal",
            "witness"
        ]
    );
}

#[tokio::test]
async fn own_folder_permissions_are_tightened() {
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
async fn folder_with_foreign_files_is_refused_unchanged() {
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
async fn file_in_place_of_the_folder_is_refused() {
    let folder = temporary();
    let file = folder.path().join("state");
    std::fs::write(&file, "").unwrap();
    let refused = Sqlite::open(&file).await.unwrap_err();
    assert!(matches!(refused, Error::Folder { .. }), "{refused:?}");
    assert!(refused.to_string().contains("state.path"), "{refused}");
}

#[tokio::test]
async fn second_open_is_refused_naming_the_process() {
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
async fn close_removes_the_wal() {
    let folder = temporary();
    let state = Sqlite::open(folder.path()).await.unwrap();
    state.intent(&app(1), &intent("t1", 1, 1)).await.unwrap();
    assert_eq!(state.open(&app(1)).await.unwrap().len(), 1);
    state.close().await;
    assert!(!folder.path().join("tasks.db-wal").exists());
    assert!(!folder.path().join("listings.db-wal").exists());
}

#[tokio::test]
async fn state_dropped_without_close_can_be_reopened() {
    let folder = temporary();
    let state = Sqlite::open(folder.path()).await.unwrap();
    state.intent(&app(1), &intent("t1", 1, 1)).await.unwrap();
    state.record_outcome(&app(1), &intent("t1", 1, 1), &completed("a1")).await.unwrap();
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

const FILES: [&str; 8] = [
    "lock",
    "witness",
    "tasks.db",
    "tasks.db-wal",
    "tasks.db-shm",
    "listings.db",
    "listings.db-wal",
    "listings.db-shm",
];

async fn distrust(folder: &Path) -> Distrust {
    match Sqlite::open(folder).await.unwrap_err() {
        Error::Untrusted { why, .. } => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn symlinked_state_file_is_refused_and_its_target_unchanged() {
    for name in FILES {
        let (folder, elsewhere) = (temporary(), temporary());
        set_mode(folder.path(), 0o700);
        let precious = elsewhere.path().join("precious");
        std::fs::write(&precious, "precious").unwrap();
        set_mode(&precious, 0o644);
        symlink(&precious, folder.path().join(name)).unwrap();
        assert_eq!(distrust(folder.path()).await, Distrust::Link, "{name}");
        std::fs::remove_file(folder.path().join(name)).unwrap();
        std::fs::hard_link(&precious, folder.path().join(name)).unwrap();
        assert_eq!(distrust(folder.path()).await, Distrust::Linked, "{name}");
        assert_eq!(
            (std::fs::read_to_string(&precious).unwrap().as_str(), mode(&precious)),
            ("precious", 0o644)
        );
    }
}

#[tokio::test]
async fn named_pipe_as_state_file_is_refused_without_blocking() {
    for name in FILES {
        let folder = temporary();
        set_mode(folder.path(), 0o700);
        let made = std::process::Command::new("mkfifo").arg(folder.path().join(name)).status().unwrap();
        assert!(made.success());
        assert_eq!(distrust(folder.path()).await, Distrust::Kind, "{name}");
    }
}

#[tokio::test]
async fn own_symlink_to_the_state_folder_is_followed() {
    let parent = temporary();
    std::fs::create_dir(parent.path().join("private")).unwrap();
    let link = parent.path().join("state");
    symlink("private", &link).unwrap();
    let state = Sqlite::open(&link).await.unwrap();
    state.intent(&app(1), &intent("t1", 1, 1)).await.unwrap();
    // If the link is changed while in use, it leads to a different folder.
    std::fs::create_dir(parent.path().join("other")).unwrap();
    std::fs::remove_file(&link).unwrap();
    symlink("other", &link).unwrap();
    let refused = state.intent(&app(1), &intent("t2", 1, 1)).await;
    assert!(matches!(refused, Err(Error::NotOurs { .. })), "{refused:?}");
}

/// Whether this process may change the owner of files, which most of the following tests need.
fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[tokio::test]
async fn root_daemon_is_refused_in_another_users_folder() {
    if !is_root() {
        return;
    }
    let folder = temporary();
    chown(folder.path(), Some(4711), Some(4711)).unwrap();
    set_mode(folder.path(), 0o700);
    let refused = Sqlite::open(folder.path()).await.unwrap_err();
    assert!(
        matches!(refused, Error::Untrusted { why: Distrust::Owner { owner: 4711, user: 0 }, .. }),
        "{refused:?}"
    );
    assert!(refused.to_string().contains("run bridgehead as the owner"), "{refused}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    // Links that another user can change are rejected, too.
    let (parent, own) = (temporary(), temporary());
    let link = parent.path().join("state");
    symlink(own.path(), &link).unwrap();
    std::os::unix::fs::lchown(&link, Some(4711), Some(4711)).unwrap();
    assert_eq!(distrust(&link).await, Distrust::LinkOf { owner: 4711 });
}

#[tokio::test]
async fn files_created_by_root_commands_belong_to_the_folder_owner() {
    if !is_root() {
        return;
    }
    let folder = temporary();
    chown(folder.path(), Some(4711), Some(4711)).unwrap();
    let state = Sqlite::open_to_help(folder.path()).await.unwrap();
    state.intent(&app(1), &intent("t1", 1, 1)).await.unwrap();
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let file = file.unwrap();
        let metadata = file.metadata().unwrap();
        assert_eq!((metadata.uid(), metadata.gid()), (4711, 4711), "{:?}", file.file_name());
    }
}

#[tokio::test]
async fn file_with_a_different_owner_is_refused() {
    if !is_root() {
        return;
    }
    for name in ["lock", "tasks.db"] {
        let folder = temporary();
        Sqlite::open(folder.path()).await.unwrap().close().await;
        chown(folder.path().join(name), Some(4711), None).unwrap();
        assert_eq!(distrust(folder.path()).await, Distrust::Owner { owner: 4711, user: 0 });
    }
}

#[tokio::test]
async fn open_existing_creates_no_state() {
    let parent = temporary();
    let folder = parent.path().join("none");
    assert!(Sqlite::open_existing(&folder).await.unwrap().is_none());
    assert!(!folder.exists());
    std::fs::create_dir(&folder).unwrap();
    assert!(Sqlite::open_existing(&folder).await.unwrap().is_none());
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
    Sqlite::open(&folder).await.unwrap().close().await;
    assert!(Sqlite::open_existing(&folder).await.unwrap().is_some());
}
