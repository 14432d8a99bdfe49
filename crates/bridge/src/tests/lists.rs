use std::time::Duration;

use futures::future::join_all;
use serde_json::{Value, json};
use uuid::Uuid;
use wiremock::matchers::{any, path, query_param, query_param_is_missing};
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use super::support::*;
use crate::{Api, AppId, Error, TaskPage, TaskQuery, TaskStatus};

const QUERY: TaskQuery = TaskQuery { status: TaskStatus::Pending, limit: 2 };

fn tasks_url(server: &MockServer, query: &str) -> String {
    format!("{}/api/v1/bridge/apps/{APP}/tasks/?{query}", server.uri())
}

async fn first_page(server: &MockServer, answer: Value) -> Result<TaskPage, Error> {
    Mock::given(any()).respond_with(ResponseTemplate::new(200).set_body_json(answer)).mount(server).await;
    client(&server.uri()).tasks(app(), &QUERY).await
}

/// Pages of two tasks, counted by offset, as documented.
async fn pages_of_tasks(server: &MockServer, total: u64) {
    let base = tasks_url(server, "");
    let respond = move |request: &Request| {
        let number =
            |name| request.url.query_pairs().find(|(n, _)| n == name).and_then(|(_, v)| v.parse().ok());
        let (limit, offset) = (number("limit").unwrap_or(50), number("offset").unwrap_or(0));
        let end = (offset + limit).min(total);
        let next = (end < total).then(|| format!("{base}status=pending&limit={limit}&offset={end}"));
        let items: Vec<_> = (offset..end).map(|n: u64| json!({"id": format!("t{n}")})).collect();
        ResponseTemplate::new(200).set_body_json(json!({"count": total, "next": next, "results": items}))
    };
    Mock::given(path(format!("/api/v1/bridge/apps/{APP}/tasks/"))).respond_with(respond).mount(server).await;
}

#[tokio::test]
async fn pages_are_followed_to_the_end() {
    let server = MockServer::start().await;
    pages_of_tasks(&server, 5).await;
    let client = client(&server.uri());
    let mut page = client.tasks(app(), &QUERY).await.unwrap();
    let mut ids: Vec<_> = page.tasks.iter().map(|task| task.id.to_string()).collect();
    while let Some(next) = page.next {
        page = client.next_tasks(app(), &next).await.unwrap();
        ids.extend(page.tasks.iter().map(|task| task.id.to_string()));
    }
    assert_eq!(ids, ["t0", "t1", "t2", "t3", "t4"]);
}

#[tokio::test]
async fn page_can_be_requested_again_or_rewound() {
    let server = MockServer::start().await;
    pages_of_tasks(&server, 6).await;
    let client = client(&server.uri());
    let next = client.tasks(app(), &QUERY).await.unwrap().next.unwrap();
    let ids = |page: &TaskPage| page.tasks.iter().map(|task| task.id.to_string()).collect::<Vec<_>>();
    for _ in 0..3 {
        assert_eq!(ids(&client.next_tasks(app(), &next).await.unwrap()), ["t2", "t3"]);
    }
    let mut rewound = next.rewind(1);
    for expected in [["t1", "t2"], ["t3", "t4"]] {
        let page = client.next_tasks(app(), &rewound).await.unwrap();
        assert_eq!(ids(&page), expected);
        rewound = page.next.unwrap();
    }
}

#[tokio::test]
async fn link_to_another_origin_is_not_followed() {
    let elsewhere = MockServer::start().await;
    let server = MockServer::start().await;
    let link = tasks_url(&elsewhere, "offset=2");
    let error = first_page(&server, json!({"next": link, "results": [{"id": "t"}]})).await.unwrap_err();
    assert!(matches!(&error, Error::ForeignLink { target, .. } if *target == elsewhere.uri()), "{error}");
    assert!(elsewhere.received_requests().await.unwrap().is_empty());

    let apps = client(&server.uri()).list_apps().await.unwrap_err();
    assert!(matches!(apps, Error::ForeignLink { .. }));
    assert!(elsewhere.received_requests().await.unwrap().is_empty());
}

