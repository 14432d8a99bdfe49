//! Records that violate a rule: found before they are sent, reported by name, left out, and never treated as removed accounts.

use std::collections::{BTreeSet, VecDeque};

use bridgehead::sandbox::{Effect, Fault};
use serde_json::{Value, json};

use crate::support::World;
use crate::sync_world::{BOLD, Synced, accounts, ids, people};

const SKIP: &str = "on_invalid = \"skip\"";
const ABANDON: &str = "on_invalid = \"abandon\"";

/// A target with every kind of invalid record among 12 valid accounts and a valid team.
fn spoilt() -> Value {
    let account = |id: &str, more: Value| {
        let mut account = json!({"id": id, "email": format!("{id}@example.org")});
        for (field, value) in more.as_object().expect("fields") {
            account[field] = value.clone();
        }
        account
    };
    let refs: Vec<String> = (0..101).map(|n| format!("t{n}")).collect();
    json!({
        "types": [
            {"slug": "account", "name": "Account", "type": "account"},
            {"slug": "seat", "name": "Seat", "type": "license"},
            {"slug": "team", "name": "Team", "type": "group"},
        ],
        "records": {"account": people(0..12), "team": [{"id": "t1", "name": "One"}]},
        "raw": {
            "team": [{"id": "nameless"}, {"id": "empty", "name": ""}, {"name": "no id"}, {"id": "twin", "name": "A"}, {"id": "twin", "name": "B"}],
            "seat": [{"id": "s1", "name": ["x"]}],
            "account": [
                {"id": "nobody", "first_name": "No"},
                {"id": "blank", "email": "", "username": null},
                {"id": "", "email": "x@example.org"},
                {"email": "y@example.org"},
                account("club", json!({"memberships": {"club": ["c1"]}})),
                account("plan", json!({"assignments": {"plan": ["p1"]}})),
                account("mixed", json!({"memberships": {"seat": ["s1"]}})),
                account("many", json!({"memberships": {"team": refs}})),
                account("lost", json!({"memberships": {"team": ["t1", "t9"]}})),
                account("loose", json!({"memberships": {"team": ["nameless"]}})),
                account("number", json!({"first_name": ["An", "n"]})),
                account("odd", json!({"status": "sleeping"})),
                account("map", json!({"memberships": ["t1"]})),
                account("good", json!({"memberships": {"team": ["t1"]}})),
                7,
            ],
        },
    })
}

/// The type, record, field and beginning of the rule of every invalid record of [`spoilt`].
const EXPECTED: [(&str, &str, &str, &str); 19] = [
    ("account", "blank", "email", "or username is required"),
    ("account", "club", "memberships.club", "is not a registered resource type (unknown membership slug)"),
    ("account", "loose", "memberships.team", "refers to 'nameless', which no listing of that type contains"),
    ("account", "lost", "memberships.team", "refers to 't9', which no listing of that type contains"),
    ("account", "many", "memberships.team", "has 101 refs, the limit is 100"),
    ("account", "map", "memberships", "must be a map"),
    (
        "account",
        "mixed",
        "memberships.seat",
        "is of the kind license, but memberships must be of the kind group",
    ),
    ("account", "nobody", "email", "or username is required"),
    ("account", "number", "first_name", "must be text"),
    ("account", "odd", "status", "must be"),
    ("account", "plan", "assignments.plan", "is not a registered resource type (unknown assignment slug)"),
    ("account", "without an id", "id", "must be"),
    ("account", "without an id", "id", "must be"),
    ("account", "without an id", "record", "must be an object"),
    ("seat", "s1", "name", "must be text"),
    ("team", "empty", "name", "must"),
    ("team", "nameless", "name", "must be text"),
    ("team", "twin", "id", "is used by two different records"),
    ("team", "without an id", "id", "must be"),
];

