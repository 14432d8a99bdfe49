//! Errors of the sandbox itself.

use std::net::SocketAddr;

/// Why a sandbox could not be started, or why a request to it is invalid.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process uses the port. Choose another one.
    #[error(
        "cannot listen on {address}: another process uses that port; stop it, or choose another with --listen (port 0 takes a free one)"
    )]
    AddressInUse {
        /// The requested address.
        address: SocketAddr,
        /// The error of the operating system.
        #[source]
        source: std::io::Error,
    },
    /// The user is not allowed to listen on the port. Choose another one.
    #[error(
        "cannot listen on {address}: not permitted; ports below 1024 are for the superuser, choose a higher one with --listen"
    )]
    NotPermitted {
        /// The requested address.
        address: SocketAddr,
        /// The error of the operating system.
        #[source]
        source: std::io::Error,
    },
    /// The address does not belong to this machine, or listening failed for another reason.
    #[error("cannot listen on {address}; check that it is an address of this machine")]
    Listen {
        /// The requested address.
        address: SocketAddr,
        /// The error of the operating system.
        #[source]
        source: std::io::Error,
    },
    /// The tenant cannot be part of a path. Choose another one.
    #[error("'{0}' cannot be a tenant: use letters, digits, '-' and '_'")]
    Tenant(String),
    /// The API key cannot be part of a header. Choose another one.
    #[error("the API key cannot be used: it must be printable ASCII without spaces, and not empty")]
    ApiKey,
    /// A key with that name exists. Choose another name.
    #[error("there is a key '{0}' already; choose another name")]
    KeyExists(String),
    /// There is no key with that name. `GET /sandbox/v1/keys` lists them.
    #[error("there is no key '{0}'; GET /sandbox/v1/keys lists those there are")]
    UnknownKey(String),
    /// The path of a fault is not a valid pattern. Correct the fault.
    #[error("'{pattern}' is not a regular expression; without '^' in front it would be a glob")]
    Pattern {
        /// The pattern as given.
        pattern: String,
        /// What is wrong with it.
        #[source]
        source: regex::Error,
    },
    /// A fault requests something impossible. Correct the fault.
    #[error("this fault cannot be used: {0}")]
    Fault(String),
}
