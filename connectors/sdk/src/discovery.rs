//! What a connector asks and finds out for `bridgehead init`, which writes a first configuration.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use secrecy::SecretString;
use serde_json::{Map, Value};

use crate::{Connector, Error, Factory, SettingsError, Setup};

/// Finds out enough of a target to write a first configuration for it.
///
/// `bridgehead init` asks the [`questions`](Self::questions), then calls [`discover`](Self::discover) with the answers. As long as that
/// gives further questions, they are asked too, and it is called again with all answers. The last call gives the `target` table. Somebody
/// may go back and answer differently, so that each call starts from the answers alone.
///
/// # Contract
/// - It changes nothing in the target. It is called from one task, and may be dropped at any moment.
/// - An error sends the person who is asked back to the last answer; its message says what to do, as those of a [`Connector`] do.
/// - No text of [`Discovered`] holds a secret. A secret stands in a setting only as the [`reference`](Draft::reference) that the draft
///   gives.
#[async_trait]
pub trait Discovery: Send + Sync + 'static {
    /// Everything that may be asked, in the order in which it is asked. Each becomes a flag of `bridgehead init`. What is
    /// [`later`](Question::later) is asked only if [`discover`](Self::discover) says so.
    fn questions(&self) -> Vec<Question>;

    /// Looks at the target.
    async fn discover(&self, draft: &Draft) -> Result<Discovered, Error>;
}

/// Says what is wrong with an answer.
pub type Check = fn(&str) -> Result<(), String>;

/// Something to ask. The answer is text, or a secret.
///
/// ```
/// use bridgehead_sdk::Question;
///
/// let url = Question::text("url", "Where is the server?").with_default("ldaps://");
/// let password = Question::secret("bind_password", "The password").optional();
/// assert!(password.is_secret && password.is_optional && !url.is_secret);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
#[expect(
    clippy::struct_excessive_bools,
    reason = "they are independent of each other, and set by methods of their names"
)]
pub struct Question {
    /// What the answer is called: small letters, digits and `_`. The flag has hyphens instead.
    pub key: String,
    /// What is asked: one sentence, with an example where that helps.
    pub text: String,
    /// What holds if nothing is answered.
    pub default: Option<String>,
    /// The answers that are possible; any when empty. Each with what people read beside it.
    pub choices: Vec<(String, String)>,
    /// The answer is never shown, and does not stand in the configuration.
    pub is_secret: bool,
    /// Nothing may be answered.
    pub is_optional: bool,
    /// It is asked only if a look at the target says so.
    pub is_later: bool,
    /// The answer is a path on this machine. A relative one starts at the folder in which it is typed; the connector receives the whole
    /// path.
    pub is_path: bool,
    /// Says what is wrong with an answer.
    pub check: Option<Check>,
}

impl Question {
    /// A question for a text.
    pub fn text(key: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            text: text.into(),
            default: None,
            choices: Vec::new(),
            is_secret: false,
            is_optional: false,
            is_later: false,
            is_path: false,
            check: None,
        }
    }

    /// A question for a secret.
    pub fn secret(key: impl Into<String>, text: impl Into<String>) -> Self {
        Self { is_secret: true, ..Self::text(key, text) }
    }

    /// A question for the path of a file or folder.
    pub fn path(key: impl Into<String>, text: impl Into<String>) -> Self {
        Self { is_path: true, ..Self::text(key, text) }
    }

    /// Says what holds if nothing is answered.
    pub fn with_default(self, default: impl Into<String>) -> Self {
        Self { default: Some(default.into()), ..self }
    }

    /// Says which answers are possible, each with what people read beside it.
    pub fn with_choices<V: Into<String>, T: Into<String>>(
        mut self,
        choices: impl IntoIterator<Item = (V, T)>,
    ) -> Self {
        self.choices.extend(choices.into_iter().map(|(value, text)| (value.into(), text.into())));
        self
    }

    /// Nothing may be answered.
    pub fn optional(self) -> Self {
        Self { is_optional: true, ..self }
    }

    /// It is asked only if a look at the target says so.
    pub fn later(self) -> Self {
        Self { is_later: true, ..self }
    }

    /// Adds what says what is wrong with an answer.
    pub fn with_check(self, check: Check) -> Self {
        Self { check: Some(check), ..self }
    }
}

/// A secret that was answered.
#[derive(Clone, Debug)]
struct Answered {
    /// How the configuration refers to it, such as `{ "env": "NAME" }`.
    reference: Value,
    secret: SecretString,
}

/// What was answered so far.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Draft {
    /// The app's name, the folder that relative paths start at, and the way to the target. Its `target` is empty.
    pub setup: Setup,
    texts: BTreeMap<String, String>,
    secrets: BTreeMap<String, Answered>,
}

impl Draft {
    /// Nothing is answered yet.
    pub fn new(setup: Setup) -> Self {
        Self { setup, texts: BTreeMap::new(), secrets: BTreeMap::new() }
    }

    /// Adds an answer. An empty one counts as given.
    pub fn with_text(mut self, key: impl Into<String>, text: impl Into<String>) -> Self {
        self.texts.insert(key.into(), text.into());
        self
    }

