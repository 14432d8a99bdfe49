//! Listings: their contents, and when they fail.

use std::fmt::Write as _;
use std::io::Write as _;

use crate::support::{ACCOUNTS, Place};
use bridgehead_sdk::{AccountStatus, Action, Cursor, Error, Record, Ref, Retry};
use serde_json::json;

fn many(count: usize) -> String {
    let mut content = String::from("id,email,username,display_name,status,team\n");
    for n in 0..count {
        writeln!(content, "u{n},u{n}@example.org,user{n},\"Person, {n}\",active,t{}", n % 7).unwrap();
    }
    content
}

fn ids(records: &[Record]) -> Vec<&str> {
    records.iter().map(Record::id).collect()
}

fn assert_incomplete(error: &Error, part: &str) {
    assert_eq!(error.retry(), Retry::Never, "{error}");
    assert!(error.message().contains(part), "{error}");
}

#[tokio::test]
async fn records_include_references_and_unknown_columns() {
    let place = Place::usual();
    let (records, rejected) = place.list("account").await.unwrap();
    assert!(rejected.is_empty());
    let Record::Account(ann) = &records[0] else { panic!("not an account") };
    assert_eq!((ann.id.as_str(), ann.display_name.as_deref()), ("u1", Some("Ann Arbor")));
    assert_eq!(ann.memberships.of("team"), [Ref::new("t1"), Ref::new("t2")]);
    assert_eq!(ann.assignments.of("seat"), [Ref::new("s1")]);
    assert_eq!(serde_json::to_value(&ann.extra).unwrap(), json!({"locker": "7, left"}));
    let Record::Account(bob) = &records[1] else { panic!("not an account") };
    assert_eq!((bob.status, bob.last_name.as_deref()), (AccountStatus::Suspended, None));
    let (teams, _) = place.list("team").await.unwrap();
    let Record::Entity(red) = &teams[0] else { panic!("not a team") };
    assert_eq!((red.name.as_str(), &red.extra["floor"]), ("Red", &json!("1")));
    assert_eq!(ids(&place.list("seat").await.unwrap().0), ["s1", "s2"]);
}

#[tokio::test]
async fn json_lines_preserve_types_of_unknown_fields() {
    let (records, _) = Place::usual_jsonl().list("account").await.unwrap();
    let Record::Account(ann) = &records[0] else { panic!("not an account") };
    assert_eq!(ann.extra["locker"], json!({"no": 7}));
}

#[tokio::test]
async fn secret_column_is_not_listed_but_survives_rewrites() {
    let content = "id,username,status,api_token\nu1,ann,,hunter2\n";
    let place = Place::with(&[("accounts.csv", content)], &json!({}));
    let (records, _) = place.list("account").await.unwrap();
    assert!(!format!("{records:?}").contains("hunter2"));
    place.run(Action::SuspendAccount, json!({"account": {"id": "u1"}})).await.unwrap();
    assert_eq!(place.read("accounts.csv"), "id,username,status,api_token\nu1,ann,suspended,hunter2\n");
}

#[tokio::test]
async fn nested_secrets_are_neither_listed_nor_written() {
    let content = r#"{"id":"u1","username":"ann","profile":{"floor":3,"api_token":"hunter2"}}"#;
    let place = Place::with(&[("accounts.jsonl", &format!("{content}\n"))], &json!({}));
    let (records, _) = place.list("account").await.unwrap();
    let Record::Account(ann) = &records[0] else { panic!("not an account") };
    assert_eq!(ann.extra["profile"], json!({"floor": 3}));

    let profile = json!({"floor": 4, "keys": [{"password": "hunter3"}]});
    let payload = json!({"account": {"id": "u1"}, "changes": {"profile": profile}});
    let error = place.run(Action::UpdateAccount, payload).await.unwrap_err();
    assert!(error.message().contains("changes.profile"), "{error}");
    place.run(Action::SuspendAccount, json!({"account": {"id": "u1"}})).await.unwrap();
    let payload = json!({"account": {"username": "bob", "profile": profile}});
    place.run(Action::CreateAccount, payload).await.unwrap();
    let written = place.read("accounts.jsonl");
    assert!(written.contains("hunter2") && written.contains("bob"), "{written}");
    assert!(!written.contains("hunter3"), "{written}");
}

