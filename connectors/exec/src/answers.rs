//! Parses results into the types of the SDK. Pure, and strict wherever a lenient parser could cause an account to be
//! removed.

use std::collections::{BTreeSet, HashSet};

use bridgehead_sdk::{
    AccountRecord, Action, Cursor, Description, Evidence, Page, Record, RejectedRecord, ResourceKind,
    ResourceType, fault_beside_records, fault_in,
};
use serde_json::{Map, Value};

/// The maximum length of a slug.
const SLUG: usize = 255;

/// An invalid result. The author of the connector must act; no value is repeated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unexpected {
    /// A part that is missing or has the wrong type.
    #[error("{part} must be {expected}")]
    Part {
        /// Its path, such as `resource_types[2].slug`.
        part: String,
        /// What it must be.
        expected: &'static str,
    },
    /// The description has neither actions nor resource types.
    #[error(
        "actions and resource_types are both empty; a program that cannot reach its target must respond \
         with an error instead of an empty description"
    )]
    Nothing,
    /// A result that reports a failure. It must be an error, otherwise nothing shows that it failed.
    #[error("a result must not report a failure, but it has {0}; respond with an error instead")]
    Failure(String),
    /// Two resource types that cannot be distinguished.
    #[error("resource_types names the slug '{0}' twice")]
    TwiceNamed(String),
    /// A requested record that cannot be read.
    #[error(transparent)]
    Record(#[from] RejectedRecord),
}

impl Unexpected {
    fn part(part: impl Into<String>, expected: &'static str) -> Self {
        Self::Part { part: part.into(), expected }
    }
}

/// The result of `initialize`, and the parts of it that were skipped.
#[derive(Debug)]
pub(crate) struct Initialized {
    pub(crate) description: Description,
    /// Names in `actions` that are not one of the six actions.
    pub(crate) unknown_actions: Vec<String>,
}

/// Parses the result of `initialize`.
pub(crate) fn description(result: Value) -> Result<Initialized, Unexpected> {
    let mut fields = object(result)?;
    let name = required_text(&fields, "name", "name")?;
    let version = required_text(&fields, "version", "version")?;
    let mut actions = BTreeSet::new();
    let mut unknown_actions = Vec::new();
    for value in list(fields.shift_remove("actions"), "actions", "a list of actions, or [] for none")? {
        let name = value.as_str().ok_or_else(|| Unexpected::part("actions", "a list of strings"))?;
        match name.parse::<Action>() {
            Ok(action) => drop(actions.insert(action)),
            Err(_) => unknown_actions.push(name.to_owned()),
        }
    }
    let expected = r#"a list of objects such as {"slug": "account", "name": "Account", "type": "account"}"#;
    let mut slugs = HashSet::new();
    let mut resource_types = Vec::new();
    for (index, value) in
        list(fields.shift_remove("resource_types"), "resource_types", expected)?.into_iter().enumerate()
    {
        let read = resource_type(index, &value)?;
        if !slugs.insert(read.slug.clone()) {
            return Err(Unexpected::TwiceNamed(read.slug.into_string()));
        }
        resource_types.push(read);
    }
    if resource_types.is_empty() && actions.is_empty() && unknown_actions.is_empty() {
        // A program whose target is down may appear to offer nothing. It is asked again at its next start.
        return Err(Unexpected::Nothing);
    }
    let mut unverifiable = BTreeSet::new();
    if let Some(fields) = fields.shift_remove("unverifiable").filter(|fields| !fields.is_null()) {
        let expected = "a list of field names such as [\"display_name\"]";
        for value in list(Some(fields), "unverifiable", expected)? {
            let name = value.as_str().ok_or_else(|| Unexpected::part("unverifiable", expected))?;
            unverifiable.insert(name.to_owned());
        }
    }
    let description = Description::new(name, version)
        .with_actions(actions)
        .with_resource_types(resource_types)
        .with_unverifiable(unverifiable);
    Ok(Initialized { description, unknown_actions })
}

