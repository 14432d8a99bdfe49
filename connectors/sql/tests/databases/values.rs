//! Each value is read and written back unchanged, on every database.

use bridgehead_sdk::{Action, Record};
use serde_json::{Map, Value, json};
use sqlx::{AssertSqlSafe, Executor, Row};

use crate::example::Example;
use crate::mariadb::Shop;
use crate::postgres::Crm;
use crate::sqlite::{Wiki, open};
use crate::support::{accounts, execute, list};

/// A type of column, a value in SQL, how a statement binds it (`?` is the parameter), and the listed value.
type Case = (&'static str, &'static str, &'static str, Value);

fn table(cases: &[Case]) -> String {
    let columns: Vec<String> = cases.iter().enumerate().map(|(n, case)| format!("c{n} {}", case.0)).collect();
    let values: Vec<&str> = cases.iter().map(|case| case.1).collect();
    format!(
        "CREATE TABLE kinds (id BIGINT PRIMARY KEY, name VARCHAR(20), note VARCHAR(20), {}); \
         INSERT INTO kinds VALUES (1, 'ann', NULL, {})",
        columns.join(", "),
        values.join(", ")
    )
}

/// An update of one field, which writes all others as they were read; then of every field, with the listed values.
async fn goes_there_and_back(example: Example, cases: &[Case], dump: impl AsyncFn() -> String) {
    let mut fields: Map<String, Value> =
        (0..cases.len()).map(|n| (format!("f{n}"), json!(format!("c{n}")))).collect();
    for (field, column) in [("id", "id"), ("username", "name"), ("note", "note")] {
        fields.insert(field.into(), column.into());
    }
    let sets = cases
        .iter()
        .enumerate()
        .map(|(n, case)| format!("c{n} = {}", case.2.replace('?', &format!(":f{n}"))));
    let update =
        format!("UPDATE kinds SET note = :note, {} WHERE id = :id", sets.collect::<Vec<_>>().join(", "));
    let connector = example
        .with("groups", Value::Null)
        .with("licenses", Value::Null)
        .with("actions", json!({ "update_account": [update] }))
        .with(
            "accounts",
            json!({
                "id_type": "integer", "fields": fields, "select": "SELECT * FROM kinds",
                "list": "WHERE id > COALESCE(:after, -9223372036854775808) ORDER BY id LIMIT :limit",
                "by_id": "WHERE id = :id", "by_username": "WHERE name = :username",
            }),
        )
        .connector();
    connector.check().await.unwrap();
    let before = dump().await;
    let shown = async || {
        let (records, rejected, _) = list(&*connector, &accounts()).await.unwrap();
        assert_eq!(rejected, []);
        let Record::Account(account) = &records[0] else { panic!("no account") };
        account.extra.clone()
    };
    let first = shown().await;
    for (n, case) in cases.iter().enumerate() {
        let read = first.get(&format!("f{n}")).unwrap_or(&Value::Null);
        assert_eq!(read.to_string(), case.3.to_string(), "{} {}", case.0, case.1);
    }
    let listed = first.clone();
    for changes in [json!({ "note": "new" }), Value::Object(listed), json!({ "note": null })] {
        let payload = json!({ "account": { "id": "1" }, "changes": changes });
        execute(&*connector, Action::UpdateAccount, payload).await.unwrap();
    }
    let mut last = shown().await;
    last.shift_remove("note");
    assert_eq!(Value::Object(last), Value::Object(first));
    assert_eq!(dump().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_values_survive_a_round_trip() {
    let crm = Crm::start().await;
    crm.server.sql("crm", "CREATE EXTENSION citext; CREATE TYPE mood AS ENUM ('sad', 'ok')");
    let cases: [Case; 24] = [
        ("boolean", "true", "?::boolean", json!(true)),
        ("smallint", "-7", "?::smallint", json!(-7)),
        ("integer", "0", "?::integer", json!(0)),
        ("bigint", "9007199254740993", "?::bigint", json!(9_007_199_254_740_993_i64)),
        ("real", "1.1", "?::real", json!(1.1)),
        ("double precision", "0.1", "?::double precision", json!(0.1)),
        ("numeric(12,2)", "12.50", "?::numeric", json!("12.50")),
        (
            "numeric",
            "123456789012345678901234567890.12",
            "?::numeric",
            json!("123456789012345678901234567890.12"),
        ),
        ("text", "' né ☃ '", "?", json!(" né ☃ ")),
        ("text", "''", "?", json!("")),
        ("char(5)", "'ab'", "?", json!("ab")),
        ("varchar(5)", "'a '", "?", json!("a ")),
        ("citext", "'MiXed'", "?::citext", json!("MiXed")),
        ("mood", "'ok'", "?::mood", json!("ok")),
        (
            "uuid",
            "'6f1c2a34-0000-4000-8000-000000000001'",
            "?::uuid",
            json!("6f1c2a34-0000-4000-8000-000000000001"),
        ),
        ("jsonb", "'{\"a\": [1, null]}'", "?::jsonb", json!({ "a": [1, null] })),
        ("bytea", "'\\x00ff'", "decode(?, 'hex')", json!("00ff")),
        ("date", "'2024-02-29'", "?::date", json!("2024-02-29")),
        ("time", "'23:59:59.5'", "?::time", json!("23:59:59.5")),
        ("timestamp", "'2024-02-29 01:02:03.4'", "?::timestamp", json!("2024-02-29T01:02:03.4")),
        ("timestamptz", "'1969-07-20 20:17:40+02'", "?::timestamptz", json!("1969-07-20T18:17:40Z")),
        ("inet", "'192.168.0.1'", "?::inet", json!("192.168.0.1")),
        ("text", "NULL", "?", Value::Null),
        ("timestamptz", "NULL", "?::timestamptz", Value::Null),
    ];
    crm.server.sql("crm", &table(&cases));
    // The default time zone of other clients must not matter.
    crm.server.sql("postgres", "ALTER DATABASE crm SET timezone = 'America/New_York'");
    let dump = async || crm.server.sql("crm", "SELECT * FROM kinds");
    goes_there_and_back(crm.example().patient(), &cases, dump).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mariadb_values_survive_a_round_trip() {
    let shop = Shop::start().await;
    let cases: [Case; 30] = [
        ("TINYINT(1)", "1", "?", json!(true)),
        ("TINYINT(1)", "0", "?", json!(false)),
        ("TINYINT(1)", "2", "?", json!(2)),
        ("TINYINT(1)", "-7", "?", json!(-7)),
        ("TINYINT(1) UNSIGNED", "200", "?", json!(200)),
        ("SMALLINT", "-2", "?", json!(-2)),
        ("MEDIUMINT UNSIGNED", "16777215", "?", json!(16_777_215)),
        ("INT", "-4", "?", json!(-4)),
        ("BIGINT", "-9223372036854775808", "?", json!(i64::MIN)),
        ("BIGINT UNSIGNED", "18446744073709551615", "?", json!(u64::MAX)),
        ("DECIMAL(10,2)", "12.50", "?", json!("12.50")),
        ("DECIMAL(40,2)", "12345678901234567890.12", "?", json!("12345678901234567890.12")),
        ("DOUBLE", "0.1", "?", json!(0.1)),
        ("VARCHAR(20)", "' né ☃ '", "?", json!(" né ☃ ")),
        ("VARCHAR(20)", "''", "?", json!("")),
        ("VARCHAR(20)", "'2024-01-02T03:04:05Z'", "?", json!("2024-01-02T03:04:05Z")),
        ("CHAR(5)", "'ab'", "?", json!("ab")),
        ("DATE", "'2024-02-29'", "?", json!("2024-02-29")),
        ("DATETIME(3)", "'2024-02-29 01:02:03.45'", "?", json!("2024-02-29T01:02:03.45")),
        ("TIMESTAMP(3) NULL", "'2024-06-29 01:02:03.45'", "?", json!("2024-06-29T01:02:03.45Z")),
        ("TIMESTAMP NULL", "'1999-12-31 23:59:59'", "?", json!("1999-12-31T23:59:59Z")),
        ("TIME", "'-26:03:04'", "?", json!("-26:03:04")),
        ("YEAR", "2024", "?", json!(2024)),
        ("BIT(9)", "b'100000001'", "?", json!(257)),
        ("BINARY(4)", "UNHEX('deadbeef')", "UNHEX(?)", json!("deadbeef")),
        ("ENUM('a', 'b')", "'b'", "?", json!("b")),
        ("SET('a', 'b')", "'a,b'", "?", json!("a,b")),
        (
            "UUID",
            "'6f1c2a34-0000-4000-8000-000000000001'",
            "?",
            json!("6f1c2a34-0000-4000-8000-000000000001"),
        ),
        ("INT", "NULL", "?", Value::Null),
        ("TIMESTAMP NULL", "NULL", "?", Value::Null),
    ];
    // The default time zone of other clients must not matter.
    shop.server.sql("shop", "SET GLOBAL time_zone = '-05:00'; ALTER DATABASE shop CHARACTER SET utf8mb4");
    shop.server.sql("shop", &format!("SET time_zone = '+00:00'; {}", table(&cases)));
    let dump = async || shop.server.sql("shop", "SET time_zone = '+00:00'; SELECT * FROM kinds");
    goes_there_and_back(shop.example().patient(), &cases, dump).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_values_survive_a_round_trip() {
    let wiki = Wiki::start().await;
    let cases: [Case; 12] = [
        ("BOOLEAN", "1", "?", json!(true)),
        ("BOOLEAN", "7", "?", json!(7)),
        ("INTEGER", "-9223372036854775808", "?", json!(i64::MIN)),
        ("INTEGER", "9007199254740993", "?", json!(9_007_199_254_740_993_i64)),
        ("REAL", "0.1", "?", json!(0.1)),
        ("REAL", "2.0", "?", json!(2.0)),
        ("TEXT", "' né ☃ '", "?", json!(" né ☃ ")),
        ("TEXT", "''", "?", json!("")),
        ("TEXT", "'007'", "?", json!("007")),
        ("TEXT", "'2024-01-02T03:04:05Z'", "?", json!("2024-01-02T03:04:05Z")),
        ("BLOB", "x'00ff'", "unhex(?)", json!("00ff")),
        ("TEXT", "NULL", "?", Value::Null),
    ];
    let path = wiki.path("app.sqlite");
    open(&path).await.execute(AssertSqlSafe(table(&cases))).await.unwrap();
    let columns: Vec<String> = (0..cases.len()).map(|n| format!("quote(c{n}) || typeof(c{n})")).collect();
    let query = format!("SELECT {} FROM kinds", columns.join(" || ' ' || "));
    let dump = async || {
        let row = sqlx::query(AssertSqlSafe(query.clone())).fetch_one(&mut open(&path).await).await.unwrap();
        row.get::<String, _>(0)
    };
    goes_there_and_back(wiki.example("app.sqlite").patient(), &cases, dump).await;
}
