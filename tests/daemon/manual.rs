//! The manual pages and completions that packages install.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output};

fn bridgehead(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_bridgehead")).args(arguments).output().expect("the binary runs")
}

fn pages(folder: &Path) -> BTreeSet<String> {
    let output = bridgehead(&["man", "--dir", folder.to_str().expect("text")]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let files = std::fs::read_dir(folder).expect("the folder").flatten();
    files.map(|file| file.file_name().into_string().expect("text")).collect()
}

/// Every command in the help, as the name of its manual page.
fn commands(path: &mut Vec<String>, into: &mut BTreeSet<String>) {
    into.insert(format!("{}.1", [&["bridgehead".to_owned()], path.as_slice()].concat().join("-")));
    let mut arguments: Vec<&str> = path.iter().map(String::as_str).collect();
    arguments.push("--help");
    let help = String::from_utf8(bridgehead(&arguments).stdout).expect("UTF-8");
    let Some((_, listed)) = help.split_once("\nCommands:\n") else {
        return;
    };
    let listed = listed.split("\n\n").next().unwrap_or_default();
    let names = listed.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    for name in names.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help") {
        path.push(name.to_owned());
        commands(path, into);
        path.pop();
    }
}

#[test]
fn every_command_has_a_man_page_with_valid_references() {
    let folder = tempfile::tempdir().expect("a folder");
    let pages = pages(folder.path());
    let mut expected = BTreeSet::new();
    commands(&mut Vec::new(), &mut expected);
    assert!(expected.len() > 15, "{expected:?}");
    assert_eq!(pages, expected);
    let reference = regex::Regex::new(r"\b(bridgehead[a-z\-\\]*)\(([0-9])\)").expect("a pattern");
    let mut references = 0;
    for page in &pages {
        let text = std::fs::read_to_string(folder.path().join(page)).expect("a page");
        for found in reference.captures_iter(&text) {
            references += 1;
            let name = format!("{}.{}", found[1].replace('\\', ""), &found[2]);
            assert!(pages.contains(&name), "{page} refers to {name}, which is not there");
        }
        let version = env!("CARGO_PKG_VERSION");
        assert!(text.contains(&format!("\"bridgehead {version}\"")), "{page} has no version");
    }
    assert!(references > 15, "{references} references");
}

#[test]
fn man_prints_the_page_of_a_command() {
    let page = |arguments: &[&str]| String::from_utf8(bridgehead(arguments).stdout).expect("UTF-8");
    assert!(page(&["man"]).contains(".TH bridgehead 1"), "{}", page(&["man"]));
    let list = page(&["man", "tasks", "list"]);
    assert!(list.contains(".TH bridgehead-tasks-list 1") && list.contains("rejected"), "{list}");
    let unknown = bridgehead(&["man", "tasks", "lose"]);
    assert_eq!(unknown.status.code(), Some(2));
    let said = String::from_utf8(unknown.stderr).expect("UTF-8");
    assert!(
        said.contains("`bridgehead tasks` has no command `lose`; it has list, show, release, retry, resolve"),
        "{said}"
    );
    let nowhere = bridgehead(&["man", "--dir", "/nonexistent/folder"]);
    assert_eq!(nowhere.status.code(), Some(74), "{}", String::from_utf8_lossy(&nowhere.stderr));
}

/// Checks that `mandoc` reports no errors, so that the pages are shown as intended. `tests/install` installs it.
#[test]
fn man_pages_are_well_formed() {
    let folder = tempfile::tempdir().expect("a folder");
    let files = pages(folder.path()).into_iter().map(|name| folder.path().join(name));
    let output = Command::new("mandoc").args(["-T", "lint", "-W", "error"]).args(files).output();
    let output = output.expect("mandoc is there: tests/install installs it");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}");
}

#[test]
fn completions_are_valid_for_each_shell() {
    for (shell, sign) in [
        ("bash", "complete -F _bridgehead"),
        ("zsh", "#compdef bridgehead"),
        ("fish", "complete -c bridgehead"),
    ] {
        let text = String::from_utf8(bridgehead(&["completions", shell]).stdout).expect("UTF-8");
        assert!(text.contains(sign) && text.contains("conformance"), "{shell}: {text}");
    }
    let bash = bridgehead(&["completions", "bash"]).stdout;
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), bash).expect("it is written");
    let asked = "source \"$0\"; COMP_WORDS=(bridgehead tasks re); COMP_CWORD=2; _bridgehead bridgehead re tasks; echo \"${COMPREPLY[@]}\"";
    let output = Command::new("bash").args(["-c", asked]).arg(file.path()).output().expect("bash runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(said.trim(), "release retry resolve", "{}", String::from_utf8_lossy(&output.stderr));
}
