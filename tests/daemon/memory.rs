//! What the memory of the daemon holds: secrets that are in use, and none of tasks that have ended.

use std::io::{Read, Seek, SeekFrom};

use serde_json::json;

use crate::support::{World, eventually};
use crate::target::QUICK;

/// Made at run time, so that neither this program's text nor its source holds it in one piece.
fn password(number: usize) -> String {
    format!("{}-{number}-{}", "Zw1tterm4schine", "w0lkenkuckucksheim")
}

/// How often a text stands in the writable memory of a process; in UTF-16 as well.
fn times_in_memory(pid: u32, texts: &[String]) -> Vec<usize> {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).expect("its maps");
    let mut memory = std::fs::File::open(format!("/proc/{pid}/mem")).expect("its memory");
    let mut times = vec![0; texts.len()];
    for line in maps.lines().filter(|line| line.split(' ').nth(1).is_some_and(|mode| mode.starts_with("rw")))
    {
        let (from, to) = line.split(' ').next().and_then(|range| range.split_once('-')).expect("a range");
        let address = |text| u64::from_str_radix(text, 16).expect("an address");
        let (from, to) = (address(from), address(to));
        let mut bytes = vec![0; usize::try_from(to - from).expect("a size")];
        // Some of it is gone by now.
        if memory.seek(SeekFrom::Start(from)).and_then(|_| memory.read_exact(&mut bytes)).is_err() {
            continue;
        }
        for (times, text) in times.iter_mut().zip(texts) {
            *times += count(&bytes, text.as_bytes());
        }
    }
    times
}

fn count(bytes: &[u8], text: &[u8]) -> usize {
    let first = text[0];
    let starts = bytes.iter().enumerate().filter(|(_, byte)| **byte == first);
    starts.filter(|(at, _)| bytes[*at..].starts_with(text)).count()
}

fn may_look() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status.lines().any(|line| line.starts_with("Uid:\t0"))
}

#[tokio::test]
async fn nothing_is_left_of_the_passwords_of_tasks_that_have_ended() {
    if !may_look() {
        eprintln!("skipped: only root can look into the daemon's memory");
        return;
    }
    let world = World::new().await;
    world.script(QUICK, "");
    world.rules(&json!([{"account": "held-0", "until": "go"}]));
    let passwords: Vec<String> = (0..8).map(password).collect();
    for (number, password) in passwords.iter().enumerate() {
        let name = format!("held-{number}");
        world.sandbox.add_task(
            world.app,
            json!({"action": "create_account", "payload": {"account": {"username": name, "password": password}}}),
        );
    }
    let daemon = world.start();
    eventually("all but one are done", || world.tasks_that_are("completed") == 7).await;
    let found = times_in_memory(daemon.pid(), &passwords);
    assert!(
        found[0] > 0,
        "the password of a task that is under way is found, or this test would see nothing: {found:?}"
    );
    world.write("target/go", "");
    world.drained().await;
    // The last answers of Iden lie in the buffers of open connections until others have come.
    let mut found = Vec::new();
    eventually("nothing is left", || {
        found = times_in_memory(daemon.pid(), &passwords);
        found.iter().all(|times| *times == 0)
    })
    .await;
    let log = daemon.stop().await;
    assert!(!log.contains(&passwords[0]), "{log}");
}

#[tokio::test]
async fn no_core_dump_is_written() {
    let world = World::new().await;
    world.script(QUICK, "");
    let daemon = world.start();
    daemon.says("bridgehead starts").await;
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", daemon.pid())).expect("its limits");
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).expect("a line");
    assert_eq!(core.split_whitespace().filter(|word| *word == "0").count(), 2, "{core}");
    daemon.stop().await;
}
