//! The listener and the lifecycle of a sandbox.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::Request;
use axum::response::Response;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use super::error::Error;
use super::front::Front;
use super::options::Options;
use super::state::State;

/// How long accepting pauses when the process has run out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A running sandbox. It serves in the background of the runtime in which it was started, until it is stopped or dropped.
pub struct Sandbox {
    pub(crate) state: Arc<State>,
    api_key: String,
    stopping: CancellationToken,
    serving: Option<JoinHandle<()>>,
    /// Handles requests of clients in the same process.
    front: Arc<Front>,
}

impl Sandbox {
    /// Binds the port and serves in the background. When this returns, connections are accepted.
    pub async fn start(options: Options) -> Result<Self, Error> {
        State::check(&options)?;
        let listener =
            TcpListener::bind(options.listen).await.map_err(|source| listen_error(options.listen, source))?;
        let address = listener.local_addr().map_err(|source| listen_error(options.listen, source))?;
        let mut sandbox = Self::at(options, address);
        let (front, stopping) = (Arc::clone(&sandbox.front), sandbox.stopping.clone());
        sandbox.serving = Some(tokio::spawn(accept(listener, front, stopping)));
        Ok(sandbox)
    }

    /// Creates a sandbox without a listener: [`answer`](Self::answer) is the only way to reach it. It uses the time of the tokio runtime in
    /// which it is created, so pausing that clock pauses the sandbox's clock too.
    pub fn in_process(options: Options) -> Result<Self, Error> {
        State::check(&options)?;
        let address = options.listen;
        Ok(Self::at(options, address))
    }

    fn at(options: Options, address: SocketAddr) -> Self {
        let state = Arc::new(State::new(&options, address));
        let front = Arc::new(Front::new(Arc::clone(&state)));
        let stopping = CancellationToken::new();
        Self { state, api_key: options.api_key, stopping, serving: None, front }
    }

    /// Handles a request of the Bridge API as if it came over a connection. `None` if a fault cuts the connection.
    pub async fn answer(&self, request: Request<Bytes>) -> Option<Response> {
        self.front.bridge_api(request.map(Body::from)).await.ok()
    }

    /// The address on which it listens.
    pub fn address(&self) -> SocketAddr {
        self.state.address
    }

    /// The base URL of the Bridge API: `http://127.0.0.1:PORT/org/{tenant}`.
    pub fn base_url(&self) -> String {
        self.state.base_url()
    }

    /// The key with access to every app.
    pub fn api_key(&self) -> &str {
        &self.api_key
    }

    /// Closes the listener and every connection. When this returns, the port is free.
    pub async fn stop(mut self) {
        self.stopping.cancel();
        if let Some(serving) = self.serving.take()
            && let Err(error) = serving.await
        {
            tracing::error!(%error, "the sandbox did not stop in good order");
        }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.stopping.cancel();
    }
}

impl std::fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sandbox").field("base_url", &self.base_url()).finish_non_exhaustive()
    }
}

/// Keeps a sandbox running until the token is cancelled, then stops it.
pub async fn run_until(sandbox: Sandbox, token: CancellationToken) {
    token.cancelled().await;
    sandbox.stop().await;
}

fn listen_error(address: SocketAddr, source: io::Error) -> Error {
    match source.kind() {
        io::ErrorKind::AddrInUse => Error::AddressInUse { address, source },
        io::ErrorKind::PermissionDenied => Error::NotPermitted { address, source },
        _ => Error::Listen { address, source },
    }
}

/// Accepts connections until it is stopped. Dropping this future closes the connections.
async fn accept(listener: TcpListener, front: Arc<Front>, stopping: CancellationToken) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stopping.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    connections.spawn(serve(stream, peer, front.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "the sandbox cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
    connections.shutdown().await;
}

async fn serve(stream: TcpStream, peer: SocketAddr, front: Arc<Front>) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "the sandbox cannot set TCP_NODELAY");
    }
    let service = service_fn(|request| front.serve(peer, request));
    let served = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
    if let Err(error) = served {
        // Cut on purpose, or closed by the client.
        tracing::debug!(%error, "a connection to the sandbox ended");
    }
}
