//! The tables of the state, as they exist in both databases.

use xxhash_rust::xxh3::xxh3_128;

use crate::sqlite::outcomes::OUTCOME;

/// A table and its columns.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) name: &'static str,
    /// Whether the table is in the database of snapshots; in a folder, there are two databases.
    pub(crate) is_listing: bool,
    pub(crate) columns: &'static [Column],
    /// A condition for the valid rows. All others are about to be removed.
    pub(crate) only: Option<&'static str>,
    /// The column whose numbers PostgreSQL generates.
    pub(crate) numbered: Option<&'static str>,
}

/// A column.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    pub(crate) sqlite: &'static str,
    pub(crate) postgres: &'static str,
    pub(crate) kind: Kind,
}

/// The type of a column's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A number: INTEGER in SQLite, BIGINT in PostgreSQL.
    Integer,
    /// A flag: INTEGER in SQLite, BOOLEAN in PostgreSQL.
    Flag,
    /// A word that bridgehead defines: TEXT in both.
    Word,
    /// Text from elsewhere: TEXT in SQLite, BYTEA in PostgreSQL.
    Text,
    /// Bytes: BLOB in SQLite, BYTEA in PostgreSQL.
    Bytes,
}

/// A value of either database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Nothing,
    Integer(i64),
    Bytes(Vec<u8>),
}

pub(crate) type Row = Vec<Value>;

/// The number of rows and a checksum of their content, in any order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sum {
    pub(crate) rows: u64,
    content: u128,
}

impl Sum {
    pub(crate) fn add(&mut self, row: &Row) {
        let mut bytes = Vec::new();
        for value in row {
            match value {
                Value::Nothing => bytes.push(0),
                Value::Integer(number) => {
                    bytes.push(1);
                    bytes.extend(number.to_le_bytes());
                }
                Value::Bytes(value) => {
                    bytes.push(2);
                    bytes.extend((value.len() as u64).to_le_bytes());
                    bytes.extend(value);
                }
            }
        }
        self.rows += 1;
        self.content = self.content.wrapping_add(xxh3_128(&bytes));
    }
}

impl Table {
    /// The query for the rows in SQLite.
    pub(crate) fn select_sqlite(&self) -> String {
        self.select(|column| match (self.name, column.sqlite) {
            // In SQLite, the outcomes of a commit are stored together.
            ("tasks", "outcome") => OUTCOME.to_owned(),
            (_, name) => format!("\"{name}\""),
        })
    }

    /// The query for the rows in PostgreSQL.
    pub(crate) fn select_postgres(&self) -> String {
        self.select(|column| format!("\"{}\"", column.postgres))
    }

    fn select(&self, value: impl Fn(&Column) -> String) -> String {
        let columns: Vec<String> = self.columns.iter().map(value).collect();
        let only = self.only.map(|only| format!(" WHERE {only}")).unwrap_or_default();
        format!("SELECT {} FROM {}{only}", columns.join(", "), self.name)
    }

    /// The statement that adds a row in SQLite.
    pub(crate) fn insert_sqlite(&self) -> String {
        let columns: Vec<String> =
            self.columns.iter().map(|column| format!("\"{}\"", column.sqlite)).collect();
        let places: Vec<String> = (1..=columns.len()).map(|number| format!("?{number}")).collect();
        let (columns, places) = (columns.join(", "), places.join(", "));
        match self.name {
            // PostgreSQL has no number, so each row gets the next one.
            "tasks" => format!(
                "INSERT INTO tasks (number, {columns}) SELECT 1 + (SELECT coalesce(max(number), 0) FROM tasks), {places}"
            ),
            // This is a view in SQLite. The tasks come first, and the steps of each task belong to its number.
            name => format!("INSERT INTO {name} ({columns}) VALUES ({places})"),
        }
    }

    /// The statement that adds many rows in PostgreSQL, with each column as an array.
    pub(crate) fn insert_postgres(&self) -> String {
        let columns: Vec<String> =
            self.columns.iter().map(|column| format!("\"{}\"", column.postgres)).collect();
        let arrays: Vec<String> = self
            .columns
            .iter()
            .enumerate()
            .map(|(number, column)| {
                let kind = match column.kind {
                    Kind::Integer => "bigint",
                    Kind::Flag => "boolean",
                    Kind::Word => "text",
                    Kind::Text | Kind::Bytes => "bytea",
                };
                format!("${}::{kind}[]", number + 1)
            })
            .collect();
        format!(
            "INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE SELECT * FROM unnest({})",
            self.name,
            columns.join(", "),
            arrays.join(", ")
        )
    }
}

const fn column(name: &'static str, kind: Kind) -> Column {
    Column { sqlite: name, postgres: name, kind }
}

const fn table(name: &'static str, is_listing: bool, columns: &'static [Column]) -> Table {
    Table { name, is_listing, columns, only: None, numbered: None }
}

const APP: Column = column("app", Kind::Word);

