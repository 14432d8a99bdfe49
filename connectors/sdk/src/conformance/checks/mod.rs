//! The checks, in the order in which they are made.

mod codes;
mod connection;
mod cut;
mod life;
mod lookups;
mod paging;
mod reading;
mod refs;
mod texts;
mod tidy;
mod together;
mod tolerance;

use super::rule::Rule;

/// Every check after `describe`. What reads comes first, and that somebody can be created before anything that needs somebody;
/// what is judged of the whole run comes last.
pub(super) fn all() -> Vec<Rule> {
    let parts: [&[Rule]; 12] = [
        &reading::RULES,
        &life::RULES,
        &lookups::RULES,
        &codes::RULES,
        &refs::RULES,
        &tolerance::RULES,
        &texts::RULES,
        &together::RULES,
        &paging::RULES,
        &connection::RULES,
        &cut::RULES,
        &tidy::RULES,
    ];
    parts.concat()
}
