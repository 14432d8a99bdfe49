//! Paging with servers that misbehave, and memberships that are not in the configured attribute.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bridgehead_sdk::{AccountRecord, ResourceType};
use serde_json::{Value, json};
use wiremock::{Request, Respond, ResponseTemplate};

use crate::fake::{Fake, error, json_answer, list, page};
use crate::support::{accounts, groups};

/// Users in an order that changes while they are listed: after certain responses, a user is added or removed.
struct Moving {
    users: Mutex<Vec<String>>,
    most: usize,
    answered: AtomicUsize,
    events: Vec<(usize, Event)>,
}

#[derive(Clone)]
enum Event {
    Goes(&'static str),
    ComesFirst(&'static str),
}

impl Respond for Moving {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let query = |name: &str| {
            let found = request.url.query_pairs().find(|(key, _)| key == name);
            found.and_then(|(_, value)| value.parse::<usize>().ok())
        };
        let start = query("startIndex").unwrap().max(1);
        let count = query("count").unwrap().min(self.most);
        let mut users = self.users.lock().unwrap();
        let resources: Vec<Value> = users
            .iter()
            .skip(start - 1)
            .take(count)
            .map(|id| json!({ "id": id, "userName": format!("name-{id}") }))
            .collect();
        let total = users.len();
        let number = self.answered.fetch_add(1, Ordering::SeqCst);
        for (_, event) in self.events.iter().filter(|(at, _)| *at == number) {
            match event {
                Event::Goes(id) => users.retain(|known| known != id),
                Event::ComesFirst(id) => users.insert(0, (*id).to_owned()),
            }
        }
        page(
            json!({ "totalResults": total, "startIndex": start, "itemsPerPage": resources.len(), "Resources": resources }),
        )
    }
}

async fn walk(people: usize, most: usize, events: Vec<(usize, Event)>) -> Vec<String> {
    let users = (0..people).map(|number| format!("u{number:02}")).collect();
    let fake = Fake::able(json!({})).await;
    fake.get("Users", Moving { users: Mutex::new(users), most, answered: AtomicUsize::new(0), events }).await;
    let found = accounts(&*fake.connector(json!({ "page_size": 5 }))).await.unwrap();
    found.into_iter().map(|record| record.id.into_string()).collect()
}

fn wanted(people: usize) -> Vec<String> {
    (0..people).map(|number| format!("u{number:02}")).collect()
}

#[tokio::test]
async fn listings_of_any_length_return_each_account_once() {
    for people in [0, 1, 4, 5, 6, 9, 10, 11, 23] {
        for most in [1, 2, 5, 100] {
            assert_eq!(
                walk(people, most, Vec::new()).await,
                wanted(people),
                "{people} people, {most} a page"
            );
        }
    }
}

#[tokio::test]
async fn no_account_is_skipped_when_others_are_removed() {
    for gone in [vec!["u00"], vec!["u04"], vec!["u00", "u01", "u02"], vec!["u00", "u01", "u02", "u03", "u04"]]
    {
        let events = gone.iter().map(|id| (0, Event::Goes(id))).collect();
        let mut found = walk(20, 5, events).await;
        found.dedup();
        let stayed: Vec<String> = wanted(20).into_iter().filter(|id| !gone.contains(&id.as_str())).collect();
        let missing: Vec<_> = stayed.iter().filter(|id| !found.contains(id)).collect();
        assert!(missing.is_empty(), "{gone:?} went, {missing:?} were passed over");
    }
}

#[tokio::test]
async fn no_account_is_skipped_when_others_are_added() {
    let events =
        vec![(0, Event::ComesFirst("x1")), (0, Event::ComesFirst("x2")), (1, Event::ComesFirst("x3"))];
    let found = walk(20, 5, events).await;
    assert!(wanted(20).iter().all(|id| found.contains(id)), "{found:?}");
}

async fn broken(pages: Vec<(&str, Value)>) -> String {
    let fake = Fake::able(json!({})).await;
    for (start, fields) in pages {
        fake.get_with("Users", ("startIndex", start), page(fields)).await;
    }
    let connector = fake.connector(json!({ "page_size": 2 }));
    accounts(&*connector).await.unwrap_err().message().to_owned()
}

fn users(ids: &[&str]) -> Value {
    ids.iter().map(|id| json!({ "id": id, "userName": id })).collect()
}

#[tokio::test]
async fn short_page_is_not_the_end_of_the_list() {
    let first = json!({ "totalResults": 4, "Resources": users(&["a", "b"]) });
    let empty = json!({ "totalResults": 4, "Resources": [] });
    let only = json!({ "totalResults": 4, "Resources": users(&["b"]) });
    for (pages, why) in [
        (vec![("1", json!({ "totalResults": 4, "Resources": [] }))], "a page is empty"),
        (vec![("1", json!({ "totalResults": 4 }))], "a page is empty"),
        (vec![("1", first.clone()), ("2", only), ("3", empty.clone())], "shows 2 different records"),
        (
            vec![("1", first.clone()), ("2", first.clone()), ("4", first.clone())],
            "a page contains only records that were already read",
        ),
        (vec![("1", json!({ "Resources": users(&["a"]) }))], "does not report the number"),
        (
            vec![("1", json!({ "totalResults": 4, "startIndex": 2, "Resources": users(&["b"]) }))],
            "does not start",
        ),
    ] {
        let told = broken(pages).await;
        assert!(told.contains("incomplete") && told.contains(why), "{why}: {told}");
    }
}

#[tokio::test]
async fn unstable_order_fails_the_listing() {
    struct Dice(AtomicUsize);
    impl Respond for Dice {
        fn respond(&self, _: &Request) -> ResponseTemplate {
            let number = self.0.fetch_add(1, Ordering::SeqCst);
            page(
                json!({ "totalResults": 1000, "Resources": users(&[&format!("x{number}"), &format!("y{number}")]) }),
            )
        }
    }
    let fake = Fake::able(json!({})).await;
    fake.get("Users", Dice(AtomicUsize::new(0))).await;
    let error = accounts(&*fake.connector(json!({ "page_size": 2 }))).await.unwrap_err();
    assert!(error.message().contains("order of its records changes"), "{error}");
}

#[tokio::test]
async fn cursors_are_followed_to_their_end() {
    let fake = Fake::able(json!({ "pagination": { "cursor": true, "index": false } })).await;
    let pages = [
        ("", json!({ "totalResults": 3, "nextCursor": "tok/+=1", "Resources": users(&["a", "b"]) })),
        ("tok/+=1", json!({ "totalResults": 3, "nextCursor": "tok 2", "Resources": [] })),
        ("tok 2", json!({ "totalResults": 3, "Resources": users(&["c"]) })),
    ];
    for (cursor, fields) in pages {
        fake.get_with("Users", ("cursor", cursor), page(fields)).await;
    }
    let found = accounts(&*fake.connector(json!({}))).await.unwrap();
    assert_eq!(ids(&found), ["a", "b", "c"]);
}

#[tokio::test]
async fn early_ending_or_looping_cursors_are_errors() {
    for (pages, why) in [
        (vec![("", json!({ "totalResults": 3, "Resources": users(&["a"]) }))], "shows 1 different records"),
        (
            vec![
                ("", json!({ "totalResults": 3, "nextCursor": "x", "Resources": users(&["a"]) })),
                ("x", json!({ "totalResults": 3, "nextCursor": "x", "Resources": users(&["a"]) })),
            ],
            "already read",
        ),
        (
            vec![
                ("", json!({ "totalResults": 3, "nextCursor": "x", "Resources": users(&["a"]) })),
                ("x", json!({ "totalResults": 3, "nextCursor": "y", "Resources": users(&["a"]) })),
                ("y", json!({ "totalResults": 3, "nextCursor": "x", "Resources": users(&["a"]) })),
            ],
            "already read",
        ),
    ] {
        let fake = Fake::able(json!({ "pagination": { "cursor": true, "index": true } })).await;
        for (cursor, fields) in pages {
            fake.get_with("Users", ("cursor", cursor), page(fields)).await;
        }
        let error = accounts(&*fake.connector(json!({}))).await.unwrap_err();
        assert!(error.message().contains(why), "{why}: {error}");
    }
    let fake = Fake::able(json!({ "pagination": { "cursor": true } })).await;
    fake.get_with("Users", ("cursor", ""), page(json!({ "nextCursor": "x", "Resources": users(&["a"]) })))
        .await;
    fake.get_with("Users", ("cursor", "x"), error(400, Some("expiredCursor"))).await;
    let error = accounts(&*fake.connector(json!({}))).await.unwrap_err();
    assert!(error.message().contains("expiredCursor"), "{error}");
}

#[tokio::test]
async fn account_added_after_the_only_cursor_page_is_not_an_error() {
    let fake = Fake::able(json!({ "pagination": { "cursor": true } })).await;
    fake.get_with(
        "Users",
        ("cursor", ""),
        page(json!({ "totalResults": 2, "Resources": users(&["a", "b"]) })),
    )
    .await;
    let came = page(json!({ "totalResults": 3, "startIndex": 3, "Resources": users(&["c"]) }));
    fake.get_with("Users", ("startIndex", "3"), came).await;
    let found = accounts(&*fake.connector(json!({}))).await.unwrap();
    assert_eq!(ids(&found), ["a", "b"]);
}

#[tokio::test]
async fn too_many_results_make_the_listing_incomplete() {
    let fake = Fake::able(json!({})).await;
    fake.get("Users", error(400, Some("tooMany"))).await;
    let error = accounts(&*fake.connector(json!({}))).await.unwrap_err();
    assert!(error.message().contains("tooMany") && error.message().contains("page_size"), "{error}");
}

fn ids(records: &[AccountRecord]) -> Vec<&str> {
    records.iter().map(|record| record.id.as_str()).collect()
}

fn memberships(records: &[AccountRecord]) -> Vec<Vec<String>> {
    let of =
        |record: &AccountRecord| record.memberships.of("group").iter().map(|one| one.id.clone()).collect();
    records.iter().map(of).collect()
}

/// Two users and one group; each side may show that the first user is in the group.
async fn two_sided(on_user: bool, on_group: bool) -> Fake {
    let fake = Fake::able(json!({})).await;
    let mut ann = json!({ "id": "u1", "userName": "ann" });
    if on_user {
        ann["groups"] = json!([{ "value": "g1" }]);
    }
    let mut group = json!({ "id": "g1", "displayName": "G" });
    if on_group {
        group["members"] = json!([{ "value": "u1" }]);
    }
    let bob = json!({ "id": "u2", "userName": "bob" });
    for one in [&ann, &bob] {
        fake.get(&format!("Users/{}", one["id"].as_str().unwrap()), json_answer(200, one)).await;
    }
    fake.get("Groups/g1", json_answer(200, &group)).await;
    fake.get("Users", list(&json!([ann, bob]))).await;
    fake.get("Groups", list(&json!([group]))).await;
    fake
}

#[tokio::test]
async fn memberships_are_read_from_groups_or_accounts() {
    let wanted = [vec!["g1".to_owned()], Vec::new()];
    let fake = two_sided(false, true).await;
    assert_eq!(memberships(&accounts(&*fake.connector(json!({ "groups": {} }))).await.unwrap()), wanted);
    let fake = two_sided(true, false).await;
    let connector = fake.connector(json!({ "groups": { "memberships_from": "accounts" } }));
    assert_eq!(memberships(&accounts(&*connector).await.unwrap()), wanted);
    assert_eq!(groups(&*connector).await, [("G".to_owned(), "g1".to_owned())].into());
}

#[tokio::test]
async fn wrong_memberships_source_is_an_error_and_not_empty_groups() {
    let fake = two_sided(true, false).await;
    let error = accounts(&*fake.connector(json!({ "groups": {} }))).await.unwrap_err();
    assert!(error.message().contains("memberships_from = \"accounts\""), "{error}");
    let fake = two_sided(false, true).await;
    let connector = fake.connector(json!({ "groups": { "memberships_from": "accounts" } }));
    let error = accounts(&*connector).await.unwrap_err();
    assert!(error.message().contains("memberships_from = \"groups\""), "{error}");
    let fake = two_sided(false, false).await;
    assert_eq!(
        memberships(&accounts(&*fake.connector(json!({ "groups": {} }))).await.unwrap()),
        [Vec::<String>::new(), Vec::new()]
    );
}

#[tokio::test]
async fn fields_missing_from_accounts_are_declared_unverifiable() {
    // No user shows whether it is active; the group shows a member.
    let fake = two_sided(false, true).await;
    let description = fake.connector(json!({ "groups": {} })).describe().await.unwrap();
    assert_eq!(description.unverifiable, ["status".to_owned()].into());
    let warnings = &description.warnings;
    assert!(warnings.len() == 1 && warnings[0].contains("active"), "{warnings:?}");
    // Only the users show memberships: the warning names the key to change.
    let fake = two_sided(true, false).await;
    let warnings = fake.connector(json!({ "groups": {} })).describe().await.unwrap().warnings;
    assert!(warnings.iter().any(|one| one.contains("memberships_from = \"accounts\"")), "{warnings:?}");
}

#[tokio::test]
async fn check_detects_an_ignored_member_filter() {
    let fake = two_sided(false, true).await;
    let settings = json!({ "groups": { "filter_members": true } });
    fake.connector(settings.clone()).check().await.unwrap();
    let fake = two_sided(false, true).await;
    fake.get_with("Groups", ("filter", "members.value eq \"u1\""), list(&json!([]))).await;
    let error = fake.connector(settings).check().await.unwrap_err();
    assert!(error.message().contains("filter_members = false"), "{error}");
}

#[tokio::test]
async fn listing_is_refused_once_its_memberships_are_discarded() {
    let fake = Fake::able(json!({})).await;
    let ids: Vec<String> = (0..9).map(|number| format!("u{number}")).collect();
    let moving = || Moving {
        users: Mutex::new(ids.clone()),
        most: 5,
        answered: AtomicUsize::new(0),
        events: Vec::new(),
    };
    fake.get("Users", moving()).await;
    fake.get("Groups", list(&json!([{ "id": "g1", "displayName": "G", "members": [{ "value": "u1" }] }])))
        .await;
    let settings = json!({ "groups": {}, "page_size": 5 });
    let account = ResourceType::account("account", "Account");
    let first = fake.connector(settings.clone()).list(&account, None).await.unwrap();
    let restarted = fake.connector(settings);
    let error = restarted.list(&account, first.next.as_ref()).await.unwrap_err();
    assert!(error.message().contains("has been discarded"), "{error}");
}

#[tokio::test]
async fn invalid_user_is_rejected_and_the_others_are_listed() {
    let fake = Fake::able(json!({})).await;
    fake.get(
        "Users",
        list(&json!([{ "id": "u1", "userName": "ann" }, { "id": "u2", "userName": "b", "active": 7 }])),
    )
    .await;
    let connector: Arc<dyn bridgehead_sdk::Connector> = fake.connector(json!({}));
    let page = connector.list(&ResourceType::account("account", "Account"), None).await.unwrap();
    assert_eq!((page.records.len(), page.rejected.len()), (1, 1));
    assert_eq!(page.rejected[0].field, "active");
}
