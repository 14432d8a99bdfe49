//! Requirements that hold for every kind of server: one test per server, with all cases on it.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test that asked for it")]

use std::sync::{Arc, Mutex};

use bridgehead_sdk::{
    Account, AccountStatus, Action, Code, Connector, Effect, Redactor, Setup, Subject, Trace,
};
use bridgehead_test_servers::{Directory, Ds389, Login, OpenLdap, Samba};
use serde_json::{Map, Value, json};

use crate::forms;
use crate::proxy;
use crate::support::{bound_as, connector, find, group_id, id, list, page, run, settings, with};
use crate::test_target::Server;

const PASSWORD: &str = "Correct-horse-1";
const OTHER: &str = "Another-horse-1";

fn own<S: Server>(directory: &Directory) -> Map<String, Value> {
    with(settings(S::PROFILE, directory), &S::settings())
}

/// The same without TLS if the server allows it, for cases without passwords: TLS takes most of the time.
fn quick<S: Server>(directory: &Directory) -> Map<String, Value> {
    let plain = json!({ "url": directory.ldap_url(), "password": "none" });
    if S::PROFILE == "ad" { own::<S>(directory) } else { with(own::<S>(directory), &plain) }
}

fn of_name(name: &str) -> Account {
    Account::by_username(name)
}

fn held(directory: &Directory, group: &str) -> Vec<String> {
    directory.entry(&directory.group_dn(group)).unwrap().all("member").to_vec()
}

fn remove(directory: &Directory, name: &str) {
    directory.delete(&directory.account_dn(name));
}

/// The warnings after `check`.
async fn warnings(connector: &Arc<dyn Connector>) -> Vec<String> {
    connector.check().await.unwrap();
    connector.describe().await.unwrap().warnings
}

/// Number 2: a task that sets both status and password has both effects.
async fn status_and_password<S: Server>(directory: &Directory) {
    let connector = connector(directory, own::<S>(directory));
    let account = json!({ "account": { "username": "two", "password": PASSWORD } });
    let two = id(&run(&connector, Action::CreateAccount, account).await.unwrap());
    // 389 Directory Server returns 53 to a suspended account, which does not show whether the password is right.
    let accepts = |password: &str| {
        let login = Login { dn: directory.account_dn("two"), password: password.into() };
        let mut look = directory.tool("ldapsearch", &login);
        look.args(["-s", "base", "-b", ""]).output().unwrap().status.success()
    };
    for (status, password) in [("suspended", OTHER), ("active", PASSWORD)] {
        let changes = json!({ "status": status, "password": password });
        let update = json!({ "account": { "id": two }, "changes": changes });
        run(&connector, Action::UpdateAccount, update).await.unwrap();
        let record = find(&connector, &two).await.unwrap();
        assert_eq!(record.status == AccountStatus::Suspended, status == "suspended");
        assert_eq!(accepts(password), status == "active", "{status}");
    }
    remove(directory, "two");
}

/// Number 7: an account that cannot be deleted keeps its groups.
async fn refused_deletion<S: Server>(directory: &Directory, child: &str) {
    let connector = connector(directory, quick::<S>(directory));
    let group = group_id(&connector, "group", "engineering").await;
    let task = json!({ "account": { "username": "seven" }, "memberships": { "group": [group] } });
    let seven = id(&run(&connector, Action::CreateAccount, task).await.unwrap());
    let dn = directory.account_dn("seven");
    directory.add_ldif(&format!("dn: cn=key,{dn}\n{child}\n"));
    let delete = json!({ "account": { "id": seven } });
    let error = run(&connector, Action::DeleteAccount, delete.clone()).await.unwrap_err();
    assert_eq!((error.code(), error.effect()), (Code::InternalError, Effect::NotApplied), "{error}");
    assert!(error.message().contains("entries below"), "{error}");
    assert!(held(directory, "engineering").contains(&dn));
    directory.delete(&format!("cn=key,{dn}"));
    run(&connector, Action::DeleteAccount, delete).await.unwrap();
    assert!(!held(directory, "engineering").contains(&dn));
}

