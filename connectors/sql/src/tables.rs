//! The tables of an unknown database, their columns, and their references.

use bridgehead_sdk::Error;

use crate::driver::Row;
use crate::fault::{Doing, Fault, Verdicts};
use crate::pool::Lease;
use crate::settings::Engine;
use crate::value::as_text;

/// One row per column of every readable table: `table_name` is the name for statements, `is_key` whether it is part of the primary key.
const POSTGRESQL: &str = "SELECT c.oid::regclass::text AS table_name, a.attname::text AS name, \
    format_type(a.atttypid, a.atttypmod) AS kind, EXISTS (SELECT 1 FROM pg_index x WHERE x.indrelid = c.oid AND x.indisprimary \
        AND a.attnum = ANY (x.indkey::int2[])) AS is_key \
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_' \
    AND has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT') ORDER BY 1, a.attnum LIMIT 20000";
const MYSQL: &str = "SELECT table_name AS table_name, column_name AS name, column_type AS kind, column_key = 'PRI' AS is_key \
    FROM information_schema.columns WHERE table_schema = DATABASE() ORDER BY table_name, ordinal_position LIMIT 20000";
const SQLITE: &str = "SELECT m.name AS table_name, x.name AS name, x.type AS kind, x.pk > 0 AS is_key \
    FROM sqlite_schema m, pragma_table_xinfo(m.name) x WHERE m.type IN ('table', 'view') AND m.name NOT LIKE 'sqlite\\_%' ESCAPE '\\' \
    ORDER BY m.name, x.cid LIMIT 20000";

/// One row per foreign key with one column.
const POSTGRESQL_REFERENCES: &str = "SELECT k.conrelid::regclass::text AS table_name, a.attname::text AS name, \
    k.confrelid::regclass::text AS target FROM pg_constraint k \
    JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = k.conkey[1] WHERE k.contype = 'f' AND cardinality(k.conkey) = 1 \
    ORDER BY 1, 2";
const MYSQL_REFERENCES: &str = "SELECT table_name AS table_name, column_name AS name, referenced_table_name AS target \
    FROM information_schema.key_column_usage WHERE table_schema = DATABASE() AND referenced_table_name IS NOT NULL \
    ORDER BY table_name, column_name";
const SQLITE_REFERENCES: &str = "SELECT m.name AS table_name, f.\"from\" AS name, f.\"table\" AS target \
    FROM sqlite_schema m, pragma_foreign_key_list(m.name) f WHERE m.type = 'table' ORDER BY m.name, f.\"from\"";

/// A table or view.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    /// The name for statements.
    pub(crate) name: String,
    pub(crate) columns: Vec<Column>,
}

/// A column.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) is_key: bool,
    /// The table that a foreign key refers to.
    pub(crate) target: Option<String>,
}

impl Table {
    /// The primary key, if it has one column.
    pub(crate) fn key(&self) -> Option<&Column> {
        let mut keys = self.columns.iter().filter(|column| column.is_key);
        keys.next().filter(|_| keys.next().is_none())
    }
}

/// All readable tables.
pub(crate) async fn read(
    lease: &mut Lease,
    engine: Engine,
    verdicts: &Verdicts,
) -> Result<Vec<Table>, Error> {
    let (columns, references) = match engine {
        Engine::Postgresql => (POSTGRESQL, POSTGRESQL_REFERENCES),
        Engine::Mysql => (MYSQL, MYSQL_REFERENCES),
        Engine::Sqlite => (SQLITE, SQLITE_REFERENCES),
    };
    let told = |fault: Fault| verdicts.of(&fault, Doing::Checking);
    let rows = lease.run_made(columns).await.map_err(told)?.rows;
    let references = lease.run_made(references).await.map_err(told)?.rows;
    let mut tables: Vec<Table> = Vec::new();
    let text = |row: &Row, name: &str| row.get(name).and_then(as_text).unwrap_or_default();
    for row in &rows {
        let raw = text(row, "table_name");
        // PostgreSQL has already quoted it where necessary.
        let name = if engine == Engine::Postgresql { raw.clone() } else { quoted(&raw, engine) };
        let column = Column {
            name: text(row, "name"),
            kind: text(row, "kind").to_lowercase(),
            is_key: matches!(text(row, "is_key").as_str(), "true" | "1"),
            target: references
                .iter()
                .find(|one| text(one, "table_name") == raw && text(one, "name") == text(row, "name"))
                .map(|one| text(one, "target"))
                .map(|target| if engine == Engine::Postgresql { target } else { quoted(&target, engine) }),
        };
        match tables.last_mut().filter(|table| table.name == name) {
            Some(table) => table.columns.push(column),
            None => tables.push(Table { name, columns: vec![column] }),
        }
    }
    Ok(tables)
}

/// A name for a statement, quoted if necessary.
pub(crate) fn quoted(name: &str, engine: Engine) -> String {
    /// Reserved words among the common names of tables and columns with accounts.
    const WORDS: [&str; 18] = [
        "user",
        "order",
        "group",
        "groups",
        "table",
        "select",
        "key",
        "rank",
        "row",
        "rows",
        "current_user",
        "session_user",
        "end",
        "default",
        "check",
        "primary",
        "from",
        "to",
    ];
    let fits = |one: char| {
        one == '_'
            || one.is_ascii_digit()
            || one.is_ascii_lowercase()
            || (engine != Engine::Postgresql && one.is_ascii_uppercase())
    };
    let is_word = WORDS.iter().any(|word| word.eq_ignore_ascii_case(name));
    let is_bare =
        name.chars().all(fits) && !name.starts_with(|one: char| one.is_ascii_digit()) && !name.is_empty();
    if is_bare && !is_word {
        return name.to_owned();
    }
    if engine == Engine::Mysql {
        format!("`{}`", name.replace('`', "``"))
    } else {
        format!("\"{}\"", name.replace('"', "\"\""))
    }
}
