//! PostgreSQL's protocol, version 3. The server itself raises the errors, so that the state of the transaction is realistic.

use super::super::bad::{Bad, Bads};
use super::{Answered, Asked, Language, Means, Refusal, Said, seen, take, verb};

const fn said(name: &'static str, state: &'static str, means: Means) -> Said {
    Said { name, number: 0, state, means, ends: false, is_a_variant: false }
}

const CANCELLED: Said = said("query_canceled", "57014", Means::Busy);
const TOO_MANY: Said = said("too_many_connections", "53300", Means::Busy).variant();
const CONFLICT: Said = said("serialization_failure", "40001", Means::Busy);
const DEADLOCK: Said = said("deadlock_detected", "40P01", Means::Busy).variant();
const LOCKED: Said = said("lock_not_available", "55P03", Means::Busy).variant();
const DENIED: Said = said("insufficient_privilege", "42501", Means::Denied);
const FULL: Said = said("disk_full", "53100", Means::Trouble).variant();
const BROKEN: Said = said("internal_error", "XX000", Means::Trouble);
const GOING_DOWN: Said = Said {
    name: "admin_shutdown",
    number: 0,
    state: "57P01",
    means: Means::Busy,
    ends: true,
    is_a_variant: false,
};

pub(super) static BADS: Bads = Bads {
    refusals: &[
        Bad::Says(CANCELLED),
        Bad::Says(CONFLICT),
        Bad::Says(DENIED),
        Bad::Says(BROKEN),
        Bad::Says(GOING_DOWN),
    ],
    confused: &[],
    lost: &[Bad::HangUp, Bad::Half],
    broken: &[Bad::Partly(CANCELLED), Bad::Half, Bad::HangUp],
    reading: &[Bad::Says(CANCELLED), Bad::Says(CONFLICT), Bad::Says(DENIED), Bad::Says(GOING_DOWN)],
    tried: &[
        Bad::Says(CANCELLED),
        Bad::Says(TOO_MANY),
        Bad::Says(DEADLOCK),
        Bad::Says(LOCKED),
        Bad::Says(DENIED),
        Bad::Says(FULL),
        Bad::Says(GOING_DOWN),
    ],
    down: &[Bad::Says(TOO_MANY), Bad::Says(GOING_DOWN), Bad::HangUp],
};

#[derive(Default)]
pub(super) struct Postgres {
    /// Whether the first message, which has no type, has arrived.
    has_begun: bool,
    /// Whether the login is complete.
    is_ready: bool,
    /// The messages of the request so far.
    gathered: Vec<u8>,
    /// The statement that was prepared last, which is usually the next one to be executed.
    statement: String,
    executes: bool,
}

/// A message with its type, once it has arrived completely.
fn message(buffer: &mut Vec<u8>) -> Option<(u8, Vec<u8>)> {
    let kind = *buffer.first()?;
    let length = u32::from_be_bytes(buffer.get(1..5)?.try_into().ok()?);
    let end = 1 + usize::try_from(length).ok()?;
    (buffer.len() >= end).then(|| (kind, take(buffer, end)))
}

/// A zero-terminated string.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes.split(|byte| *byte == 0).next().unwrap_or_default()).into_owned()
}

fn framed(kind: u8, contents: &[u8]) -> Vec<u8> {
    let length = u32::try_from(contents.len() + 4).unwrap_or(u32::MAX);
    [&[kind], &length.to_be_bytes()[..], contents].concat()
}

fn error(said: Said) -> Vec<u8> {
    let severity = if said.ends { "FATAL" } else { "ERROR" };
    let fields = format!("S{severity}\0V{severity}\0C{}\0Mthe kit says {}\0\0", said.state, said.name);
    framed(b'E', fields.as_bytes())
}

