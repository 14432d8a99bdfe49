//! The simulated target as the runtime uses it: through its factory.

#![cfg(test)]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bridgehead_sdk::{
    Account, AccountRecord, AccountStatus, Action, Code, Completion, Connector, Context, Cursor, Effect,
    Error, Operation, Page, Record, Ref, ResourceType, Retry, Setup, Subject,
};
use proptest::prelude::*;
use serde_json::{Value, json};

fn target(settings: &Value) -> Arc<dyn Connector> {
    let setup = Setup::new("rehearsal", settings.as_object().unwrap().clone());
    bridgehead_simulated::factory().build(setup).unwrap()
}

async fn attempt(
    target: &Arc<dyn Connector>,
    task: &str,
    attempt: u32,
    action: Action,
    payload: Value,
) -> Result<Completion, Error> {
    let context =
        Context::first(task, Duration::from_mins(1)).with_attempt(attempt).with_may_have_applied(attempt > 1);
    let operation = Operation::parse(action, serde_json::from_value(payload).unwrap()).unwrap();
    target.execute(&context, &operation).await
}

async fn run(target: &Arc<dyn Connector>, action: Action, payload: Value) -> Result<Completion, Error> {
    attempt(target, "task-1", 1, action, payload).await
}

async fn page(target: &Arc<dyn Connector>, slug: &str, cursor: Option<&Cursor>) -> Result<Page, Error> {
    target.list(&ResourceType::group(slug, slug), cursor).await
}

async fn list(target: &Arc<dyn Connector>, slug: &str) -> Vec<Record> {
    let mut records = Vec::new();
    let mut cursor = None;
    loop {
        let page = page(target, slug, cursor.as_ref()).await.unwrap();
        records.extend(page.records);
        match page.next {
            Some(next) => cursor = Some(next),
            None => return records,
        }
    }
}

async fn find(target: &Arc<dyn Connector>, id: &str) -> Option<AccountRecord> {
    target.find_account(&Account::by_id(id)).await.unwrap()
}

#[tokio::test]
async fn each_account_is_listed_once_with_valid_references() {
    let target = target(&json!({"accounts": 1_234, "groups": 7, "licenses": 3, "page_size": 100, "seed": 5}));
    let ids =
        |records: &[Record]| records.iter().map(|record| record.id().to_owned()).collect::<BTreeSet<_>>();
    let (teams, seats) = (list(&target, "team").await, list(&target, "seat").await);
    assert_eq!((teams.len(), seats.len()), (7, 3));
    let (teams, seats) = (ids(&teams), ids(&seats));
    let accounts = list(&target, "account").await;
    assert_eq!((accounts.len(), ids(&accounts).len()), (1_234, 1_234));
    for record in &accounts {
        let Record::Account(account) = record else { panic!("not an account") };
        assert!(account.memberships.of("team").iter().all(|one| teams.contains(&one.id)));
        assert!(account.assignments.of("seat").iter().all(|one| seats.contains(&one.id)));
    }
}

#[tokio::test]
async fn a_million_accounts_are_generated_on_demand() {
    let target = target(&json!({"accounts": 1_000_000}));
    let last = find(&target, "u999999").await.unwrap();
    let by_email = Account::by_email(last.email.as_deref().unwrap().to_uppercase());
    assert_eq!(target.find_account(&by_email).await.unwrap(), Some(last));
    assert_eq!(find(&target, "u1000000").await, None);
    let cursor = Cursor::new("first-999900");
    let end = page(&target, "account", Some(&cursor)).await.unwrap();
    assert_eq!((end.records.len(), end.next), (100, None));
}

#[tokio::test]
async fn empty_target_lists_no_accounts() {
    let target = target(&json!({"accounts": 0, "groups": 0, "licenses": 0}));
    for slug in ["account", "team", "seat"] {
        assert!(list(&target, slug).await.is_empty());
    }
    run(&target, Action::CreateAccount, json!({"account": {"username": "ann"}})).await.unwrap();
    assert_eq!(list(&target, "account").await.len(), 1);
}

