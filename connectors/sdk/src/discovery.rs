//! What a connector asks and discovers for `bridgehead init`, which writes a first configuration.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use secrecy::SecretString;
use serde_json::{Map, Value};

use crate::{Connector, Error, Factory, SettingsError, Setup};

/// Discovers enough about a target to write a first configuration for it.
///
/// `bridgehead init` asks the [`questions`](Self::questions), then calls [`discover`](Self::discover) with the answers. If that returns
/// more questions, `init` asks them too, and calls `discover` again with all answers, until there are no more questions. The last call
/// returns the `target` table. The operator may go back and change an answer, so each call must depend on the given answers alone.
///
/// # Contract
/// - It changes nothing in the target. Calls do not overlap, and may be dropped at any point.
/// - An error returns the operator to the last answer; as in a [`Connector`], its message says what to do.
/// - No string in [`Discovered`] contains a secret. A setting contains a secret only as the [`reference`](Draft::reference) from the draft.
#[async_trait]
pub trait Discovery: Send + Sync + 'static {
    /// All possible questions, in the order in which they are asked. Each becomes a flag of `bridgehead init`. A question that is marked
    /// [`later`](Question::later) is asked only if [`discover`](Self::discover) returns it.
    fn questions(&self) -> Vec<Question>;

    /// Inspects the target.
    async fn discover(&self, draft: &Draft) -> Result<Discovered, Error>;
}

/// Validates an answer; the error says what is wrong with it.
pub type Check = fn(&str) -> Result<(), String>;

/// A question for the operator. The answer is a string or a secret.
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
    /// The key of the answer: lowercase letters, digits and `_`. The flag has hyphens instead of `_`.
    pub key: String,
    /// The question: one sentence, with an example where that helps.
    pub text: String,
    /// The value if the operator enters nothing.
    pub default: Option<String>,
    /// The accepted answers, each with a description; empty if any answer is accepted.
    pub choices: Vec<(String, String)>,
    /// Whether the answer is a secret: it is never shown, and not written to the configuration.
    pub is_secret: bool,
    /// Whether the answer may be empty.
    pub is_optional: bool,
    /// Whether the question is asked only if [`Discovery::discover`] returns it.
    pub is_later: bool,
    /// The answer is a path on this machine. A relative one starts at the folder in which it is typed; the connector receives the whole
    /// path.
    pub is_path: bool,
    /// Validates the answer.
    pub check: Option<Check>,
}

impl Question {
    /// A question whose answer is a string.
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

    /// A question whose answer is a secret.
    pub fn secret(key: impl Into<String>, text: impl Into<String>) -> Self {
        Self { is_secret: true, ..Self::text(key, text) }
    }

    /// A question for the path of a file or folder.
    pub fn path(key: impl Into<String>, text: impl Into<String>) -> Self {
        Self { is_path: true, ..Self::text(key, text) }
    }

    /// Sets the value if the operator enters nothing.
    pub fn with_default(self, default: impl Into<String>) -> Self {
        Self { default: Some(default.into()), ..self }
    }

    /// Adds accepted answers, each with a description.
    pub fn with_choices<V: Into<String>, T: Into<String>>(
        mut self,
        choices: impl IntoIterator<Item = (V, T)>,
    ) -> Self {
        self.choices.extend(choices.into_iter().map(|(value, text)| (value.into(), text.into())));
        self
    }

    /// Allows an empty answer.
    pub fn optional(self) -> Self {
        Self { is_optional: true, ..self }
    }

    /// Asks the question only if [`Discovery::discover`] returns it.
    pub fn later(self) -> Self {
        Self { is_later: true, ..self }
    }

    /// Sets the function that validates the answer.
    pub fn with_check(self, check: Check) -> Self {
        Self { check: Some(check), ..self }
    }
}

/// A secret answer.
#[derive(Clone, Debug)]
struct Answered {
    /// How the configuration refers to it, such as `{ "env": "NAME" }`.
    reference: Value,
    secret: SecretString,
}

