//! What `bridgehead init` finds out about an application: whether it responds, and what its list of accounts looks like.

use bridgehead_sdk::http::reqwest::Method;
use bridgehead_sdk::http::{Access, Answer, Auth, Client, Credential, Limits, endpoint};
use bridgehead_sdk::{
    Discovered, Discovery, Draft, Error, Question, Section, SettingsError, async_trait, counted,
};
use serde_json::{Map, Value, json};
use url::Url;

use crate::link;
use crate::shape::{Shape, find_list};

const BASE_URL: &str = "base_url";
const PATH: &str = "accounts_path";

/// Inspects an application for `bridgehead init`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look;

#[async_trait]
impl Discovery for Look {
    fn questions(&self) -> Vec<Question> {
        let url = Question::text(BASE_URL, "The base URL of the API, such as https://example.com/api/v1");
        let path = Question::text(
            PATH,
            "The path that lists the accounts, optionally with a query, such as /users?limit=100",
        )
        .with_default("/users")
        .with_check(|text| {
            let is_path = text.starts_with('/') && !text.starts_with("//") && !text.contains(['{', '#', ' ']);
            if is_path { Ok(()) } else { Err("must be a path such as /users".to_owned()) }
        });
        std::iter::once(url).chain(Access::questions()).chain([path]).collect()
    }

    async fn discover(&self, draft: &Draft) -> Result<Discovered, Error> {
        let open = Access::open(draft);
        if !open.is_empty() {
            return Ok(Discovered::ask(open));
        }
        let application = Application::of(draft)?;
        let path = draft.text(PATH).unwrap_or_default();
        let answer = application.get(path).await?;
        if answer.status() != 200 {
            return Err(answer.refusal(&format!("the accounts cannot be listed at {path}")));
        }
        let body: Value = answer.json()?;
        let Some((place, records)) = find_list(&body) else {
            return Err(Error::internal(format!(
                "{}: the response of {path} contains no list of records; choose another path",
                draft.setup.app
            )));
        };
        let mut found = Discovered::default()
            .with_seen(format!("{} in {place} of {path}", counted(records.len(), "record", "records")));
        let Some(shape) = Shape::of(records) else {
            return Err(Error::internal(format!(
                "{}: the records that {path} lists have no identifier together with a user name or an email address; choose \
                 another path, or write the configuration by hand (docs/connectors/http.md)",
                draft.setup.app
            )));
        };
        found = found.with_seen(shape.seen());
        let (plain, query) = split(path);
        let by_id = application.finds(plain, &shape, records).await;
        let follows = follows(&answer);
        if !follows && has_more(&body, records.len()) {
            found = found.with_warning(format!(
                "{path} seems to return only part of the accounts; configure paging (accounts.list.paging), because incomplete syncs \
                 remove no account"
            ));
        }
        found = found.with_warning(
            "the requests were derived from one response, and accounts are only read; add the requests that create and change accounts \
             (docs/connectors/http.md)",
        );
        found.sections = sections(draft, plain, query, &place, &shape, by_id, follows);
        Ok(found)
    }
}

/// The sections of the generated configuration.
fn sections(
    draft: &Draft,
    path: &str,
    query: Map<String, Value>,
    place: &str,
    shape: &Shape,
    by_id: bool,
    follows: bool,
) -> Vec<Section> {
    let mut root = Section::root().with(BASE_URL, draft.text(BASE_URL), "");
    if let Some(auth) = Access::referred(draft) {
        root = root.with("auth", auth, "");
    }
    let check = Section::table("check")
        .with_comment("A cheap request that succeeds only with the right address and credential.")
        .with("path", path, "better: a path that returns the account of bridgehead itself");
    let mut list = Section::table("accounts.list").with("path", path, "");
    if !query.is_empty() {
        list = list.with("query", Value::Object(query), "");
    }
    if place != "answer" {
        list = list.with("records", place, "the place of the records in the response");
    }
    list = if follows {
        list.with("paging", json!({ "type": "link" }), "the response has a Link header with rel=\"next\"")
    } else {
        list.with("paging", Value::Null, "One response contains all accounts. Otherwise, for example: paging = { type = \"page\", size = 100 }, and query = { page = \"{{ page.number }}\" }")
    };
    let mut find = Section::table("find").with(
        "scan",
        true,
        "reads the whole list unless there is a request below: slow, but always correct",
    );
    if by_id {
        let lookup = json!({ "path": format!("{path}/{{{{ account.id }}}}"), "absent": { "status": 404 } });
        find = find.with("by_id", lookup, "tried with the first account");
    }
    vec![root, check, list, shape.section(), find]
}

/// Splits a path from its query.
fn split(path: &str) -> (&str, Map<String, Value>) {
    let Some((path, query)) = path.split_once('?') else { return (path, Map::new()) };
    let pairs = url::form_urlencoded::parse(query.as_bytes());
    (path, pairs.map(|(name, value)| (name.into_owned(), Value::from(value.into_owned()))).collect())
}

/// Whether the `Link` header contains the address of the next page.
fn follows(answer: &Answer) -> bool {
    let headers = answer.headers().get_all("link").iter().filter_map(|value| value.to_str().ok());
    matches!(link::next(headers), Ok(Some(_)))
}

/// Whether the response reports more records than it contains.
fn has_more(body: &Value, count: usize) -> bool {
    let Some(fields) = body.as_object() else { return false };
    fields.iter().any(|(name, value)| {
        let name = name.to_lowercase().replace(['_', '-'], "");
        let total = name.starts_with("total") || name == "count";
        (total && value.as_u64().is_some_and(|total| total > count as u64))
            || (name.starts_with("next") && !matches!(value, Value::Null) && value != "")
    })
}

/// The application, with the credential.
struct Application {
    client: Client,
    credential: Credential,
    base: Url,
}

impl Application {
    fn of(draft: &Draft) -> Result<Self, Error> {
        let wrong = |error: SettingsError| Error::internal(error.to_string());
        let base = endpoint(BASE_URL, draft.text(BASE_URL).unwrap_or_default()).map_err(wrong)?;
        let auth: Auth = match Access::resolved(draft) {
            Some(auth) => serde_json::from_value(auth).map_err(|_| Error::internal("auth: is incomplete"))?,
            None => Auth::default(),
        };
        let setup = &draft.setup;
        let client = Client::new(setup.app.as_str(), &setup.network, Limits::default());
        let client = client.map_err(|error| Error::internal(error.to_string()))?;
        let credential = Credential::new(&auth, "auth", &client, &setup.redactor).map_err(wrong)?;
        Ok(Self { client, credential, base })
    }

    async fn get(&self, path: &str) -> Result<Answer, Error> {
        let address = format!("{}{path}", self.base.as_str().trim_end_matches('/'));
        let url = Url::parse(&address).map_err(|_| Error::internal(format!("{path} is not a valid path")))?;
        let request = self.client.request(Method::GET, url).header("accept", "application/json");
        self.credential.send(&self.client, request).await
    }

    /// Whether appending the identifier of the first record to the path of the list returns that record.
    async fn finds(&self, path: &str, shape: &Shape, records: &[Value]) -> bool {
        let Some(id) = records.first().and_then(|record| shape.id_of(record)) else { return false };
        let encoded: String = url::form_urlencoded::byte_serialize(id.as_bytes()).collect();
        let Ok(answer) = self.get(&format!("{path}/{}", encoded.replace('+', "%20"))).await else {
            return false;
        };
        let found: Option<Value> = answer.json().ok().filter(|_| answer.status() == 200);
        found.is_some_and(|record| shape.id_of(&record).as_deref() == Some(id.as_str()))
    }
}
