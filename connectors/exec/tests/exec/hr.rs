//! The example connector and its configuration, as they are in `config/examples`.

use std::path::PathBuf;
use std::sync::Arc;

use bridgehead_sdk::{
    Account, AccountStatus, Action, Code, Connector, Cursor, Effect, Error, Redactor, Ref, ResourceKind,
    ResourceType, Retry, Subject,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::script::{build, context, operation};

fn examples() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../config/examples")
}

/// The `target` of an example, without the keys that the runtime handles.
fn target(configuration: &str) -> Value {
    let text = std::fs::read_to_string(examples().join(configuration)).unwrap();
    let configuration: Value = toml::from_str(&text).unwrap();
    let app = &configuration["apps"]["acme-hr"];
    assert_eq!(app["connector"], "exec");
    let mut target = app["target"].clone();
    target.as_object_mut().unwrap().shift_remove("rate_limit");
    target
}

struct Hr {
    connector: Arc<dyn Connector>,
    folder: TempDir,
}

impl Hr {
    fn new(program: &str, configuration: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in [program, "hr.json"] {
            std::fs::copy(examples().join(name), folder.path().join(name)).unwrap();
        }
        let connector = build(folder.path(), target(configuration), &Redactor::new());
        Self { connector, folder }
    }

    /// The examples in Python and in Node.js, which behave the same.
    fn in_each_language() -> [Self; 2] {
        [Self::new("hr.py", "exec.toml"), Self::new("hr.mjs", "exec-node.toml")]
    }

    async fn execute(&self, action: Action, payload: Value) -> Result<Value, Error> {
        let completion = self.connector.execute(&context(), &operation(action, payload)).await;
        completion.map(|completion| Value::Object(completion.result))
    }

    async fn find(&self, id: &str) -> Option<bridgehead_sdk::AccountRecord> {
        self.connector.find_account(&Account::by_id(id)).await.unwrap()
    }

    async fn create(&self, payload: Value) -> String {
        let result = self.execute(Action::CreateAccount, payload).await.unwrap();
        result["account_id"].as_str().unwrap().to_owned()
    }

    fn file(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("hr.json")).unwrap()
    }
}

#[tokio::test]
async fn all_six_actions_work() {
    for hr in Hr::in_each_language() {
        hr.connector.check().await.unwrap();
        assert_eq!(hr.connector.describe().await.unwrap().actions, Action::ALL.iter().copied().collect());

        let id = hr
        .create(json!({
            "account": {"username": "grace", "email": "grace@example.org", "first_name": "Grace 🦀", "password": "first-password"},
            "memberships": {"team": ["t1", {"id": "t2", "name": "Sales"}], "seat": ["s1"]},
        }))
        .await;
        let found = hr.find(&id).await.unwrap();
        assert_eq!(found.first_name.as_deref(), Some("Grace 🦀"));
        assert_eq!(found.memberships.of("team"), [Ref::new("t1"), Ref::new("t2")]);
        assert_eq!(found.assignments.of("seat"), [Ref::new("s1")]);
        assert_eq!(found.status, AccountStatus::Active);

        let changes = json!({"account": {"id": id}, "changes": {"last_name": "Example", "first_name": null}, "memberships": {"team": []}});
        hr.execute(Action::UpdateAccount, changes).await.unwrap();
        let found = hr.find(&id).await.unwrap();
        assert_eq!((found.first_name, found.last_name.as_deref()), (None, Some("Example")));
        assert!(found.memberships.is_empty());
        assert_eq!(found.assignments.of("seat"), [Ref::new("s1")]);

        for (action, status) in [
            (Action::SuspendAccount, AccountStatus::Suspended),
            (Action::SuspendAccount, AccountStatus::Suspended),
            (Action::UnsuspendAccount, AccountStatus::Active),
        ] {
            // By email, in a different case.
            hr.execute(action, json!({"account": {"email": "GRACE@example.org"}})).await.unwrap();
            assert_eq!(hr.find(&id).await.unwrap().status, status);
        }

        let before = hr.file();
        let reset = json!({"account": {"id": id}, "changes": {"new_password": "second-password"}});
        hr.execute(Action::ResetPassword, reset).await.unwrap();
        assert_ne!(hr.file(), before);
        assert!(!hr.file().contains("first-password") && !hr.file().contains("second-password"));

        hr.execute(Action::DeleteAccount, json!({"account": {"id": id}})).await.unwrap();
        assert_eq!(hr.find(&id).await, None);
        assert!(!hr.file().contains(&id), "something of the account is left");
    }
}

