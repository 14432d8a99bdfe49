//! The forms that a secret may have in a text once escapes are decoded: unchanged, in base64, in hexadecimal digits.

use zeroize::{Zeroize, Zeroizing};

use super::SHORTEST;
use super::escapes;

/// Shorter base64 or hexadecimal strings match by chance.
const SHORTEST_BASE64: usize = 6;
const SHORTEST_DIGITS: usize = 8;

const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const FOR_URLS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// One form of a secret.
pub(super) struct Form {
    pub(super) text: Zeroizing<Vec<u8>>,
    /// Whether the character before or after also contains bits of the secret.
    pub(super) spills: (bool, bool),
}

/// Every form of a secret that is long enough to be searched for.
pub(super) fn forms(secret: &str) -> Vec<Form> {
    let mut forms = Vec::new();
    let utf8 = Zeroizing::new(secret.as_bytes().to_vec());
    let mut add = |text: Zeroizing<Vec<u8>>, spills, shortest: usize| {
        if text.len() >= shortest && !forms.iter().any(|form: &Form| form.text == text) {
            forms.push(Form { text, spills });
        }
    };
    for reading in escapes::readings(&utf8) {
        add(reading, (false, false), SHORTEST);
    }
    // The encoding of Active Directory, PowerShell and older programs.
    let mut writings = vec![utf16(secret)];
    writings.extend(latin1(secret));
    for writing in &writings {
        add(writing.clone(), (false, false), SHORTEST);
    }
    add(utf8.clone(), (false, false), SHORTEST);
    writings.push(utf8);
    for writing in writings.iter().filter(|writing| writing.len() >= SHORTEST) {
        for upper in [false, true] {
            add(digits(writing, upper), (false, false), SHORTEST_DIGITS);
        }
        for alphabet in [STANDARD, FOR_URLS] {
            for before in 0..3 {
                let (text, spills) = base64(writing, before, alphabet);
                if text.contains(&b'+') {
                    let unescaped = text.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte });
                    add(Zeroizing::new(unescaped.collect()), spills, SHORTEST_BASE64);
                }
                add(text, spills, SHORTEST_BASE64);
            }
        }
    }
    forms
}

/// As UTF-16, little-endian. A final zero is omitted, so that the big-endian form is found as well.
fn utf16(secret: &str) -> Zeroizing<Vec<u8>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(2 * secret.len()));
    for unit in secret.encode_utf16() {
        bytes.extend_from_slice(&unit.to_le_bytes());
    }
    let zeros = usize::from(bytes.last() == Some(&0));
    let length = bytes.len() - zeros;
    bytes.truncate(length);
    bytes
}

/// As Latin-1, if that is possible and differs from UTF-8.
fn latin1(secret: &str) -> Option<Zeroizing<Vec<u8>>> {
    let bytes: Option<Vec<u8>> =
        secret.chars().map(|character| u8::try_from(u32::from(character)).ok()).collect();
    bytes.map(Zeroizing::new).filter(|_| !secret.is_ascii())
}

fn digits(bytes: &[u8], upper: bool) -> Zeroizing<Vec<u8>> {
    let of: &[u8; 16] = if upper { b"0123456789ABCDEF" } else { b"0123456789abcdef" };
    let mut digits = Zeroizing::new(Vec::with_capacity(2 * bytes.len()));
    for byte in bytes {
        digits.extend([of[usize::from(byte >> 4)], of[usize::from(byte & 15)]]);
    }
    digits
}

/// The base64 characters that contain only bits of `bytes`, if they follow `before` other bytes; and whether the characters before and
/// after contain bits of them as well.
fn base64(bytes: &[u8], before: usize, alphabet: &[u8; 64]) -> (Zeroizing<Vec<u8>>, (bool, bool)) {
    let (first, end) = (8 * before, 8 * (before + bytes.len()));
    let mut text = Zeroizing::new(Vec::with_capacity(bytes.len() * 4 / 3 + 2));
    let bit = |at: usize| bytes.get(at / 8 - before).is_some_and(|byte| byte >> (7 - at % 8) & 1 == 1);
    for character in first.div_ceil(6)..end / 6 {
        let mut value =
            (6 * character..6 * character + 6).fold(0, |value, at| value << 1 | usize::from(bit(at)));
        text.push(alphabet[value]);
        value.zeroize();
    }
    (text, (!first.is_multiple_of(6), !end.is_multiple_of(6)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(secret: &str) -> Vec<String> {
        forms(secret).iter().map(|form| String::from_utf8_lossy(&form.text).into_owned()).collect()
    }

    #[test]
    fn encoded_forms_match_other_programs() {
        let forms = texts("hunter22");
        // printf %s hunter22 | base64, and with one and two letters before it; | xxd -p; | iconv -t UTF-16LE.
        for wanted in [
            "aHVudGVyMj",
            "h1bnRlcjIy",
            "odW50ZXIyM",
            "68756e7465723232",
            "680075006e00740065007200320032",
            "aAB1AG4AdABlAHIAMgAy",
        ] {
            assert!(forms.iter().any(|form| form.contains(wanted)), "{wanted}: {forms:?}");
        }
    }

    #[test]
    fn short_secret_has_no_short_encoded_forms() {
        let texts = texts("abcd");
        let plain = ["abcd", "a\0b\0c\0d"];
        assert!(
            texts.iter().all(|form| plain.contains(&form.as_str()) || form.len() >= SHORTEST_BASE64),
            "{texts:?}"
        );
    }
}
