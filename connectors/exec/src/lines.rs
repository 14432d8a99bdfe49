//! Reads the lines of a child process without relying on it to end them.

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};

/// How many bytes to request from the pipe in one read.
const CHUNK: usize = 64 * 1024;

/// What to do with a line that exceeds the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Overflow {
    /// Fails immediately, however long the line may become.
    Fail,
    /// Drops what exceeds the limit; the line is truncated.
    Cut,
}

/// Why a line cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LineError {
    /// The line exceeds the limit.
    #[error("a line of its output is longer than {limit} bytes")]
    TooLong {
        /// The limit in bytes.
        limit: usize,
    },
    /// The output ended in the middle of a line, so its beginning is meaningless.
    #[error("its output ended in the middle of a line")]
    Unfinished,
    /// The pipe failed.
    #[error("its output cannot be read")]
    Read(#[source] std::io::Error),
}

/// Reads lines of bounded length. Memory is bounded by the limit and one chunk.
pub(crate) struct LineReader<R> {
    inner: BufReader<R>,
    line: Vec<u8>,
    limit: usize,
    overflow: Overflow,
}

impl<R: AsyncRead + Unpin> LineReader<R> {
    /// Reads lines of at most `limit` bytes, not counting the line break.
    pub(crate) fn new(inner: R, limit: usize, overflow: Overflow) -> Self {
        Self { inner: BufReader::with_capacity(CHUNK, inner), line: Vec::new(), limit, overflow }
    }

    /// The next line without its line break; `None` if the output ended after a complete line.
    ///
    /// Cancel safe: partial input stays in `self`, and the only `.await` is on `fill_buf`, which is cancel safe.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<u8>>, LineError> {
        loop {
            let chunk = self.inner.fill_buf().await.map_err(LineError::Read)?;
            if chunk.is_empty() {
                return match (self.line.is_empty(), self.overflow) {
                    (true, _) => Ok(None),
                    (false, Overflow::Fail) => Err(LineError::Unfinished),
                    (false, Overflow::Cut) => Ok(Some(std::mem::take(&mut self.line))),
                };
            }
            let end = chunk.iter().position(|byte| *byte == b'\n');
            let part = &chunk[..end.unwrap_or(chunk.len())];
            let room = self.limit.saturating_sub(self.line.len());
            if part.len() > room && self.overflow == Overflow::Fail {
                return Err(LineError::TooLong { limit: self.limit });
            }
            self.line.extend_from_slice(&part[..part.len().min(room)]);
            let used = part.len() + usize::from(end.is_some());
            self.inner.consume(used);
            if end.is_some() {
                return Ok(Some(std::mem::take(&mut self.line)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::io::AsyncWriteExt;

    use super::*;

    async fn all(input: &[u8], limit: usize, overflow: Overflow) -> (Vec<Vec<u8>>, Option<LineError>) {
        let mut reader = LineReader::new(input, limit, overflow);
        let mut lines = Vec::new();
        loop {
            match reader.next().await {
                Ok(Some(line)) => lines.push(line),
                Ok(None) => return (lines, None),
                Err(error) => return (lines, Some(error)),
            }
        }
    }

    #[tokio::test]
    async fn line_over_the_limit_fails_or_is_truncated() {
        let (lines, error) = all(b"abcd\nabcde\nx\n", 4, Overflow::Fail).await;
        assert_eq!(lines, [b"abcd"]);
        assert!(matches!(error, Some(LineError::TooLong { limit: 4 })));
        let (lines, error) = all(b"abcd\nabcdefgh\nx\n", 4, Overflow::Cut).await;
        assert_eq!(lines, [&b"abcd"[..], b"abcd", b"x"]);
        assert!(error.is_none());
    }

    #[tokio::test]
    async fn unterminated_line_is_an_error() {
        let (lines, error) = all(b"one\ntwo", 10, Overflow::Fail).await;
        assert_eq!(lines, [b"one"]);
        assert!(matches!(error, Some(LineError::Unfinished)));
    }

    #[tokio::test]
    async fn cancelled_read_loses_no_data() {
        let (mut writer, reader) = tokio::io::duplex(64);
        let mut reader = LineReader::new(reader, 100, Overflow::Fail);
        writer.write_all(b"half").await.unwrap();
        tokio::select! {
            biased;
            _ = reader.next() => panic!("there is no line yet"),
            () = tokio::task::yield_now() => {}
        }
        writer.write_all(b" a line\n").await.unwrap();
        assert_eq!(reader.next().await.unwrap().unwrap(), b"half a line");
    }

    proptest! {
        #[test]
        fn any_lines_are_read_back_unchanged(lines in prop::collection::vec("[^\n]{0,40}", 0..20)) {
            let input: String = lines.iter().flat_map(|line| [line, "\n"]).collect();
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let (read, error) = runtime.block_on(all(input.as_bytes(), 200, Overflow::Fail));
            prop_assert!(error.is_none());
            let expected: Vec<Vec<u8>> = lines.into_iter().map(String::into_bytes).collect();
            prop_assert_eq!(read, expected);
        }
    }
}
