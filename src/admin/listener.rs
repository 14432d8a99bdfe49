//! The listener: bound before the daemon is ready, and bounded in what strangers can make it hold.

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
/// How long a connection may take to ask.
const HEAD: Duration = Duration::from_secs(5);
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
    ///
    /// What needs a token or a running app is not answered; the daemon's own listener does that.
    pub async fn serve(self, observer: StatusReporter, stop: CancellationToken) {
        self.serve_all(observer, Access::new(None), None, stop).await;
    }

    /// The same with what the token, and an operator who has it, may see and do.
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
            // Room for one more is made before it comes.
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

/// The connections that may not have asked anything yet, the oldest first.
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

/// An answer that is meant to continue for so long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lasting(pub(super) Duration);

/// One request, one answer: a connection that is kept would count towards the few that there may be.
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
