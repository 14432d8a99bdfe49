//! Parses the data of a SCIM server. Resources stay JSON, because unknown attributes must survive a change.

use bridgehead_sdk::exact;
use bridgehead_sdk::http::Answer;
use serde_json::{Map, Value};

/// The schema of users (RFC 7643, section 4.1).
pub(crate) const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
/// The schema of groups (RFC 7643, section 4.2).
pub(crate) const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";
/// The enterprise extension of users (RFC 7643, section 4.3).
pub(crate) const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
/// The message of a PATCH (RFC 7644, section 3.5.2).
pub(crate) const PATCH: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";
/// The message of an error (RFC 7644, section 3.12).
const ERROR: &str = "urn:ietf:params:scim:api:messages:2.0:Error";

/// A user, a group, or a part of one.
pub(crate) type Fields = Map<String, Value>;

/// The actual key of a field: names of attributes and schemas are case-insensitive (RFC 7643, section 2.1).
pub(crate) fn key<'a>(fields: &'a Fields, name: &'a str) -> Option<&'a str> {
    if fields.contains_key(name) {
        return Some(name);
    }
    fields.keys().map(String::as_str).find(|key| key.eq_ignore_ascii_case(name))
}

/// The value of a field; `null` counts as absent (RFC 7643, section 2.5).
pub(crate) fn field<'a>(fields: &'a Fields, name: &str) -> Option<&'a Value> {
    let exact = fields.get(name);
    let found = exact
        .or_else(|| fields.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value));
    found.filter(|value| !value.is_null())
}

/// A field that is a non-empty string.
pub(crate) fn text<'a>(fields: &'a Fields, name: &str) -> Option<&'a str> {
    field(fields, name)?.as_str().filter(|text| !text.is_empty() && !exact::is_marked(text))
}

/// The server's identifier: a string, although some servers send an integer. A number that is too large to be read exactly is ignored.
pub(crate) fn id(resource: &Fields) -> Option<String> {
    match field(resource, "id")? {
        Value::String(text) if !text.is_empty() => Some(exact::digits(text).into_owned()),
        Value::Number(number) if !number.is_f64() => Some(number.to_string()),
        _ => None,
    }
}

/// The version of a resource, for `If-Match`.
pub(crate) fn version(resource: &Fields) -> Option<&str> {
    text(field(resource, "meta")?.as_object()?, "version")
}

/// A boolean. Some servers write it as a string, in any case.
pub(crate) fn truth(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(truth) => Some(*truth),
        Value::String(text) if text.eq_ignore_ascii_case("true") => Some(true),
        Value::String(text) if text.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

/// The objects of a list; a single object counts as a list of one.
pub(crate) fn objects(value: Option<&Value>) -> impl Iterator<Item = &Fields> {
    let items: &[Value] = match value {
        Some(Value::Array(items)) => items,
        Some(one) => std::slice::from_ref(one),
        None => &[],
    };
    items.iter().filter_map(Value::as_object)
}

/// The identifier that a member of a group, or a group of a user, refers to: its `value`, otherwise the last segment of its `$ref`.
pub(crate) fn reference(item: &Fields) -> Option<String> {
    match field(item, "value") {
        Some(Value::String(text)) if !text.is_empty() => return Some(exact::digits(text).into_owned()),
        Some(Value::Number(number)) if !number.is_f64() => return Some(number.to_string()),
        _ => {}
    }
    let url = text(item, "$ref")?;
    url.rsplit('/').next().filter(|end| !end.is_empty()).map(str::to_owned)
}

/// One page of a listing (RFC 7644, section 3.4.2, and RFC 9865).
#[derive(Debug)]
pub(crate) struct ListPage {
    pub(crate) total: Option<u64>,
    pub(crate) start: Option<u64>,
    pub(crate) next: Next,
    pub(crate) resources: Vec<Fields>,
}

/// How a page refers to the next one (RFC 9865).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// It does not: there is no `nextCursor`, or an empty one.
    None,
    /// The next cursor, which is always sent as a string.
    Cursor(String),
    /// Something that is not a cursor. This is not the end.
    Unreadable,
}

impl Next {
    fn read(body: &Fields) -> Self {
        match field(body, "nextCursor") {
            None => Self::None,
            Some(Value::String(text)) if text.is_empty() => Self::None,
            Some(Value::String(text)) => Self::Cursor(exact::digits(text).into_owned()),
            Some(Value::Number(number)) => Self::Cursor(number.to_string()),
            Some(Value::Bool(_) | Value::Array(_) | Value::Object(_) | Value::Null) => Self::Unreadable,
        }
    }
}

impl ListPage {
    /// A list without results.
    pub(crate) fn empty() -> Self {
        Self { total: Some(0), start: None, next: Next::None, resources: Vec::new() }
    }

    /// Reads a page; `None` for anything that is not a list of resources.
    pub(crate) fn read(body: &Fields) -> Option<Self> {
        let total = field(body, "totalResults").and_then(number);
        let resources = match field(body, "Resources") {
            Some(Value::Array(items)) => {
                items.iter().map(|item| item.as_object().cloned()).collect::<Option<Vec<_>>>()?
            }
            Some(_) => return None,
            // A list without results may have no `Resources` (RFC 7644, section 3.4.2).
            None => {
                total?;
                Vec::new()
            }
        };
        let next = Next::read(body);
        Some(Self { total, start: field(body, "startIndex").and_then(number), next, resources })
    }
}

fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

/// The parts of a SCIM error that are from a fixed vocabulary. Its `detail` is free text of the server, and is not kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ScimError {
    /// Whether the body is a SCIM error, rather than an error of a proxy.
    pub(crate) is_scim: bool,
    /// The error keyword (`scimType`), one of those in RFC 7644 (section 3.12) and RFC 9865.
    pub(crate) kind: Option<&'static str>,
}

/// The keywords and their meanings for administrators.
pub(crate) const KINDS: [(&str, &str); 14] = [
    ("invalidFilter", "the filter is not supported"),
    ("tooMany", "there are more results than it returns"),
    ("uniqueness", "a value is already taken"),
    ("mutability", "an attribute cannot be changed"),
    ("invalidSyntax", "the request is malformed"),
    ("invalidPath", "an attribute of the request is unknown"),
    ("noTarget", "the path of the change does not exist"),
    ("invalidValue", "a value is missing or not allowed"),
    ("invalidVers", "the SCIM version does not match"),
    ("sensitive", "the request contains data that is not allowed in an address"),
    ("invalidCursor", "the cursor of the listing is unknown"),
    ("expiredCursor", "the cursor of the listing has expired"),
    ("invalidCount", "the page size is not allowed"),
    ("insufficientScope", "the token lacks a scope"),
];

impl ScimError {
    pub(crate) fn read(answer: &Answer) -> Self {
        answer.json::<Fields>().map_or_else(|_| Self::default(), |body| Self::of(&body))
    }

    pub(crate) fn of(body: &Fields) -> Self {
        let schemas = field(body, "schemas").and_then(Value::as_array);
        let is_scim = schemas.is_some_and(|all| {
            all.iter().filter_map(Value::as_str).any(|one| one.eq_ignore_ascii_case(ERROR))
        });
        let said = text(body, "scimType").unwrap_or_default();
        let kind = KINDS.iter().map(|(kind, _)| *kind).find(|kind| kind.eq_ignore_ascii_case(said));
        Self { is_scim, kind }
    }

    /// The meaning of the keyword.
    pub(crate) fn meaning(self) -> Option<&'static str> {
        let kind = self.kind?;
        KINDS.iter().find(|(known, _)| *known == kind).map(|(_, meaning)| *meaning)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fields(value: Value) -> Fields {
        let Value::Object(fields) = value else { panic!("not an object") };
        fields
    }

    #[test]
    fn field_names_ignore_case_and_null_is_absent() {
        let user = fields(json!({"UserName": "ann", "title": null, "id": 7, "META": {"Version": "W/\"1\""}}));
        assert_eq!(text(&user, "userName"), Some("ann"));
        assert_eq!(field(&user, "title"), None);
        assert_eq!(id(&user).as_deref(), Some("7"));
        // Numbers beyond 64 bits would be changed by parsing.
        let of = |text: &str| id(&serde_json::from_str(text).unwrap());
        assert_eq!(of(r#"{"id": 18446744073709551615}"#).as_deref(), Some("18446744073709551615"));
        assert_eq!((of(r#"{"id": 18446744073709551616}"#), of(r#"{"id": 7.0}"#)), (None, None));
        assert_eq!(version(&user), Some("W/\"1\""));
        assert_eq!(key(&user, "username"), Some("UserName"));
    }

    #[test]
    fn booleans_are_read_from_text() {
        assert_eq!(truth(&json!("False")), Some(false));
        assert_eq!(truth(&json!("true")), Some(true));
        assert_eq!(truth(&json!(true)), Some(true));
        assert_eq!(truth(&json!("no")), None);
        assert_eq!(truth(&json!(1)), None);
    }

    #[test]
    fn empty_list_response_is_a_list_but_an_object_is_not() {
        let page = ListPage::read(&fields(json!({"totalResults": 0}))).unwrap();
        assert_eq!((page.total, page.resources.len()), (Some(0), 0));
        assert!(ListPage::read(&fields(json!({"id": "u1", "userName": "ann"}))).is_none());
        assert!(ListPage::read(&fields(json!({"totalResults": 1, "Resources": ["ann"]}))).is_none());
        let page = ListPage::read(&fields(json!({"totalResults": "3", "resources": [{}], "nextCursor": ""})));
        let page = page.unwrap();
        assert_eq!((page.total, page.resources.len(), page.next), (Some(3), 1, Next::None));
    }

    #[test]
    fn text_and_numbers_are_cursors_and_null_ends_the_list() {
        let next = |cursor: Value| Next::read(&fields(json!({ "nextCursor": cursor })));
        assert_eq!(next(json!(17)), Next::Cursor("17".to_owned()));
        assert_eq!(next(json!("x y")), Next::Cursor("x y".to_owned()));
        assert_eq!((next(json!(null)), next(json!(""))), (Next::None, Next::None));
        for strange in [json!({ "at": 3 }), json!(["x"]), json!(true)] {
            assert_eq!(next(strange), Next::Unreadable);
        }
    }
}
