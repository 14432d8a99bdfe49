//! A strict REST application in memory: every request that it does not document is recorded as a fault.
//!
//! | request | response |
//! |---|---|
//! | `GET /api/ping` | 200 `{"ok": true}` |
//! | `GET /api/users` | 200 `{"items": […]}`, all users |
//! | `GET /api/users/ID` | 200, or 404 `{"error": "no such user"}` |
//! | `GET /api/users?login=…` | 200 `{"items": […]}`, users whose login contains the value |
//! | `POST /api/users` | 201 `{"id"}`; 409; 422 without a login; 402 if there are no seats left |
//! | `PATCH`, `DELETE /api/users/ID` | 200, 204, 404 |
//! | `GET /api/users/ID/teams` | 200 `["t1"]` |
//! | `GET /api/teams/ID` | 200, or 404 `{"error": "no such team"}` |
//! | `GET /api/teams` | 200 `[…]` |
//! | `PUT`, `DELETE /api/teams/T/members/ID` | 204, 404 |
//!
//! Every request needs `X-Key: key-Quiet-7-Harbour`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::{Map, Value, json};
use wiremock::{Match, Mock, MockServer, Request, Respond, ResponseTemplate, matchers};

pub(crate) const KEY: &str = "key-Quiet-7-Harbour";

#[derive(Default)]
pub(crate) struct State {
    pub(crate) users: BTreeMap<u64, Map<String, Value>>,
    pub(crate) teams: BTreeMap<String, BTreeSet<u64>>,
    /// The requests in order, such as `POST /api/users`.
    pub(crate) log: Vec<String>,
    /// Requests that should not have been made.
    pub(crate) faults: Vec<String>,
    /// Responses that replace the normal ones, each used once: method and path, response.
    pub(crate) instead: Vec<(&'static str, ResponseTemplate)>,
    pub(crate) seats: Option<usize>,
    next: u64,
}

/// The running application.
pub(crate) struct Fake {
    pub(crate) server: MockServer,
    state: Arc<Mutex<State>>,
}

struct Answers(Arc<Mutex<State>>);

impl Fake {
    pub(crate) async fn start() -> Self {
        let state = Arc::new(Mutex::new(State {
            teams: ["t1", "t2", "a/b ü"].map(|team| (team.to_owned(), BTreeSet::new())).into(),
            ..State::default()
        }));
        let server = MockServer::start().await;
        Mock::given(matchers::any()).respond_with(Answers(Arc::clone(&state))).mount(&server).await;
        Self { server, state }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Returns this response to the next such request instead of the normal one.
    pub(crate) fn instead(&self, request: &'static str, answer: ResponseTemplate) {
        self.state().instead.push((request, answer));
    }

    /// The requests since the last call.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.state().log)
    }

