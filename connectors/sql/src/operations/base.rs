//! The tables behind the view that accounts are read from: a statement may write to them directly.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use crate::fault::Fault;
use crate::plan::{Kind, reads_from, shows_rows_of, writes};
use crate::pool::Lease;
use crate::settings::Engine;
use crate::target::Database;
use crate::value::{Bound, as_text};

/// How many views may be on top of each other.
const DEEPEST: usize = 8;

const POSTGRESQL: &str = "SELECT pg_get_viewdef(c.oid) AS definition FROM pg_class c \
    WHERE c.relkind IN ('v', 'm') AND pg_table_is_visible(c.oid) AND lower(c.relname) = lower($1)";
const MYSQL: &str = "SELECT view_definition AS definition FROM information_schema.views WHERE table_schema = DATABASE() AND table_name = ?";
const SQLITE: &str =
    "SELECT sql AS definition FROM sqlite_schema WHERE type = 'view' AND lower(name) = lower(?)";

impl Database {
    /// The table that a statement writes to, if the view of the accounts shows its rows as accounts. Only asked if it has changed several.
    pub(super) async fn written_behind_view(
        &self,
        lease: &mut Lease,
        sql: &str,
    ) -> Result<Option<String>, Fault> {
        let Some(written) = writes(sql).map(|writes| writes.table) else { return Ok(None) };
        let mut known: BTreeSet<String> = BTreeSet::new();
        let mut next: Vec<String> = reads_from(&self.plan.accounts.by_id.sql).into_iter().collect();
        for _ in 0..DEEPEST {
            let mut behind = Vec::new();
            for table in next {
                if table.eq_ignore_ascii_case(&written) {
                    return Ok(Some(written));
                }
                if known.insert(table.to_lowercase())
                    && let Some(definition) = self.definition(lease, &table).await?
                {
                    behind.extend(shows_rows_of(&definition));
                }
            }
            next = behind;
        }
        Ok(None)
    }

    /// The query of a view; `None` if it is a table, or if the user is not allowed to see it.
    async fn definition(&self, lease: &mut Lease, view: &str) -> Result<Option<String>, Fault> {
        let sql: Arc<str> = match self.plan.engine {
            Engine::Postgresql => POSTGRESQL,
            Engine::Mysql => MYSQL,
            Engine::Sqlite => SQLITE,
        }
        .into();
        let Ok(name) = Bound::new(Kind::Natural, &Value::from(view)) else { return Ok(None) };
        let answer = lease.run_as(&sql, vec![name]).await?;
        Ok(answer.rows.first().and_then(|row| row.get("definition")).and_then(as_text))
    }
}
