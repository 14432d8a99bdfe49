//! A way between two servers that a test can hold.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

/// Passes on what is said between a server and whoever connects to the port of this link, unless it is held: then connections
/// stay open, and nothing comes through until it is released; or broken: then nobody is let in. It ends with the test's process.
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
    /// Where it leads to; whoever connects before that is known waits.
    server: Option<u16>,
    held: bool,
    /// How many octets may still come from clients before it breaks.
    left: Option<usize>,
}

impl Default for Link {
    fn default() -> Self {
        Self::new()
    }
}

impl Link {
    /// A link that leads nowhere yet.
    ///
    /// # Panics
    /// If loopback cannot be listened at.
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

    /// Says which port of loopback it leads to.
    pub fn lead_to(&self, port: u16) {
        self.gate.change(|state| state.server = Some(port));
    }

    /// Lets nothing through from now on.
    pub fn hold(&self) {
        self.gate.change(|state| state.held = true);
    }

    /// Lets through what has waited, and everything that comes.
    pub fn release(&self) {
        self.gate.change(|state| state.held = false);
    }

    /// Breaks once this many octets have come from clients.
    pub fn break_after(&self, octets: usize) {
        self.gate.change(|state| state.left = Some(octets));
    }

    /// Whether it is broken.
    pub fn is_broken(&self) -> bool {
        self.gate.state().left == Some(0)
    }

    /// Lets everybody in again.
    pub fn mend(&self) {
        self.gate.change(|state| state.left = None);
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

    /// Waits until something may pass; gives where to.
    fn pass(&self) -> u16 {
        let mut state = self.state();
        loop {
            match (&*state, state.server) {
                (State { held: false, .. }, Some(server)) => return server,
                _ => state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    /// Lets so many octets of a client through; `false` if the link breaks with them.
    fn takes(&self, octets: usize) -> bool {
        let mut state = self.state();
        state.left = state.left.map(|left| left.saturating_sub(octets));
        state.left != Some(0)
    }

    /// Joins a client with the server. If that is not there, or the link is broken, the client is sent away and may come again.
    fn join(self: Arc<Self>, client: TcpStream) {
        if !self.takes(0) {
            return;
        }
        let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, self.pass())) else { return };
        let (Ok(to_client), Ok(to_server)) = (client.try_clone(), server.try_clone()) else { return };
        let other = Arc::clone(&self);
        thread::spawn(move || other.copy(server, to_client, false));
        self.copy(client, to_server, true);
    }

    fn copy(&self, mut from: TcpStream, mut to: TcpStream, of_client: bool) {
        let mut octets = vec![0; 4 * 1024];
        while let Ok(length @ 1..) = from.read(&mut octets) {
            self.pass();
            if to.write_all(&octets[..length]).is_err() || of_client && !self.takes(length) {
                break;
            }
        }
        // Whoever has gone away is gone for the other as well; what fails here was closed already.
        from.shutdown(Shutdown::Both).ok();
        to.shutdown(Shutdown::Both).ok();
    }
}
