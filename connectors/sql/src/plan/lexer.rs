//! Splits a statement as far as is needed to find its parameters: quoted parts and comments are kept unchanged.

use crate::settings::Engine;

/// A statement whose parameters are replaced by the engine's placeholders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Template {
    /// The text for the server.
    pub(super) sql: String,
    /// The names of the parameters in the order of their placeholders. PostgreSQL numbers them, so each name occurs once.
    pub(super) names: Vec<String>,
    /// The words outside of quotes and comments in uppercase, each with the depth of its parentheses.
    pub(super) words: Vec<(String, usize)>,
}

/// Why a statement cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    /// It is empty.
    #[error("is empty")]
    Empty,
    /// A quote or a comment is not closed.
    #[error("{0} is opened but never closed")]
    Unclosed(&'static str),
    /// There is more than one statement.
    #[error("contains more than one statement; give each its own entry")]
    Several,
    /// A placeholder of the server's own syntax would get the value of another parameter.
    #[error("uses the placeholder {0}; use a named parameter instead, such as :id")]
    Placeholder(String),
    /// The server executes a part that looks like a comment.
    #[error("contains a comment that the server executes (/*! … */); write it as part of the statement")]
    RunningComment,
    /// No server accepts a NUL character.
    #[error("contains a NUL character")]
    Nul,
}

/// Replaces `:name` with the placeholders of the engine.
pub(super) fn parse(engine: Engine, text: &str) -> Result<Template, Fault> {
    if text.contains('\0') {
        return Err(Fault::Nul);
    }
    let mut lexer = Lexer {
        engine,
        text,
        at: 0,
        depth: 0,
        template: Template { sql: String::with_capacity(text.len()), names: Vec::new(), words: Vec::new() },
        is_blank: true,
        ended: false,
        word_end: 0,
    };
    while lexer.at < text.len() {
        lexer.step()?;
    }
    if lexer.is_blank {
        return Err(Fault::Empty);
    }
    let mut template = lexer.template;
    template.sql.truncate(template.sql.trim_end().len());
    Ok(template)
}

