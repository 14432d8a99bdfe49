//! Exports traces to a collector over OTLP: one span for each task, each attempt, and each sync.
//!
//! Enabled by the environment variables of OpenTelemetry. It requires the build feature `otlp`; a build without it logs a warning.

#[cfg(feature = "otlp")]
mod otlp;

use std::collections::BTreeMap;

use tracing_subscriber::{Layer, Registry};

use super::context::Context;
use super::failure::Failure;

/// Creates spans from events of the runtime.
pub(super) type SpanLayer = Box<dyn Layer<Registry> + Send + Sync>;

/// The variables that enable traces, the more specific one first.
const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];

/// The variables that select a protocol, the more specific one first.
const PROTOCOLS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"];
/// The only supported protocol.
const PROTOCOL: &str = "http/protobuf";

/// The exporter of spans, if enabled.
#[derive(Debug)]
pub(super) struct Traces {
    #[cfg(feature = "otlp")]
    provider: Option<otlp::Provider>,
}

impl Traces {
    /// Starts exporting traces through the returned layer, if the environment enables it. Nothing is sent before the first span has ended.
    #[cfg_attr(
        not(feature = "otlp"),
        expect(unused_variables, clippy::unnecessary_wraps, reason = "a build without traces sends none")
    )]
    pub(super) fn start(context: &Context) -> Result<(Self, Option<SpanLayer>), Failure> {
        #[cfg(feature = "otlp")]
        if endpoint(&context.environment).is_some() {
            let (provider, layer) = otlp::start(context)?;
            return Ok((Self { provider: Some(provider) }, Some(layer)));
        }
        let none = Self {
            #[cfg(feature = "otlp")]
            provider: None,
        };
        Ok((none, None))
    }

    /// Sends the remaining spans.
    pub(super) async fn end(self) {
        #[cfg(feature = "otlp")]
        if let Some(provider) = self.provider {
            provider.end().await;
        }
        #[cfg(not(feature = "otlp"))]
        std::future::ready(()).await;
    }
}

/// The warning for a build that cannot send the requested traces.
pub(super) fn warning(environment: &BTreeMap<String, String>) -> Option<String> {
    endpoint(environment).filter(|_| !cfg!(feature = "otlp")).map(|(name, _)| not_built(name))
}

/// Why the requested traces cannot be sent, regardless of the network.
pub(super) fn problem(environment: &BTreeMap<String, String>) -> Option<String> {
    endpoint(environment).filter(|_| cfg!(feature = "otlp"))?;
    let set = |name| environment.get(name).map(String::as_str).filter(|value| !value.is_empty());
    let (name, value) = PROTOCOLS.into_iter().find_map(|name| Some((name, set(name)?)))?;
    (value != PROTOCOL).then(|| {
        format!("{name} is {value:?}, but must be {PROTOCOL:?}, which is also what counts without it")
    })
}

fn not_built(name: &str) -> String {
    format!(
        "{name} is set, but this bridgehead is built without traces, so none are sent; build it with `--features otlp`, or remove the \
         variable"
    )
}

/// The variable with the collector's address, and its value.
fn endpoint(environment: &BTreeMap<String, String>) -> Option<(&'static str, &str)> {
    let value =
        |name: &str| environment.get(name).map(|value| value.trim()).filter(|value| !value.is_empty());
    let is_off = value("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"))
        || value("OTEL_TRACES_EXPORTER") == Some("none");
    ENDPOINTS.into_iter().find_map(|name| Some((name, value(name)?))).filter(|_| !is_off)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn traces_are_sent_only_where_the_environment_asks_for_them() {
        let asked = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318"),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://127.0.0.1:4318/v1/traces"),
        ];
        assert_eq!(endpoint(&environment(&asked[..1])), Some(asked[0]));
        assert_eq!(endpoint(&environment(&asked)), Some(asked[1]), "the more specific one counts");
        assert_eq!(endpoint(&environment(&[(asked[0].0, " ")])), None);
        for off in [("OTEL_SDK_DISABLED", "TRUE"), ("OTEL_TRACES_EXPORTER", "none")] {
            assert_eq!(endpoint(&environment(&[asked[0], off])), None);
        }
    }

    #[test]
    fn a_build_without_traces_says_so_when_they_are_asked_for() {
        let said = warning(&environment(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318")]));
        let is_said = said.is_some_and(|said| said.contains("OTEL_EXPORTER_OTLP_ENDPOINT is set, but"));
        assert_eq!(is_said, !cfg!(feature = "otlp"));
        assert_eq!(warning(&BTreeMap::new()), None);
    }
}
