//! `bridgehead sync APP --to FILE`: writes what a sync would push to a file.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bridgehead_sdk::{Record, ResourceType, counted};
use serde_json::{Value, json};
use tempfile::NamedTempFile;
use tokio_util::sync::CancellationToken;

use super::args::Global;
use super::context::{Context, build_connector};
use super::failure::{Exit, Failure, Outcome};
use super::progress::Progress;
use super::signals::Told;
use super::{logging, print};
use bridgehead_bridge::{Refs, record_on_the_wire};
use bridgehead_config::Connectors;
use bridgehead_runtime::hand::Hand;

/// The name for standard output instead of a file.
const STDOUT: &str = "-";

pub(crate) async fn run(global: &Global, connectors: &Connectors, names: &[String], to: &Path) -> Outcome {
    let [name] = names else {
        return Err(Failure::new(Exit::Usage, "--to takes the name of one app: each file holds one target"));
    };
    let context = Context::load(global, connectors)?;
    logging::start_quiet(&context.config.log, &context.redactor);
    context.names(names)?;
    let app = &context.config.apps[name];
    let connector = build_connector(name, app, connectors, &context.network()?, &context.redactor)?;
    context.end_orphans().await?;
    let sink = Arc::new(Mutex::new(Sink::open(to).map_err(|error| unwritable(to, &error))?));
    let stop = CancellationToken::new();
    let _interrupt = Told::listen()?.cancels(&stop);
    let hand = Hand::new(name, app.clone(), connector, &context.redactor, None).await?;
    let progress =
        (!global.json && to != Path::new(STDOUT)).then(|| Progress::follow(name, hand.status(), 0));
    // Only declared secrets: the file shows what a sync would push.
    let (into, refs, redactor) = (Arc::clone(&sink), context.refs(), context.redactor.exact());
    let take = move |of: &ResourceType, records: &[Record]| {
        let mut sink = into.lock().unwrap_or_else(PoisonError::into_inner);
        records.iter().all(|record| sink.write(&line(of, record, refs, &redactor)))
    };
    let export = hand.export(Box::new(take), &stop).await;
    drop(progress);
    hand.close().await;
    let mut summary = json!({ "summary": {
        "app": name,
        "complete": export.error.is_none(),
        "error": export.error,
        "records": export.records,
        "invalid_count": export.invalid_count,
        "invalid": export.invalid,
        "evidence": export.evidence,
    } });
    context.redactor.redact_json(&mut summary);
    let mut sink = sink.lock().unwrap_or_else(PoisonError::into_inner);
    sink.write(&summary);
    let written = sink.finish(export.error.is_none()).map_err(|error| unwritable(to, &error))?;
    if let Some(written) = written {
        show(global, name, &written, &summary["summary"]);
    }
    match &export.error {
        None => Ok(()),
        // The reader of the output has closed it; the target did not fail.
        Some(_) if to == Path::new(STDOUT) && !print::is_read() => Ok(()),
        Some(error) => Err(Failure::new(Exit::Failed, format!("{name}: the listing is incomplete: {error}"))),
    }
}

/// A record in the form that would be pushed, with its type.
fn line(of: &ResourceType, record: &Record, refs: Refs, redactor: &bridgehead_sdk::Redactor) -> Value {
    let mut record = record_on_the_wire(record, refs).unwrap_or_default();
    redactor.redact_json(&mut record);
    json!({ "resource_type": of.slug, "record": record })
}

fn show(global: &Global, name: &str, to: &Path, summary: &Value) {
    if global.json {
        print::json(summary);
        return;
    }
    let none = serde_json::Map::new();
    let counts = summary["records"].as_object().unwrap_or(&none);
    let evidence = summary["evidence"].as_object().unwrap_or(&none);
    print::line(format!("{name}: written to {}", to.display()));
    for (slug, count) in counts {
        let proof = evidence.get(slug).and_then(Value::as_str).unwrap_or("incomplete");
        print::line(format!(
            "{slug}: {}, evidence: {proof}",
            counted(count.as_u64().unwrap_or_default(), "record", "records")
        ));
    }
    if let Some(invalid) = summary["invalid_count"].as_u64().filter(|count| *count > 0) {
        print::line(format!(
            "{} invalid and would not be pushed; the last line of the file says which",
            counted(invalid, "record is", "records are")
        ));
    }
}

fn unwritable(to: &Path, error: &std::io::Error) -> Failure {
    Failure::new(Exit::Output, format!("{} cannot be written: {error}", to.display()))
}

/// The suffix of an incomplete file.
const PART: &str = ".incomplete";

/// The destination of the lines. A complete file appears atomically, an incomplete one under another name; no other user can read it,
/// because it contains personal data.
enum Sink {
    Stdout,
    File { out: BufWriter<NamedTempFile>, to: PathBuf, failed: Option<std::io::Error> },
}

impl Sink {
    fn open(to: &Path) -> std::io::Result<Self> {
        if to == Path::new(STDOUT) {
            return Ok(Self::Stdout);
        }
        let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        // It is created with mode 0600.
        let file = tempfile::Builder::new().prefix(".bridgehead-").tempfile_in(folder)?;
        Ok(Self::File { out: BufWriter::new(file), to: to.to_owned(), failed: None })
    }

    /// Writes a line. Returns whether to continue.
    fn write(&mut self, line: &Value) -> bool {
        match self {
            Self::Stdout => {
                print::raw(format!("{}\n", print::escaped(&line.to_string())).as_bytes());
                print::is_read()
            }
            Self::File { out, failed, .. } => {
                if failed.is_none() {
                    *failed = writeln!(out, "{}", print::escaped(&line.to_string())).err();
                }
                failed.is_none()
            }
        }
    }

    /// Moves the file to its final path; an incomplete one gets a different name, and an existing file stays. Returns the path.
    fn finish(&mut self, is_whole: bool) -> std::io::Result<Option<PathBuf>> {
        let Self::File { out, mut to, failed } = std::mem::replace(self, Self::Stdout) else {
            return Ok(None);
        };
        if !is_whole {
            to.as_mut_os_string().push(PART);
        }
        if let Some(error) = failed {
            return Err(error);
        }
        let file = out.into_inner().map_err(std::io::IntoInnerError::into_error)?;
        file.as_file().sync_all()?;
        file.persist(&to).map_err(|error| error.error)?;
        Ok(Some(to))
    }
}
