//! The effects of the six actions on the fake application.

use bridgehead_sdk::{AccountStatus, Action, Code, Effect, Error, Retry, Subject};
use serde_json::{Value, json};
use wiremock::ResponseTemplate;

use crate::fake::{Fake, answer};
use crate::support::{account, build, execute, set};

fn parts(error: &Error) -> (Code, Effect, Retry, Subject) {
    (error.code(), error.effect(), error.retry(), error.subject())
}

fn create(fields: Value) -> (Action, Value) {
    (Action::CreateAccount, fields)
}

#[tokio::test]
async fn account_is_created_found_updated_and_deleted() {
    let fake = Fake::start().await;
    let connector = build(&fake.target()).unwrap();
    let payload = json!({
        "account": { "username": "ann", "email": "ann@example.com", "password": "Quiet-Harbour-77" },
        "memberships": { "team": ["t1", "a/b ü"] },
    });
    let completion = execute(&connector, Action::CreateAccount, payload).await.unwrap();
    assert_eq!(completion.result, *json!({ "account_id": "1" }).as_object().unwrap());
    let found = connector.find_account(&account(json!({ "username": "ANN" }))).await.unwrap().unwrap();
    assert_eq!((found.id.as_str(), found.email.as_deref()), ("1", Some("ann@example.com")));
    let teams: Vec<&str> = found.memberships.of("team").iter().map(|team| team.id.as_str()).collect();
    assert_eq!(teams, ["a/b ü", "t1"]);
    let payload = json!({
        "account": { "id": "1" }, "memberships": { "team": ["t2"] },
        "changes": { "display_name": "Ann \"the\\ one\"", "title": null, "first_name": "Ann" },
    });
    execute(&connector, Action::UpdateAccount, payload).await.unwrap();
    execute(&connector, Action::SuspendAccount, json!({ "account": { "email": "ANN@example.com" } }))
        .await
        .unwrap();
    let found = connector.find_account(&account(json!({ "id": "1" }))).await.unwrap().unwrap();
    assert_eq!(found.display_name.as_deref(), Some("Ann \"the\\ one\""));
    assert_eq!(found.status, AccountStatus::Suspended);
    assert_eq!(found.memberships.of("team").len(), 1);
    fake.asked();
    execute(&connector, Action::DeleteAccount, json!({ "account": { "id": "1" } })).await.unwrap();
    assert_eq!(fake.asked(), ["GET /api/users/1", "GET /api/users/1/teams", "DELETE /api/users/1"]);
    assert_eq!(connector.find_account(&account(json!({ "id": "1" }))).await.unwrap(), None);
}

#[tokio::test]
async fn existing_account_is_not_overwritten_by_create() {
    let fake = Fake::start().await;
    fake.state().add("ann");
    let connector = build(&fake.target()).unwrap();
    let (action, payload) = create(json!({ "account": { "username": "Ann" } }));
    let error = execute(&connector, action, payload).await.unwrap_err();
    assert_eq!(error.message(), "User Ann already exists in app, as 1");
    assert_eq!(
        parts(&error),
        (Code::AccountAlreadyExists, Effect::NotApplied, Retry::Never, Subject::Account)
    );
    assert!(!fake.asked().iter().any(|asked| asked.starts_with("POST")));
    // Another client created the account between the look-up and the request.
    fake.instead("GET /api/users", answer(200, json!({ "items": [] })));
    let error = execute(&connector, Action::CreateAccount, json!({ "account": { "username": "ann" } }))
        .await
        .unwrap_err();
    assert_eq!(
        parts(&error),
        (Code::AccountAlreadyExists, Effect::NotApplied, Retry::Never, Subject::Account)
    );
}

#[tokio::test]
async fn missing_group_is_detected_before_create() {
    let fake = Fake::start().await;
    let mut target = fake.target();
    for find in [true, false] {
        if !find {
            set(&mut target, "groups.0.find", Value::Null);
        }
        let connector = build(&target).unwrap();
        for team in ["t9", "..", "t1/../t2"] {
            let payload =
                json!({ "account": { "username": "ann" }, "memberships": { "team": ["t1", team] } });
            let error = execute(&connector, Action::CreateAccount, payload).await.unwrap_err();
            assert_eq!(
                parts(&error),
                (Code::InternalError, Effect::NotApplied, Retry::Never, Subject::Group),
                "{error}"
            );
            assert_eq!(error.message(), format!("User ann cannot be created: Team {team} not found in app"));
        }
        let payload = json!({ "account": { "username": "ann" }, "memberships": { "squad": ["t1"] } });
        let error = execute(&connector, Action::CreateAccount, payload).await.unwrap_err();
        assert_eq!(error.subject(), Subject::Group);
    }
    assert!(!fake.asked().iter().any(|asked| asked.starts_with("POST") || asked.starts_with("PUT")));
}

