//! The `Link` header (RFC 8288).

/// A header that is not a list of links.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unreadable;

/// The target of the link with the relation `next`, if there is one; unchanged, so it may be relative.
pub(crate) fn next<'a>(headers: impl IntoIterator<Item = &'a str>) -> Result<Option<String>, Unreadable> {
    for header in headers {
        let mut rest = header.trim_start();
        while !rest.is_empty() {
            if let Some(more) = rest.strip_prefix(',') {
                rest = more.trim_start();
                continue;
            }
            let (target, parameters) =
                rest.strip_prefix('<').and_then(|rest| rest.split_once('>')).ok_or(Unreadable)?;
            let (is_next, after) = is_next(parameters)?;
            if is_next {
                return Ok(Some(target.trim().to_owned()));
            }
            rest = after;
        }
    }
    Ok(None)
}

/// Reads the parameters of one link: returns whether its first `rel` is `next`, and the rest of the string.
fn is_next(text: &str) -> Result<(bool, &str), Unreadable> {
    let mut relation: Option<bool> = None;
    let mut rest = text.trim_start();
    while let Some(parameter) = rest.strip_prefix(';') {
        let parameter = parameter.trim_start();
        let end = parameter.find(['=', ';', ',']).unwrap_or(parameter.len());
        let name = parameter[..end].trim();
        rest = &parameter[end..];
        let mut value = String::new();
        if let Some(text) = rest.strip_prefix('=') {
            (value, rest) = read_value(text.trim_start())?;
        }
        if name.eq_ignore_ascii_case("rel") {
            // A second `rel` is ignored (section 3.3).
            relation.get_or_insert_with(|| {
                value.split_ascii_whitespace().any(|one| one.eq_ignore_ascii_case("next"))
            });
        }
        rest = rest.trim_start();
    }
    if rest.is_empty() || rest.starts_with(',') {
        Ok((relation.unwrap_or(false), rest))
    } else {
        Err(Unreadable)
    }
}

/// Reads a token or a quoted string, and returns the rest of the string.
fn read_value(text: &str) -> Result<(String, &str), Unreadable> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([';', ',']).unwrap_or(text.len());
        return Ok((text[..end].trim().to_owned(), &text[end..]));
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Ok((value, &quoted[at + 1..])),
            '\\' => value.push(characters.next().ok_or(Unreadable)?.1),
            other => value.push(other),
        }
    }
    Err(Unreadable)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn next_link_is_found_among_others() {
        for (headers, found) in [
            (vec![], None),
            (vec![""], None),
            (vec!["<https://a/?p=2>; rel=\"next\""], Some("https://a/?p=2")),
            (vec!["</u?p=1>; rel=prev, </u?p=3>; rel=next"], Some("/u?p=3")),
            (vec!["<a>; rel=\"last\"", "<b>; title=\"x, <c>; rel=next\"; rel=\"foo NEXT\""], Some("b")),
            (vec!["<a,b;c>;rel=next"], Some("a,b;c")),
            (vec!["<a>; rel=last; rel=next"], None),
            (vec!["<a>; title=\"\\\"\\\\\"; REL = next ,"], Some("a")),
            (vec!["<a>"], None),
        ] {
            assert_eq!(next(headers.iter().copied()), Ok(found.map(str::to_owned)), "{headers:?}");
        }
    }

    #[test]
    fn malformed_link_header_is_not_the_end_of_the_list() {
        for header in ["https://a; rel=next", "<a", "<a> rel=next", "<a>; rel=\"next", "<a>; rel=\"x\" y"] {
            assert_eq!(next([header]), Err(Unreadable), "{header}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_link_headers_do_not_panic(header in "[<>;,=\"\\\\ a-z]{0,40}") {
            drop(next([header.as_str()]));
        }

        #[test]
        fn next_link_is_found_after_any_title(title in "[^\"\\\\]{0,20}") {
            let header = format!("<a>; title=\"{title}\"; rel=last, <b>; title=\"{title}\"; rel=next");
            prop_assert_eq!(next([header.as_str()]), Ok(Some("b".to_owned())));
        }
    }
}
