//! Tests the connector with responses that were recorded once from a real target: no target is needed, and the file contains no secrets.
//!
//! `BRIDGEHEAD_RECORD=1 @@variable@@_URL=… @@variable@@_TOKEN=… cargo test --test recorded` records them again.

use bridgehead_sdk::http::Recording;
use bridgehead_sdk::{Network, Record, Setup};
use serde_json::json;

#[tokio::test]
async fn the_people_are_listed_with_their_teams() {
    let recording = Recording::open("tests/recordings/listing.json").unwrap();
    let from =
        |variable: &str, otherwise: &str| std::env::var(variable).unwrap_or(otherwise.to_owned());
    let url = from("@@variable@@_URL", "https://recorded.invalid");
    let token = from("@@variable@@_TOKEN", "none is needed");
    let target = json!({ "url": url, "auth": { "bearer": token.replace(' ', "-") } });
    let setup = Setup::new("@@name@@", target.as_object().cloned().unwrap())
        .with_network(Network::default().with_recording(&recording));
    let connector = bridgehead_@@identifier@@::factory().build(setup).unwrap();

    let types = connector.describe().await.unwrap().resource_types;
    let of = types
        .iter()
        .find(|of| of.slug.as_str() == "account")
        .unwrap();
    let (mut people, mut cursor) = (Vec::new(), None);
    loop {
        let page = connector.list(of, cursor.as_ref()).await.unwrap();
        people.extend(page.records);
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(people.len(), 3);
    let Some(Record::Account(ada)) = people.first() else {
        panic!("an account")
    };
    assert_eq!(ada.username.as_deref(), Some("ada"));
    assert_eq!(ada.memberships.of("team").len(), 1);
    recording.finish().unwrap();
}
