//! Connections: encrypted, refused, lost and replaced.

use bridgehead_sdk::{Account, Action, Code, Effect, Error, Retry, Subject};
use bridgehead_test_servers::{Authority, OpenLdap, Options, Population};
use serde_json::{Value, json};

use crate::support::{build, connector, list, page, run, settings, with};

fn parts(error: &Error) -> (Code, Effect, Subject) {
    (error.code(), error.effect(), error.subject())
}

#[tokio::test]
async fn starttls_precedes_the_bind() {
    // The server refuses unencrypted binds, so a successful bind was encrypted.
    let server = OpenLdap::start_with(Options::default().require_tls()).await;
    let directory = &server.directory;
    let plain = with(settings("openldap", directory), &json!({ "url": directory.ldap_url() }));
    let encrypted = with(plain.clone(), &json!({ "start_tls": true }));
    connector(directory, encrypted).check().await.unwrap();
    let error = connector(directory, plain).check().await.unwrap_err();
    assert_eq!(parts(&error), (Code::InternalError, Effect::NotApplied, Subject::Connection));
    assert!(error.message().contains("start_tls"), "{error}");
}

#[tokio::test]
async fn certificate_of_unknown_ca_is_refused() {
    let server = OpenLdap::start().await;
    let directory = &server.directory;
    let stranger = Authority::new().ca_pem();
    let start_tls = json!({ "url": directory.ldap_url(), "start_tls": true });
    for settings in [settings("openldap", directory), with(settings("openldap", directory), &start_tls)] {
        let connector = build(stranger.as_bytes(), settings).unwrap();
        let error = connector.check().await.unwrap_err();
        assert_eq!(parts(&error), (Code::InternalError, Effect::NotApplied, Subject::Connection));
        assert!(error.message().contains("network.ca_file"), "{error}");
    }
}

#[tokio::test]
async fn certificate_for_another_name_is_refused() {
    let server =
        OpenLdap::start_with(Options::default().certificate_names(&["ldap.example.com", "127.0.0.1"])).await;
    let url = format!("ldaps://localhost:{}", server.directory.ldaps_port);
    let settings = with(settings("openldap", &server.directory), &json!({ "url": url }));
    let error = connector(&server.directory, settings).check().await.unwrap_err();
    assert_eq!(parts(&error), (Code::InternalError, Effect::NotApplied, Subject::Connection));
}

#[tokio::test]
async fn client_certificate_authenticates_bridgehead() {
    // The server's certificate is also valid for clients.
    let own = ["TLSVerifyClient try", "authz-regexp \"^cn=localhost$\" \"cn=writer,dc=test\""];
    let server = OpenLdap::start_with(own.into_iter().fold(Options::default(), Options::own)).await;
    let directory = &server.directory;
    let read = |name: &str| std::fs::read_to_string(directory.ca.with_file_name(name)).unwrap();
    let external = |further: Value| {
        let mut settings = settings("openldap", directory);
        settings.remove("bind_dn");
        settings.remove("bind_password");
        let own = json!({
            "bind": "external", "client_certificate": read("server.pem"), "client_key": read("server.key"),
        });
        with(with(settings, &own), &further)
    };
    let start_tls = json!({ "url": directory.ldap_url(), "start_tls": true });
    for (further, name) in [(json!({}), "ann"), (start_tls, "bob")] {
        let connector = connector(directory, external(further));
        connector.check().await.unwrap();
        run(&connector, Action::CreateAccount, json!({ "account": { "username": name } })).await.unwrap();
        let made = directory.entry(&format!("uid={name},ou=people,dc=test")).unwrap();
        assert_eq!(made.first("creatorsName"), Some("cn=writer,dc=test"));
    }
    // A certificate of an authority that the server does not trust, and a key that does not match the certificate.
    let stranger = Authority::new().issue(&["localhost"]);
    let strange = json!({ "client_certificate": stranger.certificate_pem, "client_key": stranger.key_pem });
    let error = connector(directory, external(strange)).check().await.unwrap_err();
    assert_eq!((error.effect(), error.subject()), (Effect::NotApplied, Subject::Connection), "{error}");
    let mixed = external(json!({ "client_key": stranger.key_pem }));
    let error = build(&std::fs::read(&directory.ca).unwrap(), mixed).err().unwrap();
    assert_eq!(error.key, "client_key", "{error}");
}

