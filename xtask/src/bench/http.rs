//! A single keep-alive connection without further overhead.

use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use crate::failure::{Failure, Result};

/// A connection to the sandbox.
#[derive(Debug)]
pub(super) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    host: String,
    key: String,
}

impl Connection {
    pub(super) async fn open(address: SocketAddr, key: &str) -> Result<Self> {
        let stream = TcpStream::connect(address).await.map_err(|error| wrong(&error))?;
        stream.set_nodelay(true).map_err(|error| wrong(&error))?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(|error| wrong(&error))?;
        // It ends when the sender is dropped.
        drop(tokio::spawn(connection));
        Ok(Self { sender, host: address.to_string(), key: format!("Api-Key {key}") })
    }

    /// Sends a request and reads the complete response, which must be successful.
    pub(super) async fn call(&mut self, method: Method, path: &str, body: Bytes) -> Result<Bytes> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", &self.host)
            .header("authorization", &self.key)
            .header("content-type", "application/json")
            .body(Full::new(body))
            .map_err(|error| wrong(&error))?;
        self.sender.ready().await.map_err(|error| wrong(&error))?;
        let answer = self.sender.send_request(request).await.map_err(|error| wrong(&error))?;
        let status = answer.status();
        let body = answer.into_body().collect().await.map_err(|error| wrong(&error))?.to_bytes();
        if status.is_success() {
            return Ok(body);
        }
        Err(Failure::Unfit(format!(
            "the sandbox answers {path} with {status}: {}",
            String::from_utf8_lossy(&body)
        )))
    }

    pub(super) async fn get(&mut self, path: &str) -> Result<Value> {
        let body = self.call(Method::GET, path, Bytes::new()).await?;
        serde_json::from_slice(&body).map_err(|error| wrong(&error))
    }
}

fn wrong(error: &dyn std::error::Error) -> Failure {
    Failure::Unfit(format!("the sandbox cannot be asked: {error}"))
}
