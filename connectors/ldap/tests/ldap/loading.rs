//! Mistakes in settings are reported when they are loaded, without a server.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test that asked for it")]

use bridgehead_sdk::SettingsError;
use serde_json::{Map, Value, json};

use crate::support::build;

fn settings(profile: &str) -> Map<String, Value> {
    let settings = json!({
        "profile": profile,
        "url": "ldaps://ldap.example.com",
        "bind_dn": "cn=bridgehead,dc=example,dc=com",
        "bind_password": "hunter2-secret",
        "base": "dc=example,dc=com",
    });
    settings.as_object().unwrap().clone()
}

fn error(profile: &str, changes: &Value) -> SettingsError {
    let mut settings = settings(profile);
    settings.extend(changes.as_object().unwrap().clone());
    let error = build(&[], settings).err();
    let error = error.unwrap_or_else(|| panic!("{changes} is taken"));
    assert!(!error.to_string().contains("hunter2"), "{error}");
    error
}

#[test]
fn every_profile_loads_with_minimal_settings() {
    for profile in ["openldap", "389ds", "ad"] {
        assert!(build(&[], settings(profile)).is_ok(), "{profile}");
    }
}

#[test]
fn wrong_setting_names_its_key() {
    let cases = [
        ("url", json!({ "url": "http://ldap.example.com" })),
        ("url", json!({ "url": "ldaps://" })),
        ("url", json!({ "url": "ldaps://ldap.example.com/dc=example" })),
        ("url", json!({ "url": "ldaps://cn=x:hunter2@ldap.example.com" })),
        ("url", json!({ "url": "ldaps://[2001:db8::1]" })),
        ("url", json!({ "url": null })),
        ("urls", json!({ "urls": ["ldaps://other.example.com"] })),
        ("urls.1", json!({ "url": null, "urls": ["ldaps://a.example.com", "ldap://b.example.com"] })),
        ("urls.1", json!({ "url": null, "urls": ["ldaps://a.example.com", "ldaps://a.example.com"] })),
        ("ignore_references.0", json!({ "ignore_references": ["abroad"] })),
        ("failover_wait", json!({ "failover_wait": "2h" })),
        ("groups.0.only.0", json!({ "groups": [{ "slug": "g", "only": ["*"] }] })),
        (
            "suspend.policy",
            json!({ "suspend": { "method": "none", "policy": "cn=default,dc=example,dc=com" } }),
        ),
        ("start_tls", json!({ "start_tls": true })),
        ("bind_dn", json!({ "bind_dn": "" })),
        ("bind_dn", json!({ "bind_dn": "bridgehead" })),
        ("bind_password", json!({ "bind_password": "" })),
        ("bind_password", json!({ "bind_password": null })),
        ("bind_dn", json!({ "bind": "external" })),
        ("bind_password", json!({ "bind": "external", "bind_dn": null })),
        ("client_certificate", json!({ "bind": "external", "bind_dn": null, "bind_password": null })),
        ("client_key", json!({ "client_certificate": "x" })),
        ("client_certificate", json!({ "client_key": "hunter2" })),
        ("client_certificate", json!({ "client_certificate": "x", "client_key": "hunter2" })),
        (
            "client_certificate",
            json!({ "url": "ldap://127.0.0.1", "client_certificate": "x", "client_key": "hunter2" }),
        ),
        ("base", json!({ "base": "example.com" })),
        ("base", json!({ "base": "" })),
        ("id_attribute", json!({ "id_attribute": "entry UUID" })),
        ("accounts.base", json!({ "accounts": { "base": "ou=people," } })),
        ("accounts.filter", json!({ "accounts": { "filter": "(objectClass=person" } })),
        ("accounts.filter", json!({ "accounts": { "filter": "(a=b)(c=d)" } })),
        ("accounts.slug", json!({ "accounts": { "slug": "the people" } })),
        ("accounts.attributes.status", json!({ "accounts": { "attributes": { "status": "title" } } })),
        ("accounts.attributes.api_token", json!({ "accounts": { "attributes": { "api_token": "title" } } })),
        ("accounts.attributes.desk", json!({ "accounts": { "attributes": { "desk": "no such" } } })),
        ("accounts.attributes.post", json!({ "accounts": { "attributes": { "post": "MAIL" } } })),
        ("accounts.attributes", json!({ "accounts": { "attributes": { "username": "", "email": "" } } })),
        ("groups.0.base", json!({ "groups": [{ "slug": "g", "base": "nowhere" }] })),
        ("groups.0.filter", json!({ "groups": [{ "slug": "g", "filter": "((a=b)" }] })),
        ("groups.0.member_attribute", json!({ "groups": [{ "slug": "g", "member_attribute": "" }] })),
        ("groups.0.placeholder_member", json!({ "groups": [{ "slug": "g", "placeholder_member": "x" }] })),
        ("groups", json!({ "groups": [{ "slug": "g" }, { "slug": "g" }] })),
        ("groups", json!({ "licenses": [{ "slug": "group" }] })),
        ("groups.0.bass", json!({ "groups": [{ "slug": "g", "bass": "dc=test" }] })),
        (
            "memberships.attribute",
            json!({ "memberships": { "read_from": "members", "attribute": "memberOf" } }),
        ),
        (
            "memberships.read_from",
            json!({
                "memberships": { "read_from": "memberOf" },
                "groups": [{ "slug": "g", "member_attribute": "memberUid" }],
            }),
        ),
        ("create.base", json!({ "create": { "base": "dc=example,dc=org" } })),
        ("create.rdn", json!({ "create": { "rdn": "employeeNumber" } })),
        ("create.object_classes", json!({ "create": { "object_classes": [] } })),
        ("create.attributes.gecos", json!({ "create": { "attributes": { "gecos": "{user_name}" } } })),
        ("create.attributes.gecos", json!({ "create": { "attributes": { "gecos": "{username" } } })),
        ("suspend.attribute", json!({ "suspend": { "method": "attribute", "value": "x" } })),
        ("suspend.value", json!({ "suspend": { "method": "attribute", "attribute": "employeeType" } })),
        ("suspend.value", json!({ "suspend": { "value": "x" } })),
        (
            "suspend.attribute",
            json!({ "suspend": { "method": "attribute", "attribute": "mail", "value": "x" } }),
        ),
        ("page_size", json!({ "page_size": 0 })),
        ("page_size", json!({ "page_size": 1001 })),
        ("connections", json!({ "connections": 0 })),
        ("connect_timeout", json!({ "connect_timeout": "0s" })),
        ("request_timeout", json!({ "request_timeout": "soon" })),
        ("bind_pasword", json!({ "bind_pasword": "hunter2" })),
    ];
    for (key, changes) in cases {
        assert_eq!(error("openldap", &changes).key, key, "{changes}");
    }
}

