//! Requests and responses: results, errors, order, secrets.

use std::time::Duration;

use bridgehead_sdk::{Action, Code, Cursor, Effect, Error, Retry, Subject};
use serde_json::json;

use crate::script::Script;

/// Runs calls at the same time.
async fn join_all<T: Send + 'static>(
    calls: impl IntoIterator<Item = impl Future<Output = T> + Send + 'static>,
) -> Vec<T> {
    let handles: Vec<_> = calls.into_iter().map(tokio::spawn).collect();
    let mut results = Vec::new();
    for handle in handles {
        results.push(handle.await.unwrap());
    }
    results
}

#[tokio::test]
async fn process_describes_itself() {
    let script = Script::new("for _ in requests(): pass");
    let description = script.connector.describe().await.unwrap();
    assert_eq!((description.name.as_str(), description.version.as_str()), ("script", "1"));
    assert_eq!(description.actions.len(), 6);
    let slugs: Vec<_> = description.resource_types.iter().map(|r| r.slug.as_str()).collect();
    assert_eq!(slugs, ["team", "account"]);
}

#[tokio::test]
async fn concurrent_calls_are_answered_in_any_order() {
    // No call is answered before all eight have arrived; then the last one is answered first.
    let script = Script::new(
        "waiting = []\n\
         for id, method, params in requests():\n\
         \x20   waiting.append((id, params))\n\
         \x20   if len(waiting) == 8:\n\
         \x20       for id, params in reversed(waiting): send(id=id, result={'account_id': 'id-of-' + who(params)})\n",
    );
    let script = std::sync::Arc::new(script);
    let calls = (0..8).map(|number| {
        let script = std::sync::Arc::clone(&script);
        async move { script.create(&format!("u{number}")).await.unwrap() }
    });
    let completions = join_all(calls).await;
    for (number, completion) in completions.iter().enumerate() {
        assert_eq!(completion.result["account_id"], format!("id-of-u{number}"));
    }
    assert_eq!(script.starts().len(), 1);
}

#[tokio::test]
async fn max_in_flight_limits_concurrent_calls() {
    let script = Script::with(
        "open_calls = most = 0\n\
         def work(id):\n\
         \x20   global open_calls\n\
         \x20   time.sleep(0.02)\n\
         \x20   with count: open_calls -= 1; seen = most\n\
         \x20   send(id=id, result={'most': seen})\n\
         count = threading.Lock()\n\
         for id, method, params in requests():\n\
         \x20   with count: open_calls += 1; most = max(most, open_calls)\n\
         \x20   threading.Thread(target=work, args=(id,)).start()\n",
        &json!({"max_in_flight": 3}),
    );
    let script = std::sync::Arc::new(script);
    let calls = (0..30).map(|number| {
        let script = std::sync::Arc::clone(&script);
        async move { script.create(&format!("u{number}")).await.unwrap() }
    });
    let most = join_all(calls).await.iter().filter_map(|completion| completion.result["most"].as_u64()).max();
    assert!(most.is_some_and(|most| most <= 3), "{most:?}");
}

#[tokio::test]
async fn every_error_code_arrives_unchanged() {
    let script = Script::new(
        "for id, method, params in requests():\n\
         \x20   send(id=id, error={'code': -32000, 'message': 'User ext-1: ' + who(params), 'data': {'code': who(params)}})\n",
    );
    for code in Code::ALL {
        let error = script.create(code.as_str()).await.unwrap_err();
        assert_eq!(error.code(), code);
        assert_eq!(error.message(), format!("User ext-1: {code}"));
        let usual = Error::new(code, "");
        assert_eq!(
            (error.effect(), error.retry(), error.subject()),
            (usual.effect(), usual.retry(), usual.subject()),
            "{code}"
        );
    }
}

#[tokio::test]
async fn errors_of_read_calls_are_parsed_the_same_way() {
    let script = Script::new(
        "data = {'code': 'RATE_LIMITED', 'retry_after': 2, 'subject': 'connection'}\n\
         for id, method, params in requests(): send(id=id, error={'code': 1, 'message': method, 'data': data})\n",
    );
    let errors = [
        script.connector.check().await.unwrap_err(),
        script.list_teams().await.unwrap_err(),
        script.find("u1").await.unwrap_err(),
    ];
    for (error, method) in errors.iter().zip(["check", "list", "find_account"]) {
        assert_eq!((error.code(), error.message()), (Code::RateLimited, method));
        assert_eq!(error.retry(), Retry::After(Duration::from_secs(2)));
        assert_eq!(error.subject(), Subject::Connection);
    }
}

#[tokio::test]
async fn listing_continues_at_the_returned_cursor() {
    let script = Script::new(
        "pages = {None: (['t1', 't2'], 'two'), 'two': (['t3', None], None)}\n\
         for id, method, params in requests():\n\
         \x20   ids, next = pages[params['cursor']]\n\
         \x20   send(id=id, result={'records': [{'id': i, 'name': params['resource_type']} for i in ids], 'next': next})\n",
    );
    let first = script.list_teams().await.unwrap();
    assert_eq!(first.records.iter().map(bridgehead_sdk::Record::id).collect::<Vec<_>>(), ["t1", "t2"]);
    let team = bridgehead_sdk::ResourceType::group("team", "Team");
    let second = script.connector.list(&team, first.next.as_ref()).await.unwrap();
    assert_eq!((second.records.len(), second.rejected.len()), (1, 1));
    assert_eq!(second.next, None);
    assert_eq!(first.next, Some(Cursor::new("two")));
}

