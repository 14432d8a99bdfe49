//! The six actions, and all the ways in which they fail.

use crate::support::{ACCOUNTS, Place, SEATS, TEAMS};
use bridgehead_sdk::{Account, AccountStatus, Action, Code, Effect, Error, Ref, Retry, Subject};
use serde_json::json;

fn assert_refused(error: &Error, code: Code, subject: Subject) {
    assert_eq!((error.code(), error.subject()), (code, subject), "{error}");
    assert_eq!(error.effect(), Effect::NotApplied, "{error}");
}

#[tokio::test]
async fn account_is_created_with_its_memberships() {
    for place in [Place::usual(), Place::usual_jsonl()] {
        let payload = json!({
            "account": {"username": "cleo", "email": "cleo@example.org", "first_name": "Cleo", "locker": "9"},
            "memberships": {"team": ["t2"], "seat": ["s1", "s2"]},
        });
        let completion = place.run(Action::CreateAccount, payload).await.unwrap();
        assert_eq!(completion.result["account_id"], "cleo");
        let cleo = place.find("cleo").await.unwrap();
        assert_eq!((cleo.first_name.as_deref(), cleo.status), (Some("Cleo"), AccountStatus::Active));
        assert_eq!(cleo.memberships.of("team"), [Ref::new("t2")]);
        assert_eq!(cleo.assignments.of("seat"), [Ref::new("s1"), Ref::new("s2")]);
        assert_eq!(cleo.extra["locker"], "9");
    }
}

#[tokio::test]
async fn create_only_adds_one_row() {
    let place = Place::usual();
    let payload = json!({"account": {"id": "u3", "email": "cy@example.org", "status": "suspended"}});
    place.run(Action::CreateAccount, payload).await.unwrap();
    assert_eq!(place.read("accounts.csv"), format!("{ACCOUNTS}u3,cy@example.org,,,,,suspended,,,,\n"));
}

#[tokio::test]
async fn create_result_names_fields_without_a_column() {
    let place = Place::usual();
    let payload = json!({"account": {"username": "cleo", "shoe_size": 38, "password": "hunter2"}});
    let completion = place.run(Action::CreateAccount, payload).await.unwrap();
    assert_eq!(completion.result["fields_without_column"], json!(["shoe_size"]));
    assert!(!place.read("accounts.csv").contains("hunter2"));
}

#[tokio::test]
async fn taken_id_username_or_email_is_refused_ignoring_case() {
    for place in [Place::usual(), Place::usual_jsonl()] {
        for account in [
            json!({"id": "U1", "username": "new"}),
            json!({"username": "ANN"}),
            json!({"username": "new", "email": "Bob@Example.org"}),
        ] {
            let error = place.run(Action::CreateAccount, json!({"account": account})).await.unwrap_err();
            assert_refused(&error, Code::AccountAlreadyExists, Subject::Account);
        }
    }
}

#[tokio::test]
async fn uppercase_names_in_the_file_count_as_taken() {
    let place = Place::usual();
    place.write("accounts.csv", "id,email,username\nU1,ANN@Example.org,Ann\n");
    for account in [
        json!({"id": "u1", "username": "new"}),
        json!({"username": "ann"}),
        json!({"username": "new", "email": "ann@example.org"}),
    ] {
        let error = place.run(Action::CreateAccount, json!({"account": account})).await.unwrap_err();
        assert_refused(&error, Code::AccountAlreadyExists, Subject::Account);
    }
}

#[tokio::test]
async fn missing_group_is_not_account_not_found() {
    for place in [Place::usual(), Place::usual_jsonl()] {
        let before = place.names();
        for (account, memberships, subject) in [
            (json!({"username": "cleo"}), json!({"team": ["t1", "t9"]}), Subject::Group),
            (json!({"username": "cleo"}), json!({"seat": ["s9"]}), Subject::License),
            (json!({"username": "cleo"}), json!({"squad": ["x"]}), Subject::Group),
        ] {
            let payload = json!({"account": account, "memberships": memberships});
            let error = place.run(Action::CreateAccount, payload).await.unwrap_err();
            assert_refused(&error, Code::InternalError, subject);
        }
        let payload = json!({"account": {"id": "u1"}, "memberships": {"team": ["t9"]}});
        let error = place.run(Action::UpdateAccount, payload).await.unwrap_err();
        assert_refused(&error, Code::InternalError, Subject::Group);
        assert!(error.message().contains("Team t9 not found in acme-hr (team."), "{error}");
        assert!(place.find("cleo").await.is_none());
        assert_eq!(before.len() + 1, place.names().len(), "only the lock has come");
    }
}

