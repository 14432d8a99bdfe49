//! Converts a server's responses to errors for the runtime and administrators: code, effect, retry, subject.

use std::time::Duration;

use bridgehead_sdk::{Effect, Error, Redactor, Retry, Subject};

use crate::failure::{Failure, Refusal};
use crate::settings::Profile;

/// The source of an error: the name and the address of the target.
#[derive(Clone, Debug)]
pub(crate) struct Reporter {
    pub(crate) system: String,
    pub(crate) url: String,
    pub(crate) bind_dn: String,
    pub(crate) profile: Profile,
    pub(crate) redactor: Redactor,
}

/// What the failed request was about.
#[derive(Clone, Copy, Debug)]
pub(crate) enum About<'a> {
    /// Reading, which changes nothing.
    Reading(&'a str),
    /// Changing an account, with its label.
    Account(&'a str),
    /// Changing the members of a group or license, with its name and its kind.
    Group(&'a str, Subject),
}

impl About<'_> {
    fn changes(self) -> bool {
        !matches!(self, Self::Reading(_))
    }

    fn subject(self) -> Subject {
        if let Self::Group(_, subject) = self { subject } else { Subject::Account }
    }
}

impl std::fmt::Display for About<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Reading(what) => write!(f, "reading {what}"),
            Self::Account(label) => write!(f, "changing User {label}"),
            Self::Group(name, _) => write!(f, "changing the members of {name}"),
        }
    }
}

impl Reporter {
    /// Converts a failure to an error.
    pub(crate) fn report(&self, failure: Failure, about: About<'_>) -> Error {
        let error = self.judge(&failure, about);
        let message = self.redactor.redact(error.message()).into_owned();
        Error::new(error.code(), message)
            .with_effect(error.effect())
            .with_retry(error.retry())
            .with_subject(error.subject())
            .with_source(failure)
    }

    fn judge(&self, failure: &Failure, about: About<'_>) -> Error {
        let (system, url) = (&self.system, &self.url);
        match failure {
            Failure::Unreachable(why) => Error::unreachable(format!(
                "{system} is unreachable at {url}: {why}; check the url, the network, and whether the \
                 server is running"
            )),
            Failure::Tls(why) => Error::internal(format!(
                "{system} at {url}: TLS failed: {why}; check the server's certificate, and whether \
                 network.ca_file contains its CA"
            ))
            .with_retry(Retry::Backoff)
            .with_subject(Subject::Connection),
            Failure::Bind(refusal) => self.bind(refusal),
            Failure::Incomplete(why) => Error::internal(format!("{system} at {url} is incomplete: {why}"))
                .with_retry(Retry::Backoff)
                .with_subject(Subject::Connection),
            Failure::Restricted(refusal) => self.restricted(refusal),
            Failure::Reference(address) => Error::internal(format!(
                "{system} at {url} refers to {address} for a part of the directory while {about}, so the \
                 entries there are unknown. If this server should reach that one, fix the connection; if \
                 you do not need that part, add it to ignore_references"
            ))
            // Accounts that are found by an identifier can be changed in the meantime.
            .with_retry(Retry::Backoff),
            Failure::NotSent => Error::unreachable(format!(
                "{system} at {url} closed the connection before the request for {about} was sent"
            )),
            Failure::Cut if about.changes() => Error::timeout(format!(
                "{system} at {url} dropped the connection while {about}; the result is unknown"
            ))
            .with_subject(Subject::Connection),
            Failure::Cut => {
                Error::unreachable(format!("{system} at {url} dropped the connection while {about}"))
            }
            Failure::Silent => {
                let effect = if about.changes() { Effect::Unknown } else { Effect::NotApplied };
                let message =
                    format!("{system} at {url} did not respond in time while {about} (request_timeout)");
                Error::timeout(message).with_effect(effect)
            }
            Failure::Garbled(what) => {
                let effect = if about.changes() { Effect::Unknown } else { Effect::NotApplied };
                let message = format!(
                    "{system} at {url} responded with {what} while {about}; is it an LDAP \
                                       server?"
                );
                Error::internal(message).with_effect(effect)
            }
            Failure::Refused(refusal) => self.refused(refusal, about),
        }
    }

