//! Memberships that only groups show.

use bridgehead_sdk::{Action, Code, Record};
use serde_json::json;

use crate::scripted::{Reply, Script, Scripted};
use crate::support::{account, accounts, build, execute, set};

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

/// Some targets write a UUID in another case where a group refers to it.
#[tokio::test]
async fn uuid_of_a_member_may_be_written_in_another_case() {
    const LOWER: &str = "6f9619ff-8b86-d011-b42d-00cf4fc964ff";
    let admins: Script = |ask, state| {
        if ask.path == ["admins"] {
            let members = json!([{ "id": LOWER.to_uppercase() }, { "id": "U04" }]);
            return Reply::new(200, json!({ "admins": members }));
        }
        state.serve(&ask)
    };
    let server = Scripted::start(admins).await;
    server.state().people[3] = json!({ "id": LOWER, "name": "ann", "locked": false });
    let mut target = server.target(&json!(null), &json!({}));
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
    let is_admin =
        |record: &&Record| matches!(record, Record::Account(one) if one.memberships.of("role").len() == 1);
    let admins: Vec<&str> = records.iter().filter(is_admin).map(Record::id).collect();
    assert_eq!(admins, [LOWER], "other identifiers may be case-sensitive");
    let found = connector.find_account(&account(json!({ "id": LOWER }))).await.unwrap().unwrap();
    assert_eq!(found.memberships.of("role").len(), 1);
    assert!(connector.check().await.is_ok());
}

#[tokio::test]
async fn name_in_another_unicode_form_is_found_and_ambiguous_if_both_exist() {
    let (one, other) = ("Jos\u{e9}", "Jose\u{301}");
    // The search compares character by character.
    let server = Scripted::start(|ask, state| state.serve(&ask)).await;
    server.state().people[3] = json!({ "id": "x1", "name": one, "locked": false });
    let target = server.target(&json!(null), &json!({}));
    let connector = build(&target).unwrap();
    let find = async |name: &str| connector.find_account(&account(json!({ "username": name }))).await;
    for name in [one, other] {
        assert_eq!(find(name).await.unwrap().unwrap().id.as_str(), "x1", "{name}");
    }
    let create = json!({ "account": { "username": other } });
    let error = execute(&connector, Action::CreateAccount, create).await.unwrap_err();
    assert_eq!(error.code(), Code::AccountAlreadyExists, "{error}");
    server.state().people[4] = json!({ "id": "x2", "name": other, "locked": false });
    for name in [one, other] {
        let error = find(name).await.unwrap_err();
        assert!(error.message().contains("two accounts with that name"), "{error}");
        let delete = json!({ "account": { "username": name } });
        execute(&connector, Action::DeleteAccount, delete).await.unwrap_err();
    }
    let ids = server.state().people.iter().map(|one| one["id"].clone()).collect::<Vec<_>>();
    assert!(ids.contains(&json!("x1")) && ids.contains(&json!("x2")));
}
