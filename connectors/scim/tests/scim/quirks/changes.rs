//! Changes that servers report as done.

use serde_json::{Value, json};

use super::{Quirk, quirk};
use crate::scripted::{Ask, Reply, State, error as scim_error};

pub(super) fn rows() -> Vec<Quirk> {
    vec![
        quirk("answers PATCH with 200 and the old user, and does nothing", "field", |ask, s| {
            pretend(&ask, s, "PATCH", 200)
        }),
        quirk("answers PATCH with 204 and does nothing", "OneUptime, OneUptime/oneuptime#3852", |ask, s| {
            pretend(&ask, s, "PATCH", 204)
        }),
        quirk("answers PATCH with 202", "", |ask, s| pretend(&ask, s, "PATCH", 202)),
        quirk("without PATCH, answers PUT with 200 and the old user, and does nothing", "field", |ask, s| {
            pretend(&ask, s, "PUT", 200)
        })
        .put_only(),
        quirk("without PATCH, answers PUT with 202", "", |ask, s| pretend(&ask, s, "PUT", 202)).put_only(),
        quirk("answers DELETE with 204 and does nothing", "field", |ask, s| pretend(&ask, s, "DELETE", 204)),
        quirk("answers DELETE with 202", "field", |ask, s| pretend(&ask, s, "DELETE", 202)),
        quirk("answers POST with 202 and an id that leads nowhere", "field", |ask, s| {
            pretend(&ask, s, "POST", 202)
        }),
        quirk("answers POST with 201 and an id that leads nowhere", "", |ask, s| {
            if ask.method == "POST" { s.pretend(&ask).without("id") } else { s.serve(&ask) }
        }),
        quirk("answers POST with 201, an address and nothing else", "", |ask, s| {
            let r = s.serve(&ask);
            if ask.method == "POST" { Reply { body: Value::Null, ..r } } else { r }
        }),
        quirk("answers POST with 201 and nothing at all", "field", |ask, s| {
            let r = s.serve(&ask);
            if ask.method == "POST" { Reply { body: Value::Null, location: None, ..r } } else { r }
        }),
        quirk("answers POST with 201 and a wrong address", "", |ask, s| {
            let r = s.serve(&ask);
            if ask.method == "POST" {
                Reply { body: Value::Null, location: Some("/v2/Users".into()), ..r }
            } else {
                r
            }
        }),
        quirk("answers POST with 201 and something else than JSON", "", |ask, s| {
            let r = s.serve(&ask);
            if ask.method == "POST" { Reply { body: json!("<html>thanks</html>"), ..r } } else { r }
        }),
        quirk("answers POST with 200", "FusionAuth, FusionAuth/fusionauth-issues#1775", |ask, s| {
            let r = s.serve(&ask);
            if ask.method == "POST" { Reply { status: 200, ..r } } else { r }
        }),
        quirk("answers POST with 500 and has made the user", "", |ask, s| {
            let r = s.serve(&ask);
            if ask.method == "POST" { Reply::new(500, Value::Null) } else { r }
        }),
        quirk("answers changes with 200 and success: false, and does nothing", "", |ask, s| {
            if ask.method == "GET" { s.serve(&ask) } else { Reply::new(200, json!({ "success": false })) }
        }),
        quirk("answers changes with 200 and errors, and does nothing", "", |ask, s| {
            if ask.method == "GET" {
                s.serve(&ask)
            } else {
                Reply::new(200, json!({ "errors": ["the password is too weak"] }))
            }
        }),
        quirk("makes somebody active whatever is asked for", "", |mut ask, s| {
            if ask.method == "PATCH" && ask.endpoint == "Users" {
                for operation in ask.body["Operations"].as_array_mut().unwrap() {
                    if operation["path"] == "active" {
                        operation["value"] = true.into();
                    }
                }
            }
            s.serve(&ask)
        }),
        quirk("answers changes with 200 and an error in the body", "", |ask, s| {
            if ask.method == "GET" { s.serve(&ask) } else { Reply::new(200, scim_error(500)) }
        }),
        quirk(
            "passes removals over and answers 204",
            "Better Auth, better-auth/better-auth#10421",
            |ask, s| {
                let removes = ask.body["Operations"][0]["op"] == "remove";
                if removes { pretend(&ask, s, "PATCH", 204) } else { s.serve(&ask) }
            },
        ),
        quirk(
            "removes all members where one is named by value",
            "Apache SCIMple, apache/directory-scimple#436",
            |ask, s| {
                let removal = &ask.body["Operations"][0];
                let by_value =
                    removal["op"] == "remove" && removal["path"] == "members" && !removal["value"].is_null();
                if by_value
                    && let Some(group) = s.groups.iter_mut().find(|group| group["id"] == json!(ask.id))
                {
                    group["members"] = json!([]);
                    return Reply::new(204, Value::Null);
                }
                s.serve(&ask)
            },
        ),
        quirk("knows no PATCH, and announces it", "", |ask, s| {
            if ask.method == "PATCH" { Reply::new(501, scim_error(501)) } else { s.serve(&ask) }
        }),
        quirk(
            "answers 500 for a user who is not there",
            "WSO2 Identity Server, wso2/product-is#7300",
            |ask, s| {
                let r = s.serve(&ask);
                if r.status == 404 { Reply::new(500, scim_error(500)) } else { r }
            },
        ),
        quirk(
            "keeps those who were deleted, and lists them as inactive",
            "Wire, wireapp/wire-server#548",
            |mut ask, s| {
                if ask.method == "DELETE" {
                    ask.method = "PATCH".to_owned();
                    ask.body =
                        json!({ "Operations": [{ "op": "replace", "path": "active", "value": false }] });
                    s.serve(&ask);
                    return Reply::new(204, Value::Null);
                }
                s.serve(&ask)
            },
        ),
        quirk("answers changes with 302 to a page for people", "", |ask, s| {
            if ask.method == "GET" { s.serve(&ask) } else { Reply::new(302, Value::Null) }
        }),
        quirk("limits changes to none", "", |ask, s| {
            if ask.method == "GET" { s.serve(&ask) } else { Reply::new(429, Value::Null) }
        }),
        quirk("forbids changes", "", |ask, s| {
            if ask.method == "GET" { s.serve(&ask) } else { Reply::new(403, scim_error(403)) }
        }),
        quirk("answers POST with 409 without saying why", "Sentry, getsentry/sentry#117860", |ask, s| {
            if ask.method == "POST" { Reply::new(409, json!({ "detail": "exists" })) } else { s.serve(&ask) }
        }),
        quirk(
            "answers POST with 400 where the name is taken",
            "FusionAuth, FusionAuth/fusionauth-issues#1776",
            |ask, s| {
                if ask.method == "POST" { Reply::new(400, scim_error(400)) } else { s.serve(&ask) }
            },
        ),
        quirk("makes the user of a POST inactive", "", |mut ask, s| {
            if ask.method == "POST" {
                ask.body["active"] = false.into();
            }
            s.serve(&ask)
        }),
        quirk("answers 404 to changes of those who are there", "", |ask, s| {
            if ask.method == "GET" || ask.method == "POST" {
                s.serve(&ask)
            } else {
                Reply::new(404, scim_error(404))
            }
        }),
        quirk("answers 404 to DELETE and has deleted", "", |ask, s| {
            let r = s.serve(&ask);
            if ask.method == "DELETE" { Reply::new(404, scim_error(404)) } else { r }
        }),
        quirk("answers changes with 207 and a part that failed, and does nothing", "", |ask, s| {
            if ask.method == "GET" {
                return s.serve(&ask);
            }
            Reply::new(207, json!({ "Operations": [{ "status": "400" }] }))
        }),
        quirk("answers changes with 207 and does them", "", |ask, s| {
            let r = s.serve(&ask);
            if ask.method == "GET" { r } else { Reply { status: 207, ..r } }
        }),
        quirk("answers PATCH with another user", "", |ask, s| {
            let r = s.serve(&ask);
            if ask.method == "PATCH" { Reply::new(200, s.users[0].clone()) } else { r }
        }),
        quirk("answers PATCH with 405, and announces it", "", |ask, s| {
            if ask.method == "PATCH" { Reply::new(405, Value::Null) } else { s.serve(&ask) }
        }),
        quirk("refuses PATCH of several operations", "", |ask, s| {
            let several = ask.body["Operations"].as_array().is_some_and(|all| all.len() > 1);
            if several { Reply::new(400, json!({ "scimType": "invalidSyntax" })) } else { s.serve(&ask) }
        }),
        quirk("without PATCH, drops the email addresses at each PUT", "", |mut ask, s| {
            if ask.method == "PUT" && ask.endpoint == "Users" {
                ask.body.as_object_mut().unwrap().shift_remove("emails");
            }
            s.serve(&ask)
        })
        .put_only(),
        quirk("answers changes with 200 and a web page", "", |ask, s| {
            if ask.method == "GET" { s.serve(&ask) } else { Reply::new(200, json!("<html>log in</html>")) }
        }),
        quirk("leads changes to another host", "", |ask, s| {
            if ask.method == "GET" {
                return s.serve(&ask);
            }
            Reply {
                location: Some("https://elsewhere.example.org/v2/Users".into()),
                ..Reply::new(307, Value::Null)
            }
        }),
        quirk("makes the user of a POST under another name", "field", |mut ask, s| {
            if ask.method == "POST" {
                ask.body["userName"] = "new@corp".into();
            }
            s.serve(&ask)
        }),
    ]
}

/// Reports requests with this method as done without executing them.
fn pretend(ask: &Ask, state: &mut State, method: &str, status: u16) -> Reply {
    if ask.method != method {
        return state.serve(ask);
    }
    let old = state.clone().serve(&Ask { method: "GET".to_owned(), ..ask.clone() });
    let reply = state.pretend(ask);
    match status {
        200 => Reply::new(200, old.body),
        204 => Reply::new(204, Value::Null),
        _ => Reply { status, ..reply },
    }
}
