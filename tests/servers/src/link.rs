//! A way between two servers that a test can hold.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

/// Passes on what is said between a server and whoever connects to the port of this link, unless it is held: then connections
/// stay open, and nothing comes through until it is released. It ends with the test's process.
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
}

impl Link {
    /// A link that leads nowhere yet.
    ///
    /// # Panics
    /// If loopback cannot be listened at.
    pub(crate) fn new() -> Self {
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
    pub(crate) fn lead_to(&self, port: u16) {
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

    /// Joins a client with the server. If that is not there, the client is sent away and may come again.
    fn join(self: Arc<Self>, client: TcpStream) {
        let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, self.pass())) else { return };
        let (Ok(to_client), Ok(to_server)) = (client.try_clone(), server.try_clone()) else { return };
        let other = Arc::clone(&self);
        thread::spawn(move || other.copy(server, to_client));
        self.copy(client, to_server);
    }

    fn copy(&self, mut from: TcpStream, mut to: TcpStream) {
        let mut octets = vec![0; 64 * 1024];
        while let Ok(length @ 1..) = from.read(&mut octets) {
            self.pass();
            if to.write_all(&octets[..length]).is_err() {
                break;
            }
        }
        // Whoever has gone away is gone for the other as well; what fails here was closed already.
        from.shutdown(Shutdown::Both).ok();
        to.shutdown(Shutdown::Both).ok();
    }
}