/// All tables of the state. Tables about who owns the state and who may write it belong to the place, and are not moved.
pub(crate) const TABLES: &[Table] = &[
    table(
        "tasks",
        false,
        &[
            APP,
            column("task", Kind::Text),
            column("action", Kind::Text),
            column("created_at", Kind::Integer),
            column("keys", Kind::Bytes),
            column("attempt", Kind::Integer),
            column("first_intent_at", Kind::Integer),
            column("last_intent_at", Kind::Integer),
            column("state", Kind::Word),
            column("status", Kind::Word),
            column("code", Kind::Word),
            column("message", Kind::Text),
            column("ended", Kind::Word),
            column("detail", Kind::Text),
            column("ended_at", Kind::Integer),
            column("outcome", Kind::Bytes),
            column("may_have_applied", Kind::Flag),
            column("prior", Kind::Word),
            column("kept", Kind::Word),
        ],
    ),
    table(
        "holds",
        false,
        &[
            APP,
            column("task", Kind::Text),
            column("held_at", Kind::Integer),
            column("released_at", Kind::Integer),
        ],
    ),
    table(
        "doubts",
        false,
        &[column("found_at", Kind::Integer), column("until", Kind::Integer), column("reason", Kind::Word)],
    ),
    table("new_apps", false, &[APP, column("synced_before", Kind::Flag)]),
    table(
        "attempts",
        false,
        &[
            APP,
            column("task", Kind::Text),
            column("began_at", Kind::Integer),
            column("phase", Kind::Word),
            column("attempt", Kind::Integer),
            column("ended_at", Kind::Integer),
            column("code", Kind::Word),
            column("message", Kind::Text),
            column("next_try_at", Kind::Integer),
        ],
    ),
    table(
        "pauses",
        false,
        &[
            APP,
            column("since", Kind::Integer),
            Column { sqlite: "by", postgres: "paused_by", kind: Kind::Text },
            column("reason", Kind::Text),
        ],
    ),
    table(
        "syncs",
        true,
        &[
            APP,
            column("under_way", Kind::Flag),
            column("completed_at", Kind::Integer),
            column("unrecorded", Kind::Flag),
            column("past", Kind::Word),
            column("completing_at", Kind::Integer),
            column("completing_losses", Kind::Word),
            column("iden_synced_at", Kind::Integer),
            column("iden_pending_at", Kind::Integer),
            column("shown_digest", Kind::Integer),
            column("shown_losses", Kind::Integer),
        ],
    ),
    Table {
        only: Some("state <> 'discarded'"),
        numbered: Some("listing"),
        ..table(
            "listings",
            true,
            &[
                column("listing", Kind::Integer),
                APP,
                column("slug", Kind::Text),
                column("state", Kind::Word),
                column("records", Kind::Integer),
            ],
        )
    },
    Table {
        only: Some("listing IN (SELECT listing FROM listings WHERE state <> 'discarded')"),
        ..table(
            "records",
            true,
            &[
                column("listing", Kind::Integer),
                column("id", Kind::Text),
                column("hash", Kind::Integer),
                column("standing", Kind::Integer),
                column("facts", Kind::Bytes),
            ],
        )
    },
    table(
        "removals",
        true,
        &[
            APP,
            column("slug", Kind::Text),
            column("at", Kind::Integer),
            column("records", Kind::Integer),
            column("kind", Kind::Word),
        ],
    ),
    table(
        "changes",
        true,
        &[APP, column("slug", Kind::Text), column("id", Kind::Text), column("kinds", Kind::Integer)],
    ),
    Table {
        numbered: Some("run"),
        ..table(
            "runs",
            true,
            &[
                column("run", Kind::Integer),
                APP,
                column("started_at", Kind::Integer),
                column("ended_at", Kind::Integer),
                column("result", Kind::Word),
                column("reason", Kind::Word),
                column("detail", Kind::Text),
                column("cause", Kind::Text),
                column("pushed", Kind::Word),
                column("removed", Kind::Word),
            ],
        )
    },
    table(
        "hours",
        true,
        &[
            APP,
            column("at", Kind::Integer),
            column("completed", Kind::Integer),
            column("failed", Kind::Word),
            column("retried", Kind::Integer),
            column("held", Kind::Integer),
            column("oldest_pending", Kind::Integer),
            column("durations", Kind::Word),
        ],
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_tells_rows_apart_and_not_their_order() {
        let rows: [Row; 3] = [
            vec![Value::Bytes(b"ab".to_vec()), Value::Bytes(b"c".to_vec())],
            vec![Value::Bytes(b"a".to_vec()), Value::Bytes(b"bc".to_vec())],
            vec![Value::Nothing, Value::Integer(1)],
        ];
        let sum = |order: &[usize]| {
            let mut sum = Sum::default();
            for one in order {
                sum.add(&rows[*one]);
            }
            sum
        };
        assert_eq!(sum(&[0, 1, 2]), sum(&[2, 0, 1]));
        assert_ne!(sum(&[0]), sum(&[1]));
        assert_ne!(sum(&[0, 0]), sum(&[1, 1]), "twice the same does not cancel out");
        assert_ne!(sum(&[0, 0]), sum(&[2, 2]));
    }
}
