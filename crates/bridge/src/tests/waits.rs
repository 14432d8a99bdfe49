use std::sync::{Arc, Mutex};

use tokio::time::Instant;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::support::*;
use crate::{Api, Error, Health, Precondition, RateLimit, Report};

async fn respond(server: &MockServer, times: u64, status: u16, retry_after: Option<&str>) {
    let mut answer = ResponseTemplate::new(status);
    if let Some(wait) = retry_after {
        answer = answer.insert_header("retry-after", wait);
    }
    Mock::given(any()).respond_with(answer).up_to_n_times(times).mount(server).await;
    let fine = ResponseTemplate::new(200).set_body_string(r#"{"results": [], "sync_id": "s1"}"#);
    Mock::given(any()).respond_with(fine).mount(server).await;
}

async fn requests(server: &MockServer) -> usize {
    server.received_requests().await.unwrap().len()
}

#[tokio::test]
async fn retry_after_seconds_of_a_429_hold_every_call() {
    let server = MockServer::start().await;
    respond(&server, 1, 429, Some("1")).await;
    let client = client(&server.uri());
    let report = Report::Completed { result: None };
    let error = client.report(app(), &"t1".into(), &report).await.unwrap_err();
    let start = Instant::now();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(1)));
    assert!(matches!(*client.health().borrow(), Health::Paused { .. }));

    let other = client.clone();
    let (apps, sync) = tokio::join!(client.list_apps(), other.start_sync(app()));
    assert!(apps.is_ok() && sync.is_ok());
    assert!(start.elapsed() >= Duration::from_millis(950), "{:?}", start.elapsed());
    assert_eq!(requests(&server).await, 3);
}

#[tokio::test]
async fn retry_after_date_of_a_429_is_honored() {
    let server = MockServer::start().await;
    let until = std::time::SystemTime::now() + Duration::from_mins(20);
    respond(&server, 1, 429, Some(&httpdate::fmt_http_date(until))).await;
    let client = client(&server.uri());
    let error = client.list_apps().await.unwrap_err();
    let wait = error.retry_after().unwrap();
    assert!(wait > Duration::from_mins(19) && wait <= Duration::from_mins(20), "{wait:?}");
    let until = until.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    let Health::Paused { until: shown } = client.health().borrow().clone() else { panic!("not paused") };
    assert!((jiff::Timestamp::as_millisecond(shown) as f64 / 1000.0 - until).abs() < 60.0);

    // After its patience, the call fails without sending anything.
    let start = Instant::now();
    assert!(matches!(client.start_sync(app()).await, Err(Error::RateLimited { retry_after: Some(_), .. })));
    assert!(start.elapsed() < Duration::from_secs(10));
    assert_eq!(requests(&server).await, 1);
}

#[tokio::test]
async fn retry_safe_call_waits_out_a_429() {
    let server = MockServer::start().await;
    respond(&server, 3, 429, None).await;
    client(&server.uri()).start_sync(app()).await.unwrap();
    assert_eq!(requests(&server).await, 4);
}

#[tokio::test]
async fn retry_after_of_a_503_is_honored() {
    let server = MockServer::start().await;
    respond(&server, 1, 503, Some("1")).await;
    let start = Instant::now();
    client(&server.uri()).list_apps().await.unwrap();
    assert!(start.elapsed() >= Duration::from_millis(950), "{:?}", start.elapsed());

    let server = MockServer::start().await;
    respond(&server, 1, 503, Some("600")).await;
    let error = client(&server.uri()).list_apps().await.unwrap_err();
    assert!(matches!(error, Error::Server { status: 503, .. }), "{error}");
    assert_eq!(error.retry_after(), Some(Duration::from_mins(10)));
    assert_eq!(requests(&server).await, 1);
}

#[tokio::test]
async fn precondition_is_checked_after_the_wait_and_nothing_is_sent_without_it() {
    let server = MockServer::start().await;
    respond(&server, 1, 429, Some("1")).await;
    let client = client(&server.uri());
    client.report(app(), &"t1".into(), &Report::Completed { result: None }).await.unwrap_err();
    let (start, asked) = (Instant::now(), Arc::new(Mutex::new(Vec::new())));
    let times = Arc::clone(&asked);
    let never = Precondition::new(move || {
        times.lock().unwrap().push(start.elapsed());
        false
    });
    let error = client.complete(app(), &crate::SyncId::new("s"), &never).await.unwrap_err();
    assert!(matches!(error, Error::Invalid { .. }), "{error}");
    let asked = asked.lock().unwrap().clone();
    assert!(asked.len() == 1 && asked[0] >= Duration::from_millis(950), "{asked:?}");
    assert_eq!(requests(&server).await, 1, "only the report was sent");
}

#[tokio::test]
async fn rate_limit_is_shared_by_all_clones() {
    let server = MockServer::start().await;
    respond(&server, 1, 200, None).await;
    let mut settings = settings(&server.uri());
    settings.rate_limit = Some(RateLimit { per_second: 10.0, burst: 1 });
    let client = Client::new(settings, key()).unwrap();
    let start = Instant::now();
    futures::future::join_all((0..6).map(|_| {
        let client = client.clone();
        async move { client.complete(app(), &crate::SyncId::new("s"), &Precondition::new(|| true)).await }
    }))
    .await;
    assert_eq!(requests(&server).await, 6);
    assert!(start.elapsed() >= Duration::from_millis(490), "{:?}", start.elapsed());
}
