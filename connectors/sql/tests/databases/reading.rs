//! Listings of PostgreSQL, and the values of its columns.

use bridgehead_sdk::{Record, ResourceType, Retry};
use serde_json::{Value, json};

use crate::example::Example;
use crate::postgres::Crm;
use crate::support::{accounts, ids, list};

fn numbers(crm: &Crm, paging: &str, statement: &str) -> Example {
    crm.example()
        .with("groups", Value::Null)
        .with("licenses", Value::Null)
        .with("actions", Value::Null)
        .with("accounts", json!({
            "id_type": "integer", "fields": { "id": "id", "username": "name" }, "paging": paging, "page_size": 10,
            "list": statement, "by_id": "SELECT id, name FROM people WHERE id = :id",
            "by_username": "SELECT id, name FROM people WHERE name = :username",
        }))
}

const BY_KEY: &str = "SELECT id, name FROM people WHERE id > COALESCE(:after, 0) ORDER BY id LIMIT :limit";
const BY_OFFSET: &str = "SELECT id, name FROM people ORDER BY id LIMIT :limit OFFSET :offset";

#[tokio::test(flavor = "multi_thread")]
async fn listing_tolerates_changes_or_reports_them() {
    let crm = Crm::start().await;
    let sql = |statement: &str| crm.server.sql("crm", statement);
    let people = || {
        sql("DROP TABLE IF EXISTS people; CREATE TABLE people (id bigint, name text); \
             INSERT INTO people SELECT n * 10, 'p' || n FROM generate_series(1, 35) n")
    };
    let of = accounts();
    people();

    // By key: records that existed at the start are listed once, despite concurrent insertions and deletions.
    let connector = numbers(&crm, "key", BY_KEY).connector();
    let mut seen = Vec::new();
    let mut cursor = None;
    for page in 0.. {
        let read = connector.list(&of, cursor.as_ref()).await.unwrap();
        assert!(read.records.len() <= 10);
        seen.extend(read.records);
        sql(&format!(
            "DELETE FROM people WHERE id = {}; INSERT INTO people VALUES ({}, 'new')",
            10 * (page + 1),
            5 + 100 * page
        ));
        cursor = read.next;
        if cursor.is_none() {
            break;
        }
    }
    let listed = ids(&seen);
    assert_eq!(listed.len(), seen.len(), "nobody comes twice");
    assert_eq!(listed, (1..=35).map(|number| (number * 10).to_string()).collect(), "it is of one moment");

    // By offset: the same result.
    people();
    let connector = numbers(&crm, "offset", BY_OFFSET).connector();
    assert_eq!(list(&*connector, &of).await.unwrap().0.len(), 35);
    for shift in
        ["DELETE FROM people WHERE id = 20", "INSERT INTO people VALUES (5, 'new')", "DELETE FROM people"]
    {
        people();
        let page = connector.list(&of, None).await.unwrap();
        sql(shift);
        let mut seen = page.records;
        let mut cursor = page.next;
        while let Some(at) = cursor {
            let page = connector.list(&of, Some(&at)).await.unwrap();
            seen.extend(page.records);
            cursor = page.next;
        }
        assert_eq!(ids(&seen).len(), 35, "it is of one moment: {shift}");
    }

    // In one page.
    people();
    let whole = numbers(&crm, "none", "SELECT id, name FROM people").connector();
    let (records, _, pages) = list(&*whole, &of).await.unwrap();
    assert_eq!((records.len(), pages), (35, 1));
    sql("INSERT INTO people SELECT n, 'q' || n FROM generate_series(1000, 12000) n");
    let error = list(&*whole, &of).await.unwrap_err();
    assert!(error.message().contains("more than 10000 rows"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_record_is_rejected_and_invalid_listing_is_an_error() {
    let crm = Crm::start().await;
    let sql = |statement: &str| crm.server.sql("crm", statement);
    sql(
        "CREATE TABLE people (id bigint, name text); INSERT INTO people VALUES (1, 'a'), (NULL, 'b'), (3, 'c')",
    );
    let of = accounts();
    let nulls = "SELECT id, name FROM people WHERE id > COALESCE(:after, 0) OR (id IS NULL AND :after IS NULL) \
                 ORDER BY id NULLS FIRST LIMIT :limit";
    let (records, rejected, _) = list(&*numbers(&crm, "key", nulls).connector(), &of).await.unwrap();
    assert_eq!((ids(&records).len(), rejected.len()), (2, 1));
    assert_eq!((rejected[0].id.as_deref(), rejected[0].field.as_str()), (Some("row 1 of account"), "id"));

    let wrong = [
        (
            "SELECT id AS key, name FROM people WHERE id > COALESCE(:after, 0) ORDER BY id LIMIT :limit",
            "returns no column id",
        ),
        (
            "SELECT id, id, name FROM people WHERE id > COALESCE(:after, 0) ORDER BY id LIMIT :limit",
            "two columns",
        ),
        (
            "SELECT p.id, p.name FROM people p, people q WHERE p.id > COALESCE(:after, 0) ORDER BY p.id LIMIT :limit",
            "occurs more than once",
        ),
        (
            "SELECT id, name FROM people WHERE id > COALESCE(:after, 0) ORDER BY id DESC LIMIT :limit",
            "not in ascending order",
        ),
        (
            "SELECT NULL AS id, name FROM people WHERE COALESCE(:after, 0) = 0 ORDER BY id LIMIT :limit",
            "has no identifier",
        ),
        (
            "SELECT id, point(1, 2) AS name FROM people WHERE id > COALESCE(:after, 0) ORDER BY id LIMIT :limit",
            "cast it to text",
        ),
    ];
    for (statement, why) in wrong {
        let error = list(&*numbers(&crm, "key", statement).connector(), &of).await.unwrap_err();
        assert!(error.message().contains(why), "{error}");
    }

    // Fewer rows than requested do not mean the end: a condition may be applied outside of the LIMIT.
    sql(
        "TRUNCATE people; INSERT INTO people SELECT n, CASE WHEN n % 2 = 0 THEN 'even' ELSE 'odd' END FROM generate_series(1, 50) n",
    );
    let around = "SELECT * FROM (SELECT id, name FROM people WHERE id > COALESCE(:after, 0) ORDER BY id LIMIT :limit) page \
                  WHERE name = 'even' ORDER BY id";
    let (records, _, _) = list(&*numbers(&crm, "key", around).connector(), &of).await.unwrap();
    assert_eq!(records.len(), 25);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_postgresql_type_is_read() {
    let crm = Crm::start().await;
    crm.server.sql(
        "crm",
        "CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE DOMAIN email AS text; CREATE EXTENSION citext",
    );
    let columns = [
        ("true", json!(true)),
        ("(-7)::int2", json!(-7)),
        ("2147483647::int4", json!(2_147_483_647)),
        ("(-9223372036854775808)::int8", json!(i64::MIN)),
        ("4294967295::oid", json!(4_294_967_295_u32)),
        ("1.1::float4", json!(1.1)),
        ("0.1::float8 + 0.2", json!(0.300_000_000_000_000_04)),
        ("'NaN'::float8", json!("NaN")),
        ("0::numeric", json!(0)),
        ("-12345.6789::numeric", json!(-12345.6789)),
        ("12.50::numeric(8,2)", json!("12.50")),
        ("0.00012::numeric", json!(0.000_12)),
        ("123456789012345678901234567890.12::numeric", json!("123456789012345678901234567890.12")),
        ("10000::numeric", json!(10000)),
        ("'NaN'::numeric", json!("NaN")),
        ("'x'::text", json!("x")),
        ("'x'::varchar(3)", json!("x")),
        ("'x'::char(3)", json!("x")),
        ("'x'::name", json!("x")),
        ("'MiXed'::citext", json!("MiXed")),
        ("'ok'::mood", json!("ok")),
        ("'a@b'::email", json!("a@b")),
        ("'6f1c2a34-0000-4000-8000-000000000001'::uuid", json!("6f1c2a34-0000-4000-8000-000000000001")),
        ("'{\"a\": [1, null]}'::jsonb", json!({ "a": [1, null] })),
        ("'{\"a\": 1}'::json", json!({ "a": 1 })),
        ("'\\xdeadbeef'::bytea", json!("deadbeef")),
        ("'2024-02-29'::date", json!("2024-02-29")),
        ("'1999-12-31'::date", json!("1999-12-31")),
        ("'infinity'::date", json!("infinity")),
        ("'23:59:59.5'::time", json!("23:59:59.5")),
        ("'2024-02-29 01:02:03.4'::timestamp", json!("2024-02-29T01:02:03.4")),
        ("'1969-07-20 20:17:40+02'::timestamptz", json!("1969-07-20T18:17:40Z")),
        ("'192.168.0.1'::inet", json!("192.168.0.1")),
        ("'10.0.0.0/8'::cidr", json!("10.0.0.0/8")),
        ("ARRAY['a', NULL, 'b,c']", json!(["a", null, "b,c"])),
        ("'{}'::int[]", json!([])),
        ("ARRAY[1, 2]::bigint[]", json!([1, 2])),
        (
            "ARRAY['6f1c2a34-0000-4000-8000-000000000001']::uuid[]",
            json!(["6f1c2a34-0000-4000-8000-000000000001"]),
        ),
        ("NULL::numeric", Value::Null),
        ("NULL::text[]", Value::Null),
    ];
    let fields: serde_json::Map<String, Value> =
        (0..columns.len()).map(|n| (format!("field_{n}"), json!(format!("column_{n}")))).collect();
    let mut fields = Value::Object(fields);
    fields["id"] = json!("id");
    fields["username"] = json!("name");
    let values: Vec<String> =
        columns.iter().enumerate().map(|(n, (sql, _))| format!("{sql} AS column_{n}")).collect();
    let statement = format!("SELECT 1 AS id, 'ann' AS name, {}", values.join(", "));
    let connector = numbers(&crm, "none", &statement)
        .with("accounts.fields", fields)
        .with("accounts.by_id", format!("{statement} WHERE :id = 1"))
        .with("accounts.by_username", format!("{statement} WHERE :username = 'ann'"))
        .connector();
    connector.check().await.unwrap();
    let (records, rejected, _) = list(&*connector, &accounts()).await.unwrap();
    assert_eq!(rejected, []);
    let Record::Account(account) = &records[0] else { panic!("no account") };
    for (n, (sql, expected)) in columns.iter().enumerate() {
        let read = account.extra.get(&format!("field_{n}")).unwrap_or(&Value::Null);
        assert_eq!(read.to_string(), expected.to_string(), "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_accounts_and_their_groups_are_listed() {
    let crm = Crm::start().await;
    crm.server.sql(
        "crm",
        "INSERT INTO accounts (username) SELECT 'u' || n FROM generate_series(1, 10000) n; \
         INSERT INTO team_members SELECT a.id, t.id FROM accounts a, teams t WHERE hashtext(a.username || t.id) % 40 = 0",
    );
    let connector = crm.example().connector();
    let begun = tokio::time::Instant::now();
    let (records, rejected, pages) = list(&*connector, &accounts()).await.unwrap();
    println!("10,000 accounts were listed in {:?}", begun.elapsed());
    assert_eq!((records.len(), rejected.len(), pages), (10_000, 0, 21));
    let refs: usize = records
        .iter()
        .map(|record| match record {
            Record::Account(account) => account.memberships.of("team").len(),
            Record::Entity(_) => 0,
        })
        .sum();
    assert_eq!(refs.to_string(), crm.server.sql("crm", "SELECT count(*) FROM team_members").trim());
    assert!(refs > 10_000, "{refs}");
    assert_eq!(list(&*connector, &ResourceType::group("team", "Team")).await.unwrap().0.len(), 200);
    let unknown = connector.list(&ResourceType::group("role", "Role"), None).await.unwrap_err();
    assert_eq!(unknown.retry(), Retry::Never);
}