#[tokio::test]
async fn every_failure_has_its_exact_code() {
    for hr in Hr::in_each_language() {
        for action in [
            Action::UpdateAccount,
            Action::DeleteAccount,
            Action::SuspendAccount,
            Action::UnsuspendAccount,
            Action::ResetPassword,
        ] {
            let error = hr.execute(action, json!({"account": {"id": "ext-123"}})).await.unwrap_err();
            assert_eq!(error.code(), Code::AccountNotFound, "{action}");
            assert_eq!(error.message(), "User ext-123 not found in acme-hr");
        }
        for account in [json!({"username": "ADA"}), json!({"username": "new", "email": "Ada@Example.org"})] {
            let error = hr.execute(Action::CreateAccount, json!({ "account": account })).await.unwrap_err();
            assert_eq!(error.code(), Code::AccountAlreadyExists);
        }
        let payload = json!({"account": {"username": "new"}, "memberships": {"team": ["t9"]}});
        let error = hr.execute(Action::CreateAccount, payload).await.unwrap_err();
        assert_eq!((error.code(), error.subject()), (Code::InternalError, Subject::Group));
        assert_eq!(error.effect(), Effect::NotApplied);
        // Three seats, one of them taken.
        for name in ["a", "b"] {
            hr.create(json!({"account": {"username": name}, "memberships": {"seat": ["s1"]}})).await;
        }
        let payload = json!({"account": {"username": "c"}, "memberships": {"seat": ["s1"]}});
        let error = hr.execute(Action::CreateAccount, payload).await.unwrap_err();
        assert_eq!((error.code(), error.subject()), (Code::LicenseExhausted, Subject::License));
        let unchanged = json!({"account": {"username": "b"}, "memberships": {"seat": ["s1"]}});
        hr.execute(Action::UpdateAccount, unchanged).await.unwrap();
    }
}

#[tokio::test]
async fn update_to_a_taken_name_is_refused() {
    for hr in Hr::in_each_language() {
        let id = hr.create(json!({"account": {"username": "grace", "email": "grace@example.org"}})).await;
        let before = hr.file();
        for changes in [json!({"username": "ADA"}), json!({"email": "Ada@example.org"})] {
            let payload = json!({"account": {"id": id}, "changes": changes});
            let error = hr.execute(Action::UpdateAccount, payload).await.unwrap_err();
            assert_eq!(error.code(), Code::AccountAlreadyExists, "{error}");
        }
        let own = json!({"account": {"id": id}, "changes": {"username": "GRACE"}});
        hr.execute(Action::UpdateAccount, own).await.unwrap();
        assert!(hr.file() != before);
    }
}

#[tokio::test]
async fn unsupported_values_are_refused_without_changes() {
    for hr in Hr::in_each_language() {
        let before = hr.file();
        for payload in [
            json!({"account": {"username": "new"}, "changes": {"first_name": ["N"]}}),
            json!({"account": {"username": "new", "display_name": "N"}, "changes": {"title": "Boss"}}),
            json!({"account": {"username": "new", "status": "dormant"}}),
            json!({"account": {"username": "new"}, "memberships": {"ship": ["x"]}}),
        ] {
            let error = hr.execute(Action::CreateAccount, payload.clone()).await.unwrap_err();
            assert_eq!(
                (error.code(), error.effect()),
                (Code::InternalError, Effect::NotApplied),
                "{payload}"
            );
        }
        for changes in [
            json!({"title": "Boss"}),
            json!({"display_name": 5}),
            json!({"status": "gone"}),
            json!({"username": null, "email": null}),
        ] {
            let payload = json!({"account": {"id": "e-1"}, "changes": changes});
            let error = hr.execute(Action::UpdateAccount, payload.clone()).await.unwrap_err();
            assert_eq!(
                (error.code(), error.effect()),
                (Code::InternalError, Effect::NotApplied),
                "{payload}"
            );
        }
        let error = hr.execute(Action::ResetPassword, json!({"account": {"id": "e-1"}})).await.unwrap_err();
        assert_eq!(error.effect(), Effect::NotApplied);
        assert_eq!(hr.file(), before);
    }
}

#[tokio::test]
async fn create_applies_status_and_password_from_any_place() {
    for hr in Hr::in_each_language() {
        let mut digests = 0;
        for (name, payload) in [
            (
                "a",
                json!({"account": {"username": "a", "status": "suspended", "new_password": "one-password"}}),
            ),
            ("b", json!({"account": {"username": "b", "status": "suspended"}, "password": "one-password"})),
            (
                "c",
                json!({"account": {"username": "c"}, "changes": {"status": "suspended", "password": "one-password"}}),
            ),
        ] {
            let id = hr.create(payload).await;
            assert_eq!(hr.find(&id).await.unwrap().status, AccountStatus::Suspended, "{name}");
            let data: Value = serde_json::from_str(&hr.file()).unwrap();
            digests += 1;
            assert_eq!(data["password"].as_object().unwrap().len(), digests, "{name}");
        }
        // A task without a password does not change the password.
        let before: Value = serde_json::from_str(&hr.file()).unwrap();
        let payload = json!({"account": {"username": "a", "password": "another"}});
        hr.execute(Action::SuspendAccount, payload).await.unwrap();
        let after: Value = serde_json::from_str(&hr.file()).unwrap();
        assert_eq!(before["password"], after["password"]);
    }
}

