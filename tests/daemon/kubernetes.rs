//! The Kubernetes manifests: valid by Kubernetes' own schemas, with a valid configuration, and consistent with it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use bridgehead_test_servers::python;
use serde_json::Value;

fn manifests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/kubernetes/bridgehead.yaml")
}

/// Validates manifests by the schemas of Kubernetes. Unknown fields are errors.
fn validate(file: &Path) -> Output {
    python()
        .args(["-m", "kubernetes_validate", "--strict"])
        .arg(file)
        .output()
        .expect("kubernetes-validate runs: tests/install installs it")
}

/// The manifests as JSON.
fn objects() -> Vec<Value> {
    let program = "import json, sys, yaml; print(json.dumps(list(yaml.safe_load_all(open(sys.argv[1])))))";
    let output = python().args(["-c", program]).arg(manifests()).output().expect("Python runs");
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn object<'a>(objects: &'a [Value], kind: &str) -> &'a Value {
    objects.iter().find(|object| object["kind"] == kind).expect("it has one of this kind")
}

#[test]
fn manifests_match_the_schemas_of_kubernetes() {
    let output = validate(&manifests());
    assert!(output.status.success(), "{output:?}");
    let text = std::fs::read_to_string(manifests()).expect("the manifests");
    let folder = tempfile::tempdir().expect("a folder");
    let wrong = folder.path().join("wrong.yaml");
    for (field, with) in [("replicas:", "replica:"), ("maxUnavailable: 1", "maxUnavailable: [1]")] {
        assert!(text.contains(field), "{field}");
        std::fs::write(&wrong, text.replacen(field, with, 1)).expect("a file");
        assert!(!validate(&wrong).status.success(), "{with} was accepted");
    }
}

#[test]
fn configuration_in_the_manifests_is_valid_and_its_secrets_are_set() {
    let objects = objects();
    let configuration = object(&objects, "ConfigMap")["data"]["bridgehead.toml"].as_str().expect("a text");
    let pod = &object(&objects, "StatefulSet")["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("bridgehead.toml");
    std::fs::write(&file, configuration).expect("a file");
    let mut command = Command::new(env!("CARGO_BIN_EXE_bridgehead"));
    command.arg("--config").arg(&file).args(["check", "--offline"]);
    for variable in container["env"].as_array().expect("a list") {
        let name = variable["name"].as_str().expect("a name");
        let value = if name == "BRIDGEHEAD_STATE_URL" {
            "postgresql://bridgehead:secret-1@db.example.org/bridgehead"
        } else {
            "secret-1"
        };
        command.env(name, value);
    }
    let output = command.output().expect("the binary runs");
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !said.contains("failed"), "{said}");
    let read: toml::Table = configuration.parse().expect("TOML");
    let port = container["ports"][0]["containerPort"].as_u64().expect("a port");
    assert!(read["admin"]["listen"].as_str().is_some_and(|at| at.ends_with(&format!(":{port}"))), "{read}");
    let grace = read["runtime"]["shutdown_grace"].as_str().expect("a duration");
    let grace: u64 = grace.trim_end_matches('s').parse().expect("seconds");
    assert!(pod["terminationGracePeriodSeconds"].as_u64().is_some_and(|limit| limit > grace), "{pod}");
}
