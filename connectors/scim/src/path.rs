//! Attribute paths: `name.givenName`, `emails[type eq "work"].value`,
//! `urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department` (RFC 7644, section 3.5.2).

use serde_json::{Value, json};

use crate::wire::{Fields, USER, field, key, truth};

/// Multi-valued attributes of users (RFC 7643, section 4.1.2). The schema is not always available.
const LISTS: [&str; 9] = [
    "emails",
    "phoneNumbers",
    "ims",
    "photos",
    "addresses",
    "groups",
    "entitlements",
    "roles",
    "x509Certificates",
];

/// Where a field of an account is in a user.
///
/// A list without a condition means its preferred value: the primary one, otherwise that of the type `work`, otherwise the first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Path {
    /// The extension with the attribute; `None` for the core schema.
    pub(crate) schema: Option<String>,
    pub(crate) attribute: String,
    /// Which element of a list to use.
    condition: Option<(String, Value)>,
    sub: Option<String>,
}

impl Path {
    /// Parses a path; `None` if it is not valid.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let is_urn = text.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("urn:"));
        // A condition may contain a colon.
        let head = text.split('[').next().unwrap_or(text);
        let (schema, rest) = match (is_urn, head.rfind(':')) {
            (true, Some(colon)) => (Some(&text[..colon]), &text[colon + 1..]),
            _ => (None, text),
        };
        let schema = schema.filter(|schema| !schema.eq_ignore_ascii_case(USER)).map(str::to_owned);
        let (attribute, condition, rest) = match rest.split_once('[') {
            None => match rest.split_once('.') {
                None => (rest, None, None),
                Some((attribute, sub)) => (attribute, None, Some(sub)),
            },
            Some((attribute, rest)) => {
                let (condition, rest) = rest.rsplit_once(']')?;
                let sub = if rest.is_empty() { None } else { Some(rest.strip_prefix('.')?) };
                (attribute, Some(parse_condition(condition)?), sub)
            }
        };
        let fits = is_name(attribute) && rest.is_none_or(is_name);
        fits.then(|| Self {
            schema,
            attribute: attribute.to_owned(),
            condition,
            sub: rest.map(str::to_owned),
        })
    }

    /// The attribute with its extension: the first part of a path.
    pub(crate) fn stem(&self) -> String {
        match &self.schema {
            Some(schema) => format!("{schema}:{}", self.attribute),
            None => self.attribute.clone(),
        }
    }

    /// Whether the attribute is a list.
    pub(crate) fn is_list(&self) -> bool {
        self.condition.is_some()
            || self.schema.is_none() && LISTS.iter().any(|list| list.eq_ignore_ascii_case(&self.attribute))
    }

    /// The field inside an element of a list, or inside a complex attribute.
    fn inner(&self) -> &str {
        self.sub.as_deref().unwrap_or("value")
    }

    /// The path of a value that is not a list, such as `name.givenName`.
    pub(crate) fn single(&self) -> String {
        match &self.sub {
            Some(sub) => format!("{}.{sub}", self.stem()),
            None => self.stem(),
        }
    }

    /// The path of the selected element of a list, such as `emails[type eq "work"].value`.
    pub(crate) fn element(&self, user: &Fields) -> String {
        let condition = self.condition.clone().unwrap_or_else(|| {
            let items = self.items(user);
            let chosen = self.choose(items).and_then(|index| items.get(index)?.as_object());
            let kind = chosen.map_or(Some("work"), |item| field(item, "type").and_then(Value::as_str));
            kind.map_or_else(
                || ("primary".to_owned(), Value::Bool(true)),
                |kind| ("type".to_owned(), Value::from(kind)),
            )
        });
        format!("{}[{} eq {}].{}", self.stem(), condition.0, condition.1, self.inner())
    }

    /// The attribute to compare in a filter, such as `emails.value`.
    pub(crate) fn for_filter(&self) -> String {
        match &self.sub {
            Some(sub) => format!("{}.{sub}", self.stem()),
            None if self.is_list() => format!("{}.value", self.stem()),
            None => self.stem(),
        }
    }

    /// The value; an empty one is absent.
    pub(crate) fn get<'a>(&self, user: &'a Fields) -> Option<&'a Value> {
        let value = field(self.holder(user)?, &self.attribute)?;
        let found = match value {
            Value::Array(items) => match items.get(self.choose(items)?)? {
                Value::Object(item) => field(item, self.inner())?,
                plain => plain,
            },
            Value::Object(object) => field(object, self.inner())?,
            plain => plain,
        };
        Some(found).filter(|value| !value.is_null() && value.as_str() != Some(""))
    }

    /// Whether the value, or any element of its list, satisfies a condition.
    pub(crate) fn holds(&self, user: &Fields, is_wanted: impl Fn(Option<&Value>) -> bool) -> bool {
        match self.whole(user) {
            Some(Value::Array(items)) => items.iter().any(|item| match item {
                Value::Object(item) => is_wanted(field(item, self.inner())),
                plain => is_wanted(Some(plain)),
            }),
            _ => is_wanted(self.get(user)),
        }
    }

    /// The whole attribute, unchanged.
    pub(crate) fn whole<'a>(&self, user: &'a Fields) -> Option<&'a Value> {
        field(self.holder(user)?, &self.attribute)
    }

    /// Sets the value, or removes it if it is `null`. Everything else is kept.
    pub(crate) fn set(&self, user: &mut Fields, value: Value) {
        if value.is_null() && self.get(user).is_none() {
            return;
        }
        let holder = match &self.schema {
            None => &mut *user,
            Some(schema) => {
                let slot = slot(user, schema);
                if !slot.is_object() {
                    *slot = json!({});
                }
                let Value::Object(extension) = slot else { return };
                extension
            }
        };
        let slot = slot(holder, &self.attribute);
        if self.is_list() || slot.is_array() {
            self.set_in_list(slot, value);
        } else if let Some(sub) = &self.sub {
            if !slot.is_object() {
                *slot = json!({});
            }
            if let Value::Object(object) = slot {
                put(object, sub, value);
            }
        } else if let (Value::Object(object), false) = (&mut *slot, value.is_object()) {
            put(object, "value", value);
        } else {
            *slot = value;
        }
        let is_empty = match &*slot {
            Value::Null => true,
            Value::Array(items) => items.is_empty(),
            Value::Object(object) => object.is_empty(),
            _ => false,
        };
        if is_empty {
            let name = key(holder, &self.attribute).unwrap_or(&self.attribute).to_owned();
            holder.shift_remove(&name);
        }
        self.declare(user);
    }

    /// Sets a whole list; an empty one is removed.
    pub(crate) fn set_whole(&self, user: &mut Fields, items: Vec<Value>) {
        if items.is_empty() && self.whole(user).is_none() {
            return;
        }
        let value = if items.is_empty() { Value::Null } else { Value::Array(items) };
        match &self.schema {
            None => put(user, &self.attribute, value),
            Some(schema) => {
                let slot = slot(user, schema);
                if !slot.is_object() {
                    *slot = json!({});
                }
                if let Value::Object(extension) = slot {
                    put(extension, &self.attribute, value);
                }
            }
        }
        self.declare(user);
    }

    fn set_in_list(&self, slot: &mut Value, value: Value) {
        if !slot.is_array() {
            *slot = json!([]);
        }
        let Value::Array(items) = slot else { return };
        match (self.choose(items), value) {
            (Some(index), Value::Null) => {
                items.remove(index);
            }
            (Some(index), value) => match &mut items[index] {
                Value::Object(item) => put(item, self.inner(), value),
                plain => *plain = value,
            },
            (None, Value::Null) => {}
            (None, value) => {
                let mut item = Fields::new();
                item.insert(self.inner().to_owned(), value);
                if let Some((name, is)) = &self.condition {
                    put(&mut item, name, is.clone());
                } else {
                    item.insert("type".to_owned(), "work".into());
                    item.insert("primary".to_owned(), true.into());
                }
                items.push(Value::Object(item));
            }
        }
    }

    /// Adds the extension to the user's `schemas` (RFC 7643, section 3).
    fn declare(&self, user: &mut Fields) {
        let Some(schema) = &self.schema else { return };
        let slot = slot(user, "schemas");
        if slot.is_null() {
            *slot = json!([USER]);
        }
        if let Value::Array(schemas) = slot
            && !schemas.iter().filter_map(Value::as_str).any(|known| known.eq_ignore_ascii_case(schema))
        {
            schemas.push(Value::from(schema.as_str()));
        }
    }

    fn holder<'a>(&self, user: &'a Fields) -> Option<&'a Fields> {
        match &self.schema {
            None => Some(user),
            Some(schema) => field(user, schema)?.as_object(),
        }
    }

    fn items<'a>(&self, user: &'a Fields) -> &'a [Value] {
        self.whole(user).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    /// The index of the element to use.
    fn choose(&self, items: &[Value]) -> Option<usize> {
        let is = |item: &Value, name: &str, wanted: &Value| {
            let found = item.as_object().and_then(|item| field(item, name));
            found.is_some_and(|found| match (wanted, found) {
                (Value::Bool(wanted), found) => truth(found) == Some(*wanted),
                (Value::String(wanted), Value::String(found)) => wanted.eq_ignore_ascii_case(found),
                (wanted, found) => wanted == found,
            })
        };
        if let Some((name, wanted)) = &self.condition {
            return items.iter().position(|item| is(item, name, wanted));
        }
        let primary = items.iter().position(|item| is(item, "primary", &Value::Bool(true)));
        let work = || items.iter().position(|item| is(item, "type", &Value::from("work")));
        primary.or_else(work).or((!items.is_empty()).then_some(0))
    }
}

