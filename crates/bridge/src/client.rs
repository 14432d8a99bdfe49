//! The client of the Bridge API over HTTP.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bridgehead_sdk::{ResourceType, Slug, TaskId};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::watch;
use url::Url;

use super::answer::{Answer, Request};
use super::beginning::FirstItem;
use super::breaker::BreakerSettings;
use super::coalesced::Coalesced;
use super::endpoint::Endpoints;
use super::next::{self, LoopDetector};
use super::resource::Listed;
use super::spelling::Spellings;
use super::transport::Transport;
use super::{
    Api, App, AppId, BuildError, Call, ClockReading, Environment, Error, Health, KeyError, KeySource, NewApp,
    NextPage, Operation, Precondition, Progress, Pushed, Refs, Registration, Report, Retry, Settings, SyncId,
    Task, TaskPage, TaskQuery, TaskStatus, WireRecord, read, record,
};

/// The documented default page size, used if the URL of a page has no limit.
const DEFAULT_PAGE: u32 = 50;
/// The maximum number of pages of apps or resource types.
const MAX_PAGES: usize = 1000;

/// The client of the Bridge API. Clones share connections, limits and the known health of the Bridge.
#[derive(Clone, Debug)]
pub struct Client {
    inner: Arc<Inner>,
    retry: Retry,
}

#[derive(Debug)]
struct Inner {
    transport: Transport,
    endpoints: Endpoints,
    refs: Refs,
    spellings: Spellings,
    /// The apps whose task pages were too large.
    narrowed: Mutex<HashMap<AppId, Narrowed>>,
    /// The list of all apps, of which each app needs its own entry.
    apps: Coalesced<Vec<App>>,
}

/// A reduced page size for tasks.
#[derive(Clone, Copy, Debug)]
struct Narrowed {
    limit: u32,
    wanted: u32,
}

impl Inner {
    /// A page of `limit` tasks was too large; request half as many.
    fn narrow(&self, app: AppId, limit: u32) -> u32 {
        let mut narrowed = self.narrowed.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = narrowed.entry(app).or_insert(Narrowed { limit, wanted: limit });
        entry.limit = (limit / 2).max(1);
        entry.limit
    }

    /// The page size of the next request if it is currently reduced: twice the last one that fitted, so that it grows with each request.
    fn widened(&self, app: AppId) -> Option<u32> {
        let mut narrowed = self.narrowed.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = narrowed.get_mut(&app)?;
        entry.limit = entry.limit.saturating_mul(2);
        let Narrowed { limit, wanted } = *entry;
        if limit >= wanted {
            narrowed.remove(&app);
        }
        Some(limit.min(wanted))
    }
}

impl Client {
    /// Creates a client. It sends nothing and does not read the key before the first call.
    pub fn new(settings: Settings, key: Arc<dyn KeySource>) -> Result<Self, BuildError> {
        Self::with_pace(settings, key, BreakerSettings::default())
    }

    /// Creates a client that reaches the Bridge through `environment` instead of HTTP. Network settings have no effect.
    pub fn within(
        environment: Environment,
        settings: Settings,
        key: Arc<dyn KeySource>,
    ) -> Result<Self, BuildError> {
        Self::assemble(environment, settings, key, BreakerSettings::default())
    }

    pub(super) fn with_pace(
        settings: Settings,
        key: Arc<dyn KeySource>,
        pace: BreakerSettings,
    ) -> Result<Self, BuildError> {
        settings.check()?;
        Self::assemble(Environment::real(&settings)?, settings, key, pace)
    }

    fn assemble(
        environment: Environment,
        settings: Settings,
        key: Arc<dyn KeySource>,
        pace: BreakerSettings,
    ) -> Result<Self, BuildError> {
        let inner = Arc::new(Inner {
            transport: Transport::new(environment, &settings, key, pace)?,
            endpoints: Endpoints::new(settings.base_url),
            refs: settings.refs,
            spellings: Spellings::default(),
            narrowed: Mutex::default(),
            apps: Coalesced::default(),
        });
        Ok(Self { inner, retry: settings.retry })
    }

