//! `bridgehead init` against real servers: what it discovers is enough for `check` and a dry run.

use std::time::Duration;

use bridgehead_test_servers as servers;

use crate::init::{SECRET, assert_checked, assert_fine, assert_proven, finished, init, silent};
use crate::support::World;

#[tokio::test]
async fn init_connects_postgresql_by_its_tables() {
    let world = World::new().await;
    let server = servers::Postgres::start().await;
    let tables = format!(
        "CREATE ROLE bridgehead LOGIN PASSWORD '{SECRET}';\
         CREATE TABLE people (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), username text UNIQUE, email text, active boolean NOT NULL);\
         CREATE TABLE plans (id int PRIMARY KEY, name text NOT NULL);\
         CREATE TABLE plan_holders (person_id uuid REFERENCES people, plan_id int REFERENCES plans);\
         INSERT INTO people (username, email, active) SELECT 'p' || n, 'p' || n || '@example.org', n % 5 > 0 FROM generate_series(1, 40) n;\
         INSERT INTO plans VALUES (1, 'Plan'); INSERT INTO plan_holders SELECT id, 1 FROM people LIMIT 7;\
         GRANT SELECT ON ALL TABLES IN SCHEMA public TO bridgehead"
    );
    server.sql("postgres", &tables);
    let host = format!("127.0.0.1:{}", server.port);
    let arguments = [
        "--connector",
        "sql",
        "--engine",
        "postgresql",
        "--host",
        &host,
        "--database",
        "postgres",
        "--user",
        "bridgehead",
        "--password-env",
        "HR_PASSWORD",
    ];
    let output = silent(&world, &arguments, &[("HR_PASSWORD", SECRET)]).await;
    let told = assert_fine(&world, &output, 40);
    assert!(told.contains("plan"), "{told}");
    assert!(world.read("bridgehead.toml").contains("password = { env = \"HR_PASSWORD\" }"));
}

#[tokio::test]
async fn init_connects_a_scim_application_by_discovery() {
    let world = World::new().await;
    let population = servers::Population { accounts: 30, groups: 3, ..servers::Population::default() };
    let server = servers::Scim2::builder().population(population).start().await;
    std::fs::write(world.path("token"), servers::Scim2::TOKEN).expect("a file");
    let token = world.path("token");
    let arguments =
        ["--connector", "scim", "--url", &server.url(), "--token-file", token.to_str().expect("a path")];
    let output = silent(&world, &arguments, &[]).await;
    let told = assert_fine(&world, &output, 30);
    assert!(told.contains("30 users at /Users") && !told.contains(servers::Scim2::TOKEN), "{told}");
    assert_checked(&world).await;
}

#[tokio::test]
async fn init_connects_a_custom_http_api_by_a_sample_response() {
    let world = World::new().await;
    let people: Vec<_> = (1..=12)
        .map(|n| serde_json::json!({ "key": format!("k{n}"), "login": format!("p{n}"), "mail": format!("p{n}@example.org"), "locked": n == 3 }))
        .collect();
    let server = Application::start(people).await;
    let arguments = [
        "--connector",
        "http",
        "--base-url",
        &server.url,
        "--accounts-path",
        "/people",
        "--auth",
        "api_key",
        "--header",
        "X-Key",
        "--key-env",
        "HR_KEY",
    ];
    let output = silent(&world, &arguments, &[("HR_KEY", SECRET)]).await;
    assert_fine(&world, &output, 12);
    let configured = world.read("bridgehead.toml");
    assert!(
        configured.contains("records = \"answer.people\"") && configured.contains("/people/{{ account.id }}"),
        "{configured}"
    );
    // A wrong key is detected.
    let world = World::new().await;
    let output = silent(&world, &arguments, &[("HR_KEY", "another-key")]).await;
    assert!(!output.status.success() && !world.path("bridgehead.toml").exists(), "{output:?}");
}

