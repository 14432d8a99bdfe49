//! Proof that a listing is complete, on every database.

use std::sync::Arc;

use bridgehead_sdk::{Connector, Error, Evidence, Retry};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Executor};

use crate::example::Example;
use crate::mariadb::Shop;
use crate::postgres::Crm;
use crate::sqlite::{Wiki, open};
use crate::support::{accounts, ids, list};

/// A connector for a table of people with `id` and `name`, ten per page.
fn people(example: Example, id_type: &str, list: &str) -> Arc<dyn Connector> {
    people_with(example, id_type, list).connector()
}

fn people_with(example: Example, id_type: &str, list: &str) -> Example {
    let accounts = json!({
        "id_type": id_type, "fields": { "id": "id", "username": "name" }, "page_size": 10, "list": list,
        "by_id": "SELECT id, name FROM people WHERE id = :id",
        "by_username": "SELECT id, name FROM people WHERE name = :username",
    });
    let example = example.with("groups", Value::Null).with("licenses", Value::Null);
    example.with("actions", Value::Null).with("accounts", accounts)
}

fn is_refused(error: &Error, part: &str) {
    assert_eq!(error.retry(), Retry::Never, "{error}");
    assert!(error.message().contains(part), "{error}");
}

async fn count(connector: &dyn Connector) -> usize {
    let (records, rejected, _) = list(connector, &accounts()).await.unwrap();
    assert_eq!(rejected, []);
    ids(&records).len()
}

/// UUIDs in uppercase and lowercase, as applications store them in text columns.
fn uuids() -> String {
    let rows = (0..100).map(|number| {
        let uuid = format!("{:08x}-0000-4000-8000-0000000000ab", (number * 2_654_435_761_u64) % 0xffff_ffff);
        let uuid = if number % 3 == 0 { uuid } else { uuid.to_uppercase() };
        format!("('{uuid}', 'p{number}')")
    });
    rows.collect::<Vec<_>>().join(", ")
}

