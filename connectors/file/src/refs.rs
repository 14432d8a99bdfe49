//! References inside one CSV field: `t1;t2`.
//!
//! References are separated by `;`. A backslash escapes the next character, so that `a\;b` is one reference. Spaces
//! around a reference are ignored unless they are escaped, and empty references are skipped.

use bridgehead_sdk::Ref;

const SEPARATOR: char = ';';
const ESCAPE: char = '\\';

/// The references of a field, in order, without duplicates.
pub(crate) fn split(field: &str) -> Vec<Ref> {
    let mut refs: Vec<Ref> = Vec::new();
    let mut text = String::new();
    // The length of `text` without unescaped trailing spaces.
    let mut kept = 0;
    let mut characters = field.chars();
    while let Some(character) = characters.next() {
        match character {
            ESCAPE => {
                text.push(characters.next().unwrap_or(ESCAPE));
                kept = text.len();
            }
            SEPARATOR => push(&mut refs, &mut text, &mut kept),
            blank if blank.is_whitespace() => {
                if !text.is_empty() {
                    text.push(blank);
                }
            }
            other => {
                text.push(other);
                kept = text.len();
            }
        }
    }
    push(&mut refs, &mut text, &mut kept);
    refs
}

fn push(refs: &mut Vec<Ref>, text: &mut String, kept: &mut usize) {
    text.truncate(*kept);
    *kept = 0;
    let id = std::mem::take(text);
    if !id.is_empty() && !refs.iter().any(|known| known.id == id) {
        refs.push(Ref::new(id));
    }
}

/// The field that is parsed as these references.
pub(crate) fn join<'a>(ids: impl IntoIterator<Item = &'a str>) -> String {
    let mut field = String::new();
    for id in ids {
        if !field.is_empty() {
            field.push(SEPARATOR);
        }
        let inner = id.trim();
        let start = id.len() - id.trim_start().len();
        for (at, character) in id.char_indices() {
            let outside = at < start || at >= start + inner.len();
            if outside || character == SEPARATOR || character == ESCAPE {
                field.push(ESCAPE);
            }
            field.push(character);
        }
    }
    field
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ids(field: &str) -> Vec<String> {
        split(field).into_iter().map(|r| r.id).collect()
    }

    #[test]
    fn references_are_separated_by_semicolons() {
        assert_eq!(ids("t1;t2"), ["t1", "t2"]);
        assert_eq!(ids(" t1 ; t 2;; t1;"), ["t1", "t 2"]);
        assert_eq!(ids(""), Vec::<String>::new());
        assert_eq!(ids(" ; "), Vec::<String>::new());
    }

    #[test]
    fn backslash_escapes_the_next_character() {
        assert_eq!(ids(r"a\;b;c\\;\ d\ "), ["a;b", r"c\", " d "]);
        assert_eq!(ids(r"a\"), [r"a\"]);
    }

    proptest! {
        #[test]
        fn joined_references_split_back(ids in prop::collection::btree_set("[ \t;\\\\a-c\u{5d0}\u{1f600}\u{3000}]{1,8}", 0..6)) {
            let field = join(ids.iter().map(String::as_str));
            let read: Vec<String> = split(&field).into_iter().map(|r| r.id).collect();
            prop_assert_eq!(read, ids.into_iter().collect::<Vec<_>>());
        }
    }
}
