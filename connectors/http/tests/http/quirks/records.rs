//! Records that differ from what the configuration expects.

use serde_json::{Value, json};

use super::{Once, Quirk, Token, TokenOf, quirk, whole};
use crate::scripted::{Ask, Reply, State};

pub(super) fn rows() -> Vec<Quirk> {
    vec![
        quirk("gives one person no id", "", Token, |ask, s| {
            people(&ask, s, |one| drop(one.as_object_mut().unwrap().shift_remove("id")))
        }),
        quirk("gives one person an id of null", "", Token, |ask, s| {
            people(&ask, s, |one| one["id"] = Value::Null)
        }),
        quirk("gives one person a state that nobody knows", "", Token, |ask, s| {
            people(&ask, s, |one| one["locked"] = "perhaps".into())
        }),
        quirk("gives one person no state", "", Token, |ask, s| {
            people(&ask, s, |one| drop(one.as_object_mut().unwrap().shift_remove("locked")))
        }),
        quirk("gives one person a table for a name", "", Token, |ask, s| {
            people(&ask, s, |one| one["name"] = json!({ "first": "p11" }))
        }),
        quirk("gives null for a person", "", Token, |ask, s| people(&ask, s, |one| *one = Value::Null)),
        quirk("gives two people one id", "", Token, |ask, s| people(&ask, s, |one| one["id"] = "u12".into())),
        quirk("gives two people on different pages one id", "", Token, |ask, s| {
            people(&ask, s, |one| one["id"] = "u02".into())
        }),
        quirk("gives two people on different pages one id, with a total", "", TokenOf, |ask, s| {
            people(&ask, s, |one| one["id"] = "u02".into())
        }),
        quirk("gives two people one id where all come at once", "", Once, |ask, s| {
            let mut reply = whole(&ask, s);
            if ask.pages() {
                reply.body["people"][11]["id"] = "u12".into();
            }
            reply
        }),
        quirk("writes the same id twice in a person", "", Token, |ask, s| {
            let reply = s.serve(&ask);
            let twice = reply.body.to_string().replace("\"id\":\"u11\"", "\"id\":\"u11\",\"id\":\"u12\"");
            if ask.pages() { Reply { body: twice.into(), ..reply } } else { reply }
        }),
        quirk("gives one person a number for an id that is too large to be read", "", Token, |ask, s| {
            people(&ask, s, |one| one["id"] = json!(1.844_674_407_370_955_2e19))
        }),
        quirk("gives one person a name with NUL, signs and pictures", "", Token, |ask, s| {
            people(&ask, s, |one| one["name"] = "\u{0}\u{202e}🦉\"\\".into())
        }),
        quirk("has two people whose names differ in case alone", "", Token, |ask, s| {
            people(&ask, s, |one| one["name"] = "P20".into())
        }),
        quirk("begins its answers with a mark of the byte order", "", Token, |ask, s| {
            let reply = s.serve(&ask);
            if reply.body.is_null() {
                return reply;
            }
            Reply { body: format!("\u{feff}{}", reply.body).into(), ..reply }
        }),
        quirk("cuts its lists off", "", Token, |ask, s| {
            let reply = s.serve(&ask);
            let text = reply.body.to_string();
            if ask.pages() { Reply { body: text[..text.len() / 2].into(), ..reply } } else { reply }
        }),
    ]
}

/// Serves the request, and modifies each person in the response.
fn people(ask: &Ask, state: &mut State, change: fn(&mut Value)) -> Reply {
    let mut reply = state.serve(ask);
    if ask.changes() || ask.path[0] != "people" {
        return reply;
    }
    let is_the_one = |one: &&mut Value| one["id"] == "u11";
    match reply.body["people"].as_array_mut() {
        Some(all) => all.iter_mut().filter(is_the_one).for_each(change),
        None => Some(&mut reply.body).into_iter().filter(is_the_one).for_each(change),
    }
    reply
}
