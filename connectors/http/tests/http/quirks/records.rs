//! Records that are not as the configuration reads them.

use serde_json::{Value, json};

use super::{Quirk, Token, quirk};
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
    ]
}

/// Serves, and changes one person wherever it is shown.
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
