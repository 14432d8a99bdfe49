//! A scripted SCIM server: it works correctly, unless its script changes a request or a response.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bridgehead_sdk::Connector;
use serde_json::{Value, json};
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate, matchers};

use crate::support::{connector, target};

/// The number of people: three pages of ten.
pub(crate) const PEOPLE: usize = 25;

/// How a server handles a request: usually with `serve`, and something that goes wrong before or after it.
pub(crate) type Script = fn(Ask, &mut State) -> Reply;

/// A request.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) method: String,
    /// `Users`, `Groups`, or a discovery endpoint.
    pub(crate) endpoint: String,
    pub(crate) id: Option<String>,
    pub(crate) query: BTreeMap<String, String>,
    pub(crate) body: Value,
    pub(crate) if_match: Option<String>,
}

/// A response; a `null` body is empty.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) location: Option<String>,
    pub(crate) body: Value,
}

/// The data of the server.
#[derive(Clone, Debug)]
pub(crate) struct State {
    pub(crate) users: Vec<Value>,
    pub(crate) groups: Vec<Value>,
    /// The maximum number of records per page.
    pub(crate) cap: usize,
    pub(crate) config: Value,
    /// The number of requests for lists.
    pub(crate) lists: usize,
    made: usize,
}

/// A running server.
pub(crate) struct Scripted {
    server: MockServer,
    state: Arc<Mutex<State>>,
    script: Arc<Mutex<Script>>,
}

struct Answers(Arc<Mutex<State>>, Arc<Mutex<Script>>);

impl Scripted {
    /// A server with this script, whose `ServiceProviderConfig` also contains `config`.
    pub(crate) async fn start(config: &Value, script: Script) -> Self {
        let state = Arc::new(Mutex::new(State::new(config)));
        let script = Arc::new(Mutex::new(script));
        // Thousands of requests need not be recorded.
        let server = MockServer::builder().disable_request_recording().start().await;
        Mock::given(matchers::any())
            .respond_with(Answers(Arc::clone(&state), Arc::clone(&script)))
            .mount(&server)
            .await;
        Self { server, state, script }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Resets the state, and uses this script.
    pub(crate) fn start_over(&self, config: &Value, script: Script) {
        *self.state() = State::new(config);
        *self.script.lock().unwrap_or_else(PoisonError::into_inner) = script;
    }

    /// A connector for it, with ten records per page.
    pub(crate) fn connector(&self, more: &Value) -> Arc<dyn Connector> {
        let mut settings = json!({ "page_size": 10 });
        for (key, value) in more.as_object().unwrap() {
            settings[key] = value.clone();
        }
        connector(target(&format!("{}/v2", self.server.uri()), "token", settings))
    }
}

impl Respond for Answers {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let mut parts = request.url.path().trim_start_matches("/v2/").split('/');
        let ask = Ask {
            method: request.method.to_string(),
            endpoint: parts.next().unwrap_or_default().to_owned(),
            id: parts.next().map(str::to_owned),
            query: request.url.query_pairs().map(|(k, v)| (k.into_owned(), v.into_owned())).collect(),
            body: serde_json::from_slice(&request.body).unwrap_or_default(),
            if_match: request.headers.get("if-match").map(|value| value.to_str().unwrap().to_owned()),
        };
        let script = *self.1.lock().unwrap_or_else(PoisonError::into_inner);
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.lists += usize::from(ask.lists());
        let reply = script(ask, &mut state);
        let mut answer = ResponseTemplate::new(reply.status);
        if let Some(location) = reply.location {
            answer = answer.insert_header("location", location.as_str());
        }
        match reply.body {
            Value::Null => answer,
            Value::String(text) if text == "null" => answer.set_body_raw(text, "application/scim+json"),
            Value::String(text) => answer.set_body_raw(text, "text/html"),
            body => answer.set_body_raw(body.to_string(), "application/scim+json"),
        }
    }
}

impl Ask {
    /// Whether it requests a list of users or groups.
    pub(crate) fn lists(&self) -> bool {
        self.method == "GET" && self.id.is_none() && matches!(self.endpoint.as_str(), "Users" | "Groups")
    }

