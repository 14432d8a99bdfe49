//! Every `bridgehead …` invocation in documentation, messages and comments is valid: its commands and flags exist in the real command line.

use std::sync::LazyLock;

use bridgehead::Daemon;
use clap::error::ErrorKind;
use regex::Regex;

use crate::pages::{self, Block, Page};

/// Placeholder for text that the reader fills in: `APP`, `{name}`, `$id`, `…`.
const HOLE: &str = "\u{1}";

/// Values to try for a hole; the first that the command line accepts counts.
const FILLINGS: [&str; 10] = [
    "x",
    "3",
    "10m",
    "1:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "11111111-1111-4111-8111-111111111111",
    "127.0.0.1:1",
    "debug",
    "find",
    "pending",
    "",
];

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("a pattern")
}

fn command_line() -> clap::Command {
    Daemon::builder()
        .connector("file", bridgehead_file::factory())
        .connector("exec", bridgehead_exec::factory())
        .connector("http", bridgehead_http::factory())
        .connector("ldap", bridgehead_ldap::factory())
        .connector("scim", bridgehead_scim::factory())
        .connector("simulated", bridgehead_simulated::factory())
        .connector("sql", bridgehead_sql::factory())
        .command_line()
}

/// Whether the command line accepts the words; in a sentence, required arguments may be omitted.
fn accepts(words: &[String], in_a_sentence: bool) -> Result<(), String> {
    let mut last = String::new();
    for filling in FILLINGS {
        let filled = words.iter().map(|word| word.replace(HOLE, filling));
        match command_line().try_get_matches_from(std::iter::once("bridgehead".to_owned()).chain(filled)) {
            Ok(_) => return Ok(()),
            Err(error) => match error.kind() {
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => return Ok(()),
                ErrorKind::MissingRequiredArgument
                | ErrorKind::MissingSubcommand
                | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
                | ErrorKind::WrongNumberOfValues
                | ErrorKind::TooFewValues
                    if in_a_sentence =>
                {
                    return Ok(());
                }
                // `--expect` may appear without its number in a sentence.
                ErrorKind::InvalidValue
                    if in_a_sentence && error.to_string().contains("a value is required") =>
                {
                    return Ok(());
                }
                _ => error.to_string().lines().next().unwrap_or_default().clone_into(&mut last),
            },
        }
        if !words.iter().any(|word| word.contains(HOLE)) {
            break;
        }
    }
    Err(last)
}

/// The words of a command, once for each alternative of `a|b`.
fn readings(text: &str) -> Option<Vec<Vec<String>>> {
    static HOLES: LazyLock<Regex> = LazyLock::new(|| pattern(r"\{[^{}]*\}|\$\([^)]*\)|\$\{?\w+\}?"));
    static PLACEHOLDER: LazyLock<Regex> = LazyLock::new(|| pattern(r"^[A-Z][A-Z_0-9]*(:[A-Z]+)?(=[A-Z]+)?$"));
    let text = HOLES.replace_all(text, HOLE);
    let mut readings = vec![Vec::new()];
    for word in shlex::split(&text)? {
        let plain = word.trim_matches(|c| ['[', ']'].contains(&c)).trim_end_matches(['…', ',']);
        let plain = plain.trim_end_matches("...");
        if plain.is_empty() {
            continue;
        }
        let fill = |word: &str| if PLACEHOLDER.is_match(word) { HOLE.to_owned() } else { word.to_owned() };
        let choices: Vec<String> = plain.split('|').map(fill).collect();
        readings = readings
            .iter()
            .flat_map(|known: &Vec<String>| {
                choices.iter().map(|choice| known.iter().cloned().chain([choice.clone()]).collect())
            })
            .collect();
    }
    Some(readings)
}

fn judge(at: &str, text: &str, in_a_sentence: bool, wrong: &mut Vec<String>) {
    let Some(readings) = readings(text) else {
        wrong.push(format!("{at}: `bridgehead {text}`: quotes that do not end"));
        return;
    };
    for words in readings {
        if let Err(error) = accepts(&words, in_a_sentence) {
            wrong.push(format!("{at}: `bridgehead {text}`: {error}"));
        }
    }
}