fn resource_type(index: usize, value: &Value) -> Result<ResourceType, Unexpected> {
    let part = |name: &str| format!("resource_types[{index}].{name}");
    let fields =
        value.as_object().ok_or_else(|| Unexpected::part(format!("resource_types[{index}]"), "an object"))?;
    let slug = required_text(fields, "slug", &part("slug"))?;
    // A slug becomes part of a URL and a key of `memberships`.
    let fits = |slug: &str| {
        slug.len() <= SLUG && slug.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
    };
    if !fits(&slug) {
        let expected = "at most 255 letters, digits, hyphens and underscores";
        return Err(Unexpected::part(part("slug"), expected));
    }
    let kind = match fields.get("type").and_then(Value::as_str) {
        Some("account") => ResourceKind::Account,
        Some("group") => ResourceKind::Group,
        Some("license") => ResourceKind::License,
        _ => return Err(Unexpected::part(part("type"), "one of account, group, license")),
    };
    Ok(ResourceType::new(slug, required_text(fields, "name", &part("name"))?, kind))
}

/// Parses the result of `list`. Both members must be present: without an explicit end, the listing is not complete.
pub(crate) fn page(kind: ResourceKind, result: Value) -> Result<Page, Unexpected> {
    let mut fields = object(result)?;
    if let Some(fault) = fault_beside_records(&fields) {
        return Err(Unexpected::Failure(fault));
    }
    let next = match fields.shift_remove("next") {
        Some(Value::Null) => None,
        Some(Value::String(next)) if !next.is_empty() => Some(Cursor::new(next)),
        _ => {
            let expected = "present: the cursor of the next page, or null at the end";
            return Err(Unexpected::part("next", expected));
        }
    };
    let total = match fields.shift_remove("total") {
        None | Some(Value::Null) => None,
        Some(total) => {
            Some(total.as_u64().ok_or_else(|| Unexpected::part("total", "a whole number, or absent"))?)
        }
    };
    // An explicit null is the author's statement that nothing follows.
    let mut page = Page::default().ending(next, Evidence::EndOfCursor).with_total(total);
    for value in list(fields.shift_remove("records"), "records", "a list of records")? {
        match Record::from_json(kind, value) {
            Ok(record) => page.records.push(record),
            Err(rejected) => page.rejected.push(rejected),
        }
    }
    Ok(page)
}

/// Parses the result of `find_account`. Only `null` itself means that the account does not exist.
pub(crate) fn account(result: Value) -> Result<Option<AccountRecord>, Unexpected> {
    if result.is_null() {
        return Ok(None);
    }
    match Record::from_json(ResourceKind::Account, result)? {
        Record::Account(account) => Ok(Some(*account)),
        Record::Entity(_) => Err(Unexpected::part("the result", "an account")),
    }
}

/// Parses the result of an action, of `check` and of `shutdown`: an object; `null` is treated as an empty one.
pub(crate) fn fields(result: Value) -> Result<Map<String, Value>, Unexpected> {
    if let Some(fault) = fault_in(&result) {
        return Err(Unexpected::Failure(fault));
    }
    match result {
        Value::Null => Ok(Map::new()),
        other => object(other),
    }
}

fn object(value: Value) -> Result<Map<String, Value>, Unexpected> {
    match value {
        Value::Object(fields) => Ok(fields),
        _ => Err(Unexpected::part("the result", "an object")),
    }
}

fn list(value: Option<Value>, part: &str, expected: &'static str) -> Result<Vec<Value>, Unexpected> {
    match value {
        Some(Value::Array(items)) => Ok(items),
        _ => Err(Unexpected::part(part, expected)),
    }
}

