//! Every type of paging, and every way in which a list can appear to end early.

use std::sync::{Arc, Mutex};

use bridgehead_sdk::{Code, Effect, Error};
use serde_json::{Map, Value, json};
use wiremock::{Mock, MockServer, Request, ResponseTemplate, matchers};

use crate::support::{accounts, build, list, set};

const SIZE: usize = 10;

/// A list of users on a server; `page` builds the response from the query and the address of the server.
struct List {
    server: MockServer,
    target: Map<String, Value>,
}

type Query = std::collections::BTreeMap<String, String>;

impl List {
    async fn new(
        paging: Value,
        query: Value,
        page: impl Fn(&Query, &str) -> ResponseTemplate + Send + Sync + 'static,
    ) -> Self {
        let server = MockServer::start().await;
        let base = server.uri();
        let answer = move |request: &Request| {
            let query = request
                .url
                .query_pairs()
                .map(|(name, value)| (name.into_owned(), value.into_owned()))
                .collect();
            page(&query, &base)
        };
        Mock::given(matchers::path("/users")).respond_with(answer).mount(&server).await;
        let target = json!({
            "base_url": server.uri(),
            "check": { "path": "/ping" },
            "accounts": {
                "list": { "path": "/users", "records": "answer.items", "query": query, "paging": paging },
                "record": { "id": "record.id", "username": "record.id" },
            },
            "find": { "scan": true },
        });
        Self { server, target: target.as_object().unwrap().clone() }
    }

    async fn read(&self) -> Result<(usize, usize), Error> {
        let (ids, rejected, pages) = list(&build(&self.target).unwrap(), &accounts()).await?;
        assert_eq!(rejected, []);
        let distinct: std::collections::BTreeSet<&String> = ids.iter().collect();
        assert_eq!(distinct.len(), ids.len(), "a record came twice");
        Ok((ids.len(), pages))
    }

    async fn fails(&self, message: &str) {
        let error = self.read().await.unwrap_err();
        assert!(error.message().contains(message), "{error}");
        assert_eq!((error.code(), error.effect()), (Code::InternalError, Effect::NotApplied));
    }
}

fn users(range: std::ops::Range<usize>) -> Vec<Value> {
    range.map(|number| json!({ "id": format!("u{number:04}") })).collect()
}

fn number(query: &Query, name: &str) -> usize {
    query.get(name).map_or(0, |text| text.parse().unwrap())
}

fn items(items: impl Into<Value>, more: &Value) -> ResponseTemplate {
    let mut body = json!({ "items": items.into() });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    ResponseTemplate::new(200).set_body_json(body)
}

fn offset(query: &Query, count: usize, cap: usize, more: &Value) -> ResponseTemplate {
    let from = number(query, "from").min(count);
    items(users(from..count.min(from + number(query, "n").min(cap))), more)
}

fn by_offset(more: &Value) -> (Value, Value) {
    let mut paging = json!({ "type": "offset", "size": SIZE });
    paging.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    (paging, json!({ "from": "{{ page.offset }}", "n": "{{ page.size }}" }))
}

const COUNTS: [usize; 7] = [0, 1, 2, SIZE, SIZE + 1, 3 * SIZE, 47];

#[tokio::test]
async fn offset_paging_reads_lists_of_any_length_and_short_pages() {
    for more in [json!({}), json!({ "total": "answer.total" }), json!({ "more": "answer.more" })] {
        for count in COUNTS {
            for cap in [1, 3, SIZE] {
                let (paging, query) = by_offset(&more);
                let page = move |query: &Query, _: &str| {
                    let more = number(query, "from") + number(query, "n").min(cap) < count;
                    offset(query, count, cap, &json!({ "total": count, "more": more }))
                };
                let list = List::new(paging, query, page).await;
                assert_eq!(list.read().await.unwrap().0, count, "{more} {count} {cap}");
            }
        }
    }
}

#[tokio::test]
async fn page_number_paging_reads_lists_of_any_length() {
    for (more, first) in [
        (json!({}), 1),
        (json!({ "total": "answer.total" }), 1),
        (json!({ "pages": "answer.pages", "first": 0 }), 0),
        (json!({ "more": "answer.more" }), 1),
    ] {
        for count in COUNTS {
            let mut paging = json!({ "type": "page" });
            paging.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            let page = move |query: &Query, _: &str| {
                let from = (number(query, "p") - first) * SIZE;
                let more =
                    json!({ "total": count, "pages": count.div_ceil(SIZE), "more": from + SIZE < count });
                items(users(from.min(count)..count.min(from + SIZE)), &more)
            };
            let list = List::new(paging, json!({ "p": "{{ page.number }}" }), page).await;
            assert_eq!(list.read().await.unwrap().0, count, "{more} {count}");
        }
    }
}

