//! Templates and expressions: compiled once, checked against the variables that are known where they stand.
//!
//! - [`engine`]: minijinja, set up so that nothing is written by accident
//! - [`Scope`]: which variables are known at a place of the configuration
//! - [`Vars`]: the variables themselves, when a request is made
//! - [`Expression`]: gives a value, such as `answer.items`
//! - [`Text`]: gives a text, such as `Kit {{ account.username }}`
//! - [`Path`]: gives the path of a URL, every value percent-encoded
//! - [`Tree`]: gives JSON, leaf by leaf
//! - `names`: filters and tests that do not exist, found before they are needed

mod engine;
mod expression;
mod fault;
mod names;
mod path;
mod scope;
mod text;
mod tree;
mod vars;

pub(crate) use engine::{is_omitted, omitted};
pub(crate) use expression::Expression;
pub(crate) use fault::{Fault, Reason};
pub(crate) use path::Path;
pub(crate) use scope::{Members, Scope};
pub(crate) use text::Text;
pub(crate) use tree::Tree;
pub(crate) use vars::Vars;
