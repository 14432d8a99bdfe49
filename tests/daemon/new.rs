//! `bridgehead new`: what it writes works unchanged. The test of the guide compiles the crate.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bridgehead"));
    command
        .args(arguments)
        .current_dir(folder)
        .env("IDEN_API_KEY", "none")
        .env("SAP_HR_TOKEN", "sample-token")
        .env("SAP_HR_BAD_TOKEN", "another-token")
        .env("SAP_HR_READ_TOKEN", "read-only-token");
    command
}

fn bridgehead(folder: &Path, arguments: &[&str]) -> Output {
    command(folder, arguments).output().expect("the binary runs")
}

/// The peak of a command's child processes: their number, and their memory in KiB.
#[derive(Clone, Copy, Debug, Default)]
struct Most {
    processes: usize,
    kib: u64,
}

/// Runs a command to completion, and measures its child processes.
fn watched(mut command: Command) -> (Output, Most) {
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary runs");
    let pid = child.id();
    let waiting = std::thread::spawn(move || child.wait_with_output().expect("it ends"));
    let mut most = Most::default();
    while !waiting.is_finished() {
        let children = children(pid);
        let kib = children.iter().filter_map(|child| proportional(*child)).sum();
        most = Most { processes: most.processes.max(children.len()), kib: most.kib.max(kib) };
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    (waiting.join().expect("a thread"), most)
}

fn children(parent: u32) -> Vec<u32> {
    let all = std::fs::read_dir("/proc").expect("the processes").flatten();
    let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let of = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1)?.parse().ok());
        of == Some(parent)
    })
    .collect()
}

/// The memory of a process in KiB, counting shared pages proportionally; `None` if it has just ended.
fn proportional(pid: u32) -> Option<u64> {
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    rollup.lines().find_map(|line| line.strip_prefix("Pss:")?.trim().strip_suffix("kB")?.trim().parse().ok())
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// The sample API that comes with a connector, on a free port.
struct SampleApi {
    child: Child,
    address: String,
}

impl SampleApi {
    fn start(folder: &Path, program: &[&str]) -> Self {
        let mut command = Command::new(program[0]);
        let mut child = command
            .args(&program[1..])
            .arg("0")
            .current_dir(folder)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the API starts");
        let mut said = String::new();
        let output = child.stdout.as_mut().expect("its output");
        BufReader::new(output).read_line(&mut said).expect("it says where it listens");
        let address = said.trim().strip_prefix("listening on http://").expect("an address").to_owned();
        Self { child, address }
    }

    /// The accounts that it has.
    fn people(&self) -> String {
        let mut stream = TcpStream::connect(&self.address).expect("the API listens");
        let request = format!(
            "GET /users HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer sample-token\r\nConnection: close\r\n\r\n",
            self.address
        );
        stream.write_all(request.as_bytes()).expect("a request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer.split_once("\r\n\r\n").expect("a body").1.to_owned()
    }
}

impl Drop for SampleApi {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Checks that a generated program passes the kit, as far as a target is available, and leaves its target as it was.
fn prove(language: &str, api: &[&str], code: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let written = bridgehead(folder.path(), &["new", "sap-hr", "--lang", language]);
    assert!(written.status.success(), "{}", said(&written));
    let folder = folder.path().join("sap-hr");
    let own = std::fs::read_to_string(folder.join(code)).expect("the author's part");
    assert!(own.lines().count() < 120, "{code} is to stay short");
    let api = SampleApi::start(&folder, api);
    let before = api.people();
    let file = folder.join("sap-hr.toml");
    let configuration = std::fs::read_to_string(&file).expect("a configuration");
    std::fs::write(&file, configuration.replace("127.0.0.1:8099", &api.address)).expect("a file");
    let checked = bridgehead(&folder, &["--config", "sap-hr.toml", "check", "--offline"]);
    assert!(checked.status.success(), "{}", said(&checked));
    let arguments = ["--config", "sap-hr.toml", "check", "sap-hr", "--conformance", "--yes", "--json"];
    let (proven, most) = watched(command(&folder, &arguments));
    assert!(proven.status.success(), "{}", said(&proven));
    assert!((1..=4).contains(&most.processes), "{most:?}");
    // Node.js exceeds this limit with one process.
    assert!(language != "python" || most.kib < 100 * 1024, "{most:?}");
    println!("{language}: {most:?}");
    let lines: Vec<Value> =
        said(&proven).lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let told = lines.last().expect("a summary");
    assert!(told["failed"] == 0 && told["passed"].as_u64() >= Some(75), "{told:#}");
    for name in [
        "create",
        "update",
        "suspend",
        "reset-password",
        "bad-credential",
        "refused-permission",
        "cut-listing",
        "small-pages",
        "silence",
    ] {
        let check = lines.iter().find(|check| check["name"] == name);
        assert_eq!(check.map(|check| &check["result"]), Some(&"passed".into()), "{name}: {told:#}");
    }
    assert_eq!(api.people(), before, "whom the kit made, it has removed");
}

#[test]
fn the_python_connector_passes_the_kit_and_leaves_its_target_as_it_was() {
    prove("python", &["python3", "sample_api.py"], "sap-hr.py");
}

#[test]
fn the_node_connector_passes_the_kit_and_leaves_its_target_as_it_was() {
    prove("node", &["node", "sample-api.mjs"], "sap-hr.mjs");
}

const PROGRAMS: [(&str, &[&str]); 2] =
    [("python", &["python3", "sap-hr.py"]), ("node", &["node", "sap-hr.mjs"])];

/// Answers every request with this body.
fn answering(body: &'static str) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = BufReader::new(stream.try_clone().expect("a stream"));
            let mut line = String::new();
            while request.read_line(&mut line).is_ok_and(|read| read > 2) {
                line.clear();
            }
            let head =
                format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            drop(stream.write_all((head + body).as_bytes()));
        }
    });
    address
}

