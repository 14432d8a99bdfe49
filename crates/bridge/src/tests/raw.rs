//! A server below HTTP that can cut connections, send slowly, and never finish.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// What the server does after it has read a complete request.
#[derive(Clone)]
pub(super) enum Act {
    /// Sends these bytes and closes the connection.
    Send(Vec<u8>),
    /// Sends the first bytes, then the second ones repeatedly, as fast as the client reads.
    Repeat(Vec<u8>, Vec<u8>),
    /// Sends these bytes, then a space every 20 ms.
    Trickle(Vec<u8>),
    /// Sends nothing and keeps the connection open.
    Hang,
}

/// Handles each connection with the action for its number (from 0), and counts the requests.
pub(super) struct Raw {
    pub(super) url: String,
    requests: Arc<AtomicU32>,
    task: JoinHandle<()>,
}

impl Raw {
    pub(super) async fn start(act: impl Fn(u32) -> Act + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(AtomicU32::new(0));
        let (act, counter) = (Arc::new(act), Arc::clone(&requests));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (act, counter) = (Arc::clone(&act), Arc::clone(&counter));
                tokio::spawn(async move { serve(stream, |n| act(n), &counter).await });
            }
        });
        Self { url, requests, task }
    }

    pub(super) fn requests(&self) -> u32 {
        self.requests.load(Ordering::SeqCst)
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A client that disconnects ends any action, and this is not a failure.
async fn serve(mut stream: TcpStream, act: impl Fn(u32) -> Act, counter: &AtomicU32) {
    read_request(&mut stream).await;
    match act(counter.fetch_add(1, Ordering::SeqCst)) {
        Act::Send(bytes) => drop(stream.write_all(&bytes).await),
        Act::Repeat(head, bytes) => {
            if stream.write_all(&head).await.is_ok() {
                while stream.write_all(&bytes).await.is_ok() {}
            }
        }
        Act::Trickle(head) => {
            if stream.write_all(&head).await.is_ok() {
                while stream.write_all(b" ").await.is_ok() {
                    sleep(Duration::from_millis(20)).await;
                }
            }
        }
        Act::Hang => std::future::pending().await,
    }
}

async fn read_request(stream: &mut TcpStream) {
    let mut read = Vec::new();
    let head = loop {
        if let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(&mut read).await.unwrap_or(0) == 0 {
            return;
        }
    };
    let text = String::from_utf8_lossy(&read[..head]).to_lowercase();
    let length = text.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
    while read.len() < head + length.unwrap_or(0) {
        if stream.read_buf(&mut read).await.unwrap_or(0) == 0 {
            return;
        }
    }
}