#[tokio::test]
async fn spreadsheet_csv_is_read() {
    let content =
        "\u{feff}id;username;display_name;team;\r\n\r\nu1;ann;\"Ann\r\n\"\"Al\"\"; A.\";\"t1;t2\";\r\n";
    let files = [("accounts.csv", content), ("team.csv", "\u{feff}id;name\r\nt1;Red\r\nt2;Blue")];
    let place = Place::with(&files, &json!({"delimiter": ";", "require_final_newline": false}));
    let (records, rejected) = place.list("account").await.unwrap();
    assert!(rejected.is_empty(), "{rejected:?}");
    let Record::Account(ann) = &records[0] else { panic!("not an account") };
    assert_eq!(ann.display_name.as_deref(), Some("Ann\r\n\"Al\"; A."));
    assert_eq!(ann.memberships.of("team").len(), 2);
    assert_eq!(ids(&place.list("team").await.unwrap().0), ["t1", "t2"]);
    let payload = json!({"account": {"id": "u1"}, "memberships": {"team": ["t2"]}});
    place.run(Action::UpdateAccount, payload).await.unwrap();
    assert_eq!(place.read("accounts.csv"), content.replace("\"t1;t2\"", "t2"));
}

#[tokio::test]
async fn invalid_rows_are_rejected_individually_with_line_numbers() {
    let mut content =
        b"id,username,status,team\nu1,ann,,\nu2,bob\n,cy,,\n\nu3,d\xff,,\nu4,\"e\ne\",aktiv,\n".to_vec();
    content.extend_from_slice(b"u5,fay,ACTIVE,\n");
    let place = Place::usual();
    place.write("accounts.csv", &content);
    let (records, rejected) = place.list("account").await.unwrap();
    assert_eq!(ids(&records), ["u1", "u5"]);
    let shown: Vec<_> = rejected.iter().map(|one| (one.id.as_deref().unwrap(), one.field.as_str())).collect();
    assert_eq!(
        shown,
        [
            ("accounts.csv line 3", "row"),
            ("accounts.csv line 4", "id"),
            ("accounts.csv line 6", "row"),
            ("u4", "status"),
        ]
    );
    assert!(rejected[3].rule.contains("accounts.csv line 7") && !rejected[3].rule.contains("aktiv"));
}

#[tokio::test]
async fn invalid_json_rows_are_rejected_individually() {
    let place = Place::usual_jsonl();
    let content = concat!(
        "{\"id\":\"u1\",\"username\":\"ann\"}\n",
        "[1]\n",
        "{\"id\":\"u2\"\n",
        "{\"username\":\"bob\"}\n",
        "{\"id\":\"u3\",\"username\":\"x\",\"team\":{\"a\":1}}\n",
        "{\"id\":\"u4\",\"username\":\"y\",\"memberships\":{\"team\":[\"t1\"]}}\n",
        "{\"id\":5,\"username\":\"z\"}\n",
    );
    place.write("accounts.jsonl", content);
    let (records, rejected) = place.list("account").await.unwrap();
    assert_eq!(ids(&records), ["u1", "5"]);
    let fields: Vec<_> = rejected.iter().map(|one| one.field.as_str()).collect();
    assert_eq!(fields, ["row", "row", "id", "team", "memberships"]);
}

#[tokio::test]
async fn unusable_file_is_an_error_and_not_an_empty_listing() {
    let place = Place::usual();
    for (content, part) in [
        ("", "the file is empty"),
        ("\n", "no column 'id'"),
        ("email,name\n", "no column 'id'"),
        ("id,username", "the last line has no line break"),
        ("id,username\nu1,ann\nu2", "the last line has no line break"),
        ("id,username\nu1,\"ann\nu2,bob\n", "never closed"),
        ("id,username\nu1,ann\n\0\0\0\0", "NUL"),
        ("i\0d\0", "save it as UTF-8"),
    ] {
        place.write("accounts.csv", content);
        assert_incomplete(&place.list("account").await.unwrap_err(), part);
    }
    place.write("accounts.csv", "id,username\n");
    assert!(
        place.list("account").await.unwrap().0.is_empty(),
        "a header alone means that there are no records"
    );
    std::fs::remove_file(place.path("accounts.csv")).unwrap();
    place.list("account").await.unwrap_err();
    std::fs::create_dir(place.path("accounts.csv")).unwrap();
    assert_incomplete(&place.list("account").await.unwrap_err(), "not a regular file");
}

