//! The checks, in the order in which they are made.

mod codes;
mod life;
mod paging;
mod reading;
mod tidy;

use super::rule::Rule;

/// Every check after `describe`.
pub(super) fn all() -> Vec<Rule> {
    let parts: [&[Rule]; 5] = [&reading::RULES, &life::RULES, &codes::RULES, &paging::RULES, &tidy::RULES];
    parts.concat()
}
