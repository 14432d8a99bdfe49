//! Computes a new entry: converts fields to attributes.

use std::collections::BTreeMap;

use bridgehead_sdk::{Account, Error, is_secret_name};
use serde_json::{Map, Value};

use crate::directory::Directory;
use crate::layout::Layout;
use crate::name::Rdn;

/// Fields of a task that are not attributes.
const OTHER_FIELDS: [&str; 5] = ["memberships", "assignments", "status", "id", "account_id"];

/// A new entry.
#[derive(Debug)]
pub(crate) struct NewEntry {
    pub(crate) rdn: Rdn,
    /// Without the password and the attribute that suspends.
    pub(crate) attributes: BTreeMap<String, Vec<String>>,
    /// Fields that are not mapped to an attribute.
    pub(crate) unmapped: Vec<String>,
}

impl NewEntry {
    /// The entry for an account.
    pub(crate) fn new(directory: &Directory, account: &Account) -> Result<Self, Error> {
        let layout = directory.layout();
        let label = account.label();
        let fields = fields(account);
        let mut attributes = BTreeMap::new();
        for (field, attribute) in &layout.accounts.attributes {
            let values = texts(directory, label, field, fields.get(field).unwrap_or(&Value::Null))?;
            let values = directory.rule(attribute).distinct(values);
            if values.is_empty() {
                continue;
            }
            match attributes.insert(attribute.clone(), values) {
                Some(other) if other != attributes[attribute] => {
                    return Err(Error::internal(format!(
                        "{}: User {label}: user name and email are the same attribute here ({attribute}), \
                         but the task sets different values",
                        directory.system()
                    )));
                }
                _ => {}
            }
        }
        for (attribute, template) in &layout.create.attributes {
            let is_set = attributes.keys().any(|name: &String| name.eq_ignore_ascii_case(attribute));
            let value = template.render(|name| field_text(layout, &fields, name));
            if let (false, Some(value)) = (is_set, value) {
                attributes.insert(attribute.clone(), vec![value]);
            }
        }
        let rdn = &layout.create.rdn;
        let naming = attributes.iter().find(|(name, _)| name.eq_ignore_ascii_case(rdn));
        let Some(value) = naming.and_then(|(_, values)| values.first()) else {
            return Err(Error::internal(format!(
                "{}: User {label} has no value for {rdn}, which names the entry (create.rdn); Iden must send one",
                directory.system()
            )));
        };
        let is_mapped = |field: &str| layout.attribute(field).is_some() || OTHER_FIELDS.contains(&field);
        let unmapped = fields
            .iter()
            .filter(|(field, value)| !value.is_null() && !is_mapped(field) && !is_secret_name(field));
        let unmapped = unmapped.map(|(field, _)| field.clone()).collect();
        Ok(Self { rdn: Rdn::new(rdn, value), unmapped, attributes })
    }
}

/// The fields of an account by name.
pub(crate) fn fields(account: &Account) -> Map<String, Value> {
    let mut fields = account.extra.clone();
    let own = [
        ("username", &account.username),
        ("email", &account.email),
        ("first_name", &account.first_name),
        ("last_name", &account.last_name),
        ("display_name", &account.display_name),
    ];
    for (name, value) in own {
        if let Some(value) = value {
            fields.insert(name.to_owned(), value.as_str().into());
        }
    }
    fields
}

/// The value of a field in a template.
pub(crate) fn field_text(layout: &Layout, fields: &Map<String, Value>, name: &str) -> Option<String> {
    if name == "domain" && !fields.contains_key("domain") {
        return Some(layout.create.domain.clone()).filter(|domain| !domain.is_empty());
    }
    match fields.get(name)? {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The attribute values of a field.
pub(crate) fn texts(
    directory: &Directory,
    label: &str,
    field: &str,
    value: &Value,
) -> Result<Vec<String>, Error> {
    let wrong = || {
        let message = format!(
            "{}: User {label}: {field} must be text, a number, true or false, or a list of these",
            directory.system()
        );
        Error::internal(message)
    };
    let text = |value: &Value| match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        // The LDAP syntax of booleans: RFC 4517, 3.3.3.
        Value::Bool(truth) => Ok(if *truth { "TRUE" } else { "FALSE" }.to_owned()),
        _ => Err(wrong()),
    };
    let values = match value {
        Value::Null => Vec::new(),
        Value::Array(values) => values.iter().map(text).collect::<Result<Vec<_>, _>>()?,
        value => vec![text(value)?],
    };
    Ok(values.into_iter().filter(|value| !value.is_empty()).collect())
}
