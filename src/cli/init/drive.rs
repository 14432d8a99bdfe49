//! Asks questions until all are answered.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use bridgehead_sdk::{Discovered, Question, async_trait};

use super::super::failure::{Exit, Failure};
use super::iden::KnownApp;
use super::interview::{Answer, Interview, accept};
use super::plan::{Next, Plan};
use super::secret::Kept;

/// A user's reply. It has no `Debug`, because it may be a secret.
pub(super) enum Reply {
    Line(String),
    Back,
    /// The input has ended.
    End,
}

/// Asks the user.
#[async_trait]
pub(super) trait Asker: Send {
    /// Asks a question; an empty line repeats the previous answer `before`.
    async fn ask(&mut self, question: &Question, before: Option<&str>) -> Result<Reply, Failure>;

    /// Prints a message between questions.
    fn say(&mut self, text: &str);
}

/// Gets information from targets and Iden.
#[async_trait]
pub(super) trait Looker: Send {
    /// The questions of the chosen connector.
    fn questions(&self, connector: &str) -> Vec<Question>;

    /// Explores the target; the error says what to do.
    async fn target(&mut self, interview: &Interview) -> Result<Discovered, String>;

    /// Lists Iden's apps.
    async fn apps(&mut self, interview: &Interview) -> Result<Vec<KnownApp>, String>;

    /// What is wrong with an answer, if only this machine can determine that.
    fn refuse(&self, key: &str, text: &str) -> Option<String>;
}

/// The parameters of all questions.
pub(super) struct Circumstances<'a> {
    /// Answers from the command line, by key. For a secret, its location.
    pub(super) flags: &'a BTreeMap<String, String>,
    pub(super) environment: &'a BTreeMap<String, String>,
    /// The folder for secrets that are typed.
    pub(super) folder: &'a Path,
    /// No question is asked.
    pub(super) is_silent: bool,
}

/// Asks unanswered questions, gets information in between, and returns all answers.
pub(super) async fn drive(
    plan: &mut Plan,
    setting: &Circumstances<'_>,
    asker: &mut dyn Asker,
    looker: &mut dyn Looker,
) -> Result<Interview, Failure> {
    let mut interview = Interview::default();
    let mut told = HashSet::new();
    loop {
        let seen = match plan.next(&interview, |connector| looker.questions(connector)) {
            Next::Done => return Ok(interview),
            Next::Ask(question) => {
                ask(&mut interview, plan, setting, asker, looker, &question).await?;
                continue;
            }
            Next::LookAtTarget => match looker.target(&interview).await {
                Ok(found) if is_answered(&found, &interview) => {
                    Err("the connector repeats a question that was answered; this is a bug of the connector"
                        .to_owned())
                }
                Ok(found) => {
                    for line in &found.seen {
                        if told.insert(line.clone()) {
                            asker.say(&format!("  found: {line}"));
                        }
                    }
                    for line in &found.warnings {
                        if told.insert(line.clone()) {
                            asker.say(&format!("  check this: {line}"));
                        }
                    }
                    plan.saw_target(interview.len(), found);
                    Ok(())
                }
                Err(why) => Err(why),
            },
            Next::LookAtIden => {
                looker.apps(&interview).await.map(|found| plan.saw_apps(interview.len(), found))
            }
        };
        let Err(why) = seen else { continue };
        if setting.is_silent || !interview.back_to_the_cause(&why) {
            return Err(Failure::new(Exit::Failed, why));
        }
        asker.say(&format!("\n{why}\nAnswer again, or go back with '<'.\n"));
        plan.forget(interview.len());
    }
}

/// Whether a connector asks only questions that have been answered.
fn is_answered(found: &Discovered, interview: &Interview) -> bool {
    !found.questions.is_empty() && found.questions.iter().all(|question| interview.has(&question.key))
}

async fn ask(
    interview: &mut Interview,
    plan: &mut Plan,
    setting: &Circumstances<'_>,
    asker: &mut dyn Asker,
    looker: &dyn Looker,
    question: &Question,
) -> Result<(), Failure> {
    let key = question.key.as_str();
    let take = |line: &str, before: Option<&Answer>, app: &str| -> Result<Answer, String> {
        let before_text = match before {
            Some(Answer::Text(text)) if !text.is_empty() => Some(text.as_str()),
            _ => None,
        };
        if !question.is_secret {
            let mut text = accept(question, line, before_text)?;
            if question.is_path && !text.is_empty() {
                // A typed path is relative to the current folder, but a path in the file would be relative to the file.
                let whole = std::path::absolute(&text).map_err(|error| format!("{text}: {error}"))?;
                text = whole.to_string_lossy().into_owned();
            }
            return match looker.refuse(key, &text) {
                Some(why) => Err(why),
                None => Ok(Answer::Text(text)),
            };
        }
        match (line.trim(), before) {
            ("", Some(before)) => Ok(before.clone()),
            ("", None) if question.is_optional => Ok(Answer::Secret(None)),
            ("", None) => Err("an answer is needed".to_owned()),
            (line, _) => {
                let name = if key == super::iden::KEY {
                    super::command::KEY_FILE.to_owned()
                } else {
                    format!("{app}.{key}")
                };
                Kept::take(line, &name, setting.folder, setting.environment)
                    .map(|kept| Answer::Secret(Some(kept)))
            }
        }
    };
    let app = interview.text("name").unwrap_or("app").to_owned();
    let flag = super::flags::name(key);
    if let Some(given) = setting.flags.get(key).filter(|_| interview.before(key).is_none()) {
        let answer =
            take(given, None, &app).map_err(|why| Failure::new(Exit::Usage, format!("--{flag}: {why}")))?;
        interview.add(key, answer, false);
        return Ok(());
    }
    if setting.is_silent {
        let answer = take("", None, &app).map_err(|_| missing(question))?;
        interview.add(key, answer, false);
        return Ok(());
    }
    loop {
        let before = interview.before(key).cloned();
        let shown = match &before {
            Some(Answer::Text(text)) => Some(text.as_str()).filter(|text| !text.is_empty()),
            Some(Answer::Secret(Some(_))) => Some("unchanged"),
            _ => None,
        };
        match asker.ask(question, shown).await? {
            Reply::Line(line) => match take(&line, before.as_ref(), &app) {
                Ok(answer) => {
                    interview.add(key, answer, true);
                    return Ok(());
                }
                Err(why) => asker.say(&format!("  {why}")),
            },
            Reply::Back if interview.back() => {
                plan.forget(interview.len());
                return Ok(());
            }
            Reply::Back => asker.say("  this is the first question"),
            Reply::End => {
                let message = format!(
                    "the input ended before everything was answered; {}",
                    missing(question).message()
                );
                return Err(Failure::new(Exit::Usage, message));
            }
        }
    }
}

/// The error for a required answer that is missing.
fn missing(question: &Question) -> Failure {
    let flag = super::flags::name(&question.key);
    let flag = if question.is_secret {
        format!("--{flag}-file, --{flag}-env or --{flag}-credential")
    } else {
        format!("--{flag}")
    };
    let mut message = format!("{flag} is missing: {}", question.text);
    if !question.choices.is_empty() {
        let values: Vec<&str> = question.choices.iter().map(|(value, _)| value.as_str()).take(20).collect();
        message = format!("{message} (one of {})", values.join(", "));
    }
    Failure::new(Exit::Usage, message)
}

#[cfg(test)]
#[path = "drive_tests.rs"]
mod tests;
