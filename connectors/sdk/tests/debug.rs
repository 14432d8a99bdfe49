//! `Debug` shows identifiers and the names of fields, but no personal data and no secrets, because it is used in logs and test messages.

use bridgehead_sdk::serde_json::{Value, json};
use bridgehead_sdk::{
    Account, AccountRecord, Action, Completion, Cursor, EntityRecord, Evidence, Memberships, Operation, Page,
    Payload, Record, Ref, ResourceKind, Setup,
};

/// None of this may be shown: it identifies a person, or grants access.
const PRIVATE: [&str; 8] =
    ["ann.lee", "ann@example.org", "Ann", "Lee", "Dr Ann Lee", "hunter2", "+49 30 1234", "Secret Society"];

fn shows(shown: &str, wanted: &[&str]) {
    for private in PRIVATE {
        assert!(!shown.contains(private), "{private}: {shown}");
    }
    for name in wanted {
        assert!(shown.contains(name), "{name} is not in: {shown}");
    }
}

/// Checks both forms of `Debug`.
fn check(what: &dyn std::fmt::Debug, wanted: &[&str]) {
    shows(&format!("{what:?}"), wanted);
    shows(&format!("{what:#?}"), wanted);
}

fn fields() -> Value {
    json!({
        "id": "u-17",
        "username": "ann.lee",
        "email": "ann@example.org",
        "first_name": "Ann",
        "last_name": "Lee",
        "display_name": "Dr Ann Lee",
        "phone": "+49 30 1234",
        "password": "hunter2",
        "nested": { "deep": ["hunter2"] },
    })
}

const NAMES: [&str; 9] =
    ["u-17", "username", "email", "first_name", "last_name", "display_name", "phone", "password", "nested"];

#[test]
fn account_debug_shows_id_and_field_names_only() {
    let account: Account = bridgehead_sdk::serde_json::from_value(fields()).unwrap();
    check(&account, &NAMES);
}

#[test]
fn record_debug_shows_id_and_field_names_only() {
    let record = Record::from_json(ResourceKind::Account, fields()).unwrap();
    check(&record, &NAMES);
    let named = Ref::new("g-1").with_name("Secret Society");
    let record = AccountRecord::new("u-17").with_username("ann.lee").with_memberships("team", [named]);
    check(&record, &["u-17", "username", "team", "g-1", "Active"]);
    let entity = EntityRecord::new("g-1", "Secret Society").with_field("owner", "ann@example.org");
    check(&entity, &["g-1", "name", "owner"]);
    check(&Record::from(entity), &["g-1"]);
}

#[test]
fn reference_debug_shows_ids_only() {
    let value = json!({ "team": [{ "id": "g-1", "name": "Secret Society" }] });
    check(&Memberships::from_json("memberships", value).unwrap(), &["team", "g-1"]);
}

#[test]
fn page_debug_hides_the_cursor() {
    let record = AccountRecord::new("u-17").with_email("ann@example.org");
    let page = Page::with_next(vec![record.into()], Cursor::new("token=hunter2"));
    check(&page, &["u-17", "email", "13 bytes"]);
    check(&Page::last(Vec::new(), Evidence::Atomic), &["Atomic"]);
}

#[test]
fn payload_and_operation_debug_show_field_names_only() {
    let payload = Payload::new(fields())
        .with_changes(json!({ "display_name": "Dr Ann Lee", "password": "hunter2" }))
        .with_memberships(json!({ "team": [{ "id": "g-1", "name": "Secret Society" }] }))
        .with_field("ticket", "for Ann");
    check(&payload, &["username", "password", "team", "display_name", "ticket"]);
    for action in Action::ALL {
        let operation = Operation::parse(*action, payload.clone()).unwrap();
        check(&operation, &["u-17"]);
    }
}

#[test]
fn completion_and_setup_debug_show_names_only() {
    check(
        &Completion::created("u-17").with("initial_password", "hunter2"),
        &["account_id", "initial_password"],
    );
    let target = json!({ "url": "https://ann@example.org", "token": "hunter2" });
    check(&Setup::new("acme-hr", target.as_object().cloned().unwrap()), &["acme-hr", "url", "token"]);
}

#[cfg(feature = "http")]
#[test]
fn credential_debug_hides_secrets() {
    use bridgehead_sdk::http::{ApiKey, Auth, ClientCredentials};

    check(&Auth::bearer("hunter2"), &["bearer"]);
    check(&Auth::basic("bridgehead", "hunter2"), &["bridgehead"]);
    check(&Auth::api_key(ApiKey::in_header("X-Api-Key", "hunter2").with_prefix("Token ")), &["X-Api-Key"]);
    let credentials = ClientCredentials::new("https://login.example.org/token", "bridgehead", "hunter2")
        .with_parameter("assertion", "hunter2");
    check(&Auth::oauth2(credentials), &["bridgehead", "assertion"]);
}
