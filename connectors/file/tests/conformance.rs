//! A folder of files keeps the contract, in both formats.

#![cfg(test)]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bridgehead_conformance::{self as conformance, Situation, Skip, TestTarget};
use bridgehead_sdk::{Connector, Setup, async_trait};
use serde_json::json;

#[derive(Clone, Copy, PartialEq)]
enum Format {
    Csv,
    Jsonl,
}

struct Folders {
    place: tempfile::TempDir,
    format: Format,
}

const HEADER: &str =
    "id,email,username,first_name,last_name,display_name,status,team,seat,password_changed_at\n";

impl Folders {
    fn new(format: Format) -> Self {
        let folders = Self { place: tempfile::tempdir().unwrap(), format };
        folders.fill("working", 25);
        folders
    }

    fn folder(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    fn accounts(&self, name: &str) -> PathBuf {
        self.folder(name).join(if self.format == Format::Csv { "accounts.csv" } else { "accounts.jsonl" })
    }

    /// A folder with this many people, two teams and one type of seat.
    fn fill(&self, name: &str, accounts: usize) {
        let folder = self.folder(name);
        std::fs::create_dir_all(&folder).unwrap();
        let write = |file: &str, text: &str| std::fs::write(folder.join(file), text).unwrap();
        let mut text = String::new();
        match self.format {
            Format::Csv => {
                write("team.csv", "id,name\nt1,Red\nt2,Blue\n");
                write("license-seat.csv", "id,name,seats\ns1,Basic,\n");
                text.push_str(HEADER);
                for number in 0..accounts {
                    writeln!(text, "u{number},p{number}@example.org,p{number},,,,active,t1,,").unwrap();
                }
            }
            Format::Jsonl => {
                write("team.jsonl", "{\"id\":\"t1\",\"name\":\"Red\"}\n{\"id\":\"t2\",\"name\":\"Blue\"}\n");
                write("license-seat.jsonl", "{\"id\":\"s1\",\"name\":\"Basic\"}\n");
                if accounts == 0 {
                    text.push('\n');
                }
                for number in 0..accounts {
                    let (id, username) = (format!("u{number}"), format!("p{number}"));
                    let account = json!({ "id": id, "username": username, "team": ["t1"] });
                    writeln!(text, "{account}").unwrap();
                }
            }
        }
        std::fs::write(self.accounts(name), text).unwrap();
    }

    fn connector(&self, name: &str) -> Arc<dyn Connector> {
        connector(&self.folder(name))
    }
}

fn connector(folder: &Path) -> Arc<dyn Connector> {
    let target = json!({ "path": folder, "settle": "0s" }).as_object().unwrap().clone();
    bridgehead_file::factory().build(Setup::new("People", target)).unwrap()
}

/// Removes the permissions of the folder; root does not need any.
#[cfg(unix)]
fn forbid(folder: &Path) -> Result<(), Skip> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o000)).unwrap();
    match std::fs::read_dir(folder) {
        Err(_) => Ok(()),
        Ok(_) => Err(Skip::because("the superuser may read every folder")),
    }
}

#[async_trait]
impl TestTarget for Folders {
    async fn connect(&self, situation: Situation) -> Result<Arc<dyn Connector>, Skip> {
        match situation {
            Situation::Working => Ok(self.connector("working")),
            Situation::BadCredential => {
                if !self.folder("forbidden").exists() {
                    self.fill("forbidden", 3);
                }
                forbid(&self.folder("forbidden"))?;
                Ok(self.connector("forbidden"))
            }
            Situation::Unreachable(_) => {
                // A folder that does not exist is a mistake in the configuration. A link to itself fails in another way, like a mount
                // whose server is down.
                let nowhere = self.folder("nowhere");
                drop(std::os::unix::fs::symlink(&nowhere, &nowhere));
                Ok(self.connector("nowhere"))
            }
            Situation::CutListing => {
                self.fill("cut", 40);
                let whole = std::fs::read(self.accounts("cut")).unwrap();
                std::fs::write(self.accounts("cut"), &whole[..whole.len() / 2]).unwrap();
                Ok(self.connector("cut"))
            }
            Situation::RefusedPermission => Err(Skip::because(
                "a folder that may not be written to refuses every task, so that is about the connection",
            )),
            _ => Err(Skip::because("a folder does not hang")),
        }
    }

    async fn populated(&self, accounts: usize) -> Result<Arc<dyn Connector>, Skip> {
        let name = format!("of-{accounts}");
        self.fill(&name, accounts);
        Ok(self.connector(&name))
    }
}

impl Drop for Folders {
    fn drop(&mut self) {
        use std::os::unix::fs::PermissionsExt;
        // Otherwise, the folder could not be removed. It may not exist at all.
        drop(std::fs::set_permissions(self.folder("forbidden"), std::fs::Permissions::from_mode(0o700)));
    }
}

async fn finds_no_fault(format: Format) {
    let folders = Folders::new(format);
    let before = std::fs::read_to_string(folders.accounts("working")).unwrap();
    let report = conformance::run(&folders).await;
    report.assert_passed();
    let never = [
        "refused-permission",
        "undeclared-actions",
        "bad-credential",
        "silence",
        "cut-look-up",
        "cut-change",
        // A folder does not speak HTTP, and 25 people fit on one page.
        "small-pages",
        "capped-pages",
        "changing-while-listed",
        "unreadable-records",
        "passwords",
        "failing-listing",
        "failing-look-up",
        "failing-change",
        "failing-codes",
        "never-retries",
        "failing-check",
        "reading-changes-nothing",
        "bodies-out-of-errors",
    ];
    let beyond: Vec<_> = report.skipped().into_iter().filter(|name| !never.contains(name)).collect();
    assert!(beyond.is_empty(), "{report}");
    assert_eq!(std::fs::read_to_string(folders.accounts("working")).unwrap(), before);
}

#[tokio::test]
async fn the_kit_finds_no_fault_in_a_folder_of_csv() {
    finds_no_fault(Format::Csv).await;
}

#[tokio::test]
async fn the_kit_finds_no_fault_in_a_folder_of_json_lines() {
    finds_no_fault(Format::Jsonl).await;
}