#[tokio::test(flavor = "multi_thread")]
async fn uppercase_uuids_are_listed_completely() {
    let wiki = Wiki::start().await;
    let mut file = open(&wiki.path("app.sqlite")).await;
    let table = format!(
        "CREATE TABLE people (id TEXT PRIMARY KEY, name TEXT); INSERT INTO people VALUES {}",
        uuids()
    );
    file.execute(AssertSqlSafe(table)).await.unwrap();
    let by_key = "SELECT id, name FROM people WHERE id > COALESCE(:after, '') ORDER BY id LIMIT :limit";
    assert_eq!(count(&*people(wiki.example("app.sqlite").patient(), "uuid", by_key)).await, 100);

    let shop = Shop::start().await;
    shop.server.sql(
        "shop",
        &format!(
            "CREATE TABLE people (id CHAR(36) COLLATE utf8mb4_bin PRIMARY KEY, name TEXT); INSERT INTO people VALUES {}",
            uuids()
        ),
    );
    assert_eq!(count(&*people(shop.example().patient(), "uuid", by_key)).await, 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn inconsistent_id_collation_fails_the_listing() {
    let names = (0..100).map(|number| {
        let id = format!("{}{number}", char::from(b'a' + u8::try_from(number % 26).unwrap()));
        format!("('{}', 'p{number}')", if number % 2 == 0 { id } else { id.to_uppercase() })
    });
    let rows = names.collect::<Vec<_>>().join(", ");
    let part = "records would be missing";

    let wiki = Wiki::start().await;
    let mut file = open(&wiki.path("app.sqlite")).await;
    let table =
        format!("CREATE TABLE people (id TEXT PRIMARY KEY, name TEXT); INSERT INTO people VALUES {rows}");
    file.execute(AssertSqlSafe(table)).await.unwrap();
    let wrong =
        "SELECT id, name FROM people WHERE id > COALESCE(:after, '') ORDER BY id COLLATE NOCASE LIMIT :limit";
    is_refused(
        &list(&*people(wiki.example("app.sqlite").patient(), "text", wrong), &accounts()).await.unwrap_err(),
        part,
    );
    let right = wrong.replace(" COLLATE NOCASE", "");
    assert_eq!(count(&*people(wiki.example("app.sqlite").patient(), "text", &right)).await, 100);

    let crm = Crm::start().await;
    crm.server.sql("crm", &format!("CREATE TABLE people (id text COLLATE \"C\" PRIMARY KEY, name text); INSERT INTO people VALUES {rows}"));
    let wrong = "SELECT id, name FROM people WHERE id > COALESCE(:after, '') ORDER BY lower(id) LIMIT :limit";
    is_refused(&list(&*people(crm.example().patient(), "text", wrong), &accounts()).await.unwrap_err(), part);
    let right = wrong.replace("lower(id)", "id");
    assert_eq!(count(&*people(crm.example().patient(), "text", &right)).await, 100);
    // The operator's own count finds what the listing's condition excludes.
    let example =
        people_with(crm.example().patient(), "text", &right.replace("WHERE", "WHERE name <> 'p7' AND"));
    assert_eq!(count(&*example.connector()).await, 99);
    let counted = example.with("accounts.count", "SELECT count(*) FROM people").connector();
    is_refused(&list(&*counted, &accounts()).await.unwrap_err(), "99 rows page by page, but there are 100");

    let shop = Shop::start().await;
    shop.server.sql("shop", &format!("CREATE TABLE people (id VARCHAR(64) COLLATE utf8mb4_unicode_ci PRIMARY KEY, name TEXT); INSERT INTO people VALUES {rows}"));
    let wrong = "SELECT id, name FROM people WHERE id > COALESCE(:after, '') ORDER BY BINARY id LIMIT :limit";
    is_refused(
        &list(&*people(shop.example().patient(), "text", wrong), &accounts()).await.unwrap_err(),
        part,
    );
    let right = wrong.replace("BINARY id", "id");
    assert_eq!(count(&*people(shop.example().patient(), "text", &right)).await, 100);
    // MariaDB does not accept '' as a UUID, and returns no records.
    shop.server.sql("shop", "DROP TABLE people; CREATE TABLE people (id UUID PRIMARY KEY, name TEXT); INSERT INTO people SELECT UUID(), seq FROM seq_1_to_50");
    for id_type in ["text", "uuid"] {
        let connector = people(shop.example().patient(), id_type, &right);
        is_refused(&list(&*connector, &accounts()).await.unwrap_err(), "leaves out the identifier");
        assert!(connector.check().await.unwrap_err().message().contains("accounts.list"), "{id_type}");
    }
}

/// One record is returned twice and another never, and each page has the expected length: the runtime compares the distinct records with
/// the total of the last page.
#[tokio::test(flavor = "multi_thread")]
async fn duplicate_record_makes_the_listing_miss_its_total() {
    let rows = "INSERT INTO people VALUES ('c', 'c', 1), ('b', 'b', 2), ('a', 'a', 3), ('d', 'd', 4)";
    // After c and b come c and d: two rows, as many as after a and b.
    let by_place = "SELECT id, name FROM people WHERE id > COALESCE(:after, '') ORDER BY place LIMIT :limit";
    let wiki = Wiki::start().await;
    let mut file = open(&wiki.path("app.sqlite")).await;
    let table = "CREATE TABLE people (id VARCHAR(9), name VARCHAR(9), place INTEGER)";
    file.execute(AssertSqlSafe(format!("{table}; {rows}"))).await.unwrap();
    let shop = Shop::start().await;
    shop.server.sql("shop", &format!("{table}; {rows}"));
    for example in [wiki.example("app.sqlite").patient(), shop.example().patient()] {
        let connector = people_with(example, "text", by_place).with("accounts.page_size", 2).connector();
        let (mut given, mut cursor) = (Vec::new(), None);
        let total = loop {
            let page = connector.list(&accounts(), cursor.as_ref()).await.unwrap();
            given.extend(page.records);
            cursor = page.next;
            if cursor.is_none() {
                break page.total;
            }
        };
        assert_eq!((given.len(), ids(&given).len(), total), (4, 3, Some(4)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_below_the_first_cursor_are_not_skipped() {
    let rows = "INSERT INTO people VALUES (-3, 'a'), (0, 'b'), (1, 'c'), (7, 'd')";
    let from_nought = "SELECT id, name FROM people WHERE id > COALESCE(:after, 0) ORDER BY id LIMIT :limit";
    let from_the_least = from_nought.replace("COALESCE(:after, 0)", "COALESCE(:after, -9223372036854775808)");
    let said = from_nought.replace("WHERE", "WHERE id > 0 AND");
    let wiki = Wiki::start().await;
    let mut file = open(&wiki.path("app.sqlite")).await;
    file.execute(AssertSqlSafe(format!("CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT); {rows}")))
        .await
        .unwrap();
    let crm = Crm::start().await;
    crm.server.sql("crm", &format!("CREATE TABLE people (id int PRIMARY KEY, name text); {rows}"));
    let shop = Shop::start().await;
    shop.server.sql("shop", &format!("CREATE TABLE people (id INT PRIMARY KEY, name TEXT); {rows}"));
    for example in [wiki.example("app.sqlite").patient(), crm.example().patient(), shop.example().patient()] {
        let connector = people(example.clone(), "integer", from_nought);
        let error = list(&*connector, &accounts()).await.unwrap_err();
        is_refused(&error, "leaves out the identifier -3");
        assert!(connector.check().await.is_err());
        let connector = people(example.clone(), "integer", &from_the_least);
        connector.check().await.unwrap();
        assert_eq!(count(&*connector).await, 4);
        assert_eq!(
            count(&*people(example, "integer", &said)).await,
            2,
            "what is left out by a condition is meant"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn last_page_states_its_evidence() {
    let crm = Crm::start().await;
    let wiki = Wiki::start().await;
    for (connector, evidence, total) in [
        (crm.example().patient().connector(), Evidence::Atomic, Some(0)),
        (wiki.example("app.sqlite").patient().connector(), Evidence::EndOfCursor, Some(0)),
    ] {
        let page = connector.list(&accounts(), None).await.unwrap();
        assert_eq!((page.evidence, page.total), (Some(evidence), total));
        let described = connector.describe().await.unwrap();
        assert!(!described.unverifiable.contains("email"), "{described:?}");
    }
    let blind = crm.example().patient().with("groups", json!([{
        "slug": "team", "fields": { "id": "id", "name": "name" }, "paging": "none", "list": "SELECT id, name FROM teams",
    }]));
    let described = blind.connector().describe().await.unwrap();
    assert!(described.unverifiable.contains("memberships.team"), "{described:?}");

    // A cursor of an earlier process, or of a listing that paused for too long.
    let cursor = bridgehead_sdk::Cursor::new(r#"{"rows":500,"last":"x","total":600,"snapshot":"abc-0"}"#);
    let error = crm.example().patient().connector().list(&accounts(), Some(&cursor)).await.unwrap_err();
    is_refused(&error, "starting over");
}
