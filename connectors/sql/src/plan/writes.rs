//! Determines which table and columns a statement writes.
//!
//! Statements come from the operator, and only the server understands all of them. Statements in unusual forms are skipped, because this is
//! only used by `check`, before the first task.

/// What a statement writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Writes {
    pub(crate) table: String,
    /// The columns that it names; `None` if it names none, or if they cannot be determined.
    pub(crate) columns: Option<Vec<String>>,
    /// Whether it inserts a row, so that a column that it does not name gets its default.
    pub(crate) makes_row: bool,
    /// Whether MySQL may count more than the changed rows of the table: those of other tables, or a row that replaces another twice.
    pub(crate) counts_more: bool,
}

/// Words between the verb and the table. An unquoted table cannot have one of these names.
const BEFORE_TABLE: [&str; 12] = [
    "INTO",
    "FROM",
    "ONLY",
    "OR",
    "IGNORE",
    "REPLACE",
    "ABORT",
    "FAIL",
    "ROLLBACK",
    "LOW_PRIORITY",
    "HIGH_PRIORITY",
    "QUICK",
];

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    /// A name or a keyword; whether it is quoted.
    Name(String, bool),
    Sign(char),
}

/// What a statement writes, if it is an INSERT, an UPDATE, a DELETE or a MERGE in a common form.
pub(crate) fn writes(sql: &str) -> Option<Writes> {
    let tokens = tokens(sql);
    let tokens = behind_with(&tokens)?;
    let verb = word(tokens)?;
    let before = tokens.get(1..)?;
    let at = before.iter().position(|token| !BEFORE_TABLE.iter().any(|word| is_word(token, word)))?;
    let (before, rest) = before.split_at(at);
    let (table, rest) = match verb.as_str() {
        "INSERT" | "UPDATE" | "MERGE" => table(rest)?,
        // MySQL can name the tables before FROM.
        "DELETE" if before.iter().any(|token| is_word(token, "FROM")) => table(rest)?,
        "DELETE" => {
            table(rest.iter().position(|token| is_word(token, "FROM")).and_then(|at| rest.get(at + 1..))?)
                .map(|(table, _)| (table, rest))?
        }
        _ => return None,
    };
    let ends = ["SET", "WHERE"];
    let counts_more = match verb.as_str() {
        "INSERT" => rest.iter().any(|token| is_word(token, "DUPLICATE")),
        "MERGE" => false,
        _ => rest.iter().take_while(|token| !ends.iter().any(|end| is_word(token, end))).any(|token| {
            *token == Token::Sign(',') || ["JOIN", "USING"].iter().any(|word| is_word(token, word))
        }),
    };
    let columns = match verb.as_str() {
        "INSERT" => listed(rest),
        "UPDATE" => set(rest),
        _ => None,
    };
    Some(Writes { table, columns, makes_row: verb == "INSERT", counts_more })
}

/// The tables that are written inside `WITH` (PostgreSQL). The database counts only the rows of the statement after it.
pub(crate) fn written_inside(sql: &str) -> Vec<String> {
    let tokens = tokens(sql);
    let verbs = ["INSERT", "UPDATE", "DELETE", "MERGE"];
    let begins = (1..tokens.len()).filter(|at| {
        tokens[at - 1] == Token::Sign('(') && verbs.iter().any(|verb| is_word(&tokens[*at], verb))
    });
    let behind = begins.filter_map(|at| {
        let rest = tokens.get(at + 1..)?;
        let at = rest.iter().position(|token| !BEFORE_TABLE.iter().any(|word| is_word(token, word)))?;
        table(rest.get(at..)?).map(|(table, _)| table)
    });
    behind.collect()
}

/// The statement after `WITH …`, whose parts are in parentheses.
fn behind_with(tokens: &[Token]) -> Option<&[Token]> {
    if !is_word(tokens.first()?, "WITH") {
        return Some(tokens);
    }
    let mut depth = 0;
    let at = tokens.iter().position(|token| {
        match token {
            Token::Sign('(') => depth += 1,
            Token::Sign(')') => depth -= 1,
            _ => {}
        }
        let verbs = ["SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "REPLACE", "VALUES"];
        depth == 0 && verbs.iter().any(|verb| is_word(token, verb))
    })?;
    tokens.get(at..)
}

/// The first table that a query reads from, if it is a query.
pub(crate) fn reads_from(sql: &str) -> Option<String> {
    let tokens = tokens(sql);
    let mut depth = 0;
    let at = tokens.iter().position(|token| {
        match token {
            Token::Sign('(') => depth += 1,
            Token::Sign(')') => depth -= 1,
            _ => {}
        }
        depth == 0 && is_word(token, "FROM")
    })?;
    table(tokens.get(at + 1..)?).map(|(table, _)| table)
}

/// The tables whose rows a query shows: the first one after each `FROM`, but not in subqueries for single values.
pub(crate) fn shows_rows_of(sql: &str) -> Vec<String> {
    let tokens = tokens(sql);
    let mut tables = Vec::new();
    // For each open parenthesis, whether what it contains is a part of the query itself.
    let mut open: Vec<bool> = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|at| tokens.get(at));
        match token {
            Token::Sign('(') => {
                let part = ["FROM", "AS", "UNION", "ALL", "EXCEPT", "INTERSECT"];
                let is_part = before.is_none_or(|before| {
                    part.iter().any(|word| is_word(before, word))
                        || *before == Token::Sign('(') && open.last().copied().unwrap_or(true)
                });
                open.push(is_part);
            }
            Token::Sign(')') => drop(open.pop()),
            token if is_word(token, "FROM") && open.iter().all(|is_part| *is_part) => {
                let rest = tokens.get(at + 1..).unwrap_or_default();
                let begin = rest.iter().position(|token| *token != Token::Sign('(')).unwrap_or(rest.len());
                let rest = rest.get(begin..).unwrap_or_default();
                let is_query = rest.first().is_none_or(|token| is_word(token, "SELECT"));
                tables.extend((!is_query).then(|| table(rest)).flatten().map(|(table, _)| table));
            }
            _ => {}
        }
    }
    tables
}

