//! Listing: pages, limits, and references that are not followed.

use bridgehead_sdk::{Code, Cursor, Effect, Record, Retry, Subject};
use bridgehead_test_servers::{OpenLdap, Options, Population};
use serde_json::json;

use crate::support::{connector, list, page, settings, with};

#[tokio::test]
async fn listing_truncated_by_size_limit_is_an_error() {
    let population = Population { accounts: 50, groups: 30, members: 2 };
    let options = Options::default().population(population).size_limit(25);
    let server = OpenLdap::start_with(options).await;
    let settings = with(settings("openldap", &server.directory), &json!({ "page_size": 10 }));
    let connector = connector(&server.directory, settings);
    for slug in ["account", "group"] {
        let error = list(&connector, slug).await.unwrap_err();
        assert_eq!(
            (error.code(), error.effect(), error.retry(), error.subject()),
            (Code::InternalError, Effect::NotApplied, Retry::Never, Subject::Account)
        );
        assert!(error.message().contains("sizeLimitExceeded (4)"), "{error}");
        assert!(error.message().contains("limits dn.exact"), "{error}");
    }
}

#[tokio::test]
async fn only_the_latest_page_can_be_requested_again() {
    let population = Population { accounts: 30, groups: 0, members: 0 };
    let server = OpenLdap::start_with(Options::default().population(population)).await;
    let settings = with(settings("openldap", &server.directory), &json!({ "page_size": 10 }));
    let connector = connector(&server.directory, settings);
    let first = page(&connector, "account", None).await.unwrap();
    let second = page(&connector, "account", first.next.as_ref()).await.unwrap();
    let again = page(&connector, "account", first.next.as_ref()).await.unwrap();
    assert_eq!((&second.records, &second.next), (&again.records, &again.next));
    let third = page(&connector, "account", second.next.as_ref()).await.unwrap();
    assert_eq!((third.records.len(), third.next), (10, None));
    assert!(page(&connector, "account", first.next.as_ref()).await.is_err());
    // The last page can be requested again too.
    let again = page(&connector, "account", second.next.as_ref()).await.unwrap();
    assert_eq!((again.records, again.next), (third.records, None));
}

#[tokio::test]
async fn cursor_of_another_listing_or_type_is_refused() {
    let population = Population { accounts: 30, groups: 0, members: 0 };
    let server = OpenLdap::start_with(Options::default().population(population)).await;
    let settings = with(settings("openldap", &server.directory), &json!({ "page_size": 10 }));
    let before = connector(&server.directory, settings.clone());
    let now = connector(&server.directory, settings);
    let cursor = page(&before, "account", None).await.unwrap().next.unwrap();
    for (slug, cursor) in [("account", cursor.clone()), ("account", Cursor::new("1-2")), ("group", cursor)] {
        let error = page(&now, slug, Some(&cursor)).await.unwrap_err();
        assert_eq!((error.code(), error.retry()), (Code::InternalError, Retry::Never));
    }
}

#[tokio::test]
async fn abandoned_listings_do_not_accumulate() {
    let population = Population { accounts: 30, groups: 0, members: 0 };
    let server = OpenLdap::start_with(Options::default().population(population)).await;
    let settings = with(settings("openldap", &server.directory), &json!({ "page_size": 10 }));
    let connector = connector(&server.directory, settings);
    let mut cursors = Vec::new();
    for _ in 0..20 {
        cursors.push(page(&connector, "account", None).await.unwrap().next.unwrap());
    }
    assert!(page(&connector, "account", cursors.first()).await.is_err());
    assert_eq!(page(&connector, "account", cursors.last()).await.unwrap().records.len(), 10);
}

#[tokio::test]
async fn account_without_a_username_is_rejected_with_its_dn() {
    let odd = "dn: cn=odd,ou=people,dc=test\nobjectClass: inetOrgPerson\ncn: odd\nsn: odd";
    let server = OpenLdap::start_with(Options::default().ldif(odd)).await;
    let connector = connector(&server.directory, settings("openldap", &server.directory));
    let page = page(&connector, "account", None).await.unwrap();
    assert_eq!(page.records, []);
    assert_eq!(page.rejected.len(), 1);
    let rejected = &page.rejected[0];
    assert_eq!(rejected.field, "username");
    assert!(rejected.to_string().contains("cn=odd,ou=people,dc=test"), "{rejected}");
}

#[tokio::test]
async fn ten_thousand_accounts_are_listed_with_their_groups() {
    let population = Population { accounts: 10_000, groups: 200, members: 100 };
    let server = OpenLdap::start_with(Options::default().population(population)).await;
    let directory = &server.directory;
    for read_from in ["members", "memberOf"] {
        let settings =
            with(settings("openldap", directory), &json!({ "memberships": { "read_from": read_from } }));
        let connector = connector(directory, settings);
        let groups = list(&connector, "group").await.unwrap();
        assert_eq!(groups.len(), 201, "the server brings one along");
        let accounts = list(&connector, "account").await.unwrap();
        assert_eq!(accounts.len(), 10_000);
        for record in accounts {
            let Record::Account(account) = record else { panic!("no account") };
            assert_eq!(account.memberships.of("group").len(), 2, "{read_from}: {}", account.id);
        }
    }
}
