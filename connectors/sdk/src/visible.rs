//! Makes external text safe for logs and terminals.

use std::borrow::Cow;

/// Whether a character is invisible, or changes how the text around it is displayed: control characters, which can
/// forge log lines and move a terminal's cursor; zero-width characters; and characters that change the direction of the
/// text.
pub fn is_invisible(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// The text on one line, with every [invisible](is_invisible) character escaped, such as `\n` and `\u{202e}`.
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(is_invisible) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        if is_invisible(character) {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    Cow::Owned(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_and_bidi_characters_are_escaped() {
        assert_eq!(
            visible("a\nb\r\t\u{1b}[31m\u{202e}\u{200b}\u{9b}"),
            "a\\nb\\r\\t\\u{1b}[31m\\u{202e}\\u{200b}\\u{9b}"
        );
    }

    #[test]
    fn ordinary_text_is_unchanged() {
        for text in ["", "Grace Höpper", "שלום", "東京 🦀", "C:\\new"] {
            assert!(matches!(visible(text), Cow::Borrowed(_)), "{text}");
        }
    }
}
