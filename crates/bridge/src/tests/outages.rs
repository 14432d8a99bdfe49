use bridgehead_sdk::{Effect, ResourceType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

use super::raw::{Act, Raw};
use super::support::*;
use crate::{Api, Error, Health, NewApp, Registration, Report, SyncId, TaskQuery, TaskStatus};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\n";
const QUERY: TaskQuery = TaskQuery { status: TaskStatus::Pending, limit: 50 };

fn response(headers: &str, body: &[u8]) -> Vec<u8> {
    [OK, headers.as_bytes(), b"connection: close\r\n\r\n", body].concat()
}

fn whole(body: &str) -> Act {
    Act::Send(response(&format!("content-length: {}\r\n", body.len()), body.as_bytes()))
}

/// A client that accepts at most 64 KiB.
fn small(url: &str) -> Client {
    let mut settings = settings(url);
    settings.max_body_bytes = 64 * 1024;
    Client::with_pace(settings, key(), pace()).unwrap()
}

/// A client that waits two seconds for a response.
fn hasty(url: &str) -> Client {
    let mut settings = settings(url);
    settings.request_timeout = Duration::from_secs(2);
    Client::with_pace(settings, key(), pace()).unwrap()
}

async fn report(client: &Client) -> Result<(), Error> {
    client.report(app(), &"t1".into(), &Report::Completed { result: None }).await
}

#[tokio::test]
async fn refused_connection_means_not_sent() {
    let unused = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let client = small(&format!("http://{unused}"));
    let error = report(&client).await.unwrap_err();
    assert!(
        matches!(&error, Error::NotSent { cause, known: false, .. } if cause.contains("refused")),
        "{error}"
    );
    assert_eq!((error.effect(), error.is_transient()), (Effect::NotApplied, true));
}

#[tokio::test]
async fn failed_tls_handshake_means_not_sent() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let plain = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut hello = [0; 64];
            if stream.read(&mut hello).await.is_ok() {
                stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
            }
            assert!(!hello.windows(7).any(|seen| seen == b"Api-Key"));
        }
    });
    let error = report(&small(&format!("https://{address}"))).await.unwrap_err();
    assert!(matches!(error, Error::NotSent { .. }), "{error}");
    assert!(!plain.is_finished(), "the server failed");
    plain.abort();
}

