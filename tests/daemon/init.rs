//! `bridgehead init`: from nothing to a configuration that passes `check` unchanged, and to the dry run.

use std::io::Write;
use std::path::Path;
use std::process::{Output, Stdio};

use crate::support::{KEY, World};

/// A secret that no output and no configuration may show.
pub(crate) const SECRET: &str = "target-secret-that-must-never-leak-0815";

/// Runs `init` in an empty folder, with these lines on standard input if any.
pub(crate) async fn init(
    world: &World,
    arguments: &[&str],
    variables: &[(&str, &str)],
    lines: Option<&[&str]>,
) -> Output {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_bridgehead"));
    command.arg("init").args(arguments);
    if !arguments.contains(&"--output") {
        command.arg("--output").arg(world.path("bridgehead.toml"));
    }
    command.env_remove("BRIDGEHEAD_CONFIG").env("IDEN_API_KEY", KEY).envs(variables.iter().copied());
    command.current_dir(world.path("")).stdout(Stdio::piped()).stderr(Stdio::piped());
    let input = lines.map(|lines| lines.join("\n") + "\n");
    command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
    let run = move || {
        let mut child = command.spawn().expect("the binary runs");
        if let (Some(mut stdin), Some(input)) = (child.stdin.take(), input) {
            // The command may close its input before reading all of it.
            drop(stdin.write_all(input.as_bytes()));
        }
        child.wait_with_output().expect("it was waited for")
    };
    tokio::task::spawn_blocking(run).await.expect("it was waited for")
}

/// Runs a command to completion while the sandbox in this process keeps responding.
pub(crate) async fn finished(mut command: std::process::Command) -> Output {
    tokio::task::spawn_blocking(move || command.output().expect("the binary runs"))
        .await
        .expect("it was waited for")
}

/// Runs `init` without questions, against the test's sandbox and its app.
pub(crate) async fn silent(world: &World, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let (url, app) = (world.sandbox.base_url(), world.app.to_string());
    let mut all =
        vec!["--non-interactive", "--name", "hr", "--iden-url", &url, "--iden-key-env", "IDEN_API_KEY"];
    all.extend(["--app", &app]);
    all.extend(arguments);
    init(world, &all, variables, None).await
}

/// The output; neither it nor the configuration contains a secret.
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

/// Asserts that `init` succeeded: the configuration was written, checked, and used for a dry run that found this many accounts. Returns the
/// output.
pub(crate) fn assert_fine(world: &World, output: &Output, accounts: usize) -> String {
    let (told, counted) = assert_proven(world, output);
    assert_eq!(counted, accounts, "{told}");
    told
}

/// The same for targets with accounts of their own. Returns the output, and the number of accounts.
pub(crate) fn assert_proven(world: &World, output: &Output) -> (String, usize) {
    let told = told(world, output);
    assert!(output.status.success(), "{told}\n{}", world.read("bridgehead.toml"));
    for part in ["wrote ", "Check:", "Dry run:", "Next, the daemon:", " run"] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let row = told.lines().find(|line| line.trim_start_matches(['|', ' ']).starts_with("account "));
    let row = row.unwrap_or_else(|| panic!("no accounts in the dry run: {told}"));
    let counted = row.split(|one: char| !one.is_ascii_digit()).find_map(|part| part.parse().ok());
    // Nothing was sent to Iden.
    assert_eq!(world.sandbox.records(world.app, "account").len(), 0);
    (told.clone(), counted.unwrap_or_else(|| panic!("no number of accounts: {told}")))
}

/// Asserts that `check` accepts what was written, without further arguments.
pub(crate) async fn assert_checked(world: &World) {
    let checked = world.run(&["check"]).await;
    assert!(checked.status.success(), "{checked:?}\n{}", world.read("bridgehead.toml"));
}

#[tokio::test]
async fn init_connects_simulated_accounts_without_questions() {
    let world = World::new().await;
    let output = silent(&world, &["--connector", "simulated", "--accounts", "25"], &[]).await;
    assert_fine(&world, &output, 25);
    assert_checked(&world).await;
}

