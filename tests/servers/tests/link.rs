//! A link between a client and a server: held, full, cut, mended.

#![allow(clippy::expect_used, reason = "a test fails with a panic")]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread;

use bridgehead_test_servers::Link;

/// A server that sends back what it receives.
fn echo() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = listener.local_addr().expect("an address").port();
    thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let mut answer = client.try_clone().expect("a socket");
            thread::spawn(move || std::io::copy(&mut client, &mut answer));
        }
    });
    port
}

fn connect(link: &Link) -> TcpStream {
    TcpStream::connect((Ipv4Addr::LOCALHOST, link.port)).expect("the link listens")
}

/// Whether a byte comes back; false if the connection is closed.
fn passes(stream: &mut TcpStream) -> bool {
    let mut byte = [0];
    stream.write_all(b"x").is_ok() && matches!(stream.read(&mut byte), Ok(1))
}

#[test]
fn cut_link_closes_open_and_new_connections_until_it_is_mended() {
    let link = Link::new();
    link.lead_to(echo());
    let mut open = connect(&link);
    assert!(passes(&mut open));
    link.cut();
    assert!(!passes(&mut open), "it was closed");
    assert!(!passes(&mut connect(&link)), "a new one is closed, too");
    link.mend();
    assert!(passes(&mut connect(&link)));
}

#[test]
fn held_connection_goes_on_when_the_link_is_released() {
    let link = Link::new();
    link.lead_to(echo());
    let mut open = connect(&link);
    assert!(passes(&mut open));
    link.hold();
    open.write_all(b"y").expect("it is open");
    link.release();
    let mut byte = [0];
    open.read_exact(&mut byte).expect("the byte that was held");
    assert_eq!(&byte, b"y");
}

#[test]
fn full_link_closes_new_connections_and_those_that_a_hold_kept_waiting_and_no_open_ones() {
    let link = Link::new();
    link.lead_to(echo());
    let mut open = connect(&link);
    assert!(passes(&mut open));
    link.hold();
    link.fill();
    let mut waiting = connect(&link);
    link.release();
    assert!(!passes(&mut waiting), "it was kept waiting");
    assert!(!passes(&mut connect(&link)), "a new one");
    assert!(passes(&mut open), "it was open before");
    link.mend();
    assert!(passes(&mut connect(&link)));
}