fn required_text(fields: &Map<String, Value>, name: &str, part: &str) -> Result<String, Unexpected> {
    fields
        .get(name)
        .and_then(Value::as_str)
        .filter(|text| !text.trim().is_empty())
        .map(str::to_owned)
        .ok_or_else(|| Unexpected::part(part, "non-empty text"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn described() -> Value {
        json!({
            "name": "hr", "version": "1.2",
            "actions": ["create_account", "merge_account", "delete_account"],
            "resource_types": [
                {"slug": "team", "name": "Team", "type": "group"},
                {"slug": "seat", "name": "Seat", "type": "license"},
                {"slug": "account", "name": "Account", "type": "account", "icon": "x"},
            ],
            "homepage": "ignored",
        })
    }

    #[test]
    fn unknown_actions_in_a_description_are_collected() {
        let read = description(described()).unwrap();
        assert_eq!(read.unknown_actions, ["merge_account"]);
        assert_eq!(
            read.description,
            Description::new("hr", "1.2")
                .with_actions([Action::CreateAccount, Action::DeleteAccount])
                .with_resource_types([
                    ResourceType::group("team", "Team"),
                    ResourceType::license("seat", "Seat"),
                    ResourceType::account("account", "Account"),
                ])
        );
    }

    #[test]
    fn invalid_description_names_the_field() {
        for (pointer, value, message) in [
            ("/name", json!(""), "name must be non-empty text"),
            ("/version", json!(1), "version must be non-empty text"),
            ("/actions", json!(null), "actions must be a list of actions"),
            ("/actions", json!([7]), "actions must be a list of strings"),
            ("/resource_types", json!({}), r#"resource_types must be a list of objects such as {"slug""#),
            ("/resource_types/0", json!("team"), "resource_types[0] must be an object"),
            ("/resource_types/1/slug", json!("a/b"), "resource_types[1].slug must be at most 255"),
            ("/resource_types/1/slug", json!("team"), "resource_types names the slug 'team' twice"),
            ("/resource_types/1/name", json!(" "), "resource_types[1].name must be non-empty text"),
            (
                "/resource_types/2/type",
                json!("user"),
                "resource_types[2].type must be one of account, group, license",
            ),
        ] {
            let mut wrong = described();
            *wrong.pointer_mut(pointer).unwrap() = value;
            let error = description(wrong).unwrap_err().to_string();
            assert!(error.starts_with(message), "{pointer}: {error}");
        }
        let error = description(json!({"name": "hr", "version": "1", "actions": []})).unwrap_err();
        assert!(error.to_string().starts_with("resource_types must be a list"), "{error}");
    }

    #[test]
    fn page_has_valid_records_rejected_records_and_a_cursor() {
        let result = json!({"records": [{"id": "t1", "name": "Sales"}, {"id": "t2"}, 7], "next": "t2"});
        let read = page(ResourceKind::Group, result).unwrap();
        assert_eq!(read.records.len(), 1);
        assert_eq!(read.rejected[0].id.as_deref(), Some("t2"));
        assert_eq!(read.rejected.len(), 2);
        assert_eq!(read.next, Some(Cursor::new("t2")));
    }

    #[test]
    fn missing_next_is_not_the_last_page() {
        for result in [
            json!({"records": []}),
            json!({"records": [], "next": ""}),
            json!({"records": [], "next": false}),
            json!({"records": [], "next": 7}),
            json!({"next": null}),
            json!({"records": null, "next": null}),
            json!({"records": {}, "next": null}),
            json!([]),
            json!(null),
        ] {
            assert!(page(ResourceKind::Account, result.clone()).is_err(), "{result}");
        }
        let end = page(ResourceKind::Account, json!({"records": [], "next": null})).unwrap();
        assert!(end.records.is_empty() && end.next.is_none());
    }

    #[test]
    fn only_null_means_account_not_found() {
        assert_eq!(account(json!(null)), Ok(None));
        assert_eq!(account(json!({"id": "u1"})), Ok(Some(AccountRecord::new("u1"))));
        for result in
            [json!({}), json!({"account": null}), json!([]), json!(false), json!(""), json!({"id": ["u1"]})]
        {
            assert!(account(result.clone()).is_err(), "{result}");
        }
    }

    #[test]
    fn action_result_must_be_an_object_or_null() {
        assert_eq!(fields(json!(null)), Ok(Map::new()));
        assert_eq!(fields(json!({"account_id": "7"})).unwrap()["account_id"], "7");
        assert!(fields(json!(true)).is_err() && fields(json!([])).is_err());
    }
}
