//! How accounts, groups and licenses are read.

use bridgehead_sdk::{ResourceKind, ResourceType, SettingsError, is_secret_name};

use super::parameter::{Parameter, Place, is_reserved};
use super::statement::{Compiler, Statement};
use super::steps::{self, Step};
use super::writes::reads_from;
use crate::settings::{AccountsSettings, Fields, IdType, MemberSettings, Paging, TypeSettings};

/// The maximum number of rows of a page, and of a listing without pages.
pub(crate) const MOST_ROWS: u32 = 10_000;

/// The accounts.
#[derive(Debug)]
pub(crate) struct Accounts {
    pub(crate) resource_type: ResourceType,
    pub(crate) fields: Fields,
    pub(crate) id_type: IdType,
    pub(crate) listing: Listing,
    pub(crate) by_id: Statement,
    pub(crate) by_username: Option<Statement>,
    pub(crate) by_email: Option<Statement>,
}

/// A type of groups or licenses.
#[derive(Debug)]
#[expect(clippy::struct_field_names, reason = "a resource type is what the Bridge calls it")]
pub(crate) struct Type {
    pub(crate) resource_type: ResourceType,
    pub(crate) fields: Fields,
    pub(crate) id_type: IdType,
    pub(crate) listing: Listing,
    pub(crate) find: Option<Statement>,
    pub(crate) members: Option<Members>,
    pub(crate) add: Vec<Step>,
    pub(crate) remove: Vec<Step>,
}

/// How to list records.
#[derive(Debug)]
pub(crate) struct Listing {
    pub(crate) statement: Statement,
    pub(crate) paging: Paging,
    pub(crate) page_size: u32,
    /// Counts the records that the statement should return.
    pub(crate) count: Option<Statement>,
}

/// How to read the members of a type.
#[derive(Debug)]
pub(crate) enum Members {
    /// From a column of the accounts.
    Column {
        /// The column.
        column: String,
        /// The separator of identifiers in a string.
        separator: Option<String>,
    },
    /// With a statement, for all accounts of a page.
    Statement {
        /// The statement.
        statement: Box<Statement>,
        /// The column with the account's identifier.
        account: String,
        /// The column with the identifier of the group or license.
        reference: String,
    },
}

impl Accounts {
    pub(super) fn build(compiler: &Compiler<'_>, settings: &AccountsSettings) -> Result<Self, SettingsError> {
        check_slug("accounts.slug", &settings.slug)?;
        check_fields("accounts.fields", &settings.fields)?;
        for field in settings.fields.keys() {
            let key = format!("accounts.fields.{field}");
            if field != "id" && is_reserved(field) {
                return Err(SettingsError::new(
                    key,
                    "is the name of a parameter that means something else; choose a different name",
                ));
            }
            if matches!(field.as_str(), "memberships" | "assignments") {
                return Err(SettingsError::new(
                    key,
                    "comes from the groups and licenses: give those `members`",
                ));
            }
            if is_secret_name(field) {
                return Err(SettingsError::new(
                    key,
                    "has the name of a secret; secrets must not leave the \
                                                    database",
                ));
            }
        }
        let has = |field: &str| settings.fields.contains_key(field);
        if !has("username") && !has("email") {
            let message = "must name the column of username or email: Iden requires at least one for each \
                           account";
            return Err(SettingsError::new("accounts.fields", message));
        }
        let whole = |key: &str, text: &str| whole(settings.select.as_deref(), key, text);
        let listing = Listing::build(
            compiler,
            "accounts",
            &whole("accounts.list", &settings.list)?,
            (settings.paging, settings.page_size, settings.id_type),
            settings.count.as_deref(),
        )?;
        let finder = |key: &str, text: &str, place: Place, parameter: Parameter| {
            let statement = compiler.query(key, &whole(key, text)?, place)?;
            if statement.uses(&parameter) {
                return Ok(statement);
            }
            let name = if parameter == Parameter::Id { "id" } else { key.trim_start_matches("accounts.by_") };
            Err(SettingsError::new(key, format!("does not use :{name}, so it would match any account")))
        };
        let by_field = |field: &'static str, text: Option<&String>| {
            let key = format!("accounts.by_{field}");
            match (text, has(field)) {
                (Some(text), true) => {
                    finder(&key, text, Place::ByField(field), Parameter::Field(field.to_owned())).map(Some)
                }
                (None, true) => {
                    let message = format!("is missing: accounts have a {field}, and are looked up by it");
                    Err(SettingsError::new(key, message))
                }
                (Some(_), false) => {
                    let message = format!("does not apply without a column for {field} in accounts.fields");
                    Err(SettingsError::new(key, message))
                }
                (None, false) => Ok(None),
            }
        };
        Ok(Self {
            resource_type: ResourceType::account(settings.slug.as_str(), settings.name.as_str()),
            listing,
            by_id: finder("accounts.by_id", &settings.by_id, Place::ById, Parameter::Id)?,
            by_username: by_field("username", settings.by_username.as_ref())?,
            by_email: by_field("email", settings.by_email.as_ref())?,
            fields: settings.fields.clone(),
            id_type: settings.id_type,
        })
    }
}