#[tokio::test]
async fn failure_after_a_change_has_unknown_effect() {
    let fake = Fake::start().await;
    let connector = build(&fake.target()).unwrap();
    let task = || json!({ "account": { "username": "ann" }, "memberships": { "team": ["t1", "t2"] } });
    fake.instead("PUT /api/teams/t2/members/1", answer(404, json!({ "error": "no such team" })));
    let error = execute(&connector, Action::CreateAccount, task()).await.unwrap_err();
    // The missing record is not the account.
    assert_eq!(
        parts(&error),
        (Code::InternalError, Effect::Unknown, Retry::Never, Subject::Group),
        "{error}"
    );
    // The response to the creation is not usable.
    fake.state().users.clear();
    fake.instead("POST /api/users", ResponseTemplate::new(201).set_body_string("welcome hunter2"));
    let error = execute(&connector, Action::CreateAccount, task()).await.unwrap_err();
    assert_eq!(parts(&error), (Code::InternalError, Effect::Unknown, Retry::Backoff, Subject::Account));
    assert!(error.message().contains("answer.id") && !error.message().contains("hunter2"), "{error}");
    // The first request that makes a change is refused, so nothing was changed.
    fake.instead("POST /api/users", answer(400, json!({ "error": "hunter2" })));
    let error = execute(&connector, Action::CreateAccount, task()).await.unwrap_err();
    assert_eq!(parts(&error), (Code::InternalError, Effect::NotApplied, Retry::Never, Subject::Account));
    // It fails, and the effect is unknown.
    fake.instead("POST /api/users", answer(500, json!({})));
    let error = execute(&connector, Action::CreateAccount, task()).await.unwrap_err();
    assert_eq!(parts(&error), (Code::InternalError, Effect::Unknown, Retry::Backoff, Subject::Account));
    // Reading changes nothing, whether it succeeds or not.
    fake.instead("GET /api/users", answer(500, json!({})));
    let error = execute(&connector, Action::CreateAccount, task()).await.unwrap_err();
    assert_eq!(parts(&error), (Code::InternalError, Effect::NotApplied, Retry::Backoff, Subject::Account));
}

#[tokio::test]
async fn task_field_that_no_step_uses_is_an_error() {
    let fake = Fake::start().await;
    fake.state().add("ann");
    let mut target = fake.target();
    let connector = build(&target).unwrap();
    let update = |changes: Value| json!({ "account": { "id": "1" }, "changes": changes });
    let error = execute(&connector, Action::UpdateAccount, update(json!({ "last_name": "Smith" })))
        .await
        .unwrap_err();
    assert_eq!(parts(&error), (Code::InternalError, Effect::NotApplied, Retry::Never, Subject::Account));
    assert!(error.message().contains("does not define how to change last_name"), "{error}");
    // Fields that already have the requested value need no change.
    execute(&connector, Action::UpdateAccount, update(json!({ "username": "ann", "last_name": null })))
        .await
        .unwrap();
    // A status or a password that no step would send.
    let suspended = json!({ "account": { "username": "bob", "status": "suspended" } });
    let error = execute(&connector, Action::CreateAccount, suspended).await.unwrap_err();
    assert!(error.message().contains("account.status"), "{error}");
    set(
        &mut target,
        "reset_password",
        json!({ "steps": [{ "method": "POST", "path": "/users/{{ current.id }}/mail" }] }),
    );
    let reset = json!({ "account": { "id": "1", "password": "Quiet-Harbour-77" } });
    let error = execute(&build(&target).unwrap(), Action::ResetPassword, reset).await.unwrap_err();
    assert!(error.message().contains("`password`") && !error.message().contains("Quiet"), "{error}");
    // Memberships that no step changes.
    set(
        &mut target,
        "create_account.steps.1",
        json!({ "method": "PUT", "path": "/teams/t1/members/{{ saved.id }}" }),
    );
    let task = json!({ "account": { "username": "bob" }, "memberships": { "team": ["t1"] } });
    let error = execute(&build(&target).unwrap(), Action::CreateAccount, task).await.unwrap_err();
    assert_eq!(error.subject(), Subject::Group, "{error}");
    assert_eq!(fake.state().users.len(), 1);
}

