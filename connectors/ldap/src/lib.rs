//! A connector whose target is an LDAP directory: OpenLDAP, 389 Directory Server, Active Directory and Samba.
//!
//! For operators: see `docs/connectors/ldap.md`.
//!
//! # The parts
//! - `settings`: the keys of `target`; `layout` and `endpoint`: what they amount to, checked
//! - `escape`, `name`, `identifier`, `template`: values, and the syntax they must not become. Pure
//! - `client`: who bridgehead is: a name and a password, or a certificate
//! - `servers`: which server is used; `references`: which parts of the directory are elsewhere
//! - `schema`: what attributes are called, and how values compare; `usability`: whether an account can log in
//! - `session`: one bound connection, and the requests on it; `pool`: a few of them; `readiness`: what a new one looks
//!   at first
//! - `traced`: what is shown of requests and answers
//! - `entry`, `paging`: what the server answers, read without trust; `failure`: what can go wrong
//! - `report`: from result codes to what the runtime is told; `diagnosis`: whether the server refuses a task, or everything
//! - `directory`: look-ups; `probe`, `rights`, `witness`: whether the directory is what the settings say
//! - `advice`: what tasks would fail on; `classes`: what object classes demand; `writing`: what `bind_dn` may write
//! - `memberships`, `groups`: who is in which group, and changing it
//! - `roster`: who is in which group, read once for a listing; `index`: where that is kept
//! - `records`, `listing`: pages of records
//! - `new_entry`, `staging`, `create`, `undo`, `duplicates`, `update`, `delete`, `suspension`, `lock`, `password`: the six actions
//! - `plan`, `apply`, `rename`: what an update comes to, and carrying it out
//! - `discovery`, `survey`: what `bridgehead init` finds out of a directory that nothing is known of
//! - `connector`: the contract with the runtime
//!
//! # Decisions
//! **A cursor is kept with its connection.** The cookie of a paged search means nothing on another connection. A listing whose
//! connection is lost is incomplete, which is an error; it is never resumed elsewhere (see `listing`).
//!
//! **An entry is there when it is whole.** Passwords are set before the entry gets its name (see `staging`), so that
//! looking for an account tells truly whether a task was done.
//!
//! **"No such object" is looked into.** It is an account's absence only if what the account lies in is there.

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
