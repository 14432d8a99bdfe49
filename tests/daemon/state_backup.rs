//! Backing up the state while a daemon runs, and restoring it.

use std::os::unix::fs::PermissionsExt;
use std::process::Output;

use serde_json::{Value, json};

use crate::support::{World, eventually};
use crate::target::QUICK;

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

async fn json_of(world: &World, arguments: &[&str]) -> Value {
    let output = world.run(&[arguments, &["--json"]].concat()).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[tokio::test]
async fn tasks_done_after_a_backup_are_not_repeated_after_restore() {
    let world = World::new().await;
    world.script(QUICK, "");
    let ann = world.task_for("create_account", json!("ann"));
    let daemon = world.start();
    world.drained().await;
    let (backup, to) = (world.path("backup"), world.path("backup").display().to_string());
    let made = json_of(&world, &["state", "backup", &to]).await;
    assert_eq!(std::fs::metadata(&backup).expect("it found").permissions().mode() & 0o777, 0o700);
    for file in ["tasks.db", "listings.db", "backup.json"] {
        let found = std::fs::metadata(backup.join(file)).expect("it found");
        assert_eq!((found.permissions().mode() & 0o777, found.len() > 0), (0o600, true), "{file}");
    }
    let twice = world.run(&["state", "backup", &to]).await;
    assert!(
        !twice.status.success() && stderr(&twice).contains("something in this folder already"),
        "{twice:?}"
    );

    // After the backup: a task is applied, but its report does not reach Iden.
    world.rules(
        &json!([{"method": "create_account", "account": "bob", "apply": true, "hang_until": "never"}]),
    );
    let bob = world.task_for("create_account", json!("bob"));
    eventually("bob found", || world.applied(&bob) == 1).await;
    let busy = world.run(&["state", "restore", &to, "--yes"]).await;
    assert_eq!(busy.status.code(), Some(75), "{busy:?}");
    assert!(stderr(&busy).contains("stop it before you restore"), "{busy:?}");
    daemon.kill();
    world.rules(&json!([]));

    let unasked = world.run(&["state", "restore", &to]).await;
    assert_eq!(unasked.status.code(), Some(2), "{unasked:?}");
    let restored = world.run(&["state", "restore", &to, "--yes"]).await;
    assert_eq!(restored.status.code(), Some(0), "{restored:?}");
    let said = stdout(&restored);
    let at = &made["made_at"].as_str().expect("a time")[.."2026-11-28T15:40:00".len()];
    for part in [at, "looked up in the target before its first attempt", "Syncs of hr", "replaced-"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let inspected = json_of(&world, &["state", "inspect"]).await;
    let hr = &inspected["apps"]["hr"];
    assert_eq!((&hr["tasks"]["ended_accepted"], &hr["tasks"]["intended"]), (&json!(1), &json!(0)), "{hr:#}");
    assert!(hr["doubt"].as_str().expect("a doubt").contains("restored from a backup"), "{hr:#}");

    let daemon = world.start();
    world.drained().await;
    let log = daemon.stop().await;
    assert_eq!(world.applied(&bob), 1, "looked up, and found done: {log}");
    assert_eq!((world.attempts(&ann), world.attempts(&bob)), (vec![1], vec![1]), "{log}");
    assert_eq!(world.task(&bob)["status"], "completed");
    assert!(!log.contains("Find out what happened"), "the restore has said what happened: {log}");
}

#[tokio::test]
async fn replaced_state_is_detected_as_old_when_put_back() {
    let world = World::new().await;
    world.script(QUICK, "");
    let daemon = world.start();
    daemon.says("ready").await;
    let to = world.path("backup").display().to_string();
    json_of(&world, &["state", "backup", &to]).await;
    let task = world.task_for("create_account", json!("ann"));
    world.drained().await;
    daemon.stop().await;
    let restored = json_of(&world, &["state", "restore", &to, "--yes"]).await;
    let replaced = std::path::PathBuf::from(restored["replaced"].as_str().expect("a folder"));
    for file in ["tasks.db", "listings.db"] {
        std::fs::rename(replaced.join(file), world.path("state").join(file)).expect("it is put back by hand");
    }
    let daemon = world.start();
    daemon.says("is out of date").await;
    daemon.stop().await;
    assert_eq!(world.applied(&task), 1);
}

#[tokio::test]
async fn sync_after_a_restore_is_held_if_iden_has_a_later_one() {
    let world = World::new().await;
    world.configure(
        "connector = \"file\"\nsync = { every = \"1d\", on_start = false }\ntasks = { poll_interval = \"100ms\" }\n[apps.hr.target]\npath = \"people\"\n",
    );
    let people = |count: usize| {
        let lines = (0..count).map(|n| format!("u{n},u{n}@example.org,u{n},active\n"));
        world.write(
            "people/accounts.csv",
            &format!("id,email,username,status\n{}", lines.collect::<String>()),
        );
    };
    people(20);
    let first = world.run(&["sync", "hr"]).await;
    assert_eq!(first.status.code(), Some(0), "{first:?}");
    let to = world.path("backup").display().to_string();
    json_of(&world, &["state", "backup", &to]).await;
    let same = json_of(&world, &["state", "restore", &to, "--yes"]).await;
    assert!(same["syncs"]["hr"].as_str().expect("it").contains("they continue as before"), "{same:#}");

    // Half an hour later, Iden has a later sync.
    world.sandbox.advance_clock(std::time::Duration::from_secs(1800));
    people(25);
    let second = world.run(&["sync", "hr"]).await;
    assert_eq!(second.status.code(), Some(0), "{second:?}");
    let restored = json_of(&world, &["state", "restore", &to, "--yes"]).await;
    let meaning = restored["syncs"]["hr"].as_str().expect("it");
    assert!(
        meaning.contains("the next sync is held") && meaning.contains("sync hr --allow-removals"),
        "{meaning}"
    );
    people(20);
    let held = world.run(&["sync", "hr"]).await;
    assert_eq!(held.status.code(), Some(1), "{held:?}");
    assert!(stdout(&held).contains("hr: held"), "{held:?}");
    let active =
        world.sandbox.records(world.app, "account").iter().filter(|record| record["active"] == true).count();
    assert_eq!(active, 25, "nobody is removed");
}

#[tokio::test]
async fn incomplete_backup_is_refused_and_the_state_unchanged() {
    let world = World::new().await;
    world.script(QUICK, "");
    let to = world.path("backup").display().to_string();
    let none = world.run(&["state", "backup", &to]).await;
    assert!(!none.status.success() && !world.path("backup").exists(), "{none:?}");
    let daemon = world.start();
    daemon.says("ready").await;
    let task = world.task_for("create_account", json!("ann"));
    world.drained().await;
    daemon.stop().await;
    json_of(&world, &["state", "backup", &to]).await;
    let shown = world.run(&["check", "--json"]).await;
    let findings: Value = serde_json::from_slice(&shown.stdout).expect("JSON");
    let age = findings.as_array().expect("findings").iter().find(|finding| finding["what"] == "backup");
    assert!(age.expect("it found")["found"].as_str().expect("text").contains("last backup"), "{findings:#}");

    let before = json_of(&world, &["state", "inspect"]).await;
    let tasks = std::fs::read(world.path("backup/tasks.db")).expect("a file");
    let manifest = world.read("backup/backup.json");
    let no_manifest = || std::fs::remove_file(world.path("backup/backup.json")).expect("it was there");
    let cut = || std::fs::write(world.path("backup/tasks.db"), &tasks[..tasks.len() / 2]).expect("a file");
    let damages: [(&dyn Fn(), &str); 2] = [(&no_manifest, "no backup"), (&cut, "damaged")];
    for (damage, why) in damages {
        damage();
        let refused = world.run(&["state", "restore", &to, "--yes"]).await;
        assert!(!refused.status.success() && stderr(&refused).contains(why), "{why}: {refused:?}");
        assert_eq!(json_of(&world, &["state", "inspect"]).await["apps"], before["apps"]);
        world.write("backup/backup.json", &manifest);
    }
    let daemon = world.start();
    daemon.says("ready").await;
    let log = daemon.stop().await;
    assert!(!log.contains("may have been begun"), "{log}");
    assert_eq!(world.applied(&task), 1);
}
