//! Undocumented behavior of applications: each row of a table names what the application does and the product in which it was seen.
//!
//! Every row runs `check`, the listings of accounts and groups, and all six actions. The results are in the snapshot next to this file.
//! Whatever they are, nothing wrong may be believed: a completed listing contains every account in its current state; an action reported as
//! done is done, or a look-up shows that it is not; an action reported to have changed nothing has changed nothing; and no account except
//! that of the task is changed.
//!
//! A new quirk is one entry in one of the modules below: `quirk("does this", "Product, owner/repository#1", Offset, |ask, s| …)`, with
//! `"field"` for behavior that was seen without a public report, and `""` for behavior that was not reported yet.

#![expect(clippy::too_many_lines, reason = "the rows of a table")]

mod changes;
mod cursors;
mod lookups;
mod members;
mod paging;
mod records;
mod tasks;
mod truth;
mod whole;

use std::collections::BTreeMap;
use std::sync::Arc;

use bridgehead_sdk::Connector;
use serde_json::{Value, json};

use crate::scripted::{Ask, Reply, Script, Scripted, State};
use crate::support::{build, set};

/// One row of the table.
pub(crate) struct Quirk {
    name: &'static str,
    /// The product and its public report.
    seen: &'static str,
    paging: Value,
    query: Value,
    more: Vec<(&'static str, Value)>,
    script: Script,
}

/// A row for an application with this type of paging.
fn quirk(name: &'static str, seen: &'static str, paging: Paging, script: Script) -> Quirk {
    let (paging, query) = match paging {
        Once => (Value::Null, json!({})),
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
    Quirk { name, seen, paging, query, more: Vec::new(), script }
}

#[derive(Clone, Copy)]
enum Paging {
    /// One response contains everything.
    Once,
    Offset,
    OffsetOf,
    Number,
    NumberOf,
    Token,
    TokenOf,
    Link,
    Whole,
}
use Paging::{Link, Number, NumberOf, Offset, OffsetOf, Once, Token, TokenOf, Whole};

impl Quirk {
    /// The same row with another setting.
    fn set(mut self, key: &'static str, value: Value) -> Self {
        self.more.push((key, value));
        self
    }

    /// The results, as written to the snapshot.
    async fn outcome(&self, server: &Scripted, connector: &Arc<dyn Connector>) -> String {
        let seen = if self.seen.is_empty() { "-" } else { self.seen };
        let mut lines = vec![self.name.to_owned(), format!("    seen: {seen}")];
        server.start_over(self.script);
        lines.extend(truth::check(connector).await);
        server.start_over(self.script);
        lines.extend(truth::listings(server, connector).await);
        let mut done = Vec::new();
        for task in tasks::all() {
            server.start_over(self.script);
            let name = task.name;
            match truth::act(server, connector, &task).await {
                None => done.push(name),
                Some(otherwise) => lines.push(format!("    {name}: {otherwise}")),
            }
        }
        lines.push(format!("    done: {}", done.join(", ")));
        lines.join("\n")
    }
}

/// Serves the request, and modifies the response if it is a page of people.
fn page(ask: &Ask, state: &mut State, change: impl FnOnce(Reply) -> Reply) -> Reply {
    let reply = state.serve(ask);
    if ask.pages() { change(reply) } else { reply }
}

/// All people in one response.
fn whole(ask: &Ask, state: &mut State) -> Reply {
    let reply = state.serve(ask);
    if ask.pages() { Reply::new(200, json!({ "people": state.people })) } else { reply }
}

fn rows() -> Vec<Quirk> {
    let tables = [
        whole::rows(),
        paging::rows(),
        cursors::rows(),
        records::rows(),
        members::rows(),
        changes::rows(),
        lookups::rows(),
    ];
    tables.into_iter().flatten().collect()
}

#[tokio::test]
async fn application_quirks_never_yield_wrong_results() {
    // One server plays every script, and rows with the same settings share a connector, because creating one is slow.
    let server = Arc::new(Scripted::start(|ask, state| state.serve(&ask)).await);
    let mut connectors: BTreeMap<String, Arc<dyn Connector>> = BTreeMap::new();
    let (mut outcomes, mut failed) = (Vec::new(), Vec::new());
    for row in rows() {
        let (name, server) = (row.name, Arc::clone(&server));
        let mut target = server.target(&row.paging, &row.query);
        for (key, value) in &row.more {
            set(&mut target, key, value.clone());
        }
        let connector =
            connectors.entry(json!(target).to_string()).or_insert_with(|| build(&target).unwrap());
        let connector = Arc::clone(connector);
        // In a separate task, so that every failing row is reported.
        match tokio::spawn(async move { row.outcome(&server, &connector).await }).await {
            Ok(outcome) => outcomes.push(outcome),
            Err(_) => failed.push(name),
        }
    }
    assert!(failed.is_empty(), "{} rows fail: {failed:#?}", failed.len());
    insta::assert_snapshot!(outcomes.join("\n"));
}
