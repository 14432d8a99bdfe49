//! The keys of `target`, and their validation before anything is started.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bridgehead_sdk::{ProcessRegistry, Protection, Redactor, SettingsError, Setup, Trace};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

/// The minimum length of a line of a multi-line secret that is searched for on its own.
const SHORTEST_LINE: usize = 8;

/// The target is any system, through a program of your own in any language.
#[derive(Clone, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The program and its arguments. A program whose name contains a `/` is resolved from the folder of the
    /// configuration file, any other is searched for in `PATH`. That folder is also the working directory. The
    /// program is started directly, without a shell.
    pub command: Vec<String>,
    /// Any table. It is passed to the process with `initialize`, with secrets resolved.
    #[serde(default)]
    pub settings: Map<String, Value>,
    /// How many requests the process handles at the same time, 1 to 1024. Further requests wait. Use 1 if the program
    /// handles one request at a time and others should not wait inside it.
    #[schemars(extend("default" = 8))]
    pub max_in_flight: Option<u32>,
    /// The environment of the process besides `PATH`, `HOME` and `LANG`: a list of names to inherit, or a table
    /// of names and values.
    #[serde(default)]
    pub env: Environment,
    /// How long the process may take to respond to `initialize`.
    #[schemars(extend("default" = "30s"))]
    pub start_timeout: Option<FriendlyDuration>,
    /// How long the process may still take to respond to a call that has timed out, before it is considered hung
    /// and is replaced.
    #[schemars(extend("default" = "5s"))]
    pub hang_timeout: Option<FriendlyDuration>,
    /// The maximum length of a line that the process writes, in bytes, 1024 to 1073741824. A page of a listing is one line.
    #[schemars(extend("default" = 16_777_216))]
    pub max_line_bytes: Option<u32>,
}

/// Variables of the process's environment.
#[derive(Clone)]
pub enum Environment {
    /// Names of variables that are inherited from the daemon, where it has them.
    Inherit(Vec<String>),
    /// Names and values.
    Set(BTreeMap<String, String>),
}

/// A duration written as `"30s"` or `"1m 30s"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FriendlyDuration(pub Duration);

impl Default for Environment {
    fn default() -> Self {
        Self::Inherit(Vec::new())
    }
}

impl<'de> Deserialize<'de> for Environment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let expected = "must be a list of variable names to inherit, or a table of names and values";
        let value = Value::deserialize(deserializer)?;
        let read = if value.is_array() {
            serde_json::from_value(value).map(Self::Inherit)
        } else {
            serde_json::from_value(value).map(Self::Set)
        };
        // serde's own message would quote the value, which may be a secret.
        read.map_err(|_| serde::de::Error::custom(expected))
    }
}

impl schemars::JsonSchema for Environment {
    fn schema_name() -> Cow<'static, str> {
        "Environment".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "anyOf": [
                { "type": "array", "items": { "type": "string" } },
                { "type": "object", "additionalProperties": { "type": "string" } },
            ],
        })
    }
}

impl<'de> Deserialize<'de> for FriendlyDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let error = || serde::de::Error::custom("must be a duration such as \"30s\"");
        let Value::String(text) = Value::deserialize(deserializer)? else {
            return Err(error());
        };
        let duration: jiff::SignedDuration = text.parse().map_err(|_| error())?;
        Duration::try_from(duration).map(Self).map_err(|_| error())
    }
}

impl schemars::JsonSchema for FriendlyDuration {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "examples": ["30s", "1m 30s"] })
    }
}

impl std::fmt::Debug for Settings {
    /// Shows only the program: arguments, settings and variables may contain secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings")
            .field("program", &self.command.first())
            .field("max_in_flight", &self.max_in_flight)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Environment {
    /// Shows only the names.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Inherit(names) => f.debug_tuple("Inherit").field(names).finish(),
            Self::Set(values) => f.debug_tuple("Set").field(&values.keys().collect::<Vec<_>>()).finish(),
        }
    }
}

/// Everything that is needed to start processes for one app. It has no `Debug`: it contains secrets.
pub(crate) struct Launch {
    /// The app's name, for messages.
    pub(crate) app: String,
    /// As in `target`, not resolved, for messages.
    pub(crate) program: String,
    pub(crate) arguments: Vec<String>,
    pub(crate) settings: Map<String, Value>,
    pub(crate) environment: Environment,
    /// The working directory, in which relative programs are resolved.
    pub(crate) base: PathBuf,
    pub(crate) max_in_flight: usize,
    pub(crate) max_line_bytes: usize,
    pub(crate) start_timeout: Duration,
    pub(crate) hang_timeout: Duration,
    pub(crate) redactor: Redactor,
    pub(crate) processes: Option<Arc<dyn ProcessRegistry>>,
    pub(crate) trace: Option<Trace>,
    /// Protects the single lines of multi-line secrets: diagnostics are redacted line by line.
    _lines: Protection,
}

