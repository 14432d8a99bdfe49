//! What to do about each error: the facts of the Error Reference and its troubleshooting section.

use super::{Error, Operation};

/// What to do about an error, for whoever has to act.
pub(super) fn of(error: &Error) -> &'static str {
    let operation = error.call().operation();
    match error {
        Error::Invalid { .. } => "Correct what is named.",
        Error::BadRequest { .. } => bad_request(operation),
        Error::Unauthorized { .. } => {
            "Check that the API key is complete, has neither expired nor been revoked, and that bridge.base_url names \
             your organisation. A new key in a file is picked up by itself; one in an environment \
             variable or a systemd credential takes a restart."
        }
        Error::Forbidden { .. } => {
            "The API key is valid, but not for this app. Use the key the app was created with, or have access granted; \
             `bridgehead apps list` shows the apps that this key can reach."
        }
        Error::NotFound { from_bridge: false, .. } => {
            "Check bridge.base_url: something other than the Bridge may have answered, such as a proxy or a load \
             balancer."
        }
        Error::NotFound { .. } => not_found(operation),
        Error::Conflict { .. } => conflict(operation),
        Error::Unprocessable { .. } if operation == Operation::Push => {
            "Correct the record that is named; it refuses its whole page. A slug in memberships or assignments must be \
             a registered resource type, and groups and licences must be pushed, with their names, before the accounts \
             that refer to them."
        }
        Error::Unprocessable { .. } => "Correct what is named, and try again.",
        Error::RateLimited { .. } => {
            "Nothing: calls wait until the Bridge takes them again. If it happens often, lower bridge.rate_limit or \
             raise the intervals."
        }
        Error::Server { .. } => {
            "The fault is at Iden's end, or in something before it. If it lasts, tell Iden the time and the call."
        }
        Error::Unexpected { status: 300..=399, .. } => {
            "Check bridge.base_url: it must be the address of the API itself. Redirects are not followed, because the \
             API key must not go to another address."
        }
        Error::Unexpected { .. } => {
            "Check bridge.base_url, and what stands between this host and the Bridge: the answer is probably not the \
             Bridge's own."
        }
        Error::NotSent { .. } => {
            "Check name resolution, firewall, proxy and certificates between this host and bridge.base_url."
        }
        Error::NoAnswer { .. } => {
            "Check the network between this host and the Bridge; if answers are slow, raise bridge.request_timeout."
        }
        Error::BodyTooLarge { .. } | Error::TooManyValues { .. } => {
            "Check bridge.base_url, and what stands between this host and the Bridge: no answer of the Bridge is that \
             large."
        }
        Error::Malformed { .. } => {
            "Check bridge.base_url, and whether a proxy or a login page answers in the Bridge's place."
        }
        Error::ForeignLink { .. } => {
            "Set bridge.base_url to exactly the address, scheme included, under which the Bridge links to itself."
        }
        Error::LinkLoop { .. } => "The fault is at Iden's end. Tell Iden the time and the call.",
        Error::Key { .. } => {
            "Correct bridge.api_key, or the place it is read from; it is read again at the next call."
        }
    }
}

fn bad_request(operation: Operation) -> &'static str {
    match operation {
        Operation::Push => {
            "Correct the field that is named; one bad record refuses its whole page, and a page has at most 100. If the \
             session was completed or abandoned, start a new sync."
        }
        Operation::Complete | Operation::Abandon => {
            "The session is over already, or was replaced by a newer one. Run one sync process per app, and start a \
             new sync."
        }
        Operation::CreateApp => "Give the app a name of 1 to 255 characters.",
        Operation::Report => {
            "The outcome is kept. Look at what is named, then have it sent again with `bridgehead tasks retry`."
        }
        _ => "Correct what is named, and try again.",
    }
}

fn not_found(operation: Operation) -> &'static str {
    match operation {
        Operation::CreateApp => {
            "Check the id of the app to clone from; `bridgehead apps list` shows the apps that this key can reach."
        }
        Operation::ListApps => "Check bridge.base_url: it must name your organisation.",
        Operation::Push | Operation::Progress | Operation::Complete | Operation::Abandon => {
            "Start a new sync. If that fails too, check app_id, and register the resource types."
        }
        Operation::RenameResourceType => "Check app_id and the slug; register the resource type first.",
        Operation::ReadTask | Operation::Report => {
            "Nothing, if the task was withdrawn in Iden. Else check app_id."
        }
        _ => {
            "Check app_id and bridge.base_url; `bridgehead apps list` shows the apps that this key can reach."
        }
    }
}

fn conflict(operation: Operation) -> &'static str {
    match operation {
        Operation::ReadTask | Operation::Report => "Nothing: the task was resolved already.",
        Operation::RegisterResourceType => {
            "The slug is taken, by an earlier run or by another app of the clone group. List the resource types; if it \
             is there as another type, use another slug."
        }
        _ => "Look at what is named; the state in Iden is not what the call expects.",
    }
}
