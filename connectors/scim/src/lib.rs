//! A connector for applications that support SCIM 2.0 (RFC 7643, RFC 7644, RFC 9865).
//!
//! Users and groups stay JSON from end to end, so that a change keeps attributes that the connector does not know. For operators: see
//! `docs/connectors/scim.md`.
//!
//! - `settings`: the keys of `target`
//! - `wire`, `path`: reading resources and their attributes
//! - `client`, `errors`: requests, and what a refusal means
//! - `discovery`: what the application announces
//! - `application`: an application whose features are known, and looking up its users
//! - `mapping`, `change`: converts a user to an account, and a change to a `PATCH` or a `PUT`
//! - `paging`, `listing`: paging without skipping a record
//! - `groups`, `memberships`: members of groups
//! - `operations`, `check`, `look`: the actions, and checks before the first task
//! - `connector`: the implementation of the connector contract

mod application;
mod change;
mod check;
mod client;
mod connector;
mod discovery;
mod errors;
mod first_look;
mod groups;
mod listing;
mod look;
mod mapping;
mod memberships;
mod operations;
mod paging;
mod path;
mod settings;
mod standing;
mod wire;

pub use connector::{ScimConnector, factory};
pub use settings::{
    AbsentMembers, Accounts, Booleans, Capabilities, Deletion, Groups, License, Lookup, MembershipsFrom,
    Paging, Profile, RemoveMember, Settings,
};
