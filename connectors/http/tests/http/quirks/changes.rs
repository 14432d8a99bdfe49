//! Changes that applications report as done.

use serde_json::{Value, json};

use super::{Quirk, Token, quirk};
use crate::scripted::{Ask, Reply, State};

pub(super) fn rows() -> Vec<Quirk> {
    vec![
        quirk(
            "answers changes with 200 and does nothing",
            "json-api, ethanresnick/json-api#1",
            Token,
            |ask, s| {
                if ask.changes() { s.pretend(&ask).status(200) } else { s.serve(&ask) }
            },
        ),
        quirk("answers changes with 204 and does nothing", "", Token, |ask, s| {
            if ask.changes() { s.pretend(&ask).status(204) } else { s.serve(&ask) }
        }),
        quirk("answers changes with 202", "field", Token, |ask, s| {
            if ask.changes() { s.pretend(&ask).status(202) } else { s.serve(&ask) }
        }),
        quirk("answers DELETE with 204 and does nothing", "field", Token, |ask, s| {
            pretend(&ask, s, "DELETE", 204)
        }),
        quirk("answers PUT with 201 and does nothing", "", Token, |ask, s| pretend(&ask, s, "PUT", 201)),
        quirk("answers changes with a web page and 200", "", Token, |ask, s| {
            if ask.changes() { Reply::new(200, json!("<html>log in</html>")) } else { s.serve(&ask) }
        }),
        quirk("answers changes with 500 and has done them", "", Token, |ask, s| {
            let r = s.serve(&ask);
            if ask.changes() { r.status(500) } else { r }
        }),
        quirk(
            "answers changes with 200 and ok: false",
            "Keybase, keybase/keybase-issues#1745",
            Token,
            |ask, s| {
                if ask.changes() {
                    Reply::new(200, json!({ "ok": false, "error": "no_permission" }))
                } else {
                    s.serve(&ask)
                }
            },
        ),
        quirk(
            "answers changes with 201 and errors",
            "Vonage, Vonage/vonage-ruby-sdk#149",
            Token,
            |ask, s| {
                if ask.changes() { Reply::new(201, json!({ "errors": ["quota"] })) } else { s.serve(&ask) }
            },
        ),
        quirk("answers changes with 201, errors, and does them", "", Token, |ask, s| {
            let r = s.serve(&ask);
            if ask.changes() { Reply::new(201, json!({ "errors": ["mail not sent"] })) } else { r }
        }),
        quirk("answers changes with 200 and errors that are none", "", Token, |ask, s| {
            let r = s.serve(&ask);
            if ask.changes() {
                r.with("errors", json!([])).with("error", Value::Null).with("ok", true.into())
            } else {
                r
            }
        }),
        quirk(
            "answers changes with 200 and an error that means something else, as is set",
            "",
            Token,
            |ask, s| {
                let r = s.serve(&ask);
                if ask.method == "PATCH" {
                    Reply::new(200, json!({ "error": "none of your business" }))
                } else {
                    r
                }
            },
        )
        .set("update_account.steps.0.expect", json!({ "when": "true" }))
        .set("suspend_account.steps.0.expect", json!({ "when": "true" }))
        .set("unsuspend_account.steps.0.expect", json!({ "when": "true" }))
        .set("reset_password.steps.0.expect", json!({ "when": "true" })),
        quirk("answers changes with 200 and success: false, and does nothing", "", Token, |ask, s| {
            if ask.changes() {
                Reply::new(200, json!({ "success": false, "message": "no" }))
            } else {
                s.serve(&ask)
            }
        }),
        quirk("answers changes with 200 and an error alone, and does nothing", "", Token, |ask, s| {
            if ask.changes() { Reply::new(200, json!({ "error": "no_permission" })) } else { s.serve(&ask) }
        }),
        quirk("answers changes with 200 and success: \"false\", and does nothing", "", Token, |ask, s| {
            if ask.changes() {
                Reply::new(200, json!({ "success": "false", "reason": "no" }))
            } else {
                s.serve(&ask)
            }
        }),
        quirk("answers changes with 200 and ok: 0 in an envelope, and does nothing", "", Token, |ask, s| {
            if ask.changes() {
                Reply::new(200, json!({ "id": 7, "result": { "ok": 0 } }))
            } else {
                s.serve(&ask)
            }
        }),
        quirk(
            "answers changes with 200 and a status of 403 in the body, and does nothing",
            "",
            Token,
            |ask, s| {
                if ask.changes() {
                    Reply::new(200, json!({ "status": 403, "message": "no" }))
                } else {
                    s.serve(&ask)
                }
            },
        ),
        quirk(
            "answers changes with 200 and errors as GraphQL has them, and does nothing",
            "",
            Token,
            |ask, s| {
                if ask.changes() {
                    let inner = json!({ "user": null, "userErrors": [{ "message": "no" }] });
                    Reply::new(200, json!({ "data": { "userUpdate": inner } }))
                } else {
                    s.serve(&ask)
                }
            },
        ),
        quirk(
            "answers changes with 200 and a list with one outcome that failed, and does nothing",
            "",
            Token,
            |ask, s| {
                if ask.changes() {
                    Reply::new(200, json!([{ "id": "u03", "result": "failed" }]))
                } else {
                    s.serve(&ask)
                }
            },
        ),
        quirk("answers changes with the person, whose last login has failed", "", Token, |ask, s| {
            let r = s.serve(&ask);
            if ask.changes() && r.status < 300 {
                let login = json!({ "ok": false, "error": "wrong password" });
                Reply::new(
                    if r.status == 201 { 201 } else { 200 },
                    json!({ "name": "ann", "id": "u00", "last_login": login }),
                )
            } else {
                r
            }
        }),
        quirk("answers changes with 207 and a part that failed, and does nothing", "", Token, |ask, s| {
            if ask.changes() {
                Reply::new(207, json!({ "results": [{ "status": 400 }] }))
            } else {
                s.serve(&ask)
            }
        }),
        quirk("answers changes with 207 and does them", "", Token, |ask, s| {
            let r = s.serve(&ask);
            if ask.changes() { r.status(207) } else { r }
        }),
        quirk("answers changes with 202 and the address of a job, and does nothing", "", Token, |ask, s| {
            if ask.changes() {
                Reply::new(202, json!({ "job": 7 })).header("Location", "/jobs/7")
            } else {
                s.serve(&ask)
            }
        }),
        quirk("answers PATCH with 200 and the old person, and does nothing", "", Token, |ask, s| {
            if ask.method != "PATCH" {
                return s.serve(&ask);
            }
            let old = s.people.iter().find(|one| one["id"] == *ask.path[1]).cloned().unwrap_or_default();
            Reply::new(200, old)
        }),
        quirk("answers 404 to DELETE and has deleted", "", Token, |ask, s| {
            let r = s.serve(&ask);
            if ask.method == "DELETE" { Reply::new(404, json!({})) } else { r }
        }),
        quirk("leads changes to another host", "", Token, |ask, s| {
            if ask.changes() {
                Reply::new(307, Value::Null).header("Location", "https://elsewhere.example.org/people")
            } else {
                s.serve(&ask)
            }
        }),
        quirk("asks to wait for ever before a change", "", Token, |ask, s| {
            if ask.changes() {
                Reply::new(429, json!({})).header("Retry-After", "99999999999999999999")
            } else {
                s.serve(&ask)
            }
        }),
        quirk("says by X-RateLimit-Reset alone when a change is welcome", "", Token, |ask, s| {
            if ask.changes() {
                Reply::new(429, json!({})).header("X-RateLimit-Reset", "4102444800")
            } else {
                s.serve(&ask)
            }
        }),
        quirk("leads changes to a page for people", "", Token, |ask, s| {
            if ask.changes() { Reply::new(302, Value::Null) } else { s.serve(&ask) }
        }),
        quirk("forbids changes", "", Token, |ask, s| {
            if ask.changes() { Reply::new(403, json!({})) } else { s.serve(&ask) }
        }),
        quirk("limits changes to none", "", Token, |ask, s| {
            if ask.changes() { Reply::new(429, json!({})) } else { s.serve(&ask) }
        }),
        quirk("makes people locked", "", Token, |ask, s| {
            let r = s.serve(&ask);
            if ask.method == "PUT" && ask.path[0] == "people" {
                s.people.last_mut().unwrap()["locked"] = true.into();
            }
            r
        }),
        quirk(
            "unlocks each account that is changed",
            "Synapse, matrix-org/synapse#6989",
            Token,
            |mut ask, s| {
                if ask.method == "PATCH" {
                    ask.body["locked"] = false.into();
                }
                s.serve(&ask)
            },
        ),
        quirk("locks those who are deleted, and keeps them", "field", Token, |mut ask, s| {
            if ask.method == "DELETE" && ask.path[0] == "people" {
                "PATCH".clone_into(&mut ask.method);
                ask.body = json!({ "locked": true });
            }
            s.serve(&ask)
        }),
        quirk("answers PUT with 200 where 201 is expected, and makes the person", "", Token, |ask, s| {
            let r = s.serve(&ask);
            if ask.method == "PUT" && ask.path[0] == "people" { r.status(200) } else { r }
        }),
        quirk("answers 404 to changes of those who are there", "", Token, |ask, s| {
            if ask.changes() { Reply::new(404, json!({})) } else { s.serve(&ask) }
        }),
    ]
}

/// Does not execute requests with this method, but returns this status.
fn pretend(ask: &Ask, state: &mut State, method: &str, status: u16) -> Reply {
    if ask.method == method { state.pretend(ask).status(status) } else { state.serve(ask) }
}
