//! Secrets: where they are read from, and where they never appear.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use bridgehead_sdk::{Network, Redactor};
use secrecy::ExposeSecret;

use super::support::{environment, recording, with_app};
use crate::{Secret, SecretError, build_connector};

const SECRET: &str = "hunter2-é";

fn file(path: &Path) -> Secret {
    Secret::File { path: path.into() }
}

#[test]
fn secret_is_read_from_its_reference() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    for (text, read) in [
        ("hunter2-é", SECRET),
        ("hunter2-é\n", SECRET),
        ("hunter2-é\r\n", SECRET),
        ("hunter2-é\n\n", "hunter2-é\n"),
        (" padded ", " padded "),
    ] {
        std::fs::write(&path, text).unwrap();
        let variables =
            environment(&[("KEY", text), ("CREDENTIALS_DIRECTORY", folder.path().to_str().unwrap())]);
        for secret in
            [file(&path), Secret::Env { name: "KEY".into() }, Secret::Credential { name: "key".into() }]
        {
            assert_eq!(secret.read(&variables).unwrap().expose_secret(), read, "{secret}");
        }
    }
}

#[test]
fn unavailable_secret_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let shown = folder.path().display().to_string();
    let path = folder.path().join("key");
    let message = |secret: &Secret, variables: &[(&str, &str)]| {
        secret.read(&environment(variables)).unwrap_err().to_string().replace(&shown, "DIR")
    };
    let variable = Secret::Env { name: "KEY".into() };
    let credential = Secret::Credential { name: "key".into() };
    let directory = [("CREDENTIALS_DIRECTORY", shown.as_str())];
    insta::assert_snapshot!(message(&variable, &[]), @"the environment variable KEY is not set; set it, or read the secret from another place");
    insta::assert_snapshot!(message(&variable, &[("KEY", "\n")]), @"the environment variable KEY is empty; put the secret there");
    insta::assert_snapshot!(message(&file(&path), &[]), @"cannot read DIR/key: No such file or directory (os error 2); put the secret there, readable for the user that runs bridgehead");
    insta::assert_snapshot!(message(&credential, &[]), @r#"the credential 'key' is not available: CREDENTIALS_DIRECTORY is not set; with systemd, add `LoadCredential=key:/path/to/file` to the unit; otherwise write { file = "/path/to/file" }"#);
    insta::assert_snapshot!(message(&credential, &directory), @"the credential 'key' was not passed to the daemon; add `LoadCredential=key:/path/to/file` to the unit");
    std::fs::write(&path, "").unwrap();
    insta::assert_snapshot!(message(&file(&path), &[]), @"DIR/key is empty; put the secret there");
    insta::assert_snapshot!(message(&credential, &directory), @"the credential 'key' is empty; put the secret into the file that the unit names with `LoadCredential=key:/path/to/file`");
    for bytes in [b"\xff\xfehunter2".to_vec(), vec![b'x'; 65 * 1024]] {
        std::fs::write(&path, bytes).unwrap();
        insta::allow_duplicates! {
            insta::assert_snapshot!(message(&file(&path), &[]), @"DIR/key is not a valid secret: it must be UTF-8 text of at most 64 KiB");
        }
    }
}

#[test]
fn secret_in_place_of_a_name_is_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    let passed = environment(&[("CREDENTIALS_DIRECTORY", folder.path().to_str().unwrap())]);
    for mistaken in ["sk_live_51Hx8Zk2eZvKYlo2C9", "a5e1f00dcafe4b3d9e8f", "Zx9Qw8Er7Ty6Ui5Op4As"] {
        let credential = || Secret::Credential { name: mistaken.to_owned() };
        for (place, variables) in [
            (credential(), &environment(&[])),
            (credential(), &passed),
            (file(&folder.path().join(mistaken)), &passed),
        ] {
            let told = place.read(variables).unwrap_err().to_string();
            assert!(!told.contains(mistaken) && told.contains("not shown"), "{told}");
        }
    }
    for name in
        ["iden-key", "bridgehead-api-key-2026-11-28", "IdenApiKeyOfProduction", "key.5f3a9c1e7b2d4f6a8c0e"]
    {
        let told = Secret::Credential { name: name.to_owned() }.read(&passed).unwrap_err().to_string();
        assert!(told.contains(name), "{told}");
        let told = file(&folder.path().join(name)).read(&passed).unwrap_err().to_string();
        assert!(told.contains(name), "{told}");
    }
}

