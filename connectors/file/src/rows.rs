//! Splits bytes into rows.
//!
//! Common CSV parsers accept almost any input: a quote that is never closed swallows everything that follows, and the
//! accounts in it are silently missing. Here the bounds of rows are found strictly, and anything ambiguous is an error:
//! an unclosed quote, text after a closing quote, NUL bytes, a row without an end. Rows are read by position, so that a
//! page starts where the last one ended, and no byte is read twice.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::sync::Arc;

use crate::error::Error;

/// The number of bytes to read at a time.
const CHUNK: usize = 64 * 1024;

/// The maximum length of a row. No account's row is longer; such a row is caused by an unclosed quote, and must not
/// fill the memory.
pub(crate) const LONGEST_ROW: usize = 1024 * 1024;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The identity of a file at one time. If it is still the same later, the file was neither replaced nor written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    device: u64,
    inode: u64,
    pub(crate) modified: (i64, i64),
    pub(crate) length: u64,
}

impl Identity {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            length: metadata.len(),
        }
    }
}

/// One row of the file.
#[derive(Debug, Default)]
pub(crate) struct Row {
    /// Its start in bytes, after a byte order mark.
    pub(crate) start: u64,
    /// Its end, after the line break.
    pub(crate) end: u64,
    /// The line on which it starts, from 1.
    pub(crate) line: u64,
    /// Its content, without the line break.
    pub(crate) bytes: Vec<u8>,
    /// Its line break; empty if the file ends before.
    pub(crate) line_break: &'static str,
}

/// How the end of a row is recognized.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Syntax {
    /// At a line break outside of quotes; this is the field separator.
    Csv(u8),
    /// At every line break.
    Lines,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    FieldStart,
    Plain,
    Quoted,
    /// After a quote inside quotes: a second quote is an escaped quote, anything else shows that the field was closed.
    Quote,
    CarriageReturn,
}

/// Reads the rows of one file from a given position.
#[derive(Debug)]
pub(crate) struct Rows {
    file: Arc<File>,
    name: Arc<str>,
    syntax: Syntax,
    length: u64,
    buffer: Vec<u8>,
    /// The number of bytes of `buffer` that have been used.
    used: usize,
    /// The position in the file after `buffer`.
    fetched: u64,
    line: u64,
    /// The number of bytes that this reader has read from the file.
    bytes_read: u64,
}

impl Rows {
    /// Reads `file` of size `length` from `position`, where a row must start.
    pub(crate) fn new(
        file: Arc<File>,
        name: Arc<str>,
        syntax: Syntax,
        length: u64,
        position: u64,
        line: u64,
    ) -> Self {
        Self {
            file,
            name,
            syntax,
            length,
            buffer: Vec::new(),
            used: 0,
            fetched: position,
            line,
            bytes_read: 0,
        }
    }

    /// The start of the next row.
    pub(crate) fn position(&self) -> u64 {
        self.fetched - (self.buffer.len() - self.used) as u64
    }

    /// The line on which the next row starts.
    pub(crate) fn line(&self) -> u64 {
        self.line
    }

    pub(crate) fn bytes_read(&self) -> u64 {
        self.bytes_read
    }

