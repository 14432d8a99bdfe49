//! Misbehaving targets: one that does not exist, one that never responds, and a connection to a working one that can be
//! cut.
//!
//! They run on a separate thread and runtime: a connector that blocks its thread must not prevent the kit from ending
//! them.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{oneshot, watch};

use super::finding::{Finding, Verdict};

/// An address at which nothing listens as long as this value exists.
#[derive(Debug)]
pub(super) struct Nobody {
    pub(super) address: SocketAddr,
    /// Bound, but never listening: connections are refused, and no other process gets the port.
    _socket: TcpSocket,
}

impl Nobody {
    pub(super) fn new() -> Verdict<Self> {
        let bind = || {
            let socket = TcpSocket::new_v4()?;
            socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
            Ok((socket.local_addr()?, socket))
        };
        let (address, socket) = bind().map_err(|error| no_socket(&error))?;
        Ok(Self { address, _socket: socket })
    }
}

/// How a connection is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// With a FIN, as if the other side had sent everything.
    Ended,
    /// With a reset.
    Reset,
}

impl Cut {
    pub(super) const BOTH: [Self; 2] = [Self::Ended, Self::Reset];
}

impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Ended => "ended",
            Self::Reset => "reset",
        })
    }
}

/// A listener of the kit. When it is dropped, it ends and cuts the open connections.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) address: SocketAddr,
    passed: Arc<AtomicUsize>,
    _end: oneshot::Sender<()>,
}

impl Peer {
    /// Accepts connections, and never responds. It closes them after `patience`, so that a connector that blocks its thread is released.
    pub(super) fn silent(patience: Duration) -> Verdict<Self> {
        Self::start(move |connection, _| async move {
            tokio::time::sleep(patience).await;
            drop(connection);
        })
    }

    /// Forwards connections to `target`. With a limit, every connection is cut when this many bytes have been received from the target, and
    /// every later connection as well.
    pub(super) fn relay(target: SocketAddr, limit: Option<(usize, Cut)>) -> Verdict<Self> {
        let cut = Arc::new(watch::Sender::new(false));
        Self::start(move |client, passed| carry(client, target, limit, Arc::clone(&cut), passed))
    }

    /// The number of bytes received from the target.
    pub(super) fn passed(&self) -> usize {
        self.passed.load(Ordering::SeqCst)
    }

    /// Serves every connection with `serve`, on a separate thread.
    pub(super) fn start<F, S>(serve: S) -> Verdict<Self>
    where
        S: Fn(TcpStream, Arc<AtomicUsize>) -> F + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let bind = || {
            let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            listener.set_nonblocking(true)?;
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            Ok((listener.local_addr()?, listener, runtime))
        };
        let (address, listener, runtime) = bind().map_err(|error| no_socket(&error))?;
        let passed = Arc::new(AtomicUsize::new(0));
        let (end, mut ended) = oneshot::channel();
        let counter = Arc::clone(&passed);
        std::thread::spawn(move || {
            runtime.block_on(async move {
                let Ok(listener) = TcpListener::from_std(listener) else { return };
                loop {
                    tokio::select! {
                        // Only dropping the sender ends the loop.
                        _ = &mut ended => return,
                        accepted = listener.accept() => if let Ok((connection, _)) = accepted {
                            drop(tokio::spawn(serve(connection, Arc::clone(&counter))));
                        }
                    }
                }
            });
        });
        Ok(Self { address, passed, _end: end })
    }
}

fn no_socket(error: &std::io::Error) -> Finding {
    Finding::Failed(format!("the kit cannot listen on loopback: {error}"))
}

async fn carry(
    mut client: TcpStream,
    target: SocketAddr,
    limit: Option<(usize, Cut)>,
    cut: Arc<watch::Sender<bool>>,
    passed: Arc<AtomicUsize>,
) {
    let mut cutting = cut.subscribe();
    if !*cutting.borrow() {
        let Ok(mut server) = TcpStream::connect(target).await else { return };
        let (mut from_client, mut to_client) = client.split();
        let (mut from_server, mut to_server) = server.split();
        let up = async {
            // Either side may close the connection; the relay does not report it.
            drop(tokio::io::copy(&mut from_client, &mut to_server).await);
            drop(to_server.shutdown().await);
            std::future::pending::<()>().await;
        };
        let down = async {
            let mut buffer = vec![0; 16 * 1024];
            while let Ok(count @ 1..) = from_server.read(&mut buffer).await {
                let before = passed.fetch_add(count, Ordering::SeqCst);
                let left = limit.map_or(usize::MAX, |(limit, _)| limit.saturating_sub(before));
                let part = buffer.get(..count.min(left)).unwrap_or_default();
                if to_client.write_all(part).await.is_err() {
                    return;
                }
                if count >= left {
                    cut.send_replace(true);
                    return;
                }
            }
        };
        tokio::select! {
            () = up => {}
            () = down => {}
            _ = cutting.wait_for(|cut| *cut) => {}
        }
    }
    match limit {
        Some((_, Cut::Reset)) if *cut.borrow() => drop(client.set_zero_linger()),
        _ => {
            drop(client.shutdown().await);
            // Closing a socket with unread data would send a reset.
            let rest = async { drop(tokio::io::copy(&mut client, &mut tokio::io::sink()).await) };
            drop(tokio::time::timeout(Duration::from_secs(5), rest).await);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn target() -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut connection, _)) = listener.accept().await {
                connection.write_all(&[7; 1000]).await.unwrap();
            }
        });
        address
    }

    async fn read(address: SocketAddr) -> (usize, Option<std::io::ErrorKind>) {
        let mut read = Vec::new();
        let mut connection = TcpStream::connect(address).await.unwrap();
        let error = connection.read_to_end(&mut read).await.err();
        (read.len(), error.map(|error| error.kind()))
    }

    #[tokio::test]
    async fn relay_without_limit_forwards_and_counts_everything() {
        let relay = Peer::relay(target().await, None).unwrap();
        assert_eq!(read(relay.address).await, (1000, None));
        assert_eq!(relay.passed(), 1000);
    }

    #[tokio::test]
    async fn relay_cuts_at_the_limit_and_refuses_later_connections() {
        let relay = Peer::relay(target().await, Some((300, Cut::Ended))).unwrap();
        assert_eq!(read(relay.address).await, (300, None));
        assert_eq!(read(relay.address).await, (0, None));
        let relay = Peer::relay(target().await, Some((300, Cut::Reset))).unwrap();
        let (count, error) = read(relay.address).await;
        assert!(count <= 300 && error == Some(std::io::ErrorKind::ConnectionReset), "{count}, {error:?}");
    }

    #[tokio::test]
    async fn unused_port_refuses_connections() {
        let nobody = Nobody::new().unwrap();
        let error = TcpStream::connect(nobody.address).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
    }

    #[tokio::test]
    async fn silent_peer_eventually_closes_the_connection() {
        let silent = Peer::silent(Duration::from_millis(50)).unwrap();
        assert_eq!(read(silent.address).await, (0, None));
    }
}
