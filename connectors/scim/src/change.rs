//! Converts changes of a user to the body of a `PATCH` or a `PUT`.

use bridgehead_sdk::http::reqwest::Method;
use bridgehead_sdk::is_same_id;
use serde_json::{Value, json};

use crate::path::Path;
use crate::settings::{Booleans, Profile};
use crate::wire::{Fields, PATCH, field, key, reference};

/// The form in which an application expects changes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    pub(crate) profile: Profile,
    pub(crate) booleans: Booleans,
    /// Whether `PATCH` is supported.
    pub(crate) patch: bool,
}

/// The operation of a `PATCH`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Add,
    Replace,
    Remove,
}

/// A change that is ready to be sent.
#[derive(Debug, PartialEq)]
pub(crate) struct Change {
    pub(crate) method: Method,
    pub(crate) body: Fields,
}

impl Style {
    /// The change from `before` to `after`, which only differ in the attributes of `touched`. `None` if they are equal.
    pub(crate) fn user(self, before: &Fields, after: &Fields, touched: &[Path]) -> Option<Change> {
        let differs: Vec<&Path> =
            touched.iter().filter(|path| path.whole(before) != path.whole(after)).collect();
        if differs.is_empty() {
            return None;
        }
        if self.replaces() {
            return Some(put(after));
        }
        let mut operations: Vec<Value> = Vec::new();
        for path in differs {
            let operation = self.operation(path, before, after);
            if !operations.contains(&operation) {
                operations.push(operation);
            }
        }
        Some(patch(operations))
    }

    /// Whether users are written completely, with `PUT`.
    pub(crate) fn replaces(self) -> bool {
        !self.patch || self.profile == Profile::Okta
    }

    /// The change that activates or deactivates a user.
    pub(crate) fn activation(self, before: &Fields, active: bool) -> Change {
        if !self.patch {
            let mut after = before.clone();
            let name = key(&after, "active").unwrap_or("active").to_owned();
            after.insert(name, active.into());
            return put(&after);
        }
        let value = self.truth(active);
        patch(vec![match self.profile {
            // An operation without a path sets the attributes of its value (RFC 7644, section 3.5.2.3).
            Profile::Okta => json!({ "op": "replace", "value": { "active": value } }),
            Profile::Generic | Profile::Entra => {
                json!({ "op": self.name(Kind::Replace), "path": "active", "value": value })
            }
        }])
    }

    /// The change that sets a user's password.
    pub(crate) fn password(self, before: &Fields, password: &str) -> Change {
        if self.replaces() {
            let mut after = before.clone();
            after.insert("password".to_owned(), password.into());
            return put(&after);
        }
        patch(vec![json!({ "op": self.name(Kind::Replace), "path": "password", "value": password })])
    }

    /// The change that adds a user to a group.
    pub(crate) fn add_member(self, user: &str) -> Change {
        patch(vec![json!({ "op": self.name(Kind::Add), "path": "members", "value": [{ "value": user }] })])
    }

    /// The change that removes a member from a group.
    pub(crate) fn remove_member(self, user: &str, by_value: bool) -> Change {
        let op = self.name(Kind::Remove);
        patch(vec![if by_value {
            json!({ "op": op, "path": "members", "value": [{ "value": user }] })
        } else {
            json!({ "op": op, "path": format!("members[value eq {}]", Value::from(user)) })
        }])
    }

    fn operation(self, path: &Path, before: &Fields, after: &Fields) -> Value {
        if path.is_list() && self.profile != Profile::Entra {
            // Replaces the whole list; elements that do not change are sent as they were read.
            return match path.whole(after) {
                // A list that was not shown may still have elements, so this adds to it instead of replacing it.
                Some(items) if path.whole(before).is_none() => {
                    json!({ "op": self.name(Kind::Add), "path": path.stem(), "value": items })
                }
                Some(items) => json!({ "op": self.name(Kind::Replace), "path": path.stem(), "value": items }),
                None => json!({ "op": self.name(Kind::Remove), "path": path.stem() }),
            };
        }
        let is_new = path.get(before).is_none();
        let target = match (path.is_list(), is_new) {
            (true, true) => path.element(after),
            (true, false) => path.element(before),
            (false, _) => path.single(),
        };
        match path.get(after) {
            None => json!({ "op": self.name(Kind::Remove), "path": target }),
            Some(value) => {
                let kind = if is_new && self.profile == Profile::Entra { Kind::Add } else { Kind::Replace };
                let value = value.as_bool().map_or_else(|| value.clone(), |truth| self.truth(truth));
                json!({ "op": self.name(kind), "path": target, "value": value })
            }
        }
    }