    /// Whether it requests a page of all users.
    pub(crate) fn lists_users(&self) -> bool {
        self.lists() && self.endpoint == "Users" && !self.query.contains_key("filter")
    }

    pub(crate) fn start(&self) -> usize {
        self.number("startIndex").unwrap_or(1).max(1)
    }

    fn number(&self, name: &str) -> Option<usize> {
        self.query.get(name)?.parse().ok()
    }

    /// The same request with another value of a parameter, or without it.
    pub(crate) fn with(mut self, name: &str, value: Option<usize>) -> Self {
        self.query.remove(name);
        self.query.extend(value.map(|value| (name.to_owned(), value.to_string())));
        self
    }
}

impl Reply {
    pub(crate) fn new(status: u16, body: Value) -> Self {
        Self { status, location: None, body }
    }

    /// The number of records on the page.
    pub(crate) fn count(&self) -> usize {
        self.body["Resources"].as_array().map_or(0, Vec::len)
    }

    /// The same response with another field.
    pub(crate) fn with(mut self, name: &str, value: Value) -> Self {
        if self.body.is_object() {
            self.body[name] = value;
        }
        self
    }

    /// The same response without a field.
    pub(crate) fn without(mut self, name: &str) -> Self {
        if let Some(body) = self.body.as_object_mut() {
            body.shift_remove(name);
        }
        self
    }

    /// The same response without a field of each record.
    pub(crate) fn hiding(mut self, name: &str) -> Self {
        if let Some(body) = self.body.as_object_mut() {
            body.shift_remove(name);
        }
        for record in self.body["Resources"].as_array_mut().into_iter().flatten() {
            record.as_object_mut().unwrap().shift_remove(name);
        }
        self
    }
}

/// An error in the format of RFC 7644.
pub(crate) fn error(status: u16) -> Value {
    let schema = "urn:ietf:params:scim:api:messages:2.0:Error";
    json!({ "schemas": [schema], "status": status.to_string() })
}

fn refused(status: u16) -> Reply {
    Reply::new(status, error(status))
}

impl State {
    fn new(config: &Value) -> Self {
        let user = |number: usize| {
            json!({
                "id": format!("u{number:02}"), "userName": format!("p{number:02}"), "active": number != 5, "title": "old",
                "emails": [{ "value": format!("p{number:02}@example.com"), "type": "work", "primary": true }],
                "meta": { "version": "W/\"1\"" },
            })
        };
        let group = |group: usize| {
            let members = (0..PEOPLE).filter(|number| number % 3 + 1 == group);
            let members: Vec<Value> =
                members.map(|number| json!({ "value": format!("u{number:02}") })).collect();
            json!({ "id": format!("g{group}"), "displayName": format!("G{group}"), "members": members })
        };
        let on = json!({ "supported": true });
        let mut all = json!({ "patch": on, "filter": on, "changePassword": on, "etag": on });
        for (key, value) in config.as_object().unwrap() {
            all[key] = value.clone();
        }
        Self {
            users: (0..PEOPLE).map(user).collect(),
            groups: (1..=3).map(group).collect(),
            cap: 100,
            config: all,
            lists: 0,
            made: 0,
        }
    }

    pub(crate) fn user(&mut self, id: &str) -> &mut Value {
        self.users.iter_mut().find(|user| user["id"] == id).unwrap()
    }

    /// The members of each group.
    pub(crate) fn members(&self) -> BTreeMap<String, Vec<String>> {
        let members = |group: &Value| {
            let all = group["members"].as_array().into_iter().flatten();
            all.map(|member| member["value"].as_str().unwrap().to_owned()).collect()
        };
        self.groups.iter().map(|group| (group["id"].as_str().unwrap().to_owned(), members(group))).collect()
    }

    /// The correct response, without executing the request.
    pub(crate) fn pretend(&mut self, ask: &Ask) -> Reply {
        let before = self.clone();
        let reply = self.serve(ask);
        *self = Self { lists: self.lists, ..before };
        reply
    }

    /// The correct response.
    pub(crate) fn serve(&mut self, ask: &Ask) -> Reply {
        match (ask.method.as_str(), ask.endpoint.as_str(), &ask.id) {
            ("GET", "ServiceProviderConfig", _) => Reply::new(200, self.config.clone()),
            ("GET", "Users" | "Groups", None) => self.list(ask),
            ("POST", "Users", None) => self.create(ask),
            (_, "Users" | "Groups", Some(id)) => self.one(ask, id),
            _ => refused(404),
        }
    }

