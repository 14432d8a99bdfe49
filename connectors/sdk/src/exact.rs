//! Numbers in JSON that a parser would change: longer than 64 bits, or with more digits than a float holds.
//!
//! What is read from a target and written back must not change. So such numbers are marked before a body is parsed, are strings of their
//! digits while they are JSON values, and become numbers again when a body is written. A connector that shows a value to Iden, or uses it
//! as text, takes the digits alone ([`digits`], [`plain`]).

use std::borrow::Cow;

use serde_json::Value;

/// The first character of a marked number: one for private use, which JSON is not expected to contain.
const MARK: char = '\u{F5A1D}';

/// The body, with each number that a parser would change as a marked string.
pub fn mark(json: &[u8]) -> Cow<'_, [u8]> {
    let mut marked: Vec<u8> = Vec::new();
    let mut copied = 0;
    let mut at = 0;
    while let Some(byte) = json.get(at) {
        match byte {
            b'"' => at = end_of_string(json, at),
            b'-' | b'0'..=b'9' => {
                let end =
                    json[at..].iter().position(|byte| !is_of_number(*byte)).map_or(json.len(), |n| at + n);
                let number = std::str::from_utf8(&json[at..end]).unwrap_or_default();
                if !is_exact(number) {
                    marked.extend_from_slice(&json[copied..at]);
                    marked.extend_from_slice(format!("\"{MARK}{number}\"").as_bytes());
                    copied = end;
                }
                at = end;
            }
            _ => at += 1,
        }
    }
    if copied == 0 {
        return Cow::Borrowed(json);
    }
    marked.extend_from_slice(&json[copied..]);
    Cow::Owned(marked)
}

/// A body that is written, with each marked string as the number that it was.
pub fn unmark(json: Vec<u8>) -> Vec<u8> {
    let opening = format!("\"{MARK}");
    let mark = MARK.to_string();
    if !json.windows(mark.len()).any(|window| window == mark.as_bytes()) {
        return json;
    }
    let mut plain = Vec::with_capacity(json.len());
    let mut at = 0;
    while let Some(byte) = json.get(at) {
        if *byte != b'"' {
            plain.push(*byte);
            at += 1;
            continue;
        }
        let end = end_of_string(&json, at);
        let number = json[at..end].strip_prefix(opening.as_bytes()).and_then(|rest| rest.strip_suffix(b"\""));
        // `1e400` is a number that the parser refuses.
        let is_number = |text: &&[u8]| {
            let text = std::str::from_utf8(text).unwrap_or_default();
            text.bytes().all(is_of_number) && decimal(text).is_some()
        };
        match number.filter(is_number) {
            Some(number) => plain.extend_from_slice(number),
            // A number that became a part of a text.
            None => plain.extend_from_slice(digits(&String::from_utf8_lossy(&json[at..end])).as_bytes()),
        }
        at = end;
    }
    plain
}

/// A text without marks.
pub fn digits(text: &str) -> Cow<'_, str> {
    if text.contains(MARK) { Cow::Owned(text.replace(MARK, "")) } else { Cow::Borrowed(text) }
}

/// Whether a string is a marked number.
pub fn is_marked(text: &str) -> bool {
    text.starts_with(MARK)
}

/// A value whose marked numbers are text.
pub fn plain(value: Value) -> Value {
    match value {
        Value::String(text) if text.contains(MARK) => Value::String(text.replace(MARK, "")),
        Value::Array(items) => Value::Array(items.into_iter().map(plain).collect()),
        Value::Object(fields) => {
            Value::Object(fields.into_iter().map(|(name, value)| (name, plain(value))).collect())
        }
        other => other,
    }
}

/// The position after a string that starts at `start`.
fn end_of_string(json: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(byte) = json.get(at) {
        match byte {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    json.len()
}

fn is_of_number(byte: u8) -> bool {
    byte.is_ascii_digit() || matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E')
}

/// Whether a parsed number still has the value that is written. What is not a number is left to the parser.
fn is_exact(number: &str) -> bool {
    if number.parse::<i64>().is_ok() || number.parse::<u64>().is_ok() {
        return true;
    }
    match (number.parse::<f64>(), decimal(number)) {
        (Ok(float), Some(written)) => float.is_finite() && decimal(&format!("{float:e}")) == Some(written),
        _ => true,
    }
}

/// The significant digits of a number, and the power of ten of the last one.
fn decimal(number: &str) -> Option<(String, i64)> {
    let unsigned = number.strip_prefix('-').unwrap_or(number).to_ascii_lowercase();
    let (mantissa, exponent) = unsigned.split_once('e').unwrap_or((&unsigned, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{whole}{fraction}");
    if all.is_empty() || !all.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let significant = all.trim_end_matches('0');
    let zeros = i64::try_from(all.len() - significant.len()).ok()?;
    let significant = significant.trim_start_matches('0');
    if significant.is_empty() {
        return Some((String::new(), 0));
    }
    let power = exponent.parse::<i64>().ok()?.checked_sub(i64::try_from(fraction.len()).ok()?)?;
    Some((significant.to_owned(), power.checked_add(zeros)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_go_there_and_back_unchanged() {
        for json in [
            r#"{"a":12345678901234567890123,"b":[-98765432109876543210.5,{"c":0.12345678901234567890123}]}"#,
            r#"{"a":1e400,"text":"99999999999999999999999","escaped":"\\\"99999999999999999999999"}"#,
            "[18446744073709551616,-9223372036854775809]",
        ] {
            let marked = mark(json.as_bytes());
            let value: Value = serde_json::from_slice(&marked).unwrap();
            assert!(matches!(marked, Cow::Owned(_)), "{json}");
            assert_eq!(String::from_utf8(unmark(serde_json::to_vec(&value).unwrap())).unwrap(), json);
            assert!(!plain(value).to_string().contains(MARK));
        }
    }

    #[test]
    fn numbers_that_stay_the_same_are_not_marked() {
        for json in [
            r#"{"a":18446744073709551615,"b":-9223372036854775808,"c":1.10,"d":1E2,"e":0.1,"f":-0.0,"g":100000000000000000000000}"#,
            r#"{"a":"12345678901234567890123","b":null,"c":true}"#,
            "not JSON at all: 1.2.3 --5",
            "\"never closed 12345678901234567890123",
        ] {
            assert_eq!(mark(json.as_bytes()), json.as_bytes(), "{json}");
        }
    }

    #[test]
    fn only_whole_strings_become_numbers() {
        let json = format!("[\"a\",\"{MARK}1,2\",\"x{MARK}1\",\"\\\"{MARK}1\",\"{MARK}\"]");
        let written = String::from_utf8(unmark(json.into_bytes())).unwrap();
        assert_eq!(written, r#"["a","1,2","x1","\"1",""]"#);
        assert_eq!(digits(&format!("id-{MARK}12")), "id-12");
    }
}
