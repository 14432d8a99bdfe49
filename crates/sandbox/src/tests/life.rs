//! Starting and stopping, and robustness against clients.

use std::net::SocketAddr;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::Client;
use super::client::send;
use crate::{Error, Options, Sandbox, run_until};

#[tokio::test]
async fn port_in_use_says_what_to_do() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let options = Options { listen: taken.local_addr().unwrap(), ..Options::default() };
    let error = Sandbox::start(options).await.unwrap_err();
    assert!(matches!(error, Error::AddressInUse { .. }), "{error:?}");
    assert!(error.to_string().contains("choose another"), "{error}");
}

#[tokio::test]
async fn foreign_listen_address_is_named() {
    let options = Options { listen: SocketAddr::from(([192, 0, 2, 1], 0)), ..Options::default() };
    let error = Sandbox::start(options).await.unwrap_err();
    assert!(error.to_string().contains("192.0.2.1"), "{error}");
}

#[tokio::test]
async fn invalid_tenant_or_key_is_refused() {
    let tenant = Options { tenant: "a/b".into(), ..Options::default() };
    assert!(matches!(Sandbox::start(tenant).await, Err(Error::Tenant(_))));
    let key = Options { api_key: "with space".into(), ..Options::default() };
    let error = Sandbox::start(key).await.unwrap_err();
    assert!(matches!(error, Error::ApiKey) && !error.to_string().contains("with space"), "{error}");
}

#[tokio::test]
async fn tenant_and_key_come_from_the_options() {
    let client =
        Client::with(Options { tenant: "acme".into(), api_key: "another-key".into(), ..Options::default() })
            .await;
    assert!(client.sandbox.base_url().ends_with("/org/acme"));
    client.get("tasks/").await.is(200);
}

#[tokio::test]
async fn stopping_frees_the_port_and_closes_connections() {
    let sandbox = Sandbox::start(Options::default()).await.unwrap();
    let address = sandbox.address();
    let idle = tokio::net::TcpStream::connect(address).await.unwrap();
    sandbox.stop().await;
    idle.readable().await.unwrap();
    assert_eq!(idle.try_read(&mut [0; 8]).unwrap_or(0), 0);
    let again = Options { listen: address, ..Options::default() };
    Sandbox::start(again).await.unwrap().stop().await;
}

#[tokio::test]
async fn dropping_stops_the_sandbox() {
    let sandbox = Sandbox::start(Options::default()).await.unwrap();
    let address = sandbox.address();
    drop(sandbox);
    while tokio::net::TcpStream::connect(address).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn run_until_ends_when_the_token_is_cancelled() {
    let sandbox = Sandbox::start(Options::default()).await.unwrap();
    let token = CancellationToken::new();
    let running = tokio::spawn(run_until(sandbox, token.clone()));
    token.cancel();
    running.await.unwrap();
}

#[tokio::test]
async fn oversized_body_returns_400() {
    let client = Client::with_types().await;
    let sync = client.start_sync().await;
    let request = client.request(Method::PUT, &format!("sync/{sync}/team/"));
    // The sandbox may respond and close the connection before everything is sent; then sending fails.
    if let Ok(answer) = send(request.body(vec![b' '; 40 * 1024 * 1024])).await {
        answer.refuses_somehow(400);
    }
    assert_eq!(client.sandbox.ledger().last().unwrap().handled, Some(400));
}

#[tokio::test]
async fn links_use_the_host_header() {
    let client = Client::start().await;
    client.sandbox.add_tasks(client.app, vec![json!({}); 2]);
    let request = client.request(Method::GET, "tasks/?limit=1");
    let list = send(request.header("Host", "bridge.test:8900")).await.unwrap().is(200);
    assert!(list["next"].as_str().unwrap().starts_with("http://bridge.test:8900/org/sandbox/api/"), "{list}");
}

#[tokio::test]
async fn concurrent_reports_are_all_answered_and_each_task_ends_once() {
    let client = Client::start().await;
    let tasks = client.sandbox.add_tasks(client.app, (0..200).map(|n| json!({"id": format!("t{n}")})));
    let reports = tasks.iter().flat_map(|task| [client.report(task), client.report(task)]);
    let answers = futures::future::join_all(reports).await;
    let count = |status| answers.iter().filter(|answer| answer.status == status).count();
    assert_eq!((count(200), count(409)), (200, 200));
    for task in &tasks {
        let reports = client.sandbox.reports(task);
        assert_eq!(reports.iter().filter(|one| one.took_effect()).count(), 1);
    }
}

#[tokio::test]
#[expect(
    clippy::await_holding_lock,
    reason = "that the lock of one app does not hold up another is what is tested"
)]
async fn apps_do_not_block_each_other() {
    let client = Client::start().await;
    let other = Uuid::new_v4();
    client.sandbox.add_app(other, "other");
    let (_, held) = client.sandbox.state.apps.all().remove(1);
    let _guard = crate::lock::lock(&held);
    let path = format!("/apps/{}/tasks/", client.app);
    let list = tokio::time::timeout(Duration::from_secs(30), client.get(&path)).await.unwrap();
    assert_eq!(list.is(200)["results"], Value::Array(Vec::new()));
}
