//! State that is removed or replaced while a process has it open.

use std::path::PathBuf;

use super::super::super::{Error, Loss, SnapshotStore, TaskJournal};
use super::writer::Raw;
use super::*;

/// Opens state that has been written to; also returns its folder.
async fn used() -> (TempDir, PathBuf, Sqlite) {
    let parent = temporary();
    let folder = parent.path().join("state");
    let state = Sqlite::open(&folder).await.unwrap();
    at_rest(&folder).await;
    state.intent(&app(1), &intent("before", 1, 1)).await.unwrap();
    (parent, folder, state)
}

async fn refusal(state: &Sqlite) -> Loss {
    let refused = state.intent(&app(1), &intent("after", 1, 1)).await;
    let Err(Error::NotOurs { loss, .. }) = refused else { panic!("{refused:?}") };
    let told = state.verify().await;
    assert!(matches!(told, Err(Error::NotOurs { loss: of, .. }) if of == loss), "{told:?}");
    // Snapshots are affected too: a sync must not remove accounts based on lost data.
    let sync = state.begin(&app(1)).await;
    assert!(matches!(sync, Err(Error::NotOurs { .. })), "{sync:?}");
    loss
}

fn replace(path: &Path) {
    let copy = path.with_extension("copy");
    std::fs::copy(path, &copy).unwrap();
    std::fs::rename(&copy, path).unwrap();
}

#[tokio::test]
async fn intent_is_refused_after_a_state_file_is_removed() {
    for name in ["lock", "tasks.db", "listings.db"] {
        let (_parent, folder, state) = used().await;
        std::fs::remove_file(folder.join(name)).unwrap();
        assert_eq!(refusal(&state).await, Loss::Gone(name));
    }
}

#[tokio::test]
async fn intent_is_refused_after_a_state_file_is_replaced() {
    for name in ["lock", "tasks.db", "listings.db"] {
        let (_parent, folder, state) = used().await;
        replace(&folder.join(name));
        assert_eq!(refusal(&state).await, Loss::Replaced(name));
    }
}

#[tokio::test]
async fn intent_is_refused_after_the_wal_is_removed_or_replaced() {
    let (_parent, folder, state) = used().await;
    std::fs::remove_file(folder.join("tasks.db-wal")).unwrap();
    assert_eq!(refusal(&state).await, Loss::Replaced("tasks.db-wal"));
    let (_parent, folder, state) = used().await;
    replace(&folder.join("tasks.db-wal"));
    assert_eq!(refusal(&state).await, Loss::Replaced("tasks.db-wal"));
}

#[tokio::test]
async fn intent_is_refused_after_the_journal_is_truncated() {
    let (_parent, folder, state) = used().await;
    std::fs::File::options().write(true).open(folder.join("tasks.db")).unwrap().set_len(0).unwrap();
    assert_eq!(refusal(&state).await, Loss::Cut("tasks.db"));
}

#[tokio::test]
async fn intent_is_refused_after_the_folder_moved_even_if_moved_back() {
    let (_parent, folder, state) = used().await;
    let away = folder.with_file_name("away");
    std::fs::rename(&folder, &away).unwrap();
    assert_eq!(refusal(&state).await, Loss::Gone("the folder itself"));
    std::fs::rename(&away, &folder).unwrap();
    assert_eq!(
        refusal(&state).await,
        Loss::Gone("the folder itself"),
        "nobody knows what happened meanwhile"
    );
    state.close().await;
    let state = Sqlite::open(&folder).await.unwrap();
    assert_eq!(state.open(&app(1)).await.unwrap().len(), 1, "what was refused was not written");
}

#[tokio::test]
async fn intent_is_refused_after_the_folder_is_replaced() {
    let (_parent, folder, state) = used().await;
    std::fs::rename(&folder, folder.with_file_name("away")).unwrap();
    std::fs::create_dir(&folder).unwrap();
    copy_folder(&folder.with_file_name("away"), &folder);
    assert_eq!(refusal(&state).await, Loss::Replaced("the folder itself"));
}

#[tokio::test]
async fn write_is_refused_after_another_process_took_over() {
    let (_parent, _folder, state) = used().await;
    // Simulates another process that ignores this one's locks.
    state.tasks().write(Raw("UPDATE lineage SET epoch = epoch + 1")).await.unwrap();
    assert_eq!(refusal(&state).await, Loss::TakenOver("tasks.db"));
    let (_parent, _folder, state) = used().await;
    state.listings().write(Raw("UPDATE lineage SET epoch = epoch + 1")).await.unwrap();
    let sync = state.begin(&app(1)).await;
    assert!(matches!(sync, Err(Error::NotOurs { loss: Loss::TakenOver("listings.db"), .. })), "{sync:?}");
}

#[tokio::test]
async fn second_open_is_refused_even_without_the_lock_file() {
    let (_parent, folder, _state) = used().await;
    std::fs::remove_file(folder.join("lock")).unwrap();
    let refused = Sqlite::open(&folder).await.unwrap_err();
    assert!(matches!(refused, Error::Locked { .. }), "{refused:?}");
    assert!(!folder.join("lock").exists());
}

#[tokio::test]
async fn copy_of_state_open_elsewhere_is_refused() {
    let (_parent, folder, state) = used().await;
    // A process that runs as long as this test, with the name of this process.
    let this = std::fs::read_to_string("/proc/self/comm").unwrap();
    let script = format!("printf %s '{}' > /proc/$$/comm; echo named; read line", this.trim());
    let mut other = std::process::Command::new("sh")
        .args(["-c", &script])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut named = [0; 6];
    std::io::Read::read_exact(other.stdout.as_mut().unwrap(), &mut named).unwrap();
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", other.id())).unwrap();
    let started = stat.rsplit_once(')').unwrap().1.split_whitespace().nth(19).unwrap().to_owned();
    let owned = format!("UPDATE lineage SET pid = {}, started = '{started}'", other.id());
    state.tasks().write(Raw(Box::leak(owned.into_boxed_str()))).await.unwrap();

    let copy = folder.with_file_name("copy");
    std::fs::create_dir(&copy).unwrap();
    copy_folder(&folder, &copy);
    let refused = Sqlite::open(&copy).await.unwrap_err();
    assert!(matches!(refused, Error::Locked { pid: Some(pid), .. } if pid == other.id()), "{refused:?}");
    other.kill().unwrap();
    other.wait().unwrap();
    Sqlite::open(&copy).await.unwrap();
}
