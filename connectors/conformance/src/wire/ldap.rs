//! LDAP (RFC 4511): messages in BER, each with a message ID; several may be in progress at the same time.

use super::super::bad::{Bad, Bads};
use super::{Answered, Asked, Language, Means, Refusal, Said, seen, take};

const fn said(name: &'static str, number: u16, means: Means) -> Said {
    Said { name, number, state: "", means, ends: false, is_a_variant: false }
}

const TIME_LIMIT: Said = said("timeLimitExceeded", 3, Means::Trouble);
const SIZE_LIMIT: Said = said("sizeLimitExceeded", 4, Means::Trouble);
const ADMIN_LIMIT: Said = said("adminLimitExceeded", 11, Means::Trouble);
const BUSY: Said = said("busy", 51, Means::Busy).variant();
const UNAVAILABLE: Said = said("unavailable", 52, Means::Busy);
const DENIED: Said = said("insufficientAccessRights", 50, Means::Denied);
const OPERATIONS_ERROR: Said = said("operationsError", 1, Means::Trouble);
const OTHER: Said = said("other", 80, Means::Trouble).variant();
const NO_SUCH_OBJECT: Said = said("noSuchObject", 32, Means::Anything);

pub(super) static BADS: Bads = Bads {
    refusals: &[
        Bad::Says(OPERATIONS_ERROR),
        Bad::Says(NO_SUCH_OBJECT),
        Bad::Says(DENIED),
        Bad::Says(UNAVAILABLE),
        Bad::Says(OTHER),
    ],
    confused: &[],
    lost: &[Bad::HangUp, Bad::Half],
    broken: &[
        Bad::Says(SIZE_LIMIT),
        Bad::Says(ADMIN_LIMIT),
        Bad::Partly(SIZE_LIMIT),
        Bad::Partly(ADMIN_LIMIT),
        Bad::Partly(TIME_LIMIT),
        Bad::Half,
        Bad::HangUp,
    ],
    reading: &[Bad::Says(OPERATIONS_ERROR), Bad::Says(DENIED), Bad::Says(UNAVAILABLE)],
    tried: &[
        Bad::Says(BUSY),
        Bad::Says(UNAVAILABLE),
        Bad::Says(DENIED),
        Bad::Says(ADMIN_LIMIT),
        Bad::Says(OTHER),
    ],
    down: &[Bad::Says(UNAVAILABLE), Bad::Says(OTHER), Bad::HangUp],
};

pub(super) struct Ldap;

/// The name of an operation, and the tag of its response; `None` for operations without a response.
fn operation(tag: u8) -> Option<(&'static str, u8)> {
    Some(match tag {
        0x60 => ("BIND", 0x61),
        0x63 => ("SEARCH", 0x65),
        0x66 => ("MODIFY", 0x67),
        0x68 => ("ADD", 0x69),
        0x4a => ("DELETE", 0x6b),
        0x6c => ("RENAME", 0x6d),
        0x6e => ("COMPARE", 0x6f),
        0x77 => ("EXTENDED", 0x78),
        _ => return None,
    })
}

const ENTRY: u8 = 0x64;
const REFERENCE: u8 = 0x73;
const SEARCH_DONE: u8 = 0x65;
const INTERMEDIATE: u8 = 0x79;

/// The element at the start of these bytes: its tag, the start of its contents, and its end.
fn element(bytes: &[u8]) -> Option<(u8, usize, usize)> {
    let (tag, first) = (*bytes.first()?, *bytes.get(1)?);
    if first < 0x80 {
        return Some((tag, 2, 2 + usize::from(first)));
    }
    let count = usize::from(first & 0x7f);
    let length = bytes.get(2..2 + count)?;
    let length = length.iter().fold(0_usize, |length, byte| (length << 8) | usize::from(*byte));
    Some((tag, 2 + count, 2 + count + length))
}

