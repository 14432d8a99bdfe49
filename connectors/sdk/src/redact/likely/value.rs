//! Where the value of a name ends, and whether it is a secret or says something about one.

/// How a value is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// `name=value`, `"name": value`: a program has written it.
    Assigned,
    /// `name: value`: perhaps a sentence.
    Prose,
    /// Between quotes, or in an element.
    Quoted,
}

/// Values that say something about a secret, and words that only continue a sentence about its name.
const STATES: [&str; 87] = [
    "true",
    "false",
    "null",
    "none",
    "nil",
    "undefined",
    "yes",
    "no",
    "ok",
    "na",
    "n/a",
    "expired",
    "invalid",
    "missing",
    "required",
    "empty",
    "blank",
    "unset",
    "set",
    "unchanged",
    "changed",
    "revoked",
    "rejected",
    "denied",
    "refused",
    "wrong",
    "incorrect",
    "unknown",
    "unauthorized",
    "forbidden",
    "malformed",
    "weak",
    "disabled",
    "enabled",
    "locked",
    "unlocked",
    "failed",
    "failure",
    "timeout",
    "unavailable",
    "error",
    "eof",
    "hidden",
    "masked",
    "redacted",
    "present",
    "absent",
    "given",
    "optional",
    "unsupported",
    "mismatch",
    "duplicate",
    "short",
    "long",
    "valid",
    "read",
    "write",
    "manage",
    "delete",
    "flag",
    "option",
    "argument",
    "parameter",
    "value",
    "header",
    "field",
    "string",
    "number",
    "text",
    "instead",
    "not",
    "is",
    "must",
    "found",
    "used",
    "or",
    "and",
    "for",
    "with",
    "to",
    "in",
    "from",
    "by",
    "if",
    "as",
    "a",
    "the",
];

/// Words of sentences about secrets. A passphrase of several words rarely has one.
const SENTENCE: [&str; 24] = [
    "must",
    "is",
    "are",
    "was",
    "be",
    "been",
    "not",
    "has",
    "have",
    "cannot",
    "can't",
    "should",
    "too",
    "than",
    "required",
    "invalid",
    "characters",
    "does",
    "doesn't",
    "expired",
    "may",
    "needs",
    "contain",
    "contains",
];

/// The value that starts here, if it is a secret.
pub(super) fn at(text: &[u8], start: usize, style: Style, is_name_quoted: bool) -> Option<(usize, usize)> {
    match text.get(start)? {
        b'"' | b'\'' | b'`' => quoted(text, start, is_name_quoted),
        b'\\' if text.get(start + 1).is_some_and(|byte| b"\"'".contains(byte)) => {
            quoted(text, start, is_name_quoted)
        }
        b'[' if style == Style::Assigned => list(text, start),
        b'[' | b'{' | b'(' | b'<' | b'?' => None,
        _ => bare(text, start, style),
    }
}

/// The number of spaces and tabs here.
pub(super) fn blanks(text: &[u8], start: usize) -> usize {
    text.get(start..).unwrap_or_default().iter().take_while(|byte| **byte == b' ' || **byte == b'\t').count()
}

/// What is between the quotes that start here, if it is a secret.
pub(super) fn quoted(text: &[u8], start: usize, is_name_quoted: bool) -> Option<(usize, usize)> {
    let is_escaped = text.get(start) == Some(&b'\\');
    let from = start + 1 + usize::from(is_escaped);
    let quote = *text.get(from - 1)?;
    let mut end = from;
    loop {
        match text.get(end) {
            // Without an end, the secret may be all of the line.
            None | Some(b'\n' | b'\r') => break,
            Some(b'\\') if is_escaped && text.get(end + 1) == Some(&quote) => break,
            Some(b'\\') if !is_escaped => end += 1,
            Some(byte) if !is_escaped && *byte == quote => break,
            Some(_) => {}
        }
        end += 1;
    }
    let end = end.min(text.len());
    let content = text.get(from..end)?;
    // The quote belongs to what is around: `{"message": "bad password:", "code": 1}`.
    let is_outer = !is_name_quoted && content.first().is_some_and(|byte| b",}]):; \t".contains(byte));
    (!is_outer && !is_harmless(content, Style::Quoted)).then_some((from, end))
}

/// All of a list.
fn list(text: &[u8], start: usize) -> Option<(usize, usize)> {
    let content = text.get(start + 1..)?;
    if is_hidden(content) {
        return None;
    }
    let content = content.get(..content.iter().position(|byte| *byte == b']')?)?;
    let is_harmless = content
        .split(|byte| *byte == b',')
        .all(|item| is_harmless(trimmed(item, b" \t\"'\\"), Style::Quoted));
    (!is_harmless && !is_sentence(content)).then_some((start + 1, start + 1 + content.len()))
}

/// All up to the end of the line, or of the string that it is in.
pub(super) fn to_the_end(text: &[u8], start: usize, style: Style) -> Option<(usize, usize)> {
    if matches!(text.get(start)?, b'"' | b'\'' | b'\\') {
        return at(text, start, style, true);
    }
    let (from, first) = bare(text, start, style)?;
    let ends = |byte: &u8| b"\r\n\"".contains(byte);
    let rest = text.get(first..)?;
    // A parameter may be quoted: `Digest username="ann", response="…"`.
    let is_in_string = text.get(..start)?.split(|byte| *byte == b'"').count() % 2 == 0;
    let ends_line = |byte: &u8| b"\r\n".contains(byte);
    let length = if is_in_string { rest.iter().position(ends) } else { rest.iter().position(ends_line) };
    Some((from, length.map_or(text.len(), |length| first + length)))
}

