//! The list of the crates inside, compared with the binary and Cargo.lock.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

use crate::made::{Made, bridgehead, repository, run};

/// Dependencies of features that only the tests enable in shared crates, and that the command alone does not have: `perf` of regex.
const BY_TESTS: [&str; 1] = ["aho-corasick"];

/// The crates whose source paths are in the binary's panic locations: a list that needs no maintenance.
fn named_by_the_binary() -> BTreeSet<String> {
    let pattern = "/registry/src/[^/]+/[A-Za-z0-9_-]+-[0-9]+[.][0-9]+[.][0-9]+[0-9A-Za-z.+-]*/";
    let grep = ["--text", "--only-matching", "--no-filename", "--extended-regexp", pattern];
    let paths = run(Command::new("grep").args(grep).arg(bridgehead()).env("LC_ALL", "C"));
    let folder = regex::Regex::new("^(.+?)-([0-9]+[.][0-9]+[.][0-9]+.*)$").expect("a pattern");
    let names = paths.lines().filter_map(|path| path.split('/').rfind(|part| !part.is_empty()));
    names
        .map(|name| {
            let found = folder.captures(name).unwrap_or_else(|| panic!("{name} is no crate"));
            format!("{} {}", &found[1], &found[2])
        })
        .collect()
}

#[test]
fn every_crate_inside_is_listed_and_none_that_only_builds_or_tests() {
    let made = Made::new();
    let path = made.make("sbom", "0.1.0");
    let list: Value = serde_json::from_slice(&std::fs::read(path).expect("the list")).expect("JSON");
    assert_eq!((&list["bomFormat"], &list["specVersion"]), (&"CycloneDX".into(), &"1.5".into()));
    assert_eq!(list["metadata"]["component"]["name"], "bridgehead");
    let components = list["components"].as_array().expect("components");
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let listed: BTreeMap<String, &Value> = components
        .iter()
        .map(|one| (format!("{} {}", text(&one["name"]), text(&one["version"])), one))
        .collect();
    assert_eq!(listed.len(), components.len(), "each is listed once");

    let named = named_by_the_binary();
    assert!(named.len() > 80, "{named:?}");
    let is_of_tests = |name: &str| name.split(' ').next().is_some_and(|name| BY_TESTS.contains(&name));
    let missing: Vec<&String> =
        named.iter().filter(|name| !listed.contains_key(*name) && !is_of_tests(name)).collect();
    assert!(missing.is_empty(), "the binary has these inside: {missing:?}");
    for name in ["wiremock", "insta", "proptest", "cc", "serde_derive", "xtask", "bridgehead-test-servers"] {
        let is_listed = components.iter().any(|one| one["name"] == name);
        assert!(!is_listed, "{name} is not inside the binary");
    }

    let lock = std::fs::read_to_string(repository().join("Cargo.lock")).expect("Cargo.lock");
    let lock: toml::Table = lock.parse().expect("TOML");
    let locked: BTreeMap<String, &toml::Value> = lock["package"]
        .as_array()
        .expect("packages")
        .iter()
        .map(|one| {
            (
                format!("{} {}", one["name"].as_str().expect("text"), one["version"].as_str().expect("text")),
                one,
            )
        })
        .collect();
    for (name, component) in listed {
        let locked = locked.get(&name).unwrap_or_else(|| panic!("{name} is not in Cargo.lock"));
        let sum = locked.get("checksum").and_then(toml::Value::as_str);
        assert_eq!(component["hashes"][0]["content"].as_str(), sum, "{name}");
        assert!(component["licenses"][0]["expression"].is_string(), "{name} has no licence");
    }

    // Each edge leads to a listed component.
    let known: BTreeSet<&str> = components
        .iter()
        .chain([&list["metadata"]["component"]])
        .map(|one| one["bom-ref"].as_str().expect("text"))
        .collect();
    let edges = list["dependencies"].as_array().expect("dependencies");
    assert_eq!(edges.len(), known.len());
    for edge in edges {
        let ends = edge["dependsOn"].as_array().expect("a list").iter().chain([&edge["ref"]]);
        for end in ends {
            assert!(known.contains(end.as_str().expect("text")), "{end} is not listed");
        }
    }
}