/// A name with an optional schema, and the remaining tokens.
fn table(tokens: &[Token]) -> Option<(String, &[Token])> {
    match tokens {
        [Token::Name(_, _), Token::Sign('.'), rest @ ..]
        | [Token::Sign('['), Token::Name(_, _), Token::Sign(']'), Token::Sign('.'), rest @ ..] => table(rest),
        [Token::Sign('['), Token::Name(name, _), Token::Sign(']'), rest @ ..]
        | [Token::Name(name, _), rest @ ..] => Some((name.clone(), rest)),
        _ => None,
    }
}

/// `(a, b, c)`
fn listed(tokens: &[Token]) -> Option<Vec<String>> {
    let [Token::Sign('('), rest @ ..] = tokens else { return None };
    let end = rest.iter().position(|token| *token == Token::Sign(')'))?;
    let columns = rest.get(..end)?.iter().filter(|token| **token != Token::Sign(','));
    columns
        .map(|token| match token {
            Token::Name(name, _) => Some(name.clone()),
            Token::Sign(_) => None,
        })
        .collect()
}

/// `SET a = …, b = …`
fn set(tokens: &[Token]) -> Option<Vec<String>> {
    let at = tokens.iter().position(|token| is_word(token, "SET"))?;
    let (mut depth, mut begins) = (0, true);
    let mut columns = Vec::new();
    let rest = tokens.get(at + 1..)?;
    for (at, token) in rest.iter().enumerate() {
        match token {
            Token::Sign('(') => depth += 1,
            Token::Sign(')') => depth -= 1,
            Token::Sign(',') if depth == 0 => begins = true,
            Token::Name(..)
                if depth == 0 && ["WHERE", "FROM", "RETURNING"].iter().any(|end| is_word(token, end)) =>
            {
                break;
            }
            Token::Name(name, _) if depth == 0 && begins && rest.get(at + 1) == Some(&Token::Sign('=')) => {
                columns.push(name.clone());
                begins = false;
            }
            // `SET people.name = …`
            Token::Name(..) | Token::Sign('.') if begins => {}
            Token::Sign(_) | Token::Name(..) => begins = false,
        }
    }
    Some(columns)
}

fn word(tokens: &[Token]) -> Option<String> {
    match tokens.first()? {
        Token::Name(name, false) => Some(name.to_ascii_uppercase()),
        _ => None,
    }
}

fn is_word(token: &Token, word: &str) -> bool {
    matches!(token, Token::Name(name, false) if name.eq_ignore_ascii_case(word))
}

