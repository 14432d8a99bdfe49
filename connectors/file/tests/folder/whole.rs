//! The evidence that a folder was read completely, and that its files are what they are taken for.

use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::process::Command;
use std::time::{Duration, SystemTime};

use bridgehead_sdk::{Action, Code, Effect, Error, Evidence, Retry, Subject};
use serde_json::json;

use crate::support::{ACCOUNTS, Place, SEATS, TEAMS, connector};

fn is_refused(error: &Error, part: &str) {
    assert_eq!(error.retry(), Retry::Never, "{error}");
    assert!(error.message().contains(part), "{error}");
}

/// Another connector for the folder, as after a restart.
fn restarted(place: &Place) -> std::sync::Arc<dyn bridgehead_sdk::Connector> {
    connector(place.path("accounts.csv").parent().unwrap(), &json!({}))
}

#[tokio::test]
async fn missing_type_is_an_error_even_after_a_restart() {
    let place = Place::usual();
    for slug in ["team", "seat", "account"] {
        place.list(slug).await.unwrap();
    }
    std::fs::rename(place.path("team.csv"), place.path("kept")).unwrap();
    for connector in [place.connector.clone(), restarted(&place)] {
        let error = connector.describe().await.unwrap_err();
        assert!(error.message().contains("team.csv was a type and is missing"), "{error}");
        assert_eq!(error.subject(), Subject::Connection);
        assert!(connector.check().await.is_err());
    }
    assert!(place.page("team", None).await.is_err());
    // If the settings name the types, a missing file is not an error of the folder.
    let named = connector(place.path("accounts.csv").parent().unwrap(), &json!({ "groups": [] }));
    assert_eq!(named.describe().await.unwrap().resource_types.len(), 2);
    std::fs::rename(place.path("kept"), place.path("team.csv")).unwrap();
    assert_eq!(restarted(&place).describe().await.unwrap().resource_types.len(), 3);
}

/// In a folder that is never written to, types cannot be remembered.
#[tokio::test]
async fn read_only_folder_requires_types_in_the_settings() {
    let files = [("accounts.csv", ACCOUNTS), ("team.csv", TEAMS)];
    let place = Place::with(&files, &json!({ "read_only": true }));
    for error in [place.connector.describe().await.unwrap_err(), place.connector.check().await.unwrap_err()] {
        assert!(error.message().contains("name the types in the settings"), "{error}");
        assert_eq!(error.subject(), Subject::Connection, "{error}");
    }
    let named = Place::with(&files, &json!({ "read_only": true, "groups": [{ "slug": "team" }] }));
    assert_eq!(named.list("account").await.unwrap().0.len(), 2);
    std::fs::remove_file(named.path("team.csv")).unwrap();
    let again = connector(
        named.path("accounts.csv").parent().unwrap(),
        &json!({ "read_only": true, "groups": [{ "slug": "team" }] }),
    );
    assert!(again.check().await.is_err());
    let of = bridgehead_sdk::ResourceType::group("team", "Team");
    assert!(again.list(&of, None).await.unwrap_err().message().contains("team.csv"));
}

#[tokio::test]
async fn only_regular_files_are_types_and_reading_never_blocks() {
    let place = Place::usual();
    let file = place.path("team.csv");
    std::fs::remove_file(&file).unwrap();
    symlink("nowhere.csv", &file).unwrap();
    let error = place.connector.describe().await.unwrap_err();
    assert!(error.message().contains("team.csv is not a regular file"), "{error}");
    std::fs::remove_file(&file).unwrap();
    assert!(Command::new("mkfifo").arg(&file).status().unwrap().success());
    let restarted = restarted(&place);
    let asked = tokio::time::timeout(Duration::from_secs(60), restarted.describe());
    let error = asked.await.expect("a pipe is not waited for").unwrap_err();
    assert!(error.message().contains("team.csv is not a regular file"), "{error}");
}