#[test]
fn world_readable_secret_file_is_warned_about() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    std::fs::write(&path, SECRET).unwrap();
    let directory = folder.path().display().to_string();
    let target = format!("[apps.acme-hr.target]\nparts = [{{ note = {{ file = \"{}\" }} }}]", path.display());
    let config = with_app(&target, &[]).unwrap();
    let warnings = |mode| {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        config.warnings(&environment(&[])).join("\n").replace(&directory, "DIR")
    };
    assert_eq!(warnings(0o600), "");
    assert_eq!(warnings(0o640), "");
    insta::assert_snapshot!(warnings(0o644), @"DIR/key holds a secret, but every user of this machine can read it (mode 644); run `chmod 600 DIR/key`");
}

#[test]
fn what_editors_add_to_a_secret_file_is_no_part_of_the_secret() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    for bytes in ["hunter2", "hunter2\n", "hunter2\r\n", "\u{feff}hunter2\r\n"] {
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(file(&path).read(&environment(&[])).unwrap().expose_secret(), "hunter2", "{bytes:?}");
    }
}

#[test]
fn blanks_around_a_secret_are_warned_about() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    let directory = folder.path().display().to_string();
    let target = format!("[apps.acme-hr.target]\nparts = [{{ note = {{ file = \"{}\" }} }}]", path.display());
    let config = with_app(&target, &[]).unwrap();
    let warnings = |text: &str| {
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        config.warnings(&environment(&[])).join("\n").replace(&directory, "DIR")
    };
    assert_eq!(warnings("two words\n"), "");
    for text in ["hunter2\n\n", " hunter2", "hunter2\t"] {
        let told = warnings(text);
        assert!(told.contains("DIR/key starts or ends with a blank") && !told.contains("hunter2"), "{told}");
    }
}

const TARGET: &str = r#"[apps.acme-hr.target]
path = "people"
password = { env = "PASSWORD" }
parts = [{ size = 1 }, { size = 2, note = { env = "NOTE" } }]
rate_limit = { per_second = 20, burst = 20 }
"#;
const VARIABLES: [(&str, &str); 3] =
    [("PASSWORD", SECRET), ("NOTE", "other-secret\n"), ("IDEN_API_KEY", "api-key")];

#[test]
fn connector_secrets_are_resolved_and_permanently_redacted() {
    let config = with_app(TARGET, &VARIABLES).unwrap();
    let (connectors, built) = recording();
    let redactor = Redactor::new();
    let network = Network::default().with_no_proxy(["intranet"]);
    let app = &config.apps["acme-hr"];
    build_connector("acme-hr", app, &connectors, &network, &redactor, None).map(drop).unwrap();
    let setups = built.lock().unwrap();
    assert_eq!((setups[0].app.as_str(), setups[0].base.as_path()), ("acme-hr", Path::new("/etc")));
    assert_eq!(setups[0].network, network, "every connector is told how to reach its target");
    let expected = serde_json::json!({
        "parts": [{ "size": 1 }, { "note": "other-secret", "size": 2 }], "password": SECRET, "path": "people",
    });
    assert_eq!(serde_json::Value::Object(setups[0].target.clone()), expected, "without the rate limit");
    assert_eq!(redactor.redact("hunter2-é and other-secret"), "[redacted] and [redacted]");
}

