//! The result of a manual operation, for people and as JSON. Known secrets are removed from all of it.

use std::sync::Arc;

use bridgehead_sdk::{
    Account, AccountRecord, Description, Error, Redactor, Slug, counted, is_same_name, visible,
};
use serde_json::{Value, json};

use super::super::args::Global;
use super::super::print;
use bridgehead_bridge::{Refs, record_on_the_wire};
use bridgehead_runtime::hand::{Hand, ListedPage};
use bridgehead_runtime::{Answer, ByHand, Refused};

/// How and where the result is shown.
#[derive(Clone, Copy)]
pub(super) struct Show<'a> {
    pub(super) global: &'a Global,
    pub(super) app: &'a str,
    pub(super) redactor: &'a Redactor,
    pub(super) refs: Refs,
}

impl<'a> Show<'a> {
    fn json(&self, operation: &str, mut fields: Value) {
        if let Some(fields) = fields.as_object_mut() {
            fields.shift_insert(0, "app".to_owned(), self.app.into());
            fields.shift_insert(1, "operation".to_owned(), operation.into());
        }
        self.redactor.redact_json(&mut fields);
        print::json(&fields);
    }

    /// Prints a line with its speaker.
    fn line(&self, who: &str, says: &str) {
        print::line(format!("{who:<10} {}", visible(&self.redactor.redact(says))));
    }

    pub(super) fn changed(&self, told: &ByHand) {
        if self.global.json {
            self.json(told.action.as_str(), serde_json::to_value(told).unwrap_or_default());
            return;
        }
        match &told.answer {
            None => self.line("connector", "was not called"),
            Some(Answer::Ok(result)) if result.is_empty() => self.line("connector", "done"),
            Some(Answer::Ok(result)) => self.line("connector", &format!("done: {}", text(result))),
            Some(Answer::Error(refused)) => self.line("connector", &refused.in_words()),
        }
        self.line("daemon", &told.says);
        for differing in &told.differing {
            self.line("", differing);
        }
        if !told.not_shown.is_empty() {
            self.line(
                "",
                &format!("not visible, because the target does not show them: {}", told.not_shown.join(", ")),
            );
        }
        match &told.report {
            Some(report) => self.line("Iden", &text(report)),
            None => self.line("Iden", "reports nothing yet"),
        }
    }

    pub(super) fn checked(&self, answer: &Result<(), Error>) {
        let daemon = match answer {
            Ok(()) => "executes tasks",
            Err(error) if error.subject() == bridgehead_sdk::Subject::Connection => {
                "holds all tasks of the app, and repeats the check periodically"
            }
            Err(_) => "keeps executing tasks: the error is not about the connection",
        };
        self.read("check", answer.as_ref().map(|()| json!({})), daemon);
    }

    pub(super) fn described(&self, answer: &Result<Arc<Description>, Error>) {
        let daemon = match answer {
            Ok(_) => "requests only these actions and types",
            Err(_) => "holds all tasks of the app, and repeats the check periodically",
        };
        let fields = answer.as_ref().map(|of| {
            json!({
                "name": of.name, "version": of.version, "actions": of.actions, "resource_types": of.resource_types,
                "unverifiable": of.unverifiable, "warnings": of.warnings,
            })
        });
        self.read("describe", fields, daemon);
    }

    pub(super) fn found(
        &self,
        hand: &Hand,
        account: &Account,
        answer: &Result<Option<AccountRecord>, Error>,
    ) {
        let daemon = match answer {
            Ok(None) => "concludes that the account does not exist".to_owned(),
            Ok(Some(record)) => match taken_by(account, record) {
                Some(name) => format!("accepts this record: its {name} matches the request"),
                None => "accepts this record, although none of its identifiers match the request: the \
                         connector returned a different account"
                    .to_owned(),
            },
            Err(error) => hand.after_look(error),
        };
        let found =
            answer.as_ref().map(|found| found.as_ref().map_or(Value::Null, |found| self.record(found)));
        self.read("find", found, &daemon);
    }

    fn record(&self, record: &AccountRecord) -> Value {
        record_on_the_wire(&record.clone().into(), self.refs).unwrap_or_default()
    }