    /// The operation's name: lowercase in RFC 7644, capitalized for Entra.
    fn name(self, kind: Kind) -> &'static str {
        match (self.profile, kind) {
            (Profile::Entra, Kind::Add) => "Add",
            (Profile::Entra, Kind::Replace) => "Replace",
            (Profile::Entra, Kind::Remove) => "Remove",
            (_, Kind::Add) => "add",
            (_, Kind::Replace) => "replace",
            (_, Kind::Remove) => "remove",
        }
    }

    fn truth(self, truth: bool) -> Value {
        match self.booleans {
            Booleans::Json => truth.into(),
            Booleans::Text => if truth { "True" } else { "False" }.into(),
        }
    }
}

/// A `PUT` of the whole resource as it was read, with the changes; the server maintains `meta` itself.
pub(crate) fn put(after: &Fields) -> Change {
    let mut body = after.clone();
    if let Some(meta) = key(&body, "meta").map(str::to_owned) {
        body.shift_remove(&meta);
    }
    Change { method: Method::PUT, body }
}

fn patch(operations: Vec<Value>) -> Change {
    let mut body = Fields::new();
    body.insert("schemas".to_owned(), json!([PATCH]));
    body.insert("Operations".to_owned(), Value::Array(operations));
    Change { method: Method::PATCH, body }
}

