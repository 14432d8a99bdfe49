//! Reads the body of a response within limits of size and time.

use reqwest::Response;
use reqwest::header::CONTENT_ENCODING;
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
    /// The connection failed.
    #[error("the response was cut off")]
    Cut(#[source] reqwest::Error),
    /// The whole response arrived, and it cannot be decompressed: it was damaged or cut off before it was sent, or it is not compressed.
    #[error("the response is not compressed as its Content-Encoding says, or is damaged")]
    Damaged(#[source] reqwest::Error),
    /// The response has an encoding that was not requested.
    #[error("the response has the Content-Encoding {0}, which was not requested")]
    Encoded(String),
    /// The body did not end in time.
    #[error("the response did not end in time")]
    Late,
}

/// Reads a complete body of at most `limit` bytes (after decompression), before `deadline`.
pub async fn read(response: &mut Response, limit: usize, deadline: Instant) -> Result<Vec<u8>, Error> {
    let mut body = Vec::new();
    read_into(&mut body, response, limit, deadline).await?;
    plain(response, body)
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
        Ok(()) if !is_announced => plain(response, body).map_err(|error| (error, Vec::new())),
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
            Ok(Err(error)) => return Err(failed(error.without_url())),
            Ok(Ok(None)) => return Ok(()),
            Ok(Ok(Some(chunk))) if body.len() + chunk.len() > limit => {
                body.extend_from_slice(&chunk[..limit - body.len()]);
                return Err(Error::TooLarge(limit));
            }
            Ok(Ok(Some(chunk))) => body.extend_from_slice(&chunk),
        }
    }
}

/// A body that failed. reqwest has one kind of error for both; a decompressor's own error is directly below it, while that of a connection is
/// wrapped by the HTTP library.
fn failed(error: reqwest::Error) -> Error {
    let is_decompressor = std::error::Error::source(&error)
        .is_some_and(|source| source.is::<std::io::Error>() || source.to_string().contains("decompressed"));
    if is_decompressor { Error::Damaged(error) } else { Error::Cut(error) }
}

/// The body, unless it still has an encoding: reqwest removes the header if it decompresses.
fn plain(response: &Response, body: Vec<u8>) -> Result<Vec<u8>, Error> {
    let encodings = response.headers().get_all(CONTENT_ENCODING).iter();
    let names = encodings.map(|value| value.to_str().unwrap_or("?").trim().to_ascii_lowercase());
    match names.into_iter().find(|name| !matches!(name.as_str(), "" | "identity")) {
        Some(name) if !body.is_empty() => {
            let shown = name.chars().filter(char::is_ascii_graphic).take(20).collect();
            Err(Error::Encoded(shown))
        }
        _ => Ok(body),
    }
}
