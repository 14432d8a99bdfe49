//! What servers do that no document allows, each in one row: what the server does, and what the connector must make of it.
//!
//! Every row goes through the listing of accounts and of groups, and through all six actions. Whatever the row says, three things must
//! hold: a listing that ends has everybody in it; an action that is said to be done is done, or shows that it is not when it is looked
//! at; and nobody but the account of the task is changed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bridgehead_sdk::{
    Account, AccountRecord, AccountStatus, Action, Connector, Cursor, Effect, Error, Evidence, Record,
    ResourceType,
};
use serde_json::{Value, json};

use crate::scripted::{Ask, PEOPLE, Reply, Script, Scripted, State};
use crate::support::run;

/// What must come of listing the accounts.
#[derive(Clone, Copy, Debug)]
enum Listed {
    /// Everybody, with this proof.
    All(Evidence),
    /// Everybody, but nobody's memberships: the connector says so.
    Blind,
    /// An error that says this.
    Fails(&'static str),
    /// Everybody or an error, as chance has it.
    AllOrFails,
}
use Evidence::{Atomic, EndOfCursor, TotalMet};
use Listed::{All, AllOrFails, Blind, Fails};

/// What must come of create, update, delete, suspend, unsuspend and reset, one sign for each.
///
/// `+` done, and so in the target; `~` said to be done, and a look shows that it is not; `.` said to be done, and no look can tell;
/// `?` an error of unknown effect; `-` an error, and nothing was changed.
type Acts = &'static str;

struct Row {
    name: &'static str,
    config: Value,
    settings: Value,
    script: Script,
    listed: Listed,
    acts: Acts,
}

fn row(name: &'static str, listed: Listed, acts: Acts, script: Script) -> Row {
    Row { name, config: json!({}), settings: json!({}), script, listed, acts }
}

impl Row {
    /// A server that announces paging by cursor.
    fn by_cursor(mut self) -> Self {
        self.config["pagination"] = json!({ "cursor": true });
        self
    }

    /// A server without PATCH.
    fn put_only(mut self) -> Self {
        self.config["patch"] = json!({ "supported": false });
        self
    }

