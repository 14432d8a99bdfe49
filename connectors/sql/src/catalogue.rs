//! Reads the database catalogue for the tables of the statements, to find what a task or a sync would fail on.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use bridgehead_sdk::Error;
use serde_json::Value;

use crate::driver::Row;
use crate::fault::{Doing, Fault, Kind};
use crate::listing::Subject;
use crate::plan::{Statement, reads_from, writes};
use crate::pool::Lease;
use crate::settings::{Engine, IdType};
use crate::target::Database;
use crate::value::{Bound, as_text};

/// One row per column. `required`: must be set in every new row; `computed`: cannot be written; `alone`: has its own unique key; `fills`: a
/// trigger may fill a row before it is written.
const POSTGRESQL: &str = "SELECT a.attname::text AS name, format_type(a.atttypid, a.atttypmod) AS kind, \
    a.attnotnull AND NOT a.atthasdef AND a.attidentity = '' AND t.typdefault IS NULL AS required, a.attgenerated <> '' AS computed, \
    c.relkind IN ('v', 'm', 'f') OR EXISTS (SELECT 1 FROM pg_index x WHERE x.indrelid = c.oid AND x.indisunique AND x.indpred IS NULL \
        AND x.indnkeyatts = 1 AND x.indkey[0] = a.attnum) AS alone, \
    c.relkind IN ('v', 'f') OR EXISTS (SELECT 1 FROM pg_trigger g WHERE g.tgrelid = c.oid AND NOT g.tgisinternal AND g.tgtype & 2 = 2) AS fills, \
    NULL AS without_transactions \
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped JOIN pg_type t ON t.oid = a.atttypid \
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND pg_table_is_visible(c.oid) AND lower(c.relname) = lower($1)";

/// Each `?` is the name of the table: the server would open all tables if it were not given in every place.
const MYSQL: &str = "SELECT c.column_name AS name, c.column_type AS kind, \
    c.is_nullable = 'NO' AND c.column_default IS NULL AND c.extra NOT LIKE '%auto_increment%' AND c.extra NOT LIKE '%GENERATED%' AS required, \
    c.extra LIKE '%GENERATED%' AND c.extra NOT LIKE '%DEFAULT_GENERATED%' AS computed, \
    t.table_type <> 'BASE TABLE' OR c.column_name IN (SELECT MAX(s.column_name) FROM information_schema.statistics s \
        WHERE s.table_schema = DATABASE() AND s.table_name = ? AND s.non_unique = 0 GROUP BY s.index_name HAVING COUNT(*) = 1) AS alone, \
    t.table_type <> 'BASE TABLE' OR EXISTS (SELECT 1 FROM information_schema.triggers g WHERE g.event_object_schema = DATABASE() \
        AND g.event_object_table = ? AND g.action_timing = 'BEFORE' AND g.event_manipulation = 'INSERT') AS fills, \
    IF(t.engine IN (SELECT engine FROM information_schema.engines WHERE transactions = 'NO'), t.engine, NULL) AS without_transactions \
    FROM information_schema.columns c JOIN information_schema.tables t ON t.table_schema = DATABASE() AND t.table_name = ? \
    WHERE c.table_schema = DATABASE() AND c.table_name = ?";

const SQLITE: &str = "SELECT x.name AS name, x.type AS kind, \
    x.\"notnull\" AND x.dflt_value IS NULL AND x.hidden = 0 AND NOT (x.pk = 1 AND upper(x.type) = 'INTEGER') AS required, x.hidden > 1 AS computed, \
    m.type <> 'table' OR x.pk = 1 AND (SELECT count(*) FROM pragma_table_info(m.name) WHERE pk > 0) = 1 OR EXISTS (SELECT 1 FROM pragma_index_list(m.name) l \
        WHERE l.\"unique\" AND NOT l.partial AND (SELECT group_concat(i.name) FROM pragma_index_info(l.name) i) = x.name) AS alone, \
    m.type <> 'table' AS fills, NULL AS without_transactions \
    FROM sqlite_schema m, pragma_table_xinfo(m.name) x WHERE m.type IN ('table', 'view') AND lower(m.name) = lower(?)";