    fn bind(&self, refusal: &Refusal) -> Error {
        let Self { system, url, bind_dn, .. } = self;
        let said = format!("{system} at {url} rejected the bind as {bind_dn}: {refusal}");
        match refusal.code {
            8 | 13 => {
                Error::internal(format!("{said}; encrypt the connection: ldaps://, or start_tls = true"))
                    .with_retry(Retry::Backoff)
                    .with_subject(Subject::Connection)
            }
            49 => Error::credential_refused(format!("{said}; {}", why_invalid(&refusal.text))),
            7 | 48 => Error::credential_refused(format!(
                "{said}; check bind: does the server support this method, and with \"external\", does it \
                 request client_certificate?"
            )),
            _ => Error::credential_refused(format!("{said}; check bind_dn and bind_password")),
        }
    }

    fn refused(&self, refusal: &Refusal, about: About<'_>) -> Error {
        let system = &self.system;
        let said = format!("{system}: {refusal} while {about}");
        let with = |hint: &str| format!("{said}; {hint}");
        let connection = |hint: &str| {
            Error::internal(with(hint)).with_retry(Retry::Backoff).with_subject(Subject::Connection)
        };
        let error = match refusal.code {
            3 => {
                let effect = if about.changes() { Effect::Unknown } else { Effect::NotApplied };
                Error::timeout(with("an index on the searched attributes helps")).with_effect(effect)
            }
            4 | 11 => Error::internal(with(self.limit_hint())),
            8 | 13 => connection("encrypt the connection: ldaps://, or start_tls = true"),
            10 => connection("the entries are on another server; point url at a writable server"),
            12 => connection("the server does not support what the connector needs; check the profile"),
            16 if about.changes() => {
                // The value to replace no longer exists: another client has changed the entry in the meantime.
                Error::internal(with("the entry was changed at the same time")).with_retry(Retry::Backoff)
            }
            17 if about.changes() => Error::internal(with(match self.profile {
                Profile::OpenLdap => {
                    "an attribute of the settings is not in the server's schema (pwdAccountLockedTime comes with the \
                     overlay ppolicy)"
                }
                _ => "an attribute of the settings is not in the server's schema",
            })),
            19 if about.changes() => Error::internal(with("a value violates a rule of the server")),
            21 => Error::internal(with("a value does not match its attribute's syntax")),
            32 => connection(
                "an entry named in the settings does not exist, or bind_dn is not allowed to \
                              see it",
            ),
            49 => Error::credential_refused(said),
            50 => Error::permission_denied(with(&format!("grant {} permission to do this", self.bind_dn))),
            51 => Error::rate_limited(said),
            52 => Error::unreachable(said),
            65 => Error::internal(with(
                "an object class requires or forbids an attribute; see create.object_classes and \
                 create.attributes",
            )),
            67 => Error::internal(with("the attribute names the entry; see create.rdn")),
            68 => Error::account_already_exists(said),
            1 | 80 => {
                let effect = if about.changes() { Effect::Unknown } else { Effect::NotApplied };
                Error::internal(said).with_effect(effect)
            }
            _ => Error::internal(said),
        };
        // A read-only request cannot break a rule: the server currently shows nothing, or nothing to bridgehead.
        if !about.changes() && matches!(refusal.code, 1 | 50 | 53 | 80) {
            return self.restricted(refusal);
        }
        if error.subject() == Subject::Account { error.with_subject(about.subject()) } else { error }
    }