#[tokio::test]
async fn unrequested_client_certificate_does_not_bind() {
    let server = OpenLdap::start().await;
    let directory = &server.directory;
    let read = |name: &str| std::fs::read_to_string(directory.ca.with_file_name(name)).unwrap();
    let mut settings = settings("openldap", directory);
    settings.remove("bind_dn");
    settings.remove("bind_password");
    let own = json!({
        "bind": "external", "client_certificate": read("server.pem"), "client_key": read("server.key"),
    });
    let error = connector(directory, with(settings, &own)).check().await.unwrap_err();
    assert_eq!(parts(&error), (Code::PermissionDenied, Effect::NotApplied, Subject::Connection));
    assert!(error.message().contains("check bind"), "{error}");
}

#[tokio::test]
async fn dead_connection_is_replaced() {
    let mut server = OpenLdap::start().await;
    let directory = server.directory.clone();
    let connector = connector(&directory, settings("openldap", &directory));
    run(&connector, Action::CreateAccount, json!({ "account": { "username": "ann" } })).await.unwrap();
    server.restart().await;
    let ann = json!({ "account": { "username": "ann" } });
    run(&connector, Action::SuspendAccount, ann.clone()).await.unwrap();
    server.stop();
    let error = run(&connector, Action::UnsuspendAccount, ann.clone()).await.unwrap_err();
    assert_eq!(parts(&error), (Code::Timeout, Effect::NotApplied, Subject::Connection));
    server.restart().await;
    run(&connector, Action::UnsuspendAccount, ann).await.unwrap();
}

#[tokio::test]
async fn unresponsive_server_times_out() {
    let server = OpenLdap::start().await;
    let settings = with(settings("openldap", &server.directory), &json!({ "request_timeout": "5s" }));
    let connector = connector(&server.directory, settings);
    connector.check().await.unwrap();
    server.process().pause();
    let account = Account::by_username("ann");
    let error = connector.find_account(&account).await.unwrap_err();
    server.process().resume();
    assert_eq!((error.code(), error.effect()), (Code::Timeout, Effect::NotApplied));
    assert_eq!(error.retry(), Retry::Backoff);
    assert_eq!(connector.find_account(&account).await.unwrap(), None);
}

#[tokio::test]
async fn listing_across_a_server_restart_is_incomplete() {
    let population = Population { accounts: 30, groups: 0, members: 0 };
    let mut server = OpenLdap::start_with(Options::default().population(population)).await;
    let settings = with(settings("openldap", &server.directory), &json!({ "page_size": 10 }));
    let connector = connector(&server.directory, settings);
    let first = page(&connector, "account", None).await.unwrap();
    server.restart().await;
    for _ in 0..2 {
        let error = page(&connector, "account", first.next.as_ref()).await.unwrap_err();
        assert_eq!(parts(&error), (Code::InternalError, Effect::NotApplied, Subject::Account));
        assert_eq!(error.retry(), Retry::Never);
    }
    assert_eq!(list(&connector, "account").await.unwrap().len(), 30);
}

#[tokio::test]
async fn missing_base_is_not_account_not_found() {
    let server = OpenLdap::start().await;
    let directory = &server.directory;
    let nowhere = json!({ "accounts": { "base": "ou=nowhere,dc=test" } });
    let connector = connector(directory, with(settings("openldap", directory), &nowhere));
    let account = Account::by_username("ann");
    let payload = || json!({ "account": { "username": "ann" } });
    for error in [
        connector.check().await.unwrap_err(),
        connector.find_account(&account).await.unwrap_err(),
        page(&connector, "account", None).await.unwrap_err(),
        run(&connector, Action::CreateAccount, payload()).await.unwrap_err(),
        run(&connector, Action::DeleteAccount, payload()).await.unwrap_err(),
    ] {
        assert_eq!(parts(&error), (Code::InternalError, Effect::NotApplied, Subject::Connection), "{error}");
        assert!(error.message().contains("ou=nowhere,dc=test"), "{error}");
        assert!(error.message().contains("only dc=test exists"), "{error}");
    }
}

#[tokio::test]
async fn tasks_wait_for_a_free_connection() {
    let server = OpenLdap::start().await;
    let settings = with(settings("openldap", &server.directory), &json!({ "connections": 2 }));
    let connector = connector(&server.directory, settings);
    let tasks = (0..20).map(|number| {
        let payload = json!({ "account": { "username": format!("many-{number}") } });
        let connector = connector.clone();
        tokio::spawn(async move { run(&connector, Action::CreateAccount, payload).await })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap().unwrap();
    }
    assert_eq!(list(&connector, "account").await.unwrap().len(), 20);
    let binds = server.log().matches("method=128").count();
    // Each bind is logged twice; the listing binds too, and so do the tools of the tests while the server starts.
    let ours = server.log().matches("BIND dn=\"cn=writer,dc=test\" method=128").count();
    assert!(ours <= 3, "{ours} of {binds} binds");
}
