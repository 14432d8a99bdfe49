//! Loopback ports.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Below the kernel's range of ephemeral ports: an outgoing connection of any process may take one of those between the check that it is
/// free and the start of the server.
const FIRST: u32 = 10_000;
const COUNT: u32 = 22_000;

/// Returns a loopback port on which no process listens. Another process may take it before it is used; the server then fails to start
/// immediately. Two calls never return the same port, and concurrent tests search in different ranges.
///
/// # Panics
/// If no loopback port is free.
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Processes that start at the same time have consecutive ids; a prime stride spreads them.
    let start = std::process::id().wrapping_mul(7919);
    for _ in 0..COUNT {
        let candidate = start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT + FIRST;
        let port = u16::try_from(candidate).expect("the range ends below 65536");
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
    panic!("no port of loopback from {FIRST} to {} is free", FIRST + COUNT - 1);
}

/// Returns a loopback address on which none of these ports is in use, for a server whose ports cannot be chosen.
///
/// # Panics
/// If this user may not use a port, or a port is in use on every address.
pub(crate) fn free_address(ports: &[u16]) -> Ipv4Addr {
    for _ in 0..100 {
        let [high, low] = free_port().to_be_bytes();
        let address = Ipv4Addr::new(127, 77, high, low);
        match ports.iter().try_for_each(|port| TcpListener::bind((address, *port)).map(drop)) {
            Ok(()) => return address,
            Err(error) if error.kind() == ErrorKind::PermissionDenied => panic!(
                "this server's ports are {ports:?}, which ordinary users may not take: run this test as root, or let \
                 everybody have them by `sysctl net.ipv4.ip_unprivileged_port_start=389`"
            ),
            Err(_) => {}
        }
    }
    panic!("somebody listens at one of the ports {ports:?} at every address of this machine");
}

/// Whether a process accepts connections on a port of `127.0.0.1`.
pub fn listens(port: u16) -> bool {
    listens_at(Ipv4Addr::LOCALHOST, port)
}

/// Whether a process accepts connections on a port of any loopback address.
pub(crate) fn listens_at(address: Ipv4Addr, port: u16) -> bool {
    TcpStream::connect_timeout(&SocketAddr::from((address, port)), Duration::from_secs(1)).is_ok()
}
