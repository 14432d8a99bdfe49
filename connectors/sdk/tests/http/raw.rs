//! Servers that send a few fixed bytes, for responses that no proper server sends.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bridgehead_sdk::Network;
use bridgehead_sdk::http::{Client, Limits};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use url::Url;

/// Sends the same bytes on every connection, and closes it.
pub(crate) struct Raw {
    pub(crate) url: Url,
    /// The number of connections.
    pub(crate) connections: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

impl Raw {
    /// Reads the beginning of a request, writes `answer`, and closes the connection; without an answer, it waits
    /// forever.
    pub(crate) async fn start(answer: Option<Vec<u8>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&connections);
        let task = tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                count.fetch_add(1, Ordering::SeqCst);
                let answer = answer.clone();
                tokio::spawn(async move {
                    let mut request = [0; 4096];
                    let read = stream.read(&mut request).await;
                    match answer {
                        Some(answer) if read.is_ok() => {
                            drop(stream.write_all(&answer).await);
                            drop(stream.shutdown().await);
                        }
                        _ => std::future::pending::<()>().await,
                    }
                });
            }
        });
        Self { url, connections, task }
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A client with a deadline short enough for tests, and a limit of 1000 bytes per response.
pub(crate) fn client(network: &Network) -> Client {
    Client::new("Acme", network, limits(5, 20)).unwrap()
}

/// The same, with a very short timeout.
pub(crate) fn impatient() -> Client {
    Client::new("Acme", &Network::default(), limits(3, 3)).unwrap()
}

fn limits(connect: u64, request: u64) -> Limits {
    Limits::default()
        .with_connect(Duration::from_secs(connect))
        .with_request(Duration::from_secs(request))
        .with_body(1000)
}
