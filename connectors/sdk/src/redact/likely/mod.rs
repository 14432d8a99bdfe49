//! Finds what looks like a secret although nobody has declared it: passwords in URLs, values of names such as `password=`, credentials in
//! headers, private keys, and tokens that their issuers mark.
//!
//! The search is one pass over the text. It must be cheap, because every message passes it, and it must leave useful text alone: `token
//! expired` and `password policy: 8 characters` say what is wrong.

mod shapes;
mod value;

use super::is_secret_name;
use value::Style;

/// Longer words are not names.
const LONGEST_NAME: usize = 64;

/// Words after which a quoted string is a secret: `PASSWORD 'x'` and `IDENTIFIED BY 'x'` are SQL.
const BEFORE_QUOTES: [&str; 6] = ["password", "passwd", "passphrase", "pwd", "kennwort", "identified by"];

/// Schemes of an `Authorization` header, and whether all that follows is part of the credential.
const SCHEMES: [(&str, bool); 13] = [
    ("bearer", false),
    ("basic", false),
    ("token", false),
    ("apikey", false),
    ("api-key", false),
    ("key", false),
    ("ssws", false),
    ("digest", true),
    ("oauth", true),
    ("hmac", true),
    ("ntlm", false),
    ("negotiate", false),
    ("aws4-hmac-sha256", true),
];

/// Calls `each` with the start and end of everything that looks like a secret.
pub(super) fn find(text: &[u8], mut each: impl FnMut(usize, usize)) {
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        let found = match byte {
            b':' if text.get(at..at + 3) == Some(b"://") => user_info(text, at + 3),
            b'=' | b':' => assigned(text, at),
            b'>' => element(text, at),
            b'\'' | b'"' => quoted_after_word(text, at),
            b'-' => flag(text, at).or_else(|| shapes::at(text, at)),
            b'@' => data_source(text, at),
            byte if shapes::may_begin(*byte) => shapes::at(text, at),
            _ => None,
        };
        if let Some((start, end)) = found {
            each(start, end);
        }
        at = found.map_or(at + 1, |(_, end)| end.max(at + 1));
    }
    shapes::long_runs(text, each);
}

/// Whether the value of a field is a secret by the name of the field, as in `"name": "value"`.
pub(super) fn is_secret_field(name: &str, text: &str) -> bool {
    is_name(name.as_bytes()) && !value::is_harmless(text.as_bytes(), Style::Quoted)
}

/// `password=hunter2`, `"token": "abc"`, `Authorization: Bearer abc`.
fn assigned(text: &[u8], at: usize) -> Option<(usize, usize)> {
    let name = name_before(text, at).filter(|name| !is_reference(text, name))?;
    // `=>`, `:=` and `==`.
    let signs = text.get(at + 1..)?.iter().take(2).take_while(|byte| b"=>".contains(byte)).count();
    let blanks = value::blanks(text, at + 1 + signs);
    let start = at + 1 + signs + blanks;
    let is_prose = text.get(at) == Some(&b':') && signs == 0 && blanks > 0 && !name.is_quoted;
    let style = if is_prose { Style::Prose } else { Style::Assigned };
    let named = |ending: &[u8]| {
        name.text.len() >= ending.len()
            && name
                .text
                .get(name.text.len() - ending.len()..)
                .is_some_and(|end| end.eq_ignore_ascii_case(ending))
    };
    if named(b"authorization")
        && let Some(found) = credential(text, start)
    {
        return found;
    }
    if named(b"cookie") {
        return value::to_the_end(text, start, style);
    }
    value::at(text, start, style, name.is_quoted)
}

/// What follows the scheme in an `Authorization` header; `None` if there is no known scheme.
#[expect(clippy::option_option, reason = "a scheme may be followed by prose, which is no secret")]
fn credential(text: &[u8], start: usize) -> Option<Option<(usize, usize)>> {
    let rest = text.get(start..)?;
    let length = rest.iter().take_while(|byte| is_name_byte(**byte)).count();
    let scheme = rest.get(..length)?;
    let (_, is_all) = SCHEMES.iter().find(|(known, _)| scheme.eq_ignore_ascii_case(known.as_bytes()))?;
    let blanks = value::blanks(text, start + length);
    if blanks == 0 {
        return None;
    }
    let start = start + length + blanks;
    Some(if *is_all {
        value::to_the_end(text, start, Style::Prose)
    } else {
        value::at(text, start, Style::Prose, false)
    })
}

