//! A connection between two servers that a test can interrupt.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

/// Forwards data between a server and the clients that connect to the port of this link, unless it is held: then connections stay open, and
/// no data passes until it is released; or full: then new connections are closed, also those that a hold has kept waiting; or broken: then
/// open ones are closed with their next data, too; or cut: then all are. It ends with the test's process.
#[derive(Clone, Debug)]
pub struct Link {
    pub port: u16,
    gate: Arc<Gate>,
}

#[derive(Debug, Default)]
struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// The target port; clients that connect before it is known wait.
    server: Option<u16>,
    held: bool,
    full: bool,
    /// How many bytes from clients may still pass before it breaks.
    left: Option<usize>,
    /// Both sides of the open connections.
    open: BTreeMap<u64, [TcpStream; 2]>,
    /// The number of connections so far.
    joined: u64,
}

impl Default for Link {
    fn default() -> Self {
        Self::new()
    }
}

impl Link {
    /// Creates a link without a target.
    ///
    /// # Panics
    /// If it cannot listen on loopback.
    pub fn new() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback can be listened at");
        let port = listener.local_addr().expect("a listener has an address").port();
        let gate = Arc::new(Gate::default());
        let of_clients = Arc::clone(&gate);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let gate = Arc::clone(&of_clients);
                thread::spawn(move || gate.join(client));
            }
        });
        Self { port, gate }
    }

    /// Sets the target port on loopback.
    pub fn lead_to(&self, port: u16) {
        self.gate.change(|state| state.server = Some(port));
    }

    /// Holds all data until [`Link::release`].
    pub fn hold(&self) {
        self.gate.change(|state| state.held = true);
    }

    /// Forwards the data that was held, and all data after it.
    pub fn release(&self) {
        self.gate.change(|state| state.held = false);
    }

    /// Closes new connections until [`Link::mend`], like a server that has enough of them. Open ones are not affected.
    pub fn fill(&self) {
        self.gate.change(|state| state.full = true);
    }

    /// Breaks after this many bytes from clients.
    pub fn break_after(&self, octets: usize) {
        self.gate.change(|state| state.left = Some(octets));
    }

    /// Closes all connections, and every new one until [`Link::mend`].
    pub fn cut(&self) {
        self.gate.change(|state| {
            state.left = Some(0);
            for stream in std::mem::take(&mut state.open).values().flatten() {
                // An error means that it is already closed.
                stream.shutdown(Shutdown::Both).ok();
            }
        });
    }

    /// Whether it is broken.
    pub fn is_broken(&self) -> bool {
        self.gate.state().left == Some(0)
    }

    /// Accepts all connections again.
    pub fn mend(&self) {
        self.gate.change(|state| {
            state.full = false;
            state.left = None;
        });
    }
}

impl Gate {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.changed.notify_all();
    }

    /// Waits until data may pass; returns the target port.
    fn pass(&self) -> u16 {
        let mut state = self.state();
        loop {
            match (&*state, state.server) {
                (State { held: false, .. }, Some(server)) => return server,
                _ => state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    /// Counts this many bytes from a client; `false` if the link breaks with them.
    fn takes(&self, octets: usize) -> bool {
        let mut state = self.state();
        state.left = state.left.map(|left| left.saturating_sub(octets));
        state.left != Some(0)
    }

    /// Connects a client to the server. If the server does not run or the link is broken, the client's connection is closed, and it may
    /// reconnect.
    fn join(self: Arc<Self>, client: TcpStream) {
        if !self.takes(0) {
            return;
        }
        let port = self.pass();
        if self.state().full {
            return;
        }
        let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) else { return };
        let (Ok(to_client), Ok(to_server)) = (client.try_clone(), server.try_clone()) else { return };
        let (Ok(one), Ok(other)) = (client.try_clone(), server.try_clone()) else { return };
        let mut number = 0;
        self.change(|state| {
            state.joined += 1;
            number = state.joined;
            state.open.insert(number, [one, other]);
        });
        // It may have been cut while this connection was made.
        if self.takes(0) {
            let other = Arc::clone(&self);
            thread::spawn(move || other.copy(server, to_client, false));
            self.copy(client, to_server, true);
        }
        self.change(|state| drop(state.open.remove(&number)));
    }

    fn copy(&self, mut from: TcpStream, mut to: TcpStream, of_client: bool) {
        let mut octets = vec![0; 4 * 1024];
        while let Ok(length @ 1..) = from.read(&mut octets) {
            self.pass();
            if to.write_all(&octets[..length]).is_err() || of_client && !self.takes(length) {
                break;
            }
        }
        // When one side closes the connection, it is closed for the other too; errors here mean that it is already closed.
        from.shutdown(Shutdown::Both).ok();
        to.shutdown(Shutdown::Both).ok();
    }
}
