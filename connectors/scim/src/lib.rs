//! A connector whose target is an application that speaks SCIM 2.0 (RFC 7643, RFC 7644, RFC 9865).
//!
//! Users and groups stay JSON from end to end, so that a change keeps what nobody here knows the meaning of. What operators need to know
//! stands in `docs/connectors/scim.md`.
//!
//! - `settings`: the keys of `target`
//! - `wire`, `path`: reading resources, and finding one's way in them
//! - `client`, `errors`: requests, and what a refusal means
//! - `discovery`: what the application announces
//! - `application`: an application whose abilities are known, and looking users up in it
//! - `mapping`, `change`: from a user to an account, and from a change to a `PATCH` or a `PUT`
//! - `paging`, `listing`: from page to page, without skipping a record
//! - `groups`, `memberships`: who is in which group
//! - `operations`, `check`, `look`: the actions, and what is looked at in advance
//! - `connector`: the contract with the runtime

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