impl Type {
    pub(super) fn build(
        compiler: &Compiler<'_>,
        key: &str,
        kind: ResourceKind,
        settings: &TypeSettings,
    ) -> Result<Self, SettingsError> {
        let error = |part: &str, message: &str| Err(SettingsError::new(format!("{key}.{part}"), message));
        check_slug(&format!("{key}.slug"), &settings.slug)?;
        check_fields(&format!("{key}.fields"), &settings.fields)?;
        if !settings.fields.contains_key("name") {
            return error("fields", "must name the column of name: every group and license has one");
        }
        for (part, steps) in [("add", &settings.add), ("remove", &settings.remove)] {
            let other = if part == "add" { "remove" } else { "add" };
            let others = if part == "add" { &settings.remove } else { &settings.add };
            if !steps.is_empty() && others.is_empty() {
                return error(other, &format!("is missing: {part} could never be undone"));
            }
            if !steps.is_empty() && settings.members.is_none() {
                return error("members", &format!("is missing: without it the connector cannot {part}"));
            }
        }
        let listing = Listing::build(
            compiler,
            key,
            &settings.list,
            (settings.paging, settings.page_size, settings.id_type),
            settings.count.as_deref(),
        )?;
        let find = match &settings.find {
            Some(text) => {
                let find = compiler.query(&format!("{key}.find"), text, Place::FindRef(settings.id_type))?;
                if !find.uses(&Parameter::Ref) {
                    return error("find", "does not use :ref, so it would match any");
                }
                Some(find)
            }
            None => None,
        };
        let members = match &settings.members {
            Some(members) => Some(Members::build(compiler, &format!("{key}.members"), members)?),
            None => None,
        };
        let table = match &members {
            Some(Members::Statement { statement, .. }) => reads_from(&statement.sql),
            _ => None,
        };
        let steps = |part: &str, steps: &[_]| {
            let place = Place::Membership(settings.id_type);
            let steps = steps::of_membership(compiler, &format!("{key}.{part}"), steps, place)?;
            for parameter in [Parameter::Id, Parameter::Ref] {
                if !steps.is_empty() && !steps.iter().any(|step: &Step| step.statement.uses(&parameter)) {
                    let name = if parameter == Parameter::Id { "id" } else { "ref" };
                    let message = format!("does not use :{name}, so it would {part} others too");
                    return Err(SettingsError::new(format!("{key}.{part}"), message));
                }
            }
            if let Some(table) = &table {
                steps::concern_one_member(&steps, table)?;
            }
            Ok(steps)
        };
        let name = settings.name.clone().unwrap_or_else(|| settings.slug.clone());
        Ok(Self {
            resource_type: ResourceType::new(settings.slug.as_str(), name, kind),
            listing,
            find,
            add: steps("add", &settings.add)?,
            remove: steps("remove", &settings.remove)?,
            members,
            fields: settings.fields.clone(),
            id_type: settings.id_type,
        })
    }
}