#[track_caller]
fn found_all(synced: &Synced) {
    let text = |one: &Value, name: &str| one[name].as_str().unwrap_or_default().to_owned();
    let mut found: Vec<[String; 4]> = synced.summary["invalid"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| ["resource_type", "record", "field", "rule"].map(|name| text(one, name)))
        .collect();
    found.sort();
    assert_eq!(found.len(), EXPECTED.len(), "{found:#?}");
    for (found, (of, record, field, rule)) in found.iter().zip(EXPECTED) {
        assert_eq!(found[..3], [of, record, field], "{found:?}");
        assert!(found[3].starts_with(rule), "{found:?}");
    }
    assert_eq!(synced.summary["invalid_count"], EXPECTED.len());
}

#[tokio::test]
async fn invalid_records_are_found_locally_and_valid_ones_pushed() {
    let world = World::with_target(spoilt(), "").await;
    let synced = world.sync(&[]).await;
    found_all(synced.assert(1, "abandoned"));
    assert_eq!(synced.detail(), "19 records are invalid; valid records were pushed, no account was removed");
    assert!(synced.stderr.contains("invalid record: account 'many': memberships.team has 101 refs"));
    let refused =
        world.sandbox.ledger().into_iter().filter(|entry| entry.method == "PUT" && entry.status != Some(200));
    assert_eq!(refused.count(), 0, "nothing bad was sent");
    assert_eq!(world.steps(), ["sync", "abandon"]);
    assert_eq!(world.active("account").len(), 13);
    assert_eq!(world.active_ids("team"), BTreeSet::from(["t1".to_owned(), "twin".to_owned()]));
}

#[tokio::test]
async fn dry_run_finds_the_same_invalid_records_while_a_daemon_runs() {
    let world = World::with_target(spoilt(), "").await;
    let daemon = world.start();
    daemon.says("sync abandoned: 19 records are invalid").await;
    let steps = world.steps();
    let synced = world.sync(&["--dry-run"]).await;
    found_all(synced.assert(1, "abandoned"));
    assert_eq!(synced.detail(), "19 records are invalid; nothing was pushed");
    assert_eq!(synced.figures("account")[..2], [13, 0], "the daemon has pushed them already");
    assert_eq!(world.steps(), steps);
    daemon.stop().await;
}

#[tokio::test]
async fn invalid_records_are_listed_in_text_output() {
    let world = World::with_target(spoilt(), "").await;
    let output = world.run(&["sync", "hr"]).await;
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("hr: abandoned - 19 records are invalid"), "{text}");
    assert!(text.contains("19 invalid records:\n"), "{text}");
    assert!(text.contains("  account 'lost': memberships.team refers to 't9'"), "{text}");
}

#[tokio::test]
async fn skipped_invalid_records_count_as_losses() {
    let world = World::with_target(json!({"records": {"account": people(0..30)}}), SKIP).await;
    world.sync(&[]).await.assert(0, "completed");
    let mut records = people(0..30);
    records[3] = json!({"id": "u000003", "first_name": "Neither"});
    world.target(json!({"records": {"account": records}}));
    let synced = world.sync(&[]).await;
    assert_eq!(synced.assert(0, "completed").figures("account"), [29, 0, 0, 1]);
    assert_eq!(synced.summary["invalid_count"], 1);
    assert_eq!(world.active_ids("account"), ids((0..30).filter(|number| *number != 3)));

    records.iter_mut().skip(10).take(10).for_each(|record| *record = json!({"id": record["id"]}));
    world.target(json!({"records": {"account": records}}));
    let synced = world.sync(&[]).await;
    assert!(synced.assert(1, "held").detail().contains("10 of 29 records of account"), "{}", synced.detail());
    assert_eq!(world.active("account").len(), 29);
}

/// The requests to refuse so that these records of a page are the rejected ones, if halves are sent in order.
fn refusals(len: usize, bad: &[usize]) -> Vec<u64> {
    let mut pages: VecDeque<_> = std::iter::once(0..len).collect();
    let (mut refused, mut request) = (Vec::new(), 0);
    while let Some(page) = pages.pop_front() {
        if bad.iter().any(|bad| page.contains(bad)) {
            refused.push(request);
            if page.len() > 1 {
                let middle = page.start + page.len() / 2;
                pages.push_front(middle..page.end);
                pages.push_front(page.start..middle);
            }
        }
        request += 1;
    }
    refused
}

