//! Sends spans to a collector with OTLP over HTTP.
//!
//! Spans contain only the names, numbers and outcomes that the runtime sets. Log lines are not sent, because some of them name people.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use async_trait::async_trait;
use opentelemetry::trace::TracerProvider;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tokio::runtime::Handle;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;

use super::super::context::Context;
use super::super::failure::{Exit, Failure};
use super::SpanLayer;

/// The names of the spans that are sent.
const SPANS: [&str; 3] = ["task", "attempt", "sync"];
/// How long connecting to the collector may take.
const CONNECT: Duration = Duration::from_secs(5);
/// The timeout for a request: the default of OpenTelemetry.
const ANSWERS: Duration = Duration::from_secs(10);
/// How long sending the remaining spans may take when the daemon stops.
const LAST: Duration = Duration::from_secs(3);
/// The maximum number of bytes that are read of a response; its content is not used.
const ANSWER: usize = 64 * 1024;
/// The variables with headers for the collector, which may contain a token.
const HEADERS: [&str; 2] = ["OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS"];

/// Collects spans and sends them.
#[derive(Debug)]
pub(super) struct Provider(SdkTracerProvider);

impl Provider {
    /// Sends the remaining spans, for at most [`LAST`].
    pub(super) async fn end(self) {
        let ended = tokio::task::spawn_blocking(move || self.0.shutdown_with_timeout(LAST)).await;
        if let Ok(Err(error)) = ended {
            tracing::warn!(%error, "the last traces could not be sent");
        }
    }
}

/// Starts sending. The exporter reads the address and other settings directly from the environment.
pub(super) fn start(context: &Context) -> Result<(Provider, SpanLayer), Failure> {
    let wrong = |why: String| Failure::new(Exit::Configuration, format!("traces cannot be sent: {why}"));
    if let Some(problem) = super::problem(&context.environment) {
        return Err(wrong(problem));
    }
    for name in HEADERS {
        let pairs = context.environment.get(name).into_iter().flat_map(|headers| headers.split(','));
        let values = pairs.filter_map(|pair| pair.split_once('=')).map(|(_, value)| value.trim().to_owned());
        context.redactor.protect_for_good(values.filter(|value| !value.is_empty()));
    }
    let builder = reqwest::Client::builder()
        .user_agent(concat!("bridgehead/", env!("CARGO_PKG_VERSION")))
        // A redirect could send a token to another server.
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .connect_timeout(CONNECT)
        .timeout(ANSWERS);
    let builder = context.network()?.apply(builder).map_err(|error| wrong(error.to_string()))?;
    let client = builder.build().map_err(|error| wrong(error.to_string()))?;
    let collector = Collector { client, runtime: Handle::current(), is_failing: AtomicBool::new(false) };
    let exporter = SpanExporter::builder().with_http().with_http_client(collector).build();
    let exporter = exporter.map_err(|error| wrong(error.to_string()))?;
    let resource = Resource::builder()
        .with_service_name(
            context.environment.get("OTEL_SERVICE_NAME").cloned().unwrap_or("bridgehead".into()),
        )
        .with_attribute(opentelemetry::KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build();
    let provider = SdkTracerProvider::builder().with_resource(resource).with_batch_exporter(exporter).build();
    let layer = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("bridgehead"))
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_level(false)
        .with_tracked_inactivity(false)
        .with_filter(filter_fn(|metadata| {
            metadata.is_span()
                && metadata.target().starts_with("bridgehead")
                && SPANS.contains(&metadata.name())
        }));
    Ok((Provider(provider), layer.boxed()))
}

/// The HTTP client for the collector, with the certificates and the proxy from the configuration.
#[derive(Debug)]
struct Collector {
    client: reqwest::Client,
    /// The exporter runs on its own thread, which has no runtime for connections.
    runtime: Handle,
    /// Ensures that an outage is logged only once.
    is_failing: AtomicBool,
}

impl Collector {
    fn note(&self, trouble: Option<String>) {
        let was_failing = self.is_failing.swap(trouble.is_some(), Relaxed);
        match trouble {
            Some(why) if !was_failing => {
                tracing::warn!("traces cannot be sent, and are dropped until they can: {why}");
            }
            None if was_failing => tracing::info!("traces are sent again"),
            _ => {}
        }
    }
}

#[async_trait]
impl HttpClient for Collector {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let request = reqwest::Request::try_from(request)?;
        let client = self.client.clone();
        let sent = self.runtime.spawn(async move { send(&client, request).await }).await?;
        let status = sent.as_ref().map(Response::status);
        self.note(match status {
            Ok(status) if status.is_success() => None,
            Ok(status) => Some(format!("the collector answered {status}")),
            Err(error) => Some(format!("the collector cannot be reached: {}", causes(error))),
        });
        Ok(sent?)
    }
}

async fn send(client: &reqwest::Client, request: reqwest::Request) -> reqwest::Result<Response<Bytes>> {
    let mut answer = client.execute(request).await?;
    let mut body = Vec::new();
    while let Some(part) = answer.chunk().await? {
        body.extend(part.iter().take(ANSWER - body.len()));
        if body.len() >= ANSWER {
            break;
        }
    }
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = answer.status();
    *response.headers_mut() = std::mem::take(answer.headers_mut());
    Ok(response)
}

/// Describes an error and its causes, without the URL, which may contain a password.
fn causes(error: &reqwest::Error) -> String {
    let mut text = if error.is_timeout() { "no answer in time" } else { "the connection failed" }.to_owned();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
