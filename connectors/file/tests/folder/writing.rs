//! How writing changes the folder, and what happens if other programs change it meanwhile.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::{ACCOUNTS, Place, run};
use bridgehead_sdk::{Action, Code, Effect, Record, Retry, Subject};
use proptest::prelude::*;
use serde_json::json;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_one_of_many_concurrent_creations_succeeds() {
    let place = Place::usual();
    // Two connectors for one folder, like two processes: they share only the lock.
    let other = crate::support::connector(place.path("accounts.csv").parent().unwrap(), &json!({}));
    let create = |n: usize| {
        let connector = if n.is_multiple_of(2) { place.connector.clone() } else { other.clone() };
        tokio::spawn(async move {
            let payload = json!({"account": {"id": format!("id-{n}"), "username": "cleo"}});
            run(&connector, Action::CreateAccount, payload).await
        })
    };
    let mut created = 0;
    for outcome in (0..12).map(create).collect::<Vec<_>>() {
        match outcome.await.unwrap() {
            Ok(_) => created += 1,
            Err(error) => assert_eq!(error.code(), Code::AccountAlreadyExists, "{error}"),
        }
    }
    assert_eq!(created, 1);
    assert_eq!(place.read("accounts.csv").matches("cleo").count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_writes_are_atomic_and_none_is_lost() {
    let place = Place::usual();
    let done = Arc::new(AtomicBool::new(false));
    let reader = {
        let (path, done) = (place.path("accounts.csv"), done.clone());
        std::thread::spawn(move || {
            let mut reads = 0;
            while !done.load(Ordering::Relaxed) {
                let content = std::fs::read_to_string(&path).unwrap();
                assert!(content.starts_with("id,") && content.ends_with('\n'));
                assert!(content.lines().all(|line| line.matches(',').count() >= 10), "{content}");
                reads += 1;
            }
            reads
        })
    };
    let tasks: Vec<_> = (0..30)
        .map(|n| {
            let connector = place.connector.clone();
            tokio::spawn(async move {
                run(&connector, Action::CreateAccount, json!({"account": {"username": format!("user{n}")}}))
                    .await
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    done.store(true, Ordering::Relaxed);
    assert!(reader.join().unwrap() > 0);
    assert_eq!(place.read("accounts.csv").lines().count(), ACCOUNTS.lines().count() + 30);
}

#[tokio::test]
async fn leftover_temporary_files_are_ignored_then_removed() {
    let place = Place::usual();
    place.write(".bridgehead-Ab12.tmp", "id,email,us");
    place.write(".bridgehead-notes", "not ours to remove");
    assert_eq!(place.connector.describe().await.unwrap().resource_types.len(), 3);
    assert_eq!(place.list("account").await.unwrap().0.len(), 2);
    place.run(Action::SuspendAccount, json!({"account": {"id": "u1"}})).await.unwrap();
    assert_eq!(
        place.names(),
        [
            ".bridgehead-lock",
            ".bridgehead-notes",
            ".bridgehead-types",
            "accounts.csv",
            "license-seat.csv",
            "team.csv"
        ]
    );
}

#[tokio::test]
async fn no_op_action_does_not_rewrite_the_file() {
    let place = Place::usual();
    let before = std::fs::metadata(place.path("accounts.csv")).unwrap().ino();
    place.run(Action::SuspendAccount, json!({"account": {"id": "u2"}})).await.unwrap();
    assert_eq!(std::fs::metadata(place.path("accounts.csv")).unwrap().ino(), before);
    place.run(Action::UnsuspendAccount, json!({"account": {"id": "u2"}})).await.unwrap();
    assert_ne!(std::fs::metadata(place.path("accounts.csv")).unwrap().ino(), before);
}

#[tokio::test]
async fn changed_json_row_keeps_what_a_parser_would_round() {
    let place = Place::usual_jsonl();
    let row = r#"{"id":"u1","username":"ann","badge":12345678901234567890123,"rate":1.10,"deep":{"no": 1e2},"status":"active"}"#;
    place.write("accounts.jsonl", format!("{row}\n"));
    place.run(Action::SuspendAccount, json!({"account": {"id": "u1"}})).await.unwrap();
    let suspended = row.replace("\"active\"", "\"suspended\"");
    assert_eq!(place.read("accounts.jsonl"), format!("{suspended}\n"));
    let changes = json!({"deep": {"no": 3}, "floor": 2});
    place.run(Action::UpdateAccount, json!({"account": {"id": "u1"}, "changes": changes})).await.unwrap();
    let updated = suspended
        .replace("{\"no\": 1e2}", "{\"no\":3}")
        .replace("\"suspended\"}", "\"suspended\",\"floor\":2}");
    assert_eq!(place.read("accounts.jsonl"), format!("{updated}\n"));
}

#[tokio::test]
async fn rewrite_preserves_the_file_mode() {
    let place = Place::usual();
    for mode in [0o640, 0o600, 0o664] {
        std::fs::set_permissions(place.path("accounts.csv"), std::fs::Permissions::from_mode(mode)).unwrap();
        place.run(Action::ResetPassword, json!({"account": {"id": "u1"}})).await.unwrap();
        place
            .run(Action::UpdateAccount, json!({"account": {"id": "u1"}, "changes": {"locker": mode}}))
            .await
            .unwrap();
        let now = std::fs::metadata(place.path("accounts.csv")).unwrap().permissions().mode();
        assert_eq!(now & 0o7777, mode);
    }
}

#[tokio::test]
async fn symbolic_link_is_preserved() {
    let place = Place::usual();
    std::fs::create_dir(place.path("elsewhere")).unwrap();
    std::fs::rename(place.path("accounts.csv"), place.path("elsewhere/real.csv")).unwrap();
    std::os::unix::fs::symlink("elsewhere/real.csv", place.path("accounts.csv")).unwrap();
    place.run(Action::DeleteAccount, json!({"account": {"id": "u2"}})).await.unwrap();
    assert!(std::fs::symlink_metadata(place.path("accounts.csv")).unwrap().is_symlink());
    assert!(!place.read("elsewhere/real.csv").contains("u2,"));
}

#[tokio::test]
async fn folder_locked_by_another_process_is_not_changed() {
    let place = Place::usual();
    let lock = std::fs::File::create(place.path(".bridgehead-lock")).unwrap();
    lock.lock().unwrap();
    tokio::time::pause();
    let error = place.run(Action::DeleteAccount, json!({"account": {"id": "u1"}})).await.unwrap_err();
    assert_eq!((error.code(), error.effect()), (Code::Timeout, Effect::NotApplied));
    assert_eq!(error.retry(), Retry::Backoff);
    assert_eq!(place.read("accounts.csv"), ACCOUNTS);
    lock.unlock().unwrap();
    place.run(Action::DeleteAccount, json!({"account": {"id": "u1"}})).await.unwrap();
}

#[tokio::test]
async fn unwritable_folder_is_reported() {
    let place = Place::usual();
    let folder = place.path("accounts.csv").parent().unwrap().to_owned();
    let allow = |mode| std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(mode)).unwrap();
    // The lock file already exists, so that only the write itself is refused.
    place.run(Action::SuspendAccount, json!({"account": {"id": "u1"}})).await.unwrap();
    let before = place.read("accounts.csv");
    allow(0o555);
    if std::fs::File::create(place.path("probe")).is_ok() {
        return; // Root can write everywhere.
    }
    for error in [
        place.connector.check().await.unwrap_err(),
        place.run(Action::DeleteAccount, json!({"account": {"id": "u1"}})).await.unwrap_err(),
    ] {
        assert_eq!((error.code(), error.subject()), (Code::PermissionDenied, Subject::Connection), "{error}");
        assert_eq!((error.effect(), error.retry()), (Effect::NotApplied, Retry::Backoff));
    }
    assert_eq!(place.list("account").await.unwrap().0.len(), 2, "reading goes on");
    assert_eq!(place.read("accounts.csv"), before);
    allow(0o755);
}

#[tokio::test]
async fn lookup_after_a_dropped_call_sees_its_result() {
    let place = Place::usual();
    let rest: String = ACCOUNTS.lines().skip(1).map(|line| line.to_owned() + "\n").collect();
    let many = (0..5_000).map(|n| format!("x{n},,extra{n},,,,,,,,\n")).collect::<Vec<_>>().concat();
    place.write("accounts.csv", format!("{}\n{rest}{many}", ACCOUNTS.lines().next().unwrap()));
    let mut outcomes = std::collections::BTreeSet::new();
    for n in 0..20 {
        let name = format!("user{n}");
        let create = place.run(Action::CreateAccount, json!({"account": {"username": name.clone()}}));
        // Polled a few times and dropped, at a different point each time.
        let mut create = Box::pin(create);
        // The last one is polled to completion, however slow the machine is.
        let polls = if n == 19 { usize::MAX } else { n };
        for _ in 0..polls {
            let polled = futures_poll(create.as_mut()).await;
            if polled {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_micros(300)).await;
        }
        drop(create);
        let found = place.find(&name).await.is_some();
        // Another operation runs only after the dropped one has finished.
        place.run(Action::SuspendAccount, json!({"account": {"id": "u2"}})).await.unwrap();
        let written = place.find(&name).await.is_some();
        assert_eq!(found, written, "what the look-up saw is what came of the call");
        outcomes.insert(written);
    }
    assert_eq!(outcomes.len(), 2, "some were dropped before they began to write, and some behind");
}

/// Run by hand, with `--run-ignored only --no-capture`: measures the cost of a task among a million accounts.
#[tokio::test]
#[ignore = "a measurement"]
async fn one_change_among_a_million_accounts() {
    let place = Place::usual();
    let many =
        (0..1_000_000).map(|n| format!("x{n},x{n}@example.org,extra{n},Ex,Tra {n},,active,t1;t2,,,\n"));
    place.write("accounts.csv", ACCOUNTS.to_owned() + &many.collect::<Vec<_>>().concat());
    let started = tokio::time::Instant::now();
    place.find("x999999").await.unwrap();
    let found = started.elapsed();
    let started = tokio::time::Instant::now();
    place.run(Action::SuspendAccount, json!({"account": {"id": "x500000"}})).await.unwrap();
    println!("looked up in {found:?}, changed in {:?}", started.elapsed());
}

/// Polls once; returns whether it was ready.
async fn futures_poll(mut future: std::pin::Pin<&mut impl Future>) -> bool {
    std::future::poll_fn(|context| std::task::Poll::Ready(future.as_mut().poll(context).is_ready())).await
}

const VALUE: &str = "([a-z0-9,;\"'\\\\|\t\r\n =@+\u{feff}\u{5d0}\u{202e}é\u{1f600}]|[^\u{0}]){1,255}";

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn any_value_survives_a_task_and_a_listing(
        first in VALUE, username in VALUE, extra in VALUE, group in "[^\u{0}]{1,20}", jsonl in any::<bool>()
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let place = if jsonl { Place::usual_jsonl() } else { Place::usual() };
            let teams = if jsonl {
                format!("{}\n", json!({"id": group, "name": "G"}))
            } else {
                format!("id,name\n\"{}\",G\n", group.replace('"', "\"\""))
            };
            place.write(if jsonl { "team.jsonl" } else { "team.csv" }, teams);
            let payload = json!({
                "account": {"id": "x1", "username": username, "locker": "1"},
                "memberships": {"team": [group]},
            });
            place.run(Action::CreateAccount, payload).await.unwrap();
            let payload = json!({"account": {"id": "x1"}, "changes": {"first_name": first, "locker": extra}});
            place.run(Action::UpdateAccount, payload).await.unwrap();
            let (records, rejected) = place.list("account").await.unwrap();
            assert!(rejected.is_empty());
            assert_eq!(records.len(), 3);
            let Record::Account(read) = &records[2] else { panic!("not an account") };
            assert_eq!(read.first_name.as_deref(), Some(first.as_str()));
            assert_eq!(read.username.as_deref(), Some(username.as_str()));
            assert_eq!(read.extra["locker"], extra);
            assert_eq!(read.memberships.of("team")[0].id, group);
            place.run(Action::DeleteAccount, json!({"account": {"id": "x1"}})).await.unwrap();
            if !jsonl {
                assert_eq!(place.read("accounts.csv"), ACCOUNTS);
            }
        });
    }
}

#[tokio::test]
async fn new_account_after_unterminated_blank_line_gets_its_own_line() {
    let place = Place::usual_jsonl();
    // A form feed is blank, but is not JSON white space.
    for blank in ["\u{c}", "  "] {
        let before = place.read("accounts.jsonl");
        place.write("accounts.jsonl", format!("{before}{blank}"));
        let name = format!("zoe{}", blank.len());
        let payload = json!({"account": {"username": name, "email": format!("{name}@example.org")}});
        run(&place.connector, Action::CreateAccount, payload).await.unwrap();
        let last = place.read("accounts.jsonl").lines().last().map(str::to_owned).unwrap();
        let record: serde_json::Value = serde_json::from_str(&last).expect("the last line is a record");
        assert_eq!(
            (record["username"].as_str(), last.starts_with('{')),
            (Some(name.as_str()), true),
            "{last:?}"
        );
    }
}

#[tokio::test]
async fn nothing_is_written_while_an_editor_has_the_file_open() {
    let place = Place::usual();
    let suspend = json!({"account": {"id": "u1"}});
    for mark in [".~lock.accounts.csv#", "~$accounts.csv", ".accounts.csv.swp", ".#accounts.csv"] {
        if mark == ".#accounts.csv" {
            std::os::unix::fs::symlink("ann@host.7", place.path(mark)).unwrap();
        } else {
            place.write(mark, "");
        }
        let error = place.run(Action::SuspendAccount, suspend.clone()).await.unwrap_err();
        assert_eq!((error.effect(), error.retry()), (Effect::NotApplied, Retry::Backoff), "{error}");
        assert_eq!(error.subject(), Subject::Connection, "{error}");
        assert!(error.message().contains(mark), "{error}");
        assert_eq!(place.read("accounts.csv"), ACCOUNTS);
        assert!(place.connector.check().await.is_err(), "{mark}");
        assert!(place.find("u1").await.is_some(), "reading goes on");
        std::fs::remove_file(place.path(mark)).unwrap();
    }
    place.run(Action::SuspendAccount, suspend).await.unwrap();
}

#[tokio::test]
async fn lock_never_leads_to_another_file() {
    let place = Place::usual();
    let elsewhere = place.path("elsewhere");
    std::os::unix::fs::symlink(&elsewhere, place.path(".bridgehead-lock")).unwrap();
    let error = place.run(Action::SuspendAccount, json!({"account": {"id": "u1"}})).await.unwrap_err();
    assert_eq!(error.effect(), Effect::NotApplied, "{error}");
    assert!(!elsewhere.exists());
    assert_eq!(place.read("accounts.csv"), ACCOUNTS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lock_that_was_removed_protects_no_more() {
    let place = Place::usual();
    let path = place.path(".bridgehead-lock");
    let old = std::fs::File::create(&path).unwrap();
    old.lock().unwrap();
    let connector = place.connector.clone();
    let task = tokio::spawn(async move {
        run(&connector, Action::SuspendAccount, json!({"account": {"id": "u1"}})).await
    });
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    // A script removes the file; another one locks a new file, and then the first lock ends.
    std::fs::remove_file(&path).unwrap();
    let new = std::fs::File::create(&path).unwrap();
    new.lock().unwrap();
    drop(old);
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    assert_eq!(place.read("accounts.csv"), ACCOUNTS, "the new file is locked");
    drop(new);
    task.await.unwrap().unwrap();
    assert_ne!(place.read("accounts.csv"), ACCOUNTS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn group_is_not_missing_while_its_file_is_written() {
    let place = Place::usual();
    let folder = place.path("accounts.csv").parent().unwrap().to_owned();
    let patient = crate::support::connector(&folder, &json!({"settle": "2s"}));
    std::fs::File::open(place.path("accounts.csv"))
        .unwrap()
        .set_modified(std::time::SystemTime::now() - std::time::Duration::from_secs(60))
        .unwrap();
    // A program writes the file in place, and pauses after a whole line.
    let (first, rest) = crate::support::TEAMS.split_at(crate::support::TEAMS.find("t2").unwrap());
    place.write("team.csv", first);
    let path = place.path("team.csv");
    let writer = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(800));
        let mut file = std::fs::OpenOptions::new().append(true).open(path).unwrap();
        std::io::Write::write_all(&mut file, rest.as_bytes()).unwrap();
    });
    let payload = || json!({"account": {"id": "u2"}, "memberships": {"team": ["t2"]}});
    let error = run(&patient, Action::UpdateAccount, payload()).await.unwrap_err();
    assert_eq!((error.effect(), error.retry()), (Effect::NotApplied, Retry::Backoff), "{error}");
    writer.join().unwrap();
    run(&patient, Action::UpdateAccount, payload()).await.unwrap();
}

#[tokio::test]
async fn full_disk_is_reported_as_such_and_changes_nothing() {
    let Some(disk) = tiny_disk() else { return };
    let rows = (0..600).map(|n| format!("u{n},user{n}\n")).collect::<Vec<_>>().concat();
    let content = format!("id,username,status\n{}", rows.replace('\n', ",active\n"));
    std::fs::write(disk.path().join("accounts.csv"), &content).unwrap();
    let connector = crate::support::connector(disk.path(), &json!({}));
    std::fs::write(disk.path().join("ballast"), vec![0; 64 * 1024]).ok();
    let error = run(&connector, Action::SuspendAccount, json!({"account": {"id": "u1"}})).await.unwrap_err();
    assert_eq!((error.code(), error.subject()), (Code::InternalError, Subject::Connection), "{error}");
    assert_eq!((error.effect(), error.retry()), (Effect::NotApplied, Retry::Backoff), "{error}");
    assert!(error.message().contains("free space on its disk"), "{error}");
    assert_eq!(std::fs::read_to_string(disk.path().join("accounts.csv")).unwrap(), content);
    std::fs::remove_file(disk.path().join("ballast")).unwrap();
    run(&connector, Action::SuspendAccount, json!({"account": {"id": "u1"}})).await.unwrap();
}

/// A disk of 64 KiB. `None` without the rights to mount one.
fn tiny_disk() -> Option<Disk> {
    let folder = tempfile::tempdir().unwrap();
    let mount = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"])
        .arg(folder.path())
        .stderr(std::process::Stdio::null())
        .status();
    mount.is_ok_and(|status| status.success()).then_some(Disk(folder))
}

struct Disk(tempfile::TempDir);

impl Disk {
    fn path(&self) -> &std::path::Path {
        self.0.path()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        drop(std::process::Command::new("umount").arg(self.0.path()).status());
    }
}
