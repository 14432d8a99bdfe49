//! Proxies that let something happen between two requests of the connector.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test that asked for it")]

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Runs `happens` once: when the connector first sends something that contains all of `texts`, before the server receives it. Returns the
/// address to connect to, without TLS.
pub(crate) async fn before(
    server: SocketAddr,
    texts: &'static [&'static str],
    happens: impl FnOnce() + Send + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let happens = Arc::new(Mutex::new(Some(happens)));
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let happens = Arc::clone(&happens);
            tokio::spawn(async move {
                let (mut from_client, mut to_client) = client.into_split();
                let (mut from_server, mut to_server) = TcpStream::connect(server).await.unwrap().into_split();
                tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await.ok() });
                let mut octets = vec![0; 64 * 1024];
                while let Ok(length @ 1..) = from_client.read(&mut octets).await {
                    let sent = &octets[..length];
                    let contains =
                        |text: &&str| sent.windows(text.len()).any(|window| window == text.as_bytes());
                    if texts.iter().all(contains) {
                        let event = happens.lock().unwrap().take();
                        if let Some(event) = event {
                            tokio::task::spawn_blocking(event).await.unwrap();
                        }
                    }
                    if to_server.write_all(sent).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

/// Replaces octets in the server's responses with others of the same length. Returns the address to connect to, without TLS.
pub(crate) async fn replacing(server: SocketAddr, old: &'static [u8], new: &'static [u8]) -> SocketAddr {
    assert_eq!(old.len(), new.len(), "lengths are part of what is sent");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let (mut from_client, mut to_client) = client.into_split();
            let (mut from_server, mut to_server) = TcpStream::connect(server).await.unwrap().into_split();
            tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_server).await.ok() });
            tokio::spawn(async move {
                let mut octets = vec![0; 64 * 1024];
                while let Ok(length @ 1..) = from_server.read(&mut octets).await {
                    let sent = &mut octets[..length];
                    while let Some(at) = sent.windows(old.len()).position(|window| window == old) {
                        sent[at..at + new.len()].copy_from_slice(new);
                    }
                    if to_client.write_all(sent).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

/// Cuts the first connection on which the connector sends something that contains all of `texts`: before the server receives it, or after
/// the server has responded, but before the connector receives the response. Returns the address to connect to, without TLS.
pub(crate) async fn cutting(
    server: SocketAddr,
    texts: &'static [&'static str],
    answered: bool,
) -> SocketAddr {
    cut(server, texts, answered, None).await
}

/// Cuts the first connection on which the connector sends something that contains all of `texts`, after running `happens`, and accepts no
/// connections after that. Returns the address to connect to, without TLS.
pub(crate) async fn closing(
    server: SocketAddr,
    texts: &'static [&'static str],
    happens: impl Fn() + Send + Sync + 'static,
) -> SocketAddr {
    cut(server, texts, false, Some(Arc::new(happens))).await
}

/// Runs before the cut, after which the proxy is closed.
type Closing = Arc<dyn Fn() + Send + Sync>;

async fn cut(
    server: SocketAddr,
    texts: &'static [&'static str],
    answered: bool,
    closing: Option<Closing>,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let was_cut = Arc::new(Mutex::new(false));
        while let Ok((mut client, _)) = listener.accept().await {
            let was_cut = Arc::clone(&was_cut);
            if closing.is_some() && *was_cut.lock().unwrap() {
                continue;
            }
            let closing = closing.clone();
            tokio::spawn(async move {
                let mut server = TcpStream::connect(server).await.unwrap();
                let (mut sent, mut said) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
                loop {
                    tokio::select! {
                        Ok(length @ 1..) = client.read(&mut sent) => {
                            let sent = &sent[..length];
                            let contains = |text: &&str| sent.windows(text.len()).any(|part| part == text.as_bytes());
                            let cuts = texts.iter().all(contains)
                                && !std::mem::replace(&mut *was_cut.lock().unwrap(), true);
                            if cuts && !answered {
                                if let Some(happens) = closing {
                                    tokio::task::block_in_place(|| happens());
                                }
                                return;
                            }
                            server.write_all(sent).await.unwrap();
                            if cuts {
                                assert!(server.read(&mut said).await.unwrap() > 0);
                                return;
                            }
                        }
                        Ok(length @ 1..) = server.read(&mut said) => {
                            if client.write_all(&said[..length]).await.is_err() {
                                return;
                            }
                        }
                        else => return,
                    }
                }
            });
        }
    });
    address
}
