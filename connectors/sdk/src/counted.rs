//! Formats counts for messages, such as "1 entry" and "2 entries".

use std::fmt::Display;

/// Formats a count with the noun in the singular or plural form.
///
/// ```
/// use bridgehead_sdk::counted;
///
/// assert_eq!(counted(1_u64, "entry", "entries"), "1 entry");
/// assert_eq!(counted(0_u64, "entry", "entries"), "0 entries");
/// ```
pub fn counted<N: Copy + Display + PartialEq + From<u8>>(count: N, one: &str, many: &str) -> String {
    if count == N::from(1) { format!("{count} {one}") } else { format!("{count} {many}") }
}