/// A column in the catalogue.
#[expect(clippy::struct_excessive_bools, reason = "each is a column of the query")]
struct Column {
    name: String,
    kind: String,
    required: bool,
    computed: bool,
    alone: bool,
    fills: bool,
    /// The engine of its table, if that does not support transactions.
    without_transactions: Option<String>,
}

impl Database {
    /// Checks the tables of the statements.
    pub(crate) async fn look_through_catalogue(&self, lease: &mut Lease) -> Result<(), Error> {
        let mut tables: HashMap<String, Vec<Column>> = HashMap::new();
        for statement in self.plan.commands() {
            self.check_right(lease, statement).await?;
            let Some(writes) = writes(&statement.sql) else { continue };
            let columns = match tables.entry(writes.table.clone()) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => new.insert(self.columns(lease, &writes.table).await?),
            };
            let (key, table) = (&statement.key, &writes.table);
            if let Some(engine) = columns.iter().find_map(|column| column.without_transactions.as_ref()) {
                let why = format!(
                    "{key} writes to {table}, a table of {engine}, which does not support transactions: a \
                     failed task would be half done. Run ALTER TABLE {table} ENGINE = InnoDB"
                );
                return Err(self.misfit(&why));
            }
            let Some(named) = &writes.columns else { continue };
            let is_named = |column: &&Column| named.iter().any(|one| one.eq_ignore_ascii_case(&column.name));
            if let Some(column) = columns.iter().filter(is_named).find(|column| column.computed) {
                let why = format!(
                    "{key} writes to the column {} of {table}, which the database computes; remove it",
                    column.name
                );
                return Err(self.misfit(&why));
            }
            let is_missing = |column: &&Column| column.required && !column.fills && !is_named(column);
            if let Some(column) = columns.iter().find(is_missing).filter(|_| writes.makes_row) {
                let why = format!(
                    "{key} leaves out the column {name} of {table}, which must not be NULL and has no \
                     default, so every task would fail; set it, with a custom parameter if no field fits \
                     (parameters.{name})",
                    name = column.name
                );
                return Err(self.misfit(&why));
            }
        }
        for subject in self.subjects() {
            self.check_identifiers(lease, subject).await?;
        }
        self.check_mode(lease).await
    }

    /// Checks that identifiers match `id_type` and are unique.
    async fn check_identifiers(&self, lease: &mut Lease, subject: Subject<'_>) -> Result<(), Error> {
        let statement = &subject.listing.statement;
        let Some(table) = reads_from(&statement.sql) else { return Ok(()) };
        let name = subject.fields.get("id").map_or("id", |field| field.column.as_str());
        let columns = self.columns(lease, &table).await?;
        let Some(column) = columns.iter().find(|column| column.name.eq_ignore_ascii_case(name)) else {
            return Ok(());
        };
        let kind = column.kind.to_lowercase();
        let is_text = ["char", "text", "clob", "enum"].iter().any(|part| kind.contains(part));
        // PostgreSQL itself rejects this comparison.
        if subject.id_type == IdType::Integer && is_text && self.plan.engine != Engine::Postgresql {
            let part = statement.key.trim_end_matches(".list");
            let why = format!(
                "{part}.id_type is integer, but {table}.{name} is {kind}: 017 and 17abc would be treated as \
                 17, and a statement would change all of them; set id_type = \"text\""
            );
            return Err(self.misfit(&why));
        }
        if !column.alone {
            tracing::warn!(
                system = %self.verdicts.system,
                statement = statement.key,
                "the column {name} of {table} has no unique key; a listing in which an identifier occurs \
                 twice is rejected"
            );
        }
        Ok(())
    }

    /// Checks that the user is allowed to run a statement: PostgreSQL checks permissions when it plans a statement, not when it parses it.
    async fn check_right(&self, lease: &mut Lease, statement: &Statement) -> Result<(), Error> {
        if self.plan.engine != Engine::Postgresql {
            return Ok(());
        }
        let Ok(nothing) = self.values(statement, |_| Value::Null) else { return Ok(()) };
        let explain = format!("EXPLAIN {}", statement.sql).into();
        match lease.attempt(&explain, nothing).await {
            // A statement that cannot be explained, or not with NULL, may still be correct.
            Ok(Err(fault)) if matches!(&fault, Fault::ServerMessage(told) if told.kind == Kind::Denied) => {
                Err(self.wrong(&fault, &statement.key))
            }
            Ok(_) => Ok(()),
            Err(fault) => Err(self.wrong(&fault, &statement.key)),
        }
    }

    /// Checks that the database accepts changes.
    async fn check_mode(&self, lease: &mut Lease) -> Result<(), Error> {
        let question = match self.plan.engine {
            _ if self.plan.offered().is_empty() => return Ok(()),
            Engine::Sqlite => return Ok(()),
            Engine::Postgresql => {
                "SELECT 'transaction_read_only' AS name WHERE current_setting('transaction_read_only') = 'on'"
            }
            Engine::Mysql => {
                "SHOW VARIABLES WHERE Variable_name IN ('tx_read_only', 'transaction_read_only', 'super_read_only', \
                 'innodb_read_only') AND Value = 'ON'"
            }
        };
        let answer = lease.run_as(&question.into(), Vec::new()).await;
        let answer = answer.map_err(|fault| self.verdicts.of(&fault, Doing::Checking))?;
        let Some(name) = answer.rows.first().and_then(|row| row.values().next()).and_then(as_text) else {
            return Ok(());
        };
        let why = format!(
            "the database does not accept changes ({name} is on), so every task would fail; is it a \
             standby? Set host to the primary, or remove actions"
        );
        Err(Error::credential_refused(self.verdicts.message(Doing::Checking, &why)))
    }

    /// Checks that a look-up finds a user name or email address in any case.
    pub(crate) async fn check_letters(&self, lease: &mut Lease, row: &Row) -> Result<(), Error> {
        let accounts = &self.plan.accounts;
        for (field, statement) in [("username", &accounts.by_username), ("email", &accounts.by_email)] {
            let (Some(statement), Some(at)) = (statement, accounts.fields.get(field)) else { continue };
            let Some(name) = row.get(&at.column).and_then(as_text) else { continue };
            let Some(other) =
                [name.to_ascii_lowercase(), name.to_ascii_uppercase()].into_iter().find(|one| *one != name)
            else {
                continue;
            };
            let mut counts = [0, 0];
            for (count, spelling) in counts.iter_mut().zip([&name, &other]) {
                let Ok(values) = self.values(statement, |_| Value::from(spelling.as_str())) else { continue };
                let answer =
                    lease.run(statement, values).await.map_err(|fault| self.wrong(&fault, &statement.key))?;
                *count = answer.rows.len();
            }
            if counts[0] > counts[1] {
                tracing::warn!(
                    system = %self.verdicts.system,
                    statement = statement.key,
                    "an account is only found in the exact case of its {field}, so a second account could \
                     be created; compare lower({column}) with lower(:{field})",
                    column = at.column
                );
            }
        }
        Ok(())
    }

    async fn columns(&self, lease: &mut Lease, table: &str) -> Result<Vec<Column>, Error> {
        let sql = match self.plan.engine {
            Engine::Postgresql => POSTGRESQL,
            Engine::Mysql => MYSQL,
            Engine::Sqlite => SQLITE,
        };
        let Ok(name) = Bound::new(crate::plan::Kind::Natural, &Value::from(table)) else {
            return Ok(Vec::new());
        };
        let places = if self.plan.engine == Engine::Mysql { 4 } else { 1 };
        let answer = lease.run_as(&sql.into(), vec![name; places]).await;
        let answer = answer.map_err(|fault| self.verdicts.of(&fault, Doing::Checking))?;
        let text = |row: &Row, name: &str| row.get(name).and_then(as_text);
        let is = |row: &Row, name: &str| matches!(text(row, name).as_deref(), Some("true" | "1"));
        let columns = answer.rows.iter().map(|row| Column {
            name: text(row, "name").unwrap_or_default(),
            kind: text(row, "kind").unwrap_or_default(),
            required: is(row, "required"),
            computed: is(row, "computed"),
            alone: is(row, "alone"),
            fills: is(row, "fills"),
            without_transactions: text(row, "without_transactions"),
        });
        Ok(columns.collect())
    }
}
