//! A real directory with the binary: the connector uses `[network]`, and the conformance kit passes from the command line, including its
//! checks of broken connections.

use bridgehead_test_servers::OpenLdap;
use serde_json::Value;

use crate::support::World;

const TARGET: &str = r#"
connector = "ldap"
[apps.hr.target]
profile = "openldap"
url = "ldaps://localhost:LDAPS"
bind_dn = "cn=writer,dc=test"
bind_password = { file = "writer" }
base = "dc=test"
connect_timeout = "3s"
request_timeout = "5s"
groups = [{ slug = "group", placeholder_member = "cn=placeholder,dc=test" }]
accounts = { base = "ou=people,dc=test" }
create = { base = "ou=people,dc=test" }

[apps.hr.conformance]
address = "127.0.0.1:LDAPS"
missing_refs = { group = "0b0e5a3c-0000-1041-8191-8b0d5bc63e0e" }
usable_refs = { group = "GROUP" }
bad_credential = { bind_password = "not-the-password" }
refused_permission = { bind_dn = "cn=reader,dc=test", bind_password = { file = "reader" } }
unreachable = { url = "ldaps://localhost:{port}" }
silent = { url = "ldaps://localhost:{port}" }
through = { url = "ldaps://localhost:{port}" }
accept_skipped = ["*"]
"#;

async fn world(server: &OpenLdap, network: &str) -> World {
    let world = World::new().await;
    let directory = &server.directory;
    let group = directory.search(&directory.groups, "(cn=engineering)", &["entryUUID"]);
    let group = group[0].first("entryUUID").expect("an id");
    let app = TARGET.replace("LDAPS", &directory.ldaps_port.to_string()).replace("GROUP", group);
    world.write("writer", &directory.writer.password);
    world.write("reader", &directory.reader.password);
    world.configure(&format!("{app}\n{network}"));
    world
}

#[tokio::test]
async fn the_kit_proves_a_live_directory_and_leaves_it_as_it_was() {
    let server = OpenLdap::start().await;
    let network = format!("[network]\nca_file = {:?}\n", server.directory.ca);
    let world = world(&server, &network).await;
    let before = server.directory.search("dc=test", "(objectClass=*)", &["member"]);
    let output = world.run(&["check", "hr", "--conformance", "--yes", "--json"]).await;
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    let lines: Vec<Value> = told.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let result = |name: &str| {
        let check = lines.iter().find(|check| check["name"] == name);
        check.map(|check| check["result"].clone()).unwrap_or_default()
    };
    // Each of these checks needs a key of `[conformance]`, and is skipped without it.
    for name in [
        "refused-permission",
        "missing-group",
        "membership-added",
        "bad-credential",
        "unreachable",
        "silence",
        "cut-listing",
        "cut-look-up",
        "cut-change",
    ] {
        assert_eq!(result(name), "passed", "{name}: {told}");
    }
    let after = server.directory.search("dc=test", "(objectClass=*)", &["member"]);
    assert_eq!(format!("{before:?}"), format!("{after:?}"));
    assert!(!told.contains(&server.directory.writer.password));
}

#[tokio::test]
async fn connector_trusts_a_private_ca_only_through_ca_file() {
    let server = OpenLdap::start().await;
    let world = world(&server, "").await;
    let refused = world.run(&["check", "hr"]).await;
    let told = String::from_utf8_lossy(&refused.stdout).into_owned();
    assert_eq!(refused.status.code(), Some(1), "{told}");
    assert!(told.contains("failed   hr: target: "), "{told}");
    world.configure(&format!(
        "{}\n[network]\nca_file = {:?}\n",
        TARGET.replace("LDAPS", &server.directory.ldaps_port.to_string()),
        server.directory.ca
    ));
    let checked = world.run(&["check", "hr"]).await;
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
}
