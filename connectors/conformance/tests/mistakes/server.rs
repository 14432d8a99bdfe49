//! A web service on loopback, with users, teams and seats in memory: the target of the connector in `connector.rs`.
//!
//! It is stricter about names than about values: it stores any JSON value, like services that were written in a hurry.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Bound;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;
use url::Url;

/// The credential that may do everything.
pub(crate) const MASTER: &str = "master-token-41f7";
/// A credential that may only read.
pub(crate) const READER: &str = "reader-token-41f7";

/// The maximum page size, whatever is requested.
pub(crate) const CAP: usize = 300;
const TEAMS: [&str; 5] = ["t1", "t2", "t3", "t4", "t5"];
const SEATS: [&str; 3] = ["s1", "s2", "s3"];

#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    /// One of this many requests is rejected with 429; 0 for none.
    pub(crate) refuses_one_of: Arc<AtomicUsize>,
    serving: AbortHandle,
}

type User = Map<String, Value>;

#[derive(Debug)]
struct Target {
    users: BTreeMap<String, User>,
    created: usize,
}

impl Server {
    pub(crate) async fn start(accounts: usize) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut target = Target { users: BTreeMap::new(), created: accounts };
        for number in 0..accounts {
            let id = format!("a{number:06}");
            let user = json!({ "id": id, "username": format!("user-{number}"), "email": format!("user-{number}@example.org"),
                "active": true, "teams": [], "seats": [] });
            target.users.insert(id, user.as_object().unwrap().clone());
        }
        let target = Arc::new(Mutex::new(target));
        let refuses_one_of = Arc::new(AtomicUsize::new(0));
        let (one_of, count) = (Arc::clone(&refuses_one_of), Arc::new(AtomicUsize::new(0)));
        let serving = tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let target = Arc::clone(&target);
                let (one_of, count) = (Arc::clone(&one_of), Arc::clone(&count));
                let service = hyper::service::service_fn(move |request| {
                    let number = count.fetch_add(1, Ordering::Relaxed);
                    let busy = number.checked_rem(one_of.load(Ordering::Relaxed)) == Some(1);
                    serve(Arc::clone(&target), busy, request)
                });
                tokio::spawn(async move {
                    let http = hyper::server::conn::http1::Builder::new();
                    drop(http.serve_connection(TokioIo::new(connection), service).await);
                });
            }
        });
        Self { address, refuses_one_of, serving: serving.abort_handle() }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

type Reply = (u16, Value);

async fn serve(
    target: Arc<Mutex<Target>>,
    busy: bool,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let url = Url::parse("http://target").unwrap().join(&head.uri.to_string()).unwrap();
    let reads = head.method == "GET";
    let credential =
        head.headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
    if busy {
        let response = Response::builder().status(429).header("retry-after", "0");
        return Ok(response.body(Full::new("{}".into())).unwrap());
    }
    let (status, answer) = match credential.strip_prefix("Bearer ") {
        Some(MASTER) => target.lock().unwrap().answer(head.method.as_str(), &url, &body),
        Some(READER) if reads => target.lock().unwrap().answer(head.method.as_str(), &url, &body),
        Some(READER) => (403, json!({ "error": "forbidden" })),
        _ => (401, json!({ "error": "credential" })),
    };
    let text = if status == 204 { String::new() } else { answer.to_string() };
    let response = Response::builder().status(status).header("content-type", "application/json");
    Ok(response.body(Full::new(text.into())).unwrap())
}

fn missing(what: &str) -> Reply {
    (404, json!({ "error": format!("no {what}") }))
}