    /// The configuration of a connector for it.
    pub(crate) fn target(&self) -> Map<String, Value> {
        let target = json!({
            "base_url": format!("{}/api", self.server.uri()),
            "auth": { "api_key": { "header": "X-Key", "value": KEY } },
            "limits": { "request": "5s" },
            "check": { "path": "/ping", "expect": { "when": "answer.ok" } },
            "accounts": {
                "list": { "path": "/users", "records": "answer.items" },
                "follow_ups": [{ "name": "teams", "path": "/users/{{ record.id }}/teams" }],
                "record": {
                    "id": "record.id", "username": "record.login", "email": "record.mail | default(none)",
                    "display_name": "record.name | default(none)",
                    "status": { "value": "record.state", "active": ["on"], "inactive": ["off"], "suspended": ["locked"] },
                    "memberships": { "team": "follow.teams" },
                    "extra": { "title": "record.title | default(omit)" },
                },
            },
            "find": {
                "by_id": { "path": "/users/{{ account.id }}",
                    "absent": { "status": 404, "when": "answer.error == 'no such user'" } },
                "by_username": { "path": "/users", "query": { "login": "{{ account.username }}" }, "records": "answer.items" },
                "scan": true,
            },
            "groups": [{
                "slug": "team", "name": "Team", "list": { "path": "/teams" },
                "record": { "id": "record.id", "name": "record.name" },
                "find": { "path": "/teams/{{ ref }}", "absent": { "status": 404, "when": "answer.error == 'no such team'" } },
            }],
            "create_account": {
                "account_id": "saved.id",
                "steps": [
                    { "method": "POST", "path": "/users", "save": { "id": "answer.id" }, "expect": { "status": 201 },
                      "json": { "login": "{{ account.username }}", "mail": "{{ account.email | default(omit) }}",
                                "name": "{{ account.display_name | default(omit) }}", "secret": "{{ password | default(omit) }}",
                                "title": "{{ account.title | default(omit) }}" },
                      "errors": [
                        { "status": 402, "code": "LICENSE_EXHAUSTED", "message": "No seat for {{ account.label }} in {{ system }}" },
                        { "status": [409, 422], "when": "answer.error == 'taken'", "code": "ACCOUNT_ALREADY_EXISTS" },
                      ] },
                    { "for_each": "memberships.team.added", "method": "PUT", "path": "/teams/{{ item }}/members/{{ saved.id }}" },
                ],
            },
            "update_account": { "ignore": ["first_name"], "steps": [
                { "when": "changes | length > 0", "method": "PATCH", "path": "/users/{{ current.id }}",
                  "json": { "name": "{{ changes.display_name | default(omit) }}", "title": "{{ changes.title | default(omit) }}" } },
                { "for_each": "memberships.team.added", "method": "PUT", "path": "/teams/{{ item }}/members/{{ current.id }}" },
                { "for_each": "memberships.team.removed", "method": "DELETE", "path": "/teams/{{ item }}/members/{{ current.id }}" },
            ] },
            "delete_account": { "steps": [{ "method": "DELETE", "path": "/users/{{ current.id }}", "expect": { "status": 204 } }] },
            "suspend_account": { "steps": [
                { "method": "PATCH", "path": "/users/{{ current.id }}", "json": { "state": "locked" } }] },
        });
        target.as_object().unwrap().clone()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert_eq!(self.state().faults, Vec::<String>::new());
        }
    }
}

impl Respond for Answers {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let mut state = self.0.lock().unwrap();
        let path = request.url.path().to_owned();
        let asked = format!("{} {path}", request.method);
        state.log.push(asked.clone());
        if let Some(at) = state.instead.iter().position(|(of, _)| *of == asked) {
            return state.instead.remove(at).1;
        }
        if !matchers::header("X-Key", KEY).matches(request) {
            return answer(401, json!({ "error": "who are you?" }));
        }
        let parts: Vec<String> = path.split('/').skip(2).map(decoded).collect();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let query: Vec<(String, String)> =
            request.url.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let found = state.answer(request.method.as_str(), &parts, &query, &body);
        found.unwrap_or_else(|| {
            state.faults.push(format!("{asked} {query:?} {body}"));
            answer(418, json!({ "error": "not documented" }))
        })
    }
}

pub(crate) fn answer(status: u16, body: Value) -> ResponseTemplate {
    ResponseTemplate::new(status).set_body_json(body)
}

impl State {
    /// Adds a user.
    pub(crate) fn add(&mut self, login: &str) -> u64 {
        self.next += 1;
        let user =
            json!({ "id": self.next, "login": login, "mail": format!("{login}@example.com"), "state": "on" });
        self.users.insert(self.next, user.as_object().unwrap().clone());
        self.next
    }