    /// Returns the same client for a caller that repeats calls itself, such as the runtime: it makes each call once. Nested retries
    /// multiply.
    pub fn without_retries(&self) -> Self {
        Self { inner: Arc::clone(&self.inner), retry: Retry::never() }
    }

    /// Reloads the key and uses it for all later calls. If it cannot be read, nothing changes.
    pub async fn renew_key(&self) -> Result<(), KeyError> {
        self.inner.transport.renew_key().await
    }

    /// The health of the Bridge, as the calls of this client and its clones determine it.
    pub fn health(&self) -> watch::Receiver<Health> {
        self.inner.transport.health()
    }

    /// Creates a request for a path below the app's.
    fn request(&self, call: Call, app: AppId, method: Method, segments: &[&str]) -> Result<Request, Error> {
        let url = self.inner.endpoints.app(&call, app, segments)?;
        Ok(Request::new(call, method, url))
    }

    async fn send(&self, request: &Request) -> Result<Answer, Error> {
        self.inner.transport.send(request, self.retry).await
    }

    /// Reads every item of a list that comes in pages or as a bare array.
    async fn list(&self, call: Call, url: Url) -> Result<Vec<Value>, Error> {
        let mut items = Vec::new();
        let mut trail = LoopDetector::from(&url);
        let mut request = Request::new(call, Method::GET, url);
        for _ in 0..MAX_PAGES {
            let answer = self.send(&request).await?;
            let (page, next) = read::list(answer, &request.call, &request.url, trail)?;
            items.extend(page.items);
            let Some(next) = next else {
                return Ok(items);
            };
            trail = next.trail();
            request.url = next.url().clone();
        }
        Err(Error::LinkLoop { call: request.call })
    }

    async fn listed_resource_types(&self, call: Call, app: AppId) -> Result<Vec<Listed>, Error> {
        let url = self.inner.endpoints.app(&call, app, &["resource-types"])?;
        Ok(read::resource_types(&self.list(call, url).await?))
    }

    /// After a 409: checks whether the resource type is registered as requested.
    async fn confirm(
        &self,
        call: Call,
        app: AppId,
        wanted: &ResourceType,
        told: String,
    ) -> Result<Registration, Error> {
        let listed = self.listed_resource_types(call.clone(), app).await?;
        let detail = match listed.into_iter().find(|listed| listed.slug == wanted.slug.as_str()) {
            Some(listed) if listed.kind == wanted.kind.as_str() => return Ok(Registration::Existed),
            Some(listed) => format!(
                "it is registered with type '{}', not '{}'",
                super::sanitize::clean(&listed.kind),
                wanted.kind
            ),
            None => format!("{told}; however, the app's resource types do not include it"),
        };
        Err(Error::Conflict { call, detail })
    }

    /// Reads a page of tasks. If it is too large, it is requested again with half the limit, down to one task.
    async fn page(
        &self,
        app: AppId,
        mut request: Request,
        trail: LoopDetector,
        asked_for: &TaskStatus,
    ) -> Result<TaskPage, Error> {
        loop {
            let answer = self.send(&request).await;
            let page = answer
                .and_then(|answer| read::task_page(answer, &request.call, &request.url, trail, asked_for));
            let Err(
                Error::BodyTooLarge { first: Some(first), .. }
                | Error::TooManyValues { first: Some(first), .. },
            ) = &page
            else {
                let page = page?;
                self.inner.spellings.learn(&page.tasks);
                return Ok(page);
            };
            let first = first.clone();
            let limit = next::limit(&request.url).unwrap_or(DEFAULT_PAGE);
            if limit <= 1 {
                return match NextPage::behind_first(&request.call, &request.url, trail) {
                    Some(next) => self.page_of_one(app, first, next?).await,
                    None => page,
                };
            }
            tracing::warn!(%app, limit, "a page of tasks is too large; requesting half as many");
            let half = self.inner.narrow(app, limit);
            request.url = next::with(&request.url, "limit", &half.to_string());
        }
    }

