//! Determines the next question. Pure: it depends only on the answers, and on the information from the target and Iden.

use bridgehead_sdk::{Discovered, Question};

use super::iden::{self, KnownApp};
use super::interview::Interview;

/// The next step.
#[derive(Debug)]
pub(super) enum Next {
    Ask(Question),
    /// Explore the target with the answers so far.
    LookAtTarget,
    /// List the apps in Iden.
    LookAtIden,
    Done,
}

/// Information, and the number of answers when it was retrieved.
#[derive(Debug)]
struct Looked<T> {
    at: usize,
    found: T,
}

/// Everything that determines the next step, except the answers.
#[derive(Debug)]
pub(super) struct Plan {
    /// The connector and the app's name.
    pub(super) basics: Vec<Question>,
    /// Iden's URL, then the key: empty if they are already configured.
    pub(super) iden: Vec<Question>,
    /// The command line specifies the app, so Iden's apps need not be listed.
    pub(super) app_is_given: bool,
    /// The confirmation before anything is written, if there is one.
    pub(super) confirms: Option<Question>,
    target: Option<Looked<Discovered>>,
    apps: Option<Looked<Vec<KnownApp>>>,
}

impl Plan {
    pub(super) fn new(basics: Vec<Question>, iden: Vec<Question>, app_is_given: bool) -> Self {
        Self { basics, iden, app_is_given, confirms: None, target: None, apps: None }
    }

    /// The next step; `of_connector` returns the questions of the chosen connector.
    pub(super) fn next(&self, interview: &Interview, of_connector: impl Fn(&str) -> Vec<Question>) -> Next {
        let open = |question: &&Question| !interview.has(&question.key);
        if let Some(question) = self.basics.iter().find(open) {
            return Next::Ask(question.clone());
        }
        let questions = of_connector(interview.text("connector").unwrap_or_default());
        if let Some(question) = questions.iter().filter(|question| !question.is_later).find(open) {
            return Next::Ask(question.clone());
        }
        let Some(looked) = &self.target else { return Next::LookAtTarget };
        if !looked.found.questions.is_empty() {
            let next = looked.found.questions.iter().find(open);
            return next.map_or(Next::LookAtTarget, |question| Next::Ask(question.clone()));
        }
        // A sandbox has its own key and a new app.
        let is_sandbox = interview.text(iden::URL) == Some(iden::SANDBOX);
        let iden = self.iden.iter().take(if is_sandbox { 1 } else { usize::MAX });
        if let Some(question) = iden.clone().find(open) {
            return Next::Ask(question.clone());
        }
        if !is_sandbox && !interview.has(iden::APP) {
            return match &self.apps {
                _ if self.app_is_given => Next::Ask(iden::given()),
                None => Next::LookAtIden,
                Some(looked) => Next::Ask(iden::which(&looked.found)),
            };
        }
        match self.confirms.as_ref().filter(open) {
            Some(question) => Next::Ask(question.clone()),
            None => Next::Done,
        }
    }

    pub(super) fn saw_target(&mut self, at: usize, found: Discovered) {
        self.target = Some(Looked { at, found });
    }

    pub(super) fn saw_apps(&mut self, at: usize, found: Vec<KnownApp>) {
        self.apps = Some(Looked { at, found });
    }

    /// Drops information that was retrieved with answers that no longer exist.
    pub(super) fn forget(&mut self, answers: usize) {
        self.target.take_if(|looked| looked.at > answers);
        self.apps.take_if(|looked| looked.at > answers);
    }

    /// The content of `target`.
    pub(super) fn into_target(self) -> Discovered {
        self.target.map(|looked| looked.found).unwrap_or_default()
    }
}
