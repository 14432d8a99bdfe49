//! Serves one process: writes requests, reads responses, and notices its end.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::process::{ChildStderr, ChildStdin, ChildStdout};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::task::AbortOnDropHandle;
use tracing::{debug, info, warn};

use crate::failure::Death;
use crate::lines::{LineError, LineReader, Overflow};
use crate::pending::Delivery;
use crate::process::{Outgoing, Phase, Process, Shared};
use crate::protocol::{Outcome, VERSION, parse_answer, request_line};
use crate::settings::Launch;
use crate::{answers, errors};

/// The identifier of `initialize`.
const INITIALIZE: u64 = 0;

/// How long to read the remaining output after the process has ended: another process may keep its output open forever.
const LEFT_BEHIND: Duration = Duration::from_secs(2);

/// The maximum number of bytes of a diagnostic line that are kept. This is more than is logged, so that a secret is
/// never split before it is redacted.
const DIAGNOSTIC_BYTES: usize = 64 * 1024;

/// The maximum number of characters of a diagnostic line that are logged.
const DIAGNOSTIC_CHARACTERS: usize = 4 * 1024;

/// Serves one process until it has ended. It owns the process, and everything that runs for the process ends with it.
pub(crate) struct ProcessSession {
    launch: Arc<Launch>,
    shared: Arc<Shared>,
    process: Process,
    output: LineReader<ChildStdout>,
    /// The number of lines read.
    lines: u64,
    /// The deadline for the response to `initialize`; `None` once it has arrived.
    start_deadline: Option<Instant>,
    writer: AbortOnDropHandle<io::Result<()>>,
    diagnostics: AbortOnDropHandle<()>,
}

impl ProcessSession {
    /// Starts writing requests and reading diagnostics; [`run`](Self::run) does the rest.
    pub(crate) fn new(
        launch: Arc<Launch>,
        shared: Arc<Shared>,
        process: Process,
        (stdin, stdout, stderr): (ChildStdin, ChildStdout, ChildStderr),
        requests: mpsc::Receiver<Outgoing>,
    ) -> Self {
        let params = json!({ "protocol": VERSION, "app": launch.app, "settings": launch.settings });
        let initialize = request_line(INITIALIZE, "initialize", &params);
        // Writing runs in a separate task: a process that reads its input only after its responses were read must not
        // block the reading.
        let writer =
            tokio::spawn(write(stdin, initialize, requests, Arc::clone(&shared), Arc::clone(&launch)));
        let diagnostics = tokio::spawn(log_diagnostics(stderr, Arc::clone(&launch)));
        Self {
            output: LineReader::new(stdout, launch.max_line_bytes, Overflow::Fail),
            lines: 0,
            start_deadline: Some(Instant::now() + launch.start_timeout),
            writer: AbortOnDropHandle::new(writer),
            diagnostics: AbortOnDropHandle::new(diagnostics),
            launch,
            shared,
            process,
        }
    }

    /// Serves the process until it has ended, and records the reason.
    pub(crate) async fn run(mut self) {
        let death = self.attend().await;
        self.writer.abort();
        // The process must have ended before its calls fail: they are repeated, and must not run at the same time as
        // their first attempt.
        self.process.kill().await;
        // The last diagnostics, such as a traceback, are the most useful ones.
        if timeout(LEFT_BEHIND, &mut self.diagnostics).await.is_err() {
            debug!(target: "bridgehead::exec", app = %self.launch.app, "another process still holds standard error open");
        }
        if self.shared.stopping.is_cancelled() {
            info!(target: "bridgehead::exec", app = %self.launch.app, "the connector process {death}");
        } else {
            warn!(target: "bridgehead::exec", app = %self.launch.app, "the connector process {death}");
        }
        self.shared.die(death);
    }

