//! What applications do that their documents do not say, each in one row: what the application does, and what the connector must make of
//! it.
//!
//! Every row goes through the listing of accounts and through all six actions. Whatever the row says, three things must hold: a listing
//! that ends has everybody in it; an action that is said to be done is done, or shows that it is not when it is looked at; and nobody but
//! the account of the task is changed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bridgehead_sdk::{
    AccountRecord, AccountStatus, Action, Code, Connector, Cursor, Effect, Error, Evidence, Record,
};
use serde_json::{Value, json};

use crate::scripted::{Ask, PEOPLE, Reply, Script, Scripted, State};
use crate::support::{account, accounts, build, execute, set};

/// What must come of listing the accounts.
#[derive(Clone, Copy, Debug)]
enum Listed {
    /// Everybody, with this proof.
    All(Evidence),
    /// An error that says this.
    Fails(&'static str),
    /// Everybody or an error, as chance has it.
    AllOrFails,
}
use Evidence::{Atomic, EndOfCursor, TotalMet};
use Listed::{All, AllOrFails, Fails};

struct Row {
    name: &'static str,
    paging: Value,
    query: Value,
    more: Vec<(&'static str, Value)>,
    listed: Listed,
    /// What must come of create, update, delete, suspend, unsuspend and reset, one sign for each.
    ///
    /// `+` done, and so in the target; `~` said to be done, and a look shows that it is not; `.` said to be done, and no look can tell;
    /// `?` an error of unknown effect; `-` an error, and nothing was changed.
    acts: &'static str,
    script: Script,
}

/// A row for an application whose paging is this.
fn row(name: &'static str, paging: Paging, listed: Listed, acts: &'static str, script: Script) -> Row {
    let (paging, query) = match paging {
        None => (Value::Null, json!({})),
        Offset => (json!({ "type": "offset" }), json!({ "from": "{{ page.offset }}" })),
        OffsetOf => {
            (json!({ "type": "offset", "total": "answer.all" }), json!({ "from": "{{ page.offset }}" }))
        }
        Number => (json!({ "type": "page" }), json!({ "page": "{{ page.number }}" })),
        NumberOf => {
            (json!({ "type": "page", "total": "answer.all" }), json!({ "page": "{{ page.number }}" }))
        }
        Token => {
            (json!({ "type": "cursor", "next": "answer.cursor" }), json!({ "after": "{{ page.cursor }}" }))
        }
        TokenOf => (
            json!({ "type": "cursor", "next": "answer.cursor", "total": "answer.all" }),
            json!({ "after": "{{ page.cursor }}" }),
        ),
        Link => (json!({ "type": "link" }), json!({})),
        Whole => (json!({ "type": "whole", "size": 10 }), json!({})),
    };
    Row { name, paging, query, more: Vec::new(), listed, acts, script }
}

impl Row {
    /// With another setting.
    fn set(mut self, key: &'static str, value: Value) -> Self {
        self.more.push((key, value));
        self
    }
}

#[derive(Clone, Copy)]
enum Paging {
    None,
    Offset,
    OffsetOf,
    Number,
    NumberOf,
    Token,
    TokenOf,
    Link,
    Whole,
}
use Paging::{Link, None, Number, NumberOf, Offset, OffsetOf, Token, TokenOf, Whole};

/// Serves, and changes a page of people.
fn page(ask: &Ask, state: &mut State, change: impl FnOnce(Reply) -> Reply) -> Reply {
    let reply = state.serve(ask);
    if ask.pages() { change(reply) } else { reply }
}

/// All people at once.
fn whole(ask: &Ask, state: &mut State) -> Reply {
    let reply = state.serve(ask);
    if ask.pages() { Reply::new(200, json!({ "people": state.people })) } else { reply }
}

/// Does not do what has this method, and answers with this status.
fn pretend(ask: &Ask, state: &mut State, method: &str, status: u16) -> Reply {
    if ask.method == method { state.pretend(ask).status(status) } else { state.serve(ask) }
}

#[expect(clippy::too_many_lines, reason = "one line for each thing that applications do")]
fn rows() -> Vec<Row> {
    vec![
        // ---- no paging is set
        row("gives everybody at once", None, All(Atomic), "++++++", |ask, s| whole(&ask, s)),
        row("gives a part with 206", None, Fails("206"), "++++++", |ask, s| page(&ask, s, |r| r.status(206))),
        row(
            "gives a part with 206 and Content-Range",
            None,
            Fails("accounts.list.paging"),
            "++++++",
            |ask, s| page(&ask, s, |r| r.status(206).header("Content-Range", "people 0-9/25")),
        ),
        row("gives a part and Content-Range", None, Fails("content-range"), "++++++", |ask, s| {
            page(&ask, s, |r| r.header("Content-Range", "people 0-9/25"))
        }),
        row("gives a part and Link", None, Fails("the header Link"), "++++++", |ask, s| {
            page(&ask, s, |r| r.header("Link", "</people?page=2>; rel=\"next\""))
        }),
        row(
            "gives a part and a Link that cannot be read",
            None,
            Fails("the header Link"),
            "++++++",
            |ask, s| page(&ask, s, |r| r.header("Link", "/people?page=2; rel=next")),
        ),
        row("gives a part and X-Total-Count", None, Fails("x-total-count"), "++++++", |ask, s| {
            page(&ask, s, |r| r.header("X-Total-Count", "25"))
        }),
        row("gives a part and X-Next-Page", None, Fails("x-next-page"), "++++++", |ask, s| {
            page(&ask, s, |r| r.header("X-Next-Page", "2"))
        }),
        row("gives a part and next", None, Fails("'next'"), "++++++", |ask, s| {
            page(&ask, s, |r| r.with("next", "/people?page=2".into()))
        }),
        row("gives a part and has_more", None, Fails("'has_more'"), "++++++", |ask, s| {
            page(&ask, s, |r| r.with("has_more", true.into()))
        }),
        row("gives a part and total", None, Fails("'total'"), "++++++", |ask, s| {
            page(&ask, s, |r| r.with("total", 25.into()))
        }),
        row("gives a part and a cursor in meta", None, Fails("'meta.nextCursor'"), "++++++", |ask, s| {
            page(&ask, s, |r| r.with("meta", json!({ "nextCursor": "c10" })))
        }),
        row("gives a part and @odata.nextLink", None, Fails("'@odata.nextLink'"), "++++++", |ask, s| {
            page(&ask, s, |r| r.with("@odata.nextLink", "x".into()))
        }),
        row(
            "gives a part and incomplete_results",
            None,
            Fails("'incomplete_results'"),
            "++++++",
            |ask, s| page(&ask, s, |r| r.with("incomplete_results", true.into())),
        ),
        row("gives a part with 202", None, Fails("202"), "++++++", |ask, s| page(&ask, s, |r| r.status(202))),
        row("gives everybody, and a next that is nothing", None, All(Atomic), "++++++", |ask, s| {
            let pages = ask.pages();
            let r = whole(&ask, s);
            if pages {
                r.with("next", Value::Null).with("has_more", false.into()).with("total", 25.into())
            } else {
                r
            }
        }),
        row("gives everybody, and a total of something else", None, All(Atomic), "++++++", |ask, s| {
            let pages = ask.pages();
            let r = whole(&ask, s);
            if pages { r.with("total", 900.into()) } else { r }
        })
        .set("accounts.list.allow", json!(["total"])),
        row("gives nobody, and an error", None, Fails("'error' beside the records"), "++++++", |ask, s| {
            page(&ask, s, |_| Reply::new(200, json!({ "people": [], "error": "shard 3 is down" })))
        }),
        row("gives everybody, and an error that is nothing", None, All(Atomic), "++++++", |ask, s| {
            let pages = ask.pages();
            let r = whole(&ask, s);
            if pages {
                r.with("error", Value::Null).with("errors", json!([])).with("ok", true.into())
            } else {
                r
            }
        }),
        row("gives nobody, and ok is false", None, Fails("'ok'"), "++++++", |ask, s| {
            page(&ask, s, |_| Reply::new(200, json!({ "people": [], "ok": false })))
        }),
        row("gives a web page", None, Fails("no JSON"), "++++++", |ask, s| {
            page(&ask, s, |_| Reply::new(200, json!("<html>log in</html>")))
        }),
        // ---- by offset and by number
        row("pages by offset", Offset, All(EndOfCursor), "++++++", |ask, s| s.serve(&ask)),
        row("pages by offset, with a total", OffsetOf, All(TotalMet), "++++++", |ask, s| s.serve(&ask)),
        row("pages by number", Number, All(EndOfCursor), "++++++", |ask, s| s.serve(&ask)),
        row("pages by number, with a total", NumberOf, All(TotalMet), "++++++", |ask, s| s.serve(&ask)),
        row("ignores the offset", OffsetOf, Fails("the same page came twice"), "++++++", |mut ask, s| {
            if ask.pages() {
                ask.query.clear();
            }
            s.serve(&ask)
        }),
        row("ignores the number", Number, Fails("the same page came twice"), "++++++", |mut ask, s| {
            if ask.pages() {
                ask.query.clear();
            }
            s.serve(&ask)
        }),
        row(
            "ignores the number, and counts the page",
            NumberOf,
            Fails("the same page came twice"),
            "++++++",
            |mut ask, s| {
                if ask.pages() {
                    ask.query.clear();
                }
                page(&ask, s, |r| r.with("all", 10.into()))
            },
        ),
        row("counts the page in its total, by offset", OffsetOf, All(EndOfCursor), "++++++", |ask, s| {
            page(&ask, s, |r| {
                let n = r.body["people"].as_array().unwrap().len();
                r.with("all", n.into())
            })
        }),
        row("counts one too many", OffsetOf, Fails("ends after 25 records"), "++++++", |ask, s| {
            page(&ask, s, |r| r.with("all", 26.into()))
        }),
        row("leaves one out", OffsetOf, Fails("ends after 24 records"), "++++++", |ask, s| {
            page(&ask, s, |mut r| {
                r.body["people"].as_array_mut().unwrap().retain(|person| person["id"] != "u17");
                r
            })
        }),
        row("leaves one out the first time", OffsetOf, All(TotalMet), "++++++", |ask, s| {
            let first = s.pages <= 5;
            page(&ask, s, |mut r| {
                if first {
                    r.body["people"].as_array_mut().unwrap().retain(|person| person["id"] != "u17");
                }
                r
            })
        }),
        row(
            "leaves one out, and says in a header how many there are",
            Offset,
            Fails("x-total-count"),
            "++++++",
            |ask, s| {
                page(&ask, s, |mut r| {
                    r.body["people"].as_array_mut().unwrap().retain(|person| person["id"] != "u17");
                    r.header("X-Total-Count", "25")
                })
            },
        ),
        row("gives people in an order of its own each time", NumberOf, AllOrFails, "++++++", |ask, s| {
            if ask.pages() {
                let by = s.pages * 7 % PEOPLE;
                s.people.rotate_left(by);
            }
            s.serve(&ask)
        }),
        row(
            "says at the end by Link that more follows",
            Number,
            Fails("the header Link"),
            "++++++",
            |ask, s| page(&ask, s, |r| r.header("Link", "</people?page=9>; rel=next")),
        ),
        row("fails at the second page", Offset, Fails("503"), "++++++", |ask, s| {
            if ask.pages() && ask.from() > 0 { Reply::new(503, Value::Null) } else { s.serve(&ask) }
        }),
        row(
            "answers the second page with an error and 200",
            Offset,
            Fails("'error' beside the records"),
            "++++++",
            |ask, s| {
                let second = ask.from() > 0;
                page(&ask, s, |r| {
                    if second { Reply::new(200, json!({ "people": [], "error": "timed out" })) } else { r }
                })
            },
        ),
        row("does not know the second page", Offset, Fails("404"), "++++++", |ask, s| {
            if ask.pages() && ask.from() > 0 { Reply::new(404, json!({})) } else { s.serve(&ask) }
        }),
        // ---- by cursor, by link, and all at once
        row("pages by cursor", Token, All(EndOfCursor), "++++++", |ask, s| s.serve(&ask)),
        row("leads in a circle, with a total", TokenOf, Fails("circle"), "++++++", |ask, s| {
            let next = if ask.from() == 10 { "c15" } else { "c10" };
            page(&ask, s, |r| r.with("cursor", next.into()))
        }),
        row("leads to the page itself", Token, Fails("same page came twice"), "++++++", |ask, s| {
            page(&ask, s, |r| r.with("cursor", "c0".into()))
        }),
        row(
            "leads to other names of the same page",
            Token,
            Fails("same page came twice"),
            "++++++",
            |mut ask, s| {
                let next = format!("x{}", s.pages);
                if ask.pages() {
                    ask.query.clear();
                }
                page(&ask, s, |r| r.with("cursor", next.into()))
            },
        ),
        row("hands out no cursor", TokenOf, Fails("ends after 10 records"), "++++++", |ask, s| {
            page(&ask, s, |r| r.with("cursor", Value::Null))
        }),
        row("hands out tables as cursors", Token, Fails("neither text nor a number"), "++++++", |ask, s| {
            page(&ask, s, |r| r.with("cursor", json!({ "at": 10 })))
        }),
        row("hands out no cursor, and says has_more", Token, Fails("'has_more'"), "++++++", |ask, s| {
            page(&ask, s, |r| r.with("cursor", Value::Null).with("has_more", true.into()))
        }),
        row("pages by Link", Link, All(EndOfCursor), "++++++", |ask, s| {
            let end = ask.from() + 10;
            page(&ask, s, |r| {
                if end < PEOPLE { r.header("Link", format!("</people?from={end}>; rel=next")) } else { r }
            })
        }),
        row("leads elsewhere by Link", Link, Fails("another address"), "++++++", |ask, s| {
            page(&ask, s, |r| r.header("Link", "<https://evil.example.com/people>; rel=next"))
        }),
        row("leads in a circle by Link", Link, Fails("circle"), "++++++", |ask, s| {
            let next = if ask.from() == 10 { 15 } else { 10 };
            page(&ask, s, |r| r.header("Link", format!("</people?from={next}>; rel=next")))
        }),
        row("stops giving Link, and says X-Total-Count", Link, Fails("x-total-count"), "++++++", |ask, s| {
            page(&ask, s, |r| r.header("X-Total-Count", "25"))
        }),
        row("gives everybody each time", Whole, All(Atomic), "++++++", |ask, s| whole(&ask, s)),
        row("begins to page where all was given at once", Whole, Fails("'total'"), "++++++", |ask, s| {
            page(&ask, s, |r| r.with("total", 25.into()))
        }),
        // ---- members of groups
        row("gives a part of the members", None, Fails("'next'"), "+-++++", |ask, s| {
            let members = ask.path.last().is_some_and(|end| end == "members");
            let r = whole(&ask, s);
            if members && ask.method == "GET" { r.with("next", "c10".into()) } else { r }
        }),
        row("fails at the members of a group", None, Fails("500"), "+-++++", |ask, s| {
            if ask.method == "GET" && ask.path.len() == 3 {
                Reply::new(500, Value::Null)
            } else {
                whole(&ask, s)
            }
        }),
        row("has lost a group when it is asked for its members", None, Fails("404"), "+-++++", |ask, s| {
            if ask.method == "GET" && ask.path.len() == 3 {
                Reply::new(404, json!({}))
            } else {
                whole(&ask, s)
            }
        }),
        // ---- what is said to be done
        row("answers changes with 200 and does nothing", Token, All(EndOfCursor), "?~~~~.", |ask, s| {
            if ask.changes() { s.pretend(&ask).status(200) } else { s.serve(&ask) }
        }),
        row("answers changes with 204 and does nothing", Token, All(EndOfCursor), "?~~~~.", |ask, s| {
            if ask.changes() { s.pretend(&ask).status(204) } else { s.serve(&ask) }
        }),
        row("answers changes with 202", Token, All(EndOfCursor), "??????", |ask, s| {
            if ask.changes() { s.pretend(&ask).status(202) } else { s.serve(&ask) }
        }),
        row("answers DELETE with 204 and does nothing", Token, All(EndOfCursor), "+~~+++", |ask, s| {
            pretend(&ask, s, "DELETE", 204)
        }),
        row("answers PUT with 201 and does nothing", Token, All(EndOfCursor), "~~++++", |ask, s| {
            pretend(&ask, s, "PUT", 201)
        }),
        row("answers changes with a web page and 200", Token, All(EndOfCursor), "?~~~~.", |ask, s| {
            if ask.changes() { Reply::new(200, json!("<html>log in</html>")) } else { s.serve(&ask) }
        }),
        row("answers changes with 500 and has done them", Token, All(EndOfCursor), "??????", |ask, s| {
            let r = s.serve(&ask);
            if ask.changes() { r.status(500) } else { r }
        }),
        // ---- looking somebody up
        row("gives a part of what is searched for", Token, All(EndOfCursor), "-+++++", |ask, s| {
            let searches = ask.method == "GET" && ask.path == ["people"] && !ask.pages();
            let r = s.serve(&ask);
            if searches { r.with("has_more", true.into()) } else { r }
        }),
        row("says by 400 that nobody is there", Token, All(EndOfCursor), "++++++", |ask, s| {
            let r = s.serve(&ask);
            if r.status == 404 { Reply::new(400, json!({ "code": "BAD_NAME" })) } else { r }
        })
        .set("find.by_id.absent_also", json!([{ "status": 400, "when": "answer.code == 'BAD_NAME'" }])),
        row("answers everything about one with 404", Token, All(EndOfCursor), "+-----", |ask, s| {
            if ask.method == "GET" && ask.path.len() == 2 {
                Reply::new(404, json!({}))
            } else {
                s.serve(&ask)
            }
        }),
    ]
}

/// Reads the accounts to their end, as the runtime does; at the end there must be proof.
async fn read(connector: &dyn Connector) -> Result<(Vec<Record>, Evidence), Error> {
    let (mut records, mut cursor, mut cursors) = (Vec::new(), Option::<Cursor>::None, BTreeSet::new());
    loop {
        let page = connector.list(&accounts(), cursor.as_ref()).await?;
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
    let read = read(connector).await;
    match (&read, row.listed) {
        (Ok((_, found)), All(proof)) => assert_eq!(*found, proof),
        (Ok(_), AllOrFails) => {}
        (Err(error), Fails(_) | AllOrFails) => {
            let why = if let Fails(why) = row.listed { why } else { "" };
            assert!(error.message().to_lowercase().contains(&why.to_lowercase()), "{error}");
            assert_eq!(error.effect_on_target(), Effect::NotApplied);
        }
        (read, wanted) => panic!(
            "{wanted:?} was wanted, and this came: {:?}",
            read.as_ref().map(|(all, proof)| (all.len(), proof))
        ),
    }
    let Ok((records, _)) = read else { return };
    let distinct: BTreeSet<&str> = records.iter().map(Record::id).collect();
    assert_eq!((records.len(), distinct.len()), (PEOPLE, PEOPLE));
    let members = server.state().groups.clone();
    for record in records {
        let Record::Account(account) = record else { panic!("no account") };
        assert_eq!(groups(&account), of(&members, account.id.as_str()), "{}", account.id);
    }
}

fn groups(account: &AccountRecord) -> Vec<String> {
    let mut groups: Vec<String> = account.memberships.of("group").iter().map(|one| one.id.clone()).collect();
    groups.sort();
    groups
}

fn of(members: &BTreeMap<String, Vec<String>>, id: &str) -> Vec<String> {
    members
        .iter()
        .filter(|(_, members)| members.iter().any(|member| member == id))
        .map(|(group, _)| group.clone())
        .collect()
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
    let person = state.people.iter().find(|person| person["id"] == who);
    if action == Action::ResetPassword {
        return person.is_some_and(|person| person["password"] == "Quiet-Harbour-9");
    }
    let found = person.map(|person| {
        (person["title"].as_str().unwrap_or_default(), person["locked"] == false, of(&state.groups, who))
    });
    is_as_wanted(action, found)
}

/// Everybody but one, and whom the groups have besides.
fn others(state: &State, who: &str) -> (BTreeMap<String, Value>, BTreeMap<String, Vec<String>>) {
    let others = state.people.iter().filter(|person| person["id"] != who);
    let others = others.map(|person| (person["id"].as_str().unwrap().to_owned(), person.clone())).collect();
    let mut members = state.groups.clone();
    for members in members.values_mut() {
        members.retain(|member| member != who);
    }
    (others, members)
}

async fn act(
    (server, connector): (&Scripted, &Arc<dyn Connector>),
    (action, who, payload): (Action, &'static str, Value),
) -> char {
    let before = server.state().clone();
    let done = execute(connector, action, payload).await;
    let after = server.state().clone();
    assert_eq!(others(&before, who), others(&after, who), "{action}: somebody else was changed");
    match &done {
        Ok(_) if is_so(&after, action, who) => '+',
        Ok(_) if action == Action::ResetPassword => '.',
        Ok(_) => {
            // What the runtime sees when it reads back.
            let look = connector.find_account(&account(json!({ "id": who }))).await;
            let shows = look.as_ref().is_ok_and(|found| {
                let found = found.as_ref().map(|found| {
                    let title = found.extra.get("title").and_then(Value::as_str).unwrap_or_default();
                    (title, found.status == AccountStatus::Active, groups(found))
                });
                is_as_wanted(action, found)
            });
            assert!(!shows, "{action}: a look shows what is not so: {look:?}");
            '~'
        }
        Err(error) if error.effect_on_target() == Effect::Unknown => '?',
        Err(error) => {
            assert_eq!(others(&before, ""), others(&after, ""), "{action}: {error}");
            '-'
        }
    }
}

#[tokio::test]
async fn whatever_an_application_does_nobody_is_missing_and_nothing_is_done_that_is_not() {
    // One server plays every script, and one connector serves all rows of the same settings: making one takes its time.
    let server = Arc::new(Scripted::start(|ask, state| state.serve(&ask)).await);
    let mut connectors: BTreeMap<String, Arc<dyn Connector>> = BTreeMap::new();
    let mut failed = Vec::new();
    for row in rows() {
        let (name, server) = (row.name, Arc::clone(&server));
        let mut target = server.target(&row.paging, &row.query);
        for (key, value) in &row.more {
            set(&mut target, key, value.clone());
        }
        let connector =
            connectors.entry(json!(target).to_string()).or_insert_with(|| build(&target).unwrap());
        let connector = Arc::clone(connector);
        // In a task of its own, so that each row that fails is told of.
        let attempt = tokio::spawn(async move {
            server.begin_anew(row.script);
            listing(&row, &server, &*connector).await;
            let mut acts = String::new();
            for task in tasks() {
                server.begin_anew(row.script);
                acts.push(act((&server, &connector), task).await);
            }
            assert_eq!(acts, row.acts);
        });
        if attempt.await.is_err() {
            eprintln!("in the row '{name}'");
            failed.push(name);
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

#[tokio::test]
async fn somebody_who_was_there_and_was_not_shown_is_refused_at_once_or_taken_over_as_is_set() {
    // Searches do not show those who are locked.
    let hides: Script = |ask, state| {
        let mut reply = state.serve(&ask);
        if let Some(people) = reply.body.get_mut("people").and_then(Value::as_array_mut) {
            people.retain(|person| person["locked"] == false);
        }
        reply
    };
    let server = Scripted::start(hides).await;
    let gone = || json!({ "id": "gone", "name": "gone", "locked": true });
    server.state().people[5] = gone();
    let mut target = server.target(&Value::Null, &json!({}));
    let task = json!({ "account": { "username": "gone" } });
    let error = execute(&build(&target).unwrap(), Action::CreateAccount, task.clone()).await.unwrap_err();
    // Its PUT has replaced whoever was there.
    assert_eq!((error.code(), error.effect_on_target()), (Code::AccountAlreadyExists, Effect::Unknown));
    assert!(error.message().contains("expect.status"), "{error}");
    server.state().people.retain(|person| person["id"] != "gone");
    server.state().people.push(gone());
    set(&mut target, "create_account.steps.0.expect", json!({ "status": [200, 201] }));
    let done = execute(&build(&target).unwrap(), Action::CreateAccount, task).await.unwrap();
    assert_eq!(done.result["account_id"], "gone");
}

#[tokio::test]
async fn a_fixed_group_shows_its_members_by_one_request() {
    let admins: Script = |ask, state| {
        if ask.path == ["admins"] {
            return Reply::new(200, json!({ "admins": [{ "id": "u03" }, { "id": "u09" }] }));
        }
        state.serve(&ask)
    };
    let server = Scripted::start(admins).await;
    let paging = json!({ "type": "cursor", "next": "answer.cursor" });
    let mut target = server.target(&paging, &json!({ "after": "{{ page.cursor }}" }));
    let admin = json!({ "slug": "role", "name": "Role", "fixed": [{ "id": "admin", "name": "Administrator" }],
        "members": { "path": "/admins", "records": "answer.admins" } });
    set(&mut target, "groups.+", admin);
    let connector = build(&target).unwrap();
    let (records, _) = read(&*connector).await.unwrap();
    let admins: Vec<&str> = records
        .iter()
        .filter(
            |record| matches!(record, Record::Account(account) if account.memberships.of("role").len() == 1),
        )
        .map(Record::id)
        .collect();
    assert_eq!(admins, ["u03", "u09"]);
    // One request for the groups, one for each of three groups, one for the administrators, and three pages of people.
    assert_eq!(server.server.received_requests().await.unwrap().len(), 8);
    let found = connector.find_account(&account(json!({ "id": "u09" }))).await.unwrap().unwrap();
    assert_eq!((found.memberships.of("role").len(), groups(&found)), (1, vec!["g1".to_owned()]));
}

#[tokio::test]
async fn what_a_task_would_stumble_over_is_told_beforehand() {
    let server = Scripted::start(|ask, state| state.serve(&ask)).await;
    let mut target = server.target(&Value::Null, &json!({}));
    let warnings = build(&target).unwrap().describe().await.unwrap().warnings;
    assert_eq!(warnings, Vec::<String>::new());
    set(&mut target, "create_account.steps.0.json.mail", json!("{{ account.email }}"));
    set(&mut target, "update_account.steps.0.json.title", json!("{{ changes.title }} {{ changes.nick }}"));
    set(&mut target, "suspend_account.steps.0.json.who", json!("{{ current.record.nick }}"));
    let description = build(&target).unwrap().describe().await.unwrap();
    let told = description.warnings.join("\n");
    for key in [
        "create_account.steps.0.json.mail",
        "update_account.steps.0.json.title",
        "suspend_account.steps.0.json.who",
    ] {
        assert!(told.contains(key), "{key}: {told}");
    }
    // A field that is written and not read is never proven.
    assert!(description.unverifiable.contains("nick") && !description.unverifiable.contains("title"));
}
