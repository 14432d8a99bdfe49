//! What each kind of credential adds to a request.

use bridgehead_sdk::http::reqwest::Method;
use bridgehead_sdk::http::{Auth, Credential};
use bridgehead_sdk::{Network, Redactor};
use serde_json::{Value, json};
use url::Url;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use crate::raw::client;

async fn sent(auth: Value) -> Request {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(ResponseTemplate::new(200)).mount(&server).await;
    let client = client(&Network::default());
    let auth: Auth = serde_json::from_value(auth).unwrap();
    let credential = Credential::new(&auth, "auth", &client, &Redactor::new()).unwrap();
    let url = Url::parse(&format!("{}/x?a=b", server.uri())).unwrap();
    credential.send(&client, client.request(Method::GET, url)).await.unwrap();
    assert!(!format!("{credential:?}").contains("hunter2"));
    server.received_requests().await.unwrap().remove(0)
}

#[tokio::test]
async fn each_auth_method_is_sent_in_the_right_place() {
    let header = |request: &Request, name: &str| request.headers[name].to_str().unwrap().to_owned();
    let request = sent(json!({})).await;
    assert!(!request.headers.contains_key("authorization"));
    let request = sent(json!({ "basic": {"username": "ann", "password": "hunter2"} })).await;
    assert_eq!(header(&request, "authorization"), "Basic YW5uOmh1bnRlcjI=");
    let request = sent(json!({ "bearer": "hunter2" })).await;
    assert_eq!(header(&request, "authorization"), "Bearer hunter2");
    let request = sent(json!({ "api_key": {"header": "X-Api-Key", "value": "hunter2"} })).await;
    assert_eq!(header(&request, "x-api-key"), "hunter2");
    let key = json!({ "header": "Authorization", "prefix": "token ", "value": "hunter2" });
    assert_eq!(header(&sent(json!({ "api_key": key })).await, "authorization"), "token hunter2");
    let request = sent(json!({ "api_key": {"query": "key", "value": "hunter2 &x"} })).await;
    assert_eq!(request.url.query(), Some("a=b&key=hunter2+%26x"));
}
