//! Real-world schemas: one line each, and the same sequence of steps for each. The snapshot shows the results.
//!
//! A line changes parts of a plain schema and of its statements ([`PLAIN`] and those of the product). The steps are a check, a listing, the
//! six actions for a new account, and another listing. Whatever happens to the new account, the others must not change.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;
use std::sync::Arc;

use bridgehead_sdk::{Account, Action, Connector, Error, Record};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Executor};

use crate::example::Example;
use crate::mariadb::Shop;
use crate::postgres::Crm;
use crate::sqlite::{Wiki, open};
use crate::support::{accounts, execute};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Product {
    PostgreSql,
    MariaDb,
    Sqlite,
}
use Product::{MariaDb, PostgreSql, Sqlite};

type Parts = &'static [(&'static str, &'static str)];

/// The name, the product, and the differences from the plain schema.
type Quirk = (&'static str, Product, Parts);

/// Names in braces are replaced by other parts.
const PLAIN: Parts = &[
    ("before", ""),
    (
        "tables",
        "CREATE TABLE people (id {id}, login {login}, mail {login}, active {active}, note {note}, hash {login}{key}); \
                CREATE TABLE squads (id {squad} PRIMARY KEY, name {login}); \
                CREATE TABLE crew (person {person}, squad {squad}{crew_key}); \
                INSERT INTO squads VALUES ('s1', 'One'), ('s2', 'Two')",
    ),
    ("id", "{text}"),
    ("login", "{text}"),
    ("note", "{text}"),
    ("person", "{id}"),
    ("squad", "{text}"),
    ("key", ", PRIMARY KEY (id)"),
    ("crew_key", ", PRIMARY KEY (person, squad)"),
    ("ids", "'p1', 'p2', 'P3', 'p4', 'p 5'"),
    ("logins", "ann bob cy dan eve"),
    ("seed", "INSERT INTO people (id, login, mail, active) VALUES"),
    ("after", ""),
    ("id_type", "text"),
    ("from", "people"),
    ("select", "SELECT id, login, mail, active, note FROM {from}"),
    ("least", "''"),
    ("mark", ":after"),
    ("list", "WHERE id > COALESCE({mark}, {least}) ORDER BY id LIMIT :limit"),
    ("by", ":id"),
    ("by_id", "WHERE id = {by}"),
    ("by_username", "WHERE lower(login) = lower(:username)"),
    ("by_email", "WHERE lower(mail) = lower(:email)"),
    ("members", "SELECT person, squad FROM crew WHERE person IN ({page})"),
    ("value", "fresh"),
    ("noted", ":note"),
    ("create", "INSERT INTO {from} (id, login, mail, active) VALUES (:username, :username, :email, {on})"),
    ("update", "UPDATE {from} SET login = :username, mail = :email, note = {noted} WHERE id = {by}"),
    ("suspend", "UPDATE {from} SET active = {off} WHERE id = {by}"),
    ("unsuspend", "UPDATE {from} SET active = {on} WHERE id = {by}"),
    ("reset", "UPDATE {from} SET hash = :password_ssha WHERE id = {by}"),
    ("delete", "DELETE FROM {from} WHERE id = {by}"),
    ("add", "INSERT INTO crew (person, squad) VALUES ({by}, :ref)"),
    ("remove", "DELETE FROM crew WHERE person = {by} AND squad = :ref"),
    ("active_is", "true"),
    ("inactive_is", "false"),
];

/// Changes for identifiers that the database generates as numbers.
const NUMBERS: [(&str, &str); 6] = [
    ("id_type", "integer"),
    ("ids", "-3, 0, 1, 7, 12"),
    ("least", "-9223372036854775808"),
    ("create", "INSERT INTO {from} (login, mail, active) VALUES (:username, :email, {on})"),
    ("person", "bigint"),
    ("page", "{page_of_numbers}"),
];

impl Product {
    fn parts(self) -> Parts {
        match self {
            PostgreSql => &[
                ("text", "text"),
                ("active", "boolean"),
                ("on", "true"),
                ("off", "false"),
                ("page", "SELECT value FROM jsonb_array_elements_text(:ids::jsonb)"),
                ("page_of_numbers", "SELECT value::bigint FROM jsonb_array_elements_text(:ids::jsonb)"),
            ],
            MariaDb => &[
                ("text", "VARCHAR(80) COLLATE utf8mb4_bin"),
                ("active", "TINYINT(1)"),
                ("on", "1"),
                ("off", "0"),
                ("page", "SELECT id FROM JSON_TABLE(:ids, '$[*]' COLUMNS (id VARCHAR(80) PATH '$')) AS page"),
                (
                    "page_of_numbers",
                    "SELECT id FROM JSON_TABLE(:ids, '$[*]' COLUMNS (id BIGINT PATH '$')) AS page",
                ),
            ],
            Sqlite => &[
                ("text", "TEXT"),
                ("active", "INTEGER"),
                ("on", "1"),
                ("off", "0"),
                ("active_is", "1"),
                ("inactive_is", "0"),
                ("page", "SELECT value FROM json_each(:ids)"),
                ("page_of_numbers", "SELECT value FROM json_each(:ids)"),
            ],
        }
    }
}

/// All parts of a schema: those of the plain schema and the product, with the changes of a line.
struct Schema(HashMap<&'static str, &'static str>);

impl Schema {
    fn of((_, product, parts): &Quirk) -> Self {
        let mut all: HashMap<_, _> = PLAIN.iter().chain(product.parts()).copied().collect();
        if parts.contains(&("numbers", "yes")) {
            all.extend(NUMBERS);
        }
        all.extend(parts.iter().copied());
        Self(all)
    }

    fn part(&self, name: &str) -> String {
        let mut text = self.0.get(name).unwrap_or_else(|| panic!("no part {name}")).to_string();
        while let Some(start) = text.find('{') {
            let end = start + text[start..].find('}').unwrap();
            let inner = self.part(&text[start + 1..end]);
            text.replace_range(start..=end, &inner);
        }
        text
    }

    fn sql(&self) -> String {
        let (ids, on) = (self.part("ids"), self.part("on"));
        let logins = self.part("logins");
        let rows = ids
            .split(", ")
            .zip(logins.split(' '))
            .map(|(id, login)| format!("({id}, '{login}', '{login}@example.com', {on})"));
        let seed = format!("{} {}", self.part("seed"), rows.collect::<Vec<_>>().join(", "));
        let all = [self.part("before"), self.part("tables"), seed, self.part("after")];
        all.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; ")
    }

    fn example(&self, example: Example) -> Example {
        let part = |name: &str| self.part(name);
        let status = json!({ "column": "active", "values": { part("active_is"): "active", part("inactive_is"): "suspended" } });
        example
            .patient()
            .with("licenses", json!([]))
            .with("accounts", json!({
                "id_type": part("id_type"), "page_size": 2, "select": part("select"), "list": part("list"), "by_id": part("by_id"),
                "by_username": part("by_username"), "by_email": part("by_email"),
                "fields": { "id": "id", "username": "login", "email": "mail", "note": "note", "status": status },
            }))
            .with("groups", json!([{
                "slug": "squad", "fields": { "id": "id", "name": "name" }, "paging": "none", "list": "SELECT id, name FROM squads",
                "members": { "list": part("members"), "account": "person", "ref": "squad" }, "add": [part("add")], "remove": [part("remove")],
            }]))
            .with("actions", json!({
                "create_account": [part("create")], "update_account": [part("update")], "suspend_account": [part("suspend")],
                "unsuspend_account": [part("unsuspend")], "reset_password": [part("reset")], "delete_account": [part("delete")],
            }))
    }
}

fn told(error: &Error) -> String {
    let message = error.message().trim_start_matches("crm: ");
    format!("{} {message}", error.code())
}

/// The listed accounts except the new one, or why the listing failed. Like the runtime, this compares the distinct records with the total
/// of the last page.
async fn others(connector: &dyn Connector) -> Result<Vec<Value>, String> {
    let (mut seen, mut listed, mut cursor) = (BTreeSet::new(), Vec::new(), None);
    loop {
        let page = connector.list(&accounts(), cursor.as_ref()).await.map_err(|error| told(&error))?;
        for record in page.records {
            seen.insert(record.id().to_owned());
            match record {
                Record::Account(account) if account.username.as_deref() == Some("new.person") => {}
                Record::Account(account) => listed.push(serde_json::to_value(account).unwrap()),
                Record::Entity(_) => panic!("no account"),
            }
        }
        for bad in page.rejected {
            seen.insert(bad.id.clone().unwrap());
            listed.push(json!({ "bad": bad.id, "field": bad.field }));
        }
        cursor = page.next;
        if cursor.is_none() {
            return match page.total.unwrap() {
                total if total == seen.len() as u64 => Ok(listed),
                total => Err(format!("{} different records where the last page says {total}", seen.len())),
            };
        }
    }
}

/// The results of each step.
async fn story(schema: &Schema, connector: &dyn Connector) -> Vec<String> {
    let mut lines = Vec::new();
    if let Err(error) = connector.check().await {
        lines.push(format!("check: {}", told(&error)));
    }
    let before = others(connector).await;
    lines.push(match &before {
        Ok(records) => {
            let bad = records.iter().filter(|record| record.get("bad").is_some()).count();
            format!(
                "list: {} people{}",
                records.len() - bad,
                if bad > 0 { format!(", {bad} bad") } else { String::new() }
            )
        }
        Err(why) => format!("list: {why}"),
    });
    let new = json!({ "username": "new.person", "email": "New.Person@example.com" });
    let memberships = |ids: &[&str]| json!({ "squad": ids });
    let value = schema.part("value");
    let tasks = [
        ("create", Action::CreateAccount, json!({ "account": new, "memberships": memberships(&["s1"]) })),
        (
            "update",
            Action::UpdateAccount,
            json!({ "account": new, "changes": { "note": value, "email": "other@example.com" } }),
        ),
        ("join", Action::UpdateAccount, json!({ "account": new, "memberships": memberships(&["s1", "s2"]) })),
        ("leave", Action::UpdateAccount, json!({ "account": new, "memberships": memberships(&["s2"]) })),
        ("suspend", Action::SuspendAccount, json!({ "account": new })),
        ("unsuspend", Action::UnsuspendAccount, json!({ "account": new })),
        ("reset", Action::ResetPassword, json!({ "account": new, "password": "hunter2-é" })),
        ("delete", Action::DeleteAccount, json!({ "account": new })),
    ];
    let mut fine = Vec::new();
    for (name, action, mut payload) in tasks {
        // The created account has an identifier, which Iden uses.
        if action != Action::CreateAccount {
            let wanted = Account::by_username("new.person");
            match connector.find_account(&wanted).await {
                Ok(Some(found)) => payload["account"] = json!({ "id": found.id.as_str() }),
                Ok(None) => {}
                Err(error) => {
                    lines.push(format!("find: {}", told(&error)));
                    break;
                }
            }
        }
        match execute(connector, action, payload).await {
            Ok(_) => fine.push(name),
            Err(error) => lines.push(format!("{name}: {}", told(&error))),
        }
    }
    lines.push(format!("fine: {}", fine.join(", ")));
    let after = others(connector).await;
    assert_eq!(before, after, "the others are as they were");
    lines
}

/// The results for the lines of one product.
async fn report(product: Product, mut example_of: impl AsyncFnMut(String) -> Example) -> String {
    let mut report = String::new();
    for quirk in QUIRKS.iter().filter(|quirk| quirk.1 == product) {
        let schema = Schema::of(quirk);
        let connector: Arc<dyn Connector> = schema.example(example_of(schema.sql()).await).connector();
        let lines = story(&schema, &*connector).await;
        connector.shutdown().await;
        writeln!(report, "{}\n    {}", quirk.0, lines.join("\n    ")).unwrap();
    }
    report
}

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_schema_quirks_are_handled() {
    let crm = Crm::start().await;
    crm.server.sql("postgres", "CREATE DATABASE quirk");
    let report = report(PostgreSql, async |sql| {
        crm.server.sql("quirk", &format!("DROP SCHEMA public CASCADE; CREATE SCHEMA public; {sql}"));
        crm.example().with("database", "quirk")
    });
    insta::assert_snapshot!(report.await);
}

#[tokio::test(flavor = "multi_thread")]
async fn mariadb_schema_quirks_are_handled() {
    let shop = Shop::start().await;
    shop.server.sql("mysql", "CREATE DATABASE quirk CHARACTER SET utf8mb4");
    let report = report(MariaDb, async |sql| {
        let rest = "DROP VIEW IF EXISTS staff; DROP TABLE IF EXISTS crew, squads, people";
        shop.server.sql("quirk", &format!("{rest}; {sql}"));
        shop.example().with("database", "quirk")
    });
    insta::assert_snapshot!(report.await);
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_schema_quirks_are_handled() {
    let wiki = Wiki::start().await;
    let mut number = 0;
    let report = report(Sqlite, async |sql| {
        number += 1;
        let name = format!("quirk-{number}.sqlite");
        open(&wiki.path(&name)).await.execute(AssertSqlSafe(sql)).await.unwrap();
        wiki.example(&name)
    });
    insta::assert_snapshot!(report.await);
}

#[rustfmt::skip]
const QUIRKS: &[Quirk] = &[
    ("text as it comes", PostgreSql, &[]),
    ("text as it comes", MariaDb, &[]),
    ("text as it comes", Sqlite, &[]),
    ("identifiers and references of a fixed length are filled up", PostgreSql, &[("id", "char(12)"), ("squad", "char(8)")]),
    ("identifiers and references of a fixed length are filled up", MariaDb, &[("id", "CHAR(12) COLLATE utf8mb4_bin"), ("squad", "CHAR(8)")]),
    ("identifiers end with blanks", PostgreSql, &[("ids", "'p1', 'p2 ', 'p3  ', 'p4', 'p5'")]),
    ("identifiers end with blanks", MariaDb, &[("ids", "'p1', 'p2 ', 'p3  ', 'p4', 'p5'")]),
    ("identifiers end with blanks", Sqlite, &[("ids", "'p1', 'p2 ', 'p3  ', 'p4', 'p5'")]),
    ("identifiers whose letters do not count, with a key", PostgreSql, &[("before", "CREATE EXTENSION citext"), ("id", "citext"), ("by", ":id::citext"), ("mark", ":after::citext")]),
    ("identifiers whose letters do not count, with a key", MariaDb, &[("id", "VARCHAR(40) COLLATE utf8mb4_unicode_ci"), ("page", "SELECT id FROM JSON_TABLE(:ids, '$[*]' COLUMNS (id VARCHAR(80) COLLATE utf8mb4_unicode_ci PATH '$')) AS page")]),
    ("members that cannot be compared with the list of identifiers", MariaDb, &[("id", "VARCHAR(40) COLLATE utf8mb4_unicode_ci")]),
    ("identifiers whose letters do not count, with a key", Sqlite, &[("id", "TEXT COLLATE NOCASE")]),
    ("identifiers whose letters do not count, without a key", PostgreSql, &[("before", "CREATE EXTENSION citext"), ("id", "citext"), ("by", ":id::citext"), ("mark", ":after::citext"), ("key", ""), ("ids", "'new.person', 'NEW.PERSON', 'p3', 'p4', 'p5'"), ("logins", "new.person other cy dan eve")]),
    ("identifiers whose letters do not count, without a key", MariaDb, &[("id", "VARCHAR(40) COLLATE utf8mb4_general_ci"), ("key", ""), ("ids", "'new.person', 'NEW.PERSON', 'p3', 'p4', 'p5'"), ("logins", "new.person other cy dan eve")]),
    ("identifiers whose letters do not count, without a key", Sqlite, &[("id", "TEXT COLLATE NOCASE"), ("key", ""), ("ids", "'new.person', 'NEW.PERSON', 'p3', 'p4', 'p5'"), ("logins", "new.person other cy dan eve")]),
    ("a collation of a language", PostgreSql, &[("id", "text COLLATE \"de-x-icu\""), ("ids", "'ä', 'a', 'Z', 'z', 'ß'")]),
    ("a collation of a language", MariaDb, &[("id", "VARCHAR(40) COLLATE utf8mb4_german2_ci"), ("page", "SELECT id FROM JSON_TABLE(:ids, '$[*]' COLUMNS (id VARCHAR(80) COLLATE utf8mb4_german2_ci PATH '$')) AS page"), ("ids", "'ä', 'b', 'Z', 'y', 'ß'")]),
    ("a collation that is not deterministic", PostgreSql, &[("before", "CREATE COLLATION ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false)"), ("id", "text COLLATE ci"), ("login", "text COLLATE ci")]),
    ("ordered in one way and compared in another", PostgreSql, &[("ids", "'a', 'B', 'c', 'D', 'e'"), ("list", "WHERE id COLLATE \"C\" > COALESCE(:after, '') ORDER BY id COLLATE \"de-x-icu\" LIMIT :limit")]),
    ("ordered in one way and compared in another", MariaDb, &[("ids", "'a', 'B', 'c', 'D', 'e'"), ("list", "WHERE id > COALESCE(:after, '') ORDER BY id COLLATE utf8mb4_unicode_ci LIMIT :limit")]),
    ("ordered in one way and compared in another", Sqlite, &[("ids", "'a', 'B', 'c', 'D', 'e'"), ("list", "WHERE id > COALESCE(:after, '') ORDER BY id COLLATE NOCASE LIMIT :limit")]),
    ("numbers that the database makes, some below nought", PostgreSql, &[("numbers", "yes"), ("id", "bigint GENERATED BY DEFAULT AS IDENTITY (START 100)")]),
    ("numbers that the database makes, some below nought", MariaDb, &[("numbers", "yes"), ("before", "SET sql_mode = 'NO_AUTO_VALUE_ON_ZERO'"), ("id", "BIGINT AUTO_INCREMENT")]),
    ("numbers that the database makes, some below nought", Sqlite, &[("numbers", "yes"), ("id", "INTEGER PRIMARY KEY AUTOINCREMENT"), ("key", ""), ("person", "INTEGER")]),
    ("numbers below nought before a first page that begins at nought", PostgreSql, &[("numbers", "yes"), ("id", "bigint GENERATED BY DEFAULT AS IDENTITY (START 100)"), ("least", "0")]),
    ("numbers below nought before a first page that begins at nought", MariaDb, &[("numbers", "yes"), ("before", "SET sql_mode = 'NO_AUTO_VALUE_ON_ZERO'"), ("id", "INT AUTO_INCREMENT"), ("least", "0")]),
    ("numbers below nought before a first page that begins at nought", Sqlite, &[("numbers", "yes"), ("id", "INTEGER PRIMARY KEY"), ("key", ""), ("person", "INTEGER"), ("least", "0")]),
    ("numbers of few bits", PostgreSql, &[("numbers", "yes"), ("id", "smallint GENERATED BY DEFAULT AS IDENTITY (START 100)")]),
    ("numbers of few bits", MariaDb, &[("numbers", "yes"), ("before", "SET sql_mode = 'NO_AUTO_VALUE_ON_ZERO'"), ("id", "SMALLINT AUTO_INCREMENT")]),
    ("numbers of any length", PostgreSql, &[("numbers", "yes"), ("before", "CREATE SEQUENCE numbers START 100"), ("id", "numeric(20) DEFAULT nextval('numbers')")]),
    ("numbers beyond 63 bits", MariaDb, &[("numbers", "yes"), ("id", "BIGINT UNSIGNED AUTO_INCREMENT"), ("ids", "1, 2, 3, 9223372036854775808, 18446744073709551610"), ("person", "BIGINT UNSIGNED")]),
    ("text that looks like numbers, bound as numbers", MariaDb, &[("numbers", "yes"), ("id", "VARCHAR(20)"), ("key", ""), ("ids", "'17', '017', '3', '4', '5'"), ("logins", "new.person bob cy dan eve"), ("create", "INSERT INTO people (id, login, mail, active) VALUES ('99', :username, :email, 1)")]),
    ("numbers kept where no type is said", Sqlite, &[("id", ""), ("person", ""), ("ids", "5, 'p2', 11, 'p4', -7")]),
    ("numbers below nought, bound as text", MariaDb, &[("id", "INT AUTO_INCREMENT"), ("ids", "-3, 5, 2, 7, 12"), ("person", "INT"), ("page", "{page_of_numbers}"), ("create", "INSERT INTO people (login, mail, active) VALUES (:username, :email, 1)")]),
    ("an identifier that is empty", MariaDb, &[("ids", "'', 'p2', 'p3', 'p4', 'p5'")]),
    ("an identifier that is empty", Sqlite, &[("ids", "'', 'p2', 'p3', 'p4', 'p5'")]),
    ("a column of a type that has no form", PostgreSql, &[("note", "point"), ("value", "(1,2)"), ("noted", ":note::point")]),
    ("a column of a type that has no form", MariaDb, &[("note", "POINT"), ("value", "POINT(1 2)"), ("noted", "ST_GeomFromText(:note)")]),
    ("UUIDs that the database makes", PostgreSql, &[("id", "uuid DEFAULT gen_random_uuid()"), ("id_type", "uuid"), ("ids", "'6f1c2a34-0000-4000-8000-000000000001', 'ffffffff-ffff-4fff-bfff-ffffffffffff', '00000000-0000-0000-0000-000000000001', 'a0000000-0000-4000-8000-000000000000', '10000000-0000-4000-8000-000000000000'"), ("least", "'00000000-0000-0000-0000-000000000000'"), ("create", "INSERT INTO people (login, mail, active) VALUES (:username, :email, true)"), ("page", "SELECT value::uuid FROM jsonb_array_elements_text(:ids::jsonb)")]),
    ("UUIDs that the database makes", MariaDb, &[("id", "UUID DEFAULT UUID()"), ("id_type", "uuid"), ("ids", "'6f1c2a34-0000-4000-8000-000000000001', 'ffffffff-ffff-4fff-bfff-ffffffffffff', '00000000-0000-0000-0000-000000000001', 'a0000000-0000-4000-8000-000000000000', '10000000-0000-4000-8000-000000000000'"), ("least", "'00000000-0000-0000-0000-000000000000'"), ("create", "INSERT INTO people (login, mail, active) VALUES (:username, :email, 1)")]),
    ("UUIDs before a first page that begins at an empty text", MariaDb, &[("id", "UUID DEFAULT UUID()"), ("id_type", "uuid"), ("ids", "'6f1c2a34-0000-4000-8000-000000000001', 'ffffffff-ffff-4fff-bfff-ffffffffffff', '00000000-0000-0000-0000-000000000001', 'a0000000-0000-4000-8000-000000000000', '10000000-0000-4000-8000-000000000000'"), ("create", "INSERT INTO people (login, mail, active) VALUES (:username, :email, 1)")]),
    ("UUIDs kept as text, in capitals", MariaDb, &[("id_type", "uuid"), ("ids", "'6F1C2A34-0000-4000-8000-00000000000A', 'ffffffff-ffff-4fff-bfff-ffffffffffff', 'A0000000-0000-4000-8000-000000000000', 'a0000000-0000-4000-8000-000000000000', '10000000-0000-4000-8000-00000000000f'"), ("create", "INSERT INTO people (id, login, mail, active) VALUES (UPPER(UUID()), :username, :email, 1)")]),
    ("UUIDs kept as text, in capitals", Sqlite, &[("id_type", "uuid"), ("ids", "'6F1C2A34-0000-4000-8000-00000000000A', 'ffffffff-ffff-4fff-bfff-ffffffffffff', 'A0000000-0000-4000-8000-000000000000', 'a0000000-0000-4000-8000-000000000000', '10000000-0000-4000-8000-00000000000f'"), ("create", "INSERT INTO people (id, login, mail, active) VALUES ('ABCDEF00-0000-4000-8000-00000000000A', :username, :email, 1)")]),
    ("identifiers that are bytes", PostgreSql, &[("id", "bytea"), ("ids", "'\\x01', '\\x00ff', '\\xff', '\\xab', '\\x7f'"), ("least", "''::bytea"), ("mark", "decode(:after, 'hex')"), ("by", "decode(:id, 'hex')"), ("page", "SELECT decode(value, 'hex') FROM jsonb_array_elements_text(:ids::jsonb)"), ("create", "INSERT INTO people (id, login, mail, active) VALUES ('\\xee', :username, :email, true)")]),
    ("identifiers that are bytes", MariaDb, &[("id", "BINARY(4)"), ("ids", "x'00000001', x'000000ff', x'ff000000', x'ab000000', x'7f000000'"), ("mark", "UNHEX(:after)"), ("by", "UNHEX(:id)"), ("page", "SELECT UNHEX(id) FROM JSON_TABLE(:ids, '$[*]' COLUMNS (id VARCHAR(80) PATH '$')) AS page"), ("create", "INSERT INTO people (id, login, mail, active) VALUES (x'ee000000', :username, :email, 1)")]),
    ("identifiers that are bytes", Sqlite, &[("id", "BLOB"), ("ids", "x'01', x'00ff', x'ff', x'ab', x'7f'"), ("least", "x''"), ("mark", "unhex(:after)"), ("by", "unhex(:id)"), ("page", "SELECT unhex(value) FROM json_each(:ids)"), ("create", "INSERT INTO people (id, login, mail, active) VALUES (x'ee', :username, :email, 1)")]),
    ("a status that is an enumeration", PostgreSql, &[("before", "CREATE TYPE state AS ENUM ('on', 'off')"), ("active", "state"), ("on", "'on'"), ("off", "'off'"), ("active_is", "on"), ("inactive_is", "off")]),
    ("a status that is an enumeration", MariaDb, &[("active", "ENUM('on', 'off')"), ("on", "'on'"), ("off", "'off'"), ("active_is", "on"), ("inactive_is", "off")]),
    ("a truth value of one bit", MariaDb, &[("active", "BIT(1)"), ("on", "b'1'"), ("off", "b'0'"), ("active_is", "1"), ("inactive_is", "0")]),
    ("a truth value that is neither true nor false", MariaDb, &[("after", "UPDATE people SET active = 2 WHERE id = 'p2'")]),
    ("a truth value that is neither true nor false", Sqlite, &[("active", "BOOLEAN"), ("active_is", "true"), ("inactive_is", "false"), ("after", "UPDATE people SET active = 2 WHERE id = 'p2'")]),
    ("a domain and an array of the database's own", PostgreSql, &[("before", "CREATE DOMAIN name AS text CHECK (VALUE <> '')"), ("login", "public.name"), ("by_username", "WHERE lower(login::text) = lower(:username)"), ("by_email", "WHERE lower(mail::text) = lower(:email)")]),
    ("a moment", PostgreSql, &[("note", "timestamptz"), ("value", "2024-06-29T01:02:03.45Z"), ("noted", ":note::timestamptz"), ("before", "ALTER DATABASE quirk SET timezone = 'America/New_York'")]),
    ("a moment", MariaDb, &[("note", "TIMESTAMP(2) NULL"), ("value", "2024-06-29T01:02:03.45Z")]),
    ("a moment without a zone", MariaDb, &[("note", "DATETIME(2)"), ("value", "2024-06-29T01:02:03.45")]),
    ("a value that does not fit its column", PostgreSql, &[("note", "varchar(3)")]),
    ("a value that does not fit its column", MariaDb, &[("note", "VARCHAR(3)")]),
    ("a value that does not fit its column", Sqlite, &[("note", "TEXT CHECK (length(note) < 4)")]),
    ("letters that the column cannot hold", MariaDb, &[("note", "VARCHAR(20) CHARACTER SET latin1"), ("value", "☃")]),
    ("a trigger that changes what is written", PostgreSql, &[("after", "CREATE FUNCTION small() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.mail = lower(NEW.mail); RETURN NEW; END $$; CREATE TRIGGER small BEFORE INSERT OR UPDATE ON people FOR EACH ROW EXECUTE FUNCTION small()")]),
    ("a trigger that changes what is written", MariaDb, &[("after", "CREATE TRIGGER small BEFORE INSERT ON people FOR EACH ROW SET NEW.mail = LOWER(NEW.mail)")]),
    ("a trigger that changes what is written", Sqlite, &[("after", "CREATE TRIGGER small AFTER INSERT ON people BEGIN UPDATE people SET mail = lower(mail) WHERE id = NEW.id; END")]),
    ("a trigger that undoes what is written", PostgreSql, &[("after", "CREATE FUNCTION stays() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.active = true; RETURN NEW; END $$; CREATE TRIGGER stays BEFORE UPDATE ON people FOR EACH ROW EXECUTE FUNCTION stays()")]),
    ("a trigger that undoes what is written", MariaDb, &[("after", "CREATE TRIGGER stays BEFORE UPDATE ON people FOR EACH ROW SET NEW.active = 1")]),
    ("a trigger that undoes what is written", Sqlite, &[("after", "CREATE TRIGGER stays AFTER UPDATE ON people WHEN NEW.active = 0 BEGIN UPDATE people SET active = 1 WHERE id = NEW.id; END")]),
    ("a trigger that ignores a removal", PostgreSql, &[("after", "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$; CREATE TRIGGER keep BEFORE DELETE ON crew FOR EACH ROW EXECUTE FUNCTION keep(); CREATE TRIGGER keep BEFORE DELETE ON people FOR EACH ROW EXECUTE FUNCTION keep()")]),
    ("a trigger that ignores a removal", Sqlite, &[("after", "CREATE TRIGGER keep BEFORE DELETE ON crew BEGIN SELECT RAISE(IGNORE); END; CREATE TRIGGER keeps BEFORE DELETE ON people BEGIN SELECT RAISE(IGNORE); END")]),
    ("a trigger that refuses", PostgreSql, &[("after", "CREATE FUNCTION closed() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'closed on Sundays'; END $$; CREATE TRIGGER closed BEFORE DELETE ON people FOR EACH ROW EXECUTE FUNCTION closed()")]),
    ("a trigger that refuses", MariaDb, &[("after", "CREATE TRIGGER closed BEFORE DELETE ON people FOR EACH ROW SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'closed on Sundays'")]),
    ("a trigger that refuses", Sqlite, &[("after", "CREATE TRIGGER closed BEFORE DELETE ON people BEGIN SELECT RAISE(ABORT, 'closed on Sundays'); END")]),
    ("a view that the database writes through", PostgreSql, &[("from", "staff"), ("after", "CREATE VIEW staff AS SELECT * FROM people WHERE login <> 'root'")]),
    ("a view that the database writes through", MariaDb, &[("from", "staff"), ("after", "CREATE VIEW staff AS SELECT * FROM people WHERE login <> 'root'")]),
    ("a view that triggers write through", Sqlite, &[("from", "staff"), ("after", "CREATE VIEW staff AS SELECT * FROM people; CREATE TRIGGER i INSTEAD OF INSERT ON staff BEGIN INSERT INTO people (id, login, mail, active) VALUES (NEW.id, NEW.login, NEW.mail, NEW.active); END; CREATE TRIGGER u INSTEAD OF UPDATE ON staff BEGIN UPDATE people SET login = NEW.login, mail = NEW.mail, active = NEW.active, note = NEW.note, hash = NEW.hash WHERE id = NEW.id; END; CREATE TRIGGER d INSTEAD OF DELETE ON staff BEGIN DELETE FROM people WHERE id = OLD.id; END")]),
    ("a view that is read only", PostgreSql, &[("from", "staff"), ("after", "CREATE VIEW staff AS SELECT DISTINCT id, login, mail, active, note, hash FROM people")]),
    ("a column that the database computes", PostgreSql, &[("note", "text GENERATED ALWAYS AS (login || '!') STORED")]),
    ("a column that the database computes", MariaDb, &[("note", "VARCHAR(99) AS (CONCAT(login, '!')) STORED")]),
    ("a column that the database computes", Sqlite, &[("note", "TEXT AS (login || '!') STORED")]),
    ("removed people stay with a mark", PostgreSql, &[("key", ", gone boolean DEFAULT false, PRIMARY KEY (id)"), ("select", "SELECT id, login, mail, active, note FROM people WHERE NOT gone AND true"), ("list", "AND id > COALESCE(:after, '') ORDER BY id LIMIT :limit"), ("by_id", "AND id = :id"), ("by_username", "AND lower(login) = lower(:username)"), ("by_email", "AND lower(mail) = lower(:email)"), ("delete", "UPDATE people SET gone = true WHERE id = :id")]),
    ("members who hold their person", PostgreSql, &[("crew_key", ", PRIMARY KEY (person, squad), FOREIGN KEY (person) REFERENCES people (id)")]),
    ("members who hold their person", MariaDb, &[("crew_key", ", PRIMARY KEY (person, squad), FOREIGN KEY (person) REFERENCES people (id)")]),
    ("members who hold their person", Sqlite, &[("crew_key", ", PRIMARY KEY (person, squad), FOREIGN KEY (person) REFERENCES people (id)")]),
    ("members whose column compares in another way", MariaDb, &[("person", "VARCHAR(40) COLLATE utf8mb4_general_ci"), ("remove", "DELETE FROM crew WHERE BINARY person = UPPER(:id) AND squad = :ref")]),
    ("members whose column compares in another way", Sqlite, &[("person", "TEXT COLLATE NOCASE"), ("remove", "DELETE FROM crew WHERE person = upper(:id) COLLATE BINARY AND squad = :ref")]),
    ("a column that must be filled and is not", PostgreSql, &[("after", "ALTER TABLE people ADD title text; UPDATE people SET title = 'x'; ALTER TABLE people ALTER title SET NOT NULL")]),
    ("names with capitals, in quotes", PostgreSql, &[("tables", "CREATE TABLE \"People\" (\"Id\" text PRIMARY KEY, \"Login\" text, mail text, active boolean, note text, hash text); CREATE TABLE squads (id text PRIMARY KEY, name text); CREATE TABLE crew (person text, squad text); INSERT INTO squads VALUES ('s1', 'One'), ('s2', 'Two')"), ("seed", "INSERT INTO \"People\" (\"Id\", \"Login\", mail, active) VALUES"), ("select", "SELECT \"Id\" AS id, \"Login\" AS login, mail, active, note FROM \"People\""), ("from", "\"People\""), ("list", "WHERE \"Id\" > COALESCE(:after, '') ORDER BY \"Id\" LIMIT :limit"), ("by_id", "WHERE \"Id\" = :id"), ("by_username", "WHERE lower(\"Login\") = lower(:username)"), ("create", "INSERT INTO \"People\" (\"Id\", \"Login\", mail, active) VALUES (:username, :username, :email, true)"), ("update", "UPDATE \"People\" SET \"Login\" = :username, mail = :email, note = :note WHERE \"Id\" = :id"), ("suspend", "UPDATE \"People\" SET active = false WHERE \"Id\" = :id"), ("unsuspend", "UPDATE \"People\" SET active = true WHERE \"Id\" = :id"), ("reset", "UPDATE \"People\" SET hash = :password_ssha WHERE \"Id\" = :id"), ("delete", "DELETE FROM \"People\" WHERE \"Id\" = :id")]),
    ("names that are looked up in the letters they are written in", PostgreSql, &[("by_username", "WHERE login = :username"), ("logins", "Ann bob cy dan eve")]),
    ("a table that knows no transactions", MariaDb, &[("after", "ALTER TABLE people ENGINE = MyISAM")]),
    ("a table without row ids, with types that are kept", Sqlite, &[("key", ", PRIMARY KEY (id)) STRICT, WITHOUT ROWID; CREATE TABLE spare (id TEXT")]),
    ("a rule that ignores a removal", PostgreSql, &[("after", "CREATE RULE keep AS ON DELETE TO people DO INSTEAD NOTHING; CREATE RULE stay AS ON UPDATE TO people WHERE OLD.active DO INSTEAD NOTHING")]),
    ("a trigger that changes the key", PostgreSql, &[("after", "CREATE FUNCTION moves() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.id = NEW.id || 'x'; RETURN NEW; END $$; CREATE TRIGGER moves BEFORE UPDATE ON people FOR EACH ROW EXECUTE FUNCTION moves()")]),
    ("a trigger that changes the key", MariaDb, &[("after", "CREATE TRIGGER moves BEFORE UPDATE ON people FOR EACH ROW SET NEW.id = CONCAT(OLD.id, 'x')")]),
    ("a trigger that changes the key", Sqlite, &[("after", "CREATE TRIGGER moves AFTER UPDATE OF login, active ON people BEGIN UPDATE people SET id = OLD.id || 'x' WHERE id = OLD.id; END")]),
    ("a trigger that makes another key than it is told", MariaDb, &[("after", "CREATE TRIGGER other BEFORE INSERT ON people FOR EACH ROW SET NEW.id = CONCAT('u-', NEW.login)")]),
    ("a trigger that gives another user name", PostgreSql, &[("after", "CREATE FUNCTION prefix() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.login = 'x.' || NEW.login; RETURN NEW; END $$; CREATE TRIGGER prefix BEFORE INSERT ON people FOR EACH ROW EXECUTE FUNCTION prefix()")]),
    ("a trigger that gives another user name", MariaDb, &[("after", "CREATE TRIGGER prefix BEFORE INSERT ON people FOR EACH ROW SET NEW.login = CONCAT('x.', NEW.login)")]),
    ("a trigger that takes somebody new elsewhere", PostgreSql, &[("after", "CREATE TABLE intake (LIKE people); CREATE FUNCTION taken() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO intake SELECT NEW.*; RETURN NULL; END $$; CREATE TRIGGER taken BEFORE INSERT ON people FOR EACH ROW EXECUTE FUNCTION taken()")]),
    ("a trigger that makes a mark of a removal", PostgreSql, &[("from", "staff"), ("key", ", gone boolean DEFAULT false, PRIMARY KEY (id)"), ("after", "CREATE VIEW staff AS SELECT * FROM people WHERE NOT gone; CREATE FUNCTION mark() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE people SET gone = true WHERE id = OLD.id; RETURN NULL; END $$; CREATE TRIGGER mark BEFORE DELETE ON people FOR EACH ROW EXECUTE FUNCTION mark()")]),
    ("a trigger that makes a mark of a removal", Sqlite, &[("from", "staff"), ("key", ", gone INTEGER DEFAULT 0, PRIMARY KEY (id)"), ("after", "CREATE VIEW staff AS SELECT * FROM people WHERE NOT gone; CREATE TRIGGER i INSTEAD OF INSERT ON staff BEGIN INSERT INTO people (id, login, mail, active) VALUES (NEW.id, NEW.login, NEW.mail, NEW.active); END; CREATE TRIGGER u INSTEAD OF UPDATE ON staff BEGIN UPDATE people SET login = NEW.login, mail = NEW.mail, active = NEW.active, note = NEW.note, hash = NEW.hash WHERE id = NEW.id; END; CREATE TRIGGER d INSTEAD OF DELETE ON staff BEGIN UPDATE people SET gone = 1 WHERE id = OLD.id; END")]),
    ("removed people stay with a mark, and their key", MariaDb, &[("key", ", gone TINYINT(1) DEFAULT 0, PRIMARY KEY (id)"), ("select", "SELECT id, login, mail, active, note FROM people WHERE gone = 0 AND TRUE"), ("list", "AND id > COALESCE(:after, '') ORDER BY id LIMIT :limit"), ("by_id", "AND id = :id"), ("by_username", "AND lower(login) = lower(:username)"), ("by_email", "AND lower(mail) = lower(:email)"), ("delete", "UPDATE people SET gone = 1 WHERE id = :id"), ("after", "INSERT INTO people (id, login, mail, active, gone) VALUES ('new.person', 'old', 'old@example.com', 0, 1)")]),
    ("a view that shows active people alone", PostgreSql, &[("from", "staff"), ("after", "CREATE VIEW staff AS SELECT * FROM people WHERE active")]),
    ("a view that shows active people alone", MariaDb, &[("from", "staff"), ("after", "CREATE VIEW staff AS SELECT * FROM people WHERE active = 1")]),
    ("a view that lets nobody leave it", PostgreSql, &[("from", "staff"), ("after", "CREATE VIEW staff AS SELECT * FROM people WHERE active WITH CHECK OPTION")]),
    ("a copy that lags behind", PostgreSql, &[("select", "SELECT id, login, mail, active, note FROM seen"), ("after", "CREATE MATERIALIZED VIEW seen AS SELECT * FROM people")]),
    ("a copy that lags behind", MariaDb, &[("select", "SELECT id, login, mail, active, note FROM seen"), ("before", "DROP TABLE IF EXISTS seen"), ("after", "CREATE TABLE seen AS SELECT * FROM people")]),
    ("partitions that people move between", PostgreSql, &[("key", ", PRIMARY KEY (id, active)) PARTITION BY LIST (active); CREATE TABLE here PARTITION OF people FOR VALUES IN (true); CREATE TABLE there PARTITION OF people FOR VALUES IN (false); CREATE TABLE spare (id text")]),
    ("partitions that people move between", MariaDb, &[("key", ", PRIMARY KEY (id, active)) PARTITION BY LIST (active) (PARTITION here VALUES IN (1), PARTITION there VALUES IN (0)); CREATE TABLE IF NOT EXISTS spare (id INT")]),
    ("partitions that have no place for who is suspended", PostgreSql, &[("key", ", PRIMARY KEY (id, active)) PARTITION BY LIST (active); CREATE TABLE here PARTITION OF people FOR VALUES IN (true); CREATE TABLE spare (id text")]),
    ("tables that inherit, with the same key twice", PostgreSql, &[("after", "CREATE TABLE guests () INHERITS (people); INSERT INTO guests (id, login, mail, active) VALUES ('p2', 'guest', 'guest@example.com', true)")]),
    ("a key that is only looked at in the end", PostgreSql, &[("key", ", PRIMARY KEY (id), UNIQUE (mail) DEFERRABLE INITIALLY DEFERRED"), ("after", "UPDATE people SET mail = 'other@example.com' WHERE id = 'p2'")]),
    ("a trigger that refuses in the end", PostgreSql, &[("after", "CREATE FUNCTION closed() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'closed on Sundays'; END $$; CREATE CONSTRAINT TRIGGER closed AFTER UPDATE ON people DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION closed()")]),
    ("a history that the database keeps", MariaDb, &[("key", ", PRIMARY KEY (id)) WITH SYSTEM VERSIONING; CREATE TABLE IF NOT EXISTS spare (id INT")]),
    ("a creation that is passed over when the key is taken", PostgreSql, &[("create", "INSERT INTO people (id, login, mail, active) VALUES ('p2', :username, :email, true) ON CONFLICT (id) DO NOTHING")]),
    ("a creation that is passed over when the key is taken", MariaDb, &[("create", "INSERT IGNORE INTO people (id, login, mail, active) VALUES ('p2', :username, :email, 1)")]),
    ("a creation that is passed over when the key is taken", Sqlite, &[("create", "INSERT OR IGNORE INTO people (id, login, mail, active) VALUES ('p2', :username, :email, 1)")]),
    ("people of two tables in one view, one of them twice", Sqlite, &[("select", "SELECT id, login, mail, active, note FROM everybody"), ("after", "CREATE TABLE guests (id TEXT, login TEXT, mail TEXT, active INTEGER, note TEXT); INSERT INTO guests VALUES ('p2', 'guest', 'guest@example.com', 1, NULL); CREATE VIEW everybody AS SELECT id, login, mail, active, note FROM people UNION ALL SELECT * FROM guests")]),
    ("a field that the database fills with every change", MariaDb, &[("note", "TIMESTAMP NULL ON UPDATE CURRENT_TIMESTAMP"), ("value", "2024-06-29T01:02:03Z"), ("update", "UPDATE people SET login = :username, mail = :email WHERE id = :id")]),
];