/// What a generated program answers to a call, if its API answers every request with this body.
fn answered(language: &str, program: &[&str], body: &'static str, method: &str, params: &Value) -> Value {
    let folder = tempfile::tempdir().expect("a folder");
    let written = bridgehead(folder.path(), &["new", "sap-hr", "--lang", language]);
    assert!(written.status.success(), "{}", said(&written));
    let mut child = Command::new(program[0])
        .args(&program[1..])
        .current_dir(folder.path().join("sap-hr"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let settings = serde_json::json!({ "url": format!("http://{}", answering(body)), "token": "t" });
    let requests = [
        serde_json::json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize",
            "params": { "protocol": 1, "app": "sap-hr", "settings": settings } }),
        serde_json::json!({ "jsonrpc": "2.0", "id": 2, "method": method, "params": params }),
    ];
    let mut input = child.stdin.take().expect("its input");
    for request in requests {
        writeln!(input, "{request}").expect("it reads");
    }
    let output = BufReader::new(child.stdout.take().expect("its output"));
    let answer = output.lines().map_while(Result::ok).nth(1).expect("two answers");
    drop(input);
    drop(child.kill());
    drop(child.wait());
    serde_json::from_str(&answer).expect("JSON")
}

#[test]
fn generated_programs_refuse_answers_that_their_parser_would_change() {
    let twice = r#"{"items":[{"id":"u1","login":"ann"}],"next":"2","next":null}"#;
    let list = serde_json::json!({ "resource_type": "account", "cursor": null });
    for (language, program) in PROGRAMS {
        let answer = answered(language, program, twice, "list", &list);
        assert_eq!(answer["error"]["data"]["code"], "INTERNAL_ERROR", "{language}: {answer}");
    }
    let (language, program) = PROGRAMS[1];
    let long = r#"{"items":[{"id":12345678901234567890,"login":"ann"}],"next":null}"#;
    let message = answered(language, program, long, "list", &list)["error"]["message"].to_string();
    assert!(message.contains("would round"), "{message}");
}

#[test]
fn search_of_generated_programs_ends_if_a_cursor_repeats() {
    let endless = r#"{"items":[],"next":"again"}"#;
    let ann = serde_json::json!({ "account": { "username": "ann" } });
    for (language, program) in PROGRAMS {
        let answer = answered(language, program, endless, "find_account", &ann);
        let message = answer["error"]["message"].to_string();
        assert!(message.contains("the same cursor twice"), "{language}: {answer}");
    }
}

#[test]
fn generated_programs_find_a_name_in_either_unicode_form() {
    let found =
        "{\"items\":[{\"id\":\"u1\",\"login\":\"jos\u{e9}\",\"enabled\":true,\"teams\":[]}],\"next\":null}";
    let jose = serde_json::json!({ "account": { "username": "JOSE\u{301}" } });
    for (language, program) in PROGRAMS {
        let answer = answered(language, program, found, "find_account", &jose);
        assert_eq!(answer["result"]["id"], "u1", "{language}: {answer}");
    }
}