#[tokio::test]
async fn license_without_free_seats_is_exhausted_unless_held() {
    for place in [Place::usual(), Place::usual_jsonl()] {
        let assign = |id: &str, seats: serde_json::Value| {
            place.run(Action::UpdateAccount, json!({"account": {"id": id}, "memberships": {"seat": seats}}))
        };
        assign("u1", json!(["s1", "s2"])).await.unwrap();
        let error = assign("u2", json!(["s2"])).await.unwrap_err();
        assert_refused(&error, Code::LicenseExhausted, Subject::License);
        assert!(
            error.message().contains("s2") && error.message().contains("bob")
                || error.message().contains("u2")
        );
        assign("u1", json!(["s2"])).await.unwrap();
        assign("u1", json!([])).await.unwrap();
        assign("u2", json!(["s2"])).await.unwrap();
    }
}

#[tokio::test]
async fn seats_of_a_license_type_run_out_and_can_be_released() {
    let files = [("accounts.csv", ACCOUNTS), ("team.csv", TEAMS), ("license-seat.csv", SEATS)];
    let seats = json!([{"slug": "seat", "file": "license-seat.csv", "seats": 1}]);
    let place = Place::with(&files, &json!({"licenses": seats}));
    let create = |name: &str| {
        let payload = json!({"account": {"username": name}, "memberships": {"seat": ["s1"]}});
        place.run(Action::CreateAccount, payload)
    };
    assert_refused(&create("cleo").await.unwrap_err(), Code::LicenseExhausted, Subject::License);
    let payload = json!({"account": {"id": "u1"}, "memberships": {"seat": ["s2"]}});
    place.run(Action::UpdateAccount, payload).await.unwrap();
    let payload = json!({"account": {"id": "u1"}, "memberships": {"seat": []}});
    place.run(Action::UpdateAccount, payload).await.unwrap();
    create("cleo").await.unwrap();
    assert_refused(&create("dan").await.unwrap_err(), Code::LicenseExhausted, Subject::License);
}

#[tokio::test]
async fn over_assigned_license_can_be_released() {
    let accounts = "id,username,seat\nu1,ann,s1;s2\nu2,bob,s1\n";
    let files = [("accounts.csv", accounts), ("license-seat.csv", SEATS)];
    let seats = json!([{"slug": "seat", "file": "license-seat.csv", "seats": 1}]);
    let place = Place::with(&files, &json!({"licenses": seats}));
    let assign = |seats: serde_json::Value| {
        place.run(Action::UpdateAccount, json!({"account": {"id": "u1"}, "memberships": {"seat": seats}}))
    };
    assign(json!(["s2"])).await.unwrap();
    let error = assign(json!(["s1", "s2"])).await.unwrap_err();
    assert_refused(&error, Code::LicenseExhausted, Subject::License);
    assign(json!([])).await.unwrap();
}

#[tokio::test]
async fn update_sets_named_fields_and_null_clears() {
    for place in [Place::usual(), Place::usual_jsonl()] {
        let payload = json!({
            "account": {"username": "ANN"},
            "changes": {"last_name": "Açores", "first_name": null, "email": "a2@example.org", "locker": "none", "id": "u1"},
            "memberships": {"team": ["t2"]},
        });
        place.run(Action::UpdateAccount, payload).await.unwrap();
        let ann = place.find("u1").await.unwrap();
        assert_eq!((ann.first_name, ann.last_name.as_deref()), (None, Some("Açores")));
        assert_eq!(ann.email.as_deref(), Some("a2@example.org"));
        assert_eq!(ann.extra["locker"], "none");
        assert_eq!(ann.memberships.of("team"), [Ref::new("t2")]);
        assert_eq!(ann.assignments.of("seat"), [Ref::new("s1")], "a type that is not named stays");
    }
}