    fn limit_hint(&self) -> &'static str {
        match self.profile {
            Profile::OpenLdap => {
                "raise the limits of bind_dn: `limits dn.exact=\"…\" size=unlimited size.pr=unlimited size.prtotal=unlimited \
                 time=unlimited` (if it is the page size that is refused, page_size may be lowered to size.pr instead)"
            }
            Profile::Ds389 => {
                "raise nsSizeLimit, nsLookThroughLimit and nsPagedSizeLimit of the entry of bind_dn (-1 for none)"
            }
            Profile::ActiveDirectory => {
                "lower page_size to MaxPageSize of the domain's query policy, or raise the limit there"
            }
        }
    }

    /// The server accepts the bind, but refuses to show anything.
    pub(crate) fn restricted(&self, refusal: &Refusal) -> Error {
        let Self { system, url, bind_dn, .. } = self;
        Error::internal(format!(
            "{system} at {url} shows nothing to {bind_dn}: {refusal}; that account must change its password \
             first, or lacks read permission, or the database is disabled"
        ))
        .with_retry(Retry::Backoff)
        .with_subject(Subject::Connection)
    }

    /// The server accepts changes from no client.
    pub(crate) fn read_only(&self, refusal: &Refusal) -> Error {
        let Self { system, url, .. } = self;
        Error::internal(format!(
            "{system} at {url} does not accept changes at the moment: {refusal}; it is read-only, or a \
             replica: change that, or point url at a writable server"
        ))
        .with_retry(Retry::Backoff)
        .with_subject(Subject::Connection)
    }

    /// A setting that does not match the directory; the message begins with its key.
    pub(crate) fn wrong(&self, message: impl std::fmt::Display) -> Error {
        Error::internal(format!("{}: {message}", self.system))
            .with_retry(Retry::Backoff)
            .with_subject(Subject::Connection)
    }

    /// The server's schema does not contain the attribute.
    pub(crate) fn unknown_attribute(&self, key: &str, attribute: &str, nearest: Option<String>) -> Error {
        let hint = nearest.map_or_else(String::new, |nearest| format!("; did you mean '{nearest}'?"));
        self.wrong(format!("{key}: the server does not know the attribute '{attribute}'{hint}"))
    }

    /// The server in use cannot be trusted yet.
    pub(crate) fn unsettled(&self, rest: Duration) -> Error {
        Error::internal(format!(
            "{}: another server took over a moment ago, and may not have received the latest changes yet; \
             waiting {}s (failover_wait)",
            self.system,
            rest.as_secs().max(1)
        ))
        .with_retry(Retry::After(rest))
    }

    /// The base named in the settings does not exist. This does not mean that an account is missing.
    pub(crate) fn base_missing(&self, base: &str, key: &str, refusal: Option<&Refusal>) -> Error {
        let matched = refusal.map(|refusal| refusal.matched.as_str()).filter(|matched| !matched.is_empty());
        let matched = matched.map_or_else(String::new, |matched| format!(" (only {matched} exists)"));
        Error::internal(format!(
            "{}: {base} is not in the directory{matched}, or {} is not allowed to see it; correct {key}",
            self.system, self.bind_dn
        ))
        .with_retry(Retry::Backoff)
        .with_subject(Subject::Connection)
    }

    /// The account does not exist in the directory.
    pub(crate) fn account_not_found(&self, label: &str) -> Error {
        Error::account_not_found(format!("User {label} not found in {}", self.system))
    }
}

/// What Active Directory means by invalid credentials, from the number in its message.
fn why_invalid(text: &str) -> &'static str {
    let data = text.split("data ").nth(1).and_then(|rest| rest.split([',', ' ']).next());
    match data {
        Some("525") => "unknown user; check bind_dn",
        Some("530") => "the account is not allowed to log in at this time",
        Some("531") => "the account is not allowed to log in from this machine",
        Some("532") => "the password has expired; set a password that does not expire",
        Some("533") => "the account is disabled",
        Some("701") => "the account has expired",
        Some("773") => "the account must change its password first",
        Some("775") => "the account is locked after failed login attempts",
        _ => "check bind_dn and bind_password",
    }
}

#[cfg(test)]
mod tests {
    use bridgehead_sdk::Code;

    use super::*;
    use crate::failure::code_name;

    fn reporter() -> Reporter {
        Reporter {
            system: "acme-ldap".to_owned(),
            url: "ldaps://ldap.example.com".to_owned(),
            bind_dn: "cn=bridgehead,dc=test".to_owned(),
            profile: Profile::OpenLdap,
            redactor: Redactor::new(),
        }
    }

    fn refusal(code: u32) -> Refusal {
        Refusal { code, matched: String::new(), text: String::new() }
    }

    fn of_code(code: u32, about: About<'_>) -> (Code, Effect, Retry, Subject) {
        let error = reporter().report(Failure::Refused(refusal(code)), about);
        (error.code(), error.effect(), error.retry(), error.subject())
    }