    fn answer(
        &mut self,
        method: &str,
        parts: &[&str],
        query: &[(String, String)],
        body: &Value,
    ) -> Option<ResponseTemplate> {
        let no_user = || answer(404, json!({ "error": "no such user" }));
        let no_team = || answer(404, json!({ "error": "no such team" }));
        let id = |text: &str| text.parse::<u64>().ok().filter(|id| self.users.contains_key(id));
        Some(match (method, parts, query) {
            ("GET", ["ping"], []) => answer(200, json!({ "ok": true })),
            ("GET", ["users"], []) => {
                answer(200, json!({ "items": self.users.values().collect::<Vec<_>>() }))
            }
            ("GET", ["users"], [(name, login)]) if name == "login" => {
                let has = |user: &&Map<String, Value>| {
                    user["login"].as_str().unwrap().to_lowercase().contains(&login.to_lowercase())
                };
                answer(200, json!({ "items": self.users.values().filter(has).collect::<Vec<_>>() }))
            }
            ("GET", ["users", user], []) => {
                id(user).map_or_else(no_user, |id| answer(200, json!(self.users[&id])))
            }
            ("GET", ["users", user, "teams"], []) => id(user).map_or_else(no_user, |id| {
                let teams = self.teams.iter().filter(|(_, members)| members.contains(&id));
                answer(200, json!(teams.map(|(team, _)| team).collect::<Vec<_>>()))
            }),
            ("POST", ["users"], []) => self.create(body)?,
            ("PATCH", ["users", user], []) => match id(user) {
                None => no_user(),
                Some(id) => {
                    let known = ["name", "title", "state"];
                    let changes = body.as_object()?.clone();
                    if changes.keys().any(|name| !known.contains(&name.as_str())) {
                        return None;
                    }
                    self.users.get_mut(&id)?.extend(changes);
                    answer(200, json!({}))
                }
            },
            ("DELETE", ["users", user], []) => match id(user) {
                None => no_user(),
                Some(id) => {
                    self.users.remove(&id);
                    ResponseTemplate::new(204)
                }
            },
            ("GET", ["teams"], []) => {
                let team = |team: &String| json!({ "id": team, "name": format!("Team {team}") });
                answer(200, json!(self.teams.keys().map(team).collect::<Vec<_>>()))
            }
            ("GET", ["teams", team], []) if self.teams.contains_key(*team) => {
                answer(200, json!({ "id": team, "name": format!("Team {team}") }))
            }
            ("GET", ["teams", _], []) => no_team(),
            ("PUT" | "DELETE", ["teams", team, "members", user], []) => {
                match (id(user), self.teams.get_mut(*team)) {
                    (None, _) => no_user(),
                    (_, None) => no_team(),
                    (Some(id), Some(members)) => {
                        if method == "PUT" {
                            members.insert(id)
                        } else {
                            members.remove(&id)
                        };
                        ResponseTemplate::new(204)
                    }
                }
            }
            _ => return None,
        })
    }

    fn create(&mut self, body: &Value) -> Option<ResponseTemplate> {
        let known = ["login", "mail", "name", "secret", "title"];
        let fields = body.as_object()?;
        if fields.keys().any(|name| !known.contains(&name.as_str())) || fields.values().any(Value::is_null) {
            return None;
        }
        let Some(login) = fields.get("login").and_then(Value::as_str) else {
            return Some(answer(422, json!({ "error": "no login" })));
        };
        if self.users.values().any(|user| user["login"] == login) {
            return Some(answer(409, json!({ "error": "taken" })));
        }
        if self.seats.is_some_and(|seats| self.users.len() >= seats) {
            return Some(answer(402, json!({ "error": "pay", "secret": fields.get("secret") })));
        }
        let id = self.add(login);
        let mut fields = fields.clone();
        fields.remove("secret");
        self.users.get_mut(&id)?.extend(fields);
        Some(answer(201, json!({ "id": id })))
    }
}

fn decoded(segment: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = segment.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits: String = rest.by_ref().take(2).map(char::from).collect();
            bytes.push(u8::from_str_radix(&digits, 16).unwrap());
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).unwrap()
}