#[tokio::test]
async fn invalid_update_changes_nothing() {
    let place = Place::usual();
    for (changes, part) in [
        (json!({"shoe_size": 38}), "shoe_size must be a column"),
        (json!({"id": "u9"}), "identifier never changes"),
        (json!({"status": "on_leave"}), "status must be one of"),
        (json!({"email": null, "username": ""}), "at least one of email and username"),
        (json!({"password": "hunter2"}), "secrets are never written"),
        (json!({"first_name": ["x"]}), "must be text"),
        (json!({"first_name": "a\u{0}b"}), "without a NUL"),
        (json!({"locker": {"no": 7}}), "locker must be text"),
    ] {
        let payload = json!({"account": {"id": "u1"}, "changes": changes});
        let error = place.run(Action::UpdateAccount, payload).await.unwrap_err();
        assert_refused(&error, Code::InternalError, Subject::Account);
        assert!(error.message().contains(part) && !error.message().contains("hunter2"), "{error}");
        assert_eq!(place.read("accounts.csv"), ACCOUNTS);
    }
    let payload = json!({"account": {"id": "u1"}, "changes": {"email": "BOB@example.org"}});
    let error = place.run(Action::UpdateAccount, payload).await.unwrap_err();
    assert_refused(&error, Code::AccountAlreadyExists, Subject::Account);
}

#[tokio::test]
async fn row_too_long_to_read_back_is_not_written() {
    for (place, file) in [(Place::usual(), "accounts.csv"), (Place::usual_jsonl(), "accounts.jsonl")] {
        let before = place.read(file);
        let long = "x".repeat(1024 * 1024);
        let payload = json!({"account": {"id": "u1"}, "changes": {"first_name": long}});
        let error = place.run(Action::UpdateAccount, payload).await.unwrap_err();
        assert_refused(&error, Code::InternalError, Subject::Account);
        let payload = json!({"account": {"username": "cleo", "first_name": long}});
        place.run(Action::CreateAccount, payload).await.unwrap_err();
        assert_eq!(place.read(file), before);
        let almost = "x".repeat(1024 * 1024 - 400);
        let payload = json!({"account": {"id": "u1"}, "changes": {"first_name": almost}});
        place.run(Action::UpdateAccount, payload).await.unwrap();
        assert_eq!(place.find("u1").await.unwrap().first_name.map(|name| name.len()), Some(almost.len()));
    }
}

#[tokio::test]
async fn suspend_and_unsuspend_are_idempotent() {
    for place in [Place::usual(), Place::usual_jsonl()] {
        for (action, status) in [
            (Action::SuspendAccount, AccountStatus::Suspended),
            (Action::SuspendAccount, AccountStatus::Suspended),
            (Action::UnsuspendAccount, AccountStatus::Active),
            (Action::UnsuspendAccount, AccountStatus::Active),
        ] {
            place.run(action, json!({"account": {"email": "ANN@example.org"}})).await.unwrap();
            assert_eq!(place.find("u1").await.unwrap().status, status);
        }
    }
}

#[tokio::test]
async fn delete_removes_only_that_account() {
    let place = Place::usual();
    place.run(Action::DeleteAccount, json!({"account": {"id": "u1"}})).await.unwrap();
    let rest: Vec<_> = ACCOUNTS.lines().filter(|line| !line.starts_with("u1")).collect();
    assert_eq!(place.read("accounts.csv"), rest.join("\n") + "\n");
    assert!(place.find("u1").await.is_none());
}

#[tokio::test]
async fn deleting_the_last_account_leaves_an_empty_listing() {
    for (place, rest) in [(Place::usual(), 1), (Place::usual_jsonl(), 0)] {
        for id in ["u1", "u2"] {
            place.run(Action::DeleteAccount, json!({"account": {"id": id}})).await.unwrap();
        }
        let (records, rejected) = place.list("account").await.unwrap();
        assert!(records.is_empty() && rejected.is_empty());
        let file = if rest == 1 { "accounts.csv" } else { "accounts.jsonl" };
        assert!(place.read(file).ends_with('\n'));
        place.run(Action::CreateAccount, json!({"account": {"username": "ann"}})).await.unwrap();
        assert_eq!(place.list("account").await.unwrap().0.len(), 1);
    }
}

#[tokio::test]
async fn password_reset_stores_the_time_but_not_the_password() {
    for (place, file) in [(Place::usual(), "accounts.csv"), (Place::usual_jsonl(), "accounts.jsonl")] {
        let payload = json!({"account": {"id": "u1"}, "changes": {"password": "hunter2"}});
        let completion = place.run(Action::ResetPassword, payload).await.unwrap();
        let when = completion.result["password_changed_at"].as_str().unwrap().to_owned();
        assert!(when.ends_with('Z') && when.len() == "2026-01-01T00:00:00Z".len(), "{when}");
        assert!(!place.read(file).contains("hunter2") && !format!("{completion:?}").contains("hunter2"));
        assert_eq!(place.find("u1").await.unwrap().extra["password_changed_at"], when);
    }
}

