//! Reads the body of a response within limits of size and time.

use reqwest::Response;
use tokio::time::timeout_at;

/// The clock for deadlines, which tests can pause.
pub use tokio::time::Instant;

/// Why a body was not read completely.
// Exhaustive on purpose: callers use it to decide whether the request may have had an effect.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The body is larger than the limit.
    #[error("larger than {0} bytes")]
    TooLarge(usize),
    /// The connection failed, or the data cannot be decompressed.
    #[error("the response was cut off")]
    Cut(#[source] reqwest::Error),
    /// The body did not end in time.
    #[error("the response did not end in time")]
    Late,
}

/// Reads a complete body of at most `limit` bytes (after decompression), before `deadline`.
pub async fn read(response: &mut Response, limit: usize, deadline: Instant) -> Result<Vec<u8>, Error> {
    let mut body = Vec::new();
    read_into(&mut body, response, limit, deadline).await.map(|()| body)
}

/// Reads as much of a body as the limits allow: all of it, or its beginning.
pub async fn read_some(response: &mut Response, limit: usize, deadline: Instant) -> Vec<u8> {
    let mut body = Vec::new();
    match read_into(&mut body, response, limit, deadline).await {
        Ok(()) | Err(_) => body,
    }
}

/// Like [`read`]. If a body is too large, its first `beginning` bytes are returned with the error: they may show what
/// it is.
pub async fn read_or_beginning(
    response: &mut Response,
    limit: usize,
    beginning: usize,
    deadline: Instant,
) -> Result<Vec<u8>, (Error, Vec<u8>)> {
    let mut body = Vec::new();
    let is_announced = response.content_length().is_some_and(|length| length > limit as u64);
    let bound = if is_announced { beginning.min(limit) } else { limit };
    match read_chunks(&mut body, response, bound, deadline).await {
        Ok(()) if !is_announced => Ok(body),
        Err(error) if !is_announced => {
            body.truncate(beginning);
            Err((error, body))
        }
        Ok(()) | Err(_) => Err((Error::TooLarge(limit), body)),
    }
}

async fn read_into(
    body: &mut Vec<u8>,
    response: &mut Response,
    limit: usize,
    deadline: Instant,
) -> Result<(), Error> {
    // A body whose declared length is too large is not read. Otherwise the declared length is not trusted.
    if response.content_length().is_some_and(|length| length > limit as u64) {
        return Err(Error::TooLarge(limit));
    }
    read_chunks(body, response, limit, deadline).await
}

async fn read_chunks(
    body: &mut Vec<u8>,
    response: &mut Response,
    limit: usize,
    deadline: Instant,
) -> Result<(), Error> {
    loop {
        match timeout_at(deadline, response.chunk()).await {
            Err(_) => return Err(Error::Late),
            Ok(Err(error)) => return Err(Error::Cut(error.without_url())),
            Ok(Ok(None)) => return Ok(()),
            Ok(Ok(Some(chunk))) if body.len() + chunk.len() > limit => {
                body.extend_from_slice(&chunk[..limit - body.len()]);
                return Err(Error::TooLarge(limit));
            }
            Ok(Ok(Some(chunk))) => body.extend_from_slice(&chunk),
        }
    }
}
