//! Server behavior that violates the standards: each row of a table names what the server does and the product in which it was seen.
//!
//! Every row runs `check`, the listings of accounts and groups, and all six actions. The results are in the snapshot next to this file.
//! Whatever they are, nothing wrong may be believed: a completed listing contains every account in its current state; an action reported as
//! done is done, or a look-up shows that it is not; an action reported to have changed nothing has changed nothing; and no account except
//! that of the task is changed.
//!
//! A new quirk is one entry in one of the modules below: `quirk("does this", "Product, owner/repository#1", |ask, s| …)`, with `"field"`
//! for behavior that was seen without a public report, and `""` for behavior that was not reported yet.

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

/// One row of the table.
pub(crate) struct Quirk {
    name: &'static str,
    /// The product and its public report.
    seen: &'static str,
    /// Changes to the default `ServiceProviderConfig`.
    config: Value,
    settings: Value,
    script: Script,
}

fn quirk(name: &'static str, seen: &'static str, script: Script) -> Quirk {
    Quirk { name, seen, config: json!({}), settings: json!({}), script }
}

impl Quirk {
    /// A server that announces cursor paging.
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

    /// The results, as written to the snapshot.
    async fn outcome(&self, server: &Scripted, connector: &dyn Connector) -> String {
        let seen = if self.seen.is_empty() { "-" } else { self.seen };
        let mut lines = vec![self.name.to_owned(), format!("    seen: {seen}")];
        lines.extend(truth::check(connector).await);
        server.start_over(&self.config, self.script);
        lines.extend(truth::listings(server, connector).await);
        let mut done = Vec::new();
        for task in tasks::all() {
            server.start_over(&self.config, self.script);
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

/// Serves the request, and modifies the response if it is a list.
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
async fn server_quirks_never_yield_wrong_results() {
    // One server plays every script, and rows with the same settings share a connector, because creating one is slow.
    let server = Arc::new(Scripted::start(&json!({}), |ask, state| state.serve(&ask)).await);
    let mut connectors: BTreeMap<String, Arc<dyn Connector>> = BTreeMap::new();
    let (mut outcomes, mut failed) = (Vec::new(), Vec::new());
    for row in rows() {
        let (name, server) = (row.name, Arc::clone(&server));
        server.start_over(&row.config, row.script);
        let kind = format!("{} {}", row.config, row.settings);
        let connector = connectors.entry(kind).or_insert_with(|| server.connector(&row.settings));
        let connector = Arc::clone(connector);
        // In a separate task, so that every failing row is reported.
        match tokio::spawn(async move { row.outcome(&server, &*connector).await }).await {
            Ok(outcome) => outcomes.push(outcome),
            Err(_) => failed.push(name),
        }
    }
    assert!(failed.is_empty(), "{} rows fail: {failed:#?}", failed.len());
    insta::assert_snapshot!(outcomes.join("\n"));
}
