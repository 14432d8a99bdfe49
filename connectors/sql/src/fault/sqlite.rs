//! SQLite's result codes. <https://www.sqlite.org/rescode.html>

use super::Kind;

/// The kind of an extended result code. SQLite has one code for every problem with a statement, so the message must distinguish a missing
/// table from a value that a function rejects.
pub(super) fn kind(code: i32, message: &str) -> Kind {
    const UNIQUE: i32 = 2067;
    const PRIMARY_KEY: i32 = 1555;
    const ROW_ID: i32 = 2579;
    const FOREIGN_KEY: i32 = 787;
    const TRIGGER: i32 = 1811;
    match code {
        UNIQUE | PRIMARY_KEY | ROW_ID => return Kind::Unique,
        FOREIGN_KEY => return Kind::ForeignKey,
        TRIGGER => return Kind::Raised,
        _ => {}
    }
    match code & 0xff {
        1 if is_about_a_statement(message) => Kind::Statement,
        1 | 18 | 20 => Kind::Value,
        3 | 23 => Kind::Denied,
        5 | 6 | 15 => Kind::Locked,
        8 => Kind::ReadOnly,
        9 => Kind::Cancelled,
        14 => Kind::NoDatabase,
        17 => Kind::Conflict,
        7 | 10 | 11 | 13 | 22 | 26 => Kind::Resources,
        19 => Kind::Rule,
        25 => Kind::Statement,
        _ => Kind::Other,
    }
}

fn is_about_a_statement(message: &str) -> bool {
    const BEGINNINGS: [&str; 12] = [
        "cannot ",
        "no such",
        "near ",
        "ambiguous",
        "error in ",
        "foreign key mismatch",
        "incomplete",
        "wrong number",
        "unrecognized",
        "table ",
        "misuse",
        "sub-select",
    ];
    BEGINNINGS.iter().any(|beginning| message.starts_with(beginning)) || message.contains("values for")
}

/// The part of the message after `constraint failed: `.
pub(super) fn constraint(message: &str) -> Option<String> {
    message.split_once("constraint failed: ").map(|(_, name)| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sqlite_codes_map_to_fault_kinds() {
        let table = [
            (2067, "UNIQUE constraint failed: a.b", Kind::Unique),
            (1555, "UNIQUE constraint failed: a.id", Kind::Unique),
            (787, "FOREIGN KEY constraint failed", Kind::ForeignKey),
            (1299, "NOT NULL constraint failed: a.b", Kind::Rule),
            (275, "CHECK constraint failed: seats", Kind::Rule),
            (1811, "no", Kind::Raised),
            (5, "database is locked", Kind::Locked),
            (6, "database table is locked", Kind::Locked),
            (517, "database is locked", Kind::Locked),
            (8, "attempt to write a readonly database", Kind::ReadOnly),
            (9, "interrupted", Kind::Cancelled),
            (14, "unable to open database file", Kind::NoDatabase),
            (26, "file is not a database", Kind::Resources),
            (11, "database disk image is malformed", Kind::Resources),
            (13, "database or disk is full", Kind::Resources),
            (1, "no such table: acounts", Kind::Statement),
            (1, "near \"SELEC\": syntax error", Kind::Statement),
            (1, "cannot UPDATE generated column \"note\"", Kind::Statement),
            (1, "error in trigger audit: no such table: main.log", Kind::Statement),
            (1, "foreign key mismatch - \"seats\" referencing \"teams\"", Kind::Statement),
            (1, "malformed JSON", Kind::Value),
        ];
        for (code, message, expected) in table {
            assert_eq!(kind(code, message), expected, "{code} {message}");
        }
    }

    #[test]
    fn constraint_is_named_by_its_columns() {
        assert_eq!(constraint("UNIQUE constraint failed: accounts.login").as_deref(), Some("accounts.login"));
        assert_eq!(constraint("database is locked"), None);
    }
}
