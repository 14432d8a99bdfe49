//! Each block of commands is run by a test, or a comment before it says why not.

use crate::pages::{self, Block};
use crate::runs;

/// Pages whose blocks are run by a test of the same name in `tests/daemon`.
const RUN_ELSEWHERE: [&str; 1] = ["docs/connector-author.md"];

fn is_of_commands(block: &Block) -> bool {
    ["sh", "bash", "console"].contains(&&*block.language)
}

#[test]
fn every_command_block_is_run_or_excused() {
    let (mut wrong, mut run, mut excused) = (Vec::new(), 0, 0);
    for page in pages::all() {
        let path = page.path.display().to_string();
        let is_run = RUN_ELSEWHERE.contains(&&*path) || runs::PAGES.contains(&&*path);
        for block in page.blocks.iter().filter(|block| is_of_commands(block)) {
            match &block.excuse {
                None if is_run => run += 1,
                None => wrong.push(format!(
                    "{path}:{}: no test runs this; write `<!-- not run: WHY -->` in front",
                    block.line
                )),
                Some(excuse) if excuse.len() < 10 => {
                    wrong.push(format!("{path}:{}: '{excuse}' is no reason", block.line));
                }
                Some(_) => excused += 1,
            }
        }
        for block in
            page.blocks.iter().filter(|block| block.language.is_empty() && block.text.contains("bridgehead "))
        {
            wrong.push(format!("{path}:{}: a block of commands is marked ```sh", block.line));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(run >= 40, "only {run} blocks are run, {excused} are excused");
}

/// Blocks that are not run must at least be valid shell.
#[test]
fn every_command_block_is_valid_shell() {
    let mut wrong = Vec::new();
    for page in pages::all() {
        for block in page.blocks.iter().filter(|block| is_of_commands(block)) {
            let script = runs::commands(block);
            let output =
                std::process::Command::new("bash").args(["-n", "-c", &script]).output().expect("bash runs");
            if !output.status.success() {
                let said = String::from_utf8_lossy(&output.stderr).into_owned();
                wrong.push(format!("{}:{}: {said}", page.path.display(), block.line));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
