//! What to do about each error, from the Error Reference and its troubleshooting section.

use super::{Error, Operation};

/// What to do about an error.
pub(super) fn of(error: &Error) -> &'static str {
    let operation = error.call().operation();
    match error {
        Error::Invalid { .. } => "Fix the problem named above.",
        Error::BadRequest { .. } => bad_request(operation),
        Error::Unauthorized { .. } => {
            "Check that the API key is complete and has not expired or been revoked, and that \
             bridge.base_url names your organization. A new key in a file is picked up automatically; a new \
             key in an environment variable or a systemd credential requires a restart."
        }
        Error::Forbidden { .. } => {
            "The API key is valid, but not for this app. Use the key that created the app, or have access \
             granted; `bridgehead apps list` shows the apps that this key can access."
        }
        Error::NotFound { from_bridge: false, .. } => {
            "Check bridge.base_url: something other than the Bridge may have responded, such as a proxy or \
             a load balancer."
        }
        Error::NotFound { .. } => not_found(operation),
        Error::Conflict { .. } => conflict(operation),
        Error::Unprocessable { .. } if operation == Operation::Push => {
            "Fix the record that is named; one invalid record makes Iden reject its whole page. A slug in \
             memberships or assignments must be a registered resource type, and groups and licenses must be \
             pushed, with their names, before the accounts that refer to them."
        }
        Error::Unprocessable { .. } => "Fix the problem named above, then try again.",
        Error::RateLimited { .. } => {
            "No action needed: calls wait until the Bridge accepts them again. If this happens often, lower \
             bridge.rate_limit or lengthen the intervals."
        }
        Error::Server { .. } => {
            "The problem is on Iden's side, or in something in front of it. If it persists, contact Iden \
             support with the time and the call."
        }
        Error::Unexpected { status: 300..=399, .. } => {
            "Check bridge.base_url: it must be the address of the API itself. Redirects are not followed, \
             so that the API key is never sent to another address."
        }
        Error::Unexpected { .. } => {
            "Check bridge.base_url, and any proxy between this host and the Bridge: the response probably \
             did not come from the Bridge."
        }
        Error::NotSent { .. } => {
            "Check DNS, firewall, proxy and certificates between this host and bridge.base_url."
        }
        Error::NoAnswer { .. } => {
            "Check the network between this host and the Bridge; if responses are slow, raise \
             bridge.request_timeout."
        }
        Error::BodyTooLarge { .. } | Error::TooManyValues { .. } => {
            "Check bridge.base_url, and any proxy between this host and the Bridge: the Bridge never sends \
             a response that large."
        }
        Error::Malformed { .. } => {
            "Check bridge.base_url, and whether a proxy or a login page responds in place of the Bridge."
        }
        Error::ForeignLink { .. } => {
            "Set bridge.base_url to exactly the address, including the scheme, that the Bridge uses in its \
             own links."
        }
        Error::LinkLoop { .. } => {
            "The problem is on Iden's side. Contact Iden support with the time and \
                                   the call."
        }
        Error::Key { .. } => {
            "Fix bridge.api_key, or the place it is read from; it is read again at the next call."
        }
    }
}

fn bad_request(operation: Operation) -> &'static str {
    match operation {
        Operation::Push => {
            "Fix the field that is named; one invalid record makes Iden reject its whole page, and a page \
             has at most 100 records. If the session was completed or abandoned, start a new sync."
        }
        Operation::Complete | Operation::Abandon => {
            "The session has already ended, or a newer one replaced it. Run only one sync process per app, \
             and start a new sync."
        }
        Operation::CreateApp => "Give the app a name of 1 to 255 characters.",
        Operation::Report => {
            "The outcome is saved. Look at the reason named above, then report it again with `bridgehead \
             tasks retry`."
        }
        _ => "Fix the problem named above, then try again.",
    }
}

fn not_found(operation: Operation) -> &'static str {
    match operation {
        Operation::CreateApp => {
            "Check the id of the app to clone from; `bridgehead apps list` shows the apps that this key can \
             access."
        }
        Operation::ListApps => "Check bridge.base_url: it must name your organization.",
        Operation::Push | Operation::Progress | Operation::Complete | Operation::Abandon => {
            "Start a new sync. If that fails as well, check app_id and register the resource types."
        }
        Operation::RenameResourceType => "Check app_id and the slug; register the resource type first.",
        Operation::ReadTask | Operation::Report => {
            "No action needed if the task was withdrawn in Iden. Otherwise check app_id."
        }
        _ => {
            "Check app_id and bridge.base_url; `bridgehead apps list` shows the apps that this key can \
             access."
        }
    }
}

fn conflict(operation: Operation) -> &'static str {
    match operation {
        Operation::ReadTask | Operation::Report => "No action needed: the task was already resolved.",
        Operation::RegisterResourceType => {
            "The slug is taken, by an earlier run or by another app of the clone group. List the resource \
             types; if the slug is registered as another type, use a different slug."
        }
        _ => "Look at the reason named above; the state in Iden is not what the call expects.",
    }
}