#[tokio::test]
async fn copied_file_is_not_a_type() {
    for (name, content, part) in [
        ("accounts_old.csv", ACCOUNTS, "is it a copy of the accounts?"),
        ("team_old.csv", TEAMS, "is it a copy of team.csv?"),
    ] {
        let files =
            [("accounts.csv", ACCOUNTS), ("team.csv", TEAMS), ("license-seat.csv", SEATS), (name, content)];
        let place = Place::with(&files, &json!({}));
        let error = place.connector.describe().await.unwrap_err();
        assert!(error.message().contains(part) && error.message().contains(name), "{error}");
        assert!(place.connector.check().await.is_err());
    }
    let files = [
        ("accounts.jsonl", "{\"id\":\"1\",\"username\":\"ann\"}\n"),
        ("old.jsonl", "{\"id\":\"1\",\"username\":\"ann\"}\n"),
    ];
    let error = Place::with(&files, &json!({})).connector.describe().await.unwrap_err();
    assert!(error.message().contains("old.jsonl"), "{error}");
    // If each row names its fields, it is enough that one row has the field.
    let person =
        |number: u32, more: &str| format!("{{\"id\":\"{number}\",\"username\":\"u{number}\"{more}}}\n");
    let team = "{\"id\":\"t1\",\"name\":\"Red\"}\n";
    for (more, is_type) in [("", false), (",\"team_lead\":[\"t1\"]", true)] {
        let accounts = person(1, ",\"team\":[\"t1\"]") + &person(2, more);
        let files = [("accounts.jsonl", accounts.as_str()), ("team.jsonl", team), ("team_lead.jsonl", team)];
        let described = Place::with(&files, &json!({})).connector.describe().await;
        assert_eq!(described.is_ok(), is_type, "{described:?}");
        assert!(is_type || described.unwrap_err().message().contains("is it a copy of team.jsonl?"));
    }
}

#[tokio::test]
async fn duplicate_names_are_refused_with_both_lines() {
    let with =
        |rows: &str| Place::with(&[("accounts.csv", &format!("id,username,email\n{rows}"))], &json!({}));
    for (rows, field) in [
        ("u1,ann,\nu2,bob,\nu3,ANN,\n", "username"),
        ("u1,ann,A@example.org\nu2,bob,\nu3,cy,a@example.org\n", "email"),
        ("u1,ann,\nu2,bob,\nU1,cy,\n", "id"),
        ("u1,ann,\nu2,bob,\nu1,cy,\n", "id"),
    ] {
        let error = with(rows).page("account", None).await.unwrap_err();
        is_refused(&error, "accounts.csv line 4");
        assert!(error.message().contains(&format!("the same {field} as line 2")), "{error}");
    }
    let teams =
        [("accounts.csv", ACCOUNTS), ("team.csv", "id,name\nt1,Red\nT1,Blue\n"), ("license-seat.csv", SEATS)];
    is_refused(
        &Place::with(&teams, &json!({})).page("team", None).await.unwrap_err(),
        "the same id as line 2",
    );
    let twice = "{\"id\":\"1\",\"username\":\"ann\",\"team\":[\"a\"],\"team\":[]}\n";
    let (records, rejected) =
        Place::with(&[("accounts.jsonl", twice)], &json!({})).list("account").await.unwrap();
    assert!(records.is_empty());
    assert!(rejected[0].rule.contains("without duplicate fields"), "{rejected:?}");
}

#[tokio::test]
async fn whitespace_around_values_and_column_names_is_trimmed() {
    let content = "id , username , status\n u1 , bob , active \n\" u2 \",\" eve \",\n";
    let place = Place::with(&[("accounts.csv", content)], &json!({}));
    let (records, rejected) = place.list("account").await.unwrap();
    assert!(rejected.is_empty(), "{rejected:?}");
    assert_eq!(records.iter().map(bridgehead_sdk::Record::id).collect::<Vec<_>>(), ["u1", " u2 "]);
    let error =
        place.run(Action::CreateAccount, json!({ "account": { "username": "bob" } })).await.unwrap_err();
    assert_eq!(error.code(), Code::AccountAlreadyExists, "{error}");
    place.run(Action::SuspendAccount, json!({ "account": { "username": "bob" } })).await.unwrap();
    assert!(place.read("accounts.csv").contains("u1,bob,suspended\n"), "{}", place.read("accounts.csv"));
    // Values with spaces at their ends are written in quotes.
    place.run(Action::SuspendAccount, json!({ "account": { "id": " u2 " } })).await.unwrap();
    assert!(
        place.read("accounts.csv").ends_with("\" u2 \",\" eve \",suspended\n"),
        "{}",
        place.read("accounts.csv")
    );
}

