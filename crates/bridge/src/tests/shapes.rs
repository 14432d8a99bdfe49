use bridgehead_sdk::Effect;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::support::*;
use crate::{Api, BrokenRule, Error, NewApp, Report, SyncId, TaskQuery, TaskStatus};

const HTML: &str = "<!DOCTYPE html><html><body>Down for maintenance</body></html>";

/// The result of every call that returns a documented body, for this body.
async fn answers_to(body: &[u8]) -> Vec<(&'static str, Option<Error>)> {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(ResponseTemplate::new(200).set_body_bytes(body)).mount(&server).await;
    let client = client(&server.uri());
    let sync = SyncId::new("s1");
    let new = NewApp { name: "HR".into(), clone_from: None };
    let query = TaskQuery { status: TaskStatus::Pending, limit: 50 };
    let report = Report::Completed { result: None };
    vec![
        ("create_app", client.create_app(&new).await.err()),
        ("list_apps", client.list_apps().await.err()),
        ("list_resource_types", client.list_resource_types(app()).await.err()),
        ("start_sync", client.start_sync(app()).await.err()),
        ("push", client.push(app(), &sync, &"team".into(), &[]).await.err()),
        ("progress", client.progress(app(), &sync).await.err()),
        ("tasks", client.tasks(app(), &query).await.err()),
        ("task", client.task(app(), &"t1".into()).await.err()),
        ("report", client.report(app(), &"t1".into(), &report).await.err()),
    ]
}

#[tokio::test]
async fn undocumented_success_body_is_malformed() {
    let deep = "[".repeat(100_000);
    let odd: [&[u8]; 9] = [
        HTML.as_bytes(),
        b"",
        b" \n",
        b"null",
        b"7",
        b"\"done\"",
        b"{\"id\": \"11111111-1111",
        b"\xff\xfe",
        deep.as_bytes(),
    ];
    for body in odd {
        let shown = String::from_utf8_lossy(&body[..body.len().min(30)]).into_owned();
        for (call, error) in answers_to(body).await {
            let Some(error @ Error::Malformed { .. }) = error else {
                panic!("{call} takes {shown:?}: {error:?}")
            };
            assert_eq!((error.effect(), error.is_transient()), (Effect::Unknown, true));
            assert!(!error.to_string().contains("maintenance"), "{error}");
        }
    }
}

#[tokio::test]
async fn lists_and_objects_are_not_interchangeable() {
    for (call, error) in answers_to(b"[]").await {
        let takes_lists = matches!(call, "list_apps" | "list_resource_types" | "tasks");
        assert_eq!(error.is_none(), takes_lists, "{call}: {error:?}");
    }
    for (call, error) in answers_to(b"{}").await {
        // The figures of a push are optional: the session's records are counted before it is completed.
        assert_eq!(error.is_none(), call == "push", "{call}: {error:?}");
    }
}

#[tokio::test]
async fn undocumented_response_may_be_anything_but_html() {
    for (body, fine) in [("", true), ("null", true), ("{\"a\": 1}", true), (HTML, false)] {
        let server = MockServer::start().await;
        Mock::given(any())
            .respond_with(ResponseTemplate::new(200).set_body_string(body))
            .mount(&server)
            .await;
        let client = client(&server.uri());
        let completed = client.complete(app(), &SyncId::new("s1"), &crate::Precondition::new(|| true)).await;
        assert_eq!(completed.is_ok(), fine, "{body}: {completed:?}");
        assert_eq!(client.rename_resource_type(app(), &"a".into(), "A").await.is_ok(), fine);
    }
}

#[tokio::test]
async fn foreign_404_is_distinguished_from_the_bridges() {
    for (body, own) in [("{\"detail\": \"Task not found.\"}", true), ("{}", true), (HTML, false), ("", false)]
    {
        let server = MockServer::start().await;
        Mock::given(any())
            .respond_with(ResponseTemplate::new(404).set_body_string(body))
            .mount(&server)
            .await;
        let report = Report::Completed { result: None };
        let error = client(&server.uri()).report(app(), &"t1".into(), &report).await.unwrap_err();
        assert!(
            matches!(error, Error::NotFound { from_bridge, .. } if from_bridge == own),
            "{body}: {error:?}"
        );
        assert_eq!(error.is_transient(), !own);
    }
}

#[tokio::test]
async fn error_shows_the_detail_without_html_or_key() {
    let server = MockServer::start().await;
    let body = r#"{"detail": "Record 'u1': unknown membership slug 's3cret-key'\u0007"}"#;
    Mock::given(any()).respond_with(ResponseTemplate::new(422).set_body_string(body)).mount(&server).await;
    let error = client(&server.uri()).push(app(), &SyncId::new("s"), &"team".into(), &[]).await.unwrap_err();
    insta::assert_snapshot!(error, @"cannot push records of 'team' of app 11111111-1111-4111-8111-111111111111: the request violates a rule (422): Record 'u1': unknown membership slug '[redacted]'");
}

/// The messages are those of the Error Reference.
#[tokio::test]
async fn duplicate_record_is_distinguished_from_other_violations() {
    for (detail, rule) in [
        (
            "Sync failed for 'accounts': a record with the same identifier already exists.",
            BrokenRule::Duplicate,
        ),
        ("a record with the same identifier already exists.", BrokenRule::Duplicate),
        ("Record 'u1': unknown membership slug 'nonexistent'", BrokenRule::Other),
        (
            "Sync failed for 'accounts': a required field is missing. Ensure all records have complete data.",
            BrokenRule::Other,
        ),
        ("a referenced record does not exist.", BrokenRule::Other),
    ] {
        let server = MockServer::start().await;
        let answer = ResponseTemplate::new(422).set_body_json(serde_json::json!({"detail": detail}));
        Mock::given(any()).respond_with(answer).mount(&server).await;
        let pushed = client(&server.uri()).push(app(), &SyncId::new("s"), &"team".into(), &[]).await;
        let Err(Error::Unprocessable { rule: found, .. }) = pushed else { panic!("{detail}: {pushed:?}") };
        assert_eq!(found, rule, "{detail}");
    }
}

/// Once parsed, each of these values would take many times its two bytes.
#[tokio::test]
async fn response_with_millions_of_values_is_refused_unparsed() {
    let body = format!("{{\"results\": [{}0]}}", "0,".repeat(1_000_000));
    for (call, error) in answers_to(body.as_bytes()).await {
        let refused = match error {
            Some(Error::TooManyValues { limit, .. }) => limit == 1_000_000,
            Some(Error::BodyTooLarge { limit, .. }) => limit == 1024 * 1024,
            _ => false,
        };
        assert!(refused, "{call}");
    }
}
