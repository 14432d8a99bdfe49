//! The meaning of a response: success, or an error.

use std::collections::BTreeSet;

use bridgehead_sdk::{Code, Effect, Error, Retry, SettingsError, Subject};

use crate::reply::Reply;
use crate::settings::{ErrorSettings, ExpectSettings, RetrySettings, Statuses};
use crate::signs;
use crate::template::{Expression, Members, Scope, Text, Vars};

/// Which responses count as success.
#[derive(Debug)]
pub(crate) struct Expect {
    statuses: Option<BTreeSet<u16>>,
    when: Option<Expression>,
}

/// What a particular response means.
#[derive(Debug)]
pub(crate) struct Rule {
    statuses: Option<BTreeSet<u16>>,
    when: Option<Expression>,
    code: Code,
    effect: Option<Effect>,
    retry: Option<RetrySettings>,
    subject: Option<Subject>,
    message: Option<Text>,
}

/// What a request is about, which decides what an unexpected status usually means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum About {
    /// The account of a task: 404 means that it does not exist.
    Account,
    /// An account to create: 404 cannot be about it.
    New {
        /// Whether the request replaces a record that may exist (PUT): an unexpected success means that the account existed.
        replaces: bool,
    },
    /// A group or a license of an account: 404 may mean either, and must not be taken for a missing account.
    Item,
    /// The target as a whole: 404 means that the configuration requests something that does not exist.
    Target,
}

/// The variables of a message: what identifies the account, the item and the target, and nothing that may contain a secret.
fn message_scope() -> Scope {
    let who = ["id", "username", "email", "first_name", "last_name", "display_name", "label"];
    Scope::default()
        .with("account", Members::of(who))
        .with("current", Members::of(who))
        .any("item")
        .any("ref")
        .any("system")
        .any("status")
}

impl Expect {
    /// Accepts any 2xx status.
    pub(crate) fn success() -> Self {
        Self { statuses: None, when: None }
    }

    pub(crate) fn new(
        key: &str,
        settings: Option<&ExpectSettings>,
        scope: &Scope,
    ) -> Result<Self, SettingsError> {
        let Some(ExpectSettings { status, when }) = settings else {
            return Ok(Self::success());
        };
        let when =
            when.as_deref().map(|when| Expression::new(&format!("{key}.when"), when, scope)).transpose()?;
        Ok(Self { statuses: status.as_ref().map(|statuses| statuses.0.clone()), when })
    }

    fn has(&self, status: u16) -> bool {
        self.statuses.as_ref().map_or((200..300).contains(&status), |statuses| statuses.contains(&status))
    }

    /// Whether the configuration reads success from the response's content.
    pub(crate) fn reads_the_answer(&self) -> bool {
        self.when.is_some()
    }

    /// Whether a status is listed explicitly.
    pub(crate) fn names(&self, status: u16) -> bool {
        self.statuses.as_ref().is_some_and(|statuses| statuses.contains(&status))
    }

    /// The first of these statuses that is expected.
    pub(crate) fn has_any_of(&self, statuses: &BTreeSet<u16>) -> Option<u16> {
        statuses.iter().copied().find(|status| self.has(*status))
    }
}

impl Rule {
    /// Checks the entries of an `errors` table, of one request or of all; no entry may follow one that always matches first.
    pub(crate) fn all(
        key: &str,
        settings: &[ErrorSettings],
        expect: Option<&Expect>,
        scope: &Scope,
    ) -> Result<Vec<Self>, SettingsError> {
        let mut rules: Vec<Self> = Vec::new();
        for (at, entry) in settings.iter().enumerate() {
            let key = format!("{key}.{at}");
            let error = |name: &str, message: String| SettingsError::new(format!("{key}{name}"), message);
            let statuses = entry.status.as_ref().map(|Statuses(statuses)| statuses.clone());
            if entry.status.is_none() && entry.when.is_none() {
                return Err(error(
                    "",
                    "must have status or when, otherwise it would match every response".to_owned(),
                ));
            }
            if entry.when.is_none()
                && let Some(status) =
                    expect.zip(statuses.as_ref()).and_then(|(expect, statuses)| expect.has_any_of(statuses))
            {
                return Err(error(
                    ".status",
                    format!(
                        "{status} is an expected status and cannot also be an error; add `when`, or set \
                         `expect`"
                    ),
                ));
            }
            for (before, earlier) in settings[..at].iter().enumerate() {
                let covers = match (&earlier.status, &entry.status) {
                    (None, _) => true,
                    (Some(Statuses(earlier)), Some(Statuses(statuses))) => statuses.is_subset(earlier),
                    (Some(_), None) => false,
                };
                if covers && (earlier.when.is_none() || earlier.when == entry.when) {
                    return Err(error(
                        "",
                        format!(
                            "is never reached: entry {before} matches every response that it would match"
                        ),
                    ));
                }
            }
            let when = entry.when.as_deref().map(|when| Expression::new(&format!("{key}.when"), when, scope));
            let message = entry
                .message
                .as_deref()
                .map(|text| Text::new(&format!("{key}.message"), text, &message_scope()));
            rules.push(Self {
                statuses,
                when: when.transpose()?,
                code: entry.code,
                effect: entry.effect,
                retry: entry.retry,
                subject: entry.subject,
                message: message.transpose()?,
            });
        }
        Ok(rules)
    }