#[tokio::test]
async fn cursor_paging_reads_lists_of_any_length() {
    for count in COUNTS {
        for numbers in [true, false] {
            let page = move |query: &Query, _: &str| {
                let from = query.get("after").map_or(0, |text| text.trim_start_matches('#').parse().unwrap());
                let next = from + SIZE;
                let next = match numbers {
                    _ if next >= count => Value::Null,
                    true => json!(next),
                    false => json!(format!("#{next}")),
                };
                items(users(from..count.min(from + SIZE)), &json!({ "next": next, "total": count }))
            };
            let paging = json!({ "type": "cursor", "next": "answer.next", "total": "answer.total" });
            let list = List::new(paging, json!({ "after": "{{ page.cursor }}" }), page).await;
            assert_eq!(list.read().await.unwrap(), (count, count.div_ceil(SIZE).max(1)));
            let requests = list.server.received_requests().await.unwrap();
            assert_eq!(requests[0].url.query(), None, "there is no cursor at first");
        }
    }
}

#[tokio::test]
async fn link_paging_reads_lists_of_any_length() {
    for count in COUNTS {
        for form in ["header", "relative", "body", "x-next"] {
            let page = move |query: &Query, base: &str| {
                let from = number(query, "from");
                let next = (from + SIZE < count).then(|| format!("/users?from={}", from + SIZE));
                let reply = items(
                    users(from..count.min(from + SIZE)),
                    &json!({ "next": next.as_ref().map(|next| format!("{base}{next}")) }),
                );
                match (form, next) {
                    ("header", Some(next)) => reply.insert_header(
                        "Link",
                        format!("<{base}/users>; rel=first, <{base}{next}>; rel=\"next\"").as_str(),
                    ),
                    ("relative", Some(next)) => {
                        reply.insert_header("Link", format!("<{next}>; rel=next").as_str())
                    }
                    ("x-next", Some(next)) => reply.insert_header("X-Next", next.as_str()),
                    _ => reply,
                }
            };
            let paging = match form {
                "body" => json!({ "type": "link", "next": "answer.next" }),
                "x-next" => json!({ "type": "link", "next": "headers['x-next'] | default(none)" }),
                _ => json!({ "type": "link" }),
            };
            let list = List::new(paging, json!({}), page).await;
            assert_eq!(list.read().await.unwrap(), (count, count.div_ceil(SIZE).max(1)), "{form} {count}");
        }
    }
}

#[tokio::test]
async fn unpaged_list_is_split_into_pages() {
    for count in COUNTS {
        let paging = json!({ "type": "whole", "size": SIZE });
        let list = List::new(paging, json!({}), move |_, _| items(users(0..count), &json!({}))).await;
        assert_eq!(list.read().await.unwrap().0, count);
    }
}

#[tokio::test]
async fn repeated_page_is_an_error() {
    let same = || items(users(0..SIZE), &json!({ "next": "x", "total": 47 }));
    let (paging, query) = by_offset(&json!({}));
    List::new(paging, query, move |_, _| same()).await.fails("the same page was returned twice").await;
    let query = json!({ "p": "{{ page.number }}" });
    List::new(json!({ "type": "page" }), query, move |_, _| same())
        .await
        .fails("the same page was returned twice")
        .await;
    let paging = json!({ "type": "cursor", "next": "answer.next ~ (page.cursor | default(''))" });
    let query = json!({ "c": "{{ page.cursor }}" });
    let list = List::new(paging, query, move |_, _| same()).await;
    assert!(list.read().await.is_err());
    let itself = |_: &Query, base: &str| {
        items(users(0..SIZE), &json!({})).insert_header("Link", format!("<{base}/users>; rel=next").as_str())
    };
    List::new(json!({ "type": "link" }), json!({}), itself).await.fails("the same page").await;
}