/// Number 8: an entry that only becomes an account through its groups is checked after it joined them; one that does not is removed.
async fn judged_behind_its_groups<S: Server>(directory: &Directory) {
    let filter = format!("(memberOf={})", directory.group_dn("engineering"));
    let only = json!({ "accounts": { "base": directory.people, "filter": filter } });
    let connector = connector(directory, with(own::<S>(directory), &only));
    let account = json!({ "username": "eight", "password": PASSWORD });
    let error = run(&connector, Action::CreateAccount, json!({ "account": account })).await.unwrap_err();
    assert_eq!(error.effect(), Effect::NotApplied, "{error}");
    assert!(error.message().contains("accounts.filter"), "{error}");
    assert_eq!(directory.entry(&directory.account_dn("eight")), None);
    let group = group_id(&connector, "group", "engineering").await;
    let task = json!({ "account": account, "memberships": { "group": [group] } });
    let eight = id(&run(&connector, Action::CreateAccount, task).await.unwrap());
    assert!(find(&connector, &eight).await.is_some());
    run(&connector, Action::DeleteAccount, json!({ "account": { "id": eight } })).await.unwrap();
}

/// Number 10: every name of an attribute is accepted; for a name that the server does not know, the error suggests the nearest one.
async fn names_of_attributes<S: Server>(directory: &Directory, username: &str) {
    let names = json!({
        "username": username, "email": "0.9.2342.19200300.100.1.3", "first_name": "2.5.4.42", "last_name": "2.5.4.4",
    });
    let ways = [
        json!({}),
        json!({ "memberships": { "read_from": "memberOf", "attribute": "1.2.840.113556.1.2.102" } }),
    ];
    for way in ways {
        let accounts = json!({ "accounts": { "base": directory.people, "attributes": names } });
        let connector = connector(directory, with(with(quick::<S>(directory), &accounts), &way));
        connector.check().await.unwrap();
        let group = group_id(&connector, "group", "engineering").await;
        let account = json!({
            "username": "ten", "email": "ten@example.com", "first_name": "Ten", "last_name": "Tenner",
        });
        let task = json!({ "account": account, "memberships": { "group": [group] } });
        let ten = id(&run(&connector, Action::CreateAccount, task).await.unwrap());
        let record = find(&connector, &ten).await.unwrap();
        assert_eq!(record.username.as_deref(), Some("ten"));
        assert_eq!(record.email.as_deref(), Some("ten@example.com"));
        assert_eq!(
            (record.first_name.as_deref(), record.last_name.as_deref()),
            (Some("Ten"), Some("Tenner"))
        );
        assert_eq!(record.memberships.of("group").len(), 1);
        let listed = list(&connector, "account").await.unwrap();
        assert!(listed.contains(&record.into()), "{listed:?}");
        run(&connector, Action::DeleteAccount, json!({ "account": { "id": ten } })).await.unwrap();
    }
    let mistyped =
        json!({ "accounts": { "base": directory.people, "attributes": { "first_name": "givenNam" } } });
    let mistyped = connector(directory, with(quick::<S>(directory), &mistyped));
    for error in [mistyped.check().await.unwrap_err(), page(&mistyped, "account", None).await.unwrap_err()] {
        assert!(error.message().contains("accounts.attributes.first_name"), "{error}");
        assert!(error.message().contains("'givenName'"), "{error}");
    }
    let nowhere =
        json!({ "groups": [{ "slug": "group", "base": format!("ou=nowhere,{}", directory.suffix) }] });
    let error = connector(directory, with(quick::<S>(directory), &nowhere)).check().await.unwrap_err();
    assert!(error.message().contains("groups.0.base"), "{error}");
}

