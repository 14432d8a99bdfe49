//! One account, however its name is written; and what every kind of server says about a task that it did not execute.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test that asked for it")]

use bridgehead_sdk::{Account, Action, Code, Effect};
use bridgehead_test_servers::{Directory, Login};
use serde_json::json;

use crate::proxy;
use crate::support::{connector, find, id, run, settings, with};
use crate::test_target::Server;

/// The same name in other letters, in both Unicode forms, finds the account; a name with other spaces is another one.
pub(crate) async fn forms_of_a_name<S: Server>(directory: &Directory) {
    let connector = connector(directory, with(settings(S::PROFILE, directory), &S::settings()));
    for (name, forms) in [
        (
            "jos\u{e9}.garc\u{ed}a",
            ["JOS\u{c9}.Garc\u{ed}a", "jose\u{301}.garci\u{301}a", "JOSE\u{301}.GARCI\u{301}A"],
        ),
        ("jose\u{301}ito", ["jos\u{e9}ito", "JOSE\u{301}ITO", "JOS\u{c9}ITO"]),
        ("anna.lee", ["ANNA.LEE", "Anna.Lee", "anna.LEE"]),
    ] {
        // 389 Directory Server only allows ASCII in user names.
        if S::PROFILE == "389ds" && !name.is_ascii() {
            continue;
        }
        let email = format!("{}@example.com", name.replace(['\u{e9}', '\u{301}', '\u{ed}'], ""));
        let task = |name: &str| json!({ "account": { "username": name, "email": email } });
        let made = id(&run(&connector, Action::CreateAccount, task(name)).await.unwrap());
        for form in forms {
            let found = connector.find_account(&Account::by_username(form)).await.unwrap();
            assert_eq!(
                found.map(|found| found.id.to_string()).as_deref(),
                Some(&*made),
                "{name:?} as {form:?}"
            );
            let error = run(&connector, Action::CreateAccount, task(form)).await.unwrap_err();
            assert_eq!(
                (error.code(), error.effect()),
                (Code::AccountAlreadyExists, Effect::NotApplied),
                "{error}"
            );
        }
        for other in [format!("{name} "), format!(" {name}"), format!("{name}\t"), format!("{name}\u{a0}")] {
            let found = connector.find_account(&Account::by_username(other.as_str())).await.unwrap();
            assert_eq!(found, None, "{other:?}");
            let delete = json!({ "account": { "username": other } });
            let error = run(&connector, Action::DeleteAccount, delete).await.unwrap_err();
            assert_eq!(error.code(), Code::AccountNotFound, "{other:?}: {error}");
        }
        run(&connector, Action::DeleteAccount, json!({ "account": { "id": made } })).await.unwrap();
    }
}

/// A server that refuses a deletion but says that it succeeded: the account is still found, by its identifier and its names, so that the
/// task is not reported as completed.
pub(crate) async fn deletion_in_name_only<S: Server>(directory: &Directory) {
    let direct = connector(directory, with(settings(S::PROFILE, directory), &S::settings()));
    let task = json!({ "account": { "username": "stays", "email": "stays@example.com" } });
    let made = id(&run(&direct, Action::CreateAccount, task).await.unwrap());
    // An LDAP result with the code 50 (insufficient access rights) becomes one with the code 0.
    let server = (directory.address, directory.ldap_port).into();
    let proxy = proxy::replacing(server, b"\x0a\x01\x32", b"\x0a\x01\x00").await;
    let plain = json!({ "url": format!("ldap://{proxy}"), "password": "none" });
    let reader = json!({ "bind_dn": directory.reader.dn, "bind_password": directory.reader.password });
    let own = with(settings(S::PROFILE, directory), &S::settings());
    let lied_to = connector(directory, with(with(own, &plain), &reader));
    run(&lied_to, Action::DeleteAccount, json!({ "account": { "id": made } })).await.unwrap();
    for connector in [&lied_to, &direct] {
        assert!(find(connector, &made).await.is_some());
        assert!(connector.find_account(&Account::by_username("stays")).await.unwrap().is_some());
    }
    run(&direct, Action::DeleteAccount, json!({ "account": { "id": made } })).await.unwrap();
    assert_eq!(find(&lied_to, &made).await, None);
}

/// A password in an update is set wherever the task has it, or the task fails.
pub(crate) async fn password_of_an_update<S: Server>(directory: &Directory) {
    const PASSWORDS: [&str; 4] = ["Correct-horse-1", "Another-horse-2", "Third-horse-3", "Fourth-horse-4"];
    let connector = connector(directory, with(settings(S::PROFILE, directory), &S::settings()));
    let task = json!({ "account": { "username": "changing", "password": PASSWORDS[0] } });
    let made = id(&run(&connector, Action::CreateAccount, task).await.unwrap());
    let updates = [
        json!({ "account": { "id": made }, "changes": { "new_password": PASSWORDS[1] } }),
        json!({ "account": { "id": made, "password": PASSWORDS[2] }, "changes": { "first_name": "Ann" } }),
        json!({ "account": { "id": made }, "password": PASSWORDS[3], "changes": {} }),
    ];
    for (update, password) in updates.into_iter().zip(&PASSWORDS[1..]) {
        run(&connector, Action::UpdateAccount, update.clone()).await.unwrap();
        let login = Login { dn: directory.account_dn("changing"), password: (*password).into() };
        assert!(directory.accepts(&login), "{update}");
    }
    let secret = json!({ "account": { "id": made }, "changes": { "pin_code": "1234" } });
    let error = run(&connector, Action::UpdateAccount, secret).await.unwrap_err();
    assert_eq!(error.effect(), Effect::NotApplied, "{error}");
    assert!(error.message().contains("pin_code") && !error.message().contains("1234"), "{error}");
    run(&connector, Action::DeleteAccount, json!({ "account": { "id": made } })).await.unwrap();
}
