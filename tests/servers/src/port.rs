//! Ports of loopback.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Below the ports that the kernel hands out by itself: one of those may be taken by anybody's outgoing connection between
/// its being found free and its being listened at.
const FIRST: u32 = 10_000;
const COUNT: u32 = 22_000;

/// A port that nobody listens at. Somebody else may take it before it is used; whoever starts a server there notices,
/// since the server ends at once. Two calls do not give the same port, and tests that run at once look in different places.
///
/// # Panics
/// If loopback has none left.
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Ids of processes started at once are neighbours; a prime stride takes them far apart.
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

/// An address of loopback at which nobody listens at any of these ports, for a server whose ports cannot be chosen.
///
/// # Panics
/// If a port is not this user's to take, or is taken at every address.
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

/// Whether somebody takes connections at a port of `127.0.0.1`.
pub fn listens(port: u16) -> bool {
    listens_at(Ipv4Addr::LOCALHOST, port)
}

/// Whether somebody takes connections at a port of any address of loopback.
pub(crate) fn listens_at(address: Ipv4Addr, port: u16) -> bool {
    TcpStream::connect_timeout(&SocketAddr::from((address, port)), Duration::from_secs(1)).is_ok()
}