/// Numbers 4 and 5: an alias that differs only in case, values that the server treats as equal, and values with options.
async fn values_as_the_server_compares_them<S: Server>(directory: &Directory) {
    let phones = json!({ "accounts": {
        "base": directory.people, "attributes": { "phones": "telephoneNumber", "notes": "description" },
    } });
    let connector = connector(directory, with(quick::<S>(directory), &phones));
    let account = json!({
        "username": "four", "email": "a@example.com", "first_name": "Ann",
        "phones": ["+1 555", "+1-555", "+2"], "notes": ["One  note", "one note"],
    });
    let four = id(&run(&connector, Action::CreateAccount, json!({ "account": account })).await.unwrap());
    let dn = directory.account_dn("four");
    let entry = || directory.entry(&dn).unwrap();
    assert_eq!((entry().all("telephoneNumber").len(), entry().all("description").len()), (2, 1));
    directory.modify_ldif(&format!(
        "dn: {dn}\nchangetype: modify\nreplace: givenName\n-\nadd: givenName;lang-ja\ngivenName;lang-ja: An\n-\n\
         add: givenName\ngivenName: Ann\n-\nadd: mail\nmail: Alias@example.com\n"
    ));
    assert_eq!(find(&connector, &four).await.unwrap().first_name.as_deref(), Some("Ann"));
    let changes = json!({
        "email": "alias@example.com", "first_name": "Anna", "phones": ["+3", "+ 3"], "notes": ["x", "X"],
    });
    let update = json!({ "account": { "id": four }, "changes": changes });
    run(&connector, Action::UpdateAccount, update).await.unwrap();
    let record = find(&connector, &four).await.unwrap();
    assert_eq!(record.email.as_deref(), Some("alias@example.com"));
    assert_eq!(record.first_name.as_deref(), Some("Anna"));
    assert_eq!(entry().all("mail"), ["alias@example.com"]);
    assert_eq!(entry().all("givenName;lang-ja"), ["An"], "what is tagged is left alone");
    assert_eq!((entry().all("telephoneNumber").len(), entry().all("description").len()), (1, 1));
    remove(directory, "four");
}

#[tokio::test]
async fn common_tests_pass_on_openldap() {
    let server = OpenLdap::start().await;
    let directory = &server.directory;
    rights_to_write::<OpenLdap>(directory).await;
    status_and_password::<OpenLdap>(directory).await;
    forms::forms_of_a_name::<OpenLdap>(directory).await;
    forms::password_of_an_update::<OpenLdap>(directory).await;
    forms::deletion_in_name_only::<OpenLdap>(directory).await;
    refused_deletion::<OpenLdap>(directory, "objectClass: device").await;
    judged_behind_its_groups::<OpenLdap>(directory).await;
    names_of_attributes::<OpenLdap>(directory, "userid").await;
    values_as_the_server_compares_them::<OpenLdap>(directory).await;
    schema_of_new_accounts::<OpenLdap>(directory).await;
    what_is_shown::<OpenLdap>(directory, "set the password of").await;
}

#[tokio::test]
async fn common_tests_pass_on_389ds() {
    let server = Ds389::start().await;
    let directory = &server.directory;
    rights_to_write::<Ds389>(directory).await;
    status_and_password::<Ds389>(directory).await;
    forms::forms_of_a_name::<Ds389>(directory).await;
    forms::password_of_an_update::<Ds389>(directory).await;
    forms::deletion_in_name_only::<Ds389>(directory).await;
    refused_deletion::<Ds389>(directory, "objectClass: device").await;
    judged_behind_its_groups::<Ds389>(directory).await;
    names_of_attributes::<Ds389>(directory, "userid").await;
    values_as_the_server_compares_them::<Ds389>(directory).await;
    schema_of_new_accounts::<Ds389>(directory).await;
    conditions_of_ds389(directory).await;
    no_right_to_delete(directory).await;
    what_may_not_be_read(directory).await;
    states_of_the_server(directory).await;
}

#[tokio::test]
async fn common_tests_pass_on_samba() {
    let server = Samba::start().await;
    let directory = &server.directory;
    rights_to_write::<Samba>(directory).await;
    status_and_password::<Samba>(directory).await;
    forms::forms_of_a_name::<Samba>(directory).await;
    forms::password_of_an_update::<Samba>(directory).await;
    refused_deletion::<Samba>(directory, "objectClass: nTFRSSubscriptions").await;
    judged_behind_its_groups::<Samba>(directory).await;
    names_of_attributes::<Samba>(directory, "1.2.840.113556.1.4.221").await;
    what_is_shown::<Samba>(directory, "Replace unicodePwd: [redacted]").await;
}

