//! Finds the first item of a list that is too large to read.

/// The first item of a list of objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FirstItem {
    /// Its id.
    Named(String),
    /// The input ends before its id, or it has none.
    Unnamed,
}

impl FirstItem {
    /// The first item of a list, or of a page with `results`. The input may be truncated anywhere. `None` if it does not begin like that.
    pub(super) fn of(text: &[u8]) -> Option<Self> {
        let mut reader = Reader { text, at: 0 };
        if reader.peek()? == b'{' {
            reader.enter("results")?;
        }
        reader.take(b'[')?;
        if reader.peek()? != b'{' {
            return None;
        }
        Some(reader.id().map_or(Self::Unnamed, Self::Named))
    }
}

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    /// The `id` of the object that begins here.
    fn id(&mut self) -> Option<String> {
        self.enter("id")?;
        match self.peek()? {
            b'"' => self.string(),
            b'0'..=b'9' => self.number(),
            _ => None,
        }
    }

    /// The next character that is not whitespace, without consuming it.
    fn peek(&mut self) -> Option<u8> {
        while self.text.get(self.at)?.is_ascii_whitespace() {
            self.at += 1;
        }
        self.text.get(self.at).copied()
    }

    fn take(&mut self, wanted: u8) -> Option<()> {
        (self.peek()? == wanted).then(|| self.at += 1)
    }

    /// Enters an object and stops at the value of this member.
    fn enter(&mut self, name: &str) -> Option<()> {
        self.take(b'{')?;
        loop {
            let found = self.string()?;
            self.take(b':')?;
            if found == name {
                return Some(());
            }
            self.pass_value()?;
            self.take(b',')?;
        }
    }

    fn string(&mut self) -> Option<String> {
        self.take(b'"')?;
        let from = self.at - 1;
        self.pass_string()?;
        serde_json::from_slice(&self.text[from..self.at]).ok()
    }

    /// Skips the rest of a string.
    fn pass_string(&mut self) -> Option<()> {
        loop {
            let character = *self.text.get(self.at)?;
            self.at += 1;
            match character {
                b'"' => return Some(()),
                b'\\' => self.at += 1,
                _ => {}
            }
        }
    }

    /// An integer that is followed by a comma or a closing brace, and so not truncated.
    fn number(&mut self) -> Option<String> {
        let digits = self.text[self.at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let text = &self.text[self.at..self.at + digits];
        self.at += digits;
        matches!(self.peek()?, b',' | b'}').then(|| String::from_utf8_lossy(text).into_owned())
    }

    /// Skips a value of any depth.
    fn pass_value(&mut self) -> Option<()> {
        let mut depth = 0_usize;
        loop {
            match self.peek()? {
                b'"' => {
                    self.at += 1;
                    self.pass_string()?;
                }
                b'{' | b'[' => {
                    depth += 1;
                    self.at += 1;
                    continue;
                }
                b'}' | b']' => {
                    depth = depth.checked_sub(1)?;
                    self.at += 1;
                }
                b',' | b':' if depth > 0 => {
                    self.at += 1;
                    continue;
                }
                _ => {
                    while !matches!(*self.text.get(self.at)?, b',' | b'}' | b']') {
                        self.at += 1;
                    }
                }
            }
            if depth == 0 {
                return Some(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn first_id(text: &[u8]) -> Option<String> {
        match FirstItem::of(text)? {
            FirstItem::Named(id) => Some(id),
            FirstItem::Unnamed => None,
        }
    }

    #[test]
    fn non_list_is_distinguished_from_a_list_without_first_id() {
        assert_eq!(FirstItem::of(br#"{"count": 1, "results": [{"payload": "xx"#), Some(FirstItem::Unnamed));
        for text in ["[0,0,0,0", r#"{"results": ["#, r#"{"results": [    "#, "{{{{{", r#"{"detail": "x"}"#] {
            assert_eq!(FirstItem::of(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn first_id_is_found_in_truncated_text() {
        for text in [
            r#"{"count": 3, "next": null, "previous": {"a": [1, "}"]}, "results": [{"id": "t1", "payload": {"x": "aaa"#,
            r#"[{"status": "pending", "id": "t1", "#,
            r#"[ { "payload": {"account": {"id": "no", "x": [[], {}, "\"id\""]}}, "n": -1.5e3, "id":"t1""#,
            "[{\"id\": \"t1\"}]",
        ] {
            assert_eq!(first_id(text.as_bytes()).as_deref(), Some("t1"), "{text}");
        }
        assert_eq!(first_id(br#"[{"id": 17, "x"#).as_deref(), Some("17"));
    }

    #[test]
    fn text_without_a_first_id_yields_none() {
        for text in [
            "",
            "[",
            "<html>",
            "[[]]",
            r#"{"results": []}"#,
            r#"{"results": {"id": "t1"}}"#,
            r#"[{"payload": {"id": "t1"}}]"#,
            r#"[{"payload": "aaaaaaaaaaaaaa"#,
            r#"[{"id": "t"#,
            r#"[{"id": 17"#,
            r#"[{"id": null}]"#,
            r#"[{"id" "t1"}]"#,
        ] {
            assert_eq!(first_id(text.as_bytes()), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in prop::collection::vec(any::<u8>(), 0..60)) {
            let _named = first_id(&text);
        }

        #[test]
        fn truncating_never_changes_an_id(cut in 0_usize..200) {
            let page = json!({"count": 1, "results": [{"a": {"id": "no"}, "id": "t1", "payload": {"id": "no"}}, {"id": "no"}]});
            let text = page.to_string();
            let named = first_id(&text.as_bytes()[..cut.min(text.len())]);
            prop_assert!(named.is_none_or(|id| id == "t1"));
        }
    }
}