    /// Adds a secret, and how the configuration refers to it.
    pub fn with_secret(mut self, key: impl Into<String>, reference: Value, secret: SecretString) -> Self {
        self.secrets.insert(key.into(), Answered { reference, secret });
        self
    }

    /// What was answered, unless it is empty.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.texts.get(key).map(String::as_str).filter(|text| !text.is_empty())
    }

    /// Whether it was answered, were it with nothing.
    pub fn has(&self, key: &str) -> bool {
        self.texts.contains_key(key) || self.secrets.contains_key(key)
    }

    /// A secret, to look at the target with.
    pub fn secret(&self, key: &str) -> Option<&SecretString> {
        self.secrets.get(key).map(|answered| &answered.secret)
    }

    /// How the configuration refers to a secret: what stands in a [`Setting`].
    pub fn reference(&self, key: &str) -> Option<Value> {
        self.secrets.get(key).map(|answered| answered.reference.clone())
    }

    /// The connector of these settings, with the secrets in their places, to look at the target through.
    pub fn build(
        &self,
        factory: &dyn Factory,
        target: Map<String, Value>,
    ) -> Result<Arc<dyn Connector>, SettingsError> {
        factory.build(self.setup_with(target))
    }

    /// The setup with these settings, secrets in their places, to look at the target with.
    pub fn setup_with(&self, target: Map<String, Value>) -> Setup {
        Setup { target, ..self.setup.clone() }
    }
}

/// What was found out.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Discovered {
    /// What is to be asked next. While there is anything, the rest is not final.
    pub questions: Vec<Question>,
    /// What was seen, a sentence each, such as "OpenLDAP, with 48 people below ou=people".
    pub seen: Vec<String>,
    /// What somebody should look at before the daemon runs, a sentence each.
    pub warnings: Vec<String>,
    /// The `target` table, in the order in which it is written.
    pub sections: Vec<Section>,
}

impl Discovered {
    /// What is to be asked next.
    pub fn ask(questions: impl IntoIterator<Item = Question>) -> Self {
        Self { questions: questions.into_iter().collect(), ..Self::default() }
    }

    /// The `target` table.
    pub fn target(sections: impl IntoIterator<Item = Section>) -> Self {
        Self { sections: sections.into_iter().collect(), ..Self::default() }
    }

    /// Adds what was seen.
    pub fn with_seen(mut self, seen: impl Into<String>) -> Self {
        self.seen.push(seen.into());
        self
    }

    /// Adds what somebody should look at.
    pub fn with_warning(mut self, warning: impl Into<String>) -> Self {
        self.warnings.push(warning.into());
        self
    }
}

/// A table of the configuration below `target`.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Section {
    /// The path of the table below `target`, such as `accounts.list`; empty for `target` itself.
    pub table: String,
    /// Whether it is one of a list of tables: `[[target.groups]]`.
    pub is_one_of_several: bool,
    /// What is said above it.
    pub comment: String,
    /// Its keys.
    pub settings: Vec<Setting>,
}

/// One key of the configuration.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Setting {
    /// The key.
    pub key: String,
    /// Its value. `null` sets nothing, and writes the comment alone.
    pub value: Value,
    /// What it means, or where it was seen; may be empty.
    pub comment: String,
}

impl Setting {
    /// A key with what it means.
    pub fn new(key: impl Into<String>, value: impl Into<Value>, comment: impl Into<String>) -> Self {
        Self { key: key.into(), value: value.into(), comment: comment.into() }
    }
}

impl Section {
    /// The keys of `target` itself.
    pub fn root() -> Self {
        Self::default()
    }

    /// A table below `target`.
    pub fn table(path: impl Into<String>) -> Self {
        Self { table: path.into(), ..Self::default() }
    }

    /// One of a list of tables below `target`.
    pub fn one_of(path: impl Into<String>) -> Self {
        Self { is_one_of_several: true, ..Self::table(path) }
    }

    /// Says something above it.
    pub fn with_comment(self, comment: impl Into<String>) -> Self {
        Self { comment: comment.into(), ..self }
    }

    /// Adds a key with what it means.
    pub fn with(
        mut self,
        key: impl Into<String>,
        value: impl Into<Value>,
        comment: impl Into<String>,
    ) -> Self {
        self.settings.push(Setting::new(key, value, comment));
        self
    }
}

struct WithDiscovery<D>(Arc<dyn Factory>, D);

impl<D: Discovery> Factory for WithDiscovery<D> {
    fn build(&self, setup: Setup) -> Result<Arc<dyn Connector>, SettingsError> {
        self.0.build(setup)
    }

    fn schema(&self) -> Value {
        self.0.schema()
    }

    fn discovery(&self) -> Option<&dyn Discovery> {
        Some(&self.1)
    }
}

/// A factory that can also find out what a first configuration needs.
pub fn with_discovery(factory: Arc<dyn Factory>, discovery: impl Discovery) -> Arc<dyn Factory> {
    Arc::new(WithDiscovery(factory, discovery))
}

/// The trait must stay usable as `dyn Discovery`.
const _: fn(&dyn Discovery) = |_| {};
