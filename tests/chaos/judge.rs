//! Checks the ledgers, the state and the logs at the end of a run, and prints its figures.

use std::path::PathBuf;

use serde_json::json;

use super::{Run, TOKEN};
use crate::evidence::ledger::Ledger;
use crate::evidence::{Evidence, Violation, rules, syncs};
use crate::support::KEY;

impl Run {
    pub(super) fn judge(&mut self) {
        let ledger = Ledger::read(&self.world.path("target"));
        let evidence = Evidence {
            sandbox: &self.world.sandbox,
            app: self.world.app,
            wishes: &self.wishes,
            ledger: &ledger,
            state_was_damaged: self.figures.damages > 0,
            state_was_replaced: self.was_replaced,
        };
        let mut violations = rules::tasks(&evidence);
        let syncs = syncs::replay(&evidence);
        violations.extend(syncs.violations);
        violations.extend(syncs::equal(&evidence));
        let creates = |event: &&crate::evidence::ledger::Event| event.raw["action"] == "create_account";
        let figures = &mut self.figures;
        figures.tasks = self.wishes.len();
        figures.completed = self.world.tasks_that_are("completed");
        figures.failed = self.world.tasks_that_are("failed");
        figures.calls = ledger.of_kind("received").count();
        figures.creates = ledger.of_kind("applied").filter(creates).count();
        figures.target_faults = ledger.events.iter().filter(|event| event.fault().is_some()).count();
        figures.syncs_started = syncs.started;
        figures.syncs_completed = syncs.completed;
        figures.syncs_abandoned = syncs.abandoned;
        let reports = self.wishes.iter().flat_map(|wish| self.world.sandbox.reports(&wish.id));
        figures.forgotten = reports.filter(|report| report.handled.is_none()).count();
        figures.removed = syncs.removed;
        figures.unnoticed = syncs.unnoticed;
        if self.world.sandbox.ledger_dropped() > 0 {
            violations.push(Violation {
                rule: "the evidence is complete",
                task: None,
                what: "the sandbox's ledger was too small".into(),
            });
        }
        self.violations.extend(violations);
        self.look_for_secrets_in_the_state(true);
        self.look_for_secrets_in_the_log();
        self.look_for_secrets_at_iden();
    }

    fn secrets(&self) -> Vec<String> {
        let passwords = self.wishes.iter().filter_map(|wish| wish.password.clone());
        passwords.chain([KEY.to_owned(), TOKEN.to_owned()]).collect()
    }

    /// Passwords that the target generated and returned in the result of a reset.
    fn told(&self) -> Vec<String> {
        let reports = self.wishes.iter().flat_map(|wish| self.world.sandbox.reports(&wish.id));
        reports
            .filter_map(|report| Some(report.body["result"]["temporary_password"].as_str()?.to_owned()))
            .collect()
    }

    /// The journal may contain an outcome until it is reported, including the password in its result, but no other secret.
    pub(super) fn look_for_secrets_in_the_state(&mut self, at_the_end: bool) {
        let mut secrets = self.secrets();
        if at_the_end {
            secrets.extend(self.told());
        }
        let state = self.world.bytes_below("state");
        for secret in secrets {
            if state.windows(secret.len()).any(|bytes| bytes == secret.as_bytes()) {
                self.complain("a secret never leaks", format!("{secret} is in the state folder"));
            }
        }
    }

    fn look_for_secrets_in_the_log(&mut self) {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        for secret in self.secrets().into_iter().chain(self.told()) {
            if let Some(line) = log.lines().find(|line| line.contains(&secret)) {
                self.complain("a secret never leaks", format!("into the log: {line}"));
            }
        }
        for line in log.lines().filter(|line| line.contains("panicked")) {
            self.complain("nothing panics", line.to_owned());
        }
    }

    fn look_for_secrets_at_iden(&mut self) {
        let secrets = self.secrets();
        for entry in self.world.sandbox.ledger() {
            let body = entry.body.map(|body| body.to_string()).unwrap_or_default();
            if let Some(secret) = secrets.iter().find(|secret| body.contains(secret.as_str())) {
                self.complain(
                    "a secret never leaks",
                    format!("{secret} into {} {}: {body}", entry.method, entry.path),
                );
            }
        }
    }

    /// Prints the figures, and fails if a guarantee was violated.
    pub(super) fn tell(mut self) {
        self.figures.violations = self.violations.len();
        println!("CHAOS {}", json!(self.figures));
        if self.violations.is_empty() {
            return;
        }
        let kept = std::env::var_os("CHAOS_KEEP").map(PathBuf::from);
        if let Some(kept) = &kept {
            let kept = kept.join(format!("seed-{}", self.figures.seed));
            std::fs::create_dir_all(&kept).expect("a folder");
            std::fs::copy(&self.log, kept.join("daemon.log")).expect("a copy");
            std::fs::copy(self.world.path("target/ledger.jsonl"), kept.join("target.jsonl")).expect("a copy");
            let ledger: Vec<String> =
                self.world.sandbox.ledger().iter().map(|entry| json!(entry).to_string()).collect();
            std::fs::write(kept.join("sandbox.jsonl"), ledger.join("\n")).expect("a copy");
        }
        let ledger = Ledger::read(&self.world.path("target"));
        let evidence = Evidence {
            sandbox: &self.world.sandbox,
            app: self.world.app,
            wishes: &self.wishes,
            ledger: &ledger,
            state_was_damaged: self.figures.damages > 0,
            state_was_replaced: self.was_replaced,
        };
        for violation in self.violations.iter().take(20) {
            println!("seed {}: {}: {}", self.figures.seed, violation.rule, violation.what);
            if let Some(task) = &violation.task {
                println!("{}", evidence.story(task));
            }
        }
        panic!("seed {}: {} violations", self.figures.seed, self.violations.len());
    }
}
