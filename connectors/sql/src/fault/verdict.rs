//! From a fault to the error of a connector.

use bridgehead_sdk::{Action, Code, Effect, Error, Redactor, ResourceKind, Retry, Subject};

use super::kind::Meaning;
use super::{Fault, Kind, ServerMessage};
use crate::plan::Override;

/// What was being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Doing<'a> {
    /// Connecting, or asking whether all is good.
    Checking,
    /// Listing a resource type, by its slug.
    Listing(&'a str),
    /// Looking for an account.
    Finding(&'a str),
    /// Carrying out an action for an account; and whether the statement was made by another one.
    Acting { action: Action, account: &'a str, made: bool },
    /// Changing what an account is a member of.
    Joining { account: &'a str, kind: ResourceKind, slug: &'a str, reference: &'a str },
    /// Committing.
    Committing { action: Action, account: &'a str },
}

/// Turns faults into errors.
#[derive(Debug)]
pub(crate) struct Verdicts {
    /// What the target is called in messages.
    pub(crate) system: String,
    pub(crate) overrides: Vec<Override>,
    pub(crate) redactor: Redactor,
}

impl Verdicts {
    /// Whether the configuration says what it means.
    pub(crate) fn is_overridden(&self, told: &ServerMessage) -> bool {
        self.overrides.iter().any(|rule| rule.fits(told))
    }

    /// What a fault means.
    pub(crate) fn of(&self, fault: &Fault, doing: Doing<'_>) -> Error {
        let error = match fault {
            Fault::ServerMessage(told) => self.told(told, doing),
            Fault::Busy(_) => {
                let message = self.message(
                    doing,
                    &format!("{fault}; raise pool.max_connections, or lower tasks.concurrency"),
                );
                Error::timeout(message).with_effect(Effect::NotApplied)
            }
            Fault::Tls(_) | Fault::Unreachable(_) => {
                Error::unreachable(self.message(doing, &format!("the database {}", sentence(fault))))
            }
            Fault::Lost(_) | Fault::Silent => Error::unreachable(self.message(doing, &fault.to_string())),
            Fault::Unreadable(why) => {
                let message = self.message(doing, &format!("{why}; cast it to text in the statement"));
                Error::internal(message).with_retry(Retry::Backoff).with_subject(Subject::Connection)
            }
            Fault::NoTransactions => {
                let message = self.message(doing, &format!("{fault}; set pool_mode = transaction for it"));
                Error::internal(message)
                    .with_effect(Effect::NotApplied)
                    .with_retry(Retry::Backoff)
                    .with_subject(Subject::Connection)
            }
            Fault::Nul => Error::internal(self.message(doing, &format!("{fault}; nothing was changed"))),
        };
        if is_in_doubt(fault, doing) {
            let message = format!("{}; it is unknown whether it was committed", error.message());
            return Error::timeout(message).with_effect(Effect::Unknown);
        }
        if let Doing::Listing(_) = doing
            && error.retry() == Retry::Never
        {
            return Error::incomplete_listing(error.message());
        }
        error
    }

    fn told(&self, told: &ServerMessage, doing: Doing<'_>) -> Error {
        let meaning = meaning(told, doing);
        let mut why = match (told.kind, doing) {
            (Kind::ForeignKey, Doing::Joining { kind, slug, reference, .. }) => {
                format!("{} {reference} of the type {slug} does not exist", noun(kind))
            }
            _ => meaning.sentence.to_owned(),
        };
        if let Some(constraint) = &told.constraint {
            why = format!("{why} ({constraint})");
        }
        // The text of a statement that another one made may hold a password.
        let made = matches!(doing, Doing::Acting { made: true, .. });
        if meaning.quotes && !(made && told.kind == Kind::Statement) {
            why = format!("{why}: {}", told.message);
        }
        why = format!("{why} [{told}]");
        let why = self.redactor.redact(&why).into_owned();
        if let Some(rule) = self.overrides.iter().find(|rule| rule.fits(told)) {
            return rule.apply(self.message(doing, rule.message.as_deref().unwrap_or(&why)));
        }
        Error::new(meaning.code, self.message(doing, &why))
            .with_effect(Effect::NotApplied)
            .with_retry(meaning.retry)
            .with_subject(meaning.subject)
    }

    /// Who, where and why, in one sentence.
    pub(crate) fn message(&self, doing: Doing<'_>, why: &str) -> String {
        let system = &self.system;
        match doing {
            Doing::Checking => format!("{system}: {why}"),
            Doing::Listing(slug) => format!("{system}: {slug} cannot be listed: {why}"),
            Doing::Finding(account) => format!("{system}: User {account} cannot be looked up: {why}"),
            Doing::Acting { action, account, .. } | Doing::Committing { action, account } => {
                format!("{system}: {action} failed for User {account}: {why}")
            }
            Doing::Joining { account, slug, reference, .. } => {
                format!("{system}: {slug} {reference} cannot be changed for User {account}: {why}")
            }
        }
    }
}

/// A commit that is not answered may have been made. Everything else is rolled back, at the latest when the connection ends.
fn is_in_doubt(fault: &Fault, doing: Doing<'_>) -> bool {
    let Doing::Committing { .. } = doing else { return false };
    match fault {
        Fault::Lost(_) | Fault::Silent => true,
        Fault::ServerMessage(told) => {
            told.ends_connection || matches!(told.kind, Kind::InDoubt | Kind::Unavailable | Kind::Resources)
        }
        _ => false,
    }
}

/// What a kind means, where it depends on what was being done.
fn meaning(told: &ServerMessage, doing: Doing<'_>) -> Meaning {
    let usual = told.kind.meaning();
    match (told.kind, doing) {
        // A user without read permission cannot read any account.
        (Kind::Denied, Doing::Checking | Doing::Listing(_) | Doing::Finding(_)) => {
            Meaning { retry: Retry::Backoff, subject: Subject::Connection, ..usual }
        }
        // What another statement made of a name or a password says nothing of the configuration.
        (Kind::Statement, Doing::Acting { made: true, .. }) => Meaning {
            retry: Retry::Never,
            subject: Subject::Account,
            sentence: "the statement created for it is rejected",
            ..usual
        },
        // Another client did it at the same moment: the next attempt has nothing to do.
        (Kind::Unique, Doing::Joining { .. }) => Meaning {
            code: Code::InternalError,
            retry: Retry::Backoff,
            sentence: "it was added by another client at the same time",
            ..usual
        },
        (Kind::ForeignKey, Doing::Joining { kind, .. }) => Meaning { subject: subject(kind), ..usual },
        _ => usual,
    }
}

/// What an error about a group or a license is about.
pub(crate) fn subject(kind: ResourceKind) -> Subject {
    match kind {
        ResourceKind::License => Subject::License,
        ResourceKind::Group => Subject::Group,
        ResourceKind::Account => Subject::Account,
    }
}

/// What people call it.
pub(crate) fn noun(kind: ResourceKind) -> &'static str {
    match kind {
        ResourceKind::License => "license",
        ResourceKind::Group => "group",
        ResourceKind::Account => "account",
    }
}

fn sentence(fault: &Fault) -> String {
    match fault {
        Fault::Tls(why) => format!(
            "is reachable, but {fault_is}: {why}; set network.ca_file to the certificate's CA, or correct \
             host",
            fault_is = "no encrypted connection can be established"
        ),
        Fault::Unreachable(why) => format!("is unreachable: {why}; start it, or correct host and port"),
        other => other.to_string(),
    }
}

impl Override {
    fn fits(&self, told: &ServerMessage) -> bool {
        let same = |wanted: &Option<String>, found: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| found == Some(wanted))
        };
        same(&self.constraint, told.constraint.as_deref())
            && same(&self.code, Some(told.code.as_str()))
            && self.contains.as_ref().is_none_or(|part| told.message.contains(part.as_str()))
    }

    fn apply(&self, message: String) -> Error {
        let mut error = Error::new(self.report, message).with_effect(Effect::NotApplied);
        if let Some(retry) = self.retry {
            error = error.with_retry(retry);
        }
        if let Some(subject) = self.subject {
            error = error.with_subject(subject);
        }
        error
    }
}