    /// Reads the next row into `row`; `false` at the end of the file. Blank rows are returned as well, with no bytes.
    pub(crate) fn next(&mut self, row: &mut Row) -> Result<bool, Error> {
        if self.position() == 0 {
            self.skip_byte_order_mark()?;
        }
        row.bytes.clear();
        row.start = self.position();
        row.line = self.line;
        let mut state = State::FieldStart;
        loop {
            if self.used == self.buffer.len() && !self.fill()? {
                break;
            }
            let chunk = self.buffer.get(self.used..).unwrap_or_default();
            let mut ended = false;
            let mut taken = 0;
            for &byte in chunk {
                taken += 1;
                if byte == b'\n' {
                    self.line += 1;
                }
                (state, ended) = step(state, byte, self.syntax)
                    .map_err(|reason| Error::damaged(&self.name, row.line, reason))?;
                if ended {
                    break;
                }
            }
            row.bytes.extend_from_slice(chunk.get(..taken).unwrap_or_default());
            self.used += taken;
            // `bytes` still includes the line break.
            if row.bytes.len() > LONGEST_ROW + 2 {
                let reason =
                    format!("the row is longer than {LONGEST_ROW} bytes; probably a quote is never closed");
                return Err(Error::damaged(&self.name, row.line, reason));
            }
            if ended {
                row.end = self.position();
                row.bytes.pop();
                row.line_break = if row.bytes.last() == Some(&b'\r') {
                    row.bytes.pop();
                    "\r\n"
                } else {
                    "\n"
                };
                return Ok(true);
            }
        }
        row.end = self.position();
        row.line_break = "";
        match state {
            State::Quoted => {
                let reason = "a quote is never closed, or the file is truncated";
                Err(Error::damaged(&self.name, row.line, reason))
            }
            State::CarriageReturn => {
                let reason = "the file is truncated inside its last line break";
                Err(Error::damaged(&self.name, row.line, reason))
            }
            _ => Ok(!row.bytes.is_empty()),
        }
    }

    fn skip_byte_order_mark(&mut self) -> Result<(), Error> {
        if self.buffer.is_empty() && !self.fill()? {
            return Ok(());
        }
        if self.buffer.starts_with(BYTE_ORDER_MARK) {
            self.used = BYTE_ORDER_MARK.len();
        }
        Ok(())
    }

    /// Reads the next chunk; `false` at the end. Never reads beyond the size that the file had when it was opened.
    fn fill(&mut self) -> Result<bool, Error> {
        let wanted =
            usize::try_from(self.length.saturating_sub(self.fetched)).map_or(CHUNK, |rest| rest.min(CHUNK));
        if wanted == 0 {
            return Ok(false);
        }
        self.buffer.resize(wanted, 0);
        self.used = 0;
        let mut filled = 0;
        // Fill the buffer completely: a byte order mark must not be split across two chunks.
        while let Some(rest) = self.buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.file.read_at(rest, self.fetched + filled as u64) {
                Ok(0) => {
                    self.buffer.clear();
                    return Err(Error::Changed { file: self.name.to_string() });
                }
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.buffer.clear();
                    return Err(Error::io("read", &*self.name, error));
                }
            }
        }
        self.fetched += filled as u64;
        self.bytes_read += filled as u64;
        Ok(true)
    }
}

