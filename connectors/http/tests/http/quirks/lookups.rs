//! Look-ups.

use serde_json::{Value, json};

use super::{Quirk, Token, quirk};
use crate::scripted::Reply;

pub(super) fn rows() -> Vec<Quirk> {
    vec![
        quirk("gives a part of what is searched for", "", Token, |ask, s| {
            let searches = ask.method == "GET" && ask.path == ["people"] && !ask.pages();
            let r = s.serve(&ask);
            if searches { r.with("has_more", true.into()) } else { r }
        }),
        quirk("says by 400 that the account does not exist", "field", Token, |ask, s| {
            let r = s.serve(&ask);
            if r.status == 404 { Reply::new(400, json!({ "code": "BAD_NAME" })) } else { r }
        })
        .set("find.by_id.absent_also", json!([{ "status": 400, "when": "answer.code == 'BAD_NAME'" }])),
        quirk("answers 204 about one", "", Token, |ask, s| {
            if ask.method == "GET" && ask.path.len() == 2 {
                Reply::new(204, Value::Null)
            } else {
                s.serve(&ask)
            }
        }),
        quirk("answers null about one", "", Token, |ask, s| {
            if ask.method == "GET" && ask.path.len() == 2 {
                Reply::new(200, "null".into())
            } else {
                s.serve(&ask)
            }
        }),
        quirk("answers searches with null", "", Token, |ask, s| {
            let searches = ask.method == "GET" && ask.path == ["people"] && !ask.pages();
            if searches { Reply::new(200, "null".into()) } else { s.serve(&ask) }
        }),
        quirk("answers everything about one with 404", "", Token, |ask, s| {
            if ask.method == "GET" && ask.path.len() == 2 {
                Reply::new(404, json!({}))
            } else {
                s.serve(&ask)
            }
        }),
        quirk("answers with another person than the one asked for", "", Token, |ask, s| {
            if ask.method == "GET" && ask.path.len() == 2 {
                Reply::new(200, s.people[0].clone())
            } else {
                s.serve(&ask)
            }
        }),
        quirk(
            "answers 200 and nothing for a person who is not there",
            "Synapse, matrix-org/synapse#6900",
            Token,
            |ask, s| {
                let r = s.serve(&ask);
                if r.status == 404 { Reply::new(200, json!({ "user": null })) } else { r }
            },
        ),
        quirk("makes somebody up for every id", "LiteLLM, BerriAI/litellm#17437", Token, |ask, s| {
            let r = s.serve(&ask);
            if r.status == 404 && ask.path.len() == 2 {
                Reply::new(200, json!({ "id": ask.path[1], "name": "nobody", "locked": false }))
            } else {
                r
            }
        }),
        quirk("answers 500 for a person who is not there", "Tendrl, Tendrl/api#140", Token, |ask, s| {
            let r = s.serve(&ask);
            if r.status == 404 { Reply::new(500, json!({})) } else { r }
        }),
        quirk("ignores searches", "", Token, |mut ask, s| {
            ask.query.retain(|name, _| !["name", "mail"].contains(&name.as_str()));
            s.serve(&ask)
        }),
        quirk("finds every account that contains the text", "", Token, |ask, s| {
            let searches = ask.method == "GET" && ask.path == ["people"] && !ask.pages();
            if searches {
                let text = ask.query.values().next().unwrap().clone();
                let found: Vec<&Value> =
                    s.people.iter().filter(|one| one.to_string().contains(&text)).collect();
                return Reply::new(200, json!({ "people": found }));
            }
            s.serve(&ask)
        }),
        quirk("finds nobody who is locked", "field", Token, |ask, s| {
            let searches = ask.method == "GET" && ask.path == ["people"] && !ask.pages();
            let mut r = s.serve(&ask);
            if searches {
                r.body["people"].as_array_mut().unwrap().retain(|one| one["locked"] == false);
            }
            r
        }),
        quirk("answers searches that find nobody with 404", "", Token, |ask, s| {
            let searches = ask.method == "GET" && ask.path == ["people"] && !ask.pages();
            let r = s.serve(&ask);
            if searches && r.body["people"] == json!([]) {
                Reply::new(404, json!({ "reason": "nobody" }))
            } else {
                r
            }
        })
        .set("find.by_username.absent", json!({ "status": 404 }))
        .set("find.by_email.absent", json!({ "status": 404 })),
        quirk("answers everything about one with 404, and that alone means nobody", "", Token, |ask, s| {
            if ask.method == "GET" && ask.path.len() == 2 {
                Reply::new(404, json!({}))
            } else {
                s.serve(&ask)
            }
        })
        .set("find.by_id.absent", json!({ "status": 404 })),
        quirk("fails at searches", "", Token, |ask, s| {
            let searches = ask.method == "GET" && ask.path == ["people"] && !ask.pages();
            if searches { Reply::new(500, json!({})) } else { s.serve(&ask) }
        }),
    ]
}
