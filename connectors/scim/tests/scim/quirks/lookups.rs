//! Look-ups.

use serde_json::{Value, json};

use super::{Quirk, quirk};
use crate::scripted::{Reply, error as scim_error};

pub(super) fn rows() -> Vec<Quirk> {
    vec![
        quirk("ignores filters", "", |mut ask, s| {
            ask.query.remove("filter");
            s.serve(&ask)
        }),
        quirk("fails at a quote in a filter", "", |ask, s| {
            let quoted = ask.query.get("filter").is_some_and(|filter| filter.contains("\\\""));
            if quoted { Reply::new(500, Value::Null) } else { s.serve(&ask) }
        }),
        quirk("answers filters with 400", "", |ask, s| {
            if ask.query.contains_key("filter") {
                Reply::new(400, json!({ "scimType": "invalidFilter" }))
            } else {
                s.serve(&ask)
            }
        }),
        quirk("answers everything but lists with 204", "", |ask, s| {
            if ask.method == "GET" && !ask.lists() && !ask.endpoint.starts_with("Service") {
                Reply::new(204, Value::Null)
            } else {
                s.serve(&ask)
            }
        }),
        quirk("answers filters with null", "", |ask, s| {
            if ask.query.contains_key("filter") { Reply::new(200, "null".into()) } else { s.serve(&ask) }
        }),
        quirk("answers everything but lists with 404", "", |ask, s| {
            if ask.lists() || ask.endpoint.starts_with("Service") {
                s.serve(&ask)
            } else {
                Reply::new(404, json!({}))
            }
        }),
        quirk("minds the case in filters", "Zulip, zulip/zulip#21758", |ask, s| {
            let upper = ask.query.get("filter").is_some_and(|filter| {
                filter.contains(char::is_uppercase) && filter.starts_with("userName eq \"N")
            });
            if upper {
                s.serve(&ask).with("Resources", json!([])).with("totalResults", 0.into())
            } else {
                s.serve(&ask)
            }
        }),
        quirk(
            "answers a filter that finds nobody with 404",
            "SCIM Gateway, jelhub/scimgateway#18",
            |ask, s| {
                let r = s.serve(&ask);
                if ask.query.contains_key("filter") && r.count() == 0 {
                    Reply::new(404, scim_error(404))
                } else {
                    r
                }
            },
        ),
        quirk("does not find those whom it lists", "WSO2 Identity Server, wso2/product-is#4415", |ask, s| {
            if ask.query.contains_key("filter") {
                s.serve(&ask).with("Resources", json!([])).with("totalResults", 0.into())
            } else {
                s.serve(&ask)
            }
        }),
        quirk("takes eq for a part of the name", "", |mut ask, s| {
            if ask.query.remove("filter").is_some() {
                let mut r = s.serve(&ask);
                let some = s.users[..2].to_vec();
                r.body["Resources"] = json!(some);
                return r.with("totalResults", 2.into());
            }
            s.serve(&ask)
        }),
        quirk("answers with another user than the one asked for", "", |ask, s| {
            let alone = ask.method == "GET" && ask.endpoint == "Users" && ask.id.is_some();
            if alone { Reply::new(200, s.users[0].clone()) } else { s.serve(&ask) }
        }),
        quirk("gives no id in searches", "SimpleIdServer, simpleidserver/SimpleIdServer#45", |ask, s| {
            let searches = ask.query.contains_key("filter");
            let r = s.serve(&ask);
            if searches { r.hiding("id") } else { r }
        }),
        quirk("answers a search with an empty list and one user by itself with a list", "", |ask, s| {
            let alone = ask.method == "GET" && ask.endpoint == "Users" && ask.id.is_some();
            let r = s.serve(&ask);
            if alone && r.status == 200 {
                Reply::new(200, json!({ "totalResults": 1, "Resources": [r.body] }))
            } else {
                r
            }
        }),
        quirk("answers 404 to everybody for a moment", "", |ask, s| {
            if ask.method == "GET" && ask.endpoint == "Users" && !ask.lists_users() {
                Reply::new(404, Value::Null)
            } else {
                s.serve(&ask)
            }
        }),
        quirk("answers filters with nobody and an error", "", |ask, s| {
            if ask.query.contains_key("filter") {
                let none =
                    json!({ "totalResults": 0, "Resources": [], "error": "the index is being rebuilt" });
                Reply::new(200, none)
            } else {
                s.serve(&ask)
            }
        }),
        quirk("answers a look for one with 200 and an error in the body", "", |ask, s| {
            let alone = ask.method == "GET" && ask.id.is_some();
            if alone { Reply::new(200, scim_error(404)) } else { s.serve(&ask) }
        }),
        quirk("describes its resource types under another name", "Scimitar, pond/scimitar#146", |ask, s| {
            if ask.endpoint == "ResourceTypes" {
                return Reply::new(200, json!({ "resource_types": [{ "endpoint": "/Users" }] }));
            }
            s.serve(&ask)
        })
        .set(json!({ "limits": { "connect": "9s" } })),
    ]
}