/// The answers to the questions about a directory.
fn directory(server: &servers::OpenLdap) -> [String; 3] {
    let directory = &server.directory;
    [directory.ldap_url(), directory.writer.dn.clone(), directory.writer.password.clone()]
}

#[tokio::test]
async fn init_connects_a_directory_quickly() {
    let world = World::new().await;
    let population = servers::Population { accounts: 200, groups: 4, ..servers::Population::default() };
    let server = servers::OpenLdap::start_with(servers::Options::default().population(population)).await;
    let [url, dn, password] = directory(&server);
    let begun = std::time::Instant::now();
    let arguments =
        ["--connector", "ldap", "--url", &url, "--bind-dn", &dn, "--bind-password-env", "HR_PASSWORD"];
    let output = silent(&world, &arguments, &[("HR_PASSWORD", &password)]).await;
    let took = begun.elapsed();
    let told = assert_fine(&world, &output, 200);
    assert!(!told.contains(&password) && !world.read("bridgehead.toml").contains(&password), "{told}");
    for part in
        ["OpenLDAP", "200 people below ou=people,dc=test", "a password policy that rejects locked accounts"]
    {
        assert!(told.contains(part), "{part}: {told}");
    }
    println!("from nothing to the dry run of a directory: {took:?}");
    assert!(took < Duration::from_mins(5), "{took:?}");
    let mut check = world.command(&["check"]);
    check.env("HR_PASSWORD", &password);
    let checked = finished(check).await;
    assert!(checked.status.success(), "{checked:?}");
}

/// Directories of other vendors, over TLS with their own certificate authority.
async fn assert_connected(directory: &servers::Directory, profile: &str, seen: &str) -> usize {
    let world = World::new().await;
    let (url, ca) = (directory.ldaps_url(), directory.ca.to_str().expect("a path").to_owned());
    let arguments = [
        "--connector",
        "ldap",
        "--url",
        &url,
        "--ca-file",
        &ca,
        "--bind-dn",
        &directory.writer.dn,
        "--bind-password-env",
        "HR_PASSWORD",
    ];
    let output = silent(&world, &arguments, &[("HR_PASSWORD", &directory.writer.password)]).await;
    let (told, accounts) = assert_proven(&world, &output);
    let configured = world.read("bridgehead.toml");
    assert!(told.contains(seen), "{seen}: {told}");
    assert!(configured.contains(&format!("profile = \"{profile}\"")) && configured.contains("[network]"));
    assert!(!told.contains(&directory.writer.password) && !configured.contains(&directory.writer.password));
    accounts
}

#[tokio::test]
async fn init_recognizes_389_directory_server() {
    let population = servers::Population { accounts: 15, groups: 2, ..servers::Population::default() };
    let server = servers::Ds389::start_with(servers::Options::default().population(population)).await;
    assert_eq!(assert_connected(&server.directory, "389ds", "15 people below").await, 15);
}

#[tokio::test]
async fn init_recognizes_active_directory() {
    let server = servers::Samba::start().await;
    // Samba's built-in users, of which at least one is an administrator.
    assert!(assert_connected(&server.directory, "ad", "Samba").await > 0);
}

