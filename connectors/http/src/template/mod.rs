//! Templates and expressions: compiled once, and checked against the variables that are known in their place.
//!
//! - [`engine`]: minijinja, configured so that nothing is written by accident
//! - [`Scope`]: which variables are known at a key of the configuration
//! - [`Vars`]: the variables and their values when a request is made
//! - [`Expression`]: returns a value, such as `answer.items`
//! - [`Text`]: renders a string, such as `Kit {{ account.username }}`
//! - [`Path`]: renders the path of a URL, with every value percent-encoded
//! - [`Tree`]: renders JSON, leaf by leaf
//! - `names`: detects unknown filters and tests at load

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