impl Launch {
    /// Validates the settings; the error names the key that is wrong. Starts nothing, and accesses no files.
    pub(crate) fn new(settings: Settings, setup: Setup) -> Result<Self, SettingsError> {
        let max_in_flight = between("max_in_flight", settings.max_in_flight, 8, 1..=1024)?;
        let max_line_bytes = between("max_line_bytes", settings.max_line_bytes, 1 << 24, 1024..=1 << 30)?;
        check_environment(&settings.env)?;
        let mut command = settings.command.into_iter();
        let program = command.next().filter(|program| !program.is_empty()).ok_or_else(|| {
            SettingsError::new("command", "must name a program, such as [\"python3\", \"hr.py\"]")
        })?;
        let arguments: Vec<String> = command.collect();
        if program.contains('\0') || arguments.iter().any(|argument| argument.contains('\0')) {
            return Err(SettingsError::new("command", "must not contain a NUL character"));
        }
        let mut lines = Vec::new();
        for value in setup.target.values() {
            collect_secret_lines(value, &setup.redactor, &mut lines);
        }
        Ok(Self {
            _lines: setup.redactor.protect(lines),
            app: setup.app,
            program,
            arguments,
            settings: settings.settings,
            environment: settings.env,
            base: setup.base,
            max_in_flight,
            max_line_bytes,
            start_timeout: positive("start_timeout", settings.start_timeout, Duration::from_secs(30))?,
            hang_timeout: positive("hang_timeout", settings.hang_timeout, Duration::from_secs(5))?,
            redactor: setup.redactor,
            processes: setup.processes,
            trace: setup.network.trace,
        })
    }

    /// The absolute working directory: otherwise, a relative program would be searched for inside the working
    /// directory.
    pub(crate) fn directory(&self) -> std::io::Result<PathBuf> {
        if self.base.as_os_str().is_empty() {
            std::path::absolute(".")
        } else {
            std::path::absolute(&self.base)
        }
    }

    /// The program as it is started: a path if it contains a `/`, otherwise a name to search for in `PATH`.
    pub(crate) fn executable(&self, directory: &Path) -> PathBuf {
        if self.program.contains('/') { directory.join(&self.program) } else { PathBuf::from(&self.program) }
    }
}

/// The lines of a multi-line secret that are long enough to differ from ordinary words.
pub(crate) fn secret_lines(secret: &str) -> impl Iterator<Item = &str> {
    let several = secret.contains('\n');
    secret.lines().map(str::trim).filter(move |line| several && line.len() >= SHORTEST_LINE)
}

/// Collects the lines of those strings in `target` that the redactor knows as secrets.
fn collect_secret_lines(value: &Value, redactor: &Redactor, lines: &mut Vec<String>) {
    match value {
        Value::String(text) if matches!(redactor.redact(text), Cow::Owned(_)) => {
            lines.extend(secret_lines(text).map(str::to_owned));
        }
        Value::Array(items) => items.iter().for_each(|item| collect_secret_lines(item, redactor, lines)),
        Value::Object(fields) => fields.values().for_each(|item| collect_secret_lines(item, redactor, lines)),
        _ => {}
    }
}

fn check_environment(environment: &Environment) -> Result<(), SettingsError> {
    let names: Vec<&String> = match environment {
        Environment::Inherit(names) => names.iter().collect(),
        Environment::Set(values) => values.keys().collect(),
    };
    if names.iter().any(|name| name.is_empty() || name.contains(['=', '\0'])) {
        return Err(SettingsError::new("env", "must contain names of environment variables, such as \"TZ\""));
    }
    if let Environment::Set(values) = environment
        && let Some((name, _)) = values.iter().find(|(_, value)| value.contains('\0'))
    {
        return Err(SettingsError::new(format!("env.{name}"), "must not contain a NUL character"));
    }
    Ok(())
}

fn between(
    key: &str,
    value: Option<u32>,
    default: u32,
    range: std::ops::RangeInclusive<u32>,
) -> Result<usize, SettingsError> {
    let value = value.unwrap_or(default);
    usize::try_from(value).ok().filter(|_| range.contains(&value)).ok_or_else(|| {
        let (first, last) = range.into_inner();
        SettingsError::new(key, format!("must be between {first} and {last}"))
    })
}