    fn all(&mut self, endpoint: &str) -> &mut Vec<Value> {
        if endpoint == "Users" { &mut self.users } else { &mut self.groups }
    }

    fn list(&mut self, ask: &Ask) -> Reply {
        let mut found: Vec<Value> = self.all(&ask.endpoint).clone();
        if let Some(filter) = ask.query.get("filter") {
            let (path, value) = filter.split_once(" eq ").unwrap();
            let value: String = serde_json::from_str(value).unwrap();
            let (attribute, sub) = path.split_once('.').unwrap_or((path, "value"));
            found.retain(|record| match &record[attribute] {
                Value::Array(items) => items.iter().any(|item| item[sub] == value),
                plain => plain.as_str().is_some_and(|text| text.eq_ignore_ascii_case(&value)),
            });
        }
        let total = found.len();
        let count = ask.number("count").unwrap_or(100).min(self.cap);
        let from = match ask.query.get("cursor") {
            Some(cursor) => cursor.trim_start_matches('c').parse().unwrap_or(0),
            None => ask.start() - 1,
        };
        let page: Vec<Value> = found.into_iter().skip(from).take(count).collect();
        let end = from + page.len();
        let mut body = json!({ "totalResults": total, "itemsPerPage": page.len(), "Resources": page });
        if !ask.query.contains_key("cursor") {
            body["startIndex"] = (from + 1).into();
        } else if end < total {
            body["nextCursor"] = format!("c{end}").into();
        }
        let reply = Reply::new(200, body);
        let excluded = ask.query.get("excludedAttributes").is_some_and(|name| name == "members");
        if excluded { reply.hiding("members") } else { reply }
    }

    fn create(&mut self, ask: &Ask) -> Reply {
        if self.users.iter().any(|user| user["userName"] == ask.body["userName"]) {
            return refused(409);
        }
        self.made += 1;
        let mut user = ask.body.clone();
        let id = format!("n{}", self.made);
        user["id"] = id.clone().into();
        self.users.push(user.clone());
        Reply { location: Some(format!("/v2/Users/{id}")), ..Reply::new(201, user) }
    }

    fn one(&mut self, ask: &Ask, id: &str) -> Reply {
        let Some(at) = self.all(&ask.endpoint).iter().position(|record| record["id"] == id) else {
            return refused(404);
        };
        if ask.method == "DELETE" {
            self.all(&ask.endpoint).remove(at);
            for group in &mut self.groups {
                group["members"].as_array_mut().unwrap().retain(|member| member["value"] != id);
            }
            return Reply::new(204, Value::Null);
        }
        let record = &mut self.all(&ask.endpoint)[at];
        if ask.method != "GET"
            && ask.if_match.as_ref().is_some_and(|version| record["meta"]["version"] != **version)
        {
            return refused(412);
        }
        match ask.method.as_str() {
            "PUT" => {
                let meta = record["meta"].clone();
                *record = ask.body.clone();
                record["meta"] = meta;
            }
            "PATCH" => {
                for operation in ask.body["Operations"].as_array().unwrap() {
                    patch(record, operation);
                }
            }
            _ => {}
        }
        Reply::new(200, record.clone())
    }
}

fn patch(record: &mut Value, operation: &Value) {
    let path = operation["path"].as_str().unwrap();
    let value = &operation["value"];
    match (operation["op"].as_str().unwrap(), path.split_once('[')) {
        ("remove", Some((attribute, condition))) => {
            let wanted: Value =
                serde_json::from_str(condition.trim_start_matches("value eq ").trim_end_matches(']'))
                    .unwrap();
            record[attribute].as_array_mut().unwrap().retain(|item| item["value"] != wanted);
        }
        ("remove", None) => {
            record.as_object_mut().unwrap().shift_remove(path);
        }
        ("add", None) if value.is_array() => {
            if !record[path].is_array() {
                record[path] = json!([]);
            }
            record[path].as_array_mut().unwrap().extend(value.as_array().unwrap().clone());
        }
        _ => record[path] = value.clone(),
    }
}