#[test]
fn installed_program_includes_the_sdk_source() {
    let folder = tempfile::tempdir().expect("a folder");
    let installed = folder.path().join("bridgehead");
    std::fs::copy(env!("CARGO_BIN_EXE_bridgehead"), &installed).expect("a copy");
    let written =
        Command::new(&installed).args(["new", "jira"]).current_dir(folder.path()).output().expect("it runs");
    assert!(written.status.success(), "{}", said(&written));
    assert!(
        said(&written).contains("jira/vendor/bridgehead (bridgehead's own source, "),
        "{}",
        said(&written)
    );
    // Dependencies for other systems were never downloaded here.
    let host = Command::new("rustc").args(["--print", "host-tuple"]).output().expect("rustc runs");
    let host = String::from_utf8(host.stdout).expect("the name of a system");
    let read = Command::new("cargo")
        .args(["metadata", "--offline", "--format-version", "1", "--filter-platform", host.trim()])
        .current_dir(folder.path().join("jira"))
        .output()
        .expect("cargo runs");
    assert!(read.status.success(), "{}", said(&read));
    let told: Value = serde_json::from_slice(&read.stdout).expect("JSON");
    let packages = told["packages"].as_array().expect("packages");
    for name in ["bridgehead", "bridgehead-sdk"] {
        let of = packages.iter().find(|package| package["name"] == name).expect("the package");
        assert!(of["manifest_path"].to_string().contains("jira/vendor/bridgehead/"), "{of:#}");
    }
}

#[test]
fn new_overwrites_no_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let mine = folder.path().join("jira/README.md");
    std::fs::create_dir(folder.path().join("jira")).expect("a folder");
    std::fs::write(&mine, "mine").expect("a file");
    for arguments in
        [&["new", "jira", "--lang", "python"][..], &["new", "other", "--lang", "python", "--path", "jira"]]
    {
        let refused = bridgehead(folder.path(), arguments);
        assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
        assert!(
            said(&refused).contains("jira already exists and is not empty; nothing was written"),
            "{}",
            said(&refused)
        );
    }
    let entries = std::fs::read_dir(folder.path().join("jira")).expect("a folder").count();
    assert_eq!((entries, std::fs::read_to_string(&mine).expect("a file").as_str()), (1, "mine"));

    std::fs::create_dir(folder.path().join("empty")).expect("a folder");
    let written =
        bridgehead(folder.path(), &["new", "other", "--lang", "python", "--path", "empty", "--json"]);
    assert!(written.status.success(), "{}", said(&written));
    let told: Value = serde_json::from_slice(&written.stdout).expect("JSON");
    for file in told["files"].as_array().expect("files") {
        assert!(folder.path().join(file.as_str().expect("a path")).is_file(), "{file}");
    }
}

#[test]
fn new_with_an_invalid_name_explains_and_writes_no_files() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, told) in [
        ("Jira", "'Jira' is not a valid connector name"),
        ("../jira", "'../jira' is not a valid connector name"),
        ("file", "a connector named 'file' already exists"),
    ] {
        let refused = bridgehead(folder.path(), &["new", name]);
        assert_eq!(refused.status.code(), Some(2), "{}", said(&refused));
        assert!(said(&refused).contains(told), "{}", said(&refused));
    }
    let refused = bridgehead(folder.path(), &["new", "jira", "--sdk", "nowhere"]);
    assert_eq!(refused.status.code(), Some(2), "{}", said(&refused));
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0);
}

#[test]
fn new_crate_is_formatted_and_its_unit_is_hardened() {
    let home = tempfile::tempdir().expect("a folder");
    for template in ["file", "http"] {
        let written = bridgehead(home.path(), &["new", "jira", "--path", template, "--template", template]);
        assert!(written.status.success(), "{}", said(&written));
        let examples: &[&str] =
            if template == "http" { &["examples/sample_api.rs", "tests/recorded.rs"] } else { &[] };
        let formatted = Command::new("rustfmt")
            .args(["--check", "--edition", "2024", "src/lib.rs", "src/main.rs", "tests/conformance.rs"])
            .args(examples)
            .current_dir(home.path().join(template))
            .output()
            .expect("rustfmt runs");
        assert!(formatted.status.success(), "{}", said(&formatted));
    }
    let folder = home.path().join("http");

    let unit = std::fs::read_to_string(folder.join("systemd/bridgehead-jira.service")).expect("a unit");
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd/bridgehead.service");
    let ours = std::fs::read_to_string(ours).expect("a unit");
    let settings = |unit: &str| -> Vec<String> {
        let named = unit.replace("bridgehead-jira", "bridgehead");
        // The generated unit has a dynamic user: no package exists to create one.
        let lines = named.lines().filter(|line| line.contains('=') && !line.starts_with(['#', 'D']));
        let lines = lines.filter(|line| !line.starts_with("User=") && !line.starts_with("Group="));
        lines.map(str::to_owned).collect()
    };
    let (theirs, ours) = (settings(&unit), settings(&ours));
    assert_eq!(theirs, ours);
    assert!(ours.len() > 40, "{ours:?}");
}
