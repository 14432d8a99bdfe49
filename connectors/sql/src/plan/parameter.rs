//! The meaning of a statement's parameters.

use std::collections::BTreeMap;

use bridgehead_sdk::{Action, nearest};
use serde_json::Value;

use crate::hash::Scheme;
use crate::settings::IdType;

/// The meaning of a parameter.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Parameter {
    /// The account's identifier.
    Id,
    /// The identifier of a group or license.
    Ref,
    /// The last identifier of the previous page; NULL on the first page.
    After,
    /// The number of rows of a page.
    Limit,
    /// The number of rows to skip.
    Offset,
    /// The identifiers of all accounts of a page, as a JSON list.
    Ids,
    /// The password of the task.
    Password,
    /// A hash of the password.
    PasswordHash(Scheme),
    /// The task's identifier.
    TaskId,
    /// The number of the attempt.
    Attempt,
    /// A field of the account.
    Field(String),
    /// A custom parameter.
    Own(String),
}

/// The source of a custom parameter.
#[derive(Clone, PartialEq)]
pub(crate) enum Source {
    /// A fixed value.
    Fixed(Value),
    /// A field of the task, with a default.
    Task {
        /// The name of the field.
        field: String,
        /// The value if the task does not have the field.
        default: Value,
    },
}

impl std::fmt::Debug for Source {
    /// A fixed value may be secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Fixed(_) => f.write_str("Fixed"),
            Self::Task { field, .. } => f.debug_tuple("Task").field(field).finish(),
        }
    }
}

/// How a value is bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// With the type of the value; PostgreSQL always gets a string, so that a statement has the same types every time.
    Natural,
    /// As a 64-bit integer.
    Integer,
    /// As a UUID, if the database has this type.
    Uuid,
}

impl From<IdType> for Kind {
    fn from(id: IdType) -> Self {
        match id {
            IdType::Text => Self::Natural,
            IdType::Integer => Self::Integer,
            IdType::Uuid => Self::Uuid,
        }
    }
}

/// The kind of statement, which determines the allowed parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Lists records.
    List,
    /// Lists the members of a type.
    Members,
    /// Counts records.
    Count,
    /// Finds an account by its identifier.
    ById,
    /// Finds an account by a field.
    ByField(&'static str),
    /// Finds a group or license.
    FindRef(IdType),
    /// Adds or removes a member.
    Membership(IdType),
    /// A statement of an action, and whether the account's identifier is known when it runs.
    Action(Action, bool),
}

const RESERVED: [(&str, Parameter); 17] = [
    ("id", Parameter::Id),
    ("ref", Parameter::Ref),
    ("after", Parameter::After),
    ("limit", Parameter::Limit),
    ("offset", Parameter::Offset),
    ("ids", Parameter::Ids),
    ("password", Parameter::Password),
    ("password_scram_sha_256", Parameter::PasswordHash(Scheme::ScramSha256)),
    ("password_argon2id", Parameter::PasswordHash(Scheme::Argon2id)),
    ("password_bcrypt", Parameter::PasswordHash(Scheme::Bcrypt)),
    ("password_pbkdf2_sha256", Parameter::PasswordHash(Scheme::Pbkdf2Sha256)),
    ("password_scrypt", Parameter::PasswordHash(Scheme::Scrypt)),
    ("password_sha512_crypt", Parameter::PasswordHash(Scheme::Sha512Crypt)),
    ("password_yescrypt", Parameter::PasswordHash(Scheme::Yescrypt)),
    ("password_ssha", Parameter::PasswordHash(Scheme::Ssha)),
    ("task_id", Parameter::TaskId),
    ("attempt", Parameter::Attempt),
];

/// Whether a name is reserved.
pub(super) fn is_reserved(name: &str) -> bool {
    RESERVED.iter().any(|(known, _)| *known == name)
}