    fn fits(&self, reply: &Reply, vars: &Vars) -> bool {
        self.statuses.as_ref().is_none_or(|statuses| statuses.contains(&reply.status()))
            // A condition that cannot be evaluated does not match: the response has a different shape.
            && self.when.as_ref().is_none_or(|when| when.truth(&reply.vars(vars)).unwrap_or(false))
    }

    fn error(&self, reply: &Reply, vars: &Vars, what: &str) -> Error {
        let (system, status) = (reply.system(), reply.status());
        let usual = || format!("{what}: {system} answered {status}{}", meaning(self.code, self.subject));
        let told = vars.with("system", system).with("status", status);
        let message = self.message.as_ref().and_then(|message| message.write(&told).ok());
        let mut error = Error::new(self.code, message.unwrap_or_else(usual));
        if let Some(effect) = self.effect {
            error = error.with_effect(effect);
        } else if (400..500).contains(&status) {
            error = error.with_effect(Effect::NotApplied);
        }
        if let Some(subject) = self.subject {
            error = error.with_subject(subject);
        }
        let retry = match self.retry {
            Some(RetrySettings::Never) => Retry::Never,
            Some(RetrySettings::Backoff) => Retry::Backoff,
            None => error.retry(),
        };
        match (retry, reply.retry_after()) {
            (Retry::Backoff, Some(after)) => error.with_retry(Retry::After(after)),
            (retry, _) => error.with_retry(retry),
        }
    }
}

fn meaning(code: Code, subject: Option<Subject>) -> &'static str {
    match (code, subject) {
        (_, Some(Subject::Group)) => ", which concerns a group",
        (Code::AccountNotFound, _) => ", which means that the account does not exist",
        (Code::AccountAlreadyExists, _) => ", which means that the account already exists",
        (Code::LicenseExhausted, _) => ", which means that no seat is free",
        (Code::PermissionDenied, _) => ", which means that the connector lacks permission",
        (Code::RateLimited, _) => ", which means rate limited",
        (Code::Timeout, _) => ", which means that the operation timed out",
        (Code::InternalError, _) => "",
    }
}

/// The error for a success whose body reports a problem.
pub(crate) fn in_spite_of_success(what: &str, reply: &Reply, sign: &str) -> Error {
    let message = format!(
        "{what}: {} returned {} with {sign}, so the change may not have been made; define a success with \
         `expect.when` of the step",
        reply.system(),
        reply.status()
    );
    Error::internal(message).with_effect(Effect::Unknown).with_retry(Retry::Backoff)
}

/// Distinguishes success from failure, by the rules of the request, then by those of all requests. `what` begins the message, such as "User
/// ann cannot be created".
pub(crate) fn judge(
    expect: &Expect,
    (rules, common): (&[Rule], &[Rule]),
    reply: &Reply,
    vars: &Vars,
    what: &str,
    about: About,
) -> Result<(), Error> {
    let common = common.iter().filter(|_| !expect.names(reply.status()));
    if let Some(rule) = rules.iter().chain(common).find(|rule| rule.fits(reply, vars)) {
        return Err(rule.error(reply, vars, what));
    }
    let (system, status) = (reply.system(), reply.status());
    if status == 202 && !expect.names(202) {
        let message = format!(
            "{what}: {system} returned 202, which means that the change is accepted but not completed; add \
             202 to expect.status if it completes immediately"
        );
        return Err(Error::internal(message).with_effect(Effect::Unknown).with_retry(Retry::Backoff));
    }
    if status == 207 && !expect.names(207) {
        let message = format!(
            "{what}: {system} returned 207, which means that each part has its own status; add 207 to \
             expect.status, and require with expect.when that no part failed"
        );
        return Err(Error::internal(message).with_effect(Effect::Unknown).with_retry(Retry::Backoff));
    }
    if expect.has(status) {
        let Some(when) = &expect.when else { return Ok(()) };
        return match when.truth(&reply.vars(vars)) {
            Ok(true) => Ok(()),
            // It may have been executed, in part or completely: the status says success.
            Ok(false) => Err(Error::new(
                Code::InternalError,
                format!("{what}: {system} returned {status}, but '{}' is not true", when.key()),
            )),
            Err(fault) => Err(reply.fault(what, &fault)),
        };
    }
    if let (200..300, About::New { .. }, Some(sign)) = (status, about, signs::fault_of_change(reply)) {
        return Err(in_spite_of_success(what, reply, &sign));
    }
    Err(match (status, about) {
        // An existing account has been replaced.
        (200..300, About::New { replaces: true }) => Error::account_already_exists(format!(
            "{what}: {system} returned {status} instead of a new account, which means that the account \
             already existed; add {status} to expect.status to take over such accounts"
        ))
        .with_effect(Effect::Unknown),
        (200..300, _) => Error::new(
            Code::InternalError,
            format!("{what}: {system} returned {status}, which the configuration does not expect"),
        ),
        (404 | 410, About::Item) => Error::group_not_found(format!(
            "{what}: {system} returned {status}: the account, or the object to add it to or remove it from, \
             does not exist"
        )),
        (409, About::Item) => {
            Error::internal(format!("{what}: {system} answered {status}")).with_subject(Subject::Group)
        }
        (404 | 410, About::New { .. } | About::Target) | (409, About::Target) => Error::internal(format!(
            "{what}: {system} returned {status}; check base_url and the path of the request"
        )),
        _ => reply.refusal(what),
    })
}
