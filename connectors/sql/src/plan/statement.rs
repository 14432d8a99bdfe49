//! A statement, checked as far as possible without the database.

use std::sync::Arc;

use bridgehead_sdk::SettingsError;

use super::lexer::{self, Template};
use super::parameter::{Kind, Names, Parameter, Place};
use crate::settings::{Engine, IdType};

/// An executable statement.
#[derive(Clone, Debug)]
pub(crate) struct Statement {
    /// The key of the configuration, such as `accounts.list`.
    pub(crate) key: String,
    /// The text for the server.
    pub(crate) sql: Arc<str>,
    /// The parameter for each placeholder.
    pub(crate) slots: Vec<Slot>,
    /// Whether it only reads.
    pub(crate) reads: bool,
    /// Whether the database reports how many rows it changes or returns; not for a stored procedure.
    pub(crate) counts: bool,
    /// Whether it may commit a part of the transaction: in MySQL, a stored procedure can.
    pub(crate) may_commit: bool,
    /// The same statement with a lock on its rows until the end of the transaction, if the database supports it.
    pub(crate) locking: Option<Arc<str>>,
    /// Counts the rows that it returns.
    pub(crate) counting: Arc<str>,
}

/// A placeholder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    /// The parameter to bind.
    pub(crate) parameter: Parameter,
    /// How to bind it.
    pub(crate) kind: Kind,
}

impl Statement {
    /// Whether the statement uses a parameter.
    pub(crate) fn uses(&self, parameter: &Parameter) -> bool {
        self.slots.iter().any(|slot| slot.parameter == *parameter)
    }
}

/// Builds statements from the settings.
#[derive(Debug)]
pub(super) struct Compiler<'a> {
    pub(super) engine: Engine,
    pub(super) names: Names<'a>,
    pub(super) id_type: IdType,
}

impl Compiler<'_> {
    /// A read-only statement.
    pub(super) fn query(&self, key: &str, text: &str, place: Place) -> Result<Statement, SettingsError> {
        let (statement, template) = self.compile(key, text, place)?;
        if !statement.reads {
            let first = template.words.first().map_or("it", |(word, _)| word.as_str());
            let message = format!("must only read, and start with SELECT or WITH; it starts with {first}");
            return Err(SettingsError::new(key, message));
        }
        Ok(statement)
    }

    /// A query with ordered rows, so that pages are well-defined.
    pub(super) fn ordered(&self, key: &str, text: &str, id_type: IdType) -> Result<Statement, SettingsError> {
        let mut statement = self.query(key, text, Place::List)?;
        let (_, template) = self.compile(key, text, Place::List)?;
        let pages = [Parameter::After, Parameter::Offset].iter().any(|parameter| statement.uses(parameter));
        let mut pairs = template.words.windows(2);
        let is_ordered = pairs.any(|pair| matches!(pair, [(a, 0), (b, 0)] if a == "ORDER" && b == "BY"));
        if pages && !is_ordered {
            let message = "is read page by page but has no ORDER BY: unordered pages leave accounts out";
            return Err(SettingsError::new(key, message));
        }
        for slot in &mut statement.slots {
            if slot.parameter == Parameter::After {
                slot.kind = id_type.into();
            }
        }
        Ok(statement)
    }

    /// A statement of an action or a membership.
    pub(super) fn command(&self, key: &str, text: &str, place: Place) -> Result<Statement, SettingsError> {
        let (statement, template) = self.compile(key, text, place)?;
        let words: Vec<&str> = template.words.iter().map(|(word, _)| word.as_str()).take(2).collect();
        match fault_in_transaction(self.engine, &words) {
            Some(message) => Err(SettingsError::new(key, message)),
            None => Ok(statement),
        }
    }

    fn compile(&self, key: &str, text: &str, place: Place) -> Result<(Statement, Template), SettingsError> {
        let error = |message: String| SettingsError::new(key, message);
        let template = lexer::parse(self.engine, text).map_err(|fault| error(fault.to_string()))?;
        let mut slots = Vec::with_capacity(template.names.len());
        for name in &template.names {
            let parameter = self.names.resolve(name, place).map_err(error)?;
            let kind = match parameter {
                Parameter::Id => self.id_type.into(),
                Parameter::Limit | Parameter::Offset | Parameter::Attempt => Kind::Integer,
                Parameter::Ref => match place {
                    Place::Membership(id_type) | Place::FindRef(id_type) => id_type.into(),
                    _ => Kind::Natural,
                },
                _ => Kind::Natural,
            };
            slots.push(Slot { parameter, kind });
        }
        let first = template.words.first().map_or("", |(word, _)| word.as_str());
        let statement = Statement {
            key: key.to_owned(),
            sql: Arc::from(template.sql.as_str()),
            slots,
            reads: reads(&template),
            counts: ["INSERT", "UPDATE", "DELETE", "MERGE", "REPLACE", "WITH", "SELECT"].contains(&first),
            may_commit: self.engine == Engine::Mysql && first == "CALL",
            locking: locking(self.engine, &template),
            // On separate lines: the inner text may end with a comment.
            counting: Arc::from(format!(
                "SELECT count(*) AS bridgehead_rows FROM (\n{}\n) AS bridgehead_listing",
                template.sql
            )),
        };
        Ok((statement, template))
    }
}