/// References to secrets, as bridgehead's own messages explain them: `LoadCredential=name:/path` in a unit, and `{ credential = "name" }`.
fn is_reference(text: &[u8], name: &Name<'_>) -> bool {
    let before = text.get(..name.start).unwrap_or_default();
    let is_in_braces = || before.trim_ascii_end().ends_with(b"{");
    name.text == b"LoadCredential" || name.text == b"credential" && !name.is_quoted && is_in_braces()
}

struct Name<'a> {
    text: &'a [u8],
    start: usize,
    is_quoted: bool,
}

/// The name before a sign, if it is that of a secret.
fn name_before(text: &[u8], sign: usize) -> Option<Name<'_>> {
    let mut end = sign;
    while sign - end < 2 && last(text, end).is_some_and(|byte| byte == b' ' || byte == b'\t') {
        end -= 1;
    }
    let is_quoted = last(text, end).is_some_and(|byte| b"\"'`]".contains(&byte));
    if is_quoted {
        end -= 1;
        end -= usize::from(last(text, end) == Some(b'\\'));
    }
    let start = word_start(text, end);
    let name = text.get(start..end).filter(|name| !name.is_empty())?;
    if is_name(name) {
        return Some(Name { text: name, start, is_quoted });
    }
    // `API key:`
    let is_second =
        ["key", "keys", "code", "codes"].iter().any(|word| name.eq_ignore_ascii_case(word.as_bytes()));
    if is_second && last(text, start) == Some(b' ') {
        let first = word_start(text, start - 1);
        let both = text.get(first..end)?;
        return is_name(both).then_some(Name { text: both, start: first, is_quoted });
    }
    None
}

/// The start of the name that ends here.
fn word_start(text: &[u8], end: usize) -> usize {
    let before = text.get(..end).unwrap_or_default();
    end - before.iter().rev().take(LONGEST_NAME).take_while(|byte| is_name_byte(**byte)).count()
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_-.".contains(&byte)
}

fn last(text: &[u8], end: usize) -> Option<u8> {
    text.get(end.checked_sub(1)?).copied()
}

/// Whether a name is that of a secret. The first test is only cheap: it excludes almost all names.
fn is_name(name: &[u8]) -> bool {
    let could_be = (0..name.len()).any(|at| name.get(at..).is_some_and(begins_like_a_secret));
    could_be && std::str::from_utf8(name).is_ok_and(is_secret_name)
}

/// Not `auth`, `session`, `mfa` and `salt`: in messages, their values say how and where, and are no secrets.
fn begins_like_a_secret(rest: &[u8]) -> bool {
    let stems: &[&[u8]] = match rest.first().map(u8::to_ascii_lowercase) {
        Some(b'p') => &[b"pass", b"pwd", b"pw", b"pin", b"psk", b"puk"],
        Some(b's') => &[b"secret"],
        Some(b't') => &[b"token"],
        Some(b'k') => &[b"key", b"kennwort"],
        Some(b'c') => &[b"cred", b"cookie", b"code", b"connectionstring"],
        Some(b'a') => &[b"authorization"],
        Some(b'o') => &[b"otp"],
        Some(b'j') => &[b"jwt"],
        _ => return false,
    };
    stems.iter().any(|stem| rest.get(..stem.len()).is_some_and(|start| start.eq_ignore_ascii_case(stem)))
}