#[tokio::test]
async fn skipped_step_for_what_the_target_does_not_show_is_an_error() {
    let fake = Fake::start().await;
    fake.state().add("ann");
    let mut target = fake.target();
    let step = |when: &str, json: Value| json!({ "steps": [{ "method": "POST", "path": "/users/{{ current.id }}/secret", "when": when, "json": json }] });
    set(
        &mut target,
        "reset_password",
        step("account.email is defined", json!({ "password": "{{ password }}" })),
    );
    let notes = step("changes | length > 1", json!({ "notes": "{{ changes.notes }}" }));
    set(&mut target, "update_account", notes);
    let connector = build(&target).unwrap();
    let reset = json!({ "account": { "id": "1", "password": "Quiet-Harbour-77" } });
    let error = execute(&connector, Action::ResetPassword, reset).await.unwrap_err();
    assert_eq!(parts(&error), (Code::InternalError, Effect::NotApplied, Retry::Never, Subject::Account));
    assert!(error.message().contains("no step of reset_password that sets the password was run"), "{error}");
    let update = json!({ "account": { "id": "1" }, "changes": { "notes": "x" } });
    let error = execute(&connector, Action::UpdateAccount, update).await.unwrap_err();
    assert!(
        error.message().contains("no step of update_account that sends changes.notes was run"),
        "{error}"
    );
    assert!(fake.asked().iter().all(|request| !request.contains("secret")));
}

#[tokio::test]
async fn missing_variable_is_named_and_nothing_is_sent() {
    let fake = Fake::start().await;
    let mut target = fake.target();
    set(&mut target, "create_account.steps.0.json.mail", json!("{{ account.email }}"));
    let (action, payload) = create(json!({ "account": { "username": "ann" } }));
    let error = execute(&build(&target).unwrap(), action, payload).await.unwrap_err();
    assert_eq!(
        error.message(),
        "User ann cannot be created: 'create_account.steps.0.json.mail' needs account.email, which is missing"
    );
    assert_eq!(error.effect(), Effect::NotApplied);
}

#[tokio::test]
async fn values_cannot_escape_headers_paths_or_bodies() {
    let fake = Fake::start().await;
    let mut target = fake.target();
    set(&mut target, "create_account.steps.0.headers", json!({ "X-Who": "{{ account.title }}" }));
    let connector = build(&target).unwrap();
    let task = |title: &str| json!({ "account": { "username": "a\"},{\"b", "title": title } });
    for title in ["Boss\r\nX-Key: stolen", "nul\0", "line\nbreak"] {
        let error = execute(&connector, Action::CreateAccount, task(title)).await.unwrap_err();
        assert!(error.message().contains("create_account.steps.0.headers.X-Who"), "{error}");
        assert!(!error.message().contains("stolen"), "{error}");
    }
    execute(&connector, Action::CreateAccount, task("Chèfe")).await.unwrap();
    let found = connector.find_account(&account(json!({ "username": "a\"},{\"b" }))).await.unwrap().unwrap();
    assert_eq!(found.extra["title"], "Chèfe");
    for hostile in ["..", ".", "1/../../teams", "1?x=y", "1#", "%2e%2e", "1/teams"] {
        let found = connector.find_account(&account(json!({ "id": hostile }))).await.unwrap();
        assert_eq!(found, None, "{hostile}");
    }
}

#[tokio::test]
async fn form_bodies_are_url_encoded() {
    let fake = Fake::start().await;
    fake.state().add("ann");
    let mut target = fake.target();
    let step = json!({ "method": "POST", "path": "/users/{{ current.id }}/lock",
        "form": { "who": "{{ current.username }}", "a&b": ["1", 2], "not": "{{ omit }}" } });
    set(&mut target, "suspend_account.steps.0", step);
    fake.instead("POST /api/users/1/lock", ResponseTemplate::new(200));
    execute(&build(&target).unwrap(), Action::SuspendAccount, json!({ "account": { "id": "1" } }))
        .await
        .unwrap();
    let requests = fake.server.received_requests().await.unwrap();
    let request = requests.last().unwrap();
    assert_eq!(request.headers["content-type"], "application/x-www-form-urlencoded");
    assert_eq!(String::from_utf8_lossy(&request.body), "who=ann&a%26b=1&a%26b=2");
}

