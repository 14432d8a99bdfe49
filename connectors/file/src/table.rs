//! A snapshot of one file, read row by row.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use crate::error::Error;
use crate::layout::{Layout, TypeFile};
use crate::records;
use crate::rows::{Identity, Row, Rows, Syntax};
use crate::schema::{Cells, Fault, Header, Schema, Splitter};

/// One file as it was when it was opened. Files are replaced by renaming, so an open file does not change, however
/// often another file gets its name.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) file: Arc<File>,
    pub(crate) identity: Identity,
    pub(crate) name: Arc<str>,
    pub(crate) path: PathBuf,
    pub(crate) schema: Schema,
    /// The start of the rows, after the header.
    pub(crate) body: u64,
    /// The line break of the first line; empty if the file ends before.
    pub(crate) first_line_break: &'static str,
    syntax: Syntax,
    body_line: u64,
    require_final_newline: bool,
}

/// Reads the rows of a snapshot.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) snapshot: Arc<Snapshot>,
    rows: Rows,
    pub(crate) splitter: Splitter,
    ends_open: bool,
}

impl Snapshot {
    /// Opens a file and reads its header, which must have an `id`. An empty file is an error: it says nothing about
    /// which accounts exist, and in particular not that there are none.
    pub(crate) fn open(layout: &Layout, of: &TypeFile) -> Result<Self, Error> {
        let path = layout.path(&of.file);
        // Checked before opening, because opening a pipe would block forever.
        let metadata = fs::metadata(&path).map_err(|error| Error::io("open", &path, error))?;
        if !metadata.is_file() {
            return Err(Error::damaged(&of.file, None, "is not a regular file"));
        }
        // The file may have become a pipe since the check, so opening it must not block either.
        let not_waiting = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
        let file = OpenOptions::new().read(true).custom_flags(not_waiting).open(&path);
        let file = Arc::new(file.map_err(|error| Error::io("open", &path, error))?);
        let metadata = file.metadata().map_err(|error| Error::io("read", &path, error))?;
        if !metadata.is_file() {
            return Err(Error::damaged(&of.file, None, "is not a regular file"));
        }
        let identity = Identity::of(&metadata);
        if identity.length == 0 {
            let reason = match layout.syntax {
                Syntax::Csv(_) => {
                    "the file is empty and has no header; a header without rows means that there are no \
                     records"
                }
                Syntax::Lines => "the file is empty; a single blank line means that there are no records",
            };
            return Err(Error::damaged(&of.file, None, reason));
        }
        let name: Arc<str> = of.file.as_str().into();
        let mut rows = Rows::new(file.clone(), name.clone(), layout.syntax, identity.length, 0, 1);
        let mut row = Row::default();
        rows.next(&mut row)?;
        let (schema, body, body_line) = match layout.syntax {
            Syntax::Csv(delimiter) => {
                let header = Header::parse(&name, &row, delimiter, &mut Splitter::new(delimiter))?;
                (Schema::Csv(header), row.end, rows.line())
            }
            Syntax::Lines => (Schema::Jsonl, row.start, 1),
        };
        schema.require(&name, "id")?;
        for column in schema.names() {
            if let Some(known) = records::misspelled(layout, of, column, |known| schema.has(known)) {
                let reason = format!(
                    "the header has the column '{column}', which would be ignored; write it as '{known}', or rename it"
                );
                return Err(Error::damaged(&name, 1, reason));
            }
        }
        let snapshot = Self {
            file,
            identity,
            name,
            path,
            schema,
            body,
            first_line_break: row.line_break,
            syntax: layout.syntax,
            body_line,
            require_final_newline: layout.require_final_newline,
        };
        snapshot.check_end(&row)?;
        Ok(snapshot)
    }