/// The warnings of `check`: none for a client with all permissions, otherwise one for each missing permission, with its key.
async fn rights_to_write<S: Server>(directory: &Directory) {
    let writer = connector(directory, own::<S>(directory));
    let group = group_id(&writer, "group", "engineering").await;
    let task = json!({ "account": { "username": "looked-at", "password": PASSWORD }, "memberships": { "group": [group] } });
    let account = id(&run(&writer, Action::CreateAccount, task).await.unwrap());
    let everything = || {
        let entries = [&directory.people, &directory.groups].map(|base| {
            directory.search(base, "(objectClass=*)", &["modifyTimestamp", "cn", "member", "mail"])
        });
        entries.concat()
    };
    let before = everything();
    assert_eq!(warnings(&writer).await, [] as [&str; 0]);
    let reader = connector(directory, bound_as(own::<S>(directory), &directory.reader));
    let warnings_for_reader = warnings(&reader).await;
    for key in [
        "accounts.attributes.email: ",
        "accounts.attributes.first_name: ",
        "suspend.method: ",
        "groups.0.member_attribute: ",
        "create.base: ",
    ] {
        if S::PROFILE == "openldap" && key == "create.base: " {
            // OpenLDAP cannot report this permission.
            continue;
        }
        let is_told = warnings_for_reader.iter().any(|warning| warning.starts_with(key));
        assert!(is_told, "{key}: {warnings_for_reader:?}");
    }
    let only_read = with(own::<S>(directory), &json!({ "read_only": true }));
    let only_read = connector(directory, bound_as(only_read, &directory.reader));
    assert_eq!(warnings(&only_read).await, [] as [&str; 0]);
    assert!(everything() == before, "it has changed something");
    let delete = json!({ "account": { "id": account } });
    run(&writer, Action::DeleteAccount, delete).await.unwrap();
}

/// The warnings of `check` about the schema.
async fn schema_of_new_accounts<S: Server>(directory: &Directory) {
    for (create, key, says) in [
        (json!({ "object_classes": ["inetOrgPersn"] }), "create.object_classes: ", "inetorgperson"),
        (json!({ "attributes": { "sn": "" } }), "create.attributes: ", "sn"),
        (
            json!({ "attributes": { "homeDirectory": "/home/{username}" } }),
            "create.attributes.homeDirectory: ",
            "homeDirectory",
        ),
        (
            json!({ "attributes": { "employeeTipe": "x" } }),
            "create.attributes.employeeTipe: ",
            "employeeType",
        ),
    ] {
        let own_create = json!({ "create": create, "accounts": {
            "base": directory.people, "attributes": { "last_name": "" },
        } });
        let connector = connector(directory, with(quick::<S>(directory), &own_create));
        let warnings = warnings(&connector).await;
        let found = warnings.iter().find(|warning| warning.starts_with(key));
        assert!(found.is_some_and(|warning| warning.contains(says)), "{key}: {warnings:?}");
        let account = json!({ "account": { "username": "foreseen" } });
        let error = run(&connector, Action::CreateAccount, account).await.unwrap_err();
        assert_eq!(error.effect(), Effect::NotApplied, "it would fail indeed: {error}");
    }
}

/// The warnings of `check` about groups and passwords on 389 Directory Server.
async fn conditions_of_ds389(directory: &Directory) {
    let plain = json!({ "url": directory.ldap_url() });
    let found = warnings(&connector(directory, with(own::<Ds389>(directory), &plain))).await;
    assert!(found.iter().any(|warning| warning.starts_with("password: ")), "{found:?}");
    let wrong = json!({ "groups": [{ "slug": "group", "filter": "(cn=sales)" }] });
    let found = warnings(&connector(directory, with(own::<Ds389>(directory), &wrong))).await;
    assert!(found.iter().any(|warning| warning.starts_with("groups.0.member_attribute: ")), "{found:?}");
}

/// Number 7, with only the permission to delete missing.
async fn no_right_to_delete(directory: &Directory) {
    let connector = connector(directory, quick::<Ds389>(directory));
    let group = group_id(&connector, "group", "engineering").await;
    let task = json!({ "account": { "username": "kept" }, "memberships": { "group": [group] } });
    let kept = id(&run(&connector, Action::CreateAccount, task).await.unwrap());
    let dn = directory.account_dn("kept");
    directory.modify_ldif(&format!(
        "dn: {dn}\nchangetype: modify\nadd: aci\naci: (version 3.0; acl \"stays\"; deny (delete) userdn = \"ldap:///{}\";)\n",
        directory.writer.dn
    ));
    let error =
        run(&connector, Action::DeleteAccount, json!({ "account": { "id": kept } })).await.unwrap_err();
    assert_eq!(
        (error.code(), error.effect(), error.subject()),
        (Code::PermissionDenied, Effect::NotApplied, Subject::Account),
        "{error}"
    );
    assert!(error.message().contains("back in its groups"), "{error}");
    assert!(held(directory, "engineering").contains(&dn));
    remove(directory, "kept");
}