#[tokio::test]
async fn task_changes_show_in_lookups_and_listings() {
    let target = target(&json!({"accounts": 20}));
    let payload = json!({
        "account": {"username": "cleo", "email": "cleo@example.org", "shoe_size": 38, "password": "hunter2"},
        "memberships": {"team": ["team-1"], "seat": ["seat-0"]},
    });
    let created = run(&target, Action::CreateAccount, payload).await.unwrap();
    assert_eq!(created, Completion::created("cleo"));
    let cleo = find(&target, "cleo").await.unwrap();
    assert_eq!(cleo.memberships.of("team"), [Ref::new("team-1")]);
    assert_eq!(cleo.assignments.of("seat"), [Ref::new("seat-0")]);
    assert_eq!((&cleo.extra["shoe_size"], cleo.extra.get("password")), (&json!(38), None));

    let changes = json!({"first_name": "Cleo", "shoe_size": null, "username": "cleo2"});
    let payload = json!({"account": {"username": "CLEO"}, "changes": changes, "memberships": {"team": []}});
    run(&target, Action::UpdateAccount, payload).await.unwrap();
    let cleo = find(&target, "cleo").await.unwrap();
    assert_eq!((cleo.first_name.as_deref(), cleo.username.as_deref()), (Some("Cleo"), Some("cleo2")));
    assert!(cleo.memberships.of("team").is_empty() && !cleo.extra.contains_key("shoe_size"));
    assert_eq!(cleo.assignments.of("seat").len(), 1);

    for (action, status) in [
        (Action::SuspendAccount, AccountStatus::Suspended),
        (Action::UnsuspendAccount, AccountStatus::Active),
    ] {
        for _ in 0..2 {
            run(&target, action, json!({"account": {"id": "u7"}})).await.unwrap();
            assert_eq!(find(&target, "u7").await.unwrap().status, status);
        }
    }
    run(&target, Action::ResetPassword, json!({"account": {"id": "u7"}, "password": "hunter2"}))
        .await
        .unwrap();
    let reset = find(&target, "u7").await.unwrap();
    assert!(reset.extra.contains_key("password_changed_at") && !format!("{reset:?}").contains("hunter2"));

    run(&target, Action::DeleteAccount, json!({"account": {"id": "u0"}})).await.unwrap();
    assert_eq!(find(&target, "u0").await, None);
    let ids: Vec<_> = list(&target, "account").await.iter().map(|record| record.id().to_owned()).collect();
    let expected: Vec<_> = (1..20).map(|n| format!("u{n}")).chain(["cleo".to_owned()]).collect();
    assert_eq!(ids, expected);
    run(&target, Action::CreateAccount, json!({"account": {"id": "u0", "username": "back"}})).await.unwrap();
    assert_eq!(find(&target, "u0").await.unwrap().username.as_deref(), Some("back"));
}

/// Checks that each task is rejected with this code and subject, and has changed nothing.
async fn assert_refused(cases: Vec<(Action, Value, Code, Subject)>) {
    let target = target(&json!({"accounts": 10}));
    let before = list(&target, "account").await;
    for (action, payload, code, subject) in cases {
        let error = run(&target, action, payload.clone()).await.unwrap_err();
        assert_eq!((error.code(), error.subject()), (code, subject), "{payload}: {error}");
        assert_eq!(error.effect(), Effect::NotApplied);
        assert!(!error.message().contains("hunter2"));
    }
    assert_eq!(list(&target, "account").await, before);
}

#[tokio::test]
async fn every_action_reports_a_missing_account() {
    let others = Action::ALL.iter().copied().filter(|action| *action != Action::CreateAccount);
    let nobody = |action| {
        let payload = json!({"account": {"id": "ext-123"}});
        (action, payload, Code::AccountNotFound, Subject::Account)
    };
    assert_refused(others.map(nobody).collect()).await;
}

#[tokio::test]
async fn taken_id_username_or_email_is_refused_ignoring_case() {
    let target = target(&json!({"accounts": 10}));
    let there = find(&target, "u1").await.unwrap();
    let (email, username) = (there.email.unwrap().to_uppercase(), there.username.unwrap().to_uppercase());
    let cases = [
        (Action::CreateAccount, json!({"account": {"id": "U1", "username": "x"}})),
        (Action::CreateAccount, json!({"account": {"username": "x", "email": email}})),
        (Action::CreateAccount, json!({"account": {"username": username}})),
        (Action::UpdateAccount, json!({"account": {"id": "u2"}, "changes": {"email": email}})),
    ];
    let taken = |(action, payload)| (action, payload, Code::AccountAlreadyExists, Subject::Account);
    assert_refused(cases.map(taken).into()).await;
}

#[tokio::test]
async fn failed_update_changes_nothing() {
    let changes = [
        json!({"id": "u3"}),
        json!({"status": "on_leave"}),
        json!({"email": null, "username": null}),
        json!({"first_name": ["x"]}),
        json!({"first_name": "y", "api_token": "hunter2"}),
    ];
    let change = |changes| {
        let payload = json!({"account": {"id": "u2"}, "changes": changes});
        (Action::UpdateAccount, payload, Code::InternalError, Subject::Account)
    };
    assert_refused(changes.map(change).into()).await;
}

