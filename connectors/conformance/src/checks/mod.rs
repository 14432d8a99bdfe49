//! The checks, in the order in which they run.

mod codes;
mod connection;
mod cut;
mod failing;
mod fields;
mod life;
mod lookups;
mod members;
mod moving;
mod names;
mod paging;
mod reading;
mod reads_only;
mod refs;
mod texts;
mod tidy;
mod together;
mod tolerance;
mod trial;

pub(super) use failing::Round;
pub(super) use tidy::CLEAN_UP;

use super::rule::Rule;

/// Every check after `describe`. Reading checks come first, then the check that an account can be created, before all that need one; checks
/// that judge the whole run come last.
pub(super) fn all() -> Vec<Rule> {
    let parts: [&[Rule]; 17] = [
        &reading::RULES,
        &life::RULES,
        &lookups::RULES,
        &names::RULES,
        &codes::RULES,
        &refs::RULES,
        &members::RULES,
        &fields::RULES,
        &tolerance::RULES,
        &texts::RULES,
        &together::RULES,
        &paging::RULES,
        &moving::RULES,
        &connection::RULES,
        &cut::RULES,
        &failing::RULES,
        &tidy::RULES,
    ];
    parts.concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_check_has_a_unique_name_a_rule_and_documentation() {
        let documentation = include_str!("../lib.rs");
        let mut names = std::collections::HashSet::new();
        for rule in all() {
            assert!(names.insert(rule.name), "{} is there twice", rule.name);
            assert!(rule.name.chars().all(|one| one.is_ascii_lowercase() || one == '-'), "{}", rule.name);
            assert!(rule.sentence.ends_with('.'), "{}: {}", rule.name, rule.sentence);
            assert!(documentation.contains(&format!("`{}`", rule.name)), "{} is not documented", rule.name);
        }
    }
}