#[tokio::test]
async fn file_still_being_written_is_not_taken_as_complete() {
    let place = Place::usual();
    let folder = place.path("accounts.csv").parent().unwrap().to_owned();
    let careful = connector(&folder, &json!({ "settle": "1m" }));
    tokio::time::pause();
    // A program that writes in place has written the first row, and pauses.
    let (head, rest) = ACCOUNTS.split_at(ACCOUNTS.find("u2").unwrap());
    place.write("accounts.csv", head);
    let of = bridgehead_sdk::ResourceType::account("account", "Account");
    let listing = tokio::spawn({
        let careful = careful.clone();
        async move { careful.list(&of, None).await }
    });
    // It continues while the connector waits.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let mut file = std::fs::OpenOptions::new().append(true).open(place.path("accounts.csv")).unwrap();
    file.write_all(rest.as_bytes()).unwrap();
    let error = listing.await.unwrap().unwrap_err();
    assert!(error.message().contains("is being written"), "{error}");
    assert_eq!((error.effect(), error.retry()), (Effect::NotApplied, Retry::Backoff));
    // A file that was not changed for long enough is read immediately, and so is one that bridgehead wrote itself.
    let long_ago = SystemTime::now() - Duration::from_secs(3600);
    file.set_modified(long_ago).unwrap();
    let begun = tokio::time::Instant::now();
    crate::support::run(&careful, Action::SuspendAccount, json!({ "account": { "id": "u1" } }))
        .await
        .unwrap();
    crate::support::run(&careful, Action::UnsuspendAccount, json!({ "account": { "id": "u1" } }))
        .await
        .unwrap();
    assert!(begun.elapsed() < Duration::from_secs(50), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn second_read_detects_changes_hidden_from_size_and_mtime() {
    let place = Place::usual();
    let many = (0..1_200).fold(String::new(), |all, n| all + &format!("x{n},,extra{n},,,,,,,,\n"));
    place.write("accounts.csv", format!("{ACCOUNTS}{many}"));
    let first = place.page("account", None).await.unwrap();
    let file = std::fs::OpenOptions::new().write(true).open(place.path("accounts.csv")).unwrap();
    let time = file.metadata().unwrap().modified().unwrap();
    let changed = format!("{ACCOUNTS}{many}").replace("extra7,", "extra6,");
    place.write("accounts.csv", changed);
    file.set_modified(time).unwrap();
    let second = place.page("account", first.next.as_ref()).await.unwrap();
    let error = place.page("account", second.next.as_ref()).await.unwrap_err();
    is_refused(&error, "changed by another program");
    // No program writes, so the two readings agree.
    place.write("accounts.csv", ACCOUNTS);
    assert_eq!(place.page("account", None).await.unwrap().evidence, Some(Evidence::Atomic));
}

#[tokio::test]
async fn checksums_and_sentinel_mark_files_as_complete() {
    let files = [("accounts.csv", ACCOUNTS), ("team.csv", TEAMS), ("license-seat.csv", SEATS)];
    let place = Place::with(
        &files,
        &json!({
            "read_only": true, "checksums": "SHA256SUMS", "sentinel": "done", "groups": [{ "slug": "team" }],
            "licenses": [{ "slug": "seat", "file": "license-seat.csv" }],
        }),
    );
    let folder = place.path("accounts.csv").parent().unwrap().to_owned();
    let seal = || {
        let sums = Command::new("sha256sum")
            .args(["accounts.csv", "team.csv", "license-seat.csv"])
            .current_dir(&folder)
            .output();
        place.write("SHA256SUMS", sums.unwrap().stdout);
        place.write("done", "");
    };
    is_refused_for(&place, "SHA256SUMS").await;
    seal();
    assert_eq!(place.list("account").await.unwrap().0.len(), 2);
    // The file ends after a complete row, like one that is still being written.
    place.write("accounts.csv", &ACCOUNTS[..ACCOUNTS.find("u2").unwrap()]);
    is_refused(&place.page("account", None).await.unwrap_err(), "does not match its checksum");
    seal();
    let done = std::fs::OpenOptions::new().write(true).open(place.path("done")).unwrap();
    done.set_modified(SystemTime::now() - Duration::from_secs(3600)).unwrap();
    is_refused(&place.page("account", None).await.unwrap_err(), "is newer than done");
}

async fn is_refused_for(place: &Place, part: &str) {
    let error = place.page("account", None).await.unwrap_err();
    assert!(error.message().contains(part), "{error}");
}

#[tokio::test]
async fn fields_without_columns_are_declared_unverifiable() {
    let content = "id,username,team\nu1,ann,\n";
    let files = [("accounts.csv", content), ("team.csv", TEAMS)];
    let place = Place::with(&files, &json!({ "licenses": [{ "slug": "seat", "file": "seats.csv" }] }));
    let described = place.connector.describe().await.unwrap();
    for field in ["email", "status", "display_name", "memberships.seat"] {
        assert!(described.unverifiable.contains(field), "{field}: {described:?}");
    }
    assert!(
        !described.unverifiable.contains("memberships.team") && !described.unverifiable.contains("username")
    );
}

/// Run by the test below, as a user who may write to the folder, but is not the file's owner.
#[tokio::test]
#[ignore = "a part of another test"]
async fn helper_that_suspends_an_account_as_another_user() {
    let Some(folder) = std::env::var_os("FOLDER") else { return };
    let connector = connector(std::path::Path::new(&folder), &json!({}));
    let checked = connector.check().await.unwrap_err();
    assert!(checked.message().contains("its owner 4711 cannot be preserved"), "{checked}");
    let error =
        crate::support::run(&connector, Action::SuspendAccount, json!({ "account": { "id": "u1" } })).await;
    let error = error.unwrap_err();
    assert_eq!((error.code(), error.subject()), (Code::PermissionDenied, Subject::Connection), "{error}");
    assert_eq!((error.effect(), error.retry()), (Effect::NotApplied, Retry::Backoff));
    assert!(error.message().contains("would lock out"), "{error}");
}

/// Run by the test below, as a user who may read the folder, but not write to it.
#[tokio::test]
#[ignore = "a part of another test"]
async fn helper_that_lists_an_unwritable_folder_as_another_user() {
    let Some(folder) = std::env::var_os("FOLDER") else { return };
    let folder = std::path::Path::new(&folder);
    let of = bridgehead_sdk::ResourceType::account("account", "Account");
    let error = connector(folder, &json!({})).list(&of, None).await.unwrap_err();
    assert!(error.message().contains("name groups and licenses in the settings"), "{error}");
    assert_eq!((error.code(), error.subject()), (Code::PermissionDenied, Subject::Connection), "{error}");
    let named = json!({ "groups": [{ "slug": "team" }], "licenses": [{ "slug": "seat", "file": "license-seat.csv" }] });
    assert_eq!(connector(folder, &named).list(&of, None).await.unwrap().records.len(), 2);
}

/// If types cannot be remembered, a missing file would go unnoticed the next time.
#[test]
fn listing_fails_if_types_cannot_be_remembered() {
    let place = Place::usual();
    let folder = place.path("accounts.csv").parent().unwrap().to_owned();
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o555)).unwrap();
    run_as_another("helper_that_lists_an_unwritable_folder_as_another_user", &folder);
}