#[tokio::test]
async fn missing_group_is_not_account_not_found() {
    let memberships = [
        (json!({"team": ["team-99"]}), Subject::Group),
        (json!({"seat": ["seat-99"]}), Subject::License),
        (json!({"squad": ["x"]}), Subject::Group),
    ];
    let join = |(memberships, subject)| {
        let payload = json!({"account": {"id": "u2"}, "memberships": memberships});
        (Action::UpdateAccount, payload, Code::InternalError, subject)
    };
    assert_refused(memberships.map(join).into()).await;
}

#[tokio::test]
async fn only_one_of_many_concurrent_creations_succeeds() {
    let target = target(&json!({"accounts": 10, "latency": "1ms"}));
    let create = |n: usize| {
        let target = target.clone();
        tokio::spawn(async move {
            let payload = json!({"account": {"id": format!("id-{n}"), "username": "cleo"}});
            run(&target, Action::CreateAccount, payload).await.is_ok()
        })
    };
    let mut created = 0;
    for outcome in (0..20).map(create).collect::<Vec<_>>() {
        created += u32::from(outcome.await.unwrap());
    }
    assert_eq!(created, 1);
}

#[tokio::test]
async fn name_triggers_can_request_every_code_at_any_attempt() {
    let target = target(&json!({}));
    for code in Code::ALL {
        let name = format!("fail-{}-ann", code.as_str().to_lowercase().replace('_', "-"));
        for number in 1..3 {
            let payload = json!({"account": {"username": name}});
            let error = attempt(&target, "t", number, Action::CreateAccount, payload).await.unwrap_err();
            assert_eq!(error.code(), code);
        }
        assert_eq!(find(&target, &name).await, None);
    }
}

#[tokio::test]
async fn once_triggers_fire_on_the_first_attempt_only() {
    let target = target(&json!({}));
    let create = |name: &'static str, number| {
        let payload = json!({"account": {"username": name}});
        attempt(&target, "t", number, Action::CreateAccount, payload)
    };
    let error = create("rate-limited-once-ann", 1).await.unwrap_err();
    assert_eq!(error.code(), Code::RateLimited);
    assert_eq!(error.retry(), Retry::After(Duration::from_secs(1)));
    create("rate-limited-once-ann", 2).await.unwrap();

    let error = create("unknown-once-ann", 1).await.unwrap_err();
    assert_eq!((error.code(), error.effect()), (Code::Timeout, Effect::Unknown));
    assert!(find(&target, "unknown-once-ann").await.is_some(), "it was applied");
    assert_eq!(create("unknown-once-ann", 2).await.unwrap_err().code(), Code::AccountAlreadyExists);

    let error = create("lost-once-ann", 1).await.unwrap_err();
    assert_eq!((error.code(), error.effect()), (Code::Timeout, Effect::Unknown));
    assert!(find(&target, "lost-once-ann").await.is_none(), "it was not applied");
    create("lost-once-ann", 2).await.unwrap();

    let error = create("unreachable-once-ann", 1).await.unwrap_err();
    assert_eq!((error.subject(), error.effect()), (Subject::Connection, Effect::NotApplied));
    create("unreachable-once-ann", 2).await.unwrap();
}