    /// Replaces a page that is too large with a single task. That task is read separately if its id is known: this may work if the Bridge
    /// ignores the limit. Otherwise it is skipped. The next page starts after it.
    async fn page_of_one(&self, app: AppId, first: FirstItem, next: NextPage) -> Result<TaskPage, Error> {
        let mut page = TaskPage { tasks: Vec::new(), unreadable: Vec::new(), count: None, next: Some(next) };
        match first {
            FirstItem::Named(id) if super::endpoint::is_segment(&id) => {
                let task = match self.task(app, &TaskId::new(id.clone())).await {
                    // The list and the task itself agree that it is too large. This can be reported; skipping it would leave it pending
                    // forever.
                    Err(error) if error.is_too_large() => {
                        Task::too_large(&id).map_err(|what| Error::malformed(error.call(), what))
                    }
                    answer => answer,
                };
                match task {
                    Ok(task) => {
                        self.inner.spellings.learn(std::slice::from_ref(&task));
                        page.tasks.push(task);
                    }
                    // It has been resolved in the meantime.
                    Err(Error::NotFound { from_bridge: true, .. }) => {}
                    Err(error) => return Err(error),
                }
            }
            FirstItem::Named(_) | FirstItem::Unnamed => {
                page.unreadable.push("a task is too large to read, and its id is unknown".to_owned());
            }
        }
        Ok(page)
    }

    /// The request that ends a session.
    fn end(&self, operation: Operation, app: AppId, sync: &SyncId, verb: &str) -> Result<Request, Error> {
        let call = Call::new(operation, app).about(sync);
        self.request(call, app, Method::POST, &["sync", sync.as_str(), verb])
    }
}

#[async_trait]
impl Api for Client {
    async fn create_app(&self, app: &NewApp) -> Result<App, Error> {
        let call = Call::new(Operation::CreateApp, None).about(&app.name);
        let request = Request::new(call, Method::POST, self.inner.endpoints.apps()).json(&app.to_json());
        read::app(self.send(&request).await?, &request.call)
    }

    async fn list_apps(&self) -> Result<Vec<App>, Error> {
        let call = Call::new(Operation::ListApps, None);
        Ok(read::apps(self.list(call, self.inner.endpoints.apps()).await?))
    }

    async fn find_app(&self, app: AppId) -> Result<Option<App>, Error> {
        let apps = self.inner.apps.get(self.list_apps()).await?;
        Ok(apps.iter().find(|listed| listed.id == app).cloned())
    }

    async fn list_resource_types(&self, app: AppId) -> Result<Vec<ResourceType>, Error> {
        let listed = self.listed_resource_types(Call::new(Operation::ListResourceTypes, app), app).await?;
        let known = listed.into_iter().filter_map(|listed| {
            let slug = listed.slug.clone();
            let known = listed.known();
            if known.is_none() {
                tracing::warn!(%app, %slug, "skipping a resource type of an unknown kind");
            }
            known
        });
        Ok(known.collect())
    }

    async fn register_resource_type(
        &self,
        app: AppId,
        resource_type: &ResourceType,
    ) -> Result<Registration, Error> {
        let call = Call::new(Operation::RegisterResourceType, app).about(&resource_type.slug);
        let body = json!({
            "slug": resource_type.slug, "name": resource_type.name, "type": resource_type.kind
        });
        let request = self.request(call, app, Method::POST, &["resource-types"])?.json(&body);
        match self.send(&request).await {
            Ok(answer) => answer.acknowledged().map(|()| Registration::Created),
            Err(Error::Conflict { call, detail }) => self.confirm(call, app, resource_type, detail).await,
            Err(error) => Err(error),
        }
    }

