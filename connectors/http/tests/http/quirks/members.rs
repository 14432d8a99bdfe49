//! Members of groups.

use serde_json::{Value, json};

use super::{Once, Quirk, quirk, whole};
use crate::scripted::Reply;

pub(super) fn rows() -> Vec<Quirk> {
    vec![
        quirk("gives a part of the members", "", Once, |ask, s| {
            let members = ask.path.last().is_some_and(|end| end == "members");
            let r = whole(&ask, s);
            if members && ask.method == "GET" { r.with("next", "c10".into()) } else { r }
        }),
        quirk("fails at the members of a group", "", Once, |ask, s| {
            if ask.method == "GET" && ask.path.len() == 3 {
                Reply::new(500, Value::Null)
            } else {
                whole(&ask, s)
            }
        }),
        quirk("has lost a group when it is asked for its members", "", Once, |ask, s| {
            if ask.method == "GET" && ask.path.len() == 3 {
                Reply::new(404, json!({}))
            } else {
                whole(&ask, s)
            }
        }),
        quirk("gives no members for any group", "field", Once, |ask, s| {
            let members = ask.method == "GET" && ask.path.len() == 3;
            let r = whole(&ask, s);
            if members { Reply::new(200, json!({ "members": [] })) } else { r }
        }),
        quirk("names members otherwise than accounts", "", Once, |ask, s| {
            let members = ask.method == "GET" && ask.path.len() == 3;
            let mut r = whole(&ask, s);
            for member in r.body["members"].as_array_mut().into_iter().flatten().filter(|_| members) {
                *member = member.as_str().unwrap().replace('u', "p").into();
            }
            r
        }),
        quirk("names members in another case", "", Once, |ask, s| {
            let members = ask.method == "GET" && ask.path.len() == 3;
            let mut r = whole(&ask, s);
            for member in r.body["members"].as_array_mut().into_iter().flatten().filter(|_| members) {
                *member = member.as_str().unwrap().to_uppercase().into();
            }
            r
        }),
        quirk("gives null among the members", "", Once, |ask, s| {
            let members = ask.method == "GET" && ask.path.len() == 3;
            let mut r = whole(&ask, s);
            if members {
                r.body["members"].as_array_mut().unwrap().push(Value::Null);
            }
            r
        }),
        quirk(
            "gives five members a group, and says how many there are",
            "Loomio, loomio/loomio#1838",
            Once,
            |ask, s| {
                let members = ask.method == "GET" && ask.path.len() == 3;
                let mut r = whole(&ask, s);
                if members {
                    let all = r.body["members"].as_array_mut().unwrap();
                    let count = all.len();
                    all.truncate(5);
                    return r.header("X-Total-Count", count.to_string());
                }
                r
            },
        ),
        quirk(
            "gives 25 members a group at most, and a token",
            "OAE, oaeproject/Hilary#1169",
            Once,
            |ask, s| {
                let members = ask.method == "GET" && ask.path.len() == 3;
                let r = whole(&ask, s);
                if members { r.with("nextToken", "t25".into()) } else { r }
            },
        ),
        quirk("lists a member twice", "", Once, |ask, s| {
            let members = ask.method == "GET" && ask.path.len() == 3;
            let mut r = whole(&ask, s);
            if members && let Some(all) = r.body["members"].as_array_mut() {
                all.extend(all.clone());
            }
            r
        }),
        quirk("has no groups at the address that is set", "", Once, |ask, s| {
            if ask.path[0] == "groups" { Reply::new(404, json!({})) } else { whole(&ask, s) }
        }),
        quirk("leads in a circle among the groups", "", Once, |ask, s| {
            let groups = ask.method == "GET" && ask.path == ["groups"];
            let r = whole(&ask, s);
            if groups { r.with("next_page_token", "x".into()) } else { r }
        }),
    ]
}
