//! A small web API for trying out the connector: users and teams in memory. Your system replaces it.
//!
//! `cargo run --example sample_api [PORT]`; the token is "sample-token". The token "read-only-token" allows no changes.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;

const TEXTS: [&str; 5] = ["login", "mail", "given_name", "surname", "title"];
const PAGE: usize = 100;

#[derive(Default)]
struct Tables {
    count: u64,
    teams: BTreeMap<String, Value>,
    users: BTreeMap<String, Value>,
}

type Shared = Arc<Mutex<Tables>>;
type Refusal = (StatusCode, &'static str);

#[allow(dead_code, reason = "the tests start it themselves")]
#[tokio::main]
async fn main() {
    let port = std::env::args()
        .nth(1)
        .map_or(8099, |port| port.parse().expect("a port"));
    let address = start(port, 3).await;
    println!("listening on http://{address}");
    std::future::pending::<()>().await;
}

/// Starts the API with this many users, on a free port if `port` is 0.
pub async fn start(port: u16, users: usize) -> SocketAddr {
    let mut tables = Tables::default();
    for (id, name) in [("t1", "Engineering"), ("t2", "Sales"), ("t3", "Support")] {
        tables
            .teams
            .insert(id.to_owned(), json!({ "id": id, "name": name }));
    }
    for number in 1..=users {
        let name = format!("person-{number}");
        let mut user = tables.empty();
        user["login"] = json!(name);
        user["mail"] = json!(format!("{name}@example.org"));
        tables.insert(user);
    }
    let shared = Shared::new(Mutex::new(tables));
    let router = Router::new()
        .route("/{kind}", any(all))
        .route("/{kind}/{id}", any(one))
        .with_state(shared);
    let listener = TcpListener::bind(("127.0.0.1", port))
        .await
        .unwrap_or_else(|error| panic!("port {port}: {error}; choose another port"));
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

async fn all(
    State(shared): State<Shared>,
    method: Method,
    Path(kind): Path<String>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
    body: String,
) -> Response {
    answer(|| {
        may(&headers, &method)?;
        let mut tables = shared.lock().expect("the lock");
        match (method, kind.as_str()) {
            (Method::GET, "users") => Ok((StatusCode::OK, page(&tables.users, &query))),
            (Method::GET, "teams") => Ok((StatusCode::OK, page(&tables.teams, &query))),
            (Method::POST, "users") => Ok((StatusCode::CREATED, tables.add(&read(&body)?)?)),
            _ => Err((StatusCode::NOT_FOUND, "not found")),
        }
    })
}

async fn one(
    State(shared): State<Shared>,
    method: Method,
    Path((kind, id)): Path<(String, String)>,
    headers: HeaderMap,
    body: String,
) -> Response {
    answer(|| {
        may(&headers, &method)?;
        let mut tables = shared.lock().expect("the lock");
        let nobody = (StatusCode::NOT_FOUND, "not found");
        match (method, kind.as_str()) {
            (Method::GET, "users") => {
                Ok((StatusCode::OK, tables.users.get(&id).ok_or(nobody)?.clone()))
            }
            (Method::GET, "teams") => {
                Ok((StatusCode::OK, tables.teams.get(&id).ok_or(nobody)?.clone()))
            }
            (Method::PATCH, "users") => Ok((StatusCode::OK, tables.change(&id, &read(&body)?)?)),
            (Method::DELETE, "users") => {
                tables.users.remove(&id).ok_or(nobody)?;
                Ok((StatusCode::OK, json!({})))
            }
            _ => Err(nobody),
        }
    })
}

fn answer(of: impl FnOnce() -> Result<(StatusCode, Value), Refusal>) -> Response {
    match of() {
        Ok((status, body)) => (status, axum::Json(body)).into_response(),
        Err((status, problem)) => {
            (status, axum::Json(json!({ "problem": problem }))).into_response()
        }
    }
}

fn may(headers: &HeaderMap, method: &Method) -> Result<(), Refusal> {
    match headers.get("authorization").map(|value| value.as_bytes()) {
        Some(b"Bearer sample-token") => Ok(()),
        Some(b"Bearer read-only-token") if *method == Method::GET => Ok(()),
        Some(b"Bearer read-only-token") => Err((StatusCode::FORBIDDEN, "this token is read-only")),
        _ => Err((StatusCode::UNAUTHORIZED, "authentication required")),
    }
}

fn read(body: &str) -> Result<Value, Refusal> {
    serde_json::from_str(body).map_err(|_| (StatusCode::BAD_REQUEST, "invalid JSON"))
}

/// Like many APIs, it finds every name that contains the text, and limits the page size.
fn page(table: &BTreeMap<String, Value>, query: &HashMap<String, String>) -> Value {
    let limit = query.get("limit").and_then(|limit| limit.parse().ok());
    let limit = limit.unwrap_or(PAGE).min(PAGE);
    let after = query.get("after").map_or("", String::as_str);
    let fits = |record: &Value| {
        let mut filters = query
            .iter()
            .filter(|(name, _)| TEXTS.contains(&name.as_str()));
        filters.all(|(name, text)| {
            let held = record[name].as_str().unwrap_or_default();
            held.to_lowercase().contains(&text.to_lowercase())
        })
    };
    let mut rest = table
        .iter()
        .filter(|(id, record)| id.as_str() > after && fits(record));
    let items: Vec<&Value> = rest
        .by_ref()
        .take(limit)
        .map(|(_, record)| record)
        .collect();
    let next = rest
        .next()
        .and_then(|_| items.last())
        .map(|last| last["id"].clone());
    json!({ "items": items, "next": next })
}

impl Tables {
    /// A new user without any values.
    fn empty(&self) -> Value {
        let mut user =
            json!({ "id": format!("u{:06}", self.count + 1), "enabled": true, "teams": [] });
        TEXTS.iter().for_each(|name| user[name] = Value::Null);
        user
    }

    fn insert(&mut self, user: Value) {
        self.count += 1;
        self.users
            .insert(user["id"].as_str().unwrap_or_default().to_owned(), user);
    }

    fn add(&mut self, fields: &Value) -> Result<Value, Refusal> {
        let mut user = self.empty();
        self.fill("", &mut user, fields)?;
        self.insert(user.clone());
        Ok(user)
    }

    fn change(&mut self, id: &str, fields: &Value) -> Result<Value, Refusal> {
        let nobody = (StatusCode::NOT_FOUND, "not found");
        let mut user = self.users.get(id).ok_or(nobody)?.clone();
        self.fill(id, &mut user, fields)?;
        self.users.insert(id.to_owned(), user.clone());
        Ok(user)
    }

    fn fill(&self, id: &str, user: &mut Value, fields: &Value) -> Result<(), Refusal> {
        let bad = |what| Err((StatusCode::UNPROCESSABLE_ENTITY, what));
        for (name, value) in fields.as_object().unwrap_or(&Map::new()) {
            match (name.as_str(), value) {
                (name, Value::Null) if TEXTS.contains(&name) => {}
                (name, Value::String(text)) if TEXTS.contains(&name) && !text.contains('\0') => {}
                ("enabled", Value::Bool(_)) => {}
                // Stored, but never returned.
                ("password", Value::String(_)) => continue,
                ("teams", Value::Array(teams)) => {
                    let known =
                        |team: &Value| team.as_str().is_some_and(|id| self.teams.contains_key(id));
                    if !teams.iter().all(known) {
                        return bad("team not found");
                    }
                }
                _ => return bad("this field cannot be set"),
            }
            user[name] = value.clone();
        }
        let taken = |name: &str| {
            let wanted = user[name].as_str().unwrap_or_default().to_lowercase();
            let held = |other: &Value| other[name].as_str().unwrap_or_default().to_lowercase();
            let mut others = self.users.iter().filter(|(other, _)| *other != id);
            !wanted.is_empty() && others.any(|(_, other)| held(other) == wanted)
        };
        if taken("login") || taken("mail") {
            return Err((StatusCode::CONFLICT, "the login or the email is taken"));
        }
        Ok(())
    }
}