#[tokio::test]
async fn init_connects_a_folder_by_its_files_and_columns() {
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
async fn a_path_that_is_typed_is_relative_to_where_one_is_and_written_as_a_whole() {
    let world = World::new().await;
    world.write("people/accounts.csv", "id,email,username,status\nu1,u1@example.org,u1,active\n");
    // The configuration is elsewhere, and so the command does not read it relative to that.
    let elsewhere = world.path("elsewhere");
    let output = silent(
        &world,
        &["--connector", "file", "--path", "people", "--output", elsewhere.to_str().expect("a path")],
        &[],
    )
    .await;
    assert!(output.status.success(), "{output:?}");
    let whole = world.path("people");
    let configured = world.read("elsewhere/hr.toml");
    assert!(configured.contains(&format!("path = \"{}\"", whole.display())), "{configured}");
}

#[tokio::test]
async fn a_folder_whose_files_say_nothing_yet_is_filled_as_an_empty_one_is() {
    let world = World::new().await;
    let packaged =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/bridgehead.toml"));
    let packaged = packaged.expect("the file that packages bring");
    world.write("etc/bridgehead.toml", &packaged);
    let etc = world.path("etc");
    let output =
        silent(&world, &["--connector", "simulated", "--output", etc.to_str().expect("a path")], &[]).await;
    assert!(output.status.success(), "{output:?}");
    // To remove the app is to delete its file, which says nothing that others need.
    assert!(!world.read("etc/hr.toml").contains("[bridge]"), "{}", world.read("etc/hr.toml"));
    let daemon = world.read("etc/daemon.toml");
    assert!(
        daemon.contains("[bridge]") && daemon.contains("[state]") && !daemon.contains("[apps."),
        "{daemon}"
    );
    assert_eq!(world.read("etc/bridgehead.toml"), packaged, "no file is changed");

    let (other, url, app) = (world.path("other"), world.sandbox.base_url(), world.app.to_string());
    let mut arguments = vec!["--output", other.to_str().expect("a path"), "--non-interactive"];
    arguments.extend(["--connector", "simulated", "--name", "daemon", "--iden-url", &url]);
    arguments.extend(["--iden-key-env", "IDEN_API_KEY", "--app", &app]);
    let taken = init(&world, &arguments, &[], None).await;
    assert!(String::from_utf8_lossy(&taken.stderr).contains("choose another name"), "{taken:?}");
    assert!(!other.exists(), "nothing is written");
}

#[tokio::test]
async fn init_connects_a_program_by_its_initialize_response() {
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
async fn init_connects_a_database_file_by_its_tables() {
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
async fn init_tests_the_app_against_its_own_sandbox() {
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
async fn init_creates_an_app_in_iden_or_selects_an_existing_one() {
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
async fn init_overwrites_nothing_and_can_add_a_second_app() {
    let world = World::new().await;
    world.write("bridgehead.toml", "# mine\n");
    let output = silent(&world, &["--connector", "simulated"], &[]).await;
    assert_eq!(output.status.code(), Some(78), "{output:?}");
    let told = told(&world, &output);
    assert!(
        told.contains("already exists and is not overwritten") && told.contains("--output FOLDER"),
        "{told}"
    );
    assert_eq!(world.read("bridgehead.toml"), "# mine\n");

    // In a folder, the app gets a separate file, and `init` does not ask for the address of Iden.
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
    assert!(String::from_utf8_lossy(&again.stderr).contains("there is already an app 'hr'"), "{again:?}");
    assert_eq!(world.read("conf/hr.toml"), written);
}

#[tokio::test]
async fn init_reports_missing_answers_and_writes_nothing() {
    let world = World::new().await;
    for (arguments, said) in [
        (&["--non-interactive"][..], "--connector is missing"),
        (&["--non-interactive", "--connector", "ldpa"], "did you mean 'ldap'?"),
        (&["--non-interactive", "--connector", "ldap", "--name", "a b"], "--name: must be 1 to 64 letters"),
        (
            &["--non-interactive", "--connector", "ldap", "--name", "hr"],
            "--url is missing: The URL of the server",
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
    // Input that ends early, and an operator who declines at the end.
    let output = init(&world, &[], &[], Some(&["simulated", "hr"])).await;
    assert!(String::from_utf8_lossy(&output.stderr).contains("the input ended"), "{output:?}");
    let output = init(&world, &[], &[], Some(&["simulated", "hr", "", "sandbox", "no"])).await;
    assert!(String::from_utf8_lossy(&output.stderr).contains("nothing was written"), "{output:?}");
    assert!(std::fs::read_dir(world.path("")).expect("a folder").next().is_none(), "something was written");
}

#[tokio::test]
async fn init_help_explains_going_back_and_secrets() {
    let world = World::new().await;
    let help = world.run(&["init", "--help"]).await;
    let help = String::from_utf8_lossy(&help.stdout).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(help.contains("Enter \"<\" to go back one question"), "{help}");
    assert!(help.contains("A secret that you type is not shown"), "{help}");
}