#[tokio::test]
async fn listing_without_a_cursor_or_end_is_rejected() {
    for result in ["{'records': []}", "{'next': None}", "{}", "None", "[]"] {
        let script =
            Script::new(&format!("for id, method, params in requests(): send(id=id, result={result})"));
        let error = script.list_teams().await.unwrap_err();
        // The error does not concern tasks, so they are not held.
        assert_ne!(error.subject(), Subject::Connection, "{result}");
        assert!(
            error
                .message()
                .starts_with("the connector process of acme-hr sent an invalid response to list of team"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn unreadable_account_is_not_account_not_found() {
    let script = Script::new(
        "results = {'gone': None, 'there': {'id': 'there', 'username': 'ann'}, 'wrapped': {'account': None}, 'bad': {'id': 'bad', 'status': 'on leave'}}\n\
         for id, method, params in requests(): send(id=id, result=results[who(params)])\n",
    );
    assert_eq!(script.find("gone").await.unwrap(), None);
    let found = script.find("there").await.unwrap().unwrap();
    assert_eq!(found.username.as_deref(), Some("ann"));
    for name in ["wrapped", "bad"] {
        let error = script.find(name).await.unwrap_err();
        assert_eq!(error.effect(), Effect::NotApplied, "{name}");
    }
}

#[tokio::test]
async fn non_object_success_has_unknown_effect() {
    let script = Script::new("for id, method, params in requests(): send(id=id, result=True)");
    let error = script.create("ann").await.unwrap_err();
    assert_eq!((error.effect(), error.retry()), (Effect::Unknown, Retry::Never));
}

#[tokio::test]
async fn result_that_reports_a_failure_is_not_a_success() {
    for result in
        ["{'error': 'weak'}", "{'success': False}", "{'status': 'failed'}", "{'result': {'ok': False}}"]
    {
        let script =
            Script::new(&format!("for id, method, params in requests(): send(id=id, result={result})"));
        let payload = json!({"account": {"username": "ann"}, "password": "hunter2-and-more"});
        let error = script.execute(Action::ResetPassword, payload).await.unwrap_err();
        // The program may still have changed the account.
        assert_eq!(error.effect(), Effect::Unknown, "{result}");
        assert!(error.message().contains("respond with an error instead"), "{error}");
        assert!(script.connector.check().await.is_err(), "{result}");
    }
    let script = Script::new(
        "for id, method, params in requests(): send(id=id, result={'status': 'active', 'error': None, 'ok': True})",
    );
    script.create("ann").await.unwrap();
}

#[tokio::test]
async fn page_that_reports_a_failure_does_not_end_the_listing() {
    let script = Script::new(
        "for id, method, params in requests(): send(id=id, result={'records': [], 'next': None, 'error': 'down'})",
    );
    let error = script.list_teams().await.unwrap_err();
    assert!(error.message().contains("it has 'error'"), "{error}");
}

#[tokio::test]
async fn any_text_survives_a_round_trip() {
    let script = Script::new(
        "for id, method, params in requests(): send(id=id, result={'account_id': params['account']['username'], 'extra': params['note']})",
    );
    let long = "ø".repeat(255);
    for text in ["nul\u{0}nul", "🦀👩‍👩‍👧 ﷽", "line\nbreak\r\n", "\u{2028}\u{feff}", "\"\\/", long.as_str()]
    {
        let payload = json!({"account": {"username": text}, "note": {"deep": [text, 1.5, -7, null, true]}});
        let completion = script.execute(Action::CreateAccount, payload.clone()).await.unwrap();
        assert_eq!(completion.result["account_id"], text);
        assert_eq!(completion.result["extra"], payload["note"]);
    }
}

#[tokio::test]
async fn task_secrets_are_redacted_in_results() {
    let script = Script::new(
        "for id, method, params in requests():\n\
         \x20   password = params['account'].get('password', 'none')\n\
         \x20   if method == 'find_account': send(id=id, result={'id': 'u1', 'note': password, 'username': 'ann'})\n\
         \x20   elif method == 'create_account': send(id=id, result={'account_id': 'u1', 'echo': [password], password: 1})\n\
         \x20   else: send(id=id, error={'code': 1, 'message': f'the password {password} is weak', 'data': {'code': password}})\n",
    );
    let payload = json!({"account": {"username": "ann", "password": "hunter2-and-more"}});
    let completion = script.execute(Action::CreateAccount, payload.clone()).await.unwrap();
    assert_eq!(
        serde_json::Value::from(completion.result),
        json!({"account_id": "u1", "echo": ["[redacted]"], "[redacted]": 1})
    );
    let error = script.execute(Action::ResetPassword, payload.clone()).await.unwrap_err();
    assert!(error.message().starts_with("the password [redacted] is weak"), "{error}");
    assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    let account =
        bridgehead_sdk::Account::from_fields(payload["account"].as_object().unwrap().clone()).unwrap();
    let found = script.connector.find_account(&account).await.unwrap().unwrap();
    assert_eq!(found.extra["note"], "[redacted]");
}