#[test]
fn plain_text_passwords_must_be_allowed_explicitly() {
    let plain = json!({ "url": "ldap://ldap.example.com" });
    let error = error("openldap", &plain);
    assert_eq!(error.key, "url");
    assert!(error.message.contains("start_tls"), "{error}");
    for fine in [
        json!({ "url": "ldap://ldap.example.com", "start_tls": true }),
        json!({ "url": "ldap://ldap.example.com", "allow_plain_text": true }),
        json!({ "url": "ldap://127.0.0.1" }),
        json!({ "url": "ldap://[::1]:389" }),
        json!({ "url": "ldap://localhost:3890" }),
    ] {
        let mut settings = settings("openldap");
        settings.extend(fine.as_object().unwrap().clone());
        assert!(build(&[], settings).is_ok(), "{fine}");
    }
}

#[test]
fn active_directory_requires_tls_for_passwords() {
    assert_eq!(error("ad", &json!({ "url": "ldap://127.0.0.1" })).key, "url");
    let mut settings = settings("ad");
    settings.extend([("url".to_owned(), json!("ldap://127.0.0.1")), ("read_only".to_owned(), json!(true))]);
    assert!(build(&[], settings).is_ok());
}

#[test]
fn active_directory_accepts_other_bind_names() {
    for name in ["bridgehead@example.com", "EXAMPLE\\bridgehead", "cn=bridgehead,dc=example,dc=com"] {
        let mut settings = settings("ad");
        settings.insert("bind_dn".to_owned(), json!(name));
        assert!(build(&[], settings).is_ok(), "{name}");
    }
    assert_eq!(error("ad", &json!({ "bind_dn": "bridgehead" })).key, "bind_dn");
}

#[test]
fn ca_without_pem_certificates_is_an_error() {
    assert!(build(b"does not contain a PEM certificate", settings("openldap")).is_err());
}

#[test]
fn all_examples_load() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/examples");
    for name in ["ldap-openldap.toml", "ldap-389ds.toml", "ldap-freeipa.toml", "ldap-ad.toml"] {
        let text = std::fs::read_to_string(folder.join(name)).unwrap();
        let file: Value = toml::from_str(&text).unwrap();
        let mut target = file["apps"]["acme-ldap"]["target"].as_object().unwrap().clone();
        target.insert("bind_password".to_owned(), json!("resolved"));
        let built = build(&[], target);
        assert!(built.is_ok(), "{name}: {:?}", built.err());
    }
}