/// The arguments of each `bridgehead` in a script.
pub(crate) fn in_a_script(script: &str) -> Vec<String> {
    static CALL: LazyLock<Regex> = LazyLock::new(|| {
        pattern(r"(?m)(?:^|[\s(!=])(?:[^\s=]*/)?(?:bridgehead|cargo run(?: +-\S+)* --)(?:[ \t]+|$)")
    });
    static SUBSTITUTION: LazyLock<Regex> = LazyLock::new(|| pattern(r"\$\([^()]*\)"));
    let joined = script.replace("\\\n", " ");
    let joined = SUBSTITUTION.replace_all(&joined, HOLE);
    let mut calls = Vec::new();
    for line in joined.lines().map(str::trim_start).filter(|line| !line.starts_with('#')) {
        let line = line.trim_start_matches("$ ");
        for found in CALL.find_iter(line) {
            let before = &line[..found.start()];
            // Skips output that starts with the name, arguments of other commands, and comments.
            let is_call = before.trim().is_empty()
                || before.trim_end().ends_with(['|', '&', ';', '(', '!'])
                || before.trim_end().split(' ').all(|word| word.contains('='));
            if is_call {
                calls.push(until_the_end(&line[found.end()..]));
            }
        }
    }
    calls
}

/// Cuts the line at the first part that the shell does not pass on: a pipe, a redirection, a comment.
fn until_the_end(rest: &str) -> String {
    let mut quote = None;
    let mut text = String::new();
    for (at, c) in rest.char_indices() {
        match (quote, c) {
            (None, '\'' | '"') => quote = Some(c),
            (Some(open), _) if open == c => quote = None,
            (None, '|' | ';' | '&' | '<' | '>' | ')') => break,
            (None, '#') if at == 0 || rest[..at].ends_with(' ') => break,
            _ => {}
        }
        text.push(c);
    }
    // Drops the file descriptor before a redirection.
    if rest[text.len()..].starts_with('>') && text.ends_with(" 2") {
        text.pop();
    }
    text.trim().to_owned()
}

fn is_of_commands(block: &Block) -> bool {
    ["sh", "console", "bash"].contains(&&*block.language)
}

fn judge_page(page: &Page, wrong: &mut Vec<String>) -> usize {
    let mut count = 0;
    for block in page.blocks.iter().filter(|block| is_of_commands(block)) {
        for call in in_a_script(&block.text) {
            count += 1;
            judge(&format!("{}:{}", page.path.display(), block.line), &call, false, wrong);
        }
    }
    for (line, span) in &page.spans {
        if let Some(call) = span.trim_start_matches("$ ").strip_prefix("bridgehead ") {
            count += 1;
            judge(&format!("{}:{line}", page.path.display()), &until_the_end_of(call), true, wrong);
        }
    }
    count
}

/// In a sentence, `a|b` is a choice, not a pipe.
fn until_the_end_of(span: &str) -> String {
    let span = span.replace('\n', " ");
    span.split(" | ").next().unwrap_or_default().split(" < ").next().unwrap_or_default().to_owned()
}

#[test]
fn documented_commands_are_valid() {
    let mut wrong = Vec::new();
    let count: usize = pages::all()
        .iter()
        // The changelog may name commands that were removed since.
        .filter(|page| !page.path.ends_with("CHANGELOG.md"))
        .map(|page| judge_page(page, &mut wrong))
        .sum();
    assert!(wrong.is_empty(), "these cannot be typed:\n{}", wrong.join("\n"));
    assert!(count > 150, "only {count} commands were found");
}

#[test]
fn commands_in_messages_and_comments_are_valid() {
    let joints = pattern(r"\\\n\s*|\n\s*(///|//!|//|#)?[ \t]*");
    let call = pattern(r"`bridgehead ([^`]+)`");
    let folders =
        ["src", "crates", "connectors", "config", "packaging", "systemd", "docs/monitoring", "xtask/src"];
    let endings =
        [".rs", ".toml", ".html", ".py", ".mjs", ".yml", ".service", ".conf", "postinst", "postrm", ".spec"];
    let (mut wrong, mut count) = (Vec::new(), 0);
    for file in pages::files(&folders, &endings) {
        let text = std::fs::read_to_string(pages::root().join(&file)).expect("a file");
        let text = joints.replace_all(&text, " ").replace("\\n", " ").replace("\\\"", "\"");
        for found in call.captures_iter(&text) {
            count += 1;
            judge(&file.display().to_string(), &until_the_end_of(&found[1]), true, &mut wrong);
        }
    }
    assert!(wrong.is_empty(), "these cannot be typed:\n{}", wrong.join("\n"));
    assert!(count > 100, "only {count} commands were found");
}