fn positive(
    key: &str,
    value: Option<FriendlyDuration>,
    default: Duration,
) -> Result<Duration, SettingsError> {
    /// Longer than any deadline of the runtime; adding it to a moment cannot overflow.
    const LONGEST: Duration = Duration::from_hours(24);
    let value = value.map_or(default, |duration| duration.0);
    if value.is_zero() || value > LONGEST {
        return Err(SettingsError::new(key, "must be more than \"0s\" and at most \"24h\""));
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn launch(target: Value) -> Result<Launch, SettingsError> {
        let Value::Object(target) = target else { panic!("not a table") };
        let redactor = Redactor::new();
        redactor.protect_for_good(["-----BEGIN KEY-----\nfirst-line-of-it\nsecond-line-of-it\n"]);
        let setup = Setup::new("acme-hr", target).with_base("/etc/bridgehead").with_redactor(redactor);
        Launch::new(setup.settings()?, setup)
    }

    fn refused(target: Value) -> String {
        match launch(target) {
            Ok(_) => panic!("accepted"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn defaults_match_the_documentation() {
        let launch = launch(json!({"command": ["python3", "hr.py"]})).ok().unwrap();
        assert_eq!((launch.program.as_str(), launch.arguments.len()), ("python3", 1));
        assert_eq!((launch.max_in_flight, launch.max_line_bytes), (8, 16 * 1024 * 1024));
        assert_eq!(
            (launch.start_timeout, launch.hang_timeout),
            (Duration::from_secs(30), Duration::from_secs(5))
        );
        assert!(matches!(&launch.environment, Environment::Inherit(names) if names.is_empty()));
    }

    #[test]
    fn invalid_setting_names_its_key_but_not_its_value() {
        for (target, message) in [
            (json!({"command": []}), "command: must name a program"),
            (json!({"command": [""]}), "command: must name a program"),
            (json!({"command": "hunter2"}), "command: must be a sequence"),
            (json!({"command": ["a\u{0}"]}), "command: must not contain a NUL"),
            (json!({"comand": ["x"]}), "comand: unknown key; did you mean 'command'?"),
            (json!({"command": ["x"], "max_in_flight": 0}), "max_in_flight: must be between 1 and 1024"),
            (json!({"command": ["x"], "max_in_flight": 1025}), "max_in_flight: must be between"),
            (json!({"command": ["x"], "max_line_bytes": 1}), "max_line_bytes: must be between 1024 and"),
            (json!({"command": ["x"], "env": "hunter2"}), "env: must be a list of variable names"),
            (
                json!({"command": ["x"], "env": {"A": {"b": "hunter2"}}}),
                "env: must be a list of variable names",
            ),
            (json!({"command": ["x"], "env": ["A=hunter2"]}), "env: must contain names"),
            (json!({"command": ["x"], "env": {"A": "\u{0}"}}), "env.A: must not contain a NUL"),
            (json!({"command": ["x"], "start_timeout": "hunter2"}), "start_timeout: must be a duration"),
            (json!({"command": ["x"], "start_timeout": "-1s"}), "start_timeout: must be a duration"),
            (json!({"command": ["x"], "hang_timeout": "0s"}), "hang_timeout: must be more than"),
            (json!({"command": ["x"], "hang_timeout": "9999h"}), "hang_timeout: must be more than"),
        ] {
            let error = refused(target.clone());
            assert!(error.starts_with(message), "{target}: {error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn program_path_is_relative_to_the_configuration() {
        let relative = launch(json!({"command": ["bin/hr"]})).ok().unwrap();
        let directory = relative.directory().unwrap();
        assert_eq!(relative.executable(&directory), Path::new("/etc/bridgehead/bin/hr"));
        let absolute = launch(json!({"command": ["/opt/hr"]})).ok().unwrap();
        assert_eq!(absolute.executable(&directory), Path::new("/opt/hr"));
        let named = launch(json!({"command": ["hr"]})).ok().unwrap();
        assert_eq!(named.executable(&directory), Path::new("hr"));
    }

    #[test]
    fn lines_of_secrets_but_not_of_queries_are_redacted() {
        let launch = launch(json!({"command": ["x"], "settings": {
            "key": "-----BEGIN KEY-----\nfirst-line-of-it\nsecond-line-of-it\n",
            "query": "select everything\nfrom somewhere",
        }}))
        .ok()
        .unwrap();
        assert_eq!(
            launch.redactor.redact("second-line-of-it, select everything, from somewhere"),
            "[redacted], select everything, from somewhere"
        );
    }

    #[test]
    fn debug_shows_no_setting() {
        let settings: Settings = serde_json::from_value(json!({
            "command": ["hr", "--token=hunter2"], "settings": {"token": "hunter2"}, "env": {"TOKEN": "hunter2"},
        }))
        .unwrap();
        let shown = format!("{settings:?} {:?}", settings.env);
        assert!(!shown.contains("hunter2") && shown.contains("TOKEN") && shown.contains("hr"), "{shown}");
    }

    #[test]
    fn schema_names_every_key() {
        let schema = schemars::schema_for!(Settings).to_value();
        let keys: Vec<&String> = schema["properties"].as_object().unwrap().keys().collect();
        assert_eq!(keys.len(), 7, "{keys:?}");
        assert_eq!(schema["required"], json!(["command"]));
    }
}
