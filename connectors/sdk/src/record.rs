//! The records of listings, and the references between them.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::{AccountRecord, PayloadError, ResourceKind, Slug, payload};

/// One record of a listing.
///
/// ```
/// use bridgehead_sdk::serde_json::json;
/// use bridgehead_sdk::{Record, ResourceKind};
///
/// // A record as the target returns it; some of its fields may be wrong.
/// let ann = Record::from_json(ResourceKind::Account, json!({ "id": 17, "email": null })).unwrap();
/// assert_eq!(ann.id(), "17");
/// let rejected = Record::from_json(ResourceKind::Account, json!({ "id": "u1", "email": ["x"] })).unwrap_err();
/// assert_eq!(rejected.to_string(), "record 'u1': email must be text");
/// ```
// Exhaustive on purpose: a skipped kind of record would be missing from a listing, and missing accounts are removed.
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    /// An account.
    Account(Box<AccountRecord>),
    /// A group or a license.
    Entity(EntityRecord),
}

impl Record {
    /// Reads a record of the given kind from a JSON object, tolerantly: accepts numbers as identifiers, `null` as
    /// absent, and keeps unknown fields.
    pub fn from_json(kind: ResourceKind, value: Value) -> Result<Self, RejectedRecord> {
        let id = payload::identifier(value.get("id"));
        let read = match (kind, value) {
            (ResourceKind::Account, Value::Object(fields)) => {
                AccountRecord::from_fields(fields).map(|account| Self::Account(Box::new(account)))
            }
            (_, Value::Object(fields)) => EntityRecord::from_fields(fields).map(Self::Entity),
            (_, other) => Err(PayloadError::new("record", "an object", &other)),
        };
        read.map_err(|error| RejectedRecord { id, field: error.field, rule: error.expected })
    }

    /// The identifier in the target system.
    pub fn id(&self) -> &str {
        match self {
            Self::Account(account) => account.id.as_str(),
            Self::Entity(entity) => &entity.id,
        }
    }
}

impl From<AccountRecord> for Record {
    fn from(account: AccountRecord) -> Self {
        Self::Account(Box::new(account))
    }
}

impl From<EntityRecord> for Record {
    fn from(entity: EntityRecord) -> Self {
        Self::Entity(entity)
    }
}

/// A group or a license.
///
/// `Debug` shows the identifier and the names of the other fields, never their values.
#[derive(Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct EntityRecord {
    /// The identifier in the target system.
    pub id: String,
    /// The display name.
    pub name: String,
    /// Additional fields, which are sent to Iden unchanged.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl EntityRecord {
    /// A group or a license with only its identifier and name.
    pub fn new(id: impl Into<String>, name: impl Into<String>) -> Self {
        Self { id: id.into(), name: name.into(), extra: Map::new() }
    }

    /// Adds an additional field, which is sent to Iden unchanged. Do not include secrets.
    pub fn with_field(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.extra.insert(name.into(), value.into());
        self
    }

    fn from_fields(mut fields: Map<String, Value>) -> Result<Self, PayloadError> {
        let id = payload::take_required_identifier(&mut fields, "id")?;
        let name = payload::take_text(&mut fields, "name")?
            .ok_or_else(|| PayloadError::missing("name", "text: every group and license has a name"))?;
        Ok(Self { id, name, extra: fields })
    }
}

impl<'de> Deserialize<'de> for EntityRecord {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_fields(Map::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[expect(clippy::missing_fields_in_debug, reason = "values are not shown")]
impl std::fmt::Debug for EntityRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let fields: Vec<&str> =
            std::iter::once("name").chain(self.extra.keys().map(String::as_str)).collect();
        f.debug_struct("EntityRecord").field("id", &self.id).field("fields", &fields).finish()
    }
}

/// A record that exists in the target but could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize)]
#[error("record {}: {field} must be {rule}", id.as_deref().map_or_else(|| "without an id".to_owned(), |id| format!("'{id}'")))]
#[non_exhaustive]
pub struct RejectedRecord {
    /// The record's identifier, or its position ("accounts.csv line 17"), as far as known.
    pub id: Option<String>,
    /// The invalid field.
    pub field: String,
    /// What the field must be. Never the value, which may be a secret.
    pub rule: String,
}

impl RejectedRecord {
    /// A record whose `field` violates `rule`. `id` is its identifier if it can be read, otherwise its position.
    ///
    /// ```
    /// use bridgehead_sdk::RejectedRecord;
    ///
    /// let rejected = RejectedRecord::new("accounts.csv line 17".to_owned(), "id", "text that is not empty");
    /// assert_eq!(rejected.to_string(), "record 'accounts.csv line 17': id must be text that is not empty");
    /// assert_eq!(RejectedRecord::new(None, "record", "an object").id, None);
    /// ```
    pub fn new(id: impl Into<Option<String>>, field: impl Into<String>, rule: impl Into<String>) -> Self {
        Self { id: id.into(), field: field.into(), rule: rule.into() }
    }
}

/// A reference to a group or a license. On the wire it is `"g1"` or `{"id": "g1", "name": "Sales"}`; both are accepted.
///
/// `Debug` shows only the identifier.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub struct Ref {
    /// The identifier of the group or license.
    pub id: String,
    /// Its name, if it was included.
    pub name: Option<String>,
}

impl Ref {
    /// A reference by identifier.
    pub fn new(id: impl Into<String>) -> Self {
        Self { id: id.into(), name: None }
    }

