//! Numbers of things, as people say them.

use std::fmt::Display;

/// How many there are of something, with its name in the singular or plural.
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