impl Listing {
    fn build(
        compiler: &Compiler<'_>,
        key: &str,
        text: &str,
        (paging, page_size, id_type): (Paging, u32, IdType),
        count: Option<&str>,
    ) -> Result<Self, SettingsError> {
        if !(1..=MOST_ROWS).contains(&page_size) {
            return Err(SettingsError::new(format!("{key}.page_size"), "must be from 1 to 10000"));
        }
        let list = format!("{key}.list");
        let statement = compiler.ordered(&list, text, id_type)?;
        let count = match count {
            Some(text) => Some(compiler.query(&format!("{key}.count"), text, Place::Count)?),
            None => None,
        };
        let error = |message: &str| Err(SettingsError::new(list.as_str(), message));
        let uses = |parameter: Parameter| statement.uses(&parameter);
        let (after, offset, limit) =
            (uses(Parameter::After), uses(Parameter::Offset), uses(Parameter::Limit));
        match paging {
            Paging::Key if !after => error(
                "does not use :after, so every page would be the first; continue after it (WHERE id > \
                 COALESCE(:after, …)), or set paging to offset or none",
            ),
            Paging::Offset if !offset => error("does not use :offset, so every page would be the first"),
            Paging::Key | Paging::Offset if !limit => error(
                "does not use :limit, so the first page would contain everything; end it with LIMIT :limit",
            ),
            Paging::Key if offset => error("uses :offset, but paging is by key"),
            Paging::Offset if after => error("uses :after, but paging is by offset"),
            Paging::None if after || offset || limit => {
                error("uses :after, :offset or :limit, but paging is none: only a first page would be read")
            }
            _ => Ok(Self { statement, paging, page_size, count }),
        }
    }
}

impl Members {
    fn build(compiler: &Compiler<'_>, key: &str, settings: &MemberSettings) -> Result<Self, SettingsError> {
        let error = |part: &str, message: &str| Err(SettingsError::new(format!("{key}.{part}"), message));
        let MemberSettings { column, separator, list, account, reference } = settings;
        match (column, list) {
            (Some(_), Some(_)) => {
                error("list", "conflicts with column; members are read from one place only")
            }
            (None, None) => error("column", "or list is missing"),
            (Some(_), None) if account.is_some() || reference.is_some() => {
                error("account", "and ref only apply to list, not to column")
            }
            (Some(column), None) => {
                if separator.as_ref().is_some_and(String::is_empty) {
                    return error("separator", "must not be empty");
                }
                Ok(Self::Column { column: column.clone(), separator: separator.clone() })
            }
            (None, Some(_)) if separator.is_some() => {
                error("separator", "only applies to column, not to list")
            }
            (None, Some(text)) => {
                let statement = compiler.query(&format!("{key}.list"), text, Place::Members)?;
                if !statement.uses(&Parameter::Ids) {
                    return error("list", "does not use :ids, so it would read all members for every page");
                }
                let Some(account) = account else {
                    return error("account", "is missing: the name of the column of list");
                };
                let Some(reference) = reference else {
                    return error("ref", "is missing: the name of the column of list");
                };
                Ok(Self::Statement {
                    statement: Box::new(statement),
                    account: account.clone(),
                    reference: reference.clone(),
                })
            }
        }
    }
}

/// A statement of the accounts, after their common beginning.
fn whole(select: Option<&str>, key: &str, text: &str) -> Result<String, SettingsError> {
    let begins = |word: &str| {
        text.trim_start().get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word))
    };
    match select {
        Some(_) if text.trim().is_empty() => Err(SettingsError::new(key, "is empty")),
        Some(_) if begins("SELECT") || begins("WITH ") => Err(SettingsError::new(
            key,
            "is a complete statement although accounts.select is set: write \
                                         only what follows it",
        )),
        // On a separate line: the preceding text may end with a comment.
        Some(select) => Ok(format!("{select}\n{text}")),
        None => Ok(text.to_owned()),
    }
}

fn check_slug(key: &str, slug: &str) -> Result<(), SettingsError> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if slug.is_empty() || !slug.chars().all(fits) {
        return Err(SettingsError::new(key, "must consist of letters, digits, '-' and '_'"));
    }
    Ok(())
}

fn check_fields(key: &str, fields: &Fields) -> Result<(), SettingsError> {
    if !fields.contains_key("id") {
        return Err(SettingsError::new(key, "must name the column of id, which orders a listing"));
    }
    for (field, at) in fields {
        let key = format!("{key}.{field}");
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if field.starts_with(|c: char| c.is_ascii_digit()) || !field.chars().all(fits) || field.is_empty() {
            return Err(SettingsError::new(
                key,
                "must consist of letters, digits and '_', because it is a parameter",
            ));
        }
        if at.column.is_empty() {
            return Err(SettingsError::new(key, "must name a column"));
        }
        match &at.values {
            Some(_) if field != "status" => {
                return Err(SettingsError::new(key, "has values, which only apply to status"));
            }
            Some(values) if values.is_empty() => {
                return Err(SettingsError::new(key, "has no values, so every record would be invalid"));
            }
            _ => {}
        }
    }
    Ok(())
}
