//! Memberships that only groups show.

use bridgehead_sdk::Record;
use serde_json::json;

use crate::scripted::{Reply, Script, Scripted};
use crate::support::{account, accounts, build, set};

#[tokio::test]
async fn fixed_group_members_are_read_with_one_request() {
    let admins: Script = |ask, state| {
        if ask.path == ["admins"] {
            return Reply::new(200, json!({ "admins": [{ "id": "u03" }, { "id": "u09" }] }));
        }
        state.serve(&ask)
    };
    let server = Scripted::start(admins).await;
    let paging = json!({ "type": "cursor", "next": "answer.cursor" });
    let mut target = server.target(&paging, &json!({ "after": "{{ page.cursor }}" }));
    let admin = json!({ "slug": "role", "name": "Role", "fixed": [{ "id": "admin", "name": "Administrator" }],
        "members": { "path": "/admins", "records": "answer.admins" } });
    set(&mut target, "groups.+", admin);
    let connector = build(&target).unwrap();
    let (mut records, mut cursor) = (Vec::new(), None);
    loop {
        let page = connector.list(&accounts(), cursor.as_ref()).await.unwrap();
        records.extend(page.records);
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    let admins: Vec<&str> = records
        .iter()
        .filter(
            |record| matches!(record, Record::Account(account) if account.memberships.of("role").len() == 1),
        )
        .map(Record::id)
        .collect();
    assert_eq!(admins, ["u03", "u09"]);
    // One request for the groups, one for each of three groups, one for the administrators, and three pages of accounts.
    assert_eq!(server.server.received_requests().await.unwrap().len(), 8);
    let found = connector.find_account(&account(json!({ "id": "u09" }))).await.unwrap().unwrap();
    assert_eq!((found.memberships.of("role").len(), found.memberships.of("group")[0].id.as_str()), (1, "g1"));
}
