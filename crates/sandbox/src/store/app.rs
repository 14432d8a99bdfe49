//! One app, and the list of all apps.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use bridgehead_sdk::{ResourceKind, ResourceType};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::sync::SyncBook;
use super::tasks::{STATUSES, TaskBoard};
use crate::lock::lock;
use crate::refusal::Refusal;
use crate::schema;

/// The maximum length of the names of apps and resource types, in characters.
const MAX_NAME: usize = 255;

/// The size of an app.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AppStats {
    /// The app.
    pub app_id: Uuid,
    /// Its name.
    pub name: String,
    /// When its last cleanup succeeded.
    pub last_synced_at: Option<Timestamp>,
    /// Its records, by resource type, in the order of registration.
    pub records: Vec<TypeStats>,
    /// How many tasks are in each state.
    pub tasks: BTreeMap<&'static str, usize>,
}

/// The number of an app's records of one type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TypeStats {
    /// The resource type.
    pub slug: String,
    /// Records that the last syncs pushed.
    pub active: usize,
    /// Records that a cleanup removed.
    pub inactive: usize,
}

/// The resource types that the apps of a clone group share.
type CloneGroup = Arc<Mutex<Vec<ResourceType>>>;

/// One app.
pub(crate) struct App {
    id: Uuid,
    name: String,
    created_at: Timestamp,
    group: CloneGroup,
    pub(crate) sync: SyncBook,
    pub(crate) tasks: TaskBoard,
}

impl App {
    fn new(id: Uuid, name: String, group: CloneGroup, now: Timestamp) -> Self {
        Self { id, name, created_at: now, group, sync: SyncBook::default(), tasks: TaskBoard::default() }
    }

    pub(crate) fn id(&self) -> Uuid {
        self.id
    }

    /// Applies everything that has fallen due since the last access: tasks become pending, cleanups run.
    pub(crate) fn settle(&mut self, now: Timestamp) {
        self.tasks.settle(now);
        self.sync.settle(now);
    }

    /// The app in the format of the API.
    pub(crate) fn shown(&self) -> Value {
        let status = if self.sync.was_used() { "CHECKING_CONFIGURATION" } else { "NEW" };
        json!({
            "id": self.id,
            "name": self.name,
            "configuration_status": status,
            "created_at": self.created_at,
            "last_synced_at": self.sync.last_synced_at,
        })
    }

    /// The resource types of the clone group, in the order of registration.
    pub(crate) fn types(&self) -> Vec<ResourceType> {
        lock(&self.group).clone()
    }

    /// The kind of the records of a slug.
    pub(crate) fn kind_of(&self, slug: &str) -> Result<ResourceKind, Refusal> {
        lock(&self.group)
            .iter()
            .find(|one| one.slug.as_str() == slug)
            .map(|one| one.kind)
            .ok_or_else(|| no_type(slug))
    }

    /// Registers a resource type: `{"slug", "name", "type"}`.
    pub(crate) fn register(&self, body: &[u8]) -> Result<ResourceType, Refusal> {
        let fields = schema::object(body)?;
        let slug = schema::text_up_to(schema::required(&fields, "slug")?, MAX_NAME)?;
        if !slug.chars().all(|one| one.is_ascii_alphanumeric() || one == '-' || one == '_') {
            return Err(Refusal::bad_request("String should match pattern '^[-a-zA-Z0-9_]+$'"));
        }
        let name = schema::text_up_to(schema::required(&fields, "name")?, MAX_NAME)?;
        let kind = match schema::one_of(schema::required(&fields, "type")?, &["account", "group", "license"])?
        {
            "account" => ResourceKind::Account,
            "group" => ResourceKind::Group,
            _ => ResourceKind::License,
        };
        let added = ResourceType::new(slug, name, kind);
        let mut types = lock(&self.group);
        if types.iter().any(|one| one.slug == added.slug) {
            return Err(Refusal::conflict(format!("Resource type with slug '{slug}' already exists.")));
        }
        types.push(added.clone());
        Ok(added)
    }

    /// Registers a resource type, unless the slug is taken.
    pub(crate) fn ensure_type(&self, added: ResourceType) {
        let mut types = lock(&self.group);
        if types.iter().all(|one| one.slug != added.slug) {
            types.push(added);
        }
    }

