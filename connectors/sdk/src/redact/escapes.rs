//! Decodes the escapes that a secret may contain in a text: those of JSON and programming languages, of URLs and forms,
//! of HTML, of LDAP and of email.

use zeroize::Zeroizing;

/// How often escapes are decoded: JSON within JSON within a URL occurs in practice, more does not.
const DEEPEST: usize = 3;

/// The HTML names of ASCII characters that are not letters.
const ASCII_NAMES: [(&str, char); 35] = [
    ("quot", '"'),
    ("amp", '&'),
    ("apos", '\''),
    ("lt", '<'),
    ("gt", '>'),
    ("excl", '!'),
    ("num", '#'),
    ("dollar", '$'),
    ("percnt", '%'),
    ("lpar", '('),
    ("rpar", ')'),
    ("ast", '*'),
    ("midast", '*'),
    ("plus", '+'),
    ("comma", ','),
    ("period", '.'),
    ("sol", '/'),
    ("colon", ':'),
    ("semi", ';'),
    ("equals", '='),
    ("quest", '?'),
    ("commat", '@'),
    ("lsqb", '['),
    ("lbrack", '['),
    ("bsol", '\\'),
    ("rsqb", ']'),
    ("rbrack", ']'),
    ("Hat", '^'),
    ("lowbar", '_'),
    ("grave", '`'),
    ("lcub", '{'),
    ("vert", '|'),
    ("rcub", '}'),
    ("euro", '€'),
    ("tilde", '~'),
];

/// The HTML names of U+00A0 to U+00FF, in order.
const LATIN_NAMES: &str = "nbsp iexcl cent pound curren yen brvbar sect uml copy ordf laquo not shy reg macr deg plusmn \
    sup2 sup3 acute micro para middot cedil sup1 ordm raquo frac14 frac12 frac34 iquest Agrave Aacute Acirc Atilde Auml \
    Aring AElig Ccedil Egrave Eacute Ecirc Euml Igrave Iacute Icirc Iuml ETH Ntilde Ograve Oacute Ocirc Otilde Ouml times \
    Oslash Ugrave Uacute Ucirc Uuml Yacute THORN szlig agrave aacute acirc atilde auml aring aelig ccedil egrave eacute \
    ecirc euml igrave iacute icirc iuml eth ntilde ograve oacute ocirc otilde ouml divide oslash ugrave uacute ucirc uuml \
    yacute thorn yuml";

/// A text with its escapes decoded, and the source of each of its bytes.
pub(super) struct Layer {
    pub(super) bytes: Zeroizing<Vec<u8>>,
    /// All escapes, in order; the bytes between them are unchanged.
    escapes: Vec<Escape>,
}

struct Escape {
    /// The start in the decoded text and in the source.
    at: usize,
    source: usize,
    /// The length in the decoded text and in the source.
    length: usize,
    source_length: usize,
}

/// Which escapes are decoded.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// `\u00e4`, `\n`, as JSON and programming languages write them.
    Json,
    /// `%C3%A4`, and `+` for a space.
    Url,
    /// `&auml;`.
    Html,
    /// All of these.
    Usual,
    /// `\c3\a4`, a byte in LDAP, and `=C3=A4`, a byte in email.
    Bytes,
}

impl Layer {
    /// The range in the source of bytes of this layer.
    pub(super) fn source(&self, start: usize, end: usize) -> (usize, usize) {
        (self.place(start).0, self.place(end.saturating_sub(1)).1)
    }

    /// The range in the source of one byte.
    fn place(&self, at: usize) -> (usize, usize) {
        let before = self.escapes.partition_point(|escape| escape.at <= at);
        let Some(escape) = before.checked_sub(1).and_then(|index| self.escapes.get(index)) else {
            return (at, at + 1);
        };
        let end = escape.source + escape.source_length;
        if at < escape.at + escape.length {
            (escape.source, end)
        } else {
            let source = end + (at - escape.at - escape.length);
            (source, source + 1)
        }
    }
}

