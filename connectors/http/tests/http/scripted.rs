//! A scripted REST application: it works correctly, unless its script changes a request or a response.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Map, Value, json};
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate, matchers};

/// The number of people: three pages of ten.
pub(crate) const PEOPLE: usize = 25;

/// How an application handles a request: usually with `serve`, and something that goes wrong before or after it.
pub(crate) type Script = fn(Ask, &mut State) -> Reply;

/// A request.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) method: String,
    pub(crate) path: Vec<String>,
    pub(crate) query: BTreeMap<String, String>,
    pub(crate) body: Value,
}

/// A response; a `null` body is empty, and a string is not sent as JSON.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Value,
}

/// The data of the application.
#[derive(Clone, Debug)]
pub(crate) struct State {
    pub(crate) people: Vec<Value>,
    pub(crate) groups: BTreeMap<String, Vec<String>>,
    /// The number of requests for a page of people.
    pub(crate) pages: usize,
}

/// A running application.
pub(crate) struct Scripted {
    pub(crate) server: MockServer,
    state: Arc<Mutex<State>>,
    script: Arc<Mutex<Script>>,
}

struct Answers(Arc<Mutex<State>>, Arc<Mutex<Script>>);

impl Scripted {
    pub(crate) async fn start(script: Script) -> Self {
        let state = Arc::new(Mutex::new(State::new()));
        let script = Arc::new(Mutex::new(script));
        let server = MockServer::start().await;
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
    pub(crate) fn start_over(&self, script: Script) {
        *self.state() = State::new();
        *self.script.lock().unwrap_or_else(PoisonError::into_inner) = script;
    }

    /// The configuration of a connector for it, with this paging and query for the list of people.
    pub(crate) fn target(&self, paging: &Value, query: &Value) -> Map<String, Value> {
        let mut list = json!({ "path": "/people", "records": "answer.people", "query": query });
        if !paging.is_null() {
            list["paging"] = paging.clone();
        }
        let one = "/people/{{ current.id }}";
        let target = json!({
            "base_url": self.server.uri(),
            "check": { "path": "/ping" },
            "accounts": {
                "list": list,
                "record": { "id": "record.id", "username": "record.name", "email": "record.mail | default(none)",
                    "status": { "value": "record.locked", "active": [false], "suspended": [true] },
                    "extra": { "title": "record.title | default(omit)" } },
            },
            "find": {
                "by_id": { "path": "/people/{{ account.id }}", "absent": { "status": 404, "when": "answer.reason == 'nobody'" } },
                "by_username": { "path": "/people", "query": { "name": "{{ account.username }}" }, "records": "answer.people" },
                "by_email": { "path": "/people", "query": { "mail": "{{ account.email }}" }, "records": "answer.people" },
            },
            "groups": [{
                "slug": "group", "name": "Group", "list": { "path": "/groups", "records": "answer.groups" },
                "record": { "id": "record.id", "name": "record.id" },
                "members": { "path": "/groups/{{ group }}/members", "records": "answer.members", "account": "record" },
            }],
            "create_account": { "account_id": "account.username", "steps": [
                { "method": "PUT", "path": "/people/{{ account.username }}", "expect": { "status": 201 },
                  "json": { "name": "{{ account.username }}", "mail": "{{ account.email | default(omit) }}" } },
                { "for_each": "memberships.group.added", "method": "PUT", "path": "/groups/{{ item }}/members/{{ account.username }}" } ] },
            "update_account": { "steps": [
                { "when": "changes | length > 0", "method": "PATCH", "path": one, "json": { "title": "{{ changes.title | default(omit) }}" } },
                { "for_each": "memberships.group.added", "method": "PUT", "path": "/groups/{{ item }}/members/{{ current.id }}" },
                { "for_each": "memberships.group.removed", "method": "DELETE", "path": "/groups/{{ item }}/members/{{ current.id }}" } ] },
            "delete_account": { "steps": [{ "method": "DELETE", "path": one }] },
            "suspend_account": { "steps": [{ "method": "PATCH", "path": one, "json": { "locked": true } }] },
            "unsuspend_account": { "steps": [{ "method": "PATCH", "path": one, "json": { "locked": false } }] },
            "reset_password": { "steps": [{ "method": "PATCH", "path": one, "json": { "password": "{{ password }}" } }] },
        });
        target.as_object().unwrap().clone()
    }
}

impl Respond for Answers {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let ask = Ask {
            method: request.method.to_string(),
            path: request.url.path().split('/').skip(1).map(str::to_owned).collect(),
            query: request.url.query_pairs().map(|(k, v)| (k.into_owned(), v.into_owned())).collect(),
            body: serde_json::from_slice(&request.body).unwrap_or_default(),
        };
        let script = *self.1.lock().unwrap_or_else(PoisonError::into_inner);
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.pages += usize::from(ask.pages());
        let reply = script(ask, &mut state);
        let mut answer = ResponseTemplate::new(reply.status);
        for (name, value) in reply.headers {
            answer = answer.append_header(name, value.as_str());
        }
        match reply.body {
            Value::Null => answer,
            Value::String(text) if text == "null" => answer.set_body_raw(text, "application/json"),
            Value::String(text) => answer.set_body_raw(text, "text/html"),
            body => answer.set_body_json(body),
        }
    }
}

