//! Explores the target through the chosen connector.

use std::collections::BTreeMap;
use std::time::Duration;

use bridgehead_sdk::{Discovered, Draft, Network, Question, Redactor, Setup, async_trait};
use secrecy::ExposeSecret;
use serde_json::Map;

use super::drive::Looker;
use super::iden::{self, KnownApp};
use super::interview::{Answer, Interview};
use super::place::Place;
use super::{generic, write};
use bridgehead_config::{self as config, Connectors, Document, Error};

/// The timeout for exploring a target.
const PATIENCE: Duration = Duration::from_mins(2);

/// Explores targets and lists Iden's apps.
pub(super) struct Lookout<'a> {
    pub(super) connectors: &'a Connectors,
    pub(super) network: &'a Network,
    pub(super) redactor: &'a Redactor,
    pub(super) place: &'a Place,
    pub(super) environment: &'a BTreeMap<String, String>,
}

#[async_trait]
impl Looker for Lookout<'_> {
    fn questions(&self, connector: &str) -> Vec<Question> {
        self.connectors.get(connector).map(|factory| generic::questions(&**factory)).unwrap_or_default()
    }

    async fn target(&mut self, interview: &Interview) -> Result<Discovered, String> {
        let name = interview.text("connector").unwrap_or_default();
        let factory = self.connectors.get(name).ok_or_else(|| format!("there is no connector '{name}'"))?;
        let mut setup = Setup::new(interview.text("name").unwrap_or_default(), Map::new())
            .with_base(&self.place.folder)
            .with_network(self.network.clone())
            .with_redactor(self.redactor.clone());
        if let Some(processes) = crate::children::registry() {
            setup = setup.with_processes(processes);
        }
        let mut draft = Draft::new(setup);
        for (key, answer) in interview.answers() {
            draft = match answer {
                Answer::Text(text) => draft.with_text(key, text),
                Answer::Secret(None) => draft.with_text(key, ""),
                Answer::Secret(Some(kept)) => {
                    self.redactor.protect_for_good([kept.secret.expose_secret()]);
                    draft.with_secret(key, kept.reference.clone(), kept.secret.clone())
                }
            };
        }
        let Some(discovery) = factory.discovery() else {
            return Ok(generic::discover(&factory.schema(), &draft));
        };
        match tokio::time::timeout(PATIENCE, discovery.discover(&draft)).await {
            Ok(Ok(found)) => Ok(found),
            Ok(Err(error)) => Err(self.redactor.redact(error.message()).into_owned()),
            Err(_) => Err("the target did not answer within two minutes".to_owned()),
        }
    }

    async fn apps(&mut self, interview: &Interview) -> Result<Vec<KnownApp>, String> {
        let client = match &self.place.existing {
            None => iden::client(interview, self.network)?,
            Some(config) => iden::configured(config, self.network, self.environment)?,
        };
        iden::apps(&client).await
    }

    fn refuse(&self, key: &str, text: &str) -> Option<String> {
        match key {
            "name" => self.place.refuse(text),
            iden::URL if text != iden::SANDBOX => self.wrong_address(text),
            _ => None,
        }
    }
}

impl Lookout<'_> {
    /// The configuration's error for this URL of Iden.
    fn wrong_address(&self, url: &str) -> Option<String> {
        let text =
            format!("[bridge]\nbase_url = {}\napi_key = {{ env = \"X\" }}\n", write::value(&url.into()));
        let document = Document { path: self.place.folder.join("init.toml"), text };
        let errors = config::parse(&[document], &BTreeMap::new(), self.connectors).err()?;
        errors.into_iter().find_map(|error| match error {
            Error::Key { key, problem, .. } if key == "bridge.base_url" => Some(problem),
            _ => None,
        })
    }
}
