//! The features that an application announces (RFC 7644, section 4), and the defaults if it announces nothing.

use std::collections::BTreeSet;

use bridgehead_sdk::{Error, Retry, Subject};

use crate::client::Scim;
use crate::path::Path;
use crate::settings::{Paging, Profile, Settings};
use crate::wire::{Fields, GROUP, ListPage, USER, field, objects, text, truth};

/// The parts of a ServiceProviderConfig (RFC 7643, section 5). A document without any of them is something else.
const PARTS: [&str; 9] = [
    "patch",
    "bulk",
    "filter",
    "changePassword",
    "sort",
    "etag",
    "pagination",
    "authenticationSchemes",
    "documentationUri",
];

/// What an application supports, and its endpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each field is one line of a ServiceProviderConfig")]
pub(crate) struct Features {
    pub(crate) patch: bool,
    pub(crate) filter: bool,
    pub(crate) change_password: bool,
    pub(crate) etag: bool,
    pub(crate) cursor: bool,
    /// The path of the users, relative to the base URL.
    pub(crate) users: String,
    /// The path of the groups; `None` if there are none.
    pub(crate) groups: Option<String>,
    /// The attributes of users and groups, if the application announces them.
    pub(crate) attributes: Option<Attributes>,
}

/// Attributes by schema, in lowercase.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Attributes {
    known: BTreeSet<(String, String)>,
    read_only: BTreeSet<(String, String)>,
    required: BTreeSet<(String, String)>,
    /// Attributes that are only returned on request, or never.
    hidden: BTreeSet<(String, String)>,
}

impl Features {
    /// Requests the features from the application. The profile supplies what it does not announce; settings override both.
    pub(crate) async fn discover(scim: &Scim, settings: &Settings) -> Result<Self, Error> {
        let config = scim.describe("ServiceProviderConfig").await?;
        if config.as_ref().is_some_and(|config| !PARTS.iter().any(|part| field(config, part).is_some())) {
            let message = format!(
                "{} returned something other than a ServiceProviderConfig, so its capabilities are unknown",
                scim.system()
            );
            return Err(Error::internal(message)
                .with_retry(Retry::Backoff)
                .with_subject(Subject::Connection));
        }
        // A body that is not a list is ignored.
        let lists = |body: &Fields| ListPage::read(body).is_some();
        let types = scim.describe("ResourceTypes").await?.filter(lists);
        let schemas = scim.describe("Schemas").await?.filter(lists);
        let features = Self::of(settings, config.as_ref(), types.as_ref(), schemas.as_ref());
        features.map_err(|message| {
            let message = format!("{}: {message}", scim.system());
            Error::internal(message).with_retry(Retry::Backoff).with_subject(Subject::Connection)
        })
    }

    fn of(
        settings: &Settings,
        config: Option<&Fields>,
        types: Option<&Fields>,
        schemas: Option<&Fields>,
    ) -> Result<Self, String> {
        let says = |name: &str| {
            let part = field(field(config?, name)?.as_object()?, "supported")?;
            truth(part)
        };
        let own = &settings.capabilities;
        // RFC 7643, section 5 requires each of these parts. If the whole document is missing, the profile's defaults apply; if a part is
        // missing, it is not supported.
        let usual = |generic: bool, entra: bool, okta: bool| match (config, settings.profile) {
            (Some(_), _) => false,
            (None, Profile::Generic) => generic,
            (None, Profile::Entra) => entra,
            (None, Profile::Okta) => okta,
        };
        let paging = config.and_then(|config| field(config, "pagination")?.as_object());
        let announces_cursor =
            paging.and_then(|paging| field(paging, "cursor")).and_then(truth).unwrap_or(false);
        let cursor = match settings.paging {
            Paging::Cursor => true,
            Paging::Index => false,
            Paging::Auto => own.cursor.unwrap_or(announces_cursor),
        };
        let attributes = schemas.and_then(Attributes::read);
        let groups = if settings.groups.enabled { Some(groups(settings, types)?) } else { None };
        Ok(Self {
            patch: own.patch.or(says("patch")).unwrap_or(usual(true, true, true)),
            filter: own.filter.or(says("filter")).unwrap_or(usual(true, true, true)),
            change_password: own
                .change_password
                .or(says("changePassword"))
                .unwrap_or(usual(false, false, true)),
            // If a resource has a version, changes are conditional on it; servers that do not support this ignore the condition.
            etag: own.etag.or(says("etag")).unwrap_or(true),
            cursor,
            users: settings.accounts.endpoint.clone().or(endpoint(types, USER)).unwrap_or("Users".to_owned()),
            groups,
            attributes,
        })
    }
}

