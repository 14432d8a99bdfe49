//! Records that do not match the schema.

use serde_json::{Value, json};

use super::{Quirk, quirk};
use crate::scripted::{Ask, Reply, State};

pub(super) fn rows() -> Vec<Quirk> {
    vec![
        quirk("writes truth as text", "", |ask, s| {
            users(&ask, s, |user| {
                user["active"] = if user["active"] == true { "True" } else { "False" }.into();
            })
        }),
        quirk("writes truth as a number", "", |ask, s| {
            users(&ask, s, |user| user["active"] = i32::from(user["active"] == true).into())
        }),
        quirk("does not show who is active", "Sentry, getsentry/sentry#27971", |ask, s| {
            users(&ask, s, |user| drop(user.as_object_mut().unwrap().shift_remove("active")))
        }),
        quirk("shows active on the inactive alone", "", |ask, s| {
            users(&ask, s, |user| {
                if user["active"] == true {
                    user.as_object_mut().unwrap().shift_remove("active");
                }
            })
        }),
        quirk("gives one user no id", "", |ask, s| {
            users(&ask, s, |user| {
                if user["id"] == "u11" {
                    user.as_object_mut().unwrap().shift_remove("id");
                }
            })
        }),
        quirk("gives one user an id of null", "", |ask, s| {
            users(&ask, s, |user| {
                if user["id"] == "u11" {
                    user["id"] = Value::Null;
                }
            })
        }),
        quirk("gives one user no name", "", |ask, s| {
            users(&ask, s, |user| {
                if user["id"] == "u11" {
                    user["userName"] = Value::Null;
                }
            })
        }),
        quirk("gives null among the users", "", |ask, s| {
            let mut reply = s.serve(&ask);
            if ask.lists_users() {
                reply.body["Resources"].as_array_mut().unwrap().push(Value::Null);
            }
            reply
        }),
        quirk("writes the names of attributes in another case", "", |ask, s| {
            users(&ask, s, |user| {
                let fields = std::mem::take(user.as_object_mut().unwrap());
                *user = fields.into_iter().map(|(name, value)| (name.to_uppercase(), value)).collect();
            })
        }),
        quirk("gives email addresses as texts", "WSO2 Identity Server, wso2/product-is#7320", |ask, s| {
            users(&ask, s, |user| user["emails"] = json!([user["emails"][0]["value"]]))
        }),
        quirk("gives two users one id", "", |ask, s| {
            users(&ask, s, |user| {
                if user["id"] == "u12" {
                    user["id"] = "u11".into();
                }
            })
        }),
        quirk("gives two users on different pages one id", "", |ask, s| {
            users(&ask, s, |user| {
                if user["id"] == "u12" {
                    user["id"] = "u01".into();
                }
            })
        }),
        quirk("gives two users on different pages one id, by cursor and without a total", "", |ask, s| {
            users(&ask, s, |user| {
                if user["id"] == "u12" {
                    user["id"] = "u01".into();
                }
            })
            .without("totalResults")
        })
        .by_cursor(),
        quirk("writes the same id twice in a user", "", |ask, s| {
            let reply = s.serve(&ask);
            let twice = reply.body.to_string().replace("\"id\":\"u11\"", "\"id\":\"u11\",\"id\":\"u12\"");
            if ask.lists_users() { Reply { body: twice.into(), ..reply } } else { reply }
        }),
        quirk("gives one user a number for an id that is too large to be read", "", |ask, s| {
            users(&ask, s, |user| {
                if user["id"] == "u11" {
                    user["id"] = json!(1.844_674_407_370_955_2e19);
                }
            })
        }),
        quirk("writes ids in capitals where one is read by itself", "", |ask, s| {
            let alone = ask.id.is_some();
            users(&ask, s, |user| {
                if alone {
                    user["id"] = user["id"].as_str().unwrap().to_uppercase().into();
                }
            })
        }),
        quirk("gives one user a name with NUL, signs and pictures", "", |ask, s| {
            users(&ask, s, |user| {
                if user["id"] == "u11" {
                    user["userName"] = "\u{0}\u{202e}🦉\"\\".into();
                }
            })
        }),
        quirk("has two users whose names differ in case alone", "", |ask, s| {
            users(&ask, s, |user| {
                if user["id"] == "u11" {
                    user["userName"] = "P20".into();
                }
            })
        }),
        quirk("gives users as a table by id", "", |ask, s| {
            if ask.lists_users() {
                return Reply::new(200, json!({ "totalResults": 25, "Resources": { "u00": {} } }));
            }
            s.serve(&ask)
        }),
        quirk("begins its answers with a mark of the byte order", "", |ask, s| {
            let reply = s.serve(&ask);
            if reply.body.is_null() {
                return reply;
            }
            Reply { body: format!("\u{feff}{}", reply.body).into(), ..reply }
        }),
        quirk("cuts its lists off", "", |ask, s| {
            let reply = s.serve(&ask);
            let text = reply.body.to_string();
            if ask.lists_users() { Reply { body: text[..text.len() / 2].into(), ..reply } } else { reply }
        }),
    ]
}

/// Serves the request, and modifies every user in the response.
fn users(ask: &Ask, state: &mut State, change: impl Fn(&mut Value)) -> Reply {
    let mut reply = state.serve(ask);
    if ask.method != "GET" || ask.endpoint != "Users" || reply.status != 200 {
        return reply;
    }
    match reply.body["Resources"].as_array_mut() {
        Some(all) => all.iter_mut().for_each(change),
        None => change(&mut reply.body),
    }
    reply
}