struct Lexer<'a> {
    engine: Engine,
    text: &'a str,
    at: usize,
    depth: usize,
    template: Template,
    /// Whether only white space and comments were seen.
    is_blank: bool,
    /// Whether a semicolon was seen.
    ended: bool,
    /// Where the last word ended, because `E'…'` has different escapes from other strings.
    word_end: usize,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// Copies a number of bytes unchanged.
    fn keep(&mut self, length: usize) {
        self.template.sql.push_str(&self.text[self.at..self.at + length]);
        self.at += length;
    }

    fn step(&mut self) -> Result<(), Fault> {
        let rest = self.rest();
        if let Some(length) = self.comment(rest)? {
            self.keep(length);
            return Ok(());
        }
        let Some(first) = rest.chars().next() else { return Ok(()) };
        if first.is_whitespace() {
            self.keep(first.len_utf8());
            return Ok(());
        }
        if first == ';' {
            self.ended = true;
            self.at += 1;
            return Ok(());
        }
        if self.ended {
            return Err(Fault::Several);
        }
        self.is_blank = false;
        match first {
            '\'' => self.quoted('\'', self.escapes_in_string(), "a '"),
            '"' => self.quoted('"', self.engine == Engine::Mysql, "a \""),
            '`' if self.engine != Engine::Postgresql => self.quoted('`', false, "a `"),
            '[' if self.engine == Engine::Sqlite => self.until("]", 1, "a ["),
            '$' => self.dollar(rest),
            '?' if self.engine != Engine::Postgresql => Err(Fault::Placeholder(placeholder(rest))),
            '@' if self.engine == Engine::Sqlite => Err(Fault::Placeholder(placeholder(rest))),
            ':' => {
                self.colon(rest);
                Ok(())
            }
            word if is_word_start(word) => {
                self.word(rest);
                Ok(())
            }
            digit if digit.is_ascii_digit() => {
                // `1e5` is not a word, and the `$1` after it is not a placeholder.
                self.keep(length_while(rest, is_word_part));
                Ok(())
            }
            other => {
                self.depth = match other {
                    '(' => self.depth + 1,
                    ')' => self.depth.saturating_sub(1),
                    _ => self.depth,
                };
                self.keep(other.len_utf8());
                Ok(())
            }
        }
    }

    /// The length of the comment that starts here.
    fn comment(&self, rest: &str) -> Result<Option<usize>, Fault> {
        let line = || rest.find('\n').map_or(rest.len(), |end| end + 1);
        if let Some(behind) = rest.strip_prefix("--") {
            let counts = self.engine != Engine::Mysql
                || behind.chars().next().is_none_or(|next| next.is_whitespace() || next.is_control());
            return Ok(counts.then(line));
        }
        if self.engine == Engine::Mysql && rest.starts_with('#') {
            return Ok(Some(line()));
        }
        if !rest.starts_with("/*") {
            return Ok(None);
        }
        if self.engine == Engine::Mysql && (rest.starts_with("/*!") || rest.starts_with("/*M!")) {
            return Err(Fault::RunningComment);
        }
        let nests = self.engine == Engine::Postgresql;
        let mut depth = 1;
        let mut at = 2;
        while depth > 0 {
            let Some(found) = rest[at..].find(['/', '*']) else { return Err(Fault::Unclosed("a /*")) };
            at += found;
            if rest[at..].starts_with("*/") {
                (depth, at) = (depth - 1, at + 2);
            } else if nests && rest[at..].starts_with("/*") {
                (depth, at) = (depth + 1, at + 2);
            } else {
                at += 1;
            }
        }
        Ok(Some(at))
    }

    /// Whether a backslash escapes the next character.
    fn escapes_in_string(&self) -> bool {
        let is_escape_string =
            self.word_end == self.at && self.template.words.last().is_some_and(|(word, _)| word == "E");
        match self.engine {
            Engine::Mysql => true,
            Engine::Postgresql => is_escape_string,
            Engine::Sqlite => false,
        }
    }

    /// Copies a quoted part; a doubled quote is an escaped quote.
    fn quoted(&mut self, quote: char, escapes: bool, what: &'static str) -> Result<(), Fault> {
        let mut characters = self.rest().char_indices().skip(1).peekable();
        while let Some((index, character)) = characters.next() {
            if escapes && character == '\\' {
                characters.next();
            } else if character == quote && characters.next_if(|(_, next)| *next == quote).is_none() {
                self.keep(index + 1);
                return Ok(());
            }
        }
        Err(Fault::Unclosed(what))
    }

    /// Copies everything to the end of `mark`, which is searched for after the first `skip` bytes.
    fn until(&mut self, mark: &str, skip: usize, what: &'static str) -> Result<(), Fault> {
        let found = self.rest()[skip..].find(mark).ok_or(Fault::Unclosed(what))?;
        self.keep(skip + found + mark.len());
        Ok(())
    }

    fn dollar(&mut self, rest: &str) -> Result<(), Fault> {
        let behind = &rest[1..];
        match self.engine {
            Engine::Sqlite => Err(Fault::Placeholder(placeholder(rest))),
            Engine::Mysql => {
                self.keep(1);
                Ok(())
            }
            Engine::Postgresql if behind.starts_with(|next: char| next.is_ascii_digit()) => {
                Err(Fault::Placeholder(placeholder(rest)))
            }
            Engine::Postgresql => {
                let tag = length_while(behind, |part| is_word_part(part) && part != '$');
                if behind[tag..].starts_with('$') {
                    return self.until(&rest[..tag + 2], tag + 2, "a dollar quote");
                }
                self.keep(1);
                Ok(())
            }
        }
    }

    fn colon(&mut self, rest: &str) {
        if rest.starts_with("::") || rest.starts_with(":=") {
            return self.keep(2);
        }
        let behind = &rest[1..];
        if !behind.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_') {
            return self.keep(1);
        }
        let length = length_while(behind, |part| part.is_ascii_alphanumeric() || part == '_');
        let name = &behind[..length];
        let names = &mut self.template.names;
        if self.engine == Engine::Postgresql {
            let place = names.iter().position(|known| known == name).unwrap_or_else(|| {
                names.push(name.to_owned());
                names.len() - 1
            });
            self.template.sql.push('$');
            self.template.sql.push_str(&(place + 1).to_string());
        } else {
            names.push(name.to_owned());
            self.template.sql.push('?');
        }
        self.at += 1 + length;
    }

    fn word(&mut self, rest: &str) {
        let length = length_while(rest, is_word_part);
        self.template.words.push((rest[..length].to_uppercase(), self.depth));
        self.keep(length);
        self.word_end = self.at;
    }
}

fn is_word_start(character: char) -> bool {
    character.is_alphabetic() || character == '_'
}

fn is_word_part(character: char) -> bool {
    character.is_alphanumeric() || character == '_' || character == '$'
}

fn length_while(text: &str, is_part: impl Fn(char) -> bool) -> usize {
    text.find(|character| !is_part(character)).unwrap_or(text.len())
}

