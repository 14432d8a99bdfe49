//! Follows docs/connector-author.md exactly: runs its commands in order, and expects the output that the page shows. This test also
//! compiles the crate that `bridgehead new` writes.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A block of commands, and the output that the page shows.
struct Step {
    line: usize,
    commands: String,
    shown: String,
}

fn steps(page: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut block: Option<(&str, usize, String)> = None;
    for (number, line) in page.lines().enumerate() {
        match (&mut block, line.strip_prefix("```")) {
            (None, Some(language)) => block = Some((language, number + 2, String::new())),
            (Some((language, line, text)), Some(_)) => {
                match (*language, steps.last_mut()) {
                    ("sh", _) => {
                        steps.push(Step { line: *line, commands: text.clone(), shown: String::new() });
                    }
                    ("text", Some(step)) => step.shown.push_str(text),
                    _ => panic!("line {line}: a block is of commands (sh), or of what they print (text)"),
                }
                block = None;
            }
            (Some((_, _, text)), None) => writeln!(text, "{line}").expect("a text"),
            (None, None) => {}
        }
    }
    steps
}

/// An empty folder in which Cargo uses the build settings of this test, so that little is compiled twice.
fn workshop(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    drop(std::fs::remove_dir_all(&folder));
    std::fs::create_dir_all(folder.join(".cargo")).expect("a folder");
    let target =
        Path::new(env!("CARGO_BIN_EXE_bridgehead")).parent().and_then(Path::parent).expect("a target folder");
    let settings = format!(
        "[build]\ntarget-dir = {target:?}\n[net]\noffline = true\n[term]\ncolor = \"never\"\n\
         [profile.dev]\ndebug = \"line-tables-only\"\n[profile.dev.package.\"*\"]\ndebug = false\n\
         [profile.dev.package.rustls-pki-types]\nopt-level = 3\n"
    );
    std::fs::write(folder.join(".cargo/config.toml"), settings).expect("a file");
    folder
}

fn plain(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn the_guide_for_authors_works_as_it_is_written() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/connector-author.md");
    let steps = steps(&std::fs::read_to_string(page).expect("the guide"));
    assert!(steps.len() >= 6, "the guide has lost its commands");
    let mut script = String::from("set -euo pipefail\n");
    for step in &steps {
        writeln!(script, "echo '== line {}'\n{}", step.line, step.commands).expect("a text");
    }
    let folder = workshop("guide");
    let binaries = Path::new(env!("CARGO_BIN_EXE_bridgehead")).parent().expect("a folder");
    let path = format!("{}:{}", binaries.display(), std::env::var("PATH").expect("a PATH"));
    let output = Command::new("bash")
        .args(["-c", &format!("exec 2>&1\n{script}")])
        .current_dir(&folder)
        .env("PATH", path)
        .env_remove("CARGO_TARGET_DIR")
        .env_remove("RUST_BACKTRACE")
        .output()
        .expect("bash runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}");
    for step in &steps {
        let (_, after) = said.split_once(&format!("== line {}\n", step.line)).expect("each step was begun");
        let own = after.split("\n== line ").next().unwrap_or_default();
        // An indented line continues the previous one; where lines break depends on the length of names.
        let (own, shown) = (plain(own), step.shown.replace("\n ", " "));
        let missing = shown.lines().map(plain).find(|line| !own.contains(line.as_str()));
        assert_eq!(missing, None, "line {} of the guide shows what is not printed:\n{own}", step.line);
    }
}

/// Tests the other crate that `bridgehead new` writes.
#[test]
fn the_crate_over_files_passes_the_kit() {
    let folder = workshop("files");
    let script = "bridgehead new people --template file && cd people && cargo test --test conformance";
    let binaries = Path::new(env!("CARGO_BIN_EXE_bridgehead")).parent().expect("a folder");
    let path = format!("{}:{}", binaries.display(), std::env::var("PATH").expect("a PATH"));
    let output = Command::new("bash")
        .args(["-c", &format!("exec 2>&1\n{script}")])
        .current_dir(&folder)
        .env("PATH", path)
        .env_remove("CARGO_TARGET_DIR")
        .output()
        .expect("bash runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}