#[tokio::test]
async fn next_page_link_is_bound_to_its_app() {
    let server = MockServer::start().await;
    pages_of_tasks(&server, 3).await;
    let client = client(&server.uri());
    let next = client.tasks(app(), &QUERY).await.unwrap().next.unwrap();
    let other = "33333333-3333-4333-8333-333333333333".parse().unwrap();
    assert!(matches!(client.next_tasks(other, &next).await, Err(Error::ForeignLink { .. })));
}

#[tokio::test]
async fn looping_links_end_with_an_error() {
    let server = MockServer::start().await;
    for (from, to) in [(None, "2"), (Some("2"), "4"), (Some("4"), "2")] {
        let answer = json!({"next": tasks_url(&server, &format!("offset={to}")), "results": [{"id": "t"}]});
        let mock = match from {
            None => Mock::given(query_param_is_missing("offset")),
            Some(offset) => Mock::given(query_param("offset", offset)),
        };
        mock.respond_with(ResponseTemplate::new(200).set_body_json(answer)).mount(&server).await;
    }
    let client = client(&server.uri());
    let mut page = client.tasks(app(), &QUERY).await;
    let mut pages = 0;
    let error = loop {
        match page {
            Ok(TaskPage { next: Some(next), .. }) => page = client.next_tasks(app(), &next).await,
            Ok(_) => panic!("the circle has no end"),
            Err(error) => break error,
        }
        pages += 1;
        assert!(pages < 10);
    };
    assert!(matches!(error, Error::LinkLoop { .. }), "{error}");
}

#[tokio::test]
async fn list_with_looping_links_fails() {
    let server = MockServer::start().await;
    let link = format!("{}/api/v1/bridge/apps/?offset=1", server.uri());
    let answer = json!({"next": link, "results": [{"id": APP}]});
    Mock::given(any()).respond_with(ResponseTemplate::new(200).set_body_json(answer)).mount(&server).await;
    let error = client(&server.uri()).list_apps().await.unwrap_err();
    assert!(matches!(error, Error::LinkLoop { .. }), "{error}");
}

#[tokio::test]
async fn list_combines_all_pages() {
    let server = MockServer::start().await;
    let kind = |slug: &str| json!({"slug": slug, "name": slug, "type": "group"});
    let link = format!("{}/api/v1/bridge/apps/{APP}/resource-types/?offset=1", server.uri());
    let pages =
        [(None, json!({"next": link, "results": [kind("a")]})), (Some("1"), json!({"results": [kind("b")]}))];
    for (offset, answer) in pages {
        let mock = match offset {
            None => Mock::given(query_param_is_missing("offset")),
            Some(offset) => Mock::given(query_param("offset", offset)),
        };
        mock.respond_with(ResponseTemplate::new(200).set_body_json(answer)).mount(&server).await;
    }
    let listed = client(&server.uri()).list_resource_types(app()).await.unwrap();
    assert_eq!(listed.iter().map(|one| one.slug.as_str()).collect::<Vec<_>>(), ["a", "b"]);
}

#[tokio::test]
async fn apps_found_at_the_same_time_share_two_lists() {
    let server = MockServer::start().await;
    let ids: Vec<AppId> = (0..300).map(|number| Uuid::from_u128(number).into()).collect();
    let listed: Vec<Value> =
        ids[1..].iter().map(|id| json!({"id": id.to_string(), "name": "an app"})).collect();
    let answer = ResponseTemplate::new(200).set_body_json(listed).set_delay(Duration::from_millis(50));
    Mock::given(path("/api/v1/bridge/apps/")).respond_with(answer).mount(&server).await;
    let client = client(&server.uri());
    let found = join_all(ids.iter().map(|id| client.find_app(*id))).await;
    for (id, found) in ids.iter().zip(found) {
        assert_eq!(found.unwrap().map(|app| app.id), (*id != ids[0]).then_some(*id));
    }
    let requests = server.received_requests().await.unwrap().len();
    assert_eq!(requests, 2, "one that began with the first call, and one for all others");
    client.find_app(ids[1]).await.unwrap();
    assert_eq!(server.received_requests().await.unwrap().len(), 3, "a later call reads the list again");
}