/// The placeholder as written in the statement, for the message.
fn placeholder(rest: &str) -> String {
    let length = 1 + length_while(&rest[1..], is_word_part);
    rest[..length].to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ENGINES: [Engine; 3] = [Engine::Postgresql, Engine::Mysql, Engine::Sqlite];

    fn sql(engine: Engine, text: &str) -> String {
        parse(engine, text).unwrap().sql
    }

    fn names(engine: Engine, text: &str) -> Vec<String> {
        parse(engine, text).unwrap().names
    }

    #[test]
    fn named_parameters_become_engine_placeholders() {
        let text = "SELECT :id, :name WHERE a = :id";
        assert_eq!(sql(Engine::Postgresql, text), "SELECT $1, $2 WHERE a = $1");
        assert_eq!(names(Engine::Postgresql, text), ["id", "name"]);
        for engine in [Engine::Mysql, Engine::Sqlite] {
            assert_eq!(sql(engine, text), "SELECT ?, ? WHERE a = ?");
            assert_eq!(names(engine, text), ["id", "name", "id"]);
        }
    }

    #[test]
    fn casts_and_assignments_are_not_parameters() {
        assert_eq!(sql(Engine::Postgresql, "SELECT :id::int::text, a[1:2]"), "SELECT $1::int::text, a[1:2]");
        assert_eq!(sql(Engine::Mysql, "SELECT @x := :id, 3 : 4"), "SELECT @x := ?, 3 : 4");
    }

    #[test]
    fn quoted_text_is_left_unchanged() {
        for engine in ENGINES {
            assert_eq!(names(engine, r#"SELECT ':a', "x:b", 'it''s :c', :d"#), ["d"]);
        }
        assert_eq!(names(Engine::Mysql, r"SELECT 'a\' :b', `:c`, :d"), ["d"]);
        assert_eq!(names(Engine::Mysql, r#"SELECT "a\" :b", :d"#), ["d"]);
        assert_eq!(names(Engine::Sqlite, r"SELECT 'a\', :b, [c :d], `e :f`"), ["b"]);
        assert_eq!(names(Engine::Postgresql, r"SELECT 'a\', :b, E'c\' :d', e'\\', :f"), ["b", "f"]);
        assert_eq!(names(Engine::Postgresql, "SELECT $$ :a $$, $x$ :b $$ :c $x$, :d"), ["d"]);
        assert_eq!(names(Engine::Postgresql, "SELECT a$b, :d"), ["d"]);
    }

    #[test]
    fn comments_are_left_unchanged() {
        assert_eq!(names(Engine::Postgresql, "SELECT 1 -- :a\n, :b /* :c /* :d */ :e */ , :f"), ["b", "f"]);
        assert_eq!(names(Engine::Sqlite, "SELECT 1 /* /* :a */ , :b -- :c"), ["b"]);
        assert_eq!(names(Engine::Mysql, "SELECT 1 # :a\n, 5--:b, -- :c\n :d"), ["b", "d"]);
        assert_eq!(parse(Engine::Mysql, "SELECT /*!40000 :a */ 1"), Err(Fault::RunningComment));
    }

    #[test]
    fn unusable_statements_are_refused() {
        for engine in ENGINES {
            for empty in ["", " \n", ";", "-- nothing\n", "/* :a */ ;"] {
                assert_eq!(parse(engine, empty), Err(Fault::Empty), "{empty:?}");
            }
            assert_eq!(parse(engine, "SELECT 1; DELETE FROM a"), Err(Fault::Several));
            assert_eq!(sql(engine, "SELECT ';' ; -- done\n"), "SELECT ';'  -- done");
            assert_eq!(parse(engine, "SELECT 'a"), Err(Fault::Unclosed("a '")));
            assert_eq!(parse(engine, "SELECT /* a"), Err(Fault::Unclosed("a /*")));
            assert_eq!(parse(engine, "SELECT \0"), Err(Fault::Nul));
        }
        assert_eq!(parse(Engine::Postgresql, "SELECT $1"), Err(Fault::Placeholder("$1".into())));
        assert_eq!(parse(Engine::Mysql, "SELECT ?"), Err(Fault::Placeholder("?".into())));
        for own in ["?2", "@a", "$a"] {
            assert_eq!(parse(Engine::Sqlite, &format!("SELECT {own}")), Err(Fault::Placeholder(own.into())));
        }
        assert_eq!(parse(Engine::Postgresql, "SELECT $a$ x $b$"), Err(Fault::Unclosed("a dollar quote")));
    }

    #[test]
    fn words_are_collected_with_nesting_depth() {
        let template = parse(Engine::Postgresql, "select \"ORDER\" from (select 'x' order by 1) a").unwrap();
        let words: Vec<_> = template.words.iter().map(|(word, depth)| (word.as_str(), *depth)).collect();
        let expected = [("SELECT", 0), ("FROM", 0), ("SELECT", 1), ("ORDER", 1), ("BY", 1), ("A", 0)];
        assert_eq!(words, expected);
    }

    proptest! {
        #[test]
        fn lexer_never_panics_and_changes_only_parameter_names(text in r#"[ a-c:?$@'"`\[\]/*#;\\E\n-]{0,40}"#) {
            for engine in ENGINES {
                if let Ok(template) = parse(engine, &text)
                    && template.names.is_empty()
                {
                    let kept: String = text.chars().filter(|c| *c != ';').collect();
                    let same: String = template.sql.chars().filter(|c| *c != ';').collect();
                    prop_assert_eq!(kept.trim_end(), same.trim_end());
                }
            }
        }

        #[test]
        fn parameters_inside_quoted_text_are_ignored(text in "[ a-z:'$\"-]{0,20}", tag in "[a-z]{1,5}") {
            let quoted = format!("SELECT '{}', :seen", text.replace('\'', "''"));
            for engine in ENGINES {
                prop_assert_eq!(names(engine, &quoted), vec!["seen".to_owned()]);
            }
            prop_assume!(!text.contains('$'));
            let dollars = format!("SELECT ${tag}${text}${tag}$, :seen");
            prop_assert_eq!(names(Engine::Postgresql, &dollars), vec!["seen".to_owned()]);
        }
    }
}
