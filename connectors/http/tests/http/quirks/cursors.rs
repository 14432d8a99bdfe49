//! Paging by cursor, by link, and all at once.

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
