//! Paging by cursor, as in RFC 9865.

use serde_json::json;

use super::{Quirk, page, quirk};
use crate::scripted::{Reply, error as scim_error};

pub(super) fn rows() -> Vec<Quirk> {
    vec![
        quirk("hands out cursors", "", |ask, s| s.serve(&ask)).by_cursor(),
        quirk("hands out numbers as cursors, and no total", "field", |ask, s| {
            page(&ask, s, |r| match r.body["nextCursor"].as_str().map(|c| c[1..].parse::<u64>().unwrap()) {
                Some(next) => r.with("nextCursor", next.into()).without("totalResults"),
                None => r.without("totalResults"),
            })
        })
        .by_cursor(),
        quirk("hands out tables as cursors", "", |ask, s| {
            let lists = ask.lists_users();
            page(&ask, s, |r| if lists { r.with("nextCursor", json!({ "at": 10 })) } else { r })
        })
        .by_cursor(),
        quirk("hands out the first cursor again", "", |ask, s| {
            let lists = ask.lists_users();
            page(&ask, s, |r| if lists { r.with("nextCursor", "c10".into()) } else { r })
        })
        .by_cursor(),
        quirk("hands out cursors in a circle of empty pages", "", |ask, s| {
            let lists = ask.lists_users();
            let next = if ask.query.get("cursor").is_some_and(|at| at == "a") { "b" } else { "a" };
            page(&ask, s, |r| {
                if lists { r.with("nextCursor", next.into()).with("Resources", json!([])) } else { r }
            })
        })
        .by_cursor(),
        quirk("announces cursors and hands out none", "", |ask, s| {
            let lists = ask.lists_users();
            page(&ask, s, |r| if lists { r.without("nextCursor") } else { r })
        })
        .by_cursor(),
        quirk("announces cursors, hands out none and counts the page", "", |mut ask, s| {
            if !ask.lists_users() {
                return s.serve(&ask);
            }
            ask.query.remove("cursor");
            let reply = s.serve(&ask);
            let n = reply.count();
            reply.with("totalResults", n.into())
        })
        .by_cursor(),
        quirk("forgets its cursors", "", |ask, s| {
            if ask.lists_users() && !ask.query["cursor"].is_empty() {
                Reply::new(400, json!({ "scimType": "expiredCursor" }))
            } else {
                s.serve(&ask)
            }
        })
        .by_cursor(),
        quirk("ends without the last user, at an empty cursor", "", |ask, s| {
            let lists = ask.lists_users();
            page(&ask, s, |mut r| {
                if lists {
                    r.body["Resources"].as_array_mut().unwrap().retain(|user| user["id"] != "u24");
                }
                r
            })
        })
        .by_cursor(),
        quirk("hands out a cursor at the end that leads to an empty page", "", |ask, s| {
            let end = ask.query.get("cursor").is_some_and(|at| at == "end");
            let empty = ask.lists() && end;
            let reply = page(&ask, s, |r| {
                if r.body["nextCursor"].is_null() { r.with("nextCursor", "end".into()) } else { r }
            });
            if empty { reply.with("Resources", json!([])).without("nextCursor") } else { reply }
        })
        .by_cursor(),
        quirk("hands out cursors, and no total", "", |ask, s| s.serve(&ask).without("totalResults"))
            .by_cursor(),
        quirk("hands out new cursors for ever, and empty pages", "", |ask, s| {
            let (lists, next) = (ask.lists_users(), format!("c{}", 100 + s.lists));
            page(&ask, s, |r| {
                if lists && r.body["nextCursor"].is_null() { r.with("nextCursor", next.into()) } else { r }
            })
        })
        .by_cursor(),
        quirk("writes cursors with signs that mean something in an address", "", |mut ask, s| {
            if let Some(cursor) = ask.query.get_mut("cursor") {
                *cursor = cursor.trim_end_matches("&a=b #+%é/").to_owned();
            }
            page(&ask, s, |r| match r.body["nextCursor"].as_str() {
                Some(next) => {
                    let next = format!("{next}&a=b #+%é/");
                    r.with("nextCursor", next.into())
                }
                None => r,
            })
        })
        .by_cursor(),
        quirk("hands out cursors and no total, and ends at an error with 200", "", |ask, s| {
            let later = ask.lists_users() && !ask.query["cursor"].is_empty();
            page(&ask, s, |r| {
                let r = r.without("totalResults");
                if later {
                    r.without("nextCursor")
                        .with("Resources", json!([]))
                        .with("error", "shard 3 is down".into())
                } else {
                    r
                }
            })
        })
        .by_cursor(),
        quirk("hands out cursors and no total, and ends at a SCIM error with 200", "", |ask, s| {
            let later = ask.lists_users() && !ask.query["cursor"].is_empty();
            page(&ask, s, |r| {
                let r = r.without("totalResults");
                if later {
                    let schemas = scim_error(503)["schemas"].clone();
                    r.without("nextCursor").with("Resources", json!([])).with("schemas", schemas)
                } else {
                    r
                }
            })
        })
        .by_cursor(),
        quirk("says on every page that there is no error", "", |ask, s| {
            page(&ask, s, |r| {
                r.with("error", serde_json::Value::Null)
                    .with("errors", json!([]))
                    .with("success", true.into())
            })
        })
        .by_cursor(),
        quirk("adds one to the total on each page", "", |ask, s| {
            let lists = s.lists;
            page(&ask, s, |r| r.with("totalResults", (25 + lists).into()))
        })
        .by_cursor(),
    ]
}
