//! Guesses the structure of records of an unknown list. Pure: only names and types are used.

use bridgehead_sdk::Section;
use serde_json::{Value, json};

/// Common names of the members that contain each field, the most likely first; compared without case and separators.
const NAMES: [(&str, &[&str]); 6] = [
    ("username", &["username", "login", "loginname", "userid", "uid", "name"]),
    ("email", &["email", "mail", "emailaddress", "primaryemail"]),
    ("first_name", &["firstname", "givenname", "forename"]),
    ("last_name", &["lastname", "surname", "familyname"]),
    ("display_name", &["displayname", "fullname", "realname"]),
    ("department", &["department"]),
];
const IDS: [&str; 6] = ["id", "uuid", "guid", "key", "userid", "uid"];
/// Members that show whether an account is active, and whether `true` means active.
const STATUS: [(&str, bool); 8] = [
    ("active", true),
    ("isactive", true),
    ("enabled", true),
    ("isenabled", true),
    ("disabled", false),
    ("locked", false),
    ("suspended", false),
    ("blocked", false),
];
/// How deeply a list may be nested in a response.
const DEEPEST: usize = 3;

/// The first list of objects in a response, and the expression that reads it.
pub(crate) fn find_list(body: &Value) -> Option<(String, &Vec<Value>)> {
    fn search(value: &Value, place: String, depth: usize) -> Option<(String, &Vec<Value>)> {
        match value {
            Value::Array(items) if items.iter().all(Value::is_object) && !items.is_empty() => {
                Some((place, items))
            }
            Value::Object(fields) if depth < DEEPEST => {
                fields.iter().find_map(|(name, value)| search(value, member(&place, name), depth + 1))
            }
            _ => None,
        }
    }
    search(body, "answer".to_owned(), 0)
}

/// The meaning of the members of a record.
#[derive(Debug)]
pub(crate) struct Shape {
    id: String,
    /// Field, member, and whether every record has it.
    fields: Vec<(&'static str, String, bool)>,
    status: Option<(String, bool)>,
}

impl Shape {
    /// Derived from sample records; `None` if they have nothing that identifies an account.
    pub(crate) fn of(records: &[Value]) -> Option<Self> {
        let first = records.first()?.as_object()?;
        let plain = |name: &str| name.to_lowercase().replace(['_', '-', '.'], "");
        let is_scalar = |value: &Value| value.is_string() || value.is_number();
        let named = |wanted: &str| {
            first.iter().find(|(name, value)| plain(name) == wanted && is_scalar(value)).map(|(name, _)| name)
        };
        let everywhere =
            |name: &str| records.iter().all(|record| record.get(name).is_some_and(|value| !value.is_null()));
        let mut fields = Vec::new();
        for (field, names) in NAMES {
            if let Some(name) = names.iter().find_map(|wanted| named(wanted)) {
                fields.push((field, name.clone(), everywhere(name)));
            }
        }
        let known = fields.iter().find(|(field, ..)| matches!(*field, "username" | "email"))?.1.clone();
        let id = IDS
            .iter()
            .find_map(|wanted| named(wanted))
            .filter(|name| everywhere(name))
            .cloned()
            .unwrap_or(known);
        let status = STATUS.iter().find_map(|(wanted, means_active)| {
            let is_it = |name: &String, value: &Value| plain(name) == *wanted && value.is_boolean();
            let (name, _) = first.iter().find(|(name, value)| is_it(name, value))?;
            everywhere(name).then(|| (name.clone(), *means_active))
        });
        Some(Self { id, fields, status })
    }

    /// The identifier of a record.
    pub(crate) fn id_of(&self, record: &Value) -> Option<String> {
        match record.get(&self.id)? {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }

    pub(crate) fn seen(&self) -> String {
        let fields: Vec<String> =
            self.fields.iter().map(|(field, name, _)| format!("{field} in {name}")).collect();
        format!("identified by {}; {}", self.id, fields.join(", "))
    }

    /// The table `accounts.record`.
    pub(crate) fn section(&self) -> Section {
        let mut section = Section::table("accounts.record").with("id", member("record", &self.id), "");
        let mut extra = serde_json::Map::new();
        for (field, name, is_everywhere) in &self.fields {
            let place = member("record", name);
            let (place, comment) = if *is_everywhere {
                (place, "")
            } else {
                (format!("{place} | default(none)"), "some records do not have it")
            };
            if *field == "department" {
                extra.insert((*field).to_owned(), place.into());
            } else {
                section = section.with(*field, place, comment);
            }
        }
        if let Some((name, means_active)) = &self.status {
            let value = json!({
                "value": member("record", name), "active": [*means_active], "suspended": [!*means_active],
            });
            section = section.with("status", value, "");
        }
        if !extra.is_empty() {
            section = section.with("extra", Value::Object(extra), "");
        }
        section
    }
}

/// The expression for a member.
fn member(of: &str, name: &str) -> String {
    let is_plain = name.chars().all(|one| one.is_ascii_alphanumeric() || one == '_')
        && !name.starts_with(|one: char| one.is_ascii_digit())
        && !name.is_empty();
    // A method of the template engine would hide a member of its name.
    let is_method = matches!(name, "items" | "keys" | "values" | "get");
    if is_plain && !is_method {
        format!("{of}.{name}")
    } else {
        format!("{of}['{}']", name.replace('\\', "\\\\").replace('\'', "\\'"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn list_is_found_anywhere_in_the_response() {
        let list = json!([{ "id": 1 }]);
        for (body, place) in [
            (list.clone(), "answer"),
            (json!({ "ok": true, "people": list }), "answer.people"),
            (json!({ "data": { "users-list": list } }), "answer.data['users-list']"),
        ] {
            assert_eq!(find_list(&body).map(|(place, _)| place).as_deref(), Some(place));
        }
        assert!(find_list(&json!({ "people": [] })).is_none());
    }

    #[test]
    fn record_fields_are_recognized_by_name() {
        let records = [
            json!({ "Id": 7, "userName": "ann", "mail": "a@example.org", "locked": false }),
            json!({ "Id": 8, "userName": "bo", "locked": true }),
        ];
        let shape = Shape::of(&records).unwrap();
        assert_eq!(shape.id_of(&records[0]).as_deref(), Some("7"));
        let section = shape.section();
        let of = |key: &str| section.settings.iter().find(|one| one.key == key).map(|one| one.value.clone());
        assert_eq!(of("username"), Some("record.userName".into()));
        assert_eq!(of("email"), Some("record.mail | default(none)".into()));
        assert_eq!(
            of("status"),
            Some(json!({ "value": "record.locked", "active": [false], "suspended": [true] }))
        );
        assert!(Shape::of(&[json!({ "id": 1 })]).is_none());
    }
}