/// Number 15: one entry whose name is not valid UTF-8 is an invalid record; the others are listed. Current servers do not accept such an
/// entry, so a proxy changes its name.
#[tokio::test]
async fn entry_with_non_utf8_dn_is_an_invalid_record() {
    let server = OpenLdap::start().await;
    let directory = &server.directory;
    for name in ["ann", "odXd", "zoe"] {
        directory.add_ldif(&directory.account_ldif(name));
    }
    directory.modify_ldif(&format!(
        "dn: {}\nchangetype: modify\nadd: member\nmember: {}\n",
        directory.group_dn("engineering"),
        directory.account_dn("ann")
    ));
    let address = (directory.address, directory.ldap_port).into();
    let proxy = proxy::replacing(address, b"uid=odXd,", b"uid=od\xe9d,").await;
    for read_from in ["members", "memberOf"] {
        let plain = json!({
            "url": format!("ldap://{proxy}"), "password": "none", "memberships": { "read_from": read_from },
        });
        let connector = connector(directory, with(settings("openldap", directory), &plain));
        let page = page(&connector, "account", None).await.unwrap();
        assert_eq!((page.records.len(), page.next), (2, None));
        let [rejected] = page.rejected.as_slice() else { panic!("{:?}", page.rejected) };
        assert!(rejected.to_string().contains("uid=od\\e9d"), "{rejected}");
        let ann = connector.find_account(&of_name("ann")).await.unwrap().unwrap();
        assert_eq!(ann.memberships.of("group").len(), 1);
        let error = connector.find_account(&of_name("odXd")).await.unwrap_err();
        assert!(error.message().contains("UTF-8"), "{error}");
    }
}

/// Number 14: an unreadable attribute is an error that names its key, and no account loses memberships.
async fn what_may_not_be_read(directory: &Directory) {
    let connect = |own: &Value| connector(directory, with(self::quick::<Ds389>(directory), own));
    let members = connect(&json!({ "memberships": { "read_from": "members" } }));
    let group = group_id(&members, "group", "engineering").await;
    let task = json!({ "account": { "username": "seen" }, "memberships": { "group": [group] } });
    run(&members, Action::CreateAccount, task).await.unwrap();
    for (hidden, key, connector) in [
        ("member", "groups.0.member_attribute", members),
        ("memberOf", "memberships.attribute", connect(&json!({}))),
    ] {
        let aci = |operation: &str| {
            directory.modify_ldif(&format!(
                "dn: dc=test\nchangetype: modify\n{operation}: aci\naci: (targetattr = \"{hidden}\")(version 3.0; acl \"hide\"; \
                 deny (read, search, compare) userdn = \"ldap:///{}\";)\n",
                directory.writer.dn
            ));
        };
        aci("add");
        for error in
            [connector.check().await.unwrap_err(), page(&connector, "account", None).await.unwrap_err()]
        {
            assert!(error.message().contains(key), "{hidden}: {error}");
        }
        aci("delete");
        connector.check().await.unwrap();
    }
    remove(directory, "seen");
}