    /// Renames a resource type: `{"name"}`.
    pub(crate) fn rename(&self, slug: &str, body: &[u8]) -> Result<ResourceType, Refusal> {
        self.kind_of(slug)?;
        let fields = schema::object(body)?;
        let name = schema::text_up_to(schema::required(&fields, "name")?, MAX_NAME)?;
        let mut types = lock(&self.group);
        let renamed = types.iter_mut().find(|one| one.slug.as_str() == slug).ok_or_else(|| no_type(slug))?;
        name.clone_into(&mut renamed.name);
        Ok(renamed.clone())
    }

    /// The size of the app.
    pub(crate) fn stats(&self) -> AppStats {
        let records = self
            .types()
            .into_iter()
            .map(|one| {
                let (active, inactive) = self.sync.records.count(one.slug.as_str());
                TypeStats { slug: one.slug.into_string(), active, inactive }
            })
            .collect();
        AppStats {
            app_id: self.id,
            name: self.name.clone(),
            last_synced_at: self.sync.last_synced_at,
            records,
            tasks: STATUSES.into_iter().zip(self.tasks.counts()).collect(),
        }
    }
}

fn no_type(slug: &str) -> Refusal {
    Refusal::not_found(format!("Resource type '{slug}' not found."))
}

/// An app to create.
pub(crate) struct NewApp {
    pub(crate) name: String,
    pub(crate) clone_from: Option<Uuid>,
}

impl NewApp {
    /// Parses `{"name", "clone_from"?}`.
    pub(crate) fn read(body: &[u8]) -> Result<Self, Refusal> {
        let fields = schema::object(body)?;
        let name = schema::text_up_to(schema::required(&fields, "name")?, MAX_NAME)?.to_owned();
        let clone_from = match fields.get("clone_from") {
            None | Some(Value::Null) => None,
            Some(value) => Some(
                value
                    .as_str()
                    .and_then(|text| text.parse().ok())
                    .ok_or_else(|| Refusal::bad_request("Input should be a valid UUID"))?,
            ),
        };
        Ok(Self { name, clone_from })
    }
}

/// All apps, in the order of their creation. Each has its own lock.
#[derive(Default)]
pub(crate) struct Apps(Mutex<AppList>);

#[derive(Default)]
struct AppList {
    in_order: Vec<(Uuid, Arc<Mutex<App>>)>,
    by_id: HashMap<Uuid, Arc<Mutex<App>>>,
}

impl Apps {
    pub(crate) fn get(&self, id: Uuid) -> Option<Arc<Mutex<App>>> {
        lock(&self.0).by_id.get(&id).cloned()
    }

    /// All of them, in the order of their creation.
    pub(crate) fn all(&self) -> Vec<(Uuid, Arc<Mutex<App>>)> {
        lock(&self.0).in_order.clone()
    }

    pub(crate) fn len(&self) -> usize {
        lock(&self.0).in_order.len()
    }

    /// Creates an app, unless one with that id exists; returns whether it was created.
    pub(crate) fn make(&self, id: Uuid, new: NewApp, now: Timestamp) -> Result<bool, Refusal> {
        let mut list = lock(&self.0);
        if list.by_id.contains_key(&id) {
            return Ok(false);
        }
        let group = match new.clone_from {
            None => CloneGroup::default(),
            Some(original) => {
                let original = list.by_id.get(&original).ok_or_else(|| no_app(&original.to_string()))?;
                lock(original).group.clone()
            }
        };
        list.put(App::new(id, new.name, group, now));
        Ok(true)
    }

    /// The app with that id; if it does not exist, creates one that is named after the id.
    pub(crate) fn get_or_make(&self, id: Uuid, now: Timestamp) -> Arc<Mutex<App>> {
        let mut list = lock(&self.0);
        match list.by_id.get(&id) {
            Some(app) => app.clone(),
            None => list.put(App::new(id, id.to_string(), CloneGroup::default(), now)),
        }
    }
}

impl AppList {
    fn put(&mut self, app: App) -> Arc<Mutex<App>> {
        let id = app.id;
        let app = Arc::new(Mutex::new(app));
        self.in_order.push((id, app.clone()));
        self.by_id.insert(id, app.clone());
        app
    }
}

pub(crate) fn no_app(id: &str) -> Refusal {
    Refusal::not_found(format!("App '{id}' not found."))
}
