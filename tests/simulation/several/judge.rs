//! Checks the ledgers of a run against the rules.

use std::fmt::Write as _;

use super::World;
use crate::connector::TOKEN;
use crate::evidence::{Evidence, Violation, rules, syncs};
use crate::world::{KEY, TypeCounts, Verdict, panics};

impl World {
    pub(super) fn judge(mut self) -> Verdict {
        self.look_for_secrets();
        let panics = panics();
        if panics > 0 {
            self.complain("nothing panics", format!("{panics} panics"));
        }
        if self.shared.sandbox.ledger_dropped() > 0 {
            self.complain("the evidence is complete", "the sandbox's ledger was too small".into());
        }
        let mut figures = TypeCounts { events: self.shared.events.count(), ..self.figures.clone() };
        let mut stories: Vec<String> = self.violations.iter().map(|wrong| story(None, wrong)).collect();
        for app in &self.apps {
            let ledger = app.target.ledger();
            let evidence = Evidence {
                sandbox: &self.shared.sandbox,
                app: app.id,
                wishes: &app.wishes,
                ledger: &ledger,
                state_was_damaged: false,
                state_was_replaced: false,
            };
            let syncs = syncs::replay(&evidence);
            let violations = rules::tasks(&evidence).into_iter().chain(syncs.violations);
            let violations = violations.chain(syncs::equal(&evidence));
            stories
                .extend(violations.map(|wrong| format!("{}: {}", app.name, story(Some(&evidence), &wrong))));
            let tasks = self.shared.sandbox.tasks(app.id);
            figures.tasks += tasks.len() as u64;
            figures.completed += tasks.iter().filter(|task| task["status"] == "completed").count() as u64;
            figures.syncs += syncs.completed as u64;
            figures.removed += syncs.removed as u64;
        }
        Verdict { seed: self.shared.seed, violations: stories, trace: self.shared.events.trace(), figures }
    }

    fn look_for_secrets(&mut self) {
        let wishes = self.apps.iter().flat_map(|app| &app.wishes);
        let passwords = wishes.filter_map(|wish| wish.password.clone());
        let secrets: Vec<String> = passwords.chain([KEY.to_owned(), TOKEN.to_owned()]).collect();
        for entry in self.shared.sandbox.ledger() {
            let body = entry.body.map(|body| body.to_string()).unwrap_or_default();
            if let Some(secret) = secrets.iter().find(|secret| body.contains(secret.as_str())) {
                let what = format!("{secret} into {} {}", entry.method, entry.path);
                self.complain("a secret never leaks", what);
            }
        }
    }
}

fn story(evidence: Option<&Evidence<'_>>, violation: &Violation) -> String {
    let mut story = format!("{}: {}", violation.rule, violation.what);
    if let (Some(evidence), Some(task)) = (evidence, &violation.task) {
        write!(story, "\n{}", evidence.story(task)).expect("a string takes everything");
    }
    story
}
