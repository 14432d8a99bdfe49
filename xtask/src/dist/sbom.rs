//! The list of the crates inside the binary, as CycloneDX 1.5.
//!
//! cargo has all the data; a program such as cargo-cyclonedx would have to be compiled first wherever this runs, and it also lists crates
//! that are only used to compile or test the binary.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Product, read, write};
use crate::failure::{Failure, Result};
use crate::tool;

/// The output of `cargo metadata`.
#[derive(Debug, Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    resolve: Resolve,
}

#[derive(Debug, Deserialize)]
struct Package {
    id: String,
    name: String,
    version: String,
    license: Option<String>,
    description: Option<String>,
    repository: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Debug, Deserialize)]
struct Node {
    id: String,
    deps: Vec<Dependency>,
}

#[derive(Debug, Deserialize)]
struct Dependency {
    pkg: String,
    dep_kinds: Vec<Kind>,
}

#[derive(Debug, Deserialize)]
struct Kind {
    /// None for linked dependencies.
    kind: Option<String>,
}

/// The content of Cargo.lock.
#[derive(Debug, Deserialize)]
struct Lock {
    package: Vec<Locked>,
}

#[derive(Debug, Deserialize)]
struct Locked {
    name: String,
    version: String,
    checksum: Option<String>,
}

/// Writes the list.
pub(super) fn build(product: &Product) -> Result<PathBuf> {
    let triple = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let linked = linked(&triple)?;
    let metadata: Metadata = parse(&tool::run(tool::cargo().args([
        "metadata",
        "--format-version",
        "1",
        "--locked",
        "--all-features",
    ]))?)?;
    let sums = checksums()?;
    let packages: BTreeMap<&str, &Package> = metadata
        .packages
        .iter()
        .filter(|package| linked.contains(&key(package)))
        .map(|package| (package.id.as_str(), package))
        .collect();
    if packages.len() != linked.len() {
        let missing = format!("{} crates are linked, and cargo describes {}", linked.len(), packages.len());
        return Err(Failure::Unfit(missing));
    }
    let (own, others): (Vec<&Package>, Vec<&Package>) =
        packages.values().copied().partition(|package| package.name == "bridgehead");
    let own =
        own.first().copied().ok_or_else(|| Failure::Unfit("bridgehead is not among its crates".into()))?;
    let mut components: Vec<Value> = others.iter().map(|package| component(package, &sums)).collect();
    components.sort_by_key(|component| component["bom-ref"].as_str().map(str::to_owned));
    let mut root = component(own, &sums);
    root["type"] = json!("application");
    root["version"] = json!(product.version);
    let list = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": root},
        "components": components,
        "dependencies": dependencies(&metadata.resolve, &packages),
    });
    let path = product.out.join(format!("bridgehead-{}.cdx.json", product.version));
    write(&path, format!("{list:#}\n").as_bytes())?;
    Ok(path)
}

/// The crates that end up in the binary, as "name version", without those that are only used to compile or test it.
fn linked(triple: &str) -> Result<BTreeSet<String>> {
    let tree = tool::run(tool::cargo().args([
        "tree",
        "--locked",
        "--package",
        "bridgehead",
        "--features",
        super::binary::FEATURES,
        "--edges",
        "normal,no-proc-macro",
        "--target",
        triple,
        "--prefix",
        "none",
        "--format",
        "{p}",
    ]))?;
    let crates = tree.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        Some(format!("{} {}", words.next()?, words.next()?.strip_prefix('v')?))
    });
    Ok(crates.collect())
}

fn checksums() -> Result<BTreeMap<String, String>> {
    let path = tool::root().join("Cargo.lock");
    let lock: Lock = toml::from_str(&read(&path)?)
        .map_err(|error| Failure::Unfit(format!("{}: {error}", path.display())))?;
    let sums = lock
        .package
        .into_iter()
        .filter_map(|package| Some((format!("{} {}", package.name, package.version), package.checksum?)));
    Ok(sums.collect())
}

fn component(package: &Package, sums: &BTreeMap<String, String>) -> Value {
    let mut component = json!({
        "type": "library",
        "bom-ref": purl(package),
        "name": package.name,
        "version": package.version,
        "purl": purl(package),
    });
    if let Some(license) = &package.license {
        // SPDX's `OR` was once written as a slash.
        component["licenses"] = json!([{"expression": license.replace('/', " OR ")}]);
    }
    if let Some(description) = &package.description {
        component["description"] = json!(description.trim());
    }
    if let Some(repository) = &package.repository {
        component["externalReferences"] = json!([{"type": "vcs", "url": repository}]);
    }
    if let Some(sum) = sums.get(&key(package)) {
        component["hashes"] = json!([{"alg": "SHA-256", "content": sum}]);
    }
    component
}

fn dependencies(resolve: &Resolve, packages: &BTreeMap<&str, &Package>) -> Vec<Value> {
    let mut list: Vec<(String, BTreeSet<String>)> = Vec::new();
    for node in &resolve.nodes {
        let Some(package) = packages.get(node.id.as_str()) else { continue };
        let linked = node.deps.iter().filter(|on| on.dep_kinds.iter().any(|kind| kind.kind.is_none()));
        let on = linked.filter_map(|on| packages.get(on.pkg.as_str())).map(|package| purl(package));
        list.push((purl(package), on.collect()));
    }
    list.sort();
    list.into_iter().map(|(package, on)| json!({"ref": package, "dependsOn": on})).collect()
}

fn key(package: &Package) -> String {
    format!("{} {}", package.name, package.version)
}

fn purl(package: &Package) -> String {
    format!("pkg:cargo/{}@{}", package.name, package.version)
}

fn parse<T: serde::de::DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text)
        .map_err(|error| Failure::Unfit(format!("what cargo says cannot be read: {error}")))
}
