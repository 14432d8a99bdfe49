//! The contents of the daemon's memory: secrets in use, but none of finished tasks.

use std::io::{Read, Seek, SeekFrom};

use serde_json::json;

use crate::support::{World, eventually};
use crate::target::QUICK;

/// The common beginning of all passwords. They are built at run time, so that the binary does not contain them.
const BEGIN: &str = "Zw1tterm4schine-";

fn password(number: usize) -> String {
    format!("{BEGIN}{number}-w0lkenkuckucksheim")
}

/// The numbers of the passwords found in the writable memory of a process.
fn in_memory(pid: u32) -> Vec<String> {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).expect("its maps");
    let mut memory = std::fs::File::open(format!("/proc/{pid}/mem")).expect("its memory");
    let mut found = Vec::new();
    for line in maps.lines().filter(|line| line.split(' ').nth(1).is_some_and(|mode| mode.starts_with("rw")))
    {
        let (from, to) = line.split(' ').next().and_then(|range| range.split_once('-')).expect("a range");
        let address = |text| u64::from_str_radix(text, 16).expect("an address");
        let (from, to) = (address(from), address(to));
        let mut bytes = vec![0; usize::try_from(to - from).expect("a size")];
        // The process may have unmapped the range since.
        if memory.seek(SeekFrom::Start(from)).and_then(|_| memory.read_exact(&mut bytes)).is_err() {
            continue;
        }
        let text = String::from_utf8_lossy(&bytes);
        found.extend(text.match_indices(BEGIN).map(|(at, _)| {
            text[at + BEGIN.len()..].chars().take_while(char::is_ascii_digit).collect::<String>()
        }));
    }
    found
}

fn may_look() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status.lines().any(|line| line.starts_with("Uid:\t0"))
}

#[tokio::test]
async fn passwords_of_ended_tasks_are_not_left_in_memory() {
    if !may_look() {
        eprintln!("skipped: only root can look into the daemon's memory");
        return;
    }
    let world = World::new().await;
    world.script(QUICK, "");
    world.rules(&json!([{"account": "held-0", "until": "go"}]));
    for number in 0..8 {
        let account = json!({"username": format!("held-{number}"), "password": password(number)});
        world.task_for("create_account", account);
    }
    let daemon = world.start();
    eventually("all but one are done", || world.tasks_that_are("completed") == 7).await;
    let found = in_memory(daemon.pid());
    assert!(
        found.contains(&"0".to_owned()),
        "that of the task under way is found, or this test would see nothing: {found:?}"
    );
    world.write("target/go", "");
    world.drained().await;
    // Iden's last responses stay in the buffers of open connections until others arrive.
    eventually("nothing is left", || in_memory(daemon.pid()).is_empty()).await;
    let log = daemon.stop().await;
    assert!(!log.contains(BEGIN), "{log}");
}

#[tokio::test]
async fn core_dumps_are_disabled() {
    let world = World::new().await;
    world.script(QUICK, "");
    let daemon = world.start();
    daemon.says("bridgehead is starting").await;
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", daemon.pid())).expect("its limits");
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).expect("a line");
    assert_eq!(core.split_whitespace().filter(|word| *word == "0").count(), 2, "{core}");
    daemon.stop().await;
}