/// The statement with a lock on its rows, unless it already takes one. SQLite only has one lock for everything.
fn locking(engine: Engine, template: &Template) -> Option<Arc<str>> {
    if template.words.iter().any(|(word, _)| word == "FOR" || word == "LOCK") {
        return None;
    }
    let clause = match engine {
        Engine::Postgresql => "FOR NO KEY UPDATE",
        Engine::Mysql => "FOR UPDATE",
        Engine::Sqlite => return None,
    };
    Some(Arc::from(format!("{}\n{clause}", template.sql)))
}

/// Whether a statement only reads, judging by its words.
fn reads(template: &Template) -> bool {
    let words: Vec<&str> = template.words.iter().map(|(word, _)| word.as_str()).collect();
    let begins = matches!(words.first(), Some(&("SELECT" | "WITH" | "VALUES" | "TABLE")));
    let changes = words.iter().enumerate().any(|(index, word)| match *word {
        "INSERT" | "DELETE" | "MERGE" | "INTO" => true,
        // `SELECT … FOR UPDATE` and `FOR NO KEY UPDATE` lock rows but do not change them.
        "UPDATE" => !matches!(index.checked_sub(1).map(|before| words[before]), Some("FOR" | "KEY")),
        _ => false,
    });
    begins && !changes
}

/// Why a statement cannot be part of a transaction that is rolled back if a later statement fails.
fn fault_in_transaction(engine: Engine, words: &[&str]) -> Option<&'static str> {
    const CONTROL: [&str; 10] =
        ["BEGIN", "START", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE", "END", "ABORT", "PREPARE", "XA"];
    /// MySQL and MariaDB commit before and after each of these.
    const COMMITS: [&str; 18] = [
        "ALTER",
        "CREATE",
        "DROP",
        "GRANT",
        "REVOKE",
        "RENAME",
        "TRUNCATE",
        "LOCK",
        "UNLOCK",
        "ANALYZE",
        "OPTIMIZE",
        "REPAIR",
        "FLUSH",
        "RESET",
        "INSTALL",
        "UNINSTALL",
        "CHECK",
        "CACHE",
    ];
    let first = *words.first()?;
    if CONTROL.contains(&first) {
        return Some(
            "controls the transaction, which the connector manages: it begins before all statements and \
             commits after them",
        );
    }
    match engine {
        _ if first == "SET" && words.get(1) != Some(&"LOCAL") => {
            Some("changes a setting that would outlive the transaction, in a connection that others use")
        }
        Engine::Mysql if COMMITS.contains(&first) => {
            Some("makes the server commit immediately, so it could not be rolled back with the others")
        }
        Engine::Sqlite if ["PRAGMA", "ATTACH", "DETACH", "VACUUM"].contains(&first) => {
            Some("cannot be part of a transaction")
        }
        _ => None,
    }
}
