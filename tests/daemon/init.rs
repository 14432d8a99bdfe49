//! `bridgehead init`: from nothing to a configuration that `check` takes as it stands, and to the dry run.

use std::io::Write;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use bridgehead_test_servers as servers;

use crate::support::{KEY, World};

/// A secret that no output and no configuration may show.
const SECRET: &str = "target-secret-that-must-never-leak-0815";

/// Runs `init` in an empty folder of the world, with these lines on standard input if any.
async fn init(
    world: &World,
    arguments: &[&str],
    variables: &[(&str, &str)],
    lines: Option<&[&str]>,
) -> Output {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_bridgehead"));
    command.args(["init", "--output"]).arg(world.path("bridgehead.toml")).args(arguments);
    command.env_remove("BRIDGEHEAD_CONFIG").env("IDEN_API_KEY", KEY).envs(variables.iter().copied());
    command.current_dir(world.path("")).stdout(Stdio::piped()).stderr(Stdio::piped());
    let input = lines.map(|lines| lines.join("\n") + "\n");
    command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
    let run = move || {
        let mut child = command.spawn().expect("the binary runs");
        if let (Some(mut stdin), Some(input)) = (child.stdin.take(), input) {
            // Who needs no more of it closes it early.
            drop(stdin.write_all(input.as_bytes()));
        }
        child.wait_with_output().expect("it was waited for")
    };
    tokio::task::spawn_blocking(run).await.expect("it was waited for")
}

/// Runs a command to its end, while the sandbox of this process answers.
async fn finished(mut command: std::process::Command) -> Output {
    tokio::task::spawn_blocking(move || command.output().expect("the binary runs"))
        .await
        .expect("it was waited for")
}

/// Runs it without asking anything, against the world's sandbox and its app.
async fn silent(world: &World, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let (url, app) = (world.sandbox.base_url(), world.app.to_string());
    let mut all =
        vec!["--non-interactive", "--name", "hr", "--iden-url", &url, "--iden-key-env", "IDEN_API_KEY"];
    all.extend(["--app", &app]);
    all.extend(arguments);
    init(world, &all, variables, None).await
}

/// What was printed; no secret is in it, nor in the configuration.
fn told(world: &World, output: &Output) -> String {
    let told =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let configured = std::fs::read_to_string(world.path("bridgehead.toml")).unwrap_or_default();
    for secret in [KEY, SECRET] {
        assert!(
            !told.contains(secret) && !configured.contains(secret),
            "a secret is shown: {told}\n{configured}"
        );
    }
    told
}

/// That it went well to its end: written, checked, and read in a dry run that finds so many accounts. Gives what was printed.
fn assert_fine(world: &World, output: &Output, accounts: usize) -> String {
    let (told, counted) = assert_proven(world, output);
    assert_eq!(counted, accounts, "{told}");
    told
}

/// The same for targets that have accounts of their own. Gives what was printed, and how many accounts there are.
fn assert_proven(world: &World, output: &Output) -> (String, usize) {
    let told = told(world, output);
    assert!(output.status.success(), "{told}\n{}", world.read("bridgehead.toml"));
    for part in ["wrote ", "Check:", "Dry run:", "Next, the daemon:", " run"] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let row = told.lines().find(|line| line.trim_start_matches(['|', ' ']).starts_with("account "));
    let row = row.unwrap_or_else(|| panic!("no accounts in the dry run: {told}"));
    let counted = row.split(|one: char| !one.is_ascii_digit()).find_map(|part| part.parse().ok());
    // Nothing went to Iden.
    assert_eq!(world.sandbox.records(world.app, "account").len(), 0);
    (told.clone(), counted.unwrap_or_else(|| panic!("no number of accounts: {told}")))
}

/// That `check` takes what was written, by itself.
async fn assert_checked(world: &World) {
    let checked = world.run(&["check"]).await;
    assert!(checked.status.success(), "{checked:?}\n{}", world.read("bridgehead.toml"));
}

