//! What can go wrong with the sandbox itself.

use std::net::SocketAddr;

/// Why a sandbox could not be started, or was told something it cannot do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process has the port. Choose another one.
    #[error(
        "cannot listen on {address}: another process uses that port; stop it, or choose another with --listen (port 0 takes a free one)"
    )]
    AddressInUse {
        /// The address asked for.
        address: SocketAddr,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// The operating system does not let this user have the port. Choose another one.
    #[error(
        "cannot listen on {address}: not permitted; ports below 1024 are for the superuser, choose a higher one with --listen"
    )]
    NotPermitted {
        /// The address asked for.
        address: SocketAddr,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// The address is not one of this machine, or listening failed otherwise.
    #[error("cannot listen on {address}; check that it is an address of this machine")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// What the operating system said.
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
    /// There is no key of that name. `GET /sandbox/v1/keys` lists them.
    #[error("there is no key '{0}'; GET /sandbox/v1/keys lists those there are")]
    UnknownKey(String),
    /// The path of a fault is not a pattern. Correct the fault.
    #[error("'{pattern}' is not a regular expression; without '^' in front it would be a glob")]
    Pattern {
        /// The pattern as it was given.
        pattern: String,
        /// What is wrong with it.
        #[source]
        source: regex::Error,
    },
    /// A fault requests something that cannot be done. Correct the fault.
    #[error("this fault cannot be used: {0}")]
    Fault(String),
}