    async fn attend(&mut self) -> Death {
        let mut writing = true;
        let mut ended: Option<(Death, Instant)> = None;
        loop {
            let hang = self.shared.pending.next_hang();
            let hangs_at = hang.as_ref().map(|(moment, _)| *moment);
            let read_until = ended.as_ref().map(|(_, moment)| *moment);
            tokio::select! {
                () = self.shared.kill.cancelled() => return Death::Stopped,
                () = self.shared.pending.given_up() => {}
                () = at(hangs_at) => {
                    let what = hang.map(|(_, what)| what).unwrap_or_default();
                    return Death::Hung { what };
                }
                () = at(self.start_deadline) => return Death::StartTimeout(self.launch.start_timeout),
                () = at(read_until) => return ended.map_or(Death::Unattended, |(death, _)| death),
                line = self.output.next() => match line {
                    Ok(Some(line)) => if let Err(death) = self.take(&line) {
                        return death;
                    },
                    Ok(None) => return self.output_ended(ended, Death::OutputClosed).await,
                    Err(error) => return self.output_ended(ended, Death::Output(error)).await,
                },
                status = self.process.ended(), if ended.is_none() => {
                    // Responses that it wrote before it ended still count.
                    let death = status.map_or(Death::Unattended, Death::Ended);
                    ended = Some((death, Instant::now() + LEFT_BEHIND));
                }
                written = &mut self.writer, if writing => {
                    writing = false;
                    if !matches!(written, Ok(Ok(()))) && ended.is_none() {
                        // Most likely the process has ended; its exit status is the better reason.
                        ended = Some((self.ended_soon(Death::InputClosed).await, Instant::now() + LEFT_BEHIND));
                    }
                }
            }
        }
    }

    /// Called when the output has ended. Most likely the process has ended too, and its exit status is the better
    /// reason.
    async fn output_ended(&mut self, ended: Option<(Death, Instant)>, otherwise: Death) -> Death {
        match (ended, otherwise) {
            (_, death @ Death::Output(LineError::TooLong { .. })) | (Some((death, _)), _) => death,
            (None, otherwise) => self.ended_soon(otherwise).await,
        }
    }

    async fn ended_soon(&mut self, otherwise: Death) -> Death {
        match timeout(LEFT_BEHIND, self.process.ended()).await {
            Ok(Ok(status)) => Death::Ended(status),
            _ => otherwise,
        }
    }

    fn take(&mut self, line: &[u8]) -> Result<(), Death> {
        self.lines += 1;
        if let Some(trace) = &self.launch.trace {
            trace.received(&self.launch.app, &trace.shown(line));
        }
        let answer = parse_answer(line).map_err(|reason| Death::NotAnAnswer { line: self.lines, reason })?;
        if answer.id == INITIALIZE && self.start_deadline.is_some() {
            return self.initialized(answer.outcome);
        }
        let app = &self.launch.app;
        match self.shared.pending.answer(answer.id, answer.outcome) {
            Delivery::Delivered => self.shared.healthy.store(true, Ordering::Relaxed),
            Delivery::Late { what } => {
                self.shared.healthy.store(true, Ordering::Relaxed);
                debug!(target: "bridgehead::exec", %app, %what, "a response arrived after its call had timed out or been cancelled");
            }
            Delivery::Unknown => {
                warn!(
                    target: "bridgehead::exec", %app, id = answer.id,
                    "the connector process responded to an unknown request; ignoring the response"
                );
            }
        }
        Ok(())
    }

    fn initialized(&mut self, outcome: Outcome) -> Result<(), Death> {
        let app = &self.launch.app;
        let redactor = &self.launch.redactor;
        let result = outcome.map_err(|object| {
            let error = errors::from_object(&object, app, "initialize", redactor);
            Death::Refused { code: error.code(), message: error.message().to_owned(), retry: error.retry() }
        })?;
        let answers::Initialized { description, unknown_actions } =
            answers::description(result).map_err(Death::Description)?;
        for action in unknown_actions {
            let action = errors::text(&action, errors::LABEL, redactor);
            warn!(target: "bridgehead::exec", %app, %action, "the connector process lists an action that bridgehead does not know");
        }
        self.start_deadline = None;
        self.shared.phase.send_replace(Phase::Ready(Arc::new(description)));
        Ok(())
    }
}

