//! A client that sends exactly what a test specifies, and shows exactly what it received.

use std::time::Duration;

use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{Options, Sandbox};

/// A complete response.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
    /// Null if the body is not JSON.
    pub(crate) body: Value,
}

impl Answer {
    #[track_caller]
    pub(crate) fn is(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        self.body
    }

    /// Expects a rejection: the status, and a body with only that `detail`.
    #[track_caller]
    pub(crate) fn refuses(self, status: u16, detail: &str) {
        assert_eq!((self.status, &self.body), (status, &json!({"detail": detail})));
    }

    /// Expects a rejection with any `detail`, and nothing else in the body.
    #[track_caller]
    pub(crate) fn refuses_somehow(&self, status: u16) {
        assert_eq!(self.status, status, "{}", self.text);
        let fields = self.body.as_object().expect("a JSON object");
        assert!(fields.len() == 1 && fields["detail"].is_string(), "{}", self.text);
    }
}

/// A sandbox and one of its apps.
pub(crate) struct Client {
    pub(crate) sandbox: Sandbox,
    pub(crate) app: Uuid,
    http: reqwest::Client,
    key: String,
}

impl Client {
    pub(crate) async fn start() -> Self {
        Self::with(Options {
            // Cleanups run when a test moves the clock, not before.
            cleanup_delay: Duration::from_mins(1),
            ..Options::default()
        })
        .await
    }

    pub(crate) async fn with(options: Options) -> Self {
        let sandbox = Sandbox::start(options).await.unwrap();
        let app = Uuid::new_v4();
        sandbox.add_app(app, "HR");
        let key = sandbox.api_key().to_owned();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { sandbox, app, http, key }
    }

    /// Registers the types `account`, `team` (group) and `seat` (license).
    pub(crate) async fn with_types() -> Self {
        let client = Self::start().await;
        for (slug, kind) in [("team", "group"), ("seat", "license"), ("account", "account")] {
            let body = json!({"slug": slug, "name": slug.to_uppercase(), "type": kind});
            client.post("resource-types/", body).await.is(201);
        }
        client
    }

    /// The same sandbox with another key.
    pub(crate) fn use_key(&mut self, key: &str) {
        key.clone_into(&mut self.key);
    }

    /// The full URL of a path: a path that begins with `/` is relative to the base URL, `http…` stays unchanged, and everything else is
    /// relative to the app.
    pub(crate) fn url(&self, path: &str) -> String {
        let base = self.sandbox.base_url();
        match path.chars().next() {
            Some('/') => format!("{base}/api/v1/bridge{path}"),
            _ if path.starts_with("http") => path.to_owned(),
            _ => format!("{base}/api/v1/bridge/apps/{}/{path}", self.app),
        }
    }

    pub(crate) fn control_url(&self, path: &str) -> String {
        format!("http://{}/sandbox/v1/{path}", self.sandbox.address())
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method, self.url(path)).header("Authorization", format!("Api-Key {}", self.key))
    }

    /// A request without a key.
    pub(crate) fn bare(&self, method: Method, url: &str) -> reqwest::RequestBuilder {
        self.http.request(method, url)
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        send(self.request(Method::GET, path)).await.unwrap()
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        send(self.request(Method::POST, path).json(&body)).await.unwrap()
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Answer {
        send(self.request(Method::PUT, path).json(&body)).await.unwrap()
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> Answer {
        send(self.request(Method::PATCH, path).json(&body)).await.unwrap()
    }

    /// A call of the control plane.
    pub(crate) async fn control(&self, method: Method, path: &str, body: Value) -> Answer {
        let request = self.bare(method, &self.control_url(path));
        let request = if body.is_null() { request } else { request.json(&body) };
        send(request).await.unwrap()
    }

    /// Starts a session and returns its id.
    pub(crate) async fn start_sync(&self) -> String {
        let body = send(self.request(Method::POST, "sync/")).await.unwrap().is(201);
        body["sync_id"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn push(&self, sync: &str, slug: &str, records: Value) -> Answer {
        self.put(&format!("sync/{sync}/{slug}/"), json!({"records": records})).await
    }

    pub(crate) async fn complete(&self, sync: &str) -> Answer {
        send(self.request(Method::POST, &format!("sync/{sync}/complete/"))).await.unwrap()
    }

    pub(crate) async fn abandon(&self, sync: &str) -> Answer {
        send(self.request(Method::POST, &format!("sync/{sync}/abandon/"))).await.unwrap()
    }

    /// The status of a session and the count of each type.
    pub(crate) async fn progress(&self, sync: &str) -> (String, Vec<(String, u64)>) {
        let body = self.get(&format!("sync/{sync}/")).await.is(200);
        let counts = body["progress"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| (one["slug"].as_str().unwrap().to_owned(), one["synced_count"].as_u64().unwrap()));
        (body["status"].as_str().unwrap().to_owned(), counts.collect())
    }

    /// The ids of the records of a type, and whether they are active.
    pub(crate) fn records(&self, slug: &str) -> Vec<(String, bool)> {
        let records = self.sandbox.records(self.app, slug);
        records
            .iter()
            .map(|one| (one["id"].as_str().unwrap().to_owned(), one["active"].as_bool().unwrap()))
            .collect()
    }

    /// Reports a task as completed.
    pub(crate) async fn report(&self, task: &str) -> Answer {
        self.patch(&format!("tasks/{task}/status/"), json!({"status": "completed"})).await
    }
}

/// Sends a request and reads the complete response. Errors are network errors.
pub(crate) async fn send(request: reqwest::RequestBuilder) -> Result<Answer, reqwest::Error> {
    let mut response = request.send().await?;
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        bytes.extend_from_slice(&chunk);
        assert!(bytes.len() < 64 * 1024 * 1024, "an answer without end");
    }
    Ok(Answer {
        status: response.status().as_u16(),
        headers: response.headers().clone(),
        text: String::from_utf8_lossy(&bytes).into_owned(),
        body: serde_json::from_slice(&bytes).unwrap_or_default(),
    })
}