/// A complete message: its bytes, its ID, the tag of its operation, and the start of the operation's contents.
fn message(buffer: &mut Vec<u8>) -> Option<(Vec<u8>, u32, u8, usize)> {
    let (_, begin, end) = element(buffer)?;
    if buffer.len() < end {
        return None;
    }
    let bytes = take(buffer, end);
    let parts = || {
        let (_, id_begins, id_ends) = element(bytes.get(begin..)?)?;
        let id = bytes.get(begin + id_begins..begin + id_ends)?;
        let id = id.iter().fold(0_u32, |id, byte| (id << 8) | u32::from(*byte));
        let (tag, contents, _) = element(bytes.get(begin + id_ends..)?)?;
        Some((id, tag, begin + id_ends + contents))
    };
    let (id, tag, contents) = parts().unwrap_or_default();
    Some((bytes, id, tag, contents))
}

/// A result with this code, an empty matched DN, and a diagnostic message.
fn result(id: u32, tag: u8, said: Said) -> Vec<u8> {
    let text = format!("the kit says {}", said.name);
    let mut contents = vec![0x0a, 1, u8::try_from(said.number).unwrap_or(80), 4, 0, 4];
    contents.extend(u8::try_from(text.len()));
    contents.extend(text.as_bytes());
    let mut body = vec![0x02, 5, 0];
    body.extend(id.to_be_bytes());
    body.push(tag);
    body.extend(u8::try_from(contents.len()));
    body.extend(contents);
    let mut message = vec![0x30];
    message.extend(u8::try_from(body.len()));
    message.extend(body);
    message
}

impl Language for Ldap {
    fn request(&mut self, from_client: &mut Vec<u8>) -> Option<Asked> {
        let (bytes, id, tag, contents) = message(from_client)?;
        // Without the message ID, which differs each time.
        let about = bytes.get(contents..).unwrap_or_default();
        let seen = operation(tag).map(|(method, _)| seen(method, "", about));
        Some(Asked { seen, id, kind: tag, bytes })
    }

    fn answer(&mut self, from_target: &mut Vec<u8>) -> Option<Answered> {
        let (bytes, id, tag, contents) = message(from_target)?;
        let is_done = !matches!(tag, ENTRY | REFERENCE | INTERMEDIATE);
        let code = bytes.get(contents + 2).copied().filter(|_| is_done).map(u16::from);
        Some(Answered { bytes, id, is_done, code })
    }

    fn refuse(&self, asked: &Asked, said: Said) -> Refusal {
        let tag = operation(asked.kind).map_or(SEARCH_DONE, |(_, tag)| tag);
        Refusal::ByRelay(result(asked.id, tag, said))
    }

    fn partly(&self, answered: Answered, said: Said, records: &mut usize) -> Vec<u8> {
        let mut copy = answered.bytes.clone();
        match message(&mut copy) {
            Some((_, id, SEARCH_DONE, _)) => result(id, SEARCH_DONE, said),
            Some((_, _, ENTRY | REFERENCE, _)) => {
                *records += 1;
                if *records > 1 { Vec::new() } else { answered.bytes }
            }
            _ => answered.bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ldap_result_round_trips_for_any_message_id() {
        for id in [1, 127, 128, 70_000] {
            let mut written = result(id, 0x6b, BUSY);
            written.extend([0x30, 7]);
            let answered = Ldap.answer(&mut written).unwrap();
            assert_eq!((answered.id, answered.code, answered.is_done), (id, Some(51), true));
            assert!(Ldap.answer(&mut written).is_none(), "the next one has not come yet");
            assert_eq!(written, [0x30, 7]);
        }
    }

    #[test]
    fn long_message_is_parsed_once_complete() {
        // An unbind request has no response.
        let mut unbind = vec![0x30, 5, 2, 1, 3, 0x42, 0];
        assert!(Ldap.request(&mut unbind).unwrap().seen.is_none());
        let mut delete = vec![0x30, 0x82, 1, 7, 2, 1, 9, 0x4a, 0x82, 1, 0];
        delete.extend([b'x'; 255]);
        assert!(Ldap.request(&mut delete).is_none());
        delete.push(b'x');
        let asked = Ldap.request(&mut delete).unwrap();
        let seen = asked.seen.unwrap();
        assert_eq!((asked.id, seen.method.as_str(), seen.body.len()), (9, "DELETE", 256));
    }
}
