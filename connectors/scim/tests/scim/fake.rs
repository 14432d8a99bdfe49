//! A strict fake server: unexpected requests are errors, and it records all requests.

use bridgehead_sdk::Connector;
use serde_json::{Value, json};
use std::sync::Arc;
use wiremock::matchers::{header, method, path, query_param, query_param_is_missing};
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

use crate::support::{connector, target};

pub(crate) const TOKEN: &str = "fake-token-4711";
const LIST: &str = "urn:ietf:params:scim:api:messages:2.0:ListResponse";
const ERROR: &str = "urn:ietf:params:scim:api:messages:2.0:Error";

/// A fake SCIM server. Requests without a mock or without the token get a 404 that is not a SCIM error.
pub(crate) struct Fake {
    pub(crate) server: MockServer,
}

impl Fake {
    /// A server that announces nothing.
    pub(crate) async fn mute() -> Self {
        let server = MockServer::start().await;
        let fake = Self { server };
        for name in ["ServiceProviderConfig", "ResourceTypes", "Schemas"] {
            fake.get(name, error(404, None)).await;
        }
        fake
    }

    /// A server whose `ServiceProviderConfig` announces all features, and `more`.
    pub(crate) async fn able(more: Value) -> Self {
        let server = MockServer::start().await;
        let fake = Self { server };
        let on = json!({ "supported": true });
        let mut config = json!({ "patch": on, "filter": on, "changePassword": on, "etag": on });
        for (key, value) in more.as_object().unwrap() {
            config[key] = value.clone();
        }
        fake.get("ServiceProviderConfig", ResponseTemplate::new(200).set_body_json(config)).await;
        for name in ["ResourceTypes", "Schemas"] {
            fake.get(name, error(404, None)).await;
        }
        fake
    }

    /// Adds a response to requests for a path below the base.
    pub(crate) async fn answer(&self, verb: &str, at: &str, answer: impl Respond + 'static) {
        let mock = Mock::given(method(verb))
            .and(path(format!("/v2/{at}")))
            .and(header("authorization", format!("Bearer {TOKEN}").as_str()));
        mock.respond_with(answer).mount(&self.server).await;
    }

    /// Adds a response to a `GET`.
    pub(crate) async fn get(&self, at: &str, answer: impl Respond + 'static) {
        self.answer("GET", at, answer).await;
    }

    /// Adds a response to a `GET` with this query parameter.
    pub(crate) async fn get_with(
        &self,
        at: &str,
        (name, value): (&str, &str),
        answer: impl Respond + 'static,
    ) {
        let mock = Mock::given(method("GET")).and(path(format!("/v2/{at}"))).and(query_param(name, value));
        mock.respond_with(answer).with_priority(2).mount(&self.server).await;
    }

    /// Adds a response to a `GET` without this query parameter.
    pub(crate) async fn get_without(&self, at: &str, name: &str, answer: impl Respond + 'static) {
        let mock =
            Mock::given(method("GET")).and(path(format!("/v2/{at}"))).and(query_param_is_missing(name));
        mock.respond_with(answer).with_priority(3).mount(&self.server).await;
    }

    /// A connector for it, without groups unless `more` sets them.
    pub(crate) fn connector(&self, more: Value) -> Arc<dyn Connector> {
        let mut more = more;
        if more.get("groups").is_none() {
            more["groups"] = json!({ "enabled": false });
        }
        connector(target(&format!("{}/v2", self.server.uri()), TOKEN, more))
    }

    /// The requests that make changes: method, path and body.
    pub(crate) async fn changes(&self) -> Vec<(String, String, Value)> {
        let all = self.server.received_requests().await.unwrap();
        let changes = all.iter().filter(|request| request.method.as_str() != "GET");
        let body = |request: &Request| serde_json::from_slice(&request.body).unwrap_or(Value::Null);
        changes
            .map(|request| (request.method.to_string(), request.url.path().to_owned(), body(request)))
            .collect()
    }

    /// The last request with a method.
    pub(crate) async fn last(&self, verb: &str) -> Request {
        let all = self.server.received_requests().await.unwrap();
        all.into_iter().rfind(|request| request.method.as_str() == verb).unwrap()
    }
}

/// A list with all resources.
pub(crate) fn list(resources: &Value) -> ResponseTemplate {
    let total = resources.as_array().unwrap().len();
    page(json!({ "totalResults": total, "startIndex": 1, "Resources": resources }))
}

/// A page of a list.
pub(crate) fn page(mut fields: Value) -> ResponseTemplate {
    fields["schemas"] = json!([LIST]);
    json_answer(200, &fields)
}

/// An RFC 7644 error whose detail must not be shown.
pub(crate) fn error(status: u16, kind: Option<&str>) -> ResponseTemplate {
    let mut body =
        json!({ "schemas": [ERROR], "status": status.to_string(), "detail": "raw-detail-of-the-server" });
    if let Some(kind) = kind {
        body["scimType"] = kind.into();
    }
    json_answer(status, &body)
}

/// JSON with a status.
pub(crate) fn json_answer(status: u16, body: &Value) -> ResponseTemplate {
    ResponseTemplate::new(status).set_body_raw(body.to_string(), "application/scim+json")
}

/// A user with attributes that the connector does not know.
pub(crate) fn ann() -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User", "urn:example:2.0:User"], "id": "u1", "userName": "ann",
        "active": true, "displayName": "Ann", "title": "Boss", "name": {"givenName": "Ann", "formatted": "Ann A"},
        "emails": [{"value": "ann@example.com", "type": "work", "primary": true, "odd": [1]}, {"value": "a@home", "type": "home"}],
        "urn:example:2.0:User": {"badge": {"colour": "red", "numbers": [7, {"deep": null}]}},
        "meta": {"version": "W/\"41\"", "resourceType": "User"},
    })
}