#[tokio::test]
async fn column_in_another_case_is_an_error_and_not_ignored() {
    let place = Place::usual();
    for (header, column, known) in [
        ("id,username,Status", "Status", "status"),
        ("id,USERNAME,status", "USERNAME", "username"),
        ("id,username,Team", "Team", "team"),
    ] {
        place.write("accounts.csv", format!("{header}\nu1,x,\n"));
        let part = format!("the column '{column}', which would be ignored; write it as '{known}'");
        assert_incomplete(&place.list("account").await.unwrap_err(), &part);
        assert!(place.connector.find_account(&bridgehead_sdk::Account::by_username("x")).await.is_err());
        let error = place.run(Action::DeleteAccount, json!({"account": {"id": "u1"}})).await.unwrap_err();
        assert!(error.message().contains(&part), "{error}");
    }
    // Another column of its own, beside the field.
    place.write("accounts.csv", "id,username,email,EMAIL,Floor\nu1,x,x@y,z,3\n");
    let (records, _) = place.list("account").await.unwrap();
    let Record::Account(ann) = &records[0] else { panic!("not an account") };
    assert_eq!(
        (ann.email.as_deref(), &ann.extra["EMAIL"], &ann.extra["Floor"]),
        (Some("x@y"), &json!("z"), &json!("3"))
    );
    place.write("team.csv", "id,NAME\nt1,Red\n");
    assert_incomplete(&place.list("team").await.unwrap_err(), "write it as 'name'");
}

#[tokio::test]
async fn json_field_in_another_case_is_rejected() {
    let place = Place::usual_jsonl();
    let content = "{\"id\":\"u1\",\"username\":\"ann\"}\n{\"id\":\"u2\",\"Username\":\"bob\",\"Status\":\"suspended\"}\n";
    place.write("accounts.jsonl", content);
    let (records, rejected) = place.list("account").await.unwrap();
    assert_eq!(ids(&records), ["u1"]);
    assert!(rejected[0].to_string().contains("written as 'username'"), "{}", rejected[0]);
    // The row may be the account.
    assert!(place.connector.find_account(&bridgehead_sdk::Account::by_username("bob")).await.is_err());
}

#[tokio::test]
async fn empty_json_lines_file_is_an_error_but_blank_line_is_not() {
    let place = Place::usual_jsonl();
    place.write("accounts.jsonl", "");
    assert_incomplete(&place.list("account").await.unwrap_err(), "the file is empty");
    place.write("accounts.jsonl", "{\"id\":\"u1\"}\n{\"id\":\"u2\"");
    assert_incomplete(&place.list("account").await.unwrap_err(), "the last line has no line break");
    place.write("accounts.jsonl", "\n");
    assert!(place.list("account").await.unwrap().0.is_empty());
}

#[tokio::test]
async fn last_line_without_newline_must_still_be_complete() {
    let place =
        Place::with(&[("accounts.csv", "id,username\nu1,ann")], &json!({"require_final_newline": false}));
    assert_eq!(ids(&place.list("account").await.unwrap().0), ["u1"]);
    place.run(Action::CreateAccount, json!({"account": {"username": "bob"}})).await.unwrap();
    assert_eq!(place.read("accounts.csv"), "id,username\nu1,ann\nbob,bob\n");
    place.write("accounts.csv", "id,username");
    place.run(Action::CreateAccount, json!({"account": {"username": "bob"}})).await.unwrap();
    assert_eq!(place.read("accounts.csv"), "id,username\nbob,bob\n");
    place.write("accounts.csv", "id,username\nu1,ann\nu2");
    assert_incomplete(&place.list("account").await.unwrap_err(), "the last line is incomplete");
}

