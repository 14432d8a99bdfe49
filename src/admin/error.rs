//! Why the listener cannot be opened.

use std::io;
use std::net::SocketAddr;

/// Why the listener could not be opened. The operator must correct the configuration, or free the address. Where it may pass, systemd starts
/// the daemon again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Another process uses the address.
    #[error(
        "admin.listen: {address} is in use by another process; stop that process, or set admin.listen to \
         another port"
    )]
    InUse {
        /// The address.
        address: SocketAddr,
        /// The error of the operating system.
        #[source]
        source: io::Error,
    },
    /// The address does not belong to this machine.
    #[error(
        "admin.listen: {address} is not an address of this machine; set admin.listen to one that is, such \
         as \"127.0.0.1:9464\""
    )]
    NotLocal {
        /// The address.
        address: SocketAddr,
        /// The error of the operating system.
        #[source]
        source: io::Error,
    },
    /// The process is not allowed to listen there: usually because the port is below 1024.
    #[error(
        "admin.listen: this process is not allowed to listen on {address}; set admin.listen to a port from \
         1024 up, such as \"127.0.0.1:9464\""
    )]
    NotPermitted {
        /// The address.
        address: SocketAddr,
        /// The error of the operating system.
        #[source]
        source: io::Error,
    },
    /// Any other error.
    #[error("admin.listen: cannot listen on {address}: {source}; set admin.listen to another address")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The error of the operating system.
        #[source]
        source: io::Error,
    },
}

impl Error {
    /// Whether the same may work later, without a change of the configuration: the other process ends, the network comes up.
    pub(crate) fn may_pass(&self) -> bool {
        matches!(self, Self::InUse { .. } | Self::NotLocal { .. })
    }

    pub(super) fn of(address: SocketAddr, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::AddrInUse => Self::InUse { address, source },
            io::ErrorKind::AddrNotAvailable => Self::NotLocal { address, source },
            io::ErrorKind::PermissionDenied => Self::NotPermitted { address, source },
            _ => Self::Listen { address, source },
        }
    }
}