/// One word, if it is a secret.
fn bare(text: &[u8], start: usize, style: Style) -> Option<(usize, usize)> {
    let rest = text.get(start..)?;
    let end = (0..rest.len()).find(|at| ends_here(rest, *at)).unwrap_or(rest.len());
    let word = rest.get(..end)?;
    let token = trimmed_end(word, b".,:;!?)]}>");
    if is_harmless(token, style) {
        return None;
    }
    let is_prose = style == Style::Prose
        && (is_word(token) && goes_on(rest.get(end..)?) || is_code(word, token) || is_path(token));
    (!is_prose).then_some((start, start + token.len()))
}

/// Whether a word ends before this byte. A sign that is part of a password has more of it behind.
fn ends_here(rest: &[u8], at: usize) -> bool {
    let (byte, next) = (rest.get(at).copied().unwrap_or(b' '), rest.get(at + 1).copied());
    let goes_on = next.is_some_and(|byte| byte.is_ascii_alphanumeric());
    match byte {
        byte if byte.is_ascii_whitespace() => true,
        b'"' | b'\'' | b'`' => !goes_on,
        b'\\' => next.is_some_and(|byte| b"\"'".contains(&byte)),
        b'<' => next == Some(b'/'),
        b',' | b';' | b'&' => !goes_on || begins_pair(rest.get(at + 1..).unwrap_or_default()),
        _ => false,
    }
}

/// `user=`, `user:`, `Initial Catalog=`.
fn begins_pair(rest: &[u8]) -> bool {
    let is_name = |byte: &&u8| super::is_name_byte(**byte) || **byte == b' ';
    let length = rest.iter().take(40).take_while(is_name).count();
    length > 0 && rest.get(length).is_some_and(|byte| b"=:".contains(byte))
}

/// Whether a value says nothing that must be hidden.
pub(super) fn is_harmless(value: &[u8], style: Style) -> bool {
    let is_number = value.iter().all(u8::is_ascii_digit);
    let is_variable = || {
        let second = value.get(1).copied().unwrap_or(b' ');
        match value.first() {
            Some(b'$') => second == b'{' || second == b'(' || second.is_ascii_digit() && value.len() <= 3,
            Some(b'%') => second == b's' && value.len() == 2 || second == b'(',
            // A parameter of a statement.
            Some(b':') => second.is_ascii_alphabetic(),
            _ => false,
        }
    };
    value.is_empty()
        || is_number && value.len() < 4
        || is_hidden(value)
        || is_variable()
        || value.windows(3).any(|part| part == b"://")
        || STATES.iter().any(|state| value.eq_ignore_ascii_case(state.as_bytes()))
        || value.iter().all(u8::is_ascii_alphabetic)
            && [b"Error".as_slice(), b"Exception", b"Violation"].iter().any(|end| value.ends_with(end))
        || style == Style::Quoted && is_sentence(value)
}

/// Whether another program has hidden the value.
pub(super) fn is_hidden(value: &[u8]) -> bool {
    value.starts_with(b"[redacted]")
        || value.starts_with(b"***")
        || value.iter().all(|byte| b"*xX.#-".contains(byte))
        || std::str::from_utf8(value).is_ok_and(|text| text.chars().all(|one| one == '•' || one == '…'))
}

/// Whether a text was cut off at its end.
pub(super) fn is_cut(text: &[u8]) -> bool {
    text.ends_with("…".as_bytes()) || text.ends_with(b"...")
}

fn is_sentence(text: &[u8]) -> bool {
    let mut words = text.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let is_of_sentences = |word: &[u8]| {
        let word = trimmed(word, b".,:;!?()\"'\\");
        SENTENCE.iter().any(|known| word.eq_ignore_ascii_case(known.as_bytes()))
    };
    text.iter().any(u8::is_ascii_whitespace) && words.any(is_of_sentences)
}

/// A word of a language, such as `re-login`.
fn is_word(token: &[u8]) -> bool {
    token.iter().all(|byte| byte.is_ascii_alphabetic() || b"-'".contains(byte))
        && token.iter().skip(1).all(|byte| !byte.is_ascii_uppercase())
        || token.iter().all(u8::is_ascii_uppercase)
}

/// Whether a sentence goes on here.
fn goes_on(rest: &[u8]) -> bool {
    let next = rest.get(blanks(rest, 0));
    rest.first().is_some_and(|byte| *byte == b' ')
        && next.is_some_and(|byte| byte.is_ascii_alphanumeric() || b"'\"(/<[".contains(byte))
}

/// The code of an error before its text, such as `ORA-28003:` and `0000052D:`.
fn is_code(word: &[u8], token: &[u8]) -> bool {
    let is_upper = |byte: &u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || b"-_".contains(byte);
    word.ends_with(b":") && (token.iter().all(is_upper) || is_word(token))
}

fn is_path(token: &[u8]) -> bool {
    token.first() == Some(&b'/') && token.split(|byte| *byte == b'/').count() > 2
}

fn trimmed<'a>(text: &'a [u8], of: &[u8]) -> &'a [u8] {
    let start = text.iter().position(|byte| !of.contains(byte)).unwrap_or(text.len());
    trimmed_end(text.get(start..).unwrap_or_default(), of)
}

fn trimmed_end<'a>(text: &'a [u8], of: &[u8]) -> &'a [u8] {
    let end = text.iter().rposition(|byte| !of.contains(byte)).map_or(0, |at| at + 1);
    text.get(..end).unwrap_or_default()
}