#[tokio::test]
async fn connection_cut_after_the_request_has_unknown_effect() {
    for cut in [
        b"".as_slice(),
        b"HTTP/1.1 200 OK\r\ncontent-len",
        b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\n{\"id\"",
    ] {
        let raw = Raw::start(move |_| Act::Send(cut.to_vec())).await;
        let client = small(&raw.url);
        let sync = SyncId::new("s1");
        let new = NewApp { name: "HR".into(), clone_from: None };
        let calls = [
            report(&client).await,
            client.start_sync(app()).await.map(drop),
            client.complete(app(), &sync, &crate::Precondition::new(|| true)).await,
            client.abandon(app(), &sync).await,
            client.create_app(&new).await.map(drop),
        ];
        for call in calls {
            let error = call.unwrap_err();
            assert!(matches!(error, Error::NoAnswer { .. }), "{error}");
            assert_eq!((error.effect(), error.is_transient()), (Effect::Unknown, true));
        }
        assert_eq!(raw.requests(), 5, "none may be sent twice");
    }
}

#[tokio::test]
async fn registration_with_lost_response_is_confirmed() {
    let raw = Raw::start(|n| match n {
        0 => Act::Send(Vec::new()),
        1 => Act::Send(b"HTTP/1.1 409 Conflict\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_vec()),
        _ => whole(r#"[{"slug": "team", "name": "Team", "type": "group"}]"#),
    })
    .await;
    let team = ResourceType::group("team", "Team");
    let registered = small(&raw.url).register_resource_type(app(), &team).await;
    assert_eq!((registered, raw.requests()), (Ok(Registration::Existed), 3));
}

#[tokio::test]
async fn push_with_lost_response_is_retried() {
    let raw = Raw::start(|n| if n < 2 { Act::Send(Vec::new()) } else { whole(r#"{"total": 0}"#) }).await;
    let pushed = small(&raw.url).push(app(), &SyncId::new("s1"), &"team".into(), &[]).await.unwrap();
    assert_eq!((pushed.total, raw.requests()), (Some(0), 3));
}

#[tokio::test]
async fn truncated_list_is_an_error() {
    let body = br#"{"count": 2, "next": null, "results": [{"id": "t1"}"#;
    let chunked = [b"30\r\n", &body[..0x30], b"\r\n"].concat();
    let acts = [
        Act::Send(response("content-length: 900\r\n", body)),
        Act::Send(response("transfer-encoding: chunked\r\n", &chunked)),
        Act::Send(response("", body)),
    ];
    for act in acts {
        let raw = Raw::start(move |_| act.clone()).await;
        let error = small(&raw.url).tasks(app(), &QUERY).await.unwrap_err();
        assert!(matches!(error, Error::NoAnswer { .. } | Error::Malformed { .. }), "{error}");
    }
}

#[tokio::test]
async fn silent_server_times_out() {
    let raw = Raw::start(|_| Act::Hang).await;
    let error = report(&hasty(&raw.url)).await.unwrap_err();
    assert!(matches!(&error, Error::NoAnswer { cause, .. } if cause == "no response within 2 s"), "{error}");
}

#[tokio::test]
async fn trickling_body_times_out() {
    let acts = [Act::Trickle(response("content-length: 60000\r\n", b"{")), Act::Trickle(OK.to_vec())];
    for act in acts {
        let raw = Raw::start(move |_| act.clone()).await;
        let start = Instant::now();
        let error = report(&hasty(&raw.url)).await.unwrap_err();
        assert!(matches!(error, Error::NoAnswer { .. }), "{error}");
        assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    }
}

#[tokio::test]
async fn endless_body_exceeds_the_size_limit() {
    let acts = [
        Act::Repeat(response("", b"["), b"0,".repeat(1000)),
        Act::Repeat(response("transfer-encoding: chunked\r\n", b"1\r\n[\r\n"), b"2\r\n0,\r\n".repeat(1000)),
        Act::Send(response("content-length: 99999999999\r\n", b"[")),
    ];
    for act in acts {
        let raw = Raw::start(move |_| act.clone()).await;
        let error = small(&raw.url).tasks(app(), &QUERY).await.unwrap_err();
        assert!(matches!(error, Error::BodyTooLarge { limit: 65_536, .. }), "{error}");
        assert_eq!(raw.requests(), 1, "nor is it asked for again");
    }
}

/// A mebibyte of zeros in about 6 KiB of gzip: a literal 0, then copies of 258 bytes from one byte back, in the fixed code of RFC 1951.
/// Eight copies take 13 bytes.
fn gzip_bomb() -> Vec<u8> {
    let mut bits = vec![true, true, false];
    bits.extend([false, false, true, true, false, false, false, false]);
    for _ in 0..4100 {
        bits.extend([true, true, false, false, false, true, false, true].into_iter().chain([false; 5]));
    }
    let byte = |bits: &[bool]| bits.iter().rev().fold(0_u8, |all, bit| (all << 1) | u8::from(*bit));
    let packed: Vec<u8> = bits.chunks_exact(8).map(byte).collect();
    [b"\x1f\x8b\x08\0\0\0\0\0\0\xff".to_vec(), packed].concat()
}

#[tokio::test]
async fn body_limit_applies_after_decompression() {
    let bomb = gzip_bomb();
    assert!(bomb.len() < 8 * 1024);
    let headers = format!("content-encoding: gzip\r\ncontent-length: {}\r\n", bomb.len());
    let raw = Raw::start(move |_| Act::Send(response(&headers, &bomb))).await;
    let error = small(&raw.url).tasks(app(), &QUERY).await.unwrap_err();
    assert!(matches!(error, Error::BodyTooLarge { .. }), "{error}");
}

#[tokio::test]
async fn damaged_body_is_no_outage_and_is_not_taken_for_a_response() {
    let start = [b"\x1f\x8b\x08\0\0\0\0\0\0\xff".as_slice(), b"\x01\x0c\0\xf3\xff{\"id\""].concat();
    for (encoding, body) in
        [("gzip", start.as_slice()), ("gzip", b"{\"id\": \"t1\"}"), ("br", b"\x0b\x06\x80")]
    {
        let headers = format!("content-encoding: {encoding}\r\ncontent-length: {}\r\n", body.len());
        let answer = response(&headers, body);
        let raw = Raw::start(move |_| Act::Send(answer.clone())).await;
        let client = small(&raw.url);
        // More often than an outage takes to be noticed.
        for _ in 0..10 {
            for error in [report(&client).await.unwrap_err(), client.tasks(app(), &QUERY).await.unwrap_err()]
            {
                assert!(matches!(error, Error::Malformed { .. }), "{error}");
                assert_eq!((error.effect(), error.is_transient()), (Effect::Unknown, true));
            }
        }
        assert_eq!(raw.requests(), 20, "{encoding}: every call is sent");
    }
}

#[tokio::test]
async fn error_status_counts_even_if_its_body_never_ends() {
    let head = b"HTTP/1.1 409 Conflict\r\n\r\n{\"detail\": \"Task is already".to_vec();
    for act in
        [Act::Repeat(head.clone(), b" and again".repeat(1000)), Act::Trickle(head.clone()), Act::Send(head)]
    {
        let raw = Raw::start(move |_| act.clone()).await;
        let error = report(&hasty(&raw.url)).await.unwrap_err();
        assert!(matches!(error, Error::Conflict { .. }), "{error}");
    }
}

#[tokio::test]
async fn health_shows_start_and_end_of_an_outage() {
    let raw = Raw::start(|n| if n < 5 { Act::Send(Vec::new()) } else { whole("[]") }).await;
    let client = small(&raw.url);
    let health = client.health();
    assert!(client.tasks(app(), &QUERY).await.is_err());
    assert!(matches!(&*health.borrow(), Health::Down { .. }), "{:?}", health.borrow());
    assert!(client.tasks(app(), &QUERY).await.is_ok());
    assert_eq!((raw.requests(), health.borrow().clone()), (6, Health::Up));
}

#[tokio::test]
async fn call_in_an_outage_ends_after_its_patience() {
    let raw = Raw::start(|_| Act::Send(Vec::new())).await;
    let mut settings = settings(&raw.url);
    settings.patience = Duration::from_millis(300);
    let slow = BreakerSettings { shortest: Duration::from_mins(10), ..pace() };
    let client = Client::with_pace(settings, key(), slow).unwrap();
    let error = client.tasks(app(), &QUERY).await.unwrap_err();
    assert_eq!(raw.requests(), 3);
    assert!(
        matches!(&error, Error::NotSent { cause, known: true, .. } if cause.contains("unavailable, as earlier calls")),
        "{error}"
    );
    assert!(matches!(report(&client).await, Err(Error::NotSent { .. })));
    assert_eq!(raw.requests(), 3);
}