fn query(url: &Url, name: &str) -> Option<String> {
    url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

fn is(user: &User, field: &str, value: &str) -> bool {
    user.get(field).and_then(Value::as_str).is_some_and(|held| held.to_lowercase() == value.to_lowercase())
}

impl Target {
    fn answer(&mut self, method: &str, url: &Url, body: &Value) -> Reply {
        let path: Vec<String> = url
            .path_segments()
            .into_iter()
            .flatten()
            .map(|part| {
                url::form_urlencoded::parse(format!("x={}", part.replace('+', "%2B")).as_bytes())
                    .next()
                    .unwrap()
                    .1
                    .into_owned()
            })
            .collect();
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        match (method, path.as_slice()) {
            ("GET", ["health"]) => (200, json!({ "ok": true, "user": "bridgehead" })),
            ("GET", ["users"]) => self.users(url),
            ("POST", ["users"]) => self.create(body),
            ("GET", ["teams"]) => entities(url, "teams", &TEAMS),
            ("GET", ["seats"]) => entities(url, "seats", &SEATS),
            (_, ["users", id, rest @ ..]) => {
                let Some(user) = self.users.get_mut(*id) else { return missing("user") };
                match (method, rest) {
                    ("GET", []) => (200, Value::Object(user.clone())),
                    ("GET", ["teams"]) => (200, json!({ "teams": user["teams"] })),
                    ("DELETE", []) => {
                        self.users.remove(*id);
                        (204, Value::Null)
                    }
                    ("PATCH", []) => self.change(id, body),
                    ("POST", [state @ ("suspend" | "unsuspend")]) => {
                        user.insert("active".to_owned(), json!(*state == "unsuspend"));
                        (200, Value::Object(user.clone()))
                    }
                    ("POST", ["password"]) => (200, json!({ "ok": true })),
                    ("PUT" | "DELETE", [kind @ ("teams" | "seats"), entity]) => {
                        if !TEAMS.contains(entity) && !SEATS.contains(entity) {
                            return missing("team");
                        }
                        let held = user[*kind].as_array_mut().unwrap();
                        held.retain(|one| one != entity);
                        if method == "PUT" {
                            held.push(json!(entity));
                        }
                        (200, Value::Object(user.clone()))
                    }
                    _ => missing("such path"),
                }
            }
            _ => missing("such path"),
        }
    }

    fn users(&self, url: &Url) -> Reply {
        let all = self.users.values();
        for field in ["username", "email"] {
            if let Some(value) = query(url, field) {
                let found: Vec<_> = all.filter(|user| is(user, field, &value)).collect();
                return (200, json!({ "users": found, "next": null }));
            }
        }
        if let Some(part) = query(url, "q") {
            let part = part.to_lowercase();
            let holds = |user: &&User, field: &str| {
                user.get(field)
                    .and_then(Value::as_str)
                    .is_some_and(|held| held.to_lowercase().contains(&part))
            };
            let found: Vec<_> = all.filter(|user| holds(user, "username") || holds(user, "email")).collect();
            return (200, json!({ "users": found, "next": null }));
        }
        let size = query(url, "limit").and_then(|size| size.parse().ok()).unwrap_or(CAP);
        let size = if query(url, "all").is_some() { usize::MAX } else { size.min(CAP) };
        if let Some(offset) = query(url, "offset").and_then(|offset| offset.parse().ok()) {
            let page: Vec<_> = all.skip(offset).take(size).collect();
            return (200, json!({ "users": page, "total": self.users.len() }));
        }
        let after = query(url, "after").unwrap_or_default();
        let rest = self.users.range::<str, _>((Bound::Excluded(after.as_str()), Bound::Unbounded));
        let mut page: Vec<&User> = rest.take(size.saturating_add(1)).map(|(_, user)| user).collect();
        let more = page.len() > size;
        page.truncate(size);
        let next = page.last().filter(|_| more).map(|last| last["id"].clone());
        (200, json!({ "users": page, "next": next, "total": self.users.len() }))
    }

    fn is_taken(&self, fields: &User, but: &str) -> bool {
        ["username", "email"].into_iter().any(|field| {
            let Some(value) = fields.get(field).and_then(Value::as_str) else { return false };
            self.users.iter().any(|(id, user)| id != but && is(user, field, value))
        })
    }

    fn create(&mut self, body: &Value) -> Reply {
        let mut user = body.as_object().cloned().unwrap_or_default();
        if self.is_taken(&user, "") {
            return (409, json!({ "error": "taken" }));
        }
        if let Some(refused) = dangling(&user) {
            return refused;
        }
        user.shift_remove("password");
        let id = format!("a{:06}", self.created);
        self.created += 1;
        user.insert("id".to_owned(), json!(id));
        for (field, usual) in [("active", json!(true)), ("teams", json!([])), ("seats", json!([]))] {
            user.entry(field.to_owned()).or_insert(usual);
        }
        self.users.insert(id.clone(), user);
        (201, json!({ "id": id }))
    }

    fn change(&mut self, id: &str, body: &Value) -> Reply {
        let mut fields = body.as_object().cloned().unwrap_or_default();
        let merges = fields.shift_remove("merge").is_some();
        if !merges && self.is_taken(&fields, id) {
            return (409, json!({ "error": "taken" }));
        }
        if let Some(refused) = dangling(&fields) {
            return refused;
        }
        let user = self.users.get_mut(id).unwrap();
        for (field, value) in fields {
            if value.is_null() {
                user.shift_remove(&field);
            } else {
                user.insert(field, value);
            }
        }
        (200, Value::Object(user.clone()))
    }
}

/// The rejection of a team or a seat that does not exist.
fn dangling(fields: &User) -> Option<Reply> {
    for (field, known) in [("teams", &TEAMS[..]), ("seats", &SEATS[..])] {
        let wanted = fields.get(field).and_then(Value::as_array).into_iter().flatten();
        let mut wanted = wanted.filter_map(Value::as_str);
        if wanted.any(|one| !known.contains(&one)) {
            return Some((422, json!({ "error": field })));
        }
    }
    None
}

fn entities(url: &Url, kind: &str, all: &[&str]) -> Reply {
    let size = query(url, "limit").and_then(|size| size.parse().ok()).unwrap_or(CAP).min(CAP);
    let after = query(url, "after").unwrap_or_default();
    let rest: Vec<&&str> = all.iter().filter(|id| ***id > *after).collect();
    let page: Vec<&str> = rest.iter().take(size).map(|id| **id).collect();
    let next = page.last().filter(|_| rest.len() > size);
    let records: Vec<Value> =
        page.iter().map(|id| json!({ "id": id, "name": format!("The {id}") })).collect();
    (200, json!({ kind: records, "next": next, "total": all.len() }))
}