#[tokio::test]
async fn listing_is_a_snapshot_while_tasks_rewrite_the_file() {
    let place = Place::usual();
    place.write("accounts.csv", many(1_400));
    place.write("team.csv", "id,name\nt1,Red\n");
    let mut page = place.page("account", None).await.unwrap();
    let mut seen = page.records;
    let mut step = 0;
    while let Some(cursor) = page.next {
        // Before and after the position of the listing.
        for payload in [
            json!({"account": {"id": format!("u{step}")}}),
            json!({"account": {"id": format!("u{}", 1_399 - step)}}),
        ] {
            place.run(Action::DeleteAccount, payload).await.unwrap();
        }
        let name = format!("newcomer{step}");
        place.run(Action::CreateAccount, json!({"account": {"username": name}})).await.unwrap();
        page = place.page("account", Some(&cursor)).await.unwrap();
        seen.append(&mut page.records);
        step += 1;
    }
    assert_eq!(step, 2);
    let expected: Vec<String> = (0..1_400).map(|n| format!("u{n}")).collect();
    assert_eq!(ids(&seen), expected);
    let (now, _) = place.list("account").await.unwrap();
    assert_eq!(now.len(), 1_400 - 4 + 2, "the next listing sees what the tasks did");
}

#[tokio::test]
async fn page_can_be_requested_again() {
    let place = Place::usual();
    place.write("accounts.csv", many(1_200));
    let first = place.page("account", None).await.unwrap();
    let cursor = first.next.unwrap();
    let once = place.page("account", Some(&cursor)).await.unwrap();
    let twice = place.page("account", Some(&cursor)).await.unwrap();
    assert_eq!((once.records, once.next.clone()), (twice.records, twice.next));
    let last = once.next.unwrap();
    let once = place.page("account", Some(&last)).await.unwrap();
    let twice = place.page("account", Some(&last)).await.unwrap();
    assert_eq!((once.records.len(), once.next.is_none()), (200, true));
    assert_eq!(once.records, twice.records);
}

#[tokio::test]
async fn file_written_in_place_makes_the_listing_incomplete() {
    let place = Place::usual();
    place.write("accounts.csv", many(1_200));
    let cursor = place.page("account", None).await.unwrap().next.unwrap();
    let mut file = std::fs::OpenOptions::new().append(true).open(place.path("accounts.csv")).unwrap();
    file.write_all(b"x,x,x,x,,\n").unwrap();
    assert_incomplete(&place.page("account", Some(&cursor)).await.unwrap_err(), "changed by another program");

    let cursor = place.page("account", None).await.unwrap().next.unwrap();
    let file = std::fs::OpenOptions::new().write(true).open(place.path("accounts.csv")).unwrap();
    file.set_len(20_000).unwrap();
    assert_incomplete(&place.page("account", Some(&cursor)).await.unwrap_err(), "changed by another program");
}

#[tokio::test]
async fn listing_cannot_continue_once_its_file_is_released() {
    let place = Place::usual();
    place.write("accounts.csv", many(1_200));
    let first = place.page("account", None).await.unwrap().next.unwrap();
    let restarted = Place::usual();
    assert_incomplete(
        &restarted.page("account", Some(&first)).await.unwrap_err(),
        "before the daemon was restarted",
    );
    for _ in 0..8 {
        place.page("account", None).await.unwrap().next.unwrap();
    }
    assert_incomplete(&place.page("account", Some(&first)).await.unwrap_err(), "too many other listings");
    let foreign = Cursor::new("17");
    assert_incomplete(&place.page("account", Some(&foreign)).await.unwrap_err(), "cursor");
    assert_incomplete(&place.page("squad", None).await.unwrap_err(), "'squad'");
}

#[tokio::test]
async fn new_file_is_a_resource_type_only_after_describe() {
    let place = Place::usual();
    place.connector.describe().await.unwrap();
    place.write("squad.csv", "id,name\nx,X\n");
    place.write("accounts.csv", ACCOUNTS.replace(",locker\n", ",squad\n"));
    let (records, _) = place.list("account").await.unwrap();
    let Record::Account(ann) = &records[0] else { panic!("not an account") };
    assert!(ann.memberships.of("squad").is_empty());
    place.connector.describe().await.unwrap();
    let (records, _) = place.list("account").await.unwrap();
    let Record::Account(ann) = &records[0] else { panic!("not an account") };
    assert_eq!(ann.memberships.of("squad"), [Ref::new("7, left")]);
}