#[tokio::test]
async fn next_link_to_another_host_is_not_followed() {
    for other in [
        "https://evil.example.com/users",
        "http://127.0.0.1:1/users",
        "//127.0.0.1:1/x",
        "http://u:p@HOST/users",
    ] {
        let page = move |_: &Query, base: &str| {
            let host = base.trim_start_matches("http://");
            let next = other.replace("HOST", host);
            items(users(0..SIZE), &json!({ "next": next }))
        };
        let paging = json!({ "type": "link", "next": "answer.next" });
        let list = List::new(paging, json!({}), page).await;
        list.fails("at another address").await;
        assert_eq!(list.server.received_requests().await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn list_shorter_than_its_total_is_an_error() {
    let (paging, query) = by_offset(&json!({ "total": "answer.total" }));
    let page = |query: &Query, _: &str| offset(query, 25, SIZE, &json!({ "total": 30 }));
    List::new(paging, query, page).await.fails("ends after 25 records").await;
    let paging = json!({ "type": "cursor", "next": "answer.next", "total": "answer.total" });
    let page = |_: &Query, _: &str| items(users(0..SIZE), &json!({ "next": null, "total": 11 }));
    List::new(paging, json!({ "c": "{{ page.cursor }}" }), page).await.fails("ends after 10 records").await;
    let (paging, query) = by_offset(&json!({ "more": "answer.more" }));
    let page = |query: &Query, _: &str| offset(query, 25, SIZE, &json!({ "more": true }));
    List::new(paging, query, page).await.fails("but returns none").await;
}

#[tokio::test]
async fn missing_list_is_not_an_empty_list() {
    for (body, message) in [
        (json!({}), "needs answer.items, which is missing"),
        (json!({ "items": null }), "is not a list"),
        (json!({ "items": {} }), "is not a list"),
        (json!({ "items": "none" }), "is not a list"),
        (json!([]), "needs answer.items"),
        (json!({ "error": "hunter2" }), "needs answer.items"),
    ] {
        let page = move |_: &Query, _: &str| ResponseTemplate::new(200).set_body_json(&body);
        List::new(Value::Null, json!({}), page).await.fails(message).await;
    }
    let page = |_: &Query, _: &str| ResponseTemplate::new(200).set_body_string("<html>maintenance");
    List::new(Value::Null, json!({}), page).await.fails("the body is a web page").await;
    let page = |_: &Query, _: &str| ResponseTemplate::new(204);
    List::new(Value::Null, json!({}), page).await.fails("the body is empty").await;
    // The response should contain the next position, but does not.
    let paging = json!({ "type": "cursor", "next": "answer.next" });
    let page = |_: &Query, _: &str| items(users(0..SIZE), &json!({}));
    List::new(paging, json!({ "c": "{{ page.cursor }}" }), page).await.fails("needs answer.next").await;
    let page =
        |_: &Query, _: &str| items(users(0..SIZE), &json!({})).insert_header("Link", "https://x; rel=next");
    List::new(json!({ "type": "link" }), json!({}), page).await.fails("unreadable Link header").await;
}

/// Returns users by offset from a list that `after` changes once the first response was sent.
fn moving(
    after: impl Fn(Vec<Value>) -> Vec<Value> + Send + Sync + 'static,
) -> impl Fn(&Query, &str) -> ResponseTemplate {
    let list = Arc::new(Mutex::new((users(0..40), true)));
    move |query: &Query, _: &str| {
        let mut list = list.lock().unwrap();
        let from = number(query, "from").min(list.0.len());
        let to = list.0.len().min(from + number(query, "n"));
        let page = list.0[from..to].to_vec();
        if list.1 {
            list.0 = after(std::mem::take(&mut list.0));
            list.1 = false;
        }
        items(page, &json!({}))
    }
}

#[tokio::test]
async fn no_account_is_skipped_when_others_are_removed_meanwhile() {
    // Two users of the first page are removed: the others move up by two.
    let (paging, query) = by_offset(&json!({}));
    let removed = |list: Vec<Value>| {
        list.into_iter().filter(|user| user["id"] != "u0002" && user["id"] != "u0009").collect()
    };
    assert_eq!(List::new(paging, query, moving(removed)).await.read().await.unwrap().0, 40);
    // One user is added at the front: the others move down.
    let (paging, query) = by_offset(&json!({}));
    let added = |list: Vec<Value>| [vec![json!({ "id": "new" })], list].concat();
    assert_eq!(List::new(paging, query, moving(added)).await.read().await.unwrap().0, 40);
    // All users of the first page are removed: it is no longer visible how far the others have moved.
    let (paging, query) = by_offset(&json!({}));
    let list = List::new(paging, query, moving(|list: Vec<Value>| list[SIZE..].to_vec())).await;
    list.fails("the list shifted").await;
}

#[tokio::test]
async fn list_that_shrinks_during_page_number_paging_is_an_error() {
    let paging = json!({ "type": "page", "total": "answer.total" });
    let page = |query: &Query, _: &str| {
        let from = (number(query, "p") - 1) * SIZE;
        items(users(from..from + SIZE), &json!({ "total": 40 - from / SIZE }))
    };
    let list = List::new(paging, json!({ "p": "{{ page.number }}" }), page).await;
    list.fails("records were removed while the list was read").await;
}

#[tokio::test]
async fn failed_page_can_be_requested_again() {
    let failing = Arc::new(Mutex::new(false));
    let fails = Arc::clone(&failing);
    let (paging, query) = by_offset(&json!({}));
    let page = move |query: &Query, _: &str| {
        if *fails.lock().unwrap() { ResponseTemplate::new(503) } else { offset(query, 25, SIZE, &json!({})) }
    };
    let list = List::new(paging, query, page).await;
    let connector = build(&list.target).unwrap();
    let first = connector.list(&accounts(), None).await.unwrap();
    *failing.lock().unwrap() = true;
    let error = connector.list(&accounts(), first.next.as_ref()).await.unwrap_err();
    assert_eq!((error.effect(), error.retry()), (Effect::NotApplied, bridgehead_sdk::Retry::Backoff));
    *failing.lock().unwrap() = false;
    let again = connector.list(&accounts(), first.next.as_ref()).await.unwrap();
    assert_eq!(first.records.len() + again.records.len(), 15);
}

#[tokio::test]
async fn oversized_list_response_is_an_error() {
    let mut list = List::new(Value::Null, json!({}), |_, _| items(users(0..1000), &json!({}))).await;
    set(&mut list.target, "limits", json!({ "body_bytes": 2048 }));
    list.fails("larger than 2048 bytes").await;
}
