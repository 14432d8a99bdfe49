//! The protocol of MySQL and MariaDB. An error is raised by the server itself, with `SIGNAL`.

use super::super::bad::{Bad, Bads};
use super::{Answered, Asked, Language, Means, Refusal, Said, seen, take, verb};

const fn said(name: &'static str, number: u16, state: &'static str, means: Means) -> Said {
    Said { name, number, state, means, ends: false, is_a_variant: false }
}

const LOCKED: Said = said("lock wait timeout", 1205, "HY000", Means::Busy).variant();
const DEADLOCK: Said = said("deadlock", 1213, "40001", Means::Busy);
const TOO_MANY: Said = said("too many connections", 1040, "08004", Means::Busy).variant();
const INTERRUPTED: Said = said("query interrupted", 1317, "70100", Means::Busy).variant();
const DENIED: Said = said("table access denied", 1142, "42000", Means::Denied);
const FULL: Said = said("table is full", 1114, "HY000", Means::Trouble);
const READ_ONLY: Said = said("read only", 1290, "HY000", Means::Trouble).variant();
const GOING_DOWN: Said = Said { ends: true, ..said("server shutdown", 1053, "08S01", Means::Busy) };

pub(super) static BADS: Bads = Bads {
    refusals: &[Bad::Says(DEADLOCK), Bad::Says(DENIED), Bad::Says(FULL), Bad::Says(GOING_DOWN)],
    confused: &[],
    lost: &[Bad::HangUp, Bad::Half],
    broken: &[Bad::Half, Bad::HangUp],
    reading: &[Bad::Says(DEADLOCK), Bad::Says(DENIED), Bad::Says(GOING_DOWN)],
    tried: &[
        Bad::Says(LOCKED),
        Bad::Says(DEADLOCK),
        Bad::Says(TOO_MANY),
        Bad::Says(INTERRUPTED),
        Bad::Says(DENIED),
        Bad::Says(FULL),
        Bad::Says(READ_ONLY),
        Bad::Says(GOING_DOWN),
    ],
    down: &[Bad::Says(TOO_MANY), Bad::Says(GOING_DOWN), Bad::HangUp],
};

const QUIT: u8 = 0x01;
const QUERY: u8 = 0x03;
const PREPARE: u8 = 0x16;
const EXECUTE: u8 = 0x17;
const LONG_DATA: u8 = 0x18;
const CLOSE: u8 = 0x19;

#[derive(Default)]
pub(super) struct MySql {
    /// Whether the server has sent its greeting.
    has_begun: bool,
    /// Whether the login is complete.
    is_ready: bool,
    /// The statement that was prepared last, which is usually the next one to be executed.
    statement: String,
}

/// A packet, once it has arrived completely.
fn packet(buffer: &mut Vec<u8>) -> Option<Vec<u8>> {
    let [low, middle, high, _] = *buffer.first_chunk::<4>()?;
    let end = 4 + usize::try_from(u32::from_le_bytes([low, middle, high, 0])).ok()?;
    (buffer.len() >= end).then(|| take(buffer, end))
}

fn framed(contents: &[u8]) -> Vec<u8> {
    let length = u32::try_from(contents.len()).unwrap_or_default().to_le_bytes();
    [length.get(..3).unwrap_or_default(), &[0], contents].concat()
}

impl Language for MySql {
    fn request(&mut self, from_client: &mut Vec<u8>) -> Option<Asked> {
        let bytes = packet(from_client)?;
        let (kind, sequence) = (bytes.get(4).copied().unwrap_or_default(), bytes.get(3).copied());
        let unanswered = matches!(kind, QUIT | LONG_DATA | CLOSE);
        if !self.is_ready || sequence != Some(0) || unanswered {
            return Some(Asked { bytes, seen: None, id: 0, kind });
        }
        if matches!(kind, QUERY | PREPARE) {
            self.statement = String::from_utf8_lossy(bytes.get(5..).unwrap_or_default()).into_owned();
        }
        let method = match kind {
            QUERY | EXECUTE => verb(&self.statement),
            PREPARE => "PREPARE".to_owned(),
            _ => "PING".to_owned(),
        };
        let seen = seen(&method, &self.statement, &bytes);
        Some(Asked { seen: Some(seen), bytes, id: 0, kind })
    }

    fn answer(&mut self, from_target: &mut Vec<u8>) -> Option<Answered> {
        let bytes = packet(from_target)?;
        let first = bytes.get(4).copied();
        self.is_ready |= self.has_begun && matches!(first, Some(0 | 0xff));
        self.has_begun = true;
        // The server's first packet contains the result.
        Some(Answered { bytes, id: 0, is_done: true, code: None })
    }

    fn refuse(&self, _: &Asked, said: Said) -> Refusal {
        let Said { name, number, state, .. } = said;
        let mut command = vec![QUERY];
        command.extend(
            format!(
                "SIGNAL SQLSTATE '{state}' SET MYSQL_ERRNO = {number}, MESSAGE_TEXT = 'the kit says {name}'"
            )
            .as_bytes(),
        );
        Refusal::ByTarget(framed(&command))
    }

    fn partly(&self, answered: Answered, _: Said, _: &mut usize) -> Vec<u8> {
        answered.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_count_as_requests_after_login() {
        let mut mysql = MySql::default();
        let mut greeting = framed(b"\x0a11.8");
        assert!(mysql.answer(&mut greeting).is_some());
        let mut buffer = framed(b"login");
        assert!(mysql.request(&mut buffer).unwrap().seen.is_none());
        let mut welcome = framed(&[0, 0, 0]);
        assert!(mysql.answer(&mut welcome).is_some());
        buffer = framed(b"\x16DELETE FROM t WHERE id = ?");
        let last = buffer.pop().unwrap();
        assert!(mysql.request(&mut buffer).is_none());
        buffer.push(last);
        assert_eq!(mysql.request(&mut buffer).unwrap().seen.unwrap().method, "PREPARE");
        buffer = framed(&[EXECUTE, 1, 0, 0, 0]);
        assert_eq!(mysql.request(&mut buffer).unwrap().seen.unwrap().method, "DELETE");
        buffer = framed(&[CLOSE, 1, 0, 0, 0]);
        assert!(mysql.request(&mut buffer).unwrap().seen.is_none());
    }
}