    /// Whether a field is in the header, or in the first row if each row names its fields.
    pub(crate) fn mentions(snapshot: &Arc<Self>, field: &str) -> bool {
        if !snapshot.schema.names().is_empty() {
            return snapshot.schema.has(field);
        }
        let mut table = Table::start(snapshot.clone());
        let first = table.next(&mut Row::default());
        matches!(first, Ok(Some(Ok(Cells::Jsonl(fields)))) if fields.contains_key(field))
    }

    /// Whether any row has a field, if each row names its fields.
    pub(crate) fn mentions_anywhere(snapshot: &Arc<Self>, field: &str) -> bool {
        let mut table = Table::start(snapshot.clone());
        let mut row = Row::default();
        while let Ok(Some(cells)) = table.next(&mut row) {
            if matches!(cells, Ok(Cells::Jsonl(fields)) if fields.contains_key(field)) {
                return true;
            }
        }
        false
    }

    /// The line break of the file.
    pub(crate) fn line_break(&self) -> &'static str {
        if self.first_line_break.is_empty() { "\n" } else { self.first_line_break }
    }

    /// Checks that no program has written to the open file since it was opened.
    pub(crate) fn verify(&self) -> Result<(), Error> {
        let now = self.file.metadata().map_err(|error| Error::io("read", &self.path, error))?;
        if Identity::of(&now) == self.identity {
            Ok(())
        } else {
            Err(Error::Changed { file: self.name.to_string() })
        }
    }

    /// Checks that the row is complete: the last row must end as the settings require.
    fn check_end(&self, row: &Row) -> Result<(), Error> {
        if row.line_break.is_empty() && self.require_final_newline {
            let reason = "the last line has no line break: the file is truncated, or still being written; \
                          if it is complete, add a line break";
            return Err(Error::damaged(&self.name, row.line, reason));
        }
        Ok(())
    }
}

impl Table {
    /// Reads from the first row.
    pub(crate) fn start(snapshot: Arc<Snapshot>) -> Self {
        let (body, line) = (snapshot.body, snapshot.body_line);
        Self::resume(snapshot, body, line)
    }

    /// Reads from `position`, where a row is known to start.
    pub(crate) fn resume(snapshot: Arc<Snapshot>, position: u64, line: u64) -> Self {
        let delimiter = match snapshot.syntax {
            Syntax::Csv(delimiter) => delimiter,
            Syntax::Lines => b',',
        };
        Self {
            rows: Rows::new(
                snapshot.file.clone(),
                snapshot.name.clone(),
                snapshot.syntax,
                snapshot.identity.length,
                position,
                line,
            ),
            splitter: Splitter::new(delimiter),
            snapshot,
            ends_open: false,
        }
    }

    /// The next non-blank row, with its fields or what is wrong with it; `None` at the end of the file.
    pub(crate) fn next(&mut self, row: &mut Row) -> Result<Option<Result<Cells, Fault>>, Error> {
        while self.rows.next(row)? {
            let blank = match self.snapshot.syntax {
                Syntax::Csv(_) => row.bytes.is_empty(),
                Syntax::Lines => row.bytes.iter().all(u8::is_ascii_whitespace),
            };
            if blank {
                self.ends_open = row.line_break.is_empty() && !row.bytes.is_empty();
                continue;
            }
            self.snapshot.check_end(row)?;
            let cells = self.snapshot.schema.decode(&row.bytes, &mut self.splitter);
            if row.line_break.is_empty() && cells.is_err() {
                let reason = "the last line is incomplete: the file is truncated, or still being written";
                return Err(Error::damaged(&self.snapshot.name, row.line, reason));
            }
            return Ok(Some(cells));
        }
        Ok(None)
    }

    /// Whether the file ends with a line of spaces without a line break. Only valid after all rows were read.
    pub(crate) fn ends_open(&self) -> bool {
        self.ends_open
    }

    /// The start of the next row in bytes, and its line.
    pub(crate) fn position(&self) -> (u64, u64) {
        (self.rows.position(), self.rows.line())
    }

    pub(crate) fn bytes_read(&self) -> u64 {
        self.rows.bytes_read()
    }
}