    fn read(&self, operation: &str, answer: Result<Value, &Error>, daemon: &str) {
        let answer = answer.map_err(Refused::of);
        if self.global.json {
            let answer = match answer {
                Ok(answer) => Answer::Ok(answer),
                Err(refused) => Answer::Error(refused),
            };
            self.json(operation, json!({ "answer": answer, "says": daemon }));
            return;
        }
        match &answer {
            Ok(Value::Null) => self.line("connector", "no such account"),
            Ok(Value::Object(fields)) if fields.is_empty() => self.line("connector", "all good"),
            Ok(answer) => self.line("connector", &text(answer)),
            Err(refused) => self.line("connector", &refused.in_words()),
        }
        self.line("daemon", daemon);
    }

    /// Starts to show a listing; `from_start` says whether its first page is the first of the target.
    pub(super) fn listing(self, slug: &Slug, from_start: bool) -> Pages<'a> {
        Pages { show: self, slug: slug.to_string(), told: Vec::new(), shown: from_start.then_some(0) }
    }
}

/// The pages of a listing, shown as they arrive; as JSON at the end.
pub(super) struct Pages<'a> {
    show: Show<'a>,
    slug: String,
    told: Vec<Value>,
    /// The number of records so far; `None` if earlier pages are unknown.
    shown: Option<u64>,
}

impl Pages<'_> {
    pub(super) fn page(&mut self, hand: &Hand, answer: &Result<ListedPage, Error>) {
        let show = self.show;
        let page = match answer {
            Ok(page) => page,
            Err(error) => {
                let refused = Refused::of(error);
                if show.global.json {
                    self.told.push(json!({ "answer": { "error": refused }, "says": hand.after_page(error) }));
                } else {
                    show.line("connector", &refused.in_words());
                    show.line("daemon", &hand.after_page(error));
                }
                return;
            }
        };
        let record =
            |judged: &bridgehead_runtime::hand::Judged| record_on_the_wire(&judged.record, show.refs);
        let rejected = page.rejected.iter().map(ToString::to_string);
        let broken = page.records.iter().filter_map(|judged| {
            let problem = judged.problem.as_ref()?;
            Some(format!("record '{}': {problem}", judged.record.id()))
        });
        let invalid: Vec<String> = rejected.chain(broken).collect();
        let count = page.records.len() + page.rejected.len();
        self.shown = self.shown.map(|shown| shown + count as u64);
        let is_short = self.shown.zip(page.total).is_some_and(|(shown, total)| shown < total);
        let says = match (&page.next, page.evidence) {
            (Some(_), _) => "requests the next page",
            (None, _) if is_short => {
                "does not accept this as the end: there are fewer records than the total, so a sync would not \
                 complete"
            }
            (None, Some(_)) => "concludes that the listing is complete",
            (None, None) => {
                "does not accept this as the end: there is no proof that the listing is complete, so a sync \
                 would not complete"
            }
        };
        if show.global.json {
            let records: Vec<Value> = page.records.iter().filter_map(|judged| record(judged).ok()).collect();
            self.told.push(json!({
                "answer": { "ok": {
                    "records": records, "next": page.next, "total": page.total, "evidence": page.evidence,
                } },
                "invalid": invalid,
                "says": says,
            }));
            return;
        }
        for judged in &page.records {
            show.line("record", &record(judged).map(|record| text(&record)).unwrap_or_default());
        }
        for invalid in &invalid {
            show.line("not valid", invalid);
        }
        let end = match (&page.next, page.evidence) {
            (Some(next), _) => format!("the next page starts at --cursor '{}'", next.as_str()),
            (None, evidence) => format!("last page; evidence: {}", evidence.unwrap_or("none")),
        };
        show.line(
            "connector",
            &match &page.total {
                Some(total) => format!("{count} of {}; {end}", counted(*total, "record", "records")),
                None => format!("{}; {end}", counted(count, "record", "records")),
            },
        );
        show.line("daemon", says);
    }

    pub(super) fn end(self) {
        if self.show.global.json {
            self.show.json("list", json!({ "resource_type": self.slug, "pages": self.told }));
        }
    }
}

/// The name of the identifier by which a record is the account.
fn taken_by(account: &Account, record: &AccountRecord) -> Option<&'static str> {
    let same = |mine: &Option<String>, theirs: &Option<String>| matches!((mine, theirs), (Some(mine), Some(theirs)) if is_same_name(mine, theirs));
    if !account.is_same_as(record) {
        return None;
    }
    Some(match &account.id {
        Some(_) => "id",
        None if same(&account.username, &record.username) => "user name",
        None => "email address",
    })
}

fn text(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