#[tokio::test]
async fn every_action_reports_a_missing_account() {
    for place in [Place::usual(), Place::usual_jsonl()] {
        for action in Action::ALL.iter().copied().filter(|action| *action != Action::CreateAccount) {
            let error = place.run(action, json!({"account": {"id": "ext-123"}})).await.unwrap_err();
            assert_refused(&error, Code::AccountNotFound, Subject::Account);
            assert_eq!(error.retry(), Retry::Never);
            assert!(error.message().starts_with("User ext-123 not found in acme-hr"), "{error}");
        }
    }
}

#[tokio::test]
async fn unreadable_row_may_be_the_requested_account() {
    let place = Place::usual();
    place.write("accounts.csv", format!("{ACCOUNTS}u3,dan@example.org,dan\n"));
    let by_name = |name: &str| Account::by_username(name);
    let error = place.connector.find_account(&by_name("DAN")).await.unwrap_err();
    assert!(error.message().contains("accounts.csv line 4 cannot be read and may be DAN"), "{error}");
    let error = place.run(Action::CreateAccount, json!({"account": {"username": "dan"}})).await.unwrap_err();
    assert_refused(&error, Code::InternalError, Subject::Account);
    // Other accounts are not affected.
    assert_eq!(place.connector.find_account(&by_name("eve")).await.unwrap(), None);
    place.run(Action::CreateAccount, json!({"account": {"username": "eve"}})).await.unwrap();
    place.run(Action::SuspendAccount, json!({"account": {"id": "u1"}})).await.unwrap();
    assert!(place.read("accounts.csv").contains("\nu3,dan@example.org,dan\n"));
}

#[tokio::test]
async fn ambiguous_rows_for_one_account_are_an_error() {
    let place = Place::usual();
    place.write("accounts.csv", "id,username\nu1,ann\nu2,Ann\n");
    let error = place.run(Action::DeleteAccount, json!({"account": {"username": "ann"}})).await.unwrap_err();
    assert!(error.message().contains("lines 2 and 3 are both ann"), "{error}");
    place.run(Action::DeleteAccount, json!({"account": {"id": "u2"}})).await.unwrap();
    assert_eq!(place.read("accounts.csv"), "id,username\nu1,ann\n");
}

#[tokio::test]
async fn names_in_another_unicode_form_are_the_same_and_ambiguous_if_both_exist() {
    let (one, other) = ("Jos\u{e9}", "Jose\u{301}");
    for name in ["accounts.csv", "accounts.jsonl"] {
        for (there, asked) in [(one, other), (other, one)] {
            let is_csv = name.ends_with("csv");
            let line = |id: &str, username: &str| {
                if is_csv {
                    format!("{id},{username}\n")
                } else {
                    json!({"id": id, "username": username}).to_string() + "\n"
                }
            };
            let header = if is_csv { "id,username\n" } else { "" };
            let file = |lines: &[String]| format!("{header}{}", lines.concat());
            let place = Place::with(&[(name, &file(&[line("u1", there), line("u2", "jose")]))], &json!({}));
            let before = place.read(name);
            // A create must not make a second account that looks the same.
            let create = json!({"account": {"id": "u9", "username": asked}});
            let error = place.run(Action::CreateAccount, create).await.unwrap_err();
            assert_refused(&error, Code::AccountAlreadyExists, Subject::Account);
            let rename = json!({"account": {"id": "u2"}, "changes": {"username": asked.to_uppercase()}});
            let error = place.run(Action::UpdateAccount, rename).await.unwrap_err();
            assert!(error.message().contains("u1"), "{error}");
            assert_eq!(place.read(name), before);
            let found = place.connector.find_account(&Account::by_username(asked)).await.unwrap().unwrap();
            assert_eq!((found.id.as_str(), found.username.as_deref()), ("u1", Some(there)));
            // Neither of two accounts that look the same is chosen.
            place.write(name, file(&[line("u1", there), line("u2", asked)]));
            let before = place.read(name);
            for account in [json!({"username": one}), json!({"username": other})] {
                let delete = json!({"account": account});
                let error = place.run(Action::DeleteAccount, delete).await.unwrap_err();
                assert!(error.message().contains("are both"), "{error}");
            }
            assert_eq!(place.read(name), before);
            place.run(Action::DeleteAccount, json!({"account": {"id": "u2"}})).await.unwrap();
            assert!(place.read(name).contains(there) && !place.read(name).contains(asked));
        }
    }
}

