//! Paging by cursor, by link, and without paging.

use serde_json::{Value, json};

use super::{Link, Quirk, Token, TokenOf, Whole, page, quirk, whole};
use crate::scripted::{PEOPLE, Reply};

pub(super) fn rows() -> Vec<Quirk> {
    vec![
        quirk("pages by cursor", "", Token, |ask, s| s.serve(&ask)),
        quirk("leads in a circle, with a total", "Civitai, civitai/civitai#1241", TokenOf, |ask, s| {
            let next = if ask.from() == 10 { "c15" } else { "c10" };
            page(&ask, s, |r| r.with("cursor", next.into()))
        }),
        quirk("leads to the page itself", "opencode, anomalyco/opencode#49496", Token, |ask, s| {
            page(&ask, s, |r| r.with("cursor", "c0".into()))
        }),
        quirk("leads to other names of the same page", "Box, box/boxcli#504", Token, |mut ask, s| {
            let next = format!("x{}", s.pages);
            if ask.pages() {
                ask.query.clear();
            }
            page(&ask, s, |r| r.with("cursor", next.into()))
        }),
        quirk("hands out no cursor", "ContextForge, IBM/mcp-context-forge#6834", TokenOf, |ask, s| {
            page(&ask, s, |r| r.with("cursor", Value::Null))
        }),
        quirk("hands out tables as cursors", "", Token, |ask, s| {
            page(&ask, s, |r| r.with("cursor", json!({ "at": 10 })))
        }),
        quirk("hands out no cursor, and says has_more", "", Token, |ask, s| {
            page(&ask, s, |r| r.with("cursor", Value::Null).with("has_more", true.into()))
        }),
        quirk("pages by Link", "", Link, |ask, s| {
            let end = ask.from() + 10;
            page(&ask, s, |r| {
                if end < PEOPLE { r.header("Link", format!("</people?from={end}>; rel=next")) } else { r }
            })
        }),
        quirk("leads elsewhere by Link", "", Link, |ask, s| {
            page(&ask, s, |r| r.header("Link", "<https://evil.example.com/people>; rel=next"))
        }),
        quirk("leads in a circle by Link", "", Link, |ask, s| {
            let next = if ask.from() == 10 { 15 } else { 10 };
            page(&ask, s, |r| r.header("Link", format!("</people?from={next}>; rel=next")))
        }),
        quirk("stops giving Link, and says X-Total-Count", "", Link, |ask, s| {
            page(&ask, s, |r| r.header("X-Total-Count", "25"))
        }),
        quirk("gives everybody each time", "", Whole, |ask, s| whole(&ask, s)),
        quirk("begins to page where all was given at once", "", Whole, |ask, s| {
            page(&ask, s, |r| r.with("total", 25.into()))
        }),
        quirk(
            "hands out 0 as the last cursor",
            "Twitter, desmondmorris/node-twitter#302",
            Token,
            |ask, s| {
                page(&ask, s, |r| if r.body["cursor"].is_null() { r.with("cursor", 0.into()) } else { r })
            },
        ),
        quirk(
            "hands out new cursors for ever",
            "Google Directory, googleapis/google-api-python-client#1843",
            Token,
            |ask, s| {
                let pages = s.pages;
                page(&ask, s, |r| {
                    if r.body["cursor"].is_null() {
                        r.with("cursor", format!("c{}", 100 + pages).into())
                    } else {
                        r
                    }
                })
            },
        ),
        quirk("gives an empty page between full ones", "", Token, |ask, s| {
            let empty = ask.pages() && ask.query.get("after").is_some_and(|at| at == "gap");
            if empty {
                return Reply::new(200, json!({ "people": [], "cursor": "c10" }));
            }
            page(&ask, s, |r| if r.body["cursor"] == "c10" { r.with("cursor", "gap".into()) } else { r })
        }),
        quirk("writes cursors with signs that mean something in an address", "", Token, |mut ask, s| {
            if let Some(cursor) = ask.query.get_mut("after") {
                *cursor = cursor.trim_end_matches("&a=b #+%é/").to_owned();
            }
            page(&ask, s, |r| match r.body["cursor"].as_str() {
                Some(next) => {
                    let next = format!("{next}&a=b #+%é/");
                    r.with("cursor", next.into())
                }
                None => r,
            })
        }),
        quirk("has a comma and a semicolon in the address of a Link", "", Link, |ask, s| {
            let end = ask.from() + 10;
            page(&ask, s, |r| {
                if end < PEOPLE {
                    r.header(
                        "Link",
                        format!("</people?a=1,2;3&from={end}>; title=\"a, b; c\"; rel=\"last next\""),
                    )
                } else {
                    r
                }
            })
        }),
        quirk("gives the address of the page itself by Link", "", Link, |ask, s| {
            page(&ask, s, |r| r.header("Link", "</people>; rel=next"))
        }),
        quirk("has a total that grows by one on each page", "", TokenOf, |ask, s| {
            let pages = s.pages;
            page(&ask, s, |r| r.with("all", (25 + pages).into()))
        }),
        quirk("has a total below zero", "", TokenOf, |ask, s| page(&ask, s, |r| r.with("all", (-1).into()))),
        quirk("answers the second page with 304", "", Token, |ask, s| {
            if ask.pages() && ask.from() > 0 { Reply::new(304, Value::Null) } else { s.serve(&ask) }
        }),
        quirk("answers the second page with 200 and nothing", "", Token, |ask, s| {
            if ask.pages() && ask.from() > 0 { Reply::new(200, Value::Null) } else { s.serve(&ask) }
        }),
        quirk("asks to wait until a date in the middle of the list", "", Token, |ask, s| {
            if ask.pages() && ask.from() > 0 {
                Reply::new(503, Value::Null).header("Retry-After", "Fri, 31 Dec 1999 23:59:59 GMT")
            } else {
                s.serve(&ask)
            }
        }),
        quirk("asks to wait for less than nothing in the middle of the list", "", Token, |ask, s| {
            if ask.pages() && ask.from() > 0 {
                Reply::new(429, Value::Null).header("Retry-After", "-5")
            } else {
                s.serve(&ask)
            }
        }),
        quirk("lists those who are deleted again, on the last page", "", Token, |ask, s| {
            page(&ask, s, |mut r| {
                let all = r.body["people"].as_array_mut().unwrap();
                if all.len() < 10 {
                    all.push(json!({ "id": "u00", "name": "p00", "mail": "p00@example.com", "locked": false, "title": "old" }));
                }
                r
            })
        }),
        quirk("forgets its cursors", "", Token, |ask, s| {
            if ask.pages() && ask.from() > 0 {
                Reply::new(400, json!({ "error": "expired" }))
            } else {
                s.serve(&ask)
            }
        }),
        quirk(
            "gives a Link on every page, the last one too",
            "Lessy, lessy-community/lessy#155",
            Link,
            |ask, s| {
                let end = ask.from() + 10;
                page(&ask, s, |r| r.header("Link", format!("</people?from={end}>; rel=next")))
            },
        ),
    ]
}