#[test]
fn debug_output_contains_no_secret() {
    let config = with_app(TARGET, &VARIABLES).unwrap();
    let resolved = config.apps["acme-hr"].target.resolve().unwrap();
    assert_eq!(resolved.secrets.len(), 2);
    for shown in [format!("{config:?}"), format!("{config:#?}"), format!("{resolved:?}")] {
        assert!(
            !shown.contains("hunter2") && !shown.contains("other-secret") && !shown.contains("api-key"),
            "{shown}"
        );
        assert!(shown.contains("password"), "keys are shown: {shown}");
    }
    let key = config.bridge.api_key.read(&environment(&VARIABLES)).unwrap();
    assert!(!format!("{key:?}").contains("api-key"));
    assert_eq!(format!("{:?}", config.bridge.api_key), r#"Env { name: "IDEN_API_KEY" }"#);
}

/// The errors of `build_connector` for a target; the app's first line is 4, the target's 7.
fn refused(target: &str) -> String {
    let config = with_app(target, &VARIABLES).unwrap_or_else(|errors| panic!("{errors}"));
    let redactor = Redactor::new();
    let built = build_connector(
        "acme-hr",
        &config.apps["acme-hr"],
        &recording().0,
        &Network::default(),
        &redactor,
        None,
    );
    built.map(drop).unwrap_err().to_string()
}

#[test]
fn connector_errors_are_reported_at_their_location() {
    let target = |text: &str| refused(&format!("[apps.acme-hr.target]\n{text}"));
    insta::assert_snapshot!(target("pth = \"x\""), @"/etc/a.toml:8:1: apps.acme-hr.target.pth: unknown key; did you mean 'path'?");
    insta::assert_snapshot!(target("path = 5"), @"/etc/a.toml:8:1: apps.acme-hr.target.path: must be a string");
    insta::assert_snapshot!(target("pool = { sise = 1 }"), @"/etc/a.toml:8:10: apps.acme-hr.target.pool.sise: unknown key; did you mean 'size'?");
    insta::assert_snapshot!(target("pool = { size = \"x\" }"), @"/etc/a.toml:8:10: apps.acme-hr.target.pool.size: must be u32");
    insta::assert_snapshot!(target("parts = [\n  { size = 1 },\n  { sise = 2 },\n]"), @"/etc/a.toml:10:5: apps.acme-hr.target.parts.1.sise: unknown key; did you mean 'size'?");
    insta::assert_snapshot!(target("parts = [\n  { size = 1 },\n  { size = \"\" },\n]"), @"/etc/a.toml:10:5: apps.acme-hr.target.parts[1].size: must be u32");
    insta::assert_snapshot!(target("[[apps.acme-hr.target.parts]]"), @"/etc/a.toml:8:1: apps.acme-hr.target.parts[0]: missing field `size`");
    insta::assert_snapshot!(target("[apps.acme-hr.target.poll]\nsize = 1"), @"/etc/a.toml:8:22: apps.acme-hr.target.poll: unknown key; did you mean 'pool'?");
    // Even if the connector quotes the value, the secret is redacted.
    insta::assert_snapshot!(target("path = \"nowhere\"\npassword = { env = \"PASSWORD\" }"), @"/etc/a.toml:8:1: apps.acme-hr.target.path: no such folder; the password was [redacted]");
    insta::assert_snapshot!(target("parts = [{ size = 1, note = { env = \"MISSING\" } }]"), @"/etc/a.toml:8:29: apps.acme-hr.target.parts[0].note: the environment variable MISSING is not set; set it, or read the secret from another place");
    // The same for a target that is missing.
    let config = with_app(
        "[apps.acme-crm]\napp_id = \"22222222-2222-4222-8222-222222222222\"\nconnector = \"exec\"",
        &[],
    );
    let app = &config.unwrap().apps["acme-crm"];
    let error = build_connector("acme-crm", app, &recording().0, &Network::default(), &Redactor::new(), None);
    insta::assert_snapshot!(error.map(drop).unwrap_err(), @"/etc/a.toml:7:7: apps.acme-crm.target: missing field `command`");
}

#[test]
fn missing_target_secret_is_named() {
    let config = with_app(TARGET, &VARIABLES[..1]).unwrap();
    let error = config.apps["acme-hr"].target.resolve().unwrap_err();
    assert!(matches!(error, SecretError::NoVariable { name } if name == "NOTE"));
}

#[test]
fn allowed_keyword_is_not_a_secret_under_any_key_name() {
    let target = |text: &str| with_app(&format!("[apps.acme-hr.target]\n{text}"), &[]).map(drop);
    assert!(target("set_password = \"exop\"").is_ok());
    insta::assert_snapshot!(target("set_password = \"hunter2\"").unwrap_err(), @r#"/etc/a.toml:8:16: apps.acme-hr.target.set_password: secrets are not allowed in plain text; write { env = "NAME" }, { file = "path" } or { credential = "name" }"#);
}