/// The answers so far.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Draft {
    /// The app's name, the folder that relative paths start at, and the network settings. Its `target` is empty.
    pub setup: Setup,
    texts: BTreeMap<String, String>,
    secrets: BTreeMap<String, Answered>,
}

impl Draft {
    /// A draft without answers.
    pub fn new(setup: Setup) -> Self {
        Self { setup, texts: BTreeMap::new(), secrets: BTreeMap::new() }
    }

    /// Adds an answer. An empty string counts as an answer.
    pub fn with_text(mut self, key: impl Into<String>, text: impl Into<String>) -> Self {
        self.texts.insert(key.into(), text.into());
        self
    }

    /// Adds a secret, and the configuration value that refers to it.
    pub fn with_secret(mut self, key: impl Into<String>, reference: Value, secret: SecretString) -> Self {
        self.secrets.insert(key.into(), Answered { reference, secret });
        self
    }

    /// The answer to a question, unless it is empty.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.texts.get(key).map(String::as_str).filter(|text| !text.is_empty())
    }

    /// Whether the question was answered, even with an empty string.
    pub fn has(&self, key: &str) -> bool {
        self.texts.contains_key(key) || self.secrets.contains_key(key)
    }

    /// A secret, for connecting to the target.
    pub fn secret(&self, key: &str) -> Option<&SecretString> {
        self.secrets.get(key).map(|answered| &answered.secret)
    }

    /// The configuration value that refers to a secret, for use in a [`Setting`].
    pub fn reference(&self, key: &str) -> Option<Value> {
        self.secrets.get(key).map(|answered| answered.reference.clone())
    }

    /// Builds a connector from these settings, with references replaced by their secrets, to inspect the target with
    /// it.
    pub fn build(
        &self,
        factory: &dyn Factory,
        target: Map<String, Value>,
    ) -> Result<Arc<dyn Connector>, SettingsError> {
        factory.build(self.setup_with(target))
    }

    /// The setup with these settings, with references replaced by their secrets, to inspect the target.
    pub fn setup_with(&self, target: Map<String, Value>) -> Setup {
        Setup { target, ..self.setup.clone() }
    }
}

/// The result of an inspection.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Discovered {
    /// More questions to ask. If there are any, the other fields are not final.
    pub questions: Vec<Question>,
    /// Findings, one sentence each, such as "OpenLDAP, with 48 people below ou=people".
    pub seen: Vec<String>,
    /// What the operator should check before the daemon runs, one sentence each.
    pub warnings: Vec<String>,
    /// The `target` table, in the order in which it is written.
    pub sections: Vec<Section>,
}

impl Discovered {
    /// A result with more questions to ask.
    pub fn ask(questions: impl IntoIterator<Item = Question>) -> Self {
        Self { questions: questions.into_iter().collect(), ..Self::default() }
    }

    /// A result with the `target` table.
    pub fn target(sections: impl IntoIterator<Item = Section>) -> Self {
        Self { sections: sections.into_iter().collect(), ..Self::default() }
    }

    /// Adds a finding.
    pub fn with_seen(mut self, seen: impl Into<String>) -> Self {
        self.seen.push(seen.into());
        self
    }

    /// Adds something that the operator should check.
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
    /// The comment above the table.
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
    /// Its value. `null` sets nothing, and writes only the comment.
    pub value: Value,
    /// A comment: what the key means, or where the value was found. May be empty.
    pub comment: String,
}

impl Setting {
    /// A key, its value, and a comment.
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

    /// Sets the comment above the table.
    pub fn with_comment(self, comment: impl Into<String>) -> Self {
        Self { comment: comment.into(), ..self }
    }

    /// Adds a key, its value, and a comment.
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

/// A factory that also supports discovery for a first configuration.
pub fn with_discovery(factory: Arc<dyn Factory>, discovery: impl Discovery) -> Arc<dyn Factory> {
    Arc::new(WithDiscovery(factory, discovery))
}

/// The trait must stay usable as `dyn Discovery`.
const _: fn(&dyn Discovery) = |_| {};