/// Calls `each` for every reading of the text with its escapes decoded, with the layers between the reading and the text, starting with the
/// one closest to the text.
pub(super) fn layers(text: &[u8], mut each: impl FnMut(&[Layer])) {
    // Also each kind separately: in `\u00e4%ab`, the second may not be an escape.
    for kind in [Kind::Bytes, Kind::Json, Kind::Url, Kind::Html] {
        if let Some(layer) = undo(text, kind) {
            each(&[layer]);
        }
    }
    let mut layers: Vec<Layer> = Vec::new();
    while layers.len() < DEEPEST {
        let current: &[u8] = layers.last().map_or(text, |layer| &layer.bytes);
        let Some(next) = undo(current, Kind::Usual) else { return };
        layers.push(next);
        each(&layers);
    }
}

/// All readings of the text with its escapes decoded.
pub(super) fn readings(text: &[u8]) -> Vec<Zeroizing<Vec<u8>>> {
    let mut readings = Vec::new();
    layers(text, |layers| readings.extend(layers.last().map(|layer| layer.bytes.clone())));
    readings
}

/// The text with its escapes decoded once; `None` if it has none.
fn undo(text: &[u8], kind: Kind) -> Option<Layer> {
    let marks: &[u8] = match kind {
        Kind::Json => b"\\",
        Kind::Url => b"%+",
        Kind::Html => b"&",
        Kind::Usual => b"\\%&+",
        Kind::Bytes => b"\\=",
    };
    let first = text.iter().position(|byte| marks.contains(byte))?;
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len()));
    bytes.extend_from_slice(text.get(..first)?);
    let mut escapes = Vec::new();
    let mut source = first;
    while let Some(rest) = text.get(source..).filter(|rest| !rest.is_empty()) {
        let mut undone = [0; 4];
        if let Some((length, source_length)) = read(rest, kind, &mut undone) {
            escapes.push(Escape { at: bytes.len(), source, length, source_length });
            bytes.extend_from_slice(undone.get(..length)?);
            source += source_length;
        } else {
            bytes.extend(rest.first());
            source += 1;
        }
    }
    (!escapes.is_empty()).then_some(Layer { bytes, escapes })
}

/// Reads one escape; returns the number of decoded bytes and of source bytes.
fn read(rest: &[u8], kind: Kind, undone: &mut [u8; 4]) -> Option<(usize, usize)> {
    let one = |undone: &mut [u8; 4], byte: u8, taken: usize| {
        undone[0] = byte;
        Some((1, taken))
    };
    match (rest.first()?, kind) {
        (b'\\' | b'=', Kind::Bytes) | (b'%', Kind::Url | Kind::Usual) => {
            let byte = number(rest.get(1..3)?, 16)?;
            one(undone, u8::try_from(byte).ok()?, 3)
        }
        (b'+', Kind::Url | Kind::Usual) => one(undone, b' ', 1),
        (b'&', Kind::Html | Kind::Usual) => entity(rest, undone),
        (b'\\', Kind::Json | Kind::Usual) => {
            let byte = match rest.get(1)? {
                b'u' => return unicode(rest, undone),
                b'x' => return one(undone, u8::try_from(number(rest.get(2..4)?, 16)?).ok()?, 4),
                b'n' => b'\n',
                b'r' => b'\r',
                b't' => b'\t',
                b'b' => 8,
                b'f' => 12,
                b'0' => 0,
                other @ (b'"' | b'\\' | b'/' | b'\'') => *other,
                _ => return None,
            };
            one(undone, byte, 2)
        }
        _ => None,
    }
}