/// The names that can be resolved.
#[derive(Debug)]
pub(super) struct Names<'a> {
    pub(super) fields: &'a [String],
    pub(super) own: &'a BTreeMap<String, Source>,
}

impl Names<'_> {
    /// Resolves a name in a statement of this kind; the error says why it is not allowed.
    pub(super) fn resolve(&self, name: &str, place: Place) -> Result<Parameter, String> {
        let reserved = RESERVED.into_iter().find(|(known, _)| *known == name).map(|(_, parameter)| parameter);
        let is_field = self.fields.iter().any(|field| field == name);
        let parameter = match (reserved, self.own.get(name)) {
            (Some(parameter), _) => parameter,
            (None, Some(_)) => Parameter::Own(name.to_owned()),
            (None, None) if is_field => Parameter::Field(name.to_owned()),
            (None, None) => return Err(self.unknown(name, place)),
        };
        if self.fits(&parameter, place) {
            return Ok(parameter);
        }
        let allowed = self.allowed(place);
        if parameter == Parameter::Id && matches!(place, Place::Action(Action::CreateAccount, false)) {
            let message =
                "uses :id before it is known: make an earlier statement return it (returns = \"id\")";
            return Err(message.to_owned());
        }
        Err(format!("uses :{name}, which has no value here; available are {}", listed(&allowed)))
    }

    fn fits(&self, parameter: &Parameter, place: Place) -> bool {
        use Parameter as P;
        if let P::Own(name) = parameter {
            let is_fixed = matches!(self.own.get(name), Some(Source::Fixed(_)));
            return is_fixed || matches!(place, Place::Membership(_) | Place::Action(..));
        }
        match place {
            Place::List => matches!(parameter, P::After | P::Limit | P::Offset),
            Place::Count => false,
            Place::Members => *parameter == P::Ids,
            Place::ById => *parameter == P::Id,
            Place::ByField(field) => *parameter == P::Field(field.to_owned()),
            Place::FindRef(_) => *parameter == P::Ref,
            Place::Membership(_) => {
                matches!(parameter, P::Id | P::Ref | P::Field(_) | P::TaskId | P::Attempt)
            }
            Place::Action(action, knows_id) => match parameter {
                P::Id => knows_id,
                P::Password | P::PasswordHash(_) => {
                    matches!(action, Action::CreateAccount | Action::ResetPassword)
                }
                P::Field(_) | P::TaskId | P::Attempt => true,
                _ => false,
            },
        }
    }

    fn allowed(&self, place: Place) -> Vec<String> {
        let reserved = RESERVED.into_iter().filter(|(_, parameter)| self.fits(parameter, place));
        let fields = self.fields.iter().filter(|field| self.fits(&Parameter::Field((*field).clone()), place));
        let own = self.own.keys().filter(|name| self.fits(&Parameter::Own((*name).clone()), place));
        let names = reserved.map(|(name, _)| name.to_owned()).chain(fields.cloned()).chain(own.cloned());
        names.collect()
    }

    fn unknown(&self, name: &str, place: Place) -> String {
        let allowed = self.allowed(place);
        match nearest(name, allowed.iter().map(String::as_str)) {
            Some(near) => format!("uses :{name}, which is not a parameter; did you mean :{near}?"),
            None => format!(
                "uses :{name}, which is not a parameter; available are {}. Add a column for it to \
                 accounts.fields, or declare it in parameters",
                listed(&allowed)
            ),
        }
    }
}

fn listed(names: &[String]) -> String {
    if names.is_empty() {
        return "none".to_owned();
    }
    names.iter().map(|name| format!(":{name}")).collect::<Vec<_>>().join(", ")
}

impl Names<'_> {
    /// Whether a task's field with this name can be bound.
    pub(super) fn is_task_field(&self, name: &str) -> bool {
        let own =
            self.own.values().any(|source| matches!(source, Source::Task { field, .. } if field == name));
        own || (name != "id" && self.fields.iter().any(|field| field == name))
    }
}