fn groups(settings: &Settings, types: Option<&Fields>) -> Result<String, String> {
    if let Some(endpoint) = &settings.groups.endpoint {
        return Ok(endpoint.clone());
    }
    match (endpoint(types, GROUP), types) {
        (Some(endpoint), _) => Ok(endpoint),
        (None, None) => Ok("Groups".to_owned()),
        (None, Some(_)) => {
            Err("its ResourceTypes contain no groups; set groups.enabled = false, or groups.endpoint if it \
                 has groups"
                .to_owned())
        }
    }
}

/// The endpoint of a schema's resources. An absolute URL is not used.
fn endpoint(types: Option<&Fields>, schema: &str) -> Option<String> {
    let page = ListPage::read(types?)?;
    let fits = |kind: &&Fields| text(kind, "schema").is_some_and(|is| is.eq_ignore_ascii_case(schema));
    let path = text(page.resources.iter().find(fits)?, "endpoint")?.trim_matches('/').to_owned();
    let is_path = !path.is_empty() && !path.contains([':', '?', '#']) && !path.contains("..");
    is_path.then_some(path)
}

impl Attributes {
    /// `None` unless all schemas are listed.
    fn read(schemas: &Fields) -> Option<Self> {
        let page = ListPage::read(schemas)?;
        if page.resources.is_empty() || page.total.is_some_and(|total| total > page.resources.len() as u64) {
            return None;
        }
        let mut attributes = Self::default();
        for schema in &page.resources {
            let Some(id) = text(schema, "id").map(str::to_lowercase) else { continue };
            for attribute in objects(field(schema, "attributes")) {
                let Some(name) = text(attribute, "name").map(str::to_lowercase) else { continue };
                let key = (id.clone(), name);
                if text(attribute, "mutability").is_some_and(|is| is.eq_ignore_ascii_case("readOnly")) {
                    attributes.read_only.insert(key.clone());
                }
                let is = |what: &str, values: &[&str]| {
                    text(attribute, what)
                        .is_some_and(|is| values.iter().any(|one| is.eq_ignore_ascii_case(one)))
                };
                if field(attribute, "required").and_then(truth) == Some(true) {
                    attributes.required.insert(key.clone());
                }
                if is("returned", &["never", "request"]) || is("mutability", &["writeOnly"]) {
                    attributes.hidden.insert(key.clone());
                }
                attributes.known.insert(key);
            }
        }
        Some(attributes)
    }

    fn key(schema: &str, attribute: &str) -> (String, String) {
        (schema.to_lowercase(), attribute.to_lowercase())
    }

    /// Whether resources of a schema have an attribute. A schema that was not announced may have any.
    pub(crate) fn has(&self, schema: &str, attribute: &str) -> bool {
        let lower = schema.to_lowercase();
        let tells_of = self.known.iter().any(|(known, _)| *known == lower);
        let common = ["id", "externalid", "meta", "schemas"].contains(&attribute.to_lowercase().as_str());
        common || !tells_of || self.known.contains(&Self::key(schema, attribute))
    }

    /// Whether an attribute of a user can be set but is not shown.
    pub(crate) fn hides(&self, path: &Path) -> bool {
        self.hidden.contains(&Self::key(path.schema.as_deref().unwrap_or(USER), &path.attribute))
    }

    /// The attributes that every user must have.
    pub(crate) fn required(&self) -> impl Iterator<Item = &str> {
        let user = USER.to_lowercase();
        self.required
            .iter()
            .filter(move |(schema, _)| *schema == user)
            .map(|(_, attribute)| attribute.as_str())
    }

