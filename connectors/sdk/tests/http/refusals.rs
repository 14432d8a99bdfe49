//! The usual meaning of each status.

use std::time::Duration;

use bridgehead_sdk::http::reqwest::Method;
use bridgehead_sdk::{Code, Effect, Network, Retry, Subject};
use url::Url;
use wiremock::matchers::method;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::raw::client;

async fn refusal(answer: ResponseTemplate) -> bridgehead_sdk::Error {
    let server = MockServer::start().await;
    Mock::given(method("GET")).respond_with(answer.set_body_string("raw body")).mount(&server).await;
    let client = client(&Network::default());
    let answer = client.send(client.request(Method::GET, Url::parse(&server.uri()).unwrap())).await.unwrap();
    answer.refusal("User ann cannot be created")
}

#[tokio::test]
async fn every_status_maps_to_its_code() {
    use Code::{
        AccountAlreadyExists, AccountNotFound, InternalError, PermissionDenied, RateLimited, Timeout,
    };
    use Effect::{NotApplied, Unknown};
    use Retry::{Backoff, Never};
    let account = Subject::Account;
    for (status, wanted) in [
        (301, (InternalError, Unknown, Backoff, account)),
        (307, (InternalError, NotApplied, Backoff, account)),
        (308, (InternalError, NotApplied, Backoff, account)),
        (400, (InternalError, NotApplied, Never, account)),
        (401, (PermissionDenied, NotApplied, Backoff, Subject::Connection)),
        (403, (PermissionDenied, NotApplied, Never, account)),
        (404, (AccountNotFound, NotApplied, Never, account)),
        (408, (Timeout, Unknown, Backoff, account)),
        (409, (AccountAlreadyExists, NotApplied, Never, account)),
        (410, (AccountNotFound, NotApplied, Never, account)),
        (422, (InternalError, NotApplied, Never, account)),
        (429, (RateLimited, NotApplied, Backoff, account)),
        (500, (InternalError, Unknown, Backoff, account)),
        (502, (InternalError, Unknown, Backoff, account)),
        (503, (InternalError, Unknown, Backoff, account)),
        (504, (Timeout, Unknown, Backoff, account)),
    ] {
        let error = refusal(ResponseTemplate::new(status)).await;
        let parts = (error.code(), error.effect(), error.retry(), error.subject());
        assert_eq!(parts, wanted, "{status}: {error}");
        assert!(error.message().contains("Acme") && error.message().contains(&status.to_string()), "{error}");
        assert!(!format!("{error:?}").contains("raw body"), "{error:?}");
    }
}

#[tokio::test]
async fn retry_after_header_is_honored() {
    let later = |status: u16| ResponseTemplate::new(status).insert_header("retry-after", "7");
    for (status, code, effect) in [
        (429, Code::RateLimited, Effect::NotApplied),
        (503, Code::RateLimited, Effect::Unknown),
        (500, Code::InternalError, Effect::Unknown),
    ] {
        let error = refusal(later(status)).await;
        assert_eq!((error.code(), error.effect()), (code, effect));
        assert_eq!(error.retry(), Retry::After(Duration::from_secs(7)));
    }
}