#[test]
fn file_is_unchanged_if_its_owner_cannot_be_preserved() {
    let place = Place::usual();
    let folder = place.path("accounts.csv").parent().unwrap().to_owned();
    if chown(place.path("accounts.csv"), Some(4711), Some(4711)).is_err() {
        return; // Only root can switch users.
    }
    let allow = |path: &std::path::Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    allow(&folder, 0o777);
    allow(&place.path("accounts.csv"), 0o664);
    run_as_another("helper_that_suspends_an_account_as_another_user", &folder);
    assert_eq!(place.read("accounts.csv"), ACCOUNTS);
    assert!(place.names().iter().all(|name| !name.contains(".tmp")), "{:?}", place.names());
}

/// Runs a part of a test as another user, if the tests run as root.
fn run_as_another(test: &str, folder: &std::path::Path) {
    let is_root = chown(folder, Some(0), Some(0)).is_ok();
    if !is_root {
        return; // Only root can switch users.
    }
    // Other users may not have access to the folder of the tests.
    let program =
        tempfile::Builder::new().permissions(std::fs::Permissions::from_mode(0o755)).tempdir().unwrap();
    let copy = program.path().join("test");
    std::fs::copy(std::env::current_exe().unwrap(), &copy).unwrap();
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "12345", "--regid", "4711", "--clear-groups", "--"]).arg(&copy);
    command.args(["--ignored", "--exact", &format!("whole::{test}"), "--nocapture"]);
    let done = command.env("FOLDER", folder).current_dir("/").output().unwrap();
    let said = String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success() && said.contains("1 passed"), "{said}");
}