    /// Why an attribute of a user cannot be set, if it cannot.
    pub(crate) fn fault(&self, path: &Path) -> Option<&'static str> {
        let schema = path.schema.as_deref().unwrap_or(USER);
        let lower = schema.to_lowercase();
        let is_extension = path.schema.is_some();
        if is_extension && !self.known.iter().any(|(known, _)| *known == lower) {
            return Some("its schemas do not contain that extension");
        }
        if !self.has(schema, &path.attribute) {
            return Some("its schemas do not contain that attribute");
        }
        let key = Self::key(schema, &path.attribute);
        self.read_only.contains(&key).then_some("its schemas do not allow setting the attribute")
    }
}

/// Whether a schema excludes an attribute, so that it is never returned.
pub(crate) fn rules_out(features: &Features, schema: &str, attribute: &str) -> bool {
    features.attributes.as_ref().is_some_and(|attributes| !attributes.has(schema, attribute))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn fields(value: Value) -> Fields {
        let Value::Object(fields) = value else { panic!("not an object") };
        fields
    }

    fn settings(more: Value) -> Settings {
        let mut target = json!({"url": "https://example.com/scim/v2"});
        for (key, value) in fields(more) {
            target[key] = value;
        }
        serde_json::from_value(target).unwrap()
    }

    #[test]
    fn profile_supplies_missing_capabilities() {
        let of =
            |profile: &str| Features::of(&settings(json!({"profile": profile})), None, None, None).unwrap();
        assert!(
            of("generic").patch
                && of("generic").filter
                && !of("generic").change_password
                && of("generic").etag
        );
        assert!(of("okta").change_password);
        assert_eq!((of("entra").users.as_str(), of("entra").groups.as_deref()), ("Users", Some("Groups")));
    }

    #[test]
    fn settings_override_advertised_capabilities() {
        let config = fields(json!({
            "patch": {"supported": false}, "etag": {"supported": "true"}, "pagination": {"cursor": true, "index": true}
        }));
        let of = |more: Value| Features::of(&settings(more), Some(&config), None, None).unwrap();
        let said = of(json!({}));
        assert!(!said.patch && said.etag && !said.filter && said.cursor);
        let own = of(json!({"capabilities": {"patch": true, "filter": true}, "paging": "index"}));
        assert!(own.patch && own.filter && !own.cursor);
    }

    #[test]
    fn endpoints_follow_resource_types_but_stay_on_the_server() {
        let types = |endpoint: &str| {
            fields(json!({"totalResults": 2, "Resources": [
                {"schema": USER, "endpoint": endpoint}, {"schema": GROUP, "endpoint": "/Teams"}
            ]}))
        };
        let of =
            |endpoint: &str| Features::of(&settings(json!({})), None, Some(&types(endpoint)), None).unwrap();
        assert_eq!(of("/People/").users, "People");
        assert_eq!(of("https://evil.example/Users").users, "Users");
        assert_eq!(of("/../Users").users, "Users");
        assert_eq!(of("/Users").groups.as_deref(), Some("Teams"));
    }

    #[test]
    fn application_without_groups_requires_disabling_them() {
        let types = fields(json!({"totalResults": 1, "Resources": [{"schema": USER, "endpoint": "/Users"}]}));
        let of = |more: Value| Features::of(&settings(more), None, Some(&types), None);
        assert!(of(json!({})).unwrap_err().contains("groups.enabled = false"));
        assert_eq!(of(json!({"groups": {"enabled": false}})).unwrap().groups, None);
        assert_eq!(of(json!({"groups": {"endpoint": "Groups"}})).unwrap().groups.as_deref(), Some("Groups"));
    }

    #[test]
    fn attributes_missing_from_schemas_are_invalid() {
        let schemas = fields(json!({"totalResults": 1, "Resources": [
            {"id": USER, "attributes": [{"name": "userName"}, {"name": "groups", "mutability": "readOnly"}]}
        ]}));
        let attributes = Attributes::read(&schemas).unwrap();
        let fault = |path: &str| attributes.fault(&Path::parse(path).unwrap()).is_some();
        assert!(!fault("username") && !fault("externalId") && fault("title") && fault("groups"));
        assert!(fault("urn:example:2.0:User:badge"));
        assert!(!attributes.has(USER, "emails") && attributes.has(GROUP, "members"));
        let some = fields(json!({"totalResults": 9, "Resources": [{"id": USER}]}));
        assert_eq!(Attributes::read(&some), None);
    }
}
