//! Lists for which no paging is set.

use serde_json::{Value, json};

use super::{Once, Quirk, page, quirk, whole};
use crate::scripted::Reply;

pub(super) fn rows() -> Vec<Quirk> {
    vec![
        quirk("gives everybody at once", "", Once, |ask, s| whole(&ask, s)),
        quirk(
            "gives a part with 206",
            "Adobe Analytics, AdobeDocs/analytics-2.0-apis#154",
            Once,
            |ask, s| page(&ask, s, |r| r.status(206)),
        ),
        quirk("gives a part with 206 and Content-Range", "field", Once, |ask, s| {
            page(&ask, s, |r| r.status(206).header("Content-Range", "people 0-9/25"))
        }),
        quirk("gives a part and Content-Range", "", Once, |ask, s| {
            page(&ask, s, |r| r.header("Content-Range", "people 0-9/25"))
        }),
        quirk("gives a part and Link", "field", Once, |ask, s| {
            page(&ask, s, |r| r.header("Link", "</people?page=2>; rel=\"next\""))
        }),
        quirk("gives a part and a Link that cannot be read", "", Once, |ask, s| {
            page(&ask, s, |r| r.header("Link", "/people?page=2; rel=next"))
        }),
        quirk("gives a part and X-Total-Count", "field", Once, |ask, s| {
            page(&ask, s, |r| r.header("X-Total-Count", "25"))
        }),
        quirk(
            "gives a part and X-Next-Page",
            "GitLab, gitlabhq/terraform-provider-gitlab#221",
            Once,
            |ask, s| page(&ask, s, |r| r.header("X-Next-Page", "2")),
        ),
        quirk("gives a part and next", "", Once, |ask, s| {
            page(&ask, s, |r| r.with("next", "/people?page=2".into()))
        }),
        quirk("gives a part and has_more", "", Once, |ask, s| {
            page(&ask, s, |r| r.with("has_more", true.into()))
        }),
        quirk("gives a part and total", "", Once, |ask, s| page(&ask, s, |r| r.with("total", 25.into()))),
        quirk("gives a part and a cursor in meta", "", Once, |ask, s| {
            page(&ask, s, |r| r.with("meta", json!({ "nextCursor": "c10" })))
        }),
        quirk("gives a part and @odata.nextLink", "", Once, |ask, s| {
            page(&ask, s, |r| r.with("@odata.nextLink", "x".into()))
        }),
        quirk("gives a part and incomplete_results", "", Once, |ask, s| {
            page(&ask, s, |r| r.with("incomplete_results", true.into()))
        }),
        quirk("gives a part with 202", "field", Once, |ask, s| page(&ask, s, |r| r.status(202))),
        quirk("gives everybody, and a next that is nothing", "", Once, |ask, s| {
            let pages = ask.pages();
            let r = whole(&ask, s);
            if pages {
                r.with("next", Value::Null).with("has_more", false.into()).with("total", 25.into())
            } else {
                r
            }
        }),
        quirk("gives everybody, and a total of something else", "", Once, |ask, s| {
            let pages = ask.pages();
            let r = whole(&ask, s);
            if pages { r.with("total", 900.into()) } else { r }
        })
        .set("accounts.list.allow", json!(["total"])),
        quirk("gives nobody, and an error", "OpenSRP, opensrp/opensrp-server-web#500", Once, |ask, s| {
            page(&ask, s, |_| Reply::new(200, json!({ "people": [], "error": "shard 3 is down" })))
        }),
        quirk("gives nobody, and an error in an envelope", "", Once, |ask, s| {
            page(&ask, s, |_| {
                Reply::new(200, json!({ "result": { "people": [], "error": "shard 3 is down" } }))
            })
        })
        .set("accounts.list.records", json!("answer.result.people")),
        quirk("gives everybody in an envelope, with errors of their own", "", Once, |ask, s| {
            let pages = ask.pages();
            let mut r = whole(&ask, s);
            if !pages {
                return r;
            }
            for person in r.body["people"].as_array_mut().unwrap() {
                person["error"] = "wrong password".into();
                person["status"] = "failed".into();
            }
            Reply::new(200, json!({ "data": r.body, "error": null }))
        })
        .set("accounts.list.records", json!("answer.data.people")),
        quirk("gives everybody, and an error that is nothing", "", Once, |ask, s| {
            let pages = ask.pages();
            let r = whole(&ask, s);
            if pages {
                r.with("error", Value::Null).with("errors", json!([])).with("ok", true.into())
            } else {
                r
            }
        }),
        quirk("gives nobody, and ok is false", "", Once, |ask, s| {
            page(&ask, s, |_| Reply::new(200, json!({ "people": [], "ok": false })))
        }),
        quirk("gives a web page", "", Once, |ask, s| {
            page(&ask, s, |_| Reply::new(200, json!("<html>log in</html>")))
        }),
        quirk("gives everybody, and says ok in words", "", Once, |ask, s| {
            let pages = ask.pages();
            let r = whole(&ask, s);
            if pages { r.with("status", "success".into()).with("error", false.into()) } else { r }
        }),
        quirk(
            "gives nobody, and a status of error",
            "Keybase, keybase/keybase-issues#1745",
            Once,
            |ask, s| page(&ask, s, |_| Reply::new(200, json!({ "people": [], "status": "error" }))),
        ),
        quirk(
            "gives a part, and says that it has timed out",
            "Elasticsearch, elastic/elasticsearch#40367",
            Once,
            |ask, s| page(&ask, s, |r| r.with("timed_out", true.into())),
        ),
        quirk("gives a part, and how many pages there are", "", Once, |ask, s| {
            page(&ask, s, |r| r.with("total_pages", 3.into()))
        }),
        quirk("gives people under another name", "", Once, |ask, s| {
            page(&ask, s, |r| Reply::new(200, json!({ "persons": r.body["people"] })))
        }),
        quirk("gives people as a table by id", "", Once, |ask, s| {
            page(&ask, s, |_| Reply::new(200, json!({ "people": { "u00": {} } })))
        }),
        quirk("gives people as null", "", Once, |ask, s| {
            page(&ask, s, |_| Reply::new(200, json!({ "people": null })))
        }),
        quirk("gives an empty answer with 204", "", Once, |ask, s| {
            page(&ask, s, |_| Reply::new(204, Value::Null))
        }),
        quirk("leads to a page for people", "", Once, |ask, s| page(&ask, s, |r| r.status(302))),
        quirk("forbids the list", "", Once, |ask, s| page(&ask, s, |r| r.status(403))),
        quirk("asks to wait", "", Once, |ask, s| page(&ask, s, |r| r.status(429).header("Retry-After", "7"))),
    ]
}