impl std::fmt::Display for Path {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.stem())?;
        if let Some((name, value)) = &self.condition {
            write!(f, "[{name} eq {value}]")?;
        }
        self.sub.as_ref().map_or(Ok(()), |sub| write!(f, ".{sub}"))
    }
}

/// A filter that compares an attribute, with the value escaped like a JSON string (RFC 7644, section 3.4.2.2).
pub(crate) fn equals(attribute: &str, value: &str) -> String {
    format!("{attribute} eq {}", Value::from(value))
}

fn parse_condition(text: &str) -> Option<(String, Value)> {
    let (name, rest) = text.trim().split_once(' ')?;
    let (operator, value) = rest.trim_start().split_once(' ')?;
    let value: Value = serde_json::from_str(value.trim()).ok()?;
    let fits =
        is_name(name) && operator.eq_ignore_ascii_case("eq") && (value.is_string() || value.is_boolean());
    fits.then(|| (name.to_owned(), value))
}

/// RFC 7643, section 2.1; `$ref` is also a name.
fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'$')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

fn slot<'a>(fields: &'a mut Fields, name: &str) -> &'a mut Value {
    let name = key(fields, name).unwrap_or(name).to_owned();
    fields.entry(name).or_insert(Value::Null)
}

fn put(fields: &mut Fields, name: &str, value: Value) {
    let name = key(fields, name).unwrap_or(name).to_owned();
    if value.is_null() {
        fields.shift_remove(&name);
    } else {
        fields.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::ENTERPRISE;

    fn path(text: &str) -> Path {
        Path::parse(text).unwrap_or_else(|| panic!("{text} is no path"))
    }

    fn fields(value: Value) -> Fields {
        let Value::Object(fields) = value else { panic!("not an object") };
        fields
    }

    fn set(user: Value, at: &str, value: Value) -> Value {
        let mut user = fields(user);
        path(at).set(&mut user, value);
        Value::Object(user)
    }

    #[test]
    fn paths_survive_a_round_trip() {
        let manager = format!("{ENTERPRISE}:manager.value");
        let odd = r#"emails[type eq "a]:b"].value"#;
        for text in ["userName", "name.givenName", "emails", r#"emails[type eq "work"].value"#, &manager, odd]
        {
            assert_eq!(path(text).to_string(), text);
        }
        assert_eq!(path(&format!("{USER}:name.givenName")).to_string(), "name.givenName");
        for text in
            ["", "a b", "emails[type]", "emails[type eq work]", "a.b.c", "emails[type eq \"x\"", ".a", "a."]
        {
            assert_eq!(Path::parse(text), None, "{text}");
        }
    }

    #[test]
    fn primary_value_of_a_list_is_preferred() {
        let user = fields(json!({"emails": [
            {"value": "home@x", "type": "home"}, {"value": "work@x", "type": "Work"}, {"value": "first@x", "primary": "True"}
        ]}));
        assert_eq!(path("emails").get(&user), Some(&json!("first@x")));
        assert_eq!(path(r#"emails[type eq "work"].value"#).get(&user), Some(&json!("work@x")));
        assert_eq!(path(r#"emails[type eq "other"].value"#).get(&user), None);
        let user = fields(
            json!({"emails": [{"value": "home@x", "type": "home"}, {"value": "work@x", "type": "work"}]}),
        );
        assert_eq!(path("emails").get(&user), Some(&json!("work@x")));
        assert_eq!(path("emails").element(&user), r#"emails[type eq "work"].value"#);
        assert_eq!(path("emails").for_filter(), "emails.value");
    }

    #[test]
    fn setting_a_value_keeps_its_siblings() {
        let user = json!({"schemas": [USER], "name": {"givenName": "Ann", "formatted": "Ann X"}, "odd": {"deep": [1]}});
        assert_eq!(
            set(user, "name.givenName", json!("Bea")),
            json!({"schemas": [USER], "name": {"givenName": "Bea", "formatted": "Ann X"}, "odd": {"deep": [1]}})
        );
        let user = json!({"emails": [{"value": "a@x", "type": "work", "primary": true, "$odd": 1}, {"value": "b@x"}]});
        assert_eq!(
            set(user, "emails", json!("c@x")),
            json!({"emails": [{"value": "c@x", "type": "work", "primary": true, "$odd": 1}, {"value": "b@x"}]})
        );
    }

    #[test]
    fn missing_parents_are_created_and_cleared_ones_removed() {
        assert_eq!(
            set(json!({}), "emails", json!("a@x")),
            json!({"emails": [{"value": "a@x", "type": "work", "primary": true}]})
        );
        assert_eq!(
            set(json!({}), r#"phoneNumbers[type eq "mobile"].value"#, json!("1")),
            json!({"phoneNumbers": [{"value": "1", "type": "mobile"}]})
        );
        assert_eq!(
            set(json!({"emails": [{"value": "a@x"}], "x": 1}), "emails", Value::Null),
            json!({"x": 1})
        );
        assert_eq!(set(json!({"name": {"givenName": "Ann"}}), "name.givenName", Value::Null), json!({}));
        assert_eq!(set(json!({}), "name.givenName", Value::Null), json!({}));
    }

    #[test]
    fn extension_schema_is_added_with_its_first_attribute() {
        let user = set(json!({"schemas": [USER]}), &format!("{ENTERPRISE}:department"), json!("R&D"));
        assert_eq!(user, json!({"schemas": [USER, ENTERPRISE], ENTERPRISE: {"department": "R&D"}}));
    }

    #[test]
    fn filter_values_are_quoted_and_escaped() {
        assert_eq!(
            equals("userName", r#"a" or userName pr or "\"#),
            r#"userName eq "a\" or userName pr or \"\\""#
        );
        assert_eq!(equals("userName", "a\u{0}\n"), r#"userName eq "a\u0000\n""#);
    }
}
