//! What `bridgehead init` finds out about an application: what it announces, and what a sample of its users shows.

use std::sync::Arc;

use bridgehead_sdk::http::{Access, Client, Credential};
use bridgehead_sdk::{Discovered, Discovery, Draft, Error, Question, Section, SettingsError, async_trait};
use serde_json::{Map, Value, json};
use tokio::sync::Mutex;

use crate::application::Application;
use crate::check::BlindSpots;
use crate::client::Scim;
use crate::discovery::Features;
use crate::errors::Asked;
use crate::mapping::Mapping;
use crate::settings::Settings;

const URL: &str = "url";

/// Inspects an application for `bridgehead init`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look;

#[async_trait]
impl Discovery for Look {
    fn questions(&self) -> Vec<Question> {
        let url =
            Question::text(URL, "The SCIM base URL of the application, such as https://example.com/scim/v2");
        std::iter::once(url).chain(Access::questions()).collect()
    }

    async fn discover(&self, draft: &Draft) -> Result<Discovered, Error> {
        let open = Access::open(draft);
        if !open.is_empty() {
            return Ok(Discovered::ask(open));
        }
        let mut found = Discovered::default();
        // What it announces, then what contradicts it.
        let mut more = Map::new();
        more.insert("groups".to_owned(), json!({ "enabled": false }));
        let without = Attempt::with(draft, more.clone()).await?;
        found = found.with_seen(without.seen().await?);
        more.clear();
        if !without.features.filter {
            more.insert("lookup".to_owned(), "list".into());
        }
        let (mut attempt, mut spots) = match Attempt::checked(draft, &more).await {
            Ok(both) => both,
            Err(error) => {
                more.insert("groups".to_owned(), json!({ "enabled": false }));
                let both = Attempt::checked(draft, &more).await?;
                found = found.with_warning(format!("groups are not read: {}", error.message()));
                both
            }
        };
        let has_blind_groups =
            |spots: &BlindSpots| spots.unverifiable.iter().any(|one| one.starts_with("memberships."));
        if has_blind_groups(&spots) {
            let mut other = more.clone();
            other.insert("groups".to_owned(), json!({ "memberships_from": "accounts" }));
            if let Ok((second, of_second)) = Attempt::checked(draft, &other).await
                && !has_blind_groups(&of_second)
            {
                (attempt, spots, more) = (second, of_second, other);
            }
        }
        found.warnings.extend(spots.warnings);
        found.sections = sections(draft, &attempt.features, &more);
        Ok(found)
    }
}

/// The sections of the generated configuration.
fn sections(draft: &Draft, features: &Features, more: &Map<String, Value>) -> Vec<Section> {
    let mut root = Section::root().with(URL, draft.text(URL), "the base URL, to which /Users is appended");
    if let Some(auth) = Access::referred(draft) {
        root = root.with("auth", auth, "");
    }
    if let Some(lookup) = more.get("lookup") {
        root = root.with(
            "lookup",
            lookup.clone(),
            "according to its ServiceProviderConfig, it does not support filters: all accounts are read",
        );
    }
    root = root
        .with("profile", Value::Null, "For an application that was built for Microsoft Entra ID or Okta as its client: profile = \"entra\" or \"okta\"")
        .with("read_only", Value::Null, "To only read the application until tasks may change it: read_only = true");
    let mut sections = vec![root];
    if let Some(groups) = more.get("groups").and_then(Value::as_object) {
        let mut section = Section::table("groups");
        for (key, value) in groups {
            let comment = if key == "enabled" {
                "its ResourceTypes contain none"
            } else {
                "its groups do not show their members"
            };
            section = section.with(key.as_str(), value.clone(), comment);
        }
        sections.push(section);
    }
    if !features.change_password {
        let last = sections.remove(0);
        let comment = "According to its ServiceProviderConfig, passwords cannot be set. If they can: capabilities = { change_password = true }";
        sections.insert(0, last.with("capabilities", Value::Null, comment));
    }
    sections
}

/// The application, with the settings to be generated.
struct Attempt {
    scim: Scim,
    settings: Settings,
    mapping: Mapping,
    features: Arc<Features>,
    turn: Mutex<()>,
}

impl Attempt {
    /// An attempt that can read everything with these settings.
    async fn checked(draft: &Draft, more: &Map<String, Value>) -> Result<(Self, BlindSpots), Error> {
        let attempt = Self::with(draft, more.clone()).await?;
        let spots = attempt.check().await?;
        Ok((attempt, spots))
    }

    async fn with(draft: &Draft, more: Map<String, Value>) -> Result<Self, Error> {
        let wrong = |error: SettingsError| Error::internal(error.to_string());
        let mut target = more;
        target.insert(URL.to_owned(), draft.text(URL).into());
        if let Some(auth) = Access::resolved(draft) {
            target.insert("auth".to_owned(), auth);
        }
        let setup = draft.setup_with(target);
        let settings: Settings = setup.settings().map_err(wrong)?;
        let base = settings.validate().map_err(wrong)?;
        let mapping = Mapping::new(&settings).map_err(wrong)?;
        let limits = settings.limits.limits("limits").map_err(wrong)?;
        let http = Client::new(setup.app.as_str(), &setup.network, limits);
        let http = http.map_err(|error| Error::internal(error.to_string()))?;
        let credential = Credential::new(&settings.auth, "auth", &http, &setup.redactor).map_err(wrong)?;
        let scim = Scim::new(http, credential, base);
        let features = Arc::new(Features::discover(&scim, &settings).await?);
        Ok(Self { scim, settings, mapping, features, turn: Mutex::default() })
    }

    async fn check(&self) -> Result<BlindSpots, Error> {
        let application = Application {
            scim: &self.scim,
            settings: &self.settings,
            mapping: &self.mapping,
            features: Arc::clone(&self.features),
            turn: &self.turn,
        };
        application.check().await
    }

    /// A description of the application, with the number of its users.
    async fn seen(&self) -> Result<String, Error> {
        let place =
            if self.features.cursor { ("cursor", String::new()) } else { ("startIndex", "1".to_owned()) };
        let query = [place, ("count", "1".to_owned())];
        let page = self.scim.list(&self.features.users, &query, Asked::Read).await?;
        let users = page.total.map_or_else(|| "users".to_owned(), |total| format!("{total} users"));
        let can = [
            ("changes by PATCH", self.features.patch),
            ("filters", self.features.filter),
            ("versions", self.features.etag),
            ("paging by cursor", self.features.cursor),
            ("setting passwords", self.features.change_password),
        ];
        let can: Vec<&str> = can.into_iter().filter_map(|(what, can)| can.then_some(what)).collect();
        Ok(format!("{users} at /{}; offered: {}", self.features.users, can.join(", ")))
    }
}