#[tokio::test]
async fn made_up_people_are_connected_without_a_question() {
    let world = World::new().await;
    let output = silent(&world, &["--connector", "simulated", "--accounts", "25"], &[]).await;
    assert_fine(&world, &output, 25);
    assert_checked(&world).await;
}

#[tokio::test]
async fn a_folder_is_connected_by_its_files_and_columns() {
    let world = World::new().await;
    world.write("people/accounts.csv", "id;email;team\nu1;u1@example.org;t1\nu2;u2@example.org;\n");
    world.write("people/team.csv", "id;name\nt1;Team\n");
    let output = silent(&world, &["--connector", "file", "--path", "people"], &[]).await;
    let told = assert_fine(&world, &output, 2);
    assert!(told.contains("accounts.csv with the columns id, email, team"), "{told}");
    assert_checked(&world).await;
    let configured = world.read("bridgehead.toml");
    assert!(
        configured.contains("delimiter = \";\"") && configured.contains("slug = \"team\""),
        "{configured}"
    );
}

#[tokio::test]
async fn a_program_is_connected_by_what_it_says_at_its_start() {
    let world = World::new().await;
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/examples");
    for name in ["hr.py", "hr.json"] {
        std::fs::copy(examples.join(name), world.path(name)).expect("an example");
    }
    let held: serde_json::Value = serde_json::from_str(&world.read("hr.json")).expect("JSON");
    let accounts = held["account"].as_object().map_or(0, serde_json::Map::len);
    let arguments =
        ["--connector", "exec", "--command", "python3 hr.py", "--settings", r#"{"path": "hr.json"}"#];
    let output = silent(&world, &arguments, &[]).await;
    let told = assert_fine(&world, &output, accounts);
    assert!(told.contains("actions: create_account"), "{told}");
    assert_checked(&world).await;
}

#[tokio::test]
async fn a_database_file_is_connected_by_its_tables() {
    let world = World::new().await;
    let file = world.path("app.sqlite");
    let sql = "CREATE TABLE users (id INTEGER PRIMARY KEY, login TEXT UNIQUE, mail TEXT, locked INTEGER NOT NULL);\
               CREATE TABLE teams (id TEXT PRIMARY KEY, name TEXT NOT NULL);\
               CREATE TABLE team_members (user_id INTEGER REFERENCES users (id), team_id TEXT REFERENCES teams (id));\
               CREATE TABLE audit (id INTEGER PRIMARY KEY, email TEXT, user_id INTEGER REFERENCES users (id));\
               INSERT INTO users VALUES (1, 'ann', 'ann@example.org', 0), (2, 'bo', 'bo@example.org', 1), (3, 'cy', NULL, 0);\
               INSERT INTO teams VALUES ('t', 'Team'); INSERT INTO team_members VALUES (1, 't');";
    let script = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).executescript(sys.argv[2]).close()";
    let made = std::process::Command::new("python3").args(["-c", script]).arg(&file).arg(sql).status();
    assert!(made.expect("Python runs").success());
    let output =
        silent(&world, &["--connector", "sql", "--engine", "sqlite", "--path", "app.sqlite"], &[]).await;
    let told = assert_fine(&world, &output, 3);
    assert!(told.contains("accounts in the table users"), "{told}");
    assert_checked(&world).await;
    let found = world.run(&["call", "hr", "find", "--username", "BO", "--yes"]).await;
    let found = String::from_utf8_lossy(&found.stdout).into_owned();
    assert!(found.contains("bo@example.org") && found.contains("suspended"), "{found}");
    let found = world.run(&["call", "hr", "find", "--username", "ann", "--yes"]).await;
    assert!(String::from_utf8_lossy(&found.stdout).contains("team"), "{found:?}");
}