/// A group with a member added or removed. `None` if nothing changes.
pub(crate) fn with_members(group: &Fields, user: &str, is_member: bool) -> Option<Fields> {
    let mut members = match field(group, "members") {
        Some(Value::Array(items)) => items.clone(),
        Some(one) => vec![one.clone()],
        None => Vec::new(),
    };
    let is_user = |item: &Value| item.as_object().and_then(reference).is_some_and(|id| is_same_id(&id, user));
    if members.iter().any(is_user) == is_member {
        return None;
    }
    if is_member {
        members.push(json!({ "value": user }));
    } else {
        members.retain(|item| !is_user(item));
    }
    let mut after = group.clone();
    let name = key(&after, "members").unwrap_or("members").to_owned();
    after.insert(name, Value::Array(members));
    Some(after)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::ENTERPRISE;

    const GENERIC: Style = Style { profile: Profile::Generic, booleans: Booleans::Json, patch: true };
    const ENTRA: Style = Style { profile: Profile::Entra, booleans: Booleans::Text, patch: true };
    const OKTA: Style = Style { profile: Profile::Okta, booleans: Booleans::Json, patch: true };

    fn fields(value: Value) -> Fields {
        let Value::Object(fields) = value else { panic!("not an object") };
        fields
    }

    fn user() -> Value {
        json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "id": "u1", "meta": {"version": "1"}, "userName": "ann",
            "name": {"givenName": "Ann", "formatted": "Ann A"}, "title": "Boss", "unknown": {"deep": [1, {"x": null}]},
            "emails": [{"value": "a@x", "type": "work", "odd": true}, {"value": "b@x", "type": "home"}],
            "urn:example:2.0:User": {"badge": 7},
        })
    }

    fn change(style: Style, changes: &[(&str, Value)]) -> Option<Change> {
        let before = fields(user());
        let mut after = before.clone();
        let mut touched = Vec::new();
        for (path, value) in changes {
            let path = Path::parse(path).unwrap();
            path.set(&mut after, value.clone());
            touched.push(path);
        }
        style.user(&before, &after, &touched)
    }

    fn operations(style: Style, changes: &[(&str, Value)]) -> Value {
        change(style, changes).unwrap().body["Operations"].clone()
    }

    #[test]
    fn unchanged_fields_produce_no_change() {
        assert_eq!(change(GENERIC, &[("title", json!("Boss")), ("nickName", Value::Null)]), None);
    }

    #[test]
    fn patch_contains_only_changed_fields() {
        let department = format!("{ENTERPRISE}:department");
        let changes = [
            ("name.givenName", json!("Bea")),
            ("title", Value::Null),
            ("emails", json!("c@x")),
            (&*department, json!("R")),
        ];
        assert_eq!(
            operations(GENERIC, &changes),
            json!([
                {"op": "replace", "path": "name.givenName", "value": "Bea"},
                {"op": "remove", "path": "title"},
                {"op": "replace", "path": "emails", "value": [
                    {"value": "c@x", "type": "work", "odd": true}, {"value": "b@x", "type": "home"}]},
                {"op": "replace", "path": department, "value": "R"},
            ])
        );
    }

    #[test]
    fn entra_patch_uses_capitalized_ops_and_value_paths() {
        let changes = [
            ("emails", json!("c@x")),
            ("nickName", json!("B")),
            ("phoneNumbers", json!("1")),
            ("title", Value::Null),
        ];
        assert_eq!(
            operations(ENTRA, &changes),
            json!([
                {"op": "Replace", "path": "emails[type eq \"work\"].value", "value": "c@x"},
                {"op": "Add", "path": "nickName", "value": "B"},
                {"op": "Add", "path": "phoneNumbers[type eq \"work\"].value", "value": "1"},
                {"op": "Remove", "path": "title"},
            ])
        );
        let active = ENTRA.activation(&fields(user()), false).body["Operations"].clone();
        assert_eq!(active, json!([{"op": "Replace", "path": "active", "value": "False"}]));
    }

    #[test]
    fn put_sends_everything_read_except_meta() {
        for style in [OKTA, Style { patch: false, ..GENERIC }] {
            let change = change(style, &[("title", json!("Chief"))]).unwrap();
            let mut wanted = user();
            wanted["title"] = json!("Chief");
            wanted.as_object_mut().unwrap().shift_remove("meta");
            assert_eq!((change.method, Value::Object(change.body)), (Method::PUT, wanted));
        }
    }

    #[test]
    fn okta_deactivates_without_a_path_and_puts_passwords() {
        let active = OKTA.activation(&fields(user()), false);
        assert_eq!(active.body["Operations"], json!([{"op": "replace", "value": {"active": false}}]));
        let password = OKTA.password(&fields(user()), "hunter2");
        assert_eq!((password.method, &password.body["password"]), (Method::PUT, &json!("hunter2")));
        assert_eq!(password.body["unknown"], user()["unknown"]);
        assert_eq!(GENERIC.password(&fields(user()), "hunter2").method, Method::PATCH);
    }

    #[test]
    fn members_are_added_and_removed_one_at_a_time() {
        assert_eq!(
            GENERIC.add_member("u\"1").body["Operations"],
            json!([{"op": "add", "path": "members", "value": [{"value": "u\"1"}]}])
        );
        assert_eq!(
            GENERIC.remove_member("u\"1", false).body["Operations"],
            json!([{"op": "remove", "path": "members[value eq \"u\\\"1\"]"}])
        );
        assert_eq!(
            ENTRA.remove_member("u1", true).body["Operations"],
            json!([{"op": "Remove", "path": "members", "value": [{"value": "u1"}]}])
        );
        let group = fields(json!({"id": "g", "members": [{"value": "u1", "x": 1}, {"value": "u2"}]}));
        assert_eq!(with_members(&group, "u1", true), None);
        assert_eq!(with_members(&group, "u3", false), None);
        assert_eq!(with_members(&group, "u2", false).unwrap()["members"], json!([{"value": "u1", "x": 1}]));
        assert_eq!(with_members(&group, "u3", true).unwrap()["members"].as_array().unwrap().len(), 3);
    }
}