    fn set(mut self, settings: Value) -> Self {
        self.settings = settings;
        self
    }
}

/// Changes the page of users that is served.
fn page(ask: &Ask, state: &mut State, change: impl FnOnce(Reply) -> Reply) -> Reply {
    let reply = state.serve(ask);
    if ask.lists() { change(reply) } else { reply }
}

/// Serves, but only pretends to do what has this method.
fn pretend(ask: &Ask, state: &mut State, method: &str, status: u16) -> Reply {
    if ask.method != method {
        return state.serve(ask);
    }
    let old = state.clone().serve(&Ask { method: "GET".to_owned(), ..ask.clone() });
    let reply = state.pretend(ask);
    match status {
        200 => Reply::new(200, old.body),
        204 => Reply::new(204, Value::Null),
        _ => Reply { status, ..reply },
    }
}

#[expect(clippy::too_many_lines, reason = "one line for each thing that servers do")]
fn rows() -> Vec<Row> {
    vec![
        row("does everything right", All(TotalMet), "++++++", |ask, s| s.serve(&ask)),
        // ---- paging by index
        row("ignores startIndex and says so", Fails("answers with those from 1 on"), "++++++", |ask, s| {
            s.serve(&ask.with("startIndex", None))
        }),
        row("ignores startIndex and does not say so", Fails("ignore startIndex"), "++++++", |ask, s| {
            s.serve(&ask.with("startIndex", None)).without("startIndex")
        }),
        row("ignores startIndex and counts the page", Fails("ignore startIndex"), "+-++++", |ask, s| {
            let whole = ask.query.contains_key("filter");
            page(&ask.with("startIndex", None), s, |r| {
                let n = r.count();
                if whole { r } else { r.with("totalResults", n.into()).without("startIndex") }
            })
        }),
        row("totalResults counts the page", All(EndOfCursor), "++++++", |ask, s| {
            page(&ask, s, |r| {
                let n = r.count();
                r.with("totalResults", n.into())
            })
        }),
        row("totalResults counts those that are left", All(EndOfCursor), "++++++", |ask, s| {
            let start = ask.start();
            page(&ask, s, |r| {
                let all = r.body["totalResults"].as_u64().unwrap();
                r.with("totalResults", (all + 1).saturating_sub(start as u64).into())
            })
        }),
        row(
            "totalResults is one too many",
            Fails("3 different records, and says that it has 4"),
            "+-++++",
            |ask, s| {
                let whole = ask.query.contains_key("filter");
                page(&ask, s, |r| {
                    let all = r.body["totalResults"].as_u64().unwrap();
                    if whole { r } else { r.with("totalResults", (all + 1).into()) }
                })
            },
        ),
        row("totalResults is one too few", All(EndOfCursor), "++++++", |ask, s| {
            page(&ask, s, |r| {
                let all = r.body["totalResults"].as_u64().unwrap();
                r.with("totalResults", all.saturating_sub(1).into())
            })
        }),
        row("totalResults is text", All(TotalMet), "++++++", |ask, s| {
            page(&ask, s, |r| {
                let all = r.body["totalResults"].to_string();
                r.with("totalResults", all.into())
            })
        }),
        row("totalResults is missing", Fails("does not say how many"), "++++++", |ask, s| {
            if ask.lists_users() { s.serve(&ask).without("totalResults") } else { s.serve(&ask) }
        }),
        row("leaves one user out", Fails("24 different records"), "++++++", |ask, s| {
            let lists = ask.lists_users();
            page(&ask, s, |mut r| {
                if lists {
                    r.body["Resources"].as_array_mut().unwrap().retain(|user| user["id"] != "u17");
                }
                r
            })
        }),
        row("gives users in an order of its own each time", AllOrFails, "++++++", |ask, s| {
            if ask.lists_users() {
                let by = s.lists * 7 % PEOPLE;
                s.users.rotate_left(by);
            }
            s.serve(&ask)
        }),
        row("moves one user to the front after each page", AllOrFails, "++++++", |ask, s| {
            let reply = s.serve(&ask);
            if ask.lists_users() {
                let last = s.users.remove(12);
                s.users.insert(0, last);
            }
            reply
        }),
        row("gives three records a page at most", All(TotalMet), "++++++", |ask, s| {
            s.cap = 3;
            s.serve(&ask)
        }),
        row("gives everything, whatever is asked for", All(Atomic), "++++++", |ask, s| {
            s.serve(&ask.with("startIndex", None).with("count", None))
        }),
        row("gives everything, without any index", All(Atomic), "++++++", |ask, s| {
            s.serve(&ask.with("startIndex", None).with("count", None))
                .without("startIndex")
                .without("itemsPerPage")
        }),
        row(
            "answers 400 behind the end, and counts those that are left",
            All(EndOfCursor),
            "++++++",
            |ask, s| {
                let start = ask.start();
                page(&ask, s, |r| {
                    let all = r.body["totalResults"].as_u64().unwrap();
                    if start > 1 && r.count() == 0 {
                        return Reply::new(400, json!({}));
                    }
                    r.with("totalResults", (all + 1).saturating_sub(start as u64).into())
                })
            },
        ),
        row("answers 404 behind the end", All(TotalMet), "++++++", |ask, s| {
            let start = ask.start();
            page(&ask, s, |r| if start > 1 && r.count() == 0 { Reply::new(404, json!({})) } else { r })
        }),
        row("counts startIndex from zero", Fails("24 different records"), "++++++", |ask, s| {
            if !ask.lists_users() {
                return s.serve(&ask);
            }
            let start = ask.start();
            s.serve(&ask.with("startIndex", Some(start + 1))).with("startIndex", start.into())
        }),
        row(
            "takes startIndex for the number of a page",
            Fails("10 different records"),
            "++++++",
            |ask, s| {
                if !ask.lists_users() {
                    return s.serve(&ask);
                }
                let start = ask.start();
                s.serve(&ask.with("startIndex", Some((start - 1) * 10 + 1))).with("startIndex", start.into())
            },
        ),
        row("gives an empty page in the middle", Fails("10 different records"), "++++++", |ask, s| {
            let middle = ask.lists_users() && ask.start() > 1;
            page(&ask, s, |r| if middle { r.with("Resources", json!([])) } else { r })
        }),
        row("says startIndex 1 on every page, and pages well", All(TotalMet), "++++++", |ask, s| {
            page(&ask, s, |r| r.with("startIndex", 1.into()))
        }),
        row("repeats three records at the beginning of each page", AllOrFails, "++++++", |ask, s| {
            if !ask.lists_users() {
                return s.serve(&ask);
            }
            let start = ask.start();
            s.serve(&ask.with("startIndex", Some(start.saturating_sub(3)))).with("startIndex", start.into())
        }),
        row("fails at the second page", Fails("500"), "++++++", |ask, s| {
            if ask.lists_users() && ask.start() > 1 { Reply::new(500, Value::Null) } else { s.serve(&ask) }
        }),
        row(
            "answers the second page with an error and 200",
            Fails("something else than SCIM"),
            "++++++",
            |ask, s| {
                if ask.lists_users() && ask.start() > 1 {
                    Reply::new(200, json!({ "detail": "busy" }))
                } else {
                    s.serve(&ask)
                }
            },
        ),
        row("answers the second page with a web page", Fails("no JSON"), "++++++", |ask, s| {
            if ask.lists_users() && ask.start() > 1 {
                Reply::new(200, json!("<html>log in</html>"))
            } else {
                s.serve(&ask)
            }
        }),
        row("answers the second page with 202", Fails("202"), "++++++", |ask, s| {
            if ask.lists_users() && ask.start() > 1 {
                Reply { status: 202, ..s.serve(&ask) }
            } else {
                s.serve(&ask)
            }
        }),
        row("answers the second page with 206", Fails("206"), "++++++", |ask, s| {
            if ask.lists_users() && ask.start() > 1 {
                Reply { status: 206, ..s.serve(&ask) }
            } else {
                s.serve(&ask)
            }
        }),
        row(
            "pages by cursor only, and does not announce it",
            Fails("paging = \"cursor\""),
            "++++++",
            |mut ask, s| {
                if !ask.lists_users() {
                    return s.serve(&ask);
                }
                ask.query.entry("cursor".to_owned()).or_default();
                s.serve(&ask).without("totalResults")
            },
        ),
        // ---- paging by cursor
        row("hands out cursors", All(EndOfCursor), "++++++", |ask, s| s.serve(&ask)).by_cursor(),
        row("hands out numbers as cursors, and no total", All(EndOfCursor), "++++++", |ask, s| {
            page(&ask, s, |r| match r.body["nextCursor"].as_str().map(|c| c[1..].parse::<u64>().unwrap()) {
                Some(next) => r.with("nextCursor", next.into()).without("totalResults"),
                None => r.without("totalResults"),
            })
        })
        .by_cursor(),
        row("hands out tables as cursors", Fails("neither text nor a number"), "++++++", |ask, s| {
            let lists = ask.lists_users();
            page(&ask, s, |r| if lists { r.with("nextCursor", json!({ "at": 10 })) } else { r })
        })
        .by_cursor(),
        row("hands out the first cursor again", Fails("circle"), "++++++", |ask, s| {
            let lists = ask.lists_users();
            page(&ask, s, |r| if lists { r.with("nextCursor", "c10".into()) } else { r })
        })
        .by_cursor(),
        row("hands out cursors in a circle of empty pages", Fails("circle"), "++++++", |ask, s| {
            let lists = ask.lists_users();
            let next = if ask.query.get("cursor").is_some_and(|at| at == "a") { "b" } else { "a" };
            page(&ask, s, |r| {
                if lists { r.with("nextCursor", next.into()).with("Resources", json!([])) } else { r }
            })
        })
        .by_cursor(),
        row("announces cursors and hands out none", Fails("10 different records"), "++++++", |ask, s| {
            let lists = ask.lists_users();
            page(&ask, s, |r| if lists { r.without("nextCursor") } else { r })
        })
        .by_cursor(),
        row(
            "announces cursors, hands out none and counts the page",
            Fails("paging = \"index\""),
            "++++++",
            |mut ask, s| {
                if !ask.lists_users() {
                    return s.serve(&ask);
                }
                ask.query.remove("cursor");
                let reply = s.serve(&ask);
                let n = reply.count();
                reply.with("totalResults", n.into())
            },
        )
        .by_cursor(),
        row("forgets its cursors", Fails("400"), "++++++", |ask, s| {
            if ask.lists_users() && !ask.query["cursor"].is_empty() {
                Reply::new(400, json!({ "scimType": "expiredCursor" }))
            } else {
                s.serve(&ask)
            }
        })
        .by_cursor(),
        row(
            "ends without the last user, at an empty cursor",
            Fails("24 different records"),
            "++++++",
            |ask, s| {
                let lists = ask.lists_users();
                page(&ask, s, |mut r| {
                    if lists {
                        r.body["Resources"].as_array_mut().unwrap().retain(|user| user["id"] != "u24");
                    }
                    r
                })
            },
        )
        .by_cursor(),
        // ---- memberships
        row("shows no memberships anywhere", Blind, "+~++++", |ask, s| s.serve(&ask).hiding("members")),
        row(
            "shows members only when a group is read by itself",
            Fails("read by itself"),
            "+~++++",
            |ask, s| {
                if ask.lists() { s.serve(&ask).hiding("members") } else { s.serve(&ask) }
            },
        ),
        row(
            "shows memberships on accounts only",
            Fails("memberships_from = \"accounts\""),
            "+~++++",
            |ask, s| {
                let groups = s.members();
                let reply = s.serve(&ask).hiding("members");
                if ask.endpoint == "Users" { on_users(reply, &groups) } else { reply }
            },
        ),
        row("shows memberships on accounts only, as is set", All(TotalMet), "++++++", |ask, s| {
            let groups = s.members();
            let reply = s.serve(&ask).hiding("members");
            if ask.endpoint == "Users" { on_users(reply, &groups) } else { reply }
        })
        .set(json!({ "groups": { "memberships_from": "accounts" } })),
        row("without PATCH, does everything right", All(TotalMet), "++++++", |ask, s| s.serve(&ask))
            .put_only(),
        row("without PATCH, does not show the members of a group", Blind, "--++++", |ask, s| {
            s.serve(&ask).hiding("members")
        })
        .put_only(),
        row("without PATCH, has changed what is written", All(TotalMet), "?-+---", |ask, s| {
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
        row("without PATCH, gives less of a user in searches", All(TotalMet), "++++++", |ask, s| {
            if ask.query.contains_key("filter") {
                s.serve(&ask).hiding("emails").hiding("title")
            } else {
                s.serve(&ask)
            }
        })
        .put_only(),
        // ---- what is said to be done
        row(
            "answers PATCH with 200 and the old user, and does nothing",
            All(TotalMet),
            "~~+~~.",
            |ask, s| pretend(&ask, s, "PATCH", 200),
        ),
        row("answers PATCH with 204 and does nothing", All(TotalMet), "~~+~~.", |ask, s| {
            pretend(&ask, s, "PATCH", 204)
        }),
        row("answers PATCH with 202", All(TotalMet), "??+???", |ask, s| pretend(&ask, s, "PATCH", 202)),
        row(
            "without PATCH, answers PUT with 200 and the old user, and does nothing",
            All(TotalMet),
            "~~+~~.",
            |ask, s| pretend(&ask, s, "PUT", 200),
        )
        .put_only(),
        row("without PATCH, answers PUT with 202", All(TotalMet), "??+???", |ask, s| {
            pretend(&ask, s, "PUT", 202)
        })
        .put_only(),
        row("answers DELETE with 204 and does nothing", All(TotalMet), "++~+++", |ask, s| {
            pretend(&ask, s, "DELETE", 204)
        }),
        row("answers DELETE with 202", All(TotalMet), "++?+++", |ask, s| pretend(&ask, s, "DELETE", 202)),
        row("answers POST with 202 and an id that leads nowhere", All(TotalMet), "?+++++", |ask, s| {
            pretend(&ask, s, "POST", 202)
        }),
        row("answers POST with 201 and an id that leads nowhere", All(TotalMet), "?+++++", |ask, s| {
            if ask.method == "POST" { s.pretend(&ask).without("id") } else { s.serve(&ask) }
        }),
        row("answers POST with 201, an address and nothing else", All(TotalMet), "++++++", |ask, s| {
            let r = s.serve(&ask);
            if ask.method == "POST" { Reply { body: Value::Null, ..r } } else { r }
        }),
        row("answers POST with 201 and nothing at all", All(TotalMet), "++++++", |ask, s| {
            let r = s.serve(&ask);
            if ask.method == "POST" { Reply { body: Value::Null, location: None, ..r } } else { r }
        }),
        row("answers POST with 201 and a wrong address", All(TotalMet), "++++++", |ask, s| {
            let r = s.serve(&ask);
            if ask.method == "POST" {
                Reply { body: Value::Null, location: Some("/v2/Users".into()), ..r }
            } else {
                r
            }
        }),
        row("answers POST with 201 and something else than JSON", All(TotalMet), "?+++++", |ask, s| {
            let r = s.serve(&ask);
            if ask.method == "POST" { Reply { body: json!("<html>thanks</html>"), ..r } } else { r }
        }),
        row("answers POST with 200", All(TotalMet), "++++++", |ask, s| {
            let r = s.serve(&ask);
            if ask.method == "POST" { Reply { status: 200, ..r } } else { r }
        }),
        row("answers POST with 500 and has made the user", All(TotalMet), "?+++++", |ask, s| {
            let r = s.serve(&ask);
            if ask.method == "POST" { Reply::new(500, Value::Null) } else { r }
        }),
        // ---- looking somebody up
        row("ignores filters", All(TotalMet), "-+++++", |mut ask, s| {
            ask.query.remove("filter");
            s.serve(&ask)
        }),
        row("answers filters with 400", All(TotalMet), "-+++++", |ask, s| {
            if ask.query.contains_key("filter") {
                Reply::new(400, json!({ "scimType": "invalidFilter" }))
            } else {
                s.serve(&ask)
            }
        }),
        row("answers everything but lists with 404", All(TotalMet), "------", |ask, s| {
            if ask.lists() || ask.endpoint.starts_with("Service") {
                s.serve(&ask)
            } else {
                Reply::new(404, json!({}))
            }
        }),
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

/// Reads a listing to its end, as the runtime does; at its end there must be proof.
async fn read(connector: &dyn Connector, of: &ResourceType) -> Result<(Vec<Record>, Evidence), Error> {
    let (mut records, mut cursor, mut cursors) = (Vec::new(), None::<Cursor>, BTreeSet::new());
    loop {
        let page = connector.list(of, cursor.as_ref()).await?;
        assert!(page.rejected.is_empty(), "{:?}", page.rejected);
        records.extend(page.records);
        let Some(next) = page.next else {
            let distinct: BTreeSet<&str> = records.iter().map(Record::id).collect();
            assert!(page.total.is_none_or(|total| total <= distinct.len() as u64), "fewer than the total");
            return Ok((records, page.evidence.unwrap()));
        };
        assert!(cursors.insert(next.as_str().to_owned()), "a cursor comes a second time");
        assert!(cursors.len() < 200, "the listing finds no end");
        cursor = Some(next);
    }
}

async fn listing(row: &Row, server: &Scripted, connector: &dyn Connector) {
    let read = read(connector, &ResourceType::account("account", "Account")).await;
    let name = row.name;
    match (&read, row.listed) {
        (Ok((_, found)), All(proof)) => assert_eq!(*found, proof, "{name}"),
        (Ok(_), Blind | AllOrFails) => {}
        (Err(error), Fails(_) | AllOrFails) => {
            let why = if let Fails(why) = row.listed { why } else { "" };
            assert!(error.message().contains(why), "{name}: {error}");
            assert_eq!(error.effect_on_target(), Effect::NotApplied, "{name}");
        }
        (read, wanted) => panic!(
            "{name}: {wanted:?} was wanted, and this came: {:?}",
            read.as_ref().map(|(all, proof)| (all.len(), proof))
        ),
    }
    if let Ok((records, _)) = read {
        let distinct: BTreeSet<&str> = records.iter().map(Record::id).collect();
        assert_eq!((records.len(), distinct.len()), (PEOPLE, PEOPLE), "{name}");
        if matches!(row.listed, Blind) {
            let description = connector.describe().await.unwrap();
            assert!(description.unverifiable.contains("memberships.group"), "{name}");
            assert!(
                description.warnings[0].contains("everybody's memberships"),
                "{name}: {:?}",
                description.warnings
            );
        } else {
            let members = server.state().members();
            for record in records {
                let Record::Account(account) = record else { panic!("{name}") };
                assert_eq!(groups(&account), of(&members, account.id.as_str()), "{name}: {}", account.id);
            }
        }
    }
}

fn groups(account: &AccountRecord) -> Vec<String> {
    let mut groups: Vec<String> = account.memberships.of("group").iter().map(|one| one.id.clone()).collect();
    groups.sort();
    groups
}

fn of(members: &BTreeMap<String, Vec<String>>, id: &str) -> Vec<String> {
    let of = members.iter().filter(|(_, members)| members.iter().any(|member| member == id));
    of.map(|(group, _)| group.clone()).collect()
}

/// The six tasks, each with the account that it is about.
fn tasks() -> [(Action, &'static str, Value); 6] {
    [
        (
            Action::CreateAccount,
            "new",
            json!({ "account": { "username": "new", "email": "new@example.com" }, "memberships": { "group": ["g1"] } }),
        ),
        (
            Action::UpdateAccount,
            "u03",
            json!({ "account": { "id": "u03" }, "changes": { "title": "new" }, "memberships": { "group": ["g2"] } }),
        ),
        (Action::DeleteAccount, "u07", json!({ "account": { "id": "u07" } })),
        (Action::SuspendAccount, "u04", json!({ "account": { "id": "u04" } })),
        (Action::UnsuspendAccount, "u05", json!({ "account": { "id": "u05" } })),
        (Action::ResetPassword, "u06", json!({ "account": { "id": "u06" }, "password": "Quiet-Harbour-9" })),
    ]
}

/// Whether an account, with its groups, is as a task wants it. `None`: there is none.
fn is_as_wanted(action: Action, account: Option<(&str, bool, Vec<String>)>) -> bool {
    match (action, account) {
        (Action::DeleteAccount, account) => account.is_none(),
        (Action::CreateAccount, Some((_, active, groups))) => active && groups == ["g1"],
        (Action::UpdateAccount, Some((title, _, groups))) => title == "new" && groups == ["g2"],
        (Action::SuspendAccount, Some((_, active, _))) => !active,
        (Action::UnsuspendAccount, Some((_, active, _))) => active,
        (_, account) => account.is_some(),
    }
}

/// Whether it is so in the target.
fn is_so(state: &State, action: Action, who: &str) -> bool {
    let user = state.users.iter().find(|user| user["id"] == who || user["userName"] == who);
    if action == Action::ResetPassword {
        return user.is_some_and(|user| user["password"] == "Quiet-Harbour-9");
    }
    let members = state.members();
    let found = user.map(|user| {
        let groups = of(&members, user["id"].as_str().unwrap());
        (user["title"].as_str().unwrap_or_default(), user["active"] != false, groups)
    });
    is_as_wanted(action, found)
}

/// Everybody but one, and whom the groups have besides.
fn others(state: &State, who: &str) -> (Vec<Value>, BTreeMap<String, Vec<String>>) {
    let is_own = |user: &Value| user["id"] == who || user["userName"] == who;
    let own: Vec<String> = state
        .users
        .iter()
        .filter(|user| is_own(user))
        .map(|user| user["id"].as_str().unwrap().to_owned())
        .collect();
    let mut users: Vec<Value> = state.users.iter().filter(|user| !is_own(user)).cloned().collect();
    users.sort_by_key(|user| user["id"].as_str().unwrap().to_owned());
    for user in &mut users {
        user.as_object_mut().unwrap().shift_remove("meta");
    }
    let mut members = state.members();
    for members in members.values_mut() {
        members.retain(|member| !own.contains(member) && member != who);
    }
    (users, members)
}

async fn act(
    row: &Row,
    (server, connector): (&Scripted, &dyn Connector),
    (action, who, payload): (Action, &'static str, Value),
) -> char {
    let before = server.state().clone();
    let done = run(connector, action, payload).await;
    let after = server.state().clone();
    let name = format!("{}, {action}", row.name);
    assert_eq!(others(&before, who), others(&after, who), "{name}: somebody else was changed");
    let so = is_so(&after, action, who);
    match &done {
        Ok(_) if so => '+',
        Ok(_) if action == Action::ResetPassword => '.',
        Ok(completion) => {
            // What the runtime sees when it reads back.
            let id = completion.result.get("account_id").and_then(Value::as_str).unwrap_or(who);
            let look = connector.find_account(&Account::by_id(id)).await;
            let shows = look.as_ref().is_ok_and(|found| {
                let found = found.as_ref().map(|found| {
                    let title = found.extra.get("title").and_then(Value::as_str).unwrap_or_default();
                    (title, found.status == AccountStatus::Active, groups(found))
                });
                is_as_wanted(action, found)
            });
            assert!(!shows, "{name}: a look shows what is not so: {look:?}");
            '~'
        }
        Err(error) if error.effect_on_target() == Effect::Unknown => '?',
        Err(error) => {
            let (mut unchanged, mut now) = (before.clone(), after.clone());
            for state in [&mut unchanged, &mut now] {
                state.lists = 0;
                state.users.sort_by_key(|user| user["id"].as_str().unwrap().to_owned());
                for record in state.users.iter_mut().chain(&mut state.groups) {
                    record.as_object_mut().unwrap().shift_remove("meta");
                }
            }
            assert_eq!((unchanged.users, unchanged.groups), (now.users, now.groups), "{name}: {error}");
            '-'
        }
    }
}

#[tokio::test]
async fn whatever_a_server_does_nobody_is_missing_and_nothing_is_done_that_is_not() {
    // One server plays every script, and one connector serves all rows of the same settings: making one takes its time.
    let server = Arc::new(Scripted::start(&json!({}), |ask, state| state.serve(&ask)).await);
    let mut connectors: BTreeMap<String, Arc<dyn Connector>> = BTreeMap::new();
    let mut failed = Vec::new();
    for row in rows() {
        let (name, server) = (row.name, Arc::clone(&server));
        server.begin_anew(&row.config, row.script);
        let kind = format!("{} {}", row.config, row.settings);
        let connector = connectors.entry(kind).or_insert_with(|| server.connector(&row.settings));
        let connector = Arc::clone(connector);
        // In a task of its own, so that each row that fails is told of.
        let attempt = tokio::spawn(async move {
            listing(&row, &server, &*connector).await;
            let mut acts = String::new();
            for task in tasks() {
                server.begin_anew(&row.config, row.script);
                acts.push(act(&row, (&server, &*connector), task).await);
            }
            assert_eq!(acts, row.acts, "{}", row.name);
        });
        if attempt.await.is_err() {
            failed.push(name);
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

#[tokio::test]
async fn what_somebody_else_changes_while_a_task_does_other_work_is_not_undone() {
    // Without PATCH, the user is written as a whole; the groups are read before.
    let script: Script = |ask, s| {
        if ask.lists() && ask.endpoint == "Groups" {
            s.user("u03")["nickName"] = "by hand".into();
            s.user("u03")["meta"]["version"] = "W/\"2\"".into();
        }
        s.serve(&ask)
    };
    let off = json!({ "supported": false });
    for config in [json!({ "patch": off }), json!({ "patch": off, "etag": off })] {
        let server = Scripted::start(&config, script).await;
        let connector = server.connector(&json!({}));
        let [_, (action, _, payload), ..] = tasks();
        run(&*connector, action, payload).await.unwrap();
        let user = server.state().user("u03").clone();
        assert_eq!((&user["title"], &user["nickName"]), (&json!("new"), &json!("by hand")), "{config}");
    }
}

#[tokio::test]
async fn a_list_that_is_not_shown_is_added_to_and_not_replaced() {
    // The application shows entitlements only when it is asked for them.
    let script: Script = |ask, s| {
        let reply = s.serve(&ask);
        if ask.method == "GET" { reply.hiding("entitlements") } else { reply }
    };
    let server = Scripted::start(&json!({}), script).await;
    server.state().user("u03")["entitlements"] = json!([{ "value": "vpn" }]);
    let licenses = json!([{ "slug": "plan", "values": { "pro": "Professional" } }]);
    let connector = server.connector(&json!({ "licenses": licenses }));
    let payload = json!({ "account": { "id": "u03" }, "memberships": { "plan": ["pro"] } });
    run(&*connector, Action::UpdateAccount, payload).await.unwrap();
    let held = server.state().user("u03")["entitlements"].clone();
    assert_eq!(held, json!([{ "value": "vpn" }, { "value": "pro" }]));
}
