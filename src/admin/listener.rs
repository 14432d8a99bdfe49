//! The listener: it binds before the daemon is ready, and limits the resources that clients can use.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use super::actions::Operator;
use super::session::Access;
use super::site::Site;
use super::{Error, routes};
use bridgehead_runtime::StatusReporter;

/// The maximum number of connections. If there are more, the oldest one without a request is closed.
const CONNECTIONS: usize = 64;
/// How long a connection may take to send a request.
const HEAD: Duration = Duration::from_secs(5);
/// The maximum duration of a connection, from its first byte to its last.
const DEADLINE: Duration = Duration::from_secs(15);
/// The maximum size of a request head.
const LARGEST_HEAD: usize = 16 * 1024;
/// How long accepting pauses when the process has run out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A bound address that is not served yet.
#[derive(Debug)]
pub struct Listener {
    listener: TcpListener,
    address: SocketAddr,
}

impl Listener {
    /// Binds the address. Connections are accepted after this, and answered once the listener is served.
    pub async fn bind(address: SocketAddr) -> Result<Self, Error> {
        let fault = |source| Error::of(address, source);
        let listener = TcpListener::bind(address).await.map_err(fault)?;
        let address = listener.local_addr().map_err(fault)?;
        Ok(Self { listener, address })
    }

    /// The listening address, with the port that the operating system chose for port 0.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves requests until `stop`, then closes every connection. A panic in a handler ends only its connection.
    ///
    /// Without support for tokens and actions; only the daemon's own listener has those.
    pub async fn serve(self, observer: StatusReporter, stop: CancellationToken) {
        self.serve_all(observer, Access::new(None), None, stop).await;
    }

    /// The same, with the token and the actions of operators.
    pub(crate) async fn serve_all(
        self,
        observer: StatusReporter,
        access: Access,
        operator: Option<Operator>,
        stop: CancellationToken,
    ) {
        let site = Site::new(observer, access, operator, self.address.port());
        let routes = routes::routes(Arc::new(site), self.address);
        let mut connections = JoinSet::new();
        let mut silent = Silent::default();
        loop {
            // One connection is closed before the next is accepted.
            if connections.len() >= CONNECTIONS {
                silent.make_room();
            }
            tokio::select! {
                () = stop.cancelled() => break,
                accepted = self.listener.accept(), if connections.len() < CONNECTIONS => match accepted {
                    Ok((stream, _)) => {
                        let has_asked = Arc::new(AtomicBool::new(false));
                        let handle = connections.spawn(answer(stream, routes.clone(), Arc::clone(&has_asked)));
                        silent.add(handle, has_asked);
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

/// Connections that may not have sent a request yet, oldest first.
#[derive(Default)]
struct Silent(VecDeque<(AbortHandle, Arc<AtomicBool>)>);

impl Silent {
    fn add(&mut self, connection: AbortHandle, has_asked: Arc<AtomicBool>) {
        self.0.retain(|(connection, has_asked)| {
            !connection.is_finished() && !has_asked.load(Ordering::Acquire)
        });
        self.0.push_back((connection, has_asked));
    }

    /// Closes the oldest connection without a request, so that idle connections do not block active clients.
    fn make_room(&mut self) {
        while let Some((connection, has_asked)) = self.0.pop_front() {
            if !connection.is_finished() && !has_asked.load(Ordering::Acquire) {
                connection.abort();
                return;
            }
        }
    }
}

/// A response that may take this long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lasting(pub(super) Duration);

/// One request and one response per connection: a kept connection would count towards the limit.
async fn answer(stream: TcpStream, routes: axum::Router, has_asked: Arc<AtomicBool>) {
    let routes = TowerToHyperService::new(routes);
    let lasting = Arc::new(Mutex::new(None));
    let service = service_fn(|request| {
        has_asked.store(true, Ordering::Release);
        let (answered, lasting) = (routes.call(request), Arc::clone(&lasting));
        async move {
            let answer = answered.await;
            if let Ok(Some(Lasting(lasts))) = answer.as_ref().map(|answer| answer.extensions().get()) {
                *lasting.lock().unwrap_or_else(PoisonError::into_inner) = Some(*lasts);
            }
            answer
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .keep_alive(false)
        .max_buf_size(LARGEST_HEAD)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let mut ended = tokio::time::timeout(DEADLINE, &mut connection).await;
    let lasts = *lasting.lock().unwrap_or_else(PoisonError::into_inner);
    if let (Err(_), Some(lasts)) = (&ended, lasts) {
        ended = tokio::time::timeout(lasts, connection).await;
    }
    match ended {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a connection to the admin listener failed"),
        Err(_) => tracing::debug!("a connection to the admin listener took too long and was closed"),
    }
}