impl Ask {
    /// Whether it requests a page of people, rather than one person.
    pub(crate) fn pages(&self) -> bool {
        self.method == "GET" && self.path == ["people"] && !self.searches()
    }

    fn searches(&self) -> bool {
        self.query.contains_key("name") || self.query.contains_key("mail")
    }

    pub(crate) fn changes(&self) -> bool {
        self.method != "GET"
    }

    /// The index at which the page starts.
    pub(crate) fn from(&self) -> usize {
        let number = |name: &str| {
            self.query.get(name).and_then(|text| text.trim_start_matches('c').parse::<usize>().ok())
        };
        number("from")
            .or_else(|| number("after"))
            .or_else(|| number("page").map(|page| (page - 1) * 10))
            .unwrap_or(0)
    }
}

impl Reply {
    pub(crate) fn new(status: u16, body: Value) -> Self {
        Self { status, headers: Vec::new(), body }
    }

    /// The same response with another field.
    pub(crate) fn with(mut self, name: &str, value: Value) -> Self {
        self.body[name] = value;
        self
    }

    /// The same response with another header.
    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn status(self, status: u16) -> Self {
        Self { status, ..self }
    }
}

impl State {
    fn new() -> Self {
        let person = |number: usize| {
            json!({ "id": format!("u{number:02}"), "name": format!("p{number:02}"), "mail": format!("p{number:02}@example.com"),
                "locked": number == 5, "title": "old" })
        };
        let members = |group: usize| {
            (0..PEOPLE)
                .filter(|number| number % 3 + 1 == group)
                .map(|number| format!("u{number:02}"))
                .collect()
        };
        Self {
            people: (0..PEOPLE).map(person).collect(),
            groups: (1..=3).map(|group| (format!("g{group}"), members(group))).collect(),
            pages: 0,
        }
    }

    /// The correct response, without executing the request.
    pub(crate) fn pretend(&mut self, ask: &Ask) -> Reply {
        let before = self.clone();
        let reply = self.serve(ask);
        *self = Self { pages: self.pages, ..before };
        reply
    }

    /// The correct response: pages of ten, with the next page in every form.
    pub(crate) fn serve(&mut self, ask: &Ask) -> Reply {
        let path: Vec<&str> = ask.path.iter().map(String::as_str).collect();
        let nobody = || Reply::new(404, json!({ "reason": "nobody" }));
        match (ask.method.as_str(), path.as_slice()) {
            ("GET", ["ping"]) => Reply::new(200, json!({})),
            ("GET", ["people"]) if ask.searches() => {
                let (name, value) = ask.query.iter().next().unwrap();
                let found: Vec<&Value> =
                    self.people.iter().filter(|person| person[name] == **value).collect();
                Reply::new(200, json!({ "people": found }))
            }
            ("GET", ["people"]) => {
                let from = ask.from().min(self.people.len());
                let end = self.people.len().min(from + 10);
                let next = if end < self.people.len() { json!(format!("c{end}")) } else { Value::Null };
                let body =
                    json!({ "people": self.people[from..end], "cursor": next, "all": self.people.len() });
                Reply::new(200, body)
            }
            ("GET", ["groups"]) => {
                let groups: Vec<Value> = self.groups.keys().map(|id| json!({ "id": id })).collect();
                Reply::new(200, json!({ "groups": groups }))
            }
            ("GET", ["groups", group, "members"]) => match self.groups.get(*group) {
                Some(members) => Reply::new(200, json!({ "members": members })),
                None => nobody(),
            },
            ("PUT", ["groups", group, "members", id]) => {
                self.groups.get_mut(*group).unwrap().push((*id).to_owned());
                Reply::new(204, Value::Null)
            }
            ("DELETE", ["groups", group, "members", id]) => {
                self.groups.get_mut(*group).unwrap().retain(|member| member != id);
                Reply::new(204, Value::Null)
            }
            ("PUT", ["people", name]) => {
                // An existing person with the name is replaced.
                let known = self.people.iter().position(|person| person["name"] == **name);
                let is_new = known.is_none();
                let mut person = ask.body.clone();
                person["id"] = known.map_or(json!(name), |at| self.people[at]["id"].clone());
                person["locked"] = false.into();
                self.people.retain(|known| known["name"] != **name);
                self.people.push(person);
                Reply::new(if is_new { 201 } else { 200 }, json!({}))
            }
            (method, ["people", id]) => {
                let Some(at) = self.people.iter().position(|person| person["id"] == **id) else {
                    return nobody();
                };
                match method {
                    "GET" => Reply::new(200, self.people[at].clone()),
                    "PATCH" => {
                        let fields = self.people[at].as_object_mut().unwrap();
                        fields.extend(ask.body.as_object().unwrap().clone());
                        Reply::new(200, json!({}))
                    }
                    _ => {
                        self.people.remove(at);
                        for members in self.groups.values_mut() {
                            members.retain(|member| member != id);
                        }
                        Reply::new(204, Value::Null)
                    }
                }
            }
            _ => Reply::new(418, json!({ "reason": "not documented" })),
        }
    }
}