/// A step writes back what the account has: also numbers that JSON parsers round.
#[tokio::test]
async fn numbers_that_a_parser_would_round_are_written_back_unchanged() {
    let fake = Fake::start().await;
    fake.state().add("ann");
    let mut target = fake.target();
    let steps = json!([{ "method": "PATCH", "path": "/users/{{ current.id }}", "query": { "of": "{{ current.record.badge }}" },
        "json": { "badge": "{{ current.record.badge }}", "all": "{{ current.record.more }}", "label": "no. {{ current.record.badge }}",
                  "title": "{{ changes.title }}" } }]);
    set(&mut target, "update_account.steps", steps);
    set(&mut target, "accounts.record.extra.badge", json!("record.badge | default(omit)"));
    let connector = build(&target).unwrap();
    let more = r#"[0.12345678901234567890123,{"deep":-98765432109876543210987}]"#;
    let user =
        format!(r#"{{"id":1,"login":"ann","state":"on","badge":12345678901234567890123,"more":{more}}}"#);
    let shown = || ResponseTemplate::new(200).set_body_raw(user.clone(), "application/json");
    fake.instead("GET /api/users/1", shown());
    fake.instead("PATCH /api/users/1", answer(200, json!({})));
    let payload = json!({ "account": { "id": "1" }, "changes": { "title": "Boss" } });
    execute(&connector, Action::UpdateAccount, payload).await.unwrap();
    let requests = fake.server.received_requests().await.unwrap();
    let sent = requests.iter().rfind(|request| request.method.as_str() == "PATCH").unwrap();
    let body = String::from_utf8(sent.body.clone()).unwrap();
    assert_eq!(
        body,
        format!(
            r#"{{"badge":12345678901234567890123,"all":{more},"label":"no. 12345678901234567890123","title":"Boss"}}"#
        )
    );
    assert_eq!(sent.url.query(), Some("of=12345678901234567890123"));
    assert_eq!(sent.headers["content-type"], "application/json");
    fake.instead("GET /api/users/1", shown());
    let found = connector.find_account(&account(json!({ "id": "1" }))).await.unwrap().unwrap();
    assert_eq!(found.extra["badge"], "12345678901234567890123", "Iden receives the digits");
}

#[tokio::test]
async fn skipped_step_of_a_new_account_is_an_error() {
    let fake = Fake::start().await;
    let mut target = fake.target();
    let mut steps = target["create_account"]["steps"].as_array().unwrap().clone();
    steps[0]["json"].as_object_mut().unwrap().retain(|name, _| name != "secret");
    let more = |sends: Value| json!({ "method": "POST", "path": "/users/{{ saved.id }}/more", "when": "account.email is defined", "json": sends });
    steps.push(more(
        json!({ "secret": "{{ password | default(omit) }}", "notes": "{{ account.notes | default(omit) }}" }),
    ));
    set(&mut target, "create_account.steps", Value::from(steps));
    let connector = build(&target).unwrap();
    for (name, more, what) in [
        ("ann", json!({ "password": "Quiet-Harbour-77" }), "sets the password"),
        ("bob", json!({ "notes": "x" }), "sends account.notes"),
    ] {
        let mut task = json!({ "account": { "username": name } });
        task["account"].as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let error = execute(&connector, Action::CreateAccount, task).await.unwrap_err();
        assert_eq!((error.code(), error.effect()), (Code::InternalError, Effect::Unknown), "{error}");
        assert!(
            error.message().contains(&format!("no step of create_account that {what} was run")),
            "{error}"
        );
        assert!(!error.message().contains("Quiet-Harbour"), "{error}");
    }
    execute(&connector, Action::CreateAccount, json!({ "account": { "username": "cleo" } })).await.unwrap();
}

/// A task may have a password in several places. It is sent, or the task fails: it is never left out.
#[tokio::test]
async fn password_of_an_update_is_sent_wherever_the_task_has_it() {
    let fake = Fake::start().await;
    fake.state().add("ann");
    let mut target = fake.target();
    let tasks = || {
        [
            json!({ "account": { "id": "1" }, "changes": { "password": "Quiet-Harbour-77" } }),
            json!({ "account": { "id": "1", "password": "Quiet-Harbour-77" }, "changes": {} }),
            json!({ "account": { "id": "1" }, "password": "Quiet-Harbour-77", "changes": {} }),
        ]
    };
    let connector = build(&target).unwrap();
    for task in tasks() {
        let error = execute(&connector, Action::UpdateAccount, task).await.unwrap_err();
        assert_eq!((error.code(), error.effect()), (Code::InternalError, Effect::NotApplied), "{error}");
        assert!(error.message().contains("does not define how to change password"), "{error}");
    }
    let step = json!([{ "method": "PATCH", "path": "/users/{{ current.id }}", "json": { "secret": "{{ changes.password }}" } }]);
    set(&mut target, "update_account.steps", step);
    let connector = build(&target).unwrap();
    for task in tasks() {
        fake.instead("PATCH /api/users/1", answer(200, json!({})));
        execute(&connector, Action::UpdateAccount, task).await.unwrap();
        let requests = fake.server.received_requests().await.unwrap();
        let sent = requests.iter().rfind(|request| request.method.as_str() == "PATCH").unwrap();
        assert_eq!(sent.body_json::<Value>().unwrap(), json!({ "secret": "Quiet-Harbour-77" }));
    }
}