impl Drop for ProcessSession {
    /// Callers must not wait forever if this task is aborted or panics.
    fn drop(&mut self) {
        self.shared.die(Death::Unattended);
    }
}

/// Waits until a time; forever if there is none.
async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// Writes `initialize`, then requests as they arrive, until the connector is stopped or dropped. Dropping `stdin` at
/// the end tells the process to exit.
async fn write(
    mut stdin: ChildStdin,
    initialize: Vec<u8>,
    mut requests: mpsc::Receiver<Outgoing>,
    shared: Arc<Shared>,
    launch: Arc<Launch>,
) -> io::Result<()> {
    let show = |line: &[u8]| {
        if let Some(trace) = &launch.trace {
            trace.sent(&launch.app, &trace.shown(line));
        }
    };
    show(&initialize);
    stdin.write_all(&initialize).await?;
    stdin.flush().await?;
    drop(initialize);
    loop {
        let request = tokio::select! {
            () = shared.stopping.cancelled() => return Ok(()),
            request = requests.recv() => request,
        };
        let Some(Outgoing { id, line }) = request else {
            return Ok(());
        };
        if shared.pending.sending(id) {
            show(&line);
            stdin.write_all(&line).await?;
            stdin.flush().await?;
        }
    }
}

/// Forwards what the process writes to standard error to the log: redacted, truncated, one line at a time.
async fn log_diagnostics(stderr: ChildStderr, launch: Arc<Launch>) {
    let mut lines = LineReader::new(stderr, DIAGNOSTIC_BYTES, Overflow::Cut);
    let mut key = KeyLines::default();
    while let Ok(Some(line)) = lines.next().await {
        let line = String::from_utf8_lossy(&line);
        if key.has(&line) {
            continue;
        }
        let line = errors::text(&line, DIAGNOSTIC_CHARACTERS, &launch.redactor);
        if !line.is_empty() {
            info!(target: "bridgehead::exec", app = %launch.app, "{line}");
        }
    }
}

/// Recognizes the lines of a private key after its first one. Alone, they look like any other text to those who hide secrets later.
#[derive(Default)]
struct KeyLines {
    /// How many more lines may belong to it.
    left: usize,
}

impl KeyLines {
    /// No key is longer.
    const LONGEST: usize = 200;

    /// Whether this line belongs to a private key that an earlier line began.
    fn has(&mut self, line: &str) -> bool {
        if self.left > 0 {
            self.left = if line.contains("-----END ") { 0 } else { self.left - 1 };
            return true;
        }
        let begins =
            line.contains("-----BEGIN ") && line.contains("PRIVATE KEY") && !line.contains("-----END ");
        self.left = if begins { Self::LONGEST } else { 0 };
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_line_of_a_private_key_is_logged() {
        let mut key = KeyLines::default();
        let text = "before\n-----BEGIN EC PRIVATE KEY-----\nMHcCAQEE\noAoGCCqG\n-----END EC PRIVATE KEY-----\nbehind\n\
                    -----BEGIN CERTIFICATE-----\nMIIB";
        let logged: Vec<&str> = text.lines().filter(|line| !key.has(line)).collect();
        assert_eq!(
            logged,
            ["before", "-----BEGIN EC PRIVATE KEY-----", "behind", "-----BEGIN CERTIFICATE-----", "MIIB"]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn no_deadline_never_elapses() {
        let far = timeout(Duration::from_secs(1_000_000), at(None)).await;
        assert!(far.is_err());
        at(Some(Instant::now() + Duration::from_secs(5))).await;
    }
}