#[tokio::test]
async fn init_connects_mariadb_by_its_tables() {
    let world = World::new().await;
    let server = servers::MariaDb::start().await;
    let tables = format!(
        "CREATE DATABASE shop; CREATE USER bridgehead@'%' IDENTIFIED BY '{SECRET}'; GRANT SELECT ON shop.* TO bridgehead@'%'; USE shop;\
         CREATE TABLE users (id BIGINT AUTO_INCREMENT PRIMARY KEY, login VARCHAR(80) UNIQUE, email VARCHAR(200), enabled BOOLEAN NOT NULL);\
         CREATE TABLE `groups` (code VARCHAR(20) PRIMARY KEY, title VARCHAR(80) NOT NULL);\
         CREATE TABLE user_groups (user_id BIGINT, group_code VARCHAR(20), FOREIGN KEY (user_id) REFERENCES users (id),\
             FOREIGN KEY (group_code) REFERENCES `groups` (code));\
         INSERT INTO users (login, email, enabled) VALUES ('ann', 'ann@example.org', TRUE), ('bo', 'bo@example.org', FALSE);\
         INSERT INTO `groups` VALUES ('g', 'Group'); INSERT INTO user_groups VALUES (1, 'g')"
    );
    server.sql("mysql", &tables);
    let host = format!("127.0.0.1:{}", server.port);
    let arguments = [
        "--connector",
        "sql",
        "--engine",
        "mysql",
        "--host",
        &host,
        "--database",
        "shop",
        "--user",
        "bridgehead",
        "--password-env",
        "HR_PASSWORD",
    ];
    let output = silent(&world, &arguments, &[("HR_PASSWORD", SECRET)]).await;
    let told = assert_fine(&world, &output, 2);
    assert!(
        told.contains("accounts in the table users") && told.contains("enabled with 2 known values"),
        "{told}"
    );
}

#[tokio::test]
async fn init_connects_a_directory_interactively_with_going_back() {
    let world = World::new().await;
    let population = servers::Population { accounts: 20, groups: 2, ..servers::Population::default() };
    let server = servers::OpenLdap::start_with(servers::Options::default().population(population)).await;
    let [url, dn, password] = directory(&server);
    let iden = world.sandbox.base_url();
    let app = world.app.to_string();
    let lines = [
        "ldap",
        "hr",
        "ldap://127.0.0.1:1",
        &dn,
        &password, // the server is unreachable: back to its URL
        "<",
        "<",
        &url,
        "",
        "", // the bind DN and the password are kept
        "dc=nowhere",
        "dc=test", // dc=nowhere is not in the directory
        "<",
        "", // back to the base, which is kept
        &iden,
        "env:IDEN_API_KEY",
        &app,
        "yes",
    ];
    let output = init(&world, &[], &[], Some(&lines)).await;
    let told = assert_fine(&world, &output, 20);
    assert!(
        told.contains("is unreachable at ldap://127.0.0.1:1") && told.contains("dc=nowhere does not exist"),
        "{told}"
    );
    assert!(!told.contains(&password), "{told}");
    let configured = world.read("bridgehead.toml");
    assert!(
        configured.contains("bind_password = { file = \"hr.bind_password\" }")
            && !configured.contains(&password)
    );
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &std::fs::metadata(world.path("hr.bind_password")).expect("it is there").permissions(),
    );
    assert_eq!(mode & 0o777, 0o600);
    assert_checked(&world).await;
}

/// An application with accounts that it shows to callers with the key.
struct Application {
    url: String,
    serving: tokio::task::JoinHandle<()>,
}

impl Application {
    async fn start(people: Vec<serde_json::Value>) -> Self {
        use wiremock::matchers::{header, method, path};
        use wiremock::{Mock, MockServer, ResponseTemplate};
        let server = MockServer::start().await;
        let url = server.uri();
        let authentic = || Mock::given(method("GET")).and(header("X-Key", SECRET));
        for person in &people {
            let key = person["key"].as_str().expect("a key");
            let one = authentic().and(path(format!("/people/{key}")));
            one.respond_with(ResponseTemplate::new(200).set_body_json(person)).mount(&server).await;
        }
        let all = serde_json::json!({ "people": people });
        authentic()
            .and(path("/people"))
            .respond_with(ResponseTemplate::new(200).set_body_json(all))
            .mount(&server)
            .await;
        let refused = ResponseTemplate::new(401);
        let unknown = Mock::given(method("GET")).and(path("/people")).respond_with(refused);
        unknown.with_priority(9).mount(&server).await;
        // The server lives as long as the task that owns it.
        let serving = tokio::spawn(async move {
            std::future::pending::<()>().await;
            drop(server);
        });
        Self { url, serving }
    }
}

impl Drop for Application {
    fn drop(&mut self) {
        self.serving.abort();
    }
}
