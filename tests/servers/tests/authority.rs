//! Other programs accept the authority's certificates.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use bridgehead_test_servers::{Authority, require, run};

#[test]
fn certificate_is_valid_only_for_its_names() {
    let openssl = require("openssl", "openssl");
    let folder = tempfile::tempdir().unwrap();
    let files = Authority::new().write_to(folder.path());
    let verify = |option: &str, name: &str| {
        let mut command = Command::new(&openssl);
        command.args(["verify", "-purpose", "sslserver", "-CAfile"]).arg(&files.ca);
        command.args([option, name]).arg(&files.certificate).output().unwrap().status.success()
    };
    assert!(verify("-verify_ip", "127.0.0.1"));
    assert!(verify("-verify_hostname", "localhost"));
    assert!(!verify("-verify_ip", "127.0.0.2"));
    assert!(!verify("-verify_hostname", "elsewhere.test"));
}

#[test]
fn certificate_of_another_ca_is_refused() {
    let openssl = require("openssl", "openssl");
    let (mine, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let files = Authority::new().write_to(mine.path());
    let others = Authority::new().write_to(other.path());
    let mut command = Command::new(openssl);
    command.arg("verify").arg("-CAfile").arg(&others.ca).arg(&files.certificate);
    assert!(!command.output().unwrap().status.success());
}

#[test]
fn key_is_private_and_matches_its_certificate() {
    let openssl = require("openssl", "openssl");
    let folder = tempfile::tempdir().unwrap();
    let files = Authority::new().write_to(folder.path());
    assert_eq!(files.key.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let of_key = run(Command::new(&openssl).args(["pkey", "-pubout", "-in"]).arg(&files.key));
    let of_certificate =
        run(Command::new(&openssl).args(["x509", "-noout", "-pubkey", "-in"]).arg(&files.certificate));
    assert_eq!(of_key, of_certificate);
}

#[test]
fn debug_hides_the_private_key() {
    let issued = Authority::new().issue(&["localhost"]);
    assert!(!format!("{issued:?}").contains("PRIVATE"));
}