/// `postgres://user:password@host`. The password may contain `@`, `/` and other characters that should be escaped.
fn user_info(text: &[u8], start: usize) -> Option<(usize, usize)> {
    let rest = text.get(start..)?;
    let ends = |byte: &u8| byte.is_ascii_whitespace() || b"\"'`<>\\".contains(byte);
    let authority = rest.get(..rest.iter().position(ends).unwrap_or(rest.len()))?;
    let colon = authority.iter().position(|byte| b":/?#[@".contains(byte))?;
    if authority.get(colon) != Some(&b':') {
        return None;
    }
    let behind = authority.get(colon + 1..)?;
    let digits = behind.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let is_port = behind.get(digits).is_none_or(|byte| b"/?#,;).".contains(byte));
    if digits > 0 && is_port && digits <= 5 {
        return None;
    }
    let length = match behind.iter().rposition(|byte| *byte == b'@') {
        Some(length) => length,
        // A URL that was cut off: a port would be a number.
        None if value::is_cut(behind) && digits == 0 => behind.len(),
        None => return None,
    };
    let password =
        behind.get(..length).filter(|password| !password.is_empty() && !value::is_hidden(password))?;
    Some((start + colon + 1, start + colon + 1 + password.len()))
}

/// `user:password@tcp(host:3306)/database`, as Go writes it.
fn data_source(text: &[u8], at: usize) -> Option<(usize, usize)> {
    let rest = text.get(at + 1..)?;
    if !rest.starts_with(b"tcp(") && !rest.starts_with(b"unix(") {
        return None;
    }
    let before = text.get(..at)?;
    let word = before
        .iter()
        .rposition(|byte| byte.is_ascii_whitespace() || b"\"'`".contains(byte))
        .map_or(0, |at| at + 1);
    let colon = before.get(word..)?.iter().position(|byte| *byte == b':')?;
    let start = word + colon + 1;
    (start < at && !value::is_hidden(text.get(start..at)?)).then_some((start, at))
}

/// `<password>hunter2</password>`.
fn element(text: &[u8], at: usize) -> Option<(usize, usize)> {
    let from = at.saturating_sub(2 * LONGEST_NAME);
    let tag = text.get(from..at)?;
    let tag = tag.get(tag.iter().rposition(|byte| *byte == b'<')? + 1..)?;
    let name = tag.split(u8::is_ascii_whitespace).next()?;
    let name = name.rsplit(|byte| *byte == b':').next()?;
    if name.is_empty()
        || !name.iter().all(|byte| is_name_byte(*byte))
        || !is_name(name)
        || tag.last() == Some(&b'/')
    {
        return None;
    }
    let content = text.get(at + 1..)?;
    let content = content.get(..content.iter().position(|byte| *byte == b'<').unwrap_or(content.len()))?;
    (!value::is_harmless(content, Style::Quoted)).then_some((at + 1, at + 1 + content.len()))
}

/// `ALTER USER ann PASSWORD 'hunter2'`.
fn quoted_after_word(text: &[u8], at: usize) -> Option<(usize, usize)> {
    let before = text.get(..at.checked_sub(1)?)?;
    if text.get(at - 1) != Some(&b' ') {
        return None;
    }
    let is_before = BEFORE_QUOTES.iter().any(|word| {
        let start = before.len().checked_sub(word.len());
        start.is_some_and(|start| {
            before.get(start..).is_some_and(|end| end.eq_ignore_ascii_case(word.as_bytes()))
                && !last(before, start).is_some_and(is_name_byte)
        })
    });
    let found = is_before.then(|| value::quoted(text, at, false)).flatten()?;
    let has_space = text.get(found.0..found.1)?.iter().any(u8::is_ascii_whitespace);
    (!has_space).then_some(found)
}

/// `--password hunter2`.
fn flag(text: &[u8], at: usize) -> Option<(usize, usize)> {
    let rest = text.get(at..)?.strip_prefix(b"--")?;
    let name = rest.get(..rest.iter().take(LONGEST_NAME).take_while(|byte| is_name_byte(**byte)).count())?;
    let end = at + 2 + name.len();
    let is_flag = last(text, at).is_none_or(|byte| !is_name_byte(byte)) && text.get(end) == Some(&b' ');
    if !is_flag || !is_name(name) || text.get(end + 1) == Some(&b'-') {
        return None;
    }
    value::at(text, end + 1, Style::Prose, false)
}

#[cfg(test)]
mod tests;