    #[test]
    fn every_result_code_maps_to_its_error() {
        use Effect::{NotApplied, Unknown};
        use Retry::{Backoff, Never};
        use Subject::{Account, Connection};
        let expected = [
            (1, Code::InternalError, Unknown, Never, Account),
            (2, Code::InternalError, NotApplied, Never, Account),
            (3, Code::Timeout, Unknown, Backoff, Account),
            (4, Code::InternalError, NotApplied, Never, Account),
            (8, Code::InternalError, NotApplied, Backoff, Connection),
            (10, Code::InternalError, NotApplied, Backoff, Connection),
            (11, Code::InternalError, NotApplied, Never, Account),
            (12, Code::InternalError, NotApplied, Backoff, Connection),
            (13, Code::InternalError, NotApplied, Backoff, Connection),
            (16, Code::InternalError, NotApplied, Backoff, Account),
            (17, Code::InternalError, NotApplied, Never, Account),
            (19, Code::InternalError, NotApplied, Never, Account),
            (20, Code::InternalError, NotApplied, Never, Account),
            (21, Code::InternalError, NotApplied, Never, Account),
            (32, Code::InternalError, NotApplied, Backoff, Connection),
            (49, Code::PermissionDenied, NotApplied, Backoff, Connection),
            (50, Code::PermissionDenied, NotApplied, Never, Account),
            (51, Code::RateLimited, NotApplied, Backoff, Account),
            (52, Code::Timeout, NotApplied, Backoff, Connection),
            (53, Code::InternalError, NotApplied, Never, Account),
            (64, Code::InternalError, NotApplied, Never, Account),
            (65, Code::InternalError, NotApplied, Never, Account),
            (67, Code::InternalError, NotApplied, Never, Account),
            (68, Code::AccountAlreadyExists, NotApplied, Never, Account),
            (71, Code::InternalError, NotApplied, Never, Account),
            (80, Code::InternalError, Unknown, Never, Account),
        ];
        for (code, standard, effect, retry, subject) in expected {
            let parts = of_code(code, About::Account("ann"));
            assert_eq!(parts, (standard, effect, retry, subject), "{code} {}", code_name(code));
        }
    }

    #[test]
    fn failed_read_is_not_applied() {
        for code in 1..=90 {
            assert_eq!(of_code(code, About::Reading("accounts")).1, Effect::NotApplied, "{code}");
        }
        for failure in [Failure::Cut, Failure::Silent, Failure::Garbled("x")] {
            let error = reporter().report(failure, About::Reading("accounts"));
            assert_eq!(error.effect(), Effect::NotApplied);
        }
    }

    #[test]
    fn change_without_response_has_unknown_effect() {
        for failure in [Failure::Cut, Failure::Silent, Failure::Garbled("x")] {
            let error = reporter().report(failure, About::Account("ann"));
            assert_eq!(error.effect(), Effect::Unknown);
        }
        for failure in [Failure::NotSent, Failure::Unreachable("x".into()), Failure::Tls("x".into())] {
            let error = reporter().report(failure, About::Account("ann"));
            assert_eq!((error.effect(), error.subject()), (Effect::NotApplied, Subject::Connection));
        }
    }

    #[test]
    fn refused_read_is_a_connection_error() {
        for code in [1, 50, 53, 80] {
            let parts = of_code(code, About::Reading("accounts"));
            assert_eq!((parts.2, parts.3), (Retry::Backoff, Subject::Connection), "{code}");
        }
        for failure in [Failure::Incomplete("x"), Failure::Restricted(refusal(50))] {
            let error = reporter().report(failure, About::Account("ann"));
            assert_eq!((error.effect(), error.subject()), (Effect::NotApplied, Subject::Connection));
        }
    }

    #[test]
    fn missing_right_on_a_group_is_a_group_error() {
        assert_eq!(of_code(50, About::Group("sales", Subject::Group)).3, Subject::Group);
    }

    #[test]
    fn refused_bind_is_a_connection_error_with_a_reason() {
        for code in [8, 13, 32, 48, 49, 53] {
            let error = reporter().report(Failure::Bind(refusal(code)), About::Account("ann"));
            assert_eq!((error.subject(), error.effect()), (Subject::Connection, Effect::NotApplied));
        }
        let text = "80090308: LdapErr: DSID-0C09044E, comment: AcceptSecurityContext error, data 533, v4563";
        let error = reporter().report(
            Failure::Bind(Refusal { text: text.to_owned(), ..refusal(49) }),
            About::Reading("accounts"),
        );
        assert!(error.message().ends_with("the account is disabled"), "{}", error.message());
    }
}