#[test]
fn commands_in_units_and_alerts_are_valid() {
    let start = pattern(r"(?m)^Exec\w+=\S*bridgehead (.+)$");
    let action = pattern(r#"bridgehead ((?:[a-z-]+ )?[^;"]*)"#);
    let (mut wrong, mut count) = (Vec::new(), 0);
    for file in pages::files(&["systemd", "packaging", "docs/monitoring"], &[".service", ".conf", ".yml"]) {
        let text = std::fs::read_to_string(pages::root().join(&file)).expect("a file");
        let at = file.display().to_string();
        let lines =
            text.lines().filter(|line| line.trim_start().starts_with("action:") && !line.contains("ctl "));
        let calls: Vec<String> = start
            .captures_iter(&text)
            .chain(lines.flat_map(|line| action.captures_iter(line)))
            .map(|found| found[1].replace("{{ $labels.app }}", HOLE).replace("%i", HOLE).replace("%I", HOLE))
            .collect();
        for call in calls {
            count += 1;
            judge(&at, &call, false, &mut wrong);
        }
    }
    assert!(wrong.is_empty(), "these cannot be typed:\n{}", wrong.join("\n"));
    assert!(count > 8, "only {count} commands were found");
}

/// The table of commands in the README: each command, and each of its flags.
#[test]
fn readme_command_table_is_complete_and_correct() {
    let text = std::fs::read_to_string(pages::root().join("README.md")).expect("the page");
    let (_, table) = text.split_once("\n## Commands\n").expect("the heading");
    let (span, flag) = (pattern("`([^`]+)`"), pattern(r"`(--[a-z-]+)[^`]*`"));
    let mut wrong = Vec::new();
    let mut listed = Vec::new();
    for row in
        table.lines().take_while(|line| !line.starts_with("## ")).filter(|line| line.starts_with("| `"))
    {
        let cells: Vec<&str> = row.split(" | ").collect();
        let [commands, meaning] = cells[..] else { continue };
        let mut flags = Vec::new();
        for found in span.captures_iter(commands) {
            judge("README.md", &found[1], true, &mut wrong);
            let names: Vec<&str> = found[1].split(' ').take_while(|word| is_name(word)).collect();
            listed.push(names.join(" "));
            flags.extend(flags_of(&found[1]));
        }
        let unknown = flag.captures_iter(meaning).map(|found| found[1].to_owned());
        wrong.extend(
            unknown
                .filter(|flag| !flags.contains(flag))
                .map(|flag| format!("README.md: {commands}: no flag {flag}")),
        );
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let mut commands = Vec::new();
    leaves(&command_line(), "", &mut commands);
    commands.retain(|name| !listed.contains(name));
    assert!(commands.is_empty(), "the table in README.md lacks {commands:?}");
}

fn is_name(word: &str) -> bool {
    word.chars().all(|c| c.is_ascii_lowercase() || c == '-') && !word.starts_with('-')
}

/// Collects the commands that do something, as opposed to those that only group subcommands.
fn leaves(command: &clap::Command, path: &str, into: &mut Vec<String>) {
    for one in command.get_subcommands() {
        let path = format!("{path} {}", one.get_name()).trim_start().to_owned();
        if one.has_subcommands() {
            leaves(one, &path, into);
        } else {
            into.push(path);
        }
    }
}

/// The flags of a command.
fn flags_of(command: &str) -> Vec<String> {
    let mut whole = command_line();
    whole.build();
    let path = command.split(' ').take_while(|word| is_name(word));
    let end = path.into_iter().try_fold(&whole, |at, name| at.find_subcommand(name));
    let flags = end.into_iter().flat_map(clap::Command::get_arguments).filter_map(clap::Arg::get_long);
    flags.map(|flag| format!("--{flag}")).collect()
}