/// `\u00e4`, a surrogate pair for characters beyond U+FFFF, and `\u{e4}`.
fn unicode(rest: &[u8], undone: &mut [u8; 4]) -> Option<(usize, usize)> {
    if rest.get(2) == Some(&b'{') {
        let digits = rest.get(3..)?.iter().take(7).position(|byte| *byte == b'}')?;
        let character = char::from_u32(number(rest.get(3..3 + digits)?, 16)?)?;
        return Some((character.encode_utf8(undone).len(), digits + 4));
    }
    let first = number(rest.get(2..6)?, 16)?;
    if let Some(character) = char::from_u32(first) {
        return Some((character.encode_utf8(undone).len(), 6));
    }
    let second = rest.get(6..12).filter(|second| second.starts_with(b"\\u"))?;
    let units = [u16::try_from(first).ok()?, u16::try_from(number(second.get(2..)?, 16)?).ok()?];
    let character = char::decode_utf16(units).next()?.ok()?;
    Some((character.encode_utf8(undone).len(), 12))
}

/// `&amp;`, `&#228;`, `&#xe4;`.
fn entity(rest: &[u8], undone: &mut [u8; 4]) -> Option<(usize, usize)> {
    let length = rest.iter().take(12).position(|byte| *byte == b';')?;
    let name = rest.get(1..length)?;
    let character = match name {
        [b'#', b'x' | b'X', digits @ ..] => char::from_u32(number(digits, 16)?)?,
        [b'#', digits @ ..] => char::from_u32(number(digits, 10)?)?,
        name => named(std::str::from_utf8(name).ok()?)?,
    };
    Some((character.encode_utf8(undone).len(), length + 1))
}

fn named(name: &str) -> Option<char> {
    let ascii = ASCII_NAMES.iter().find(|(known, _)| *known == name).map(|(_, character)| *character);
    ascii.or_else(|| {
        let place = LATIN_NAMES.split_whitespace().position(|known| known == name)?;
        char::from_u32(0xa0 + u32::try_from(place).ok()?)
    })
}

fn number(digits: &[u8], radix: u32) -> Option<u32> {
    // `from_str_radix` would accept a sign.
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u32::from_str_radix(std::str::from_utf8(digits).ok()?, radix).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn reads_as(text: &str, wanted: &str) -> bool {
        readings(text.as_bytes()).iter().any(|reading| reading.as_slice() == wanted.as_bytes())
    }

    #[test]
    fn common_escapes_are_decoded() {
        for (text, wanted) in [
            (r"p\u00e4ss", "päss"),
            (r"p\u00E4ss", "päss"),
            (r"p\u{e4}ss", "päss"),
            (r"p\xc3\xa4ss", "päss"),
            (r"\ud83e\udd80", "🦀"),
            (r#"a\"b\\c\/d\n"#, "a\"b\\c/d\n"),
            (r"p\\u00e4ss", "päss"),
            ("p%C3%a4ss+word%21", "päss word!"),
            ("p%25C3%25A4ss", "päss"),
            ("p&#228;ss&#xE4;&auml;&amp;&lt;&quot;", "pässää&<\""),
            (r"p\c3\a4ss", "päss"),
            ("p=C3=A4ss", "päss"),
        ] {
            assert!(reads_as(text, wanted), "{text}");
        }
    }

    #[test]
    fn invalid_escapes_are_unchanged() {
        for text in
            [r"\ud83e", r"\u00g4", "%", "%4", "%zz", "&nothing;", "& ", "&#xd800;", "\\", r"\u{110000}"]
        {
            assert!(readings(text.as_bytes()).is_empty(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_decoded_byte_maps_to_its_source(text in "[\\\\u0%&a-f;+=#x4]{0,40}") {
            layers(text.as_bytes(), |layers| {
                let last = layers.last().map_or(0, |layer| layer.bytes.len());
                for at in 0..last {
                    let place = layers.iter().rev().fold((at, at + 1), |(start, end), layer| layer.source(start, end));
                    assert!(place.0 < place.1 && place.1 <= text.len());
                }
            });
        }
    }
}
