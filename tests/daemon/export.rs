//! `bridgehead sync APP --to FILE`: writes what would be pushed to a file.

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use crate::support::World;

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

#[tokio::test]
async fn export_writes_all_valid_records_without_contacting_iden() {
    let world = World::new().await;
    world.write(
        "people/accounts.csv",
        "id,email,username,team\nu1,ann@example.org,ann,t1\nu2,bob@example.org,bob,t9\nu3,,,\n",
    );
    world.write("people/team.csv", "id,name\nt1,Team One\n");
    world.configure("connector = \"file\"\n[apps.hr.target]\npath = \"people\"\n");
    let to = world.path("out.jsonl");
    let output = world.run(&["sync", "hr", "--to", to.to_str().expect("a path")]).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let written = lines(&world.read("out.jsonl"));
    let record = |slug: &str, id: &str| {
        written.iter().any(|line| line["resource_type"] == slug && line["record"]["id"] == id)
    };
    assert!(record("team", "t1") && record("account", "u1"), "{written:#?}");
    assert!(
        !record("account", "u2") && !record("account", "u3"),
        "what is not valid is not pushed: {written:#?}"
    );
    let summary = &written.last().expect("a summary")["summary"];
    assert_eq!(summary["records"], json!({"account": 1, "team": 1}), "{summary:#}");
    assert_eq!(
        (&summary["complete"], &summary["invalid_count"], &summary["evidence"]["account"]),
        (&json!(true), &json!(2), &json!("atomic")),
        "{summary:#}"
    );
    assert!(summary["invalid"].to_string().contains("refers to 't9'"), "{summary:#}");
    assert_eq!(to.metadata().expect("a file").permissions().mode() & 0o777, 0o600);
    assert!(world.sandbox.ledger().is_empty(), "Iden is not asked");
    assert!(!world.path("state").exists(), "no state is made");

    let output = world.run(&["sync", "hr", "--to", "-"]).await;
    assert_eq!(lines(&String::from_utf8_lossy(&output.stdout)), written);
}

#[tokio::test]
async fn incomplete_export_is_marked_and_sets_the_exit_code() {
    let world = World::new().await;
    world.configure("connector = \"file\"\n[apps.hr.target]\npath = \"nowhere\"\n");
    let to = world.path("out.jsonl");
    let output = world.run(&["sync", "hr", "--to", to.to_str().expect("a path")]).await;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(!to.exists(), "a part is not taken for the whole");
    let written = lines(&world.read("out.jsonl.incomplete"));
    assert_eq!(written.last().expect("a summary")["summary"]["complete"], false);
    world.write("out.jsonl", "what was read to its end yesterday");
    let output = world.run(&["sync", "hr", "--to", to.to_str().expect("a path")]).await;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("out.jsonl.incomplete"), "{output:?}");
    assert_eq!(world.read("out.jsonl"), "what was read to its end yesterday");
    let output = world.run(&["sync", "hr", "--to", "/nowhere/at/all"]).await;
    assert_eq!(output.status.code(), Some(74), "{output:?}");
    let output = world.run(&["sync", "--to", "x"]).await;
    assert_eq!(output.status.code(), Some(2), "{output:?}");
}

#[tokio::test]
async fn closed_export_pipe_is_not_an_error() {
    let world = World::new().await;
    let mut people = String::from("id,email,username,display_name,status\n");
    for number in 0..20_000 {
        writeln!(people, "u{number},u{number}@example.org,u{number},U {number},active").expect("a text");
    }
    world.write("people/accounts.csv", &people);
    world.configure("connector = \"file\"\n[apps.hr.target]\npath = \"people\"\n");
    let mut sync = world.command(&["sync", "hr", "--to", "-"]);
    let mut sync = sync.stdout(std::process::Stdio::piped()).spawn().expect("the binary runs");
    let mut first = String::new();
    let read = std::io::BufRead::read_line(
        &mut std::io::BufReader::new(sync.stdout.take().expect("a pipe")),
        &mut first,
    );
    assert!(read.expect("a line") > 0);
    assert!(lines(&first)[0]["record"].is_object(), "{first}");
    assert!(sync.wait().expect("it ends").success());
}