#[tokio::test]
async fn a_database_server_is_connected_by_its_tables() {
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
async fn an_application_with_scim_is_connected_by_what_it_says_of_itself() {
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
async fn an_application_with_an_interface_of_its_own_is_connected_by_one_of_its_answers() {
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
    // Its key is looked at.
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
async fn a_directory_is_connected_in_far_less_than_five_minutes() {
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
        ["OpenLDAP", "200 people below ou=people,dc=test", "a password policy that keeps locked accounts out"]
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

/// Directories of other makers, over TLS with an authority of their own.
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
async fn a_389_directory_server_is_told_from_others() {
    let population = servers::Population { accounts: 15, groups: 2, ..servers::Population::default() };
    let server = servers::Ds389::start_with(servers::Options::default().population(population)).await;
    assert_eq!(assert_connected(&server.directory, "389ds", "15 people below").await, 15);
}

#[tokio::test]
async fn an_active_directory_is_told_from_others() {
    let server = servers::Samba::start().await;
    // Its own users, of whom there is one administrator at least.
    assert!(assert_connected(&server.directory, "ad", "Samba").await > 0);
}

#[tokio::test]
async fn mariadb_is_connected_by_its_tables() {
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
async fn a_directory_is_connected_by_answers_and_a_step_is_taken_back() {
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
        &password, // nobody is there: back, three times
        "<",
        "<",
        &url,
        "",
        "", // the name and the password as before
        "dc=nowhere",
        "dc=test", // not in the directory
        "<",
        "", // back to the base, and the one before holds
        &iden,
        "env:IDEN_API_KEY",
        &app,
        "yes",
    ];
    let output = init(&world, &[], &[], Some(&lines)).await;
    let told = assert_fine(&world, &output, 20);
    assert!(
        told.contains("cannot be reached at ldap://127.0.0.1:1")
            && told.contains("dc=nowhere is not in the directory"),
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

#[tokio::test]
async fn everything_is_tried_against_a_sandbox_of_its_own() {
    let world = World::new().await;
    let arguments = [
        "--non-interactive",
        "--connector",
        "simulated",
        "--name",
        "hr",
        "--accounts",
        "7",
        "--sandbox",
        "127.0.0.1:0",
    ];
    let output = init(&world, &arguments, &[], None).await;
    let told = assert_fine(&world, &output, 7);
    assert!(told.contains("bridgehead sandbox --listen 127.0.0.1:"), "{told}");
    assert!(world.read("bridgehead.toml").contains("api_key = { file = \"iden-api-key\" }"));
}

#[tokio::test]
async fn an_app_is_created_in_iden_if_it_is_wanted_and_chosen_from_those_there_are() {
    let world = World::new().await;
    let iden = world.sandbox.base_url();
    let lines = ["simulated", "hr", "3", &iden, "env:IDEN_API_KEY", "2", ""];
    let output = init(&world, &["--no-check"], &[], Some(&lines)).await;
    let told = told(&world, &output);
    assert!(output.status.success() && told.contains("HR"), "{told}");
    assert!(
        world.read("bridgehead.toml").contains(&world.app.to_string()),
        "the second choice is the app that there is"
    );
    assert!(!told.contains("Dry run"), "{told}");

    let other = World::new().await;
    let iden = other.sandbox.base_url();
    let lines = ["simulated", "new-one", "3", &iden, "env:IDEN_API_KEY", "", ""];
    let output = init(&other, &["--json"], &[], Some(&lines)).await;
    assert!(output.status.success(), "{output:?}");
    let mut documents = serde_json::Deserializer::from_slice(&output.stdout).into_iter::<serde_json::Value>();
    let written = documents.next().expect("a document").expect("JSON");
    assert_eq!(written["app"], "new-one");
    assert_eq!(documents.count(), 2, "what check found, and the dry run");
    let apps = other.run(&["apps", "list", "--json"]).await;
    let apps: serde_json::Value = serde_json::from_slice(&apps.stdout).expect("JSON");
    assert!(
        apps.as_array()
            .expect("a list")
            .iter()
            .any(|app| app["id"] == written["app_id"] && app["name"] == "new-one")
    );
}

#[tokio::test]
async fn nothing_is_overwritten_and_a_second_app_goes_beside_the_first() {
    let world = World::new().await;
    world.write("bridgehead.toml", "# mine\n");
    let output = silent(&world, &["--connector", "simulated"], &[]).await;
    assert_eq!(output.status.code(), Some(78), "{output:?}");
    let told = told(&world, &output);
    assert!(
        told.contains("is there already and is not overwritten") && told.contains("--output FOLDER"),
        "{told}"
    );
    assert_eq!(world.read("bridgehead.toml"), "# mine\n");

    // In a folder, the app gets a file of its own, and nobody is asked where Iden is.
    let world = World::new().await;
    let url = world.sandbox.base_url();
    world.write(
        "conf/10-iden.toml",
        &format!("[bridge]\nbase_url = \"{url}\"\napi_key = {{ env = \"IDEN_API_KEY\" }}\n[state]\npath = \"state\"\n"),
    );
    let folder = world.path("conf");
    let app = world.app.to_string();
    let mut arguments =
        vec!["--output", folder.to_str().expect("a path"), "--non-interactive", "--connector", "simulated"];
    arguments.extend(["--name", "hr", "--accounts", "5", "--app", &app]);
    let run = |arguments: &[&str]| {
        let mut command = world.command(&["init"]);
        command.args(arguments);
        finished(command)
    };
    let first = run(&arguments).await;
    assert!(first.status.success(), "{first:?}");
    let written = world.read("conf/hr.toml");
    assert!(written.contains("[apps.hr]") && !written.contains("[bridge]"), "{written}");
    let again = run(&arguments).await;
    assert!(
        String::from_utf8_lossy(&again.stderr).contains("an app 'hr' is configured already"),
        "{again:?}"
    );
    assert_eq!(world.read("conf/hr.toml"), written);
}

#[tokio::test]
async fn what_is_missing_is_said_in_one_sentence_and_nothing_is_written() {
    let world = World::new().await;
    for (arguments, said) in [
        (&["--non-interactive"][..], "--connector is missing"),
        (&["--non-interactive", "--connector", "ldpa"], "did you mean 'ldap'?"),
        (&["--non-interactive", "--connector", "ldap", "--name", "a b"], "--name: must be 1 to 64 letters"),
        (
            &["--non-interactive", "--connector", "ldap", "--name", "hr"],
            "--url is missing: Where the server is",
        ),
        (
            &[
                "--non-interactive",
                "--connector",
                "ldap",
                "--name",
                "hr",
                "--url",
                "ldap://127.0.0.1:1",
                "--bind-dn",
                "cn=x",
            ],
            "--bind-password-file, --bind-password-env or --bind-password-credential is missing",
        ),
        (&["--non-interactive", "--connector", "simulated", "--name", "hr"], "--iden-url is missing"),
        (
            &[
                "--non-interactive",
                "--connector",
                "simulated",
                "--name",
                "hr",
                "--iden-url",
                "http://iden.example.org",
            ],
            "--iden-url: ",
        ),
        (&["--bind-password", "hunter2"], "unexpected argument"),
    ] {
        let output = init(&world, arguments, &[], None).await;
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {told}");
        assert!(told.contains(said), "{arguments:?}: {told}");
    }
    // Input that ends too early, and somebody who changes their mind.
    let output = init(&world, &[], &[], Some(&["simulated", "hr"])).await;
    assert!(String::from_utf8_lossy(&output.stderr).contains("the input ended"), "{output:?}");
    let output = init(&world, &[], &[], Some(&["simulated", "hr", "", "sandbox", "no"])).await;
    assert!(String::from_utf8_lossy(&output.stderr).contains("nothing was written"), "{output:?}");
    assert!(std::fs::read_dir(world.path("")).expect("a folder").next().is_none(), "something was written");
}

/// An application with people that shows them to whoever has the key.
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
        // The server lives as long as the task that holds it.
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
