//! Secrets that are recognized by their form alone: private keys, and tokens that their issuers mark.

/// The beginnings of tokens, and how many characters follow at least.
const MARKED: [(&str, usize); 32] = [
    ("AKIA", 16),
    ("ASIA", 16),
    ("ghp_", 20),
    ("gho_", 20),
    ("ghu_", 20),
    ("ghs_", 20),
    ("ghr_", 20),
    ("github_pat_", 20),
    ("glpat-", 16),
    ("xoxa-", 10),
    ("xoxb-", 10),
    ("xoxe-", 10),
    ("xoxp-", 10),
    ("xoxr-", 10),
    ("xoxs-", 10),
    ("xapp-", 10),
    ("sk_live_", 10),
    ("sk_test_", 10),
    ("rk_live_", 10),
    ("whsec_", 16),
    ("sk-", 20),
    ("AIza", 30),
    ("ya29.", 20),
    ("npm_", 30),
    ("pypi-", 30),
    ("dop_v1_", 30),
    ("hvs.", 20),
    ("hvb.", 20),
    ("SG.", 30),
    ("shpat_", 20),
    ("AGE-SECRET-KEY-", 20),
    ("eyJ", 30),
];

/// The lines of a private key are this long; file names and identifiers rarely are.
const LONG: usize = 60;

/// Whether a secret may start with this byte: a quick test, because it is made for every byte of every message.
pub(super) fn may_begin(byte: u8) -> bool {
    matches!(
        byte,
        b'A' | b'B'
            | b'S'
            | b'b'
            | b'd'
            | b'e'
            | b'g'
            | b'h'
            | b'n'
            | b'p'
            | b'r'
            | b's'
            | b'w'
            | b'x'
            | b'y'
    )
}

/// The secret that starts here.
pub(super) fn at(text: &[u8], at: usize) -> Option<(usize, usize)> {
    let first = *text.get(at)?;
    let is_start = at.checked_sub(1).and_then(|before| text.get(before)).is_none_or(|byte| !is_body(*byte));
    match first {
        b'-' => private_key(text, at),
        _ if !is_start => None,
        b'b' | b'B' => scheme(text, at),
        _ => marked(text, at),
    }
}

/// `-----BEGIN RSA PRIVATE KEY-----` to its end, or to that of the text.
fn private_key(text: &[u8], at: usize) -> Option<(usize, usize)> {
    const BEGIN: &[u8] = b"-----BEGIN ";
    const END: &[u8] = b"-----END ";
    let rest = text.get(at..)?;
    let label = rest.strip_prefix(BEGIN)?;
    let label = label.get(..label.len().min(40))?;
    if !label.windows(11).any(|part| part == b"PRIVATE KEY") {
        return None;
    }
    let Some(end) = rest.windows(END.len()).position(|part| part == END) else {
        return Some((at, text.len()));
    };
    let behind = rest.get(end + END.len()..)?;
    let close = behind.windows(5).position(|part| part == b"-----").map_or(behind.len(), |place| place + 5);
    Some((at, at + end + END.len() + close))
}

/// `Bearer abc123`, `Basic YTpi`. The word alone is prose: `Bearer token expired`.
fn scheme(text: &[u8], at: usize) -> Option<(usize, usize)> {
    let rest = text.get(at..)?;
    let length = ["bearer ", "basic "].iter().find_map(|word| {
        let start = rest.get(..word.len())?;
        start.eq_ignore_ascii_case(word.as_bytes()).then_some(word.len())
    })?;
    let token = rest.get(length..)?;
    let body =
        token.iter().take_while(|byte| byte.is_ascii_alphanumeric() || b"._~+/-".contains(byte)).count();
    let padding = token.get(body..)?.iter().take_while(|byte| **byte == b'=').count();
    let (text, next) = (token.get(..body)?, token.get(body + padding));
    // `Bearer realm="x"` is a challenge.
    let is_parameter =
        padding > 0 && next.is_some_and(|byte| byte.is_ascii_alphanumeric() || b"\"'".contains(byte));
    let is_random = body >= 8
        && (text.iter().any(u8::is_ascii_digit)
            || text.iter().skip(1).any(u8::is_ascii_uppercase) && !is_upper(text));
    (is_random && !is_parameter).then_some((at + length, at + length + body + padding))
}

fn is_upper(text: &[u8]) -> bool {
    !text.iter().any(u8::is_ascii_lowercase)
}

fn marked(text: &[u8], at: usize) -> Option<(usize, usize)> {
    let rest = text.get(at..)?;
    let (mark, least) = MARKED.iter().find(|(mark, _)| rest.starts_with(mark.as_bytes()))?;
    let has_dots = ["eyJ", "ya29.", "SG.", "hvs.", "hvb."].contains(mark);
    let body = rest.get(mark.len()..)?;
    let length = body.iter().take_while(|byte| is_body(**byte) || has_dots && **byte == b'.').count();
    let body = body.get(..length)?;
    let is_token = match *mark {
        "AKIA" | "ASIA" => length == *least && is_upper(body),
        // A JSON object in base64 may be a cursor; a signed token has three parts.
        "eyJ" => length >= *least && body.split(|byte| *byte == b'.').count() > 2,
        "sk-" => length >= *least && body.iter().any(u8::is_ascii_digit),
        _ => length >= *least,
    };
    is_token.then_some((at, at + mark.len() + length))
}

fn is_body(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_-".contains(&byte)
}

/// Long strings in base64, such as the lines of a private key that arrive one by one.
pub(super) fn long_runs(text: &[u8], mut each: impl FnMut(usize, usize)) {
    if text.len() < LONG {
        return;
    }
    let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte);
    let mut start = 0;
    for at in 0..=text.len() {
        if text.get(at).is_some_and(|byte| is_base64(*byte)) {
            continue;
        }
        let run = text.get(start..at).unwrap_or_default();
        let has = |is: fn(&u8) -> bool| run.iter().any(is);
        let slashes = run.split(|byte| *byte == b'/').count() - 1;
        if run.len() >= LONG
            && has(u8::is_ascii_lowercase)
            && has(u8::is_ascii_uppercase)
            && has(u8::is_ascii_digit)
            && slashes * 12 <= run.len()
        {
            each(start, at);
        }
        start = at + 1;
    }
}
