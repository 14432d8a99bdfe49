//! The listener: bound before the daemon is ready, and bounded in what strangers can make it hold.

use std::net::SocketAddr;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{Error, routes};
use crate::runtime::Observer;

/// So many connections at once; more wait in the operating system's queue.
const CONNECTIONS: usize = 32;
/// How long one connection may take from its first byte to its last.
const DEADLINE: Duration = Duration::from_secs(15);
/// The most of a request's head that is kept.
const LARGEST_HEAD: usize = 16 * 1024;
/// How long accepting pauses where the process has run out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A bound address that is not served yet.
#[derive(Debug)]
pub struct Listener {
    listener: TcpListener,
    address: SocketAddr,
}

impl Listener {
    /// Binds. From now on connections are taken; they are answered once it is served.
    pub async fn bind(address: SocketAddr) -> Result<Self, Error> {
        let fault = |source| Error::of(address, source);
        let listener = TcpListener::bind(address).await.map_err(fault)?;
        let address = listener.local_addr().map_err(fault)?;
        Ok(Self { listener, address })
    }

    /// Where it listens: with the port that the operating system chose, if it was left to it.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `stop`, then closes every connection. A panic while one is answered ends that one.
    pub async fn serve(self, observer: Observer, stop: CancellationToken) {
        let routes = routes::routes(observer, self.address);
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                accepted = self.listener.accept(), if connections.len() < CONNECTIONS => match accepted {
                    Ok((stream, _)) => {
                        connections.spawn(answer(stream, routes.clone()));
                    }
                    Err(error) => {
                        tracing::warn!(%error, "the admin listener cannot accept a connection");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
                Some(_) = connections.join_next() => {}
            }
        }
        connections.shutdown().await;
    }
}

/// One request, one answer: a connection that is kept would count towards the few that there may be.
async fn answer(stream: TcpStream, routes: axum::Router) {
    let service = TowerToHyperService::new(routes);
    let connection = http1::Builder::new()
        .keep_alive(false)
        .max_buf_size(LARGEST_HEAD)
        .serve_connection(TokioIo::new(stream), service);
    match tokio::time::timeout(DEADLINE, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a connection to the admin listener broke"),
        Err(_) => tracing::debug!("a connection to the admin listener took too long and was closed"),
    }
}