#[tokio::test]
async fn panic_fails_only_one_call() {
    let target = target(&json!({}));
    let inner = target.clone();
    let call = tokio::spawn(async move {
        run(&inner, Action::CreateAccount, json!({"account": {"username": "panic-ann"}})).await.map(|_| ())
    });
    assert!(call.await.unwrap_err().is_panic());
    run(&target, Action::CreateAccount, json!({"account": {"username": "ann"}})).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn calls_take_the_configured_latency() {
    let target = target(&json!({"latency": "5ms", "slow_latency": "3s"}));
    let start = tokio::time::Instant::now();
    target.check().await.unwrap();
    assert_eq!(start.elapsed(), Duration::from_millis(5));
    let start = tokio::time::Instant::now();
    run(&target, Action::CreateAccount, json!({"account": {"username": "slow-ann"}})).await.unwrap();
    assert_eq!(start.elapsed(), Duration::from_secs(3));
}

#[tokio::test(start_paused = true)]
async fn dropped_slow_call_changes_nothing() {
    let target = target(&json!({}));
    let create = run(&target, Action::CreateAccount, json!({"account": {"username": "slow-ann"}}));
    tokio::time::timeout(Duration::from_secs(1), create).await.unwrap_err();
    assert_eq!(find(&target, "slow-ann").await, None);
}

#[tokio::test]
async fn random_errors_are_reproducible_with_a_correct_effect() {
    let mut runs = Vec::new();
    for _ in 0..2 {
        let target = target(&json!({"accounts": 0, "error_rate": 0.3, "seed": 11}));
        let mut outcomes = Vec::new();
        for n in 0..400 {
            let payload = json!({"account": {"username": format!("user{n}")}});
            let outcome = attempt(&target, &format!("task-{n}"), 1, Action::CreateAccount, payload).await;
            outcomes.push(outcome.map_err(|error| (error.code(), error.effect())));
        }
        let quiet = list_through_errors(&target).await;
        let known = |n: usize| quiet.contains(&format!("user{n}"));
        let mut lost = BTreeSet::new();
        for (n, outcome) in outcomes.iter().enumerate() {
            match outcome {
                Ok(_) => assert!(known(n)),
                Err((_, Effect::NotApplied)) => assert!(!known(n)),
                Err((_, Effect::Unknown)) => {
                    lost.insert(known(n));
                }
            }
        }
        assert_eq!(lost.len(), 2, "of what is not known, some was applied and some was not");
        let failed = outcomes.iter().filter(|outcome| outcome.is_err()).count();
        assert!((80..160).contains(&failed), "{failed}");
        runs.push(outcomes);
    }
    assert_eq!(runs[0], runs[1]);
}

/// Lists the accounts, and requests a page again if it fails.
async fn list_through_errors(target: &Arc<dyn Connector>) -> BTreeSet<String> {
    let mut ids = BTreeSet::new();
    let mut cursor = None;
    loop {
        match page(target, "account", cursor.as_ref()).await {
            Err(error) => assert_ne!(error.retry(), Retry::Never),
            Ok(page) => {
                ids.extend(page.records.iter().map(|record| record.id().to_owned()));
                match page.next {
                    Some(next) => cursor = Some(next),
                    None => return ids,
                }
            }
        }
    }
}

#[tokio::test]
async fn foreign_cursor_makes_the_listing_incomplete() {
    let target = target(&json!({}));
    for slug in ["account", "team", "seat", "squad"] {
        let cursor = Cursor::new("x-1");
        assert_eq!(page(&target, slug, Some(&cursor)).await.unwrap_err().retry(), Retry::Never);
    }
    let beyond = Cursor::new(u64::MAX.to_string());
    assert!(page(&target, "team", Some(&beyond)).await.unwrap().records.is_empty());
}

#[test]
fn shipped_example_is_accepted() {
    let text = include_str!("../../../config/examples/simulated.toml");
    let configuration: Value = toml::from_str(text).unwrap();
    let mut settings = configuration["apps"]["rehearsal"]["target"].clone();
    assert!(settings.as_object_mut().unwrap().remove("rate_limit").is_some(), "the runtime's own");
    target(&settings);
}

#[test]
fn schema_describes_every_key() {
    let schema = bridgehead_simulated::factory().schema();
    for (key, property) in schema["properties"].as_object().unwrap() {
        assert!(property["description"].as_str().is_some_and(|text| text.len() > 10), "{key}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn target_agrees_with_a_plain_map(steps in prop::collection::vec((0..5_u8, 0..12_u64), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let target = target(&json!({"accounts": 6, "page_size": 4}));
            let mut expected: BTreeSet<String> = (0..6).map(|n| format!("u{n}")).collect();
            for (step, number) in steps {
                let id = format!("u{number}");
                let payload = json!({"account": {"id": id, "username": format!("name-{id}")}});
                let by_id = json!({"account": {"id": id}});
                match step {
                    0 | 1 => {
                        let created = run(&target, Action::CreateAccount, payload).await.is_ok();
                        assert_eq!(created, expected.insert(id));
                    }
                    2 | 3 => {
                        let deleted = run(&target, Action::DeleteAccount, by_id).await.is_ok();
                        assert_eq!(deleted, expected.remove(&id));
                    }
                    _ => {
                        let done = run(&target, Action::SuspendAccount, by_id).await.is_ok();
                        assert_eq!(done, expected.contains(&id));
                    }
                }
                assert_eq!(find(&target, &format!("u{number}")).await.is_some(), expected.contains(&format!("u{number}")));
            }
            let listed: Vec<_> = list(&target, "account").await.iter().map(|record| record.id().to_owned()).collect();
            assert_eq!(listed.len(), expected.len());
            assert_eq!(listed.into_iter().collect::<BTreeSet<_>>(), expected);
        });
    }
}