    async fn rename_resource_type(&self, app: AppId, slug: &Slug, name: &str) -> Result<(), Error> {
        let call = Call::new(Operation::RenameResourceType, app).about(slug);
        let request = self.request(call, app, Method::PATCH, &["resource-types", slug.as_str()])?;
        self.send(&request.json(&json!({ "name": name }))).await?.acknowledged()
    }

    async fn start_sync(&self, app: AppId) -> Result<SyncId, Error> {
        let call = Call::new(Operation::StartSync, app);
        let request = self.request(call, app, Method::POST, &["sync"])?;
        read::session(self.send(&request).await?, &request.call)
    }

    async fn push(
        &self,
        app: AppId,
        sync: &SyncId,
        slug: &Slug,
        records: &[WireRecord],
    ) -> Result<Pushed, Error> {
        let call = Call::new(Operation::Push, app).about(slug);
        let mut request = self.request(call, app, Method::PUT, &["sync", sync.as_str(), slug.as_str()])?;
        request.body = Some(record::page(records).into());
        read::pushed(self.send(&request).await?)
    }

    async fn progress(&self, app: AppId, sync: &SyncId) -> Result<Progress, Error> {
        let call = Call::new(Operation::Progress, app).about(sync);
        let request = self.request(call, app, Method::GET, &["sync", sync.as_str()])?;
        read::progress(self.send(&request).await?, &request.call)
    }

    async fn complete(&self, app: AppId, sync: &SyncId, only_if: &Precondition) -> Result<(), Error> {
        let mut request = self.end(Operation::Complete, app, sync, "complete")?;
        request.only_if = Some(only_if.clone());
        self.send(&request).await?.acknowledged()
    }

    async fn abandon(&self, app: AppId, sync: &SyncId) -> Result<(), Error> {
        self.send(&self.end(Operation::Abandon, app, sync, "abandon")?).await?.acknowledged()
    }

    async fn tasks(&self, app: AppId, query: &TaskQuery) -> Result<TaskPage, Error> {
        let call = Call::new(Operation::ListTasks, app).about(&query.status);
        let mut request = self.request(call, app, Method::GET, &["tasks"])?;
        request
            .url
            .query_pairs_mut()
            .append_pair("status", query.status.as_str())
            .append_pair("limit", &self.inner.widened(app).unwrap_or(query.limit).to_string());
        let trail = LoopDetector::from(&request.url);
        self.page(app, request, trail, &query.status).await
    }

    async fn next_tasks(&self, app: AppId, next: &NextPage) -> Result<TaskPage, Error> {
        let asked_for = next.url().query_pairs().find(|(name, _)| name == "status");
        let asked_for = asked_for.map_or(TaskStatus::Pending, |(_, status)| TaskStatus::from_name(&status));
        let call = Call::new(Operation::ListTasks, app).about(&asked_for);
        let mut request = self.request(call, app, Method::GET, &["tasks"])?;
        next.check(&request.call, &request.url)?;
        request.url = match self.inner.widened(app) {
            Some(limit) => next::with(next.url(), "limit", &limit.to_string()),
            None => next.url().clone(),
        };
        self.page(app, request, next.trail(), &asked_for).await
    }

    async fn task(&self, app: AppId, task: &TaskId) -> Result<Task, Error> {
        let call = Call::new(Operation::ReadTask, app).about(task);
        let spelling = self.inner.spellings.of(task);
        let request = self.request(call, app, Method::GET, &["tasks", &spelling])?;
        read::task(self.send(&request).await?, &request.call, task)
    }

    async fn report(&self, app: AppId, task: &TaskId, report: &Report) -> Result<(), Error> {
        let call = Call::new(Operation::Report, app).about(task);
        let request =
            self.request(call, app, Method::PATCH, &["tasks", &self.inner.spellings.of(task), "status"])?;
        let request = request.json(&report.to_json());
        read::reported(self.send(&request).await?, &request.call, task)
    }

    fn refs(&self) -> Refs {
        self.inner.refs
    }

    fn clock(&self) -> Option<ClockReading> {
        self.inner.transport.clock()
    }
}
