//! Reading the body of an answer within bounds of size and time.

use reqwest::Response;
use tokio::time::timeout_at;

/// The clock that deadlines are of: the one that tests can pause.
pub use tokio::time::Instant;

/// Why a body was not read to its end.
// Exhaustive on purpose: whoever reads a body decides from it whether the request may have had an effect.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is larger than it may be.
    #[error("larger than {0} bytes")]
    TooLarge(usize),
    /// The connection broke, or what came cannot be decompressed.
    #[error("the response was cut off")]
    Cut(#[source] reqwest::Error),
    /// It did not come to its end in time.
    #[error("the response did not end in time")]
    Late,
}

/// Reads a body of at most `limit` bytes (after decompression), to its end, before `deadline`.
pub async fn read(response: &mut Response, limit: usize, deadline: Instant) -> Result<Vec<u8>, Error> {
    let mut body = Vec::new();
    read_into(&mut body, response, limit, deadline).await.map(|()| body)
}

/// Reads what comes of a body within the bounds: all of it, or its beginning.
pub async fn read_some(response: &mut Response, limit: usize, deadline: Instant) -> Vec<u8> {
    let mut body = Vec::new();
    match read_into(&mut body, response, limit, deadline).await {
        Ok(()) | Err(_) => body,
    }
}

/// As [`read`]. Of a body that is larger, its first `beginning` bytes come along with the error: they may say what it is.
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
    // Nothing is read of a body that announces itself as too large. The announcement is not trusted
    // otherwise.
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