impl Language for Postgres {
    fn request(&mut self, from_client: &mut Vec<u8>) -> Option<Asked> {
        let unseen = |bytes| Some(Asked { bytes, seen: None, id: 0, kind: 0 });
        if !self.has_begun {
            let length = u32::from_be_bytes(from_client.get(..4)?.try_into().ok()?);
            let length = usize::try_from(length).ok().filter(|length| from_client.len() >= *length)?;
            self.has_begun = true;
            return unseen(take(from_client, length));
        }
        loop {
            let (kind, bytes) = message(from_client)?;
            if !self.is_ready || kind == b'X' {
                return unseen(bytes);
            }
            let contents = bytes.get(5..).unwrap_or_default();
            match kind {
                b'Q' => self.statement = text(contents),
                b'P' => {
                    let query = contents.iter().position(|byte| *byte == 0).map_or(0, |end| end + 1);
                    self.statement = text(contents.get(query..).unwrap_or_default());
                }
                _ => {}
            }
            self.executes |= matches!(kind, b'Q' | b'E');
            self.gathered.extend(bytes);
            if matches!(kind, b'Q' | b'S') {
                let executes = std::mem::take(&mut self.executes);
                let method = if executes { verb(&self.statement) } else { "PREPARE".to_owned() };
                let bytes = std::mem::take(&mut self.gathered);
                let seen = seen(&method, &self.statement, &bytes);
                return Some(Asked { seen: Some(seen), bytes, id: 0, kind });
            }
        }
    }

    fn answer(&mut self, from_target: &mut Vec<u8>) -> Option<Answered> {
        let (kind, bytes) = message(from_target)?;
        self.is_ready |= kind == b'Z';
        Some(Answered { bytes, id: 0, is_done: kind == b'Z', code: None })
    }

    fn refuse(&self, _: &Asked, said: Said) -> Refusal {
        if said.ends {
            return Refusal::ByRelay(error(said));
        }
        let (state, name) = (said.state, said.name);
        let raise = format!(
            "DO $kit$ BEGIN RAISE EXCEPTION USING ERRCODE = '{state}', MESSAGE = 'the kit says {name}'; END $kit$\0"
        );
        Refusal::ByTarget(framed(b'Q', raise.as_bytes()))
    }

    fn partly(&self, answered: Answered, said: Said, records: &mut usize) -> Vec<u8> {
        match answered.bytes.first() {
            Some(b'D') => {
                *records += 1;
                if *records > 1 { Vec::new() } else { answered.bytes }
            }
            Some(b'C' | b's') => Vec::new(),
            Some(b'Z') => [error(said), answered.bytes].concat(),
            _ => answered.bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_ends_where_the_server_responds() {
        let mut postgres = Postgres::default();
        let mut buffer = vec![0, 0, 0, 8, 0, 3, 0, 0];
        assert!(postgres.request(&mut buffer).unwrap().seen.is_none());
        let mut login = framed(b'R', &[0, 0, 0, 0]);
        login.extend(framed(b'Z', b"I"));
        while postgres.answer(&mut login).is_some() {}
        buffer.extend(framed(b'P', b"\0INSERT INTO t VALUES ($1)\0\0\0"));
        buffer.extend(framed(b'D', b"S\0"));
        assert!(postgres.request(&mut buffer).is_none());
        buffer.extend(framed(b'S', b""));
        let prepared = postgres.request(&mut buffer).unwrap().seen.unwrap();
        assert_eq!(
            (prepared.method.as_str(), prepared.path.as_str()),
            ("PREPARE", "INSERT INTO t VALUES ($1)")
        );
        buffer.extend([framed(b'B', b""), framed(b'E', b""), framed(b'S', b"")].concat());
        let executed = postgres.request(&mut buffer).unwrap();
        assert_eq!(executed.seen.as_ref().unwrap().method, "INSERT");
        buffer.extend(framed(b'Q', b" begin\0"));
        assert_eq!(postgres.request(&mut buffer).unwrap().seen.unwrap().method, "BEGIN");
    }
}
