//! A connector for LDAP directories: OpenLDAP, 389 Directory Server, Active Directory and Samba.
//!
//! For operators: see `docs/connectors/ldap.md`.
//!
//! # Modules
//! - `settings`: the keys of `target`; `layout` and `endpoint`: the checked settings with defaults
//! - `escape`, `name`, `identifier`, `template`: values, and escaping them so that they never become syntax. Pure
//! - `client`: bridgehead's identity: a name and a password, or a certificate
//! - `servers`: which server is used; `references`: which parts of the directory are on other servers
//! - `schema`: the names of attributes and how values compare; `usability`: whether an account can log in
//! - `session`: one bound connection, and the requests on it; `pool`: a few of them; `readiness`: what a new one checks first
//! - `traced`: what a trace shows of requests and responses
//! - `entry`, `paging`: parsing of untrusted responses; `failure`: the kinds of failures
//! - `report`: converts result codes to errors for the runtime; `diagnosis`: whether the server refuses one task or every change
//! - `directory`: look-ups; `probe`, `rights`, `witness`: whether the directory matches the settings
//! - `advice`: what tasks would fail on; `classes`: what object classes require; `writing`: what `bind_dn` is allowed to write
//! - `memberships`, `groups`: reading and changing memberships
//! - `roster`: all memberships, read once for a listing; `index`: its storage
//! - `records`, `listing`: pages of records
//! - `new_entry`, `staging`, `create`, `undo`, `duplicates`, `update`, `delete`, `suspension`, `lock`, `password`: the six actions
//! - `plan`, `apply`, `rename`: computing the changes of an update, and executing them
//! - `discovery`, `survey`: what `bridgehead init` finds out about an unknown directory
//! - `connector`: the implementation of the connector contract
//!
//! # Design decisions
//! **A cursor is kept with its connection.** The cookie of a paged search is not valid on another connection. A listing whose connection is
//! lost is incomplete, which is an error; it is never resumed elsewhere (see `listing`).
//!
//! **An entry only exists once it is complete.** Passwords are set before the entry gets its final name (see `staging`), so a look-up of
//! the account reliably shows whether a task was done.
//!
//! **"No such object" is verified.** It only means that the account does not exist if its base exists.

mod advice;
mod apply;
mod classes;
mod client;
mod connector;
mod create;
mod delete;
mod diagnosis;
mod directory;
mod discovery;
mod duplicates;
mod endpoint;
mod entry;
mod escape;
mod failure;
mod groups;
mod holder;
mod identifier;
mod index;
mod layout;
mod listing;
mod lock;
mod memberships;
mod name;
mod new_entry;
mod paging;
mod password;
mod plan;
mod pool;
mod probe;
mod readiness;
mod records;
mod references;
mod rename;
mod report;
mod rights;
mod roster;
mod schema;
mod servers;
mod session;
mod settings;
mod staging;
mod survey;
mod suspension;
mod template;
mod traced;
mod undo;
mod update;
mod usability;
mod witness;
mod writing;

pub use connector::{LdapConnector, factory};
pub use settings::{
    Accounts, BindMethod, CreateSettings, FriendlyDuration, GroupType, MembershipSettings, MembershipSource,
    PasswordMethod, Profile, Scope, Settings, SuspendMethod, SuspendSettings,
};
