//! Memberships, and servers without PATCH.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Quirk, quirk};
use crate::scripted::Reply;

pub(super) fn rows() -> Vec<Quirk> {
    vec![
        quirk("shows no memberships anywhere", "field", |ask, s| s.serve(&ask).hiding("members")),
        quirk(
            "shows members only when a group is read by itself",
            "Hive Console, graphql-hive/console#8352",
            |ask, s| {
                if ask.lists() { s.serve(&ask).hiding("members") } else { s.serve(&ask) }
            },
        ),
        quirk("shows memberships on accounts only", "", |ask, s| {
            let groups = s.members();
            let reply = s.serve(&ask).hiding("members");
            if ask.endpoint == "Users" { on_users(reply, &groups) } else { reply }
        }),
        quirk("shows memberships on accounts only, as is set", "", |ask, s| {
            let groups = s.members();
            let reply = s.serve(&ask).hiding("members");
            if ask.endpoint == "Users" { on_users(reply, &groups) } else { reply }
        })
        .set(json!({ "groups": { "memberships_from": "accounts" } })),
        quirk("without PATCH, does everything right", "", |ask, s| s.serve(&ask)).put_only(),
        quirk("without PATCH, does not show the members of a group", "field", |ask, s| {
            s.serve(&ask).hiding("members")
        })
        .put_only(),
        quirk("without PATCH, has changed what is written", "field", |ask, s| {
            if ask.method == "PUT" {
                for record in s.users.iter_mut().chain(&mut s.groups) {
                    record["meta"] = json!({ "version": "W/\"2\"" });
                }
            }
            if ask.method == "GET" && ask.endpoint == "Groups" {
                for group in &mut s.groups {
                    group["meta"] = json!({ "version": "W/\"1\"" });
                }
            }
            s.serve(&ask)
        })
        .put_only(),
        quirk("without PATCH, gives less of a user in searches", "", |ask, s| {
            if ask.query.contains_key("filter") {
                s.serve(&ask).hiding("emails").hiding("title")
            } else {
                s.serve(&ask)
            }
        })
        .put_only(),
        quirk(
            "shows memberships on accounts, and only where one is read by itself",
            "WSO2 Identity Server, wso2/product-is#7279",
            |ask, s| {
                let (groups, lists) = (s.members(), ask.lists());
                let reply = s.serve(&ask).hiding("members");
                if ask.endpoint == "Users" && !lists { on_users(reply, &groups) } else { reply }
            },
        )
        .set(json!({ "groups": { "memberships_from": "accounts" } })),
        quirk("shows memberships on groups only, and accounts are set", "", |ask, s| s.serve(&ask))
            .set(json!({ "groups": { "memberships_from": "accounts" } })),
        quirk("names members by user name", "", |ask, s| {
            let lists = ask.endpoint == "Groups";
            members(s.serve(&ask), lists, |member| {
                let name = member["value"].as_str().unwrap().replace('u', "p");
                member["value"] = name.into();
            })
        }),
        quirk("names members in another case", "", |ask, s| {
            let lists = ask.endpoint == "Groups";
            members(s.serve(&ask), lists, |member| {
                let name = member["value"].as_str().unwrap().to_uppercase();
                member["value"] = name.into();
            })
        }),
        quirk("names members by address alone", "", |ask, s| {
            let lists = ask.endpoint == "Groups";
            members(s.serve(&ask), lists, |member| {
                let id = member["value"].as_str().unwrap().to_owned();
                *member = json!({ "$ref": format!("https://example.com/v2/Users/{id}") });
            })
        }),
        quirk("names a member by nothing", "", |ask, s| {
            let lists = ask.endpoint == "Groups";
            members(s.serve(&ask), lists, |member| *member = json!({ "display": "somebody" }))
        }),
        quirk("lists a member twice", "SCIMReferenceCode, AzureAD/SCIMReferenceCode#10", |ask, s| {
            let lists = ask.endpoint == "Groups";
            let mut reply = s.serve(&ask);
            for group in each(&mut reply).into_iter().filter(|_| lists) {
                if let Some(all) = group["members"].as_array_mut() {
                    all.extend(all.clone());
                }
            }
            reply
        }),
        quirk(
            "has groups in groups, and leaves them out of lists",
            "Fleet, fleetdm/fleet#52501",
            |ask, s| {
                let alone = ask.endpoint == "Groups" && !ask.lists();
                let mut reply = s.serve(&ask);
                if alone && let Some(all) = reply.body["members"].as_array_mut() {
                    all.push(json!({ "value": "g9", "type": "Group" }));
                }
                reply
            },
        ),
        quirk("fails at the second page of groups", "", |ask, s| {
            s.cap = 2;
            if ask.lists() && ask.endpoint == "Groups" && ask.start() > 1 {
                Reply::new(500, Value::Null)
            } else {
                s.serve(&ask)
            }
        }),
        quirk("has no groups at the address that is set", "", |ask, s| {
            if ask.endpoint == "Groups" { Reply::new(404, Value::Null) } else { s.serve(&ask) }
        }),
        quirk("without PATCH, shows the members of a group only where it is read by itself", "", |ask, s| {
            if ask.lists() { s.serve(&ask).hiding("members") } else { s.serve(&ask) }
        })
        .put_only(),
        quirk(
            "without PATCH, answers PUT of a group with 200 and does nothing",
            "keycloak-scim-server, Metatavu/keycloak-scim-server#111",
            |ask, s| {
                if ask.method == "PUT" && ask.endpoint == "Groups" { s.pretend(&ask) } else { s.serve(&ask) }
            },
        )
        .put_only(),
        quirk(
            "without PATCH, passes If-Match over",
            "Apache SCIMple, apache/directory-scimple#534",
            |mut ask, s| {
                ask.if_match = None;
                s.serve(&ask)
            },
        )
        .put_only(),
    ]
}

fn on_users(mut reply: Reply, groups: &BTreeMap<String, Vec<String>>) -> Reply {
    let add = |user: &mut Value| {
        let Some(id) = user["id"].as_str().map(str::to_owned) else { return };
        let of = groups.iter().filter(|(_, members)| members.contains(&id));
        user["groups"] = of.map(|(group, _)| json!({ "value": group })).collect();
    };
    if reply.body["Resources"].is_array() {
        reply.body["Resources"].as_array_mut().unwrap().iter_mut().for_each(add);
    } else if reply.body["userName"].is_string() {
        add(&mut reply.body);
    }
    reply
}

/// The records of a response: those of a list, or the single one.
fn each(reply: &mut Reply) -> Vec<&mut Value> {
    if reply.body["Resources"].is_array() {
        reply.body["Resources"].as_array_mut().unwrap().iter_mut().collect()
    } else {
        vec![&mut reply.body]
    }
}

/// Modifies every member of every group in a response.
fn members(mut reply: Reply, is_of_groups: bool, change: fn(&mut Value)) -> Reply {
    for group in each(&mut reply).into_iter().filter(|_| is_of_groups) {
        for member in group["members"].as_array_mut().into_iter().flatten() {
            change(member);
        }
    }
    reply
}