/// Number 17: a disabled backend, and a password of bridgehead's account that must be changed, are not errors of a task.
async fn states_of_the_server(directory: &Directory) {
    let connector = connector(directory, own::<Ds389>(directory));
    run(&connector, Action::CreateAccount, json!({ "account": { "username": "held" } })).await.unwrap();
    let state = |value: &str| {
        directory.modify_ldif(&format!(
            "dn: cn=dc\\3Dtest,cn=mapping tree,cn=config\nchangetype: modify\nreplace: nsslapd-state\nnsslapd-state: {value}\n"
        ));
    };
    let task = || json!({ "account": { "username": "held" } });
    state("disabled");
    // New connections get no response for a while.
    let hasty = with(own::<Ds389>(directory), &json!({ "connect_timeout": "1s" }));
    let hasty = crate::support::connector(directory, hasty);
    for error in [
        run(&connector, Action::SuspendAccount, task()).await.unwrap_err(),
        page(&hasty, "account", None).await.unwrap_err(),
    ] {
        assert_eq!((error.effect(), error.subject()), (Effect::NotApplied, Subject::Connection), "{error}");
    }
    state("backend");
    run(&connector, Action::SuspendAccount, task()).await.unwrap();
    // A password that was set by an administrator must be changed first.
    directory.modify_ldif(&format!(
        "dn: cn=config\nchangetype: modify\nreplace: passwordMustChange\npasswordMustChange: on\n\n\
         dn: {}\nchangetype: modify\nreplace: userPassword\nuserPassword: {OTHER}\n",
        directory.writer.dn
    ));
    let login = Login { password: OTHER.into(), ..directory.writer.clone() };
    let late = crate::support::connector(directory, bound_as(own::<Ds389>(directory), &login));
    for error in [
        run(&late, Action::UnsuspendAccount, task()).await.unwrap_err(),
        run(
            &late,
            Action::ResetPassword,
            json!({ "account": { "username": "held" }, "changes": { "password": PASSWORD } }),
        )
        .await
        .unwrap_err(),
        page(&late, "account", None).await.unwrap_err(),
        late.check().await.unwrap_err(),
    ] {
        assert_eq!((error.effect(), error.subject()), (Effect::NotApplied, Subject::Connection), "{error}");
        assert!(error.message().contains("must change its password"), "{error}");
    }
}

/// Requests and responses are traced without secrets.
async fn what_is_shown<S: Server>(directory: &Directory, reset: &str) {
    let shown = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&shown);
    let trace = Trace::new(&Redactor::new(), move |line| kept.lock().unwrap().push(line.to_owned()));
    let traced = |settings: Map<String, Value>| {
        let mut setup = Setup::new("acme-ldap", settings);
        setup.network.authorities = std::fs::read(&directory.ca).unwrap().into();
        setup.network.trace = Some(trace.clone());
        bridgehead_ldap::factory().build(setup).unwrap()
    };
    let connector = traced(own::<S>(directory));
    let group = group_id(&connector, "group", "engineering").await;
    let account = json!({ "username": "shown", "password": PASSWORD, "first_name": "Ann" });
    let task = json!({ "account": account, "memberships": { "group": [group] } });
    let made = id(&run(&connector, Action::CreateAccount, task).await.unwrap());
    let task = |rest: Value| json!({ "account": { "id": made }, "changes": rest });
    run(&connector, Action::ResetPassword, task(json!({ "password": OTHER }))).await.unwrap();
    run(&connector, Action::UpdateAccount, task(json!({ "first_name": "Anna" }))).await.unwrap();
    run(&connector, Action::DeleteAccount, json!({ "account": { "id": made } })).await.unwrap();
    let wrong = json!({ "bind_password": "Wrong-secret-1" });
    traced(with(own::<S>(directory), &wrong)).check().await.unwrap_err();
    let shown = shown.lock().unwrap().clone();
    let has =
        |start: &str, part: &str| shown.iter().any(|line| line.starts_with(start) && line.contains(part));
    for (start, part) in [
        ("--> acme-ldap  connect to ldaps://", ""),
        ("--> acme-ldap  bind as ", &directory.writer.dn),
        ("<-- acme-ldap  invalidCredentials (49)", ""),
        ("--> acme-ldap  search ", &directory.groups),
        ("<-- acme-ldap  0 (success), ", "engineering"),
        ("--> acme-ldap  add ", "givenName: [\"Ann\"]"),
        ("--> acme-ldap  modify ", "Replace givenName: [\"Anna\"]"),
        ("--> acme-ldap  modify ", "Add member: "),
        ("--> acme-ldap  delete ", ""),
        ("--> acme-ldap  ", reset),
    ] {
        assert!(has(start, part), "{start}{part}: {shown:#?}");
    }
    for secret in [PASSWORD, OTHER, "Wrong-secret-1", &directory.writer.password] {
        assert!(!shown.iter().any(|line| line.contains(secret)), "{secret}: {shown:#?}");
    }
}
