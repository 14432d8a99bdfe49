//! Detects unknown filters and tests at load: minijinja only looks them up when a template runs.

use minijinja::context;

use super::engine::ENGINE;

/// A message about the first unknown filter or test of an expression.
pub(super) fn unknown_in_expression(source: &str) -> Option<String> {
    let words = words(source);
    let exists = |kind: &str, name: &str| {
        let known = ENGINE.compile_expression_owned(format!("name is {kind}"));
        known.and_then(|known| known.eval(context! { name })).is_ok_and(|known| known.is_true())
    };
    words.windows(2).enumerate().find_map(|(at, pair)| {
        let name = match &pair[1] {
            Token::Word(word) if word == "not" => words.get(at + 2),
            other => Some(other),
        };
        match (&pair[0], name) {
            (Token::Pipe, Some(Token::Word(name))) if !exists("filter", name) => {
                Some(format!("unknown filter '{name}'"))
            }
            (Token::Word(is), Some(Token::Word(name))) if is == "is" && !exists("test", name) => {
                Some(format!("unknown test '{name}'"))
            }
            _ => None,
        }
    })
}

/// The same for a template string: only the parts between `{{` and `}}`, or `{%` and `%}`, are checked.
pub(super) fn unknown_in_text(source: &str) -> Option<String> {
    let mut rest = source;
    while let Some(begin) = rest.find("{{").into_iter().chain(rest.find("{%")).min() {
        let inside = &rest[begin + 2..];
        let end = inside.find("}}").into_iter().chain(inside.find("%}")).min().unwrap_or(inside.len());
        if let Some(found) = unknown_in_expression(&inside[..end]) {
            return Some(found);
        }
        rest = &inside[end..];
    }
    None
}

#[derive(Debug, PartialEq)]
enum Token {
    Word(String),
    Pipe,
    Other,
}

/// The words and `|` characters outside of quotes.
fn words(source: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut characters = source.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' | '\'' => {
                while let Some(inner) = characters.next() {
                    if inner == '\\' {
                        characters.next();
                    } else if inner == character {
                        break;
                    }
                }
                tokens.push(Token::Other);
            }
            '|' => tokens.push(Token::Pipe),
            first if first.is_alphabetic() || first == '_' => {
                let mut word = first.to_string();
                while let Some(next) = characters.next_if(|next| next.is_alphanumeric() || *next == '_') {
                    word.push(next);
                }
                tokens.push(Token::Word(word));
            }
            blank if blank.is_whitespace() => {}
            _ => tokens.push(Token::Other),
        }
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_filters_and_tests_are_named() {
        assert_eq!(unknown_in_expression("a | uper").as_deref(), Some("unknown filter 'uper'"));
        assert_eq!(unknown_in_expression("a is not definde").as_deref(), Some("unknown test 'definde'"));
        assert_eq!(unknown_in_expression("a|safe").as_deref(), Some("unknown filter 'safe'"));
        assert_eq!(
            unknown_in_text("is x {{ a }} | b {% if a is nothing %}").as_deref(),
            Some("unknown test 'nothing'")
        );
    }

    #[test]
    fn known_names_and_quoted_text_are_accepted() {
        for fine in ["a | upper | default('x | y')", "a is defined and b is not none", "'it\\'s | x' ~ a.is"]
        {
            assert_eq!(unknown_in_expression(fine), None, "{fine}");
        }
        assert_eq!(unknown_in_text("this is all | fine {{ a | lower }}"), None);
    }
}