#[tokio::test]
async fn create_result_names_unknown_fields() {
    for hr in Hr::in_each_language() {
        let payload = json!({"account": {"username": "new", "shoe_size": "38", "display_name": null}});
        let result = hr.execute(Action::CreateAccount, payload).await.unwrap();
        assert_eq!(result["fields_not_kept"], json!(["shoe_size"]));
        let plain =
            hr.execute(Action::CreateAccount, json!({"account": {"username": "plain"}})).await.unwrap();
        assert!(plain.get("fields_not_kept").is_none(), "{plain}");
    }
}

#[tokio::test]
async fn repeated_attempt_does_not_adopt_an_existing_account() {
    for hr in Hr::in_each_language() {
        let payload = json!({"account": {"username": "ada", "email": "ada@example.org"}});
        for context in [context().with_attempt(2), context().with_may_have_applied(true)] {
            let error =
                hr.connector.execute(&context, &operation(Action::CreateAccount, payload.clone())).await;
            assert_eq!(error.unwrap_err().code(), Code::AccountAlreadyExists);
        }
    }
}

#[tokio::test]
async fn missing_file_is_an_unreachable_target() {
    for hr in Hr::in_each_language() {
        std::fs::remove_file(hr.folder.path().join("hr.json")).unwrap();
        let account = ResourceType::account("account", "Account");
        let errors = [
            hr.connector.check().await.unwrap_err(),
            hr.connector.list(&account, None).await.unwrap_err(),
            hr.connector.find_account(&Account::by_id("e-1")).await.unwrap_err(),
            hr.execute(Action::DeleteAccount, json!({"account": {"id": "e-1"}})).await.unwrap_err(),
        ];
        for error in errors {
            assert_eq!((error.subject(), error.retry()), (Subject::Connection, Retry::Backoff), "{error}");
            assert_eq!(error.effect(), Effect::NotApplied);
        }
    }
}

#[tokio::test]
async fn broken_file_is_an_error_and_the_process_survives() {
    for hr in Hr::in_each_language() {
        let good = hr.file();
        let path = hr.folder.path().join("hr.json");
        std::fs::write(&path, "{").unwrap();
        let error = hr.execute(Action::DeleteAccount, json!({"account": {"id": "e-1"}})).await.unwrap_err();
        assert_eq!((error.code(), error.effect()), (Code::InternalError, Effect::Unknown));
        std::fs::write(&path, good).unwrap();
        assert!(hr.find("e-1").await.is_some());
    }
}

#[tokio::test]
async fn every_record_is_listed_once_across_pages() {
    for hr in Hr::in_each_language() {
        let mut data: Value = serde_json::from_str(&hr.file()).unwrap();
        for number in 0..249 {
            let id = format!("n-{number}");
            data["account"][&id] = json!({"id": id, "username": id});
        }
        std::fs::write(hr.folder.path().join("hr.json"), data.to_string()).unwrap();
        let types = hr.connector.describe().await.unwrap().resource_types;
        let mut counts = Vec::new();
        for resource_type in &types {
            let mut ids = std::collections::BTreeSet::new();
            let mut cursor: Option<Cursor> = None;
            let mut pages = 0;
            loop {
                let page = hr.connector.list(resource_type, cursor.as_ref()).await.unwrap();
                assert!(page.rejected.is_empty());
                for record in &page.records {
                    assert!(ids.insert(record.id().to_owned()), "{} twice", record.id());
                }
                pages += 1;
                cursor = page.next;
                if cursor.is_none() {
                    break;
                }
            }
            counts.push((resource_type.kind, ids.len(), pages));
        }
        assert_eq!(
            counts,
            [(ResourceKind::Group, 2, 1), (ResourceKind::License, 1, 1), (ResourceKind::Account, 250, 3)]
        );
    }
}

#[test]
fn example_runs_by_hand_and_exits_at_end_of_input() {
    use std::io::Write;
    let mut child = std::process::Command::new("python3")
        .arg("hr.py")
        .current_dir(examples())
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let lines = [
        json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocol": 1, "app": "hr", "settings": {"path": "hr.json"}}}),
        json!({"jsonrpc": "2.0", "id": 2, "method": "find_account", "params": {"account": {"email": "ada@example.org"}}}),
    ];
    for line in &lines {
        writeln!(stdin, "{line}").unwrap();
    }
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let answers: Vec<Value> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(answers.len(), 2);
    assert_eq!(answers[1]["result"]["id"], "e-1");
}

#[test]
fn examples_stay_short() {
    for (name, most) in [("hr.py", 125), ("hr.mjs", 140)] {
        let lines = std::fs::read_to_string(examples().join(name)).unwrap().lines().count();
        assert!(lines <= most, "{name}: {lines}");
    }
}
