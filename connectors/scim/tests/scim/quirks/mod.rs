//! What servers do that no document allows: a table, of which each row says what the server does and in which product it was seen.
//!
//! Every row goes through `check`, the listing of accounts and of groups, and through all six actions. What comes of it is in the snapshot beside
//! this file. Whatever that says, nothing wrong may be believed: a listing that ends has everybody in it, as they are; an action that is
//! said to be done is done, or shows that it is not when it is looked at; an action that is said to have changed nothing has changed
//! nothing; and nobody but the account of the task is changed.
//!
//! A new quirk is one entry in one of the modules below: `quirk("does this", "Product, owner/repository#1", |ask, s| …)`, with
//! `"field"` for what was met without a public report, and `""` for what nobody has reported yet.

#![expect(clippy::too_many_lines, reason = "the rows of a table")]

mod changes;
mod cursors;
mod lookups;
mod memberships;
mod paging;
mod records;
mod tasks;
mod truth;

use std::collections::BTreeMap;
use std::sync::Arc;

use bridgehead_sdk::Connector;
use serde_json::{Value, json};

use crate::scripted::{Ask, Reply, Script, Scripted, State};

/// One row.
pub(crate) struct Quirk {
    name: &'static str,
    /// The product and the public report of it.
    seen: &'static str,
    /// What its `ServiceProviderConfig` says besides the usual.
    config: Value,
    settings: Value,
    script: Script,
}

fn quirk(name: &'static str, seen: &'static str, script: Script) -> Quirk {
    Quirk { name, seen, config: json!({}), settings: json!({}), script }
}

impl Quirk {
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

    /// Everything that comes of it, as the snapshot has it.
    async fn outcome(&self, server: &Scripted, connector: &dyn Connector) -> String {
        let seen = if self.seen.is_empty() { "-" } else { self.seen };
        let mut lines = vec![self.name.to_owned(), format!("    seen: {seen}")];
        lines.extend(truth::check(connector).await);
        server.begin_anew(&self.config, self.script);
        lines.extend(truth::listings(server, connector).await);
        let mut done = Vec::new();
        for task in tasks::all() {
            server.begin_anew(&self.config, self.script);
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

/// Changes a list that is served.
fn page(ask: &Ask, state: &mut State, change: impl FnOnce(Reply) -> Reply) -> Reply {
    let reply = state.serve(ask);
    if ask.lists() { change(reply) } else { reply }
}

fn rows() -> Vec<Quirk> {
    let tables = [
        paging::rows(),
        cursors::rows(),
        records::rows(),
        memberships::rows(),
        changes::rows(),
        lookups::rows(),
    ];
    tables.into_iter().flatten().collect()
}

#[tokio::test]
async fn whatever_a_server_does_nothing_wrong_is_believed() {
    // One server plays every script, and one connector serves all rows of the same settings: making one takes its time.
    let server = Arc::new(Scripted::start(&json!({}), |ask, state| state.serve(&ask)).await);
    let mut connectors: BTreeMap<String, Arc<dyn Connector>> = BTreeMap::new();
    let (mut outcomes, mut failed) = (Vec::new(), Vec::new());
    for row in rows() {
        let (name, server) = (row.name, Arc::clone(&server));
        server.begin_anew(&row.config, row.script);
        let kind = format!("{} {}", row.config, row.settings);
        let connector = connectors.entry(kind).or_insert_with(|| server.connector(&row.settings));
        let connector = Arc::clone(connector);
        // In a task of its own, so that each row that fails is told about.
        match tokio::spawn(async move { row.outcome(&server, &*connector).await }).await {
            Ok(outcome) => outcomes.push(outcome),
            Err(_) => failed.push(name),
        }
    }
    assert!(failed.is_empty(), "{} rows fail: {failed:#?}", failed.len());
    insta::assert_snapshot!(outcomes.join("\n"));
}
