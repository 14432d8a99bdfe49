//! Converts refusals of a SCIM server to errors of the SDK.

use bridgehead_sdk::http::Answer;
use bridgehead_sdk::{Effect, Error, Retry, Subject, fault_beside_records};

use crate::wire::{Fields, ScimError};

/// The kind of request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// One page of a listing.
    List,
    /// One resource, a search for one, or the server's features.
    Read,
    Create,
    Change,
    Delete,
    /// Changing the members of a group.
    Members,
}

impl Asked {
    fn is_reading(self) -> bool {
        matches!(self, Self::List | Self::Read)
    }
}

/// The error for a status other than success. `what` begins the message: "User ann cannot be created". Only a keyword from the fixed
/// vocabulary is included from the body.
pub(crate) fn refused(answer: &Answer, what: &str, asked: Asked) -> Error {
    let status = answer.status().as_u16();
    let said = ScimError::read(answer);
    let told = |more: &str| {
        let keyword = said.kind.zip(said.meaning());
        let keyword = keyword.map(|(kind, meaning)| format!(" ({kind}: {meaning})")).unwrap_or_default();
        format!("{what}: {} answered {status}{keyword}{more}", answer.system())
    };
    let error = match (status, said.kind) {
        (400 | 409, Some("uniqueness")) if matches!(asked, Asked::Create | Asked::Change) => {
            Error::account_already_exists(told(""))
        }
        (409, None) if asked == Asked::Create => Error::account_already_exists(told("")),
        // RFC 7644, section 3.12: a 409 can also mean a version conflict.
        (409, _) => Error::internal(told(", which means that another client has just changed it"))
            .with_retry(Retry::Backoff),
        (412, _) => Error::internal(told(
            ", which means that another client has just changed it; if this happens every time, set \
             capabilities.etag = false",
        ))
        .with_retry(Retry::Backoff),
        (400, Some("tooMany")) if asked == Asked::List => {
            Error::incomplete_listing(told("; set a smaller page_size, or raise the limit there"))
        }
        (400, Some("invalidCursor" | "expiredCursor" | "invalidCount")) if asked == Asked::List => {
            Error::incomplete_listing(told(", so the listing cannot continue; the next sync starts over"))
        }
        (400, Some("invalidFilter")) => {
            Error::internal(told("; set lookup = \"list\" if it does not support such filters"))
        }
        (400, _) => Error::internal(told("")),
        (404 | 410, _) if asked == Asked::Create => wrong_address(answer.system(), "POST"),
        (428, _) => Error::internal(told(
            ", which means that it only accepts changes with a version; set capabilities.etag = true",
        )),
        (405 | 501, _) if matches!(asked, Asked::Change | Asked::Members) => {
            let hint = ", which means that it does not support this; set capabilities.patch = false if it \
                        does not support PATCH";
            Error::internal(told(hint))
        }
        (405 | 501, _) => Error::internal(told(", which means that it does not support this")),
        _ => answer.refusal(what),
    };
    place(error, asked)
}

/// A change that was accepted but not completed (202), or whose parts each have their own status (207). Only reading back shows the result.
pub(crate) fn not_yet(answer: &Answer, what: &str) -> Option<Error> {
    let meaning = match answer.status().as_u16() {
        202 => "202, which means that the change is accepted but not completed",
        207 => "207, which means that each part has its own status",
        _ => return None,
    };
    let message = format!("{what}: {} answered {meaning}", answer.system());
    Some(Error::internal(message).with_effect(Effect::Unknown).with_retry(Retry::Backoff))
}

/// An error with a success status, or a response that is not SCIM: a proxy may have responded, for example with a login page.
pub(crate) fn in_spite_of_success(answer: &Answer, what: &str) -> Option<Error> {
    let body = answer.body().trim_ascii();
    if body.is_empty() {
        return None;
    }
    let fault = match answer.json::<Fields>() {
        Ok(body) if ScimError::of(&body).is_scim => "a SCIM error".to_owned(),
        // Nothing else shows whether a password was set.
        Ok(body) => format!("{}, which reports a failure", fault_beside_records(&body)?),
        Err(_) => "something other than SCIM".to_owned(),
    };
    let message =
        format!("{what}: {} returned {} and included {fault}", answer.system(), answer.status().as_u16());
    Some(Error::internal(message).with_effect(Effect::Unknown).with_retry(Retry::Backoff))
}

/// Adjusts the subject and effect of an error to the kind of request.
pub(crate) fn place(error: Error, asked: Asked) -> Error {
    let error = match (asked, error.subject()) {
        (Asked::Members, Subject::Account) => error.with_subject(Subject::Group),
        _ => error,
    };
    // Reading changes nothing, whether it succeeds or not.
    if asked.is_reading() { error.with_effect(Effect::NotApplied) } else { error }
}

/// There is no SCIM endpoint at the configured address; every request fails in the same way.
pub(crate) fn wrong_address(system: &str, what: &str) -> Error {
    let message =
        format!("{system} has no SCIM endpoint for {what} at the configured address (404); check target.url");
    Error::internal(message).with_retry(Retry::Backoff).with_subject(Subject::Connection)
}

/// An error after something was already changed: the effect of the operation as a whole is unknown.
pub(crate) fn half_done(error: Error) -> Error {
    error.with_effect(Effect::Unknown)
}