/// Iden rejects two of 250 accounts, for a reason that only it knows.
async fn refusing(status: u16, sync: &str) -> World {
    let world = World::with_target(json!({"records": {"account": accounts(250)}}), "").await;
    world.target_settings(&[sync, BOLD, "push_concurrency = 1"].join(", "), "", "");
    let detail = json!({"detail": "Sync failed for 'account': a required field is missing."});
    for (earlier, request) in (0..).zip(refusals(100, &[37, 99])) {
        let refusal = Fault::new(Effect::answer_json(status, detail.clone()));
        // The first page passes. A fault does not count the requests on which an earlier one fires.
        world
            .sandbox
            .add_fault(refusal.method("PUT").path("**/account/").skip(1 + request - earlier).times(1));
    }
    world
}

#[tokio::test]
async fn rejected_page_is_split_until_invalid_records_are_isolated() {
    for status in [422, 400] {
        let world = refusing(status, ABANDON).await;
        let synced = world.sync(&[]).await;
        assert_eq!(synced.assert(1, "abandoned").summary["invalid_count"], 2, "{synced:?}");
        for (place, record) in ["u000137", "u000199"].iter().enumerate() {
            let invalid = &synced.summary["invalid"][place];
            assert_eq!(invalid["record"], *record);
            let rule = invalid["rule"].as_str().unwrap();
            assert!(rule.starts_with("is rejected by Iden: Sync failed for 'account'"), "{rule}");
        }
        assert_eq!(world.active_ids("account"), ids((0..250).filter(|number| ![137, 199].contains(number))));
        assert_eq!(synced.figures("account"), [248, 248, 0, 0]);
        assert_eq!(world.steps(), ["sync", "abandon"]);
    }
}

#[tokio::test]
async fn records_rejected_by_iden_can_be_skipped() {
    let world = refusing(422, SKIP).await;
    let synced = world.sync(&[]).await;
    assert_eq!(synced.assert(0, "completed").figures("account"), [248, 248, 0, 0]);
    // Now Iden accepts them.
    let synced = world.sync(&[]).await;
    assert_eq!(synced.assert(0, "completed").figures("account"), [250, 2, 0, 0]);
}

#[tokio::test]
async fn rejected_group_is_not_pushed_again_for_its_members() {
    let member = json!({"count": 5, "each": {"memberships": {"team": ["t1"]}}});
    let said = json!({"records": {"account": member, "team": [{"id": "t1", "name": "One"}]}});
    let world = World::with_target(said, "").await;
    let refusal =
        Fault::new(Effect::answer_json(422, json!({"detail": "no"}))).method("PUT").path("**/team/");
    world.sandbox.add_fault(refusal);
    let synced = world.sync(&[]).await;
    assert_eq!(synced.assert(1, "abandoned").summary["invalid_count"], 6, "one team and its five members");
    let puts = world.sandbox.ledger().into_iter().filter(|entry| entry.path.ends_with("/team/"));
    assert_eq!(puts.count(), 1);
}

#[tokio::test]
async fn many_invalid_references_cost_only_one_more_listing() {
    let lost = json!({"count": 2500, "each": {"memberships": {"team": ["t9"]}}});
    let team = |id: &str| json!([{"id": id, "name": "Team"}]);
    // The fault causes no delay; it counts the listings.
    let said = json!({"records": {"account": lost, "team": team("t1")}, "page_size": 500,
        "faults": [{"do": "delay", "seconds": 0, "type": "team"}]});
    let world = World::with_target(said, "").await;
    let synced = world.sync(&[]).await;
    assert_eq!(synced.assert(1, "abandoned").summary["invalid_count"], 2500);
    assert_eq!(synced.summary["invalid"].as_array().unwrap().len(), 1000, "memory does not grow with them");
    let fired: Value = serde_json::from_str(&world.read("fired.json")).unwrap();
    assert_eq!(fired["0"], 2, "the teams were listed twice");
    assert!(synced.stderr.matches("invalid record").count() <= 100, "nor does the log");
}