    /// Adds its name.
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    fn from_json(slug: &str, value: Value) -> Result<Self, PayloadError> {
        let fields = match value {
            Value::Object(fields) => fields,
            plain => {
                return payload::identifier(Some(&plain))
                    .map(Self::new)
                    .ok_or_else(|| PayloadError::new(slug, "a list of identifiers", &plain));
            }
        };
        let id = payload::identifier(fields.get("id"))
            .ok_or_else(|| PayloadError::missing(slug, "a list of identifiers, each with an id"))?;
        let name = fields.get("name").and_then(Value::as_str).map(str::to_owned);
        Ok(Self { id, name })
    }
}

impl From<&str> for Ref {
    fn from(id: &str) -> Self {
        Self::new(id)
    }
}

impl From<String> for Ref {
    fn from(id: String) -> Self {
        Self::new(id)
    }
}

impl std::fmt::Debug for Ref {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Ref").field(&self.id).finish()
    }
}

impl Serialize for Ref {
    /// Serializes the plain identifier. The setting `bridge.refs` determines which form is sent to Iden; see
    /// [`Memberships::to_json`].
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.id)
    }
}

/// References by resource type: `{"team": ["t1", "t2"]}`. The type is only a wrapper, so the map is public.
///
/// ```
/// use bridgehead_sdk::{Memberships, Ref};
///
/// let mut memberships = Memberships::default();
/// memberships.0.insert("team".into(), vec![Ref::new("t1"), Ref::new("t2").with_name("Sales")]);
/// assert_eq!(memberships.of("team").len(), 2);
/// assert!(memberships.of("seat").is_empty());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Memberships(pub BTreeMap<Slug, Vec<Ref>>);

impl Memberships {
    /// Reads a map of slugs and references. Accepts a single reference as a list of one, and `null` as an empty list.
    pub fn from_json(field: &str, value: Value) -> Result<Self, PayloadError> {
        let map = match value {
            Value::Null => return Ok(Self::default()),
            Value::Object(map) => map,
            other => {
                return Err(PayloadError::new(field, "a map of resource type to identifiers", &other));
            }
        };
        let mut memberships = BTreeMap::new();
        for (slug, refs) in map {
            let path = format!("{field}.{slug}");
            let refs = match refs {
                Value::Null => Vec::new(),
                Value::Array(refs) => {
                    refs.into_iter().map(|r| Ref::from_json(&path, r)).collect::<Result<_, _>>()?
                }
                lone => vec![Ref::from_json(&path, lone)?],
            };
            memberships.insert(Slug::from(slug), refs);
        }
        Ok(Self(memberships))
    }

    /// As JSON, each reference as an object `{"id", "name"?}` if `objects`, otherwise as a plain identifier.
    pub fn to_json(&self, objects: bool) -> Value {
        let form = |r: &Ref| match (&r.name, objects) {
            (_, false) => Value::from(r.id.clone()),
            (None, true) => serde_json::json!({ "id": r.id }),
            (Some(name), true) => serde_json::json!({ "id": r.id, "name": name }),
        };
        self.0
            .iter()
            .map(|(slug, refs)| (slug.as_str().to_owned(), refs.iter().map(form).collect()))
            .collect::<Map<_, Value>>()
            .into()
    }

    /// The references of one resource type; empty if there are none.
    pub fn of(&self, slug: &str) -> &[Ref] {
        self.0.get(slug).map_or(&[], Vec::as_slice)
    }

    /// Whether there is no reference.
    pub fn is_empty(&self) -> bool {
        self.0.values().all(Vec::is_empty)
    }

    /// Adds the references of `other`, except for those that already exist.
    pub fn merge(&mut self, other: Self) {
        for (slug, refs) in other.0 {
            let mine = self.0.entry(slug).or_default();
            for r in refs {
                if !mine.iter().any(|known| known.id == r.id) {
                    mine.push(r);
                }
            }
        }
    }
}

impl<'de> Deserialize<'de> for Memberships {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_json("memberships", Value::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn references_are_read_in_every_form() {
        let read = Memberships::from_json(
            "memberships",
            json!({"team": ["a", {"id": "b", "name": "B"}, 7], "plan": "p", "x": null}),
        )
        .unwrap();
        let ids: Vec<_> = read.of("team").iter().map(|r| r.id.as_str()).collect();
        assert_eq!(ids, ["a", "b", "7"]);
        assert_eq!(read.of("plan"), [Ref::new("p")]);
        assert_eq!(read.of("x"), []);
        assert_eq!(read.to_json(false), json!({"plan": ["p"], "team": ["a", "b", "7"], "x": []}));
        assert_eq!(
            read.to_json(true),
            json!({"plan": [{"id": "p"}], "team": [{"id": "a"}, {"id": "b", "name": "B"}, {"id": "7"}], "x": []})
        );
    }

    #[test]
    fn invalid_reference_names_its_field() {
        let error = Memberships::from_json("memberships", json!({"team": [["a"]]})).unwrap_err();
        assert_eq!(error.field, "memberships.team");
    }

    #[test]
    fn unknown_fields_survive() {
        let value = json!({"id": "g1", "name": "Sales", "floor": 3, "tags": ["x"]});
        let Record::Entity(record) = Record::from_json(ResourceKind::Group, value.clone()).unwrap() else {
            panic!("not an entity")
        };
        assert_eq!(serde_json::to_value(&record).unwrap(), value);
    }

    #[test]
    fn record_without_a_name_is_rejected_with_its_id() {
        let rejected = Record::from_json(ResourceKind::Group, json!({"id": "g1"})).unwrap_err();
        assert_eq!(rejected.id.as_deref(), Some("g1"));
        assert_eq!(rejected.field, "name");
    }
}