/// The names and symbols of a statement, without strings, numbers and comments.
fn tokens(sql: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        let behind = rest.get(first.len_utf8()..).unwrap_or_default();
        rest = if first.is_alphabetic() || first == '_' {
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_' && c != '$').unwrap_or(rest.len());
            tokens.push(Token::Name(rest.get(..end).unwrap_or_default().to_owned(), false));
            rest.get(end..).unwrap_or_default()
        } else if matches!(first, '"' | '`') {
            let (name, behind) = behind.split_once(first).unwrap_or((behind, ""));
            tokens.push(Token::Name(name.to_owned(), true));
            behind
        } else if first == '\'' {
            tokens.push(Token::Sign('\''));
            behind.split_once('\'').map_or("", |(_, behind)| behind)
        } else if rest.starts_with("--") {
            rest.split_once('\n').map_or("", |(_, behind)| behind)
        } else if rest.starts_with("/*") {
            rest.split_once("*/").map_or("", |(_, behind)| behind)
        } else {
            if !first.is_whitespace() {
                tokens.push(Token::Sign(first));
            }
            behind
        };
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_and_columns_of_common_writes_are_detected() {
        let table = [
            (
                "INSERT INTO people (id, \"Name\") VALUES ($1, 'a, b') RETURNING id",
                "people",
                Some(vec!["id", "Name"]),
                true,
            ),
            ("insert or ignore into main.people(id) select x from y", "people", Some(vec!["id"]), true),
            ("INSERT INTO people VALUES (1)", "people", None, true),
            (
                "UPDATE `p` SET a = coalesce(b, c), d=1 /* e = 2 */, f = (SELECT g FROM h WHERE i = 1) WHERE j = 3",
                "p",
                Some(vec!["a", "d", "f"]),
                false,
            ),
            (
                "UPDATE people AS p SET name = ? FROM other o WHERE o.id = 1",
                "people",
                Some(vec!["name"]),
                false,
            ),
            ("DELETE FROM x.people WHERE id = 1", "people", None, false),
            ("DELETE FROM ONLY people WHERE id = 1", "people", None, false),
            ("UPDATE ONLY people SET a = 1", "people", Some(vec!["a"]), false),
            ("UPDATE OR IGNORE [people] SET a = 1", "people", Some(vec!["a"]), false),
            ("UPDATE LOW_PRIORITY IGNORE people SET a = 1", "people", Some(vec!["a"]), false),
            ("INSERT HIGH_PRIORITY IGNORE people (id) VALUES (1)", "people", Some(vec!["id"]), true),
            ("MERGE INTO people USING other ON a = b WHEN MATCHED THEN DELETE", "people", None, false),
            ("WITH x AS (SELECT 1) DELETE FROM people WHERE id IN (SELECT 1 FROM x)", "people", None, false),
            (
                "WITH RECURSIVE x (a) AS NOT MATERIALIZED (SELECT 1), y AS (SELECT 2) UPDATE people SET a = 1",
                "people",
                Some(vec!["a"]),
                false,
            ),
            (
                "WITH x AS (SELECT 1) INSERT INTO people (id) SELECT a FROM x",
                "people",
                Some(vec!["id"]),
                true,
            ),
        ];
        for (sql, table, columns, makes_row) in table {
            let columns = columns.map(|columns| columns.into_iter().map(str::to_owned).collect());
            let expected = Writes { table: table.to_owned(), columns, makes_row, counts_more: false };
            assert_eq!(writes(sql), Some(expected), "{sql}");
        }
        for other in ["SELECT 1", "WITH x AS (DELETE FROM y) SELECT 1", "CALL z()", "", "INSERT", "WITH x"] {
            assert_eq!(writes(other), None, "{other}");
        }
    }

    #[test]
    fn statements_whose_count_includes_other_rows_are_detected() {
        for (sql, counts_more) in [
            ("UPDATE a SET b = 1, c = 2 WHERE d IN (SELECT e FROM f JOIN g USING (h))", false),
            ("UPDATE a JOIN b ON a.c = b.c SET a.d = 1, b.d = 1", true),
            ("UPDATE a, b SET a.d = 1 WHERE a.c = b.c", true),
            ("DELETE FROM a WHERE b IN (1, 2)", false),
            ("DELETE a, b FROM a JOIN b ON a.c = b.c WHERE a.d = 1", true),
            ("DELETE FROM a USING a JOIN b ON a.c = b.c WHERE a.d = 1", true),
            ("INSERT INTO a (b, c) SELECT d, e FROM f JOIN g USING (h)", false),
            ("INSERT INTO a (b) VALUES (1) ON DUPLICATE KEY UPDATE b = 2", true),
        ] {
            // A longer list of tables is skipped.
            assert_eq!(writes(sql).is_none_or(|writes| writes.counts_more), counts_more, "{sql}");
        }
    }

    #[test]
    fn writes_inside_with_are_detected() {
        let sql = "WITH a AS (DELETE FROM ONLY people WHERE id = 1 RETURNING *), b AS (SELECT (SELECT 2)), \
                   c AS (UPDATE s.\"Old\" SET x = 1) INSERT INTO archive SELECT * FROM a";
        assert_eq!(written_inside(sql), ["people", "Old"]);
        assert!(written_inside("INSERT INTO a (\"update\", b) VALUES ('(DELETE FROM c)', 1)").is_empty());
    }

    #[test]
    fn tables_behind_a_view_are_detected() {
        for (sql, tables) in [
            (" SELECT u.id, u.login FROM users u WHERE NOT u.gone;", vec!["users"]),
            ("SELECT u.id FROM (users u JOIN dept d ON ((d.id = u.dept)))", vec!["users"]),
            (
                "select `shop`.`u`.`id` AS `id` from (`shop`.`users` `u` left join `shop`.`dept` `d` on(1))",
                vec!["users"],
            ),
            ("CREATE VIEW v AS SELECT id, (SELECT max(at) FROM sessions) FROM people", vec!["people"]),
            ("SELECT id FROM people UNION ALL SELECT id FROM guests", vec!["people", "guests"]),
            ("SELECT x.id FROM (SELECT id FROM people WHERE id IN (SELECT id FROM other)) x", vec!["people"]),
            ("SELECT extract(year FROM born) FROM people", vec!["people"]),
            ("SELECT 1", vec![]),
        ] {
            assert_eq!(shows_rows_of(sql), tables, "{sql}");
        }
    }

    #[test]
    fn table_of_a_select_is_detected() {
        assert_eq!(reads_from("SELECT (SELECT a FROM b), c FROM d.\"E\" WHERE f"), Some("E".to_owned()));
        assert_eq!(reads_from("SELECT a FROM (SELECT 1) x"), None);
    }
}