/// The state after one more byte, and whether the row ends with it.
fn step(state: State, byte: u8, syntax: Syntax) -> Result<(State, bool), &'static str> {
    const NUL: &str = "contains a NUL byte: the file is damaged, or not UTF-8; save it as UTF-8";
    if byte == 0 {
        return Err(NUL);
    }
    let Syntax::Csv(delimiter) = syntax else {
        return Ok((State::Plain, byte == b'\n'));
    };
    Ok(match (state, byte) {
        (State::Quoted, b'"') => (State::Quote, false),
        (State::Quoted, _) | (State::FieldStart | State::Quote, b'"') => (State::Quoted, false),
        (_, b'\n') => (State::FieldStart, true),
        (State::CarriageReturn, _) => {
            return Err("contains a carriage return without a line feed; end lines with LF or CRLF");
        }
        (_, b'\r') => (State::CarriageReturn, false),
        (_, byte) if byte == delimiter => (State::FieldStart, false),
        (State::Quote, _) => {
            return Err("contains text after a closing quote; double a quote inside a quoted field");
        }
        (State::FieldStart | State::Plain, _) => (State::Plain, false),
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    type Read = (u64, u64, u64, String, &'static str);

    fn rows_of(content: &[u8], syntax: Syntax) -> Result<Vec<Read>, Error> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        let mut rows = Rows::new(Arc::new(file), "accounts.csv".into(), syntax, content.len() as u64, 0, 1);
        let mut row = Row::default();
        let mut read = Vec::new();
        while rows.next(&mut row)? {
            let text = String::from_utf8_lossy(&row.bytes).into_owned();
            read.push((row.start, row.end, row.line, text, row.line_break));
        }
        assert_eq!(rows.position(), content.len() as u64);
        Ok(read)
    }

    fn csv(content: &str) -> Result<Vec<String>, String> {
        rows_of(content.as_bytes(), Syntax::Csv(b','))
            .map(|rows| rows.into_iter().map(|row| row.3).collect())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn rows_have_byte_offsets_and_line_numbers() {
        let rows = rows_of(b"\xef\xbb\xbfid,name\r\n1,\"a\nb\"\n\n2,c", Syntax::Csv(b',')).unwrap();
        let expected = [
            (3, 12, 1, "id,name", "\r\n"),
            (12, 20, 2, "1,\"a\nb\"", "\n"),
            (20, 21, 4, "", "\n"),
            (21, 24, 5, "2,c", ""),
        ];
        assert_eq!(
            rows,
            expected.map(|(start, end, line, text, eol)| (start, end, line, text.to_owned(), eol))
        );
    }

    #[test]
    fn unclosed_quote_is_an_error() {
        assert!(csv("id,name\n1,\"Ann\n2,Bob\n").unwrap_err().contains("line 2: a quote is never closed"));
        // The quote of the next row would close the field, and Bob would become part of Ann's name.
        assert!(csv("id,name\n1,\"Ann\n2,\"Bob\"\n").unwrap_err().contains("after a closing quote"));
    }

    #[test]
    fn quotes_inside_unquoted_fields_are_literal() {
        assert_eq!(csv("1,5\" pipe\n2,x\n").unwrap(), ["1,5\" pipe", "2,x"]);
        assert_eq!(csv("1,\"say \"\"hi\"\"\"\n").unwrap(), ["1,\"say \"\"hi\"\"\""]);
    }

    #[test]
    fn damaged_rows_are_errors() {
        assert!(csv("id\n1\0\n").unwrap_err().contains("NUL"));
        assert!(csv("id\r1\n").unwrap_err().contains("carriage return"));
        assert!(csv("id\n1\r").unwrap_err().contains("truncated"));
        let endless = format!("id\n\"{}", "a,\n".repeat(LONGEST_ROW / 2));
        assert!(csv(&endless).unwrap_err().contains("line 2: the row is longer"));
    }

    #[test]
    fn json_lines_ignores_csv_quotes() {
        let rows = rows_of(b"{\"a\":\"\n}\n", Syntax::Lines).unwrap();
        assert_eq!(rows.len(), 2);
    }

    #[test]
    fn file_that_shrinks_while_read_is_an_error() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"id\n1\n").unwrap();
        let mut rows = Rows::new(Arc::new(file), "accounts.csv".into(), Syntax::Lines, 100, 0, 1);
        let error = rows.next(&mut Row::default()).unwrap_err();
        assert!(matches!(error, Error::Changed { .. }), "{error}");
    }

    #[test]
    fn every_byte_is_read_once_across_chunks() {
        let content = "1,\"quoted, and\nbroken\"\r\n".repeat(3 * CHUNK / 20);
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content.as_bytes()).unwrap();
        let length = content.len() as u64;
        let mut rows = Rows::new(Arc::new(file), "a".into(), Syntax::Csv(b','), length, 0, 1);
        let mut row = Row::default();
        let mut count = 0;
        while rows.next(&mut row).unwrap() {
            assert_eq!(row.bytes, b"1,\"quoted, and\nbroken\"");
            count += 1;
        }
        assert_eq!((count, rows.bytes_read()), (3 * CHUNK / 20, length));
    }
}
