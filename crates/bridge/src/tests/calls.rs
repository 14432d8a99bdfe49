use bridgehead_sdk::{AccountRecord, Code, ResourceType};
use serde_json::{Value, json};
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::support::*;
use crate::{Api, Error, NewApp, Refs, Registration, Report, SyncId, TaskQuery, TaskStatus, WireRecord};

const ID: &str = "22222222-2222-4222-8222-222222222222";

/// Makes one call against a server with a fixed response, and returns what was sent.
async fn sent<T>(
    status: u16,
    answer: Value,
    call: impl AsyncFnOnce(Client) -> Result<T, Error>,
) -> (String, Result<T, Error>) {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(ResponseTemplate::new(status).set_body_json(answer)).mount(&server).await;
    let result = call(client(&format!("{}/org/acme", server.uri()))).await;
    let requests = server.received_requests().await.unwrap();
    let lines: Vec<String> = requests
        .iter()
        .map(|request| {
            assert_eq!(request.headers["authorization"], format!("Api-Key {KEY}"));
            assert_eq!(request.headers["accept"], "application/json");
            assert_eq!(request.headers["user-agent"], concat!("bridgehead/", env!("CARGO_PKG_VERSION")));
            assert_eq!(request.headers.contains_key("content-type"), !request.body.is_empty());
            let query = request.url.query().map(|query| format!("?{query}")).unwrap_or_default();
            let body = String::from_utf8_lossy(&request.body);
            format!("{} {}{query} {body}", request.method, request.url.path())
        })
        .collect();
    (lines.join("\n").trim_end().replace("/org/acme/api/v1/bridge", "").replace(APP, "A"), result)
}

