//! Every question as a command-line flag. The flags depend on the available connectors.

use std::collections::BTreeMap;

use bridgehead_sdk::Question;
use clap::{Arg, ArgMatches, CommandFactory, FromArgMatches};

use super::super::args::{Cli, Command};
use super::{command, generic, iden};
use bridgehead_config::Connectors;

const INIT: &str = "init";
/// The flags of a secret, and the equivalent prefixes of an answer.
const PLACES: [(&str, &str, &str); 3] = [
    ("file", "FILE", "a file"),
    ("env", "NAME", "an environment variable"),
    ("credential", "NAME", "a credential of systemd"),
];

/// A question and the connectors that ask it.
struct Asked {
    question: Question,
    by: Vec<String>,
    /// The text of each connector's question.
    texts: Vec<String>,
}

impl Asked {
    /// The help text: the question, with the connectors that ask it.
    fn help(&self) -> String {
        if self.by.is_empty() {
            return self.question.text.clone();
        }
        if self.texts.iter().all(|text| *text == self.question.text) {
            return format!("{}: {}", self.by.join(", "), self.question.text);
        }
        let each = self.by.iter().zip(&self.texts).map(|(by, text)| format!("{by}: {text}"));
        each.collect::<Vec<_>>().join(". ")
    }
}

/// The command line with the flags of all questions.
pub(crate) fn command(connectors: &Connectors) -> clap::Command {
    let whole = Cli::command();
    let taken: Vec<String> = whole
        .find_subcommand(INIT)
        .into_iter()
        .flat_map(clap::Command::get_arguments)
        .chain(whole.get_arguments())
        .filter_map(|argument| argument.get_long().map(str::to_owned))
        .collect();
    let mut arguments = Vec::new();
    for asked in questions(connectors) {
        let heading = if asked.by.is_empty() { "Answers" } else { "Answers about the target" };
        let long = name(&asked.question.key);
        if asked.question.is_secret {
            for (kind, value, what) in PLACES {
                let help = format!("{}: the name of {what} that holds it", asked.help());
                arguments.push(flag(format!("{long}-{kind}"), value, help, heading));
            }
        } else {
            arguments.push(flag(long, "TEXT", asked.help(), heading));
        }
    }
    // A flag that `init` already has cannot also be a connector's: that question can only be answered interactively.
    arguments
        .retain(|argument| argument.get_long().is_none_or(|long| !taken.iter().any(|name| name == long)));
    // `mut_subcommand` would move it to the end of the list.
    whole.mut_subcommands(
        |one| if one.get_name() == INIT { one.args(std::mem::take(&mut arguments)) } else { one },
    )
}

fn flag(long: String, value: &'static str, help: String, heading: &'static str) -> Arg {
    Arg::new(long.clone()).long(long).value_name(value).help(help).help_heading(heading)
}

/// Parses the arguments of the process.
pub(crate) fn parse(connectors: &Connectors) -> Result<Cli, clap::Error> {
    parse_from(connectors, std::env::args_os())
}

fn parse_from(
    connectors: &Connectors,
    arguments: impl Iterator<Item = std::ffi::OsString>,
) -> Result<Cli, clap::Error> {
    let mut command = command(connectors);
    let matches = command.try_get_matches_from_mut(arguments)?;
    let mut cli = Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command))?;
    if let (Command::Init(init), Some((_, matches))) = (&mut cli.command, matches.subcommand()) {
        init.answers = answers(connectors, matches);
    }
    Ok(cli)
}

fn answers(connectors: &Connectors, matches: &ArgMatches) -> BTreeMap<String, String> {
    let mut answers = BTreeMap::new();
    let given = |name: &str| matches.try_get_one::<String>(name).ok().flatten().cloned();
    for Asked { question, .. } in questions(connectors) {
        let long = name(&question.key);
        let answer = if question.is_secret {
            PLACES.iter().find_map(|(kind, ..)| Some(format!("{kind}:{}", given(&format!("{long}-{kind}"))?)))
        } else {
            given(&long)
        };
        if let Some(answer) = answer {
            answers.insert(question.key, answer);
        }
    }
    answers
}

/// All questions, without duplicates.
fn questions(connectors: &Connectors) -> Vec<Asked> {
    let own = command::basics(connectors).into_iter().chain(iden::questions()).chain([iden::given()]);
    let mut all: Vec<Asked> =
        own.map(|question| Asked { question, by: Vec::new(), texts: Vec::new() }).collect();
    for (connector, factory) in connectors {
        for question in generic::questions(&**factory) {
            match all.iter_mut().find(|known| known.question.key == question.key) {
                // A question that does not depend on the connector is not listed per connector.
                Some(known) if known.by.is_empty() => {}
                Some(known) => {
                    known.by.push(connector.clone());
                    known.texts.push(question.text);
                }
                None => {
                    let texts = vec![question.text.clone()];
                    all.push(Asked { question, by: vec![connector.clone()], texts });
                }
            }
        }
    }
    all
}

/// The flag of a question.
pub(super) fn name(key: &str) -> String {
    key.replace('_', "-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_question_is_a_flag_except_secrets() {
        let connectors = Connectors::from([("simulated".to_owned(), bridgehead_simulated::factory())]);
        command(&connectors).debug_assert();
        let line = "bridgehead init --connector simulated --name hr --iden-key-env KEY --app new";
        let Command::Init(init) = parse_from(&connectors, line.split(' ').map(Into::into)).unwrap().command
        else {
            panic!("another command")
        };
        let expected = [("app", "new"), ("connector", "simulated"), ("iden_key", "env:KEY"), ("name", "hr")];
        let expected = expected.map(|(key, answer)| (key.to_owned(), answer.to_owned()));
        assert_eq!(init.answers, BTreeMap::from(expected));
        let secret = "bridgehead init --iden-key hunter2".split(' ').map(Into::into);
        assert!(parse_from(&connectors, secret).is_err());
    }
}