#[tokio::test]
async fn missing_or_damaged_folder_is_a_connection_error() {
    let place = Place::usual();
    let suspend = || place.run(Action::SuspendAccount, json!({"account": {"id": "u1"}}));
    for (content, part) in [
        ("", "the file is empty"),
        ("name,team\nx,y\n", "no column 'id'"),
        ("id,username\nu1,\"ann\n", "a quote is never closed"),
        ("id,username\nu1,ann", "the last line has no line break"),
    ] {
        place.write("accounts.csv", content);
        for error in [
            suspend().await.unwrap_err(),
            place.connector.find_account(&Account::by_id("u1")).await.unwrap_err(),
            place.connector.check().await.unwrap_err(),
        ] {
            assert_refused(&error, Code::InternalError, Subject::Connection);
            assert_eq!(error.retry(), Retry::Backoff);
            assert!(error.message().contains(part), "{error}");
        }
        assert_eq!(place.read("accounts.csv"), content);
    }
    std::fs::remove_file(place.path("accounts.csv")).unwrap();
    let error = suspend().await.unwrap_err();
    assert_refused(&error, Code::InternalError, Subject::Connection);
    let nowhere = crate::support::connector(&place.path("nowhere"), &json!({}));
    for error in [nowhere.check().await.unwrap_err(), nowhere.describe().await.unwrap_err()] {
        assert_refused(&error, Code::InternalError, Subject::Connection);
    }
    let error = crate::support::run(&nowhere, Action::DeleteAccount, json!({"account": {"id": "u1"}}))
        .await
        .unwrap_err();
    assert_refused(&error, Code::InternalError, Subject::Connection);
}

#[tokio::test]
async fn actions_without_columns_are_not_declared() {
    let place = Place::usual();
    let description = place.connector.describe().await.unwrap();
    assert_eq!(description.actions, Action::ALL.iter().copied().collect());
    let types: Vec<_> = description.resource_types.iter().map(|one| one.slug.as_str()).collect();
    assert_eq!(types, ["team", "seat", "account"]);

    place.write("accounts.csv", "id,username\nu1,ann\n");
    let description = place.connector.describe().await.unwrap();
    let rest = [Action::CreateAccount, Action::UpdateAccount, Action::DeleteAccount];
    assert_eq!(description.actions, rest.into());
    let error = place.run(Action::SuspendAccount, json!({"account": {"id": "u1"}})).await.unwrap_err();
    assert!(error.message().contains("status must be a column of the file"), "{error}");
}

#[tokio::test]
async fn read_only_folder_has_no_actions_and_is_never_written() {
    let place = Place::with(&[("accounts.csv", ACCOUNTS)], &json!({"read_only": true}));
    assert!(place.connector.describe().await.unwrap().actions.is_empty());
    place.connector.check().await.unwrap();
    place.run(Action::DeleteAccount, json!({"account": {"id": "u1"}})).await.unwrap_err();
    assert_eq!(place.names(), ["accounts.csv"]);
    assert_eq!(place.read("accounts.csv"), ACCOUNTS);
}

#[tokio::test]
async fn check_leaves_no_files() {
    let place = Place::usual();
    let before = place.names();
    place.connector.check().await.unwrap();
    assert_eq!(place.names(), before);
}

#[test]
fn schema_describes_every_key() {
    let schema = bridgehead_file::factory().schema();
    for (key, property) in schema["properties"].as_object().unwrap() {
        let described = property["description"].is_string()
            || property["$ref"].is_string()
            || property["anyOf"].is_array();
        assert!(described, "{key}");
    }
}

#[tokio::test]
async fn update_with_a_password_is_refused_wherever_the_task_has_it() {
    let place = Place::usual();
    for task in [
        json!({"account": {"id": "u1"}, "changes": {"first_name": "Anna", "new_password": "hunter22"}}),
        json!({"account": {"id": "u1", "password": "hunter22"}, "changes": {"first_name": "Anna"}}),
        json!({"account": {"id": "u1"}, "password": "hunter22", "changes": {"first_name": "Anna"}}),
    ] {
        let error = place.run(Action::UpdateAccount, task).await.unwrap_err();
        assert_eq!((error.code(), error.effect()), (Code::InternalError, Effect::NotApplied), "{error}");
        assert!(
            error.message().contains("reset_password") && !error.message().contains("hunter22"),
            "{error}"
        );
        assert_eq!(place.read("accounts.csv"), ACCOUNTS);
    }
}