#[tokio::test]
async fn apps_are_created_and_listed() {
    let body = json!({"id": ID, "name": "HR", "configuration_status": "NEW", "created_at": "2026-01-02T03:04:05Z",
        "last_synced_at": null, "colour": "blue"});
    let new = NewApp { name: "HR".into(), clone_from: None };
    let (line, made) = sent(201, body.clone(), async |client| client.create_app(&new).await).await;
    insta::assert_snapshot!(line, @r#"POST /apps/ {"name":"HR","clone_from":null}"#);
    let made = made.unwrap();
    assert_eq!((made.id.to_string().as_str(), made.name.as_str()), (ID, "HR"));
    assert_eq!(made.configuration_status.as_deref(), Some("NEW"));
    assert_eq!((made.created_at.is_some(), made.last_synced_at), (true, None));
    assert_eq!(made.extra["colour"], "blue");

    let clone = NewApp { name: "HR 2".into(), clone_from: Some(app()) };
    let (line, _) = sent(201, body.clone(), async |client| client.create_app(&clone).await).await;
    insta::assert_snapshot!(line, @r#"POST /apps/ {"name":"HR 2","clone_from":"A"}"#);

    let (line, apps) = sent(200, json!([body, {"id": "odd"}]), async |client| client.list_apps().await).await;
    insta::assert_snapshot!(line, @"GET /apps/");
    assert_eq!(apps.unwrap(), [made]);
}

#[tokio::test]
async fn resource_types_are_listed_registered_and_renamed() {
    let team = ResourceType::group("team", "Team");
    let wire = json!({"slug": "team", "name": "Team", "type": "group"});
    let robot = json!({"slug": "bot", "name": "Robot", "type": "robot"});
    let (line, listed) =
        sent(200, json!([wire, robot]), async |client| client.list_resource_types(app()).await).await;
    insta::assert_snapshot!(line, @"GET /apps/A/resource-types/");
    assert_eq!(listed.unwrap(), std::slice::from_ref(&team));

    let (line, registered) =
        sent(201, wire, async |client| client.register_resource_type(app(), &team).await).await;
    insta::assert_snapshot!(line, @r#"POST /apps/A/resource-types/ {"slug":"team","name":"Team","type":"group"}"#);
    assert_eq!(registered.unwrap(), Registration::Created);

    let rename = async |client: Client| client.rename_resource_type(app(), &"team".into(), "Teams").await;
    let (line, renamed) = sent(200, json!({}), rename).await;
    insta::assert_snapshot!(line, @r#"PATCH /apps/A/resource-types/team/ {"name":"Teams"}"#);
    renamed.unwrap();
}

#[tokio::test]
async fn sync_is_started_pushed_polled_and_ended() {
    let (line, started) =
        sent(201, json!({"sync_id": ID}), async |client| client.start_sync(app()).await).await;
    insta::assert_snapshot!(line, @"POST /apps/A/sync/");
    let sync = started.unwrap();
    assert_eq!(sync, SyncId::new(ID));

    let records = [WireRecord::of(&AccountRecord::new("u1").into(), Refs::Id).unwrap()];
    let push = async |client: Client| client.push(app(), &sync, &"account".into(), &records).await;
    let (line, pushed) = sent(200, json!({"total": 1, "created": 1, "updated": "?"}), push).await;
    insta::assert_snapshot!(line, @r#"PUT /apps/A/sync/22222222-2222-4222-8222-222222222222/account/ {"records":[{"id":"u1","status":"active"}]}"#);
    let pushed = pushed.unwrap();
    assert_eq!((pushed.total, pushed.created, pushed.updated), (Some(1), Some(1), None));

    let body = json!({"sync_id": ID, "status": "in_progress", "progress": []});
    let (line, progress) = sent(200, body, async |client| client.progress(app(), &sync).await).await;
    insta::assert_snapshot!(line, @"GET /apps/A/sync/22222222-2222-4222-8222-222222222222/");
    assert!(progress.unwrap().status.is_running());

    let (line, completed) = sent(202, json!({}), async |client| {
        client.complete(app(), &sync, &crate::Precondition::new(|| true)).await
    })
    .await;
    insta::assert_snapshot!(line, @"POST /apps/A/sync/22222222-2222-4222-8222-222222222222/complete/");
    completed.unwrap();
    let (line, abandoned) = sent(204, json!(null), async |client| client.abandon(app(), &sync).await).await;
    insta::assert_snapshot!(line, @"POST /apps/A/sync/22222222-2222-4222-8222-222222222222/abandon/");
    abandoned.unwrap();
}

#[tokio::test]
async fn tasks_are_listed_fetched_and_reported() {
    let query = TaskQuery { status: TaskStatus::Pending, limit: 50 };
    let tasks = json!({"count": 2, "next": null, "results": [{"id": "t1", "action": "create_account"}, {"no": "id"}]});
    let (line, page) = sent(200, tasks, async |client| client.tasks(app(), &query).await).await;
    insta::assert_snapshot!(line, @"GET /apps/A/tasks/?status=pending&limit=50");
    let page = page.unwrap();
    assert_eq!((page.tasks.len(), page.unreadable.len(), page.count), (1, 1, Some(2)));
    assert_eq!(page.tasks[0].status, TaskStatus::Pending);

    let read = async |client: Client| client.task(app(), &"t1".into()).await;
    let (line, task) = sent(200, json!({"id": "t1", "status": "failed"}), read).await;
    insta::assert_snapshot!(line, @"GET /apps/A/tasks/t1/");
    assert!(task.unwrap().status.is_terminal());

    let failed = Report::Failed { code: Code::Timeout, message: "HR did not answer.".into() };
    let report = async |client: Client| client.report(app(), &"t1".into(), &failed).await;
    let (line, reported) = sent(200, json!({"id": "t1", "status": "failed"}), report).await;
    insta::assert_snapshot!(line, @r#"PATCH /apps/A/tasks/t1/status/ {"status":"failed","error":{"code":"TIMEOUT","message":"HR did not answer."}}"#);
    reported.unwrap();
}

#[tokio::test]
async fn identifier_invalid_in_a_url_is_not_sent() {
    let (line, read) = sent(200, json!({}), async |client| client.task(app(), &"..".into()).await).await;
    assert_eq!(line, "");
    assert!(matches!(read, Err(Error::Invalid { .. })));
}

async fn register(existing: Value) -> Result<Registration, Error> {
    let server = MockServer::start().await;
    Mock::given(wiremock::matchers::method("POST"))
        .respond_with(ResponseTemplate::new(409).set_body_json(json!({"detail": "slug exists"})))
        .mount(&server)
        .await;
    Mock::given(wiremock::matchers::method("GET"))
        .respond_with(ResponseTemplate::new(200).set_body_json(existing))
        .mount(&server)
        .await;
    client(&server.uri()).register_resource_type(app(), &ResourceType::group("team", "Team")).await
}

#[tokio::test]
async fn existing_resource_type_is_verified_after_a_conflict() {
    let one = |kind: &str| json!({"slug": "team", "name": "Another name", "type": kind});
    let there = register(json!({"results": [one("group")], "next": null})).await;
    assert_eq!(there.unwrap(), Registration::Existed);

    let other_kind = register(json!([one("license")])).await.unwrap_err();
    assert!(matches!(other_kind, Error::Conflict { .. }));
    assert!(other_kind.to_string().contains("registered with type 'license', not 'group'"), "{other_kind}");

    let absent = register(json!([])).await.unwrap_err();
    assert!(matches!(absent, Error::Conflict { .. }));
    assert!(
        absent.to_string().contains("slug exists; however, the app's resource types do not include it"),
        "{absent}"
    );
}
