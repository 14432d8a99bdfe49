//! Names in messages: the first few, and how many more there are. A daemon can have a thousand apps.

/// How many names are shown.
const SHOWN: usize = 10;

/// Joins names for a message: at most ten of them, then the number of the others.
pub fn first_names<S: AsRef<str>>(names: impl ExactSizeIterator<Item = S>) -> String {
    let more = names.len().saturating_sub(SHOWN);
    let mut text = String::new();
    for name in names.take(SHOWN) {
        if !text.is_empty() {
            text.push_str(", ");
        }
        text.push_str(name.as_ref());
    }
    if more == 0 { text } else { format!("{text} and {more} more") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_names_are_all_shown_and_many_are_counted() {
        let of = |count: usize| first_names((0..count).map(|number| format!("a{number}")));
        assert_eq!(of(0), "");
        assert_eq!(of(2), "a0, a1");
        assert_eq!(of(10), "a0, a1, a2, a3, a4, a5, a6, a7, a8, a9");
        assert_eq!(of(12), "a0, a1, a2, a3, a4, a5, a6, a7, a8, a9 and 2 more");
    }
}
