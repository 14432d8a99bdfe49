//! Paging by index, as in RFC 7644.

use serde_json::{Value, json};

use super::{Quirk, page, quirk};
use crate::scripted::{PEOPLE, Reply};

pub(super) fn rows() -> Vec<Quirk> {
    vec![
        quirk("does everything right", "", |ask, s| s.serve(&ask)),
        quirk("ignores startIndex and says so", "field", |ask, s| s.serve(&ask.with("startIndex", None))),
        quirk("ignores startIndex and does not say so", "field", |ask, s| {
            s.serve(&ask.with("startIndex", None)).without("startIndex")
        }),
        quirk(
            "ignores startIndex and counts the page",
            "Better Auth, better-auth/better-auth#10398",
            |ask, s| {
                let whole = ask.query.contains_key("filter");
                page(&ask.with("startIndex", None), s, |r| {
                    let n = r.count();
                    if whole { r } else { r.with("totalResults", n.into()).without("startIndex") }
                })
            },
        ),
        quirk("totalResults counts the page", "WSO2 Identity Server, wso2/product-is#7320", |ask, s| {
            page(&ask, s, |r| {
                let n = r.count();
                r.with("totalResults", n.into())
            })
        }),
        quirk("totalResults counts those that are left", "field", |ask, s| {
            let start = ask.start();
            page(&ask, s, |r| {
                let all = r.body["totalResults"].as_u64().unwrap();
                r.with("totalResults", (all + 1).saturating_sub(start as u64).into())
            })
        }),
        quirk("totalResults is one too many", "", |ask, s| {
            let whole = ask.query.contains_key("filter");
            page(&ask, s, |r| {
                let all = r.body["totalResults"].as_u64().unwrap();
                if whole { r } else { r.with("totalResults", (all + 1).into()) }
            })
        }),
        quirk(
            "totalResults is one too few",
            "SimpleIdServer, simpleidserver/SimpleIdServer#185",
            |ask, s| {
                page(&ask, s, |r| {
                    let all = r.body["totalResults"].as_u64().unwrap();
                    r.with("totalResults", all.saturating_sub(1).into())
                })
            },
        ),
        quirk("totalResults is text", "", |ask, s| {
            page(&ask, s, |r| {
                let all = r.body["totalResults"].to_string();
                r.with("totalResults", all.into())
            })
        }),
        quirk("totalResults is missing", "django-scim2, 15five/django-scim2#159", |ask, s| {
            if ask.lists_users() { s.serve(&ask).without("totalResults") } else { s.serve(&ask) }
        }),
        quirk("leaves one user out", "field", |ask, s| {
            let lists = ask.lists_users();
            page(&ask, s, |mut r| {
                if lists {
                    r.body["Resources"].as_array_mut().unwrap().retain(|user| user["id"] != "u17");
                }
                r
            })
        }),
        quirk("gives users in an order of its own each time", "field", |ask, s| {
            if ask.lists_users() {
                let by = s.lists * 7 % PEOPLE;
                s.users.rotate_left(by);
            }
            s.serve(&ask)
        }),
        quirk("moves one user to the front after each page", "field", |ask, s| {
            let reply = s.serve(&ask);
            if ask.lists_users() {
                let last = s.users.remove(12);
                s.users.insert(0, last);
            }
            reply
        }),
        quirk("gives three records a page at most", "", |ask, s| {
            s.cap = 3;
            s.serve(&ask)
        }),
        quirk(
            "gives everything, whatever is asked for",
            "WSO2 Identity Server, wso2/product-is#4601",
            |ask, s| s.serve(&ask.with("startIndex", None).with("count", None)),
        ),
        quirk("gives everything, without any index", "", |ask, s| {
            s.serve(&ask.with("startIndex", None).with("count", None))
                .without("startIndex")
                .without("itemsPerPage")
        }),
        quirk("answers 400 behind the end, and counts those that are left", "", |ask, s| {
            let start = ask.start();
            page(&ask, s, |r| {
                let all = r.body["totalResults"].as_u64().unwrap();
                if start > 1 && r.count() == 0 {
                    return Reply::new(400, json!({}));
                }
                r.with("totalResults", (all + 1).saturating_sub(start as u64).into())
            })
        }),
        quirk("answers 404 behind the end", "", |ask, s| {
            let start = ask.start();
            page(&ask, s, |r| if start > 1 && r.count() == 0 { Reply::new(404, json!({})) } else { r })
        }),
        quirk("counts startIndex from zero", "OSIAM, osiam/server#7", |ask, s| {
            if !ask.lists_users() {
                return s.serve(&ask);
            }
            let start = ask.start();
            s.serve(&ask.with("startIndex", Some(start + 1))).with("startIndex", start.into())
        }),
        quirk("takes startIndex for the number of a page", "", |ask, s| {
            if !ask.lists_users() {
                return s.serve(&ask);
            }
            let start = ask.start();
            s.serve(&ask.with("startIndex", Some((start - 1) * 10 + 1))).with("startIndex", start.into())
        }),
        quirk("gives an empty page in the middle", "SCIM-SDK, Captain-P-Goldfish/SCIM-SDK#131", |ask, s| {
            let middle = ask.lists_users() && ask.start() > 1;
            page(&ask, s, |r| if middle { r.with("Resources", json!([])) } else { r })
        }),
        quirk("says startIndex 1 on every page, and pages well", "", |ask, s| {
            page(&ask, s, |r| r.with("startIndex", 1.into()))
        }),
        quirk("repeats three records at the beginning of each page", "", |ask, s| {
            if !ask.lists_users() {
                return s.serve(&ask);
            }
            let start = ask.start();
            s.serve(&ask.with("startIndex", Some(start.saturating_sub(3)))).with("startIndex", start.into())
        }),
        quirk("fails at the second page", "", |ask, s| {
            if ask.lists_users() && ask.start() > 1 { Reply::new(500, Value::Null) } else { s.serve(&ask) }
        }),
        quirk("answers the second page with an error and 200", "", |ask, s| {
            if ask.lists_users() && ask.start() > 1 {
                Reply::new(200, json!({ "detail": "busy" }))
            } else {
                s.serve(&ask)
            }
        }),
        quirk("answers the second page with a web page", "", |ask, s| {
            if ask.lists_users() && ask.start() > 1 {
                Reply::new(200, json!("<html>log in</html>"))
            } else {
                s.serve(&ask)
            }
        }),
        quirk("answers the second page with 202", "", |ask, s| {
            if ask.lists_users() && ask.start() > 1 {
                Reply { status: 202, ..s.serve(&ask) }
            } else {
                s.serve(&ask)
            }
        }),
        quirk("answers the second page with 206", "", |ask, s| {
            if ask.lists_users() && ask.start() > 1 {
                Reply { status: 206, ..s.serve(&ask) }
            } else {
                s.serve(&ask)
            }
        }),
        quirk("pages by cursor only, and does not announce it", "", |mut ask, s| {
            if !ask.lists_users() {
                return s.serve(&ask);
            }
            ask.query.entry("cursor".to_owned()).or_default();
            s.serve(&ask).without("totalResults")
        }),
        quirk(
            "ignores startIndex where everything fits on a page",
            "SCIMMY, scimmyjs/scimmy#21",
            |ask, s| {
                let all = if ask.endpoint == "Users" { s.users.len() } else { s.groups.len() };
                let fits =
                    ask.lists() && ask.query.get("count").is_some_and(|count| all <= count.parse().unwrap());
                if fits { s.serve(&ask.with("startIndex", None)) } else { s.serve(&ask) }
            },
        ),
        quirk(
            "says startIndex 0 on the first page",
            "Okta's documentation, okta/okta-developer-docs#251",
            |ask, s| {
                let start = ask.start() as u64;
                page(&ask, s, |r| r.with("startIndex", (start - 1).into()))
            },
        ),
        quirk("writes resources in lower case", "DummyIDP's servers, ssoready/dummyidp#15", |ask, s| {
            page(&ask, s, |r| {
                let all = r.body["Resources"].clone();
                r.without("Resources").with("resources", all)
            })
        }),
        quirk(
            "leaves Resources out where there are none",
            "SCIMReferenceCode, AzureAD/SCIMReferenceCode#56",
            |ask, s| page(&ask, s, |r| if r.count() == 0 { r.without("Resources") } else { r }),
        ),
        quirk("asks to wait at the second page", "", |ask, s| {
            if ask.lists_users() && ask.start() > 1 { Reply::new(429, Value::Null) } else { s.serve(&ask) }
        }),
        quirk("gives up the credential at the second page", "", |ask, s| {
            if ask.lists_users() && ask.start() > 1 { Reply::new(401, Value::Null) } else { s.serve(&ask) }
        }),
        quirk("leads to a page for people at the second page", "", |ask, s| {
            if ask.lists_users() && ask.start() > 1 { Reply::new(302, Value::Null) } else { s.serve(&ask) }
        }),
        quirk("moves one user to the end while the list is read", "field", |ask, s| {
            if ask.lists_users() && ask.start() > 1 && s.users.len() == PEOPLE {
                let gone = s.users.remove(1);
                s.users.push(gone);
            }
            s.serve(&ask)
        }),
        quirk("says itemsPerPage 0", "", |ask, s| page(&ask, s, |r| r.with("itemsPerPage", 0.into()))),
        quirk("totalResults is below zero", "", |ask, s| {
            page(&ask, s, |r| r.with("totalResults", (-1).into()))
        }),
        quirk("totalResults is a thousand millions", "", |ask, s| {
            let lists = ask.lists_users();
            page(&ask, s, |r| if lists { r.with("totalResults", 1_000_000_000.into()) } else { r })
        }),
        quirk("gives fifteen records where ten are asked for", "", |mut ask, s| {
            if ask.query.get("count").is_some_and(|count| count == "10") {
                ask.query.insert("count".to_owned(), "15".to_owned());
            }
            s.serve(&ask)
        }),
        quirk("answers the second page with 304", "", |ask, s| {
            if ask.lists_users() && ask.start() > 1 { Reply::new(304, Value::Null) } else { s.serve(&ask) }
        }),
        quirk("answers the second page with 200 and nothing", "", |ask, s| {
            if ask.lists_users() && ask.start() > 1 { Reply::new(200, Value::Null) } else { s.serve(&ask) }
        }),
        quirk("gives the second page as an empty list without a total", "", |ask, s| {
            if ask.lists_users() && ask.start() > 1 {
                Reply::new(200, json!({ "Resources": [] }))
            } else {
                s.serve(&ask)
            }
        }),
        quirk("lists those who are deleted again, after the last page", "", |ask, s| {
            let lists = ask.lists_users() && ask.start() > 1;
            page(&ask, s, |mut r| {
                if lists
                    && let Some(all) = r.body["Resources"].as_array_mut()
                    && all.len() < 10
                {
                    all.push(json!({ "id": "u00", "userName": "p00", "active": true, "title": "old" }));
                }
                r
            })
        }),
    ]
}
